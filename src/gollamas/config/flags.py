"""The command line, split by the rules of the Go program's flag parser.

A value follows its flag after `=` or as the next word, a switch takes one only after `=`, one dash does for
two, `--` ends the flags. Knows which options a verb has, not what their values mean.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gollamas.config.address import shown
from gollamas.config.faults import Findings, nearest
from gollamas.config.given import Given
from gollamas.config.options import CONFIG, OPTIONS, FlagOption, Option
from gollamas.config.synonyms import Meant, meant_by, nearest_to, turns_off

VERBS: Final = {
    "serve": "start the proxy; this word may be left out",
    "check": "print the resulting configuration, or what is wrong with it",
    "demo": "try it without Ollama: three simulated servers and the proxy",
    "simulate": "run one simulated Ollama server",
    "health": "ask a running proxy whether it is well: exit 0 or 1",
    "status": "show a running proxy's servers, loaded models and requests; --json for programs",
    "variants": "list the variants of models that num_ctx made; --prune removes what is not needed",
    "models": "show which model is on which server, its digest, and what is loaded",
    "ps": "show what is loaded on which server",
    "show": "show what a model is: MODEL, or MODEL@SERVER as one server has it",
    "pull": "pull models to all of their servers, or to one: MODEL or MODEL@SERVER",
    "cp": "copy a model on all of its servers, or on one: SOURCE[@SERVER] DESTINATION",
    "rm": "delete models from all of their servers, or from one: MODEL or MODEL@SERVER",
    "load": "have a running proxy load models: MODEL for all its servers, MODEL@SERVER for one",
    "unload": "have a running proxy unload models, until a client asks for them; named as for load",
    "version": "print the version; with --full, what it is built on",
    "help": "print this, or the help of a verb",
}
VERB_ALIASES: Final = {"v": "version", "h": "help"}
# What other programs call them: no verbs here, but what to suggest.
VERB_SYNONYMS: Final = {
    **dict.fromkeys(("start", "run", "up", "server", "proxy"), "serve"),
    **dict.fromkeys(("validate", "verify", "test", "lint", "config"), "check"),
    **dict.fromkeys(("ping", "healthcheck"), "health"),
    **dict.fromkeys(("state", "top", "stats"), "status"),
    **dict.fromkeys(("list", "ls", "tags"), "models"),
    **dict.fromkeys(("info", "inspect"), "show"),
    **dict.fromkeys(("download", "update"), "pull"),
    "copy": "cp",
    **dict.fromkeys(("delete", "remove", "del"), "rm"),
    "prune": "variants",
    **dict.fromkeys(("preload", "warm", "warmup"), "load"),
    **dict.fromkeys(("stop", "evict"), "unload"),
}
# Flags that the command line answers itself, and those that only another verb has.
HELP_FLAGS: Final = ("--help", "-h")
VERSION_FLAGS: Final = ("--version", "-v", "-V")
_OF_VERBS: Final = {"--live": "check", "--full": "version", "--prune": "variants"}


class Table:
    """The options of a verb, by the names of their flags.

    `words` says how the words are written that belong to no flag, where they are no servers.
    """

    __slots__ = ("_by_name", "options", "verb", "words")

    def __init__(self, verb: str, options: Iterable[Option], words: str = "") -> None:
        self.verb = verb
        self.words = words
        self.options = tuple(options)
        self._by_name = {
            flag.lstrip("-"): (option, is_plural)
            for option in self.options
            for is_plural, flags in ((False, option.flags), (True, option.plural))
            for flag in flags
        }

    @property
    def own(self) -> tuple[FlagOption, ...]:
        """Those of this verb alone."""
        return tuple(option for option in self.options if isinstance(option, FlagOption))

    @property
    def configures(self) -> bool:
        """Whether the verb reads the configuration, so that it has the flags of `serve`."""
        return CONFIG in self.options

    @property
    def names(self) -> list[str]:
        """Every flag as it is written."""
        return [f"--{name}" if len(name) > 1 else f"-{name}" for name in self._by_name]

    def find(self, flag: str) -> tuple[Option, bool] | None:
        """Find the option of a flag with one dash or two, and whether it is the plural one."""
        return self._by_name.get(_bare(flag))

    def knows(self, word: str) -> bool:
        """Whether a word is one of these flags, with or without a value."""
        return is_flag(word) and self.find(word.partition("=")[0]) is not None


def _bare(name: str) -> str:
    """Give the name without its one or two dashes."""
    return name[2:] if name.startswith("--") else name[1:]


SERVE: Final = Table("serve", OPTIONS)


@dataclass(slots=True)
class Flags:
    """What a command line says: by option key, in its order, and the words that belong to no flag."""

    single: dict[str, list[Given]] = field(default_factory=dict)
    plural: dict[str, list[Given]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def read_flags(argv: Sequence[str], findings: Findings, table: Table = SERVE) -> Flags:
    """Split a command line without the program's name and its verb, by the options of the verb."""
    said = Flags()
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            said.words += words
            break
        if not is_flag(word):
            said.words.append(word)
            continue
        name, has_value, value = word.partition("=")
        known = table.find(name)
        if known is None:
            # Most likely its value: no second fault about it, which would quote what may be a secret.
            if not has_value and words and (not is_flag(words[0]) or _secret(name)):
                value = words.pop(0)
            _unknown(name, value, table, findings)
            continue
        option, is_plural = known
        if not has_value and option.is_switch:
            value = "true"
        elif not has_value:
            if not words or table.knows(words[0]):
                _no_value(name, option, findings)
                continue
            value = words.pop(0)
        kept = said.plural if is_plural else said.single
        kept.setdefault(option.key, []).append(Given(value, name))
    return said


def first_word(argv: Sequence[str]) -> int | None:
    """Find the index of the first word that is no flag of `serve` nor its value; None where there is none."""
    index = 0
    while index < len(argv) and argv[index] != "--":
        word = argv[index]
        if not is_flag(word):
            return index
        known = SERVE.find(word)
        takes_next = known is not None and not known[0].is_switch
        index += 2 if takes_next else 1
    return None


def is_flag(word: str) -> bool:
    """Whether a word is written like a flag, known or not."""
    return len(word) > 1 and word.startswith("-")


def is_one_of(word: str, flags: Sequence[str]) -> bool:
    """Whether a word is one of these flags, with one dash or two."""
    return is_flag(word) and _bare(word) in {flag.lstrip("-") for flag in flags}


def _no_value(name: str, option: Option, findings: Findings) -> None:
    written = f"{name}={option.written}"
    findings.fault(name, "a value is missing", f"Write `{written}`", (written,))


def _unknown(name: str, value: str, table: Table, findings: Findings) -> None:
    dashed = f"--{_bare(name)}"
    if (secret := _secret(name)) and table.configures:
        findings.fault(
            f"--{secret.key.replace('_', '-')}",
            "a secret is no flag: all users of this machine can read its command lines",
            f"Set the variable {secret.variables[0]}, or write `{secret.key}` into the file",
        )
    elif dashed in _OF_VERBS:
        findings.fault(name, "this verb has no such flag", f"Write `gollamas {_OF_VERBS[dashed]} {dashed}`")
    elif SERVE.find(name):
        findings.fault(
            name,
            "this verb has no such flag",
            f"It is for `gollamas serve`; see `gollamas {table.verb} --help`",
        )
    else:
        findings.fault(shown(name), "there is no such flag", _meant(dashed, value, table, findings))


def _secret(name: str) -> Option | None:
    """Give the option without a flag that somebody took for one, or mistyped so."""
    meant = meant_by(name) or nearest_to(_bare(name))
    return meant.option if meant and not meant.option.flags else None


def _meant(dashed: str, value: str, table: Table, findings: Findings) -> str:
    """Say what to write for an unknown flag, and note whose entries are lost with it."""
    meant = meant_by(dashed, value)
    if (
        meant is not None
        and meant.option.flags
        and table.find(meant.flag.partition(" ")[0].partition("=")[0])
    ):
        meant.lose(findings)
        return f"Write `{meant.flag}`" + (f", like `{meant.flag} {meant.example}`" if meant.example else "")
    near = nearest(dashed, [*table.names, *HELP_FLAGS, *VERSION_FLAGS])
    if near is None or turns_off(dashed):
        verb = SERVE.verb if table.configures else table.verb
        return f"See `gollamas {verb} --help` for all flags"
    if known := table.find(near):
        option, is_plural = known
        Meant(option, is_plural=is_plural).lose(findings)
    return f"Write `{near}`"
