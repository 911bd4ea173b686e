"""The command line, split by the rules of the Go program's flag parser.

A value follows its flag after `=` or as the next word, a switch takes one only after `=`, one dash does for
two, `--` ends the flags. Knows which options exist, not what their values mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gollamas.config.address import shown
from gollamas.config.faults import Findings, nearest
from gollamas.config.given import Given
from gollamas.config.options import LATER_FLAGS, OPTIONS, Option
from gollamas.config.synonyms import Meant, meant_by, turns_off

VERBS: Final = {
    "serve": "start the proxy; this word may be left out",
    "check": "print the resulting configuration, or what is wrong with it",
    "demo": "try it without Ollama: three simulated servers and the proxy",
    "simulate": "run one simulated Ollama server",
    "health": "ask a running proxy whether it is well: exit 0 or 1",
    "status": "show a running proxy's servers, loaded models and requests; --json for programs",
    "version": "print the version; with --full, what it is built on",
    "help": "print this, or the help of a verb",
}
VERB_ALIASES: Final = {"v": "version", "h": "help"}
# What other programs call them: no verbs here, but what to suggest.
VERB_SYNONYMS: Final = {
    **dict.fromkeys(("start", "run", "up", "server", "proxy"), "serve"),
    **dict.fromkeys(("validate", "verify", "test", "lint", "config"), "check"),
    **dict.fromkeys(("ping", "healthcheck"), "health"),
    **dict.fromkeys(("state", "ps", "top", "list", "ls", "stats"), "status"),
}
# Flags that the command line answers itself, and those that only another verb has.
HELP_FLAGS: Final = ("--help", "-h")
VERSION_FLAGS: Final = ("--version", "-v")
_OF_VERBS: Final = {"--live": "check", "--full": "version"}

_BY_NAME: Final[dict[str, tuple[Option, bool]]] = {
    flag.lstrip("-"): (option, is_plural)
    for option in OPTIONS
    for is_plural, flags in ((False, option.flags), (True, option.plural))
    for flag in flags
}


@dataclass(slots=True)
class Flags:
    """What a command line says: by option key, in its order, and the words that belong to no flag."""

    single: dict[str, list[Given]] = field(default_factory=dict)
    plural: dict[str, list[Given]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def read_flags(argv: Sequence[str], findings: Findings) -> Flags:
    """Split a command line without the program's name and its verb."""
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
        known = _BY_NAME.get(_bare(name))
        if known is None:
            if not has_value and words and not is_flag(words[0]):
                value = words.pop(0)  # most likely its value: no second fault about it
            _unknown(name, value, findings)
            continue
        option, is_plural = known
        if not has_value and option.is_switch:
            value = "true"
        elif not has_value:
            if not words or is_known_flag(words[0]):
                _no_value(name, option, findings)
                continue
            value = words.pop(0)
        kept = said.plural if is_plural else said.single
        kept.setdefault(option.key, []).append(Given(value, name))
    return said


def first_word(argv: Sequence[str]) -> int | None:
    """Find the index of the first word that is neither a flag nor its value; None where there is none."""
    index = 0
    while index < len(argv) and argv[index] != "--":
        word = argv[index]
        if not is_flag(word):
            return index
        known = _BY_NAME.get(_bare(word))
        takes_next = known is not None and not known[0].is_switch
        index += 2 if takes_next else 1
    return None


def is_flag(word: str) -> bool:
    """Whether a word is written like a flag, known or not."""
    return len(word) > 1 and word.startswith("-")


def is_one_of(word: str, flags: Sequence[str]) -> bool:
    """Whether a word is one of these flags, with one dash or two."""
    return is_flag(word) and _bare(word) in {flag.lstrip("-") for flag in flags}


def is_known_flag(word: str) -> bool:
    """Whether a word is one of our flags, with or without a value."""
    return is_flag(word) and _bare(word.partition("=")[0]) in _BY_NAME


def _bare(name: str) -> str:
    """Give the name without its one or two dashes."""
    return name[2:] if name.startswith("--") else name[1:]


def _no_value(name: str, option: Option, findings: Findings) -> None:
    findings.fault(name, "a value is missing", f"Write `{name}={option.written}`")


def _unknown(name: str, value: str, findings: Findings) -> None:
    dashed = f"--{_bare(name)}"
    if dashed in LATER_FLAGS:
        findings.fault(name, "this flag comes in a later release", "Leave it out until then")
    elif dashed in _OF_VERBS:
        findings.fault(name, "this verb has no such flag", f"Write `gollamas {_OF_VERBS[dashed]} {dashed}`")
    else:
        findings.fault(shown(name), "there is no such flag", _meant(dashed, value, findings))


def _meant(dashed: str, value: str, findings: Findings) -> str:
    """Say what to write for an unknown flag, and note whose entries are lost with it."""
    meant = meant_by(dashed, value)
    if meant is None:
        names = [f"--{known}" if len(known) > 1 else f"-{known}" for known in _BY_NAME]
        near = nearest(dashed, [*names, *HELP_FLAGS, *VERSION_FLAGS])
        if near is None or turns_off(dashed):
            return "See `gollamas --help` for all flags"
        if near.lstrip("-") not in _BY_NAME:
            return f"Write `{near}`"
        option, is_plural = _BY_NAME[near.lstrip("-")]
        Meant(option, is_plural=is_plural).lose(findings)
        return f"Write `{near}`"
    meant.lose(findings)
    return f"Write `{meant.flag}`" + (f", like `{meant.flag} {meant.example}`" if meant.example else "")
