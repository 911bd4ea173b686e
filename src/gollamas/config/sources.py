"""Which source speaks for an option: flag, then environment, then file; entries of all three add up.

Owns precedence and the notation NAME=TARGET; does not read what a value means.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gollamas.config.address import looks_like_server
from gollamas.config.faults import Findings, Unusable, nearest
from gollamas.config.flags import VERBS, Flags, read_flags
from gollamas.config.given import Gathered, Given, Pair, ReadFile, ServerEntry
from gollamas.config.options import ALIASES, CONFIG, MODELS, OPTIONS, SERVERS, VALUES, Option
from gollamas.config.values import split_list

PREFIX: Final = "GOLLAMAS_"
# Kubernetes sets these beside every Service: of one called gollamas, and of one called gollamas-SOMETHING.
_OF_SERVICE: Final = re.compile(
    r"GOLLAMAS_(PORT|SERVICE_)|GOLLAMAS_.*_(SERVICE_(HOST$|PORT)|PORT_\d+_(TCP|UDP|SCTP))"
)
_OF_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://")
_FOR_OTHERS: Final = ("GOLLAMAS_TEST_", "GOLLAMAS_PURE")  # read by the tests and by setup.py

_KNOWN_VARIABLES: Final = tuple(
    variable for option in OPTIONS for variable in option.variables if variable.startswith(PREFIX)
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look: the command line without program and verb, the environment, and how to read a file."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    read_file: ReadFile


def gather(sources: Sources, findings: Findings) -> Gathered:
    """All that was said: one text per value, all entries."""
    flags = read_flags(sources.argv, findings)
    said = Gathered()
    for option in VALUES:
        if given := _value(option, flags, sources.environ):
            said.values[option.key] = given
    said.models += _pairs(MODELS, flags, sources.environ, findings)
    said.aliases += _pairs(ALIASES, flags, sources.environ, findings)
    said.servers += (
        ServerEntry(id=pair.name, url=pair.target, place=pair.place)
        for pair in _pairs(SERVERS, flags, sources.environ, findings)
    )
    said.servers += _positional(flags.words, findings)
    _look_for_unknown_variables(sources.environ, findings)
    if path := _value(CONFIG, flags, sources.environ):
        from gollamas.config.file import read_config_file  # noqa: PLC0415 - YAML's reader is slow to import

        _join(said, read_config_file(path, sources.environ, sources.read_file, findings), findings)
    return said


def _value(option: Option, flags: Flags, environ: Mapping[str, str]) -> Given | None:
    """Give the last flag, else the first variable that is set; an empty variable says nothing."""
    if given := flags.single.get(option.key):
        return given[-1]
    variable = _variable(option, environ)
    return variable if variable and variable.text.strip() else None


def _variable(option: Option, environ: Mapping[str, str]) -> Given | None:
    return next((Given(environ[name], name) for name in option.variables if name in environ), None)


def _pairs(option: Option, flags: Flags, environ: Mapping[str, str], findings: Findings) -> list[Pair]:
    """Entries of the singular flags, then of the plural ones or, where there is none, of the variable."""
    pairs: list[Pair] = []
    for given in flags.single.get(option.key, ()):
        if not given.text.strip():
            findings.fault(given.place, "the entry is empty", f"Write `{given.place} {option.written}`")
        pairs += _split(given, option, findings)
    plural = flags.plural.get(option.key)
    if plural is None:
        variable = _variable(option, environ)
        plural = [variable] if variable else []
    for given in plural:
        pairs += _split(given, option, findings)
    return pairs


def _split(given: Given, option: Option, findings: Findings) -> list[Pair]:
    try:
        elements = split_list(given.text)
    except Unusable as why:
        findings.unusable(given.place, why)
        return []
    pairs: list[Pair] = []
    for element in elements:
        name, equals, target = (part.strip() for part in element.partition("="))
        if not equals:
            hint = f"Write {option.written}"
            if pairs:
                hint += f", also for the second of two: `{pairs[-1].name}={element}`"
            findings.fault(given.place, f"`{element}` has no `=`", hint)
        elif not name:
            findings.fault(given.place, f"`{element}` has nothing before its `=`", f"Write {option.written}")
        elif not target:
            findings.fault(given.place, f"`{element}` has nothing after its `=`", f"Write {option.written}")
        else:
            pairs.append(Pair(name, target, given.place))
    return pairs


def _positional(words: Sequence[str], findings: Findings) -> list[ServerEntry]:
    """Plain words are servers; one that can't be is most likely a mistyped verb."""
    servers: list[ServerEntry] = []
    for index, word in enumerate(words):
        if looks_like_server(word) and "=" not in word.partition("://")[0]:
            servers.append(ServerEntry(id=None, url=word, place=f"argument `{word}`"))
            continue
        findings.fault(
            f"argument `{word}`", "this is neither a verb nor the URL of a server", _meant(index, word)
        )
    return servers


def _meant(index: int, word: str) -> str:
    if word in VERBS:
        return f"Write the verb first: `gollamas {word} ...`"
    if index == 0 and (near := nearest(word, VERBS)):
        return f"Write `gollamas {near}`"
    if "=" in word:
        return f"Write `--proxy {word}` for a model, `--connection {word}` for a server"
    if word.lower() in {"true", "false", "t", "f", "1", "0"}:
        return f"Write the value of a switch behind `=`, like `--list-aliases={word}`"
    return f"Write a server with a scheme or a port, like `http://{word or 'gpu-1'}:11434`"


def _look_for_unknown_variables(environ: Mapping[str, str], findings: Findings) -> None:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in _KNOWN_VARIABLES or name.startswith(_FOR_OTHERS):
            continue
        if _OF_SERVICE.match(name) or (name.endswith("_PORT") and _OF_SERVICE_URL.match(environ[name])):
            continue
        known = (variable.removeprefix(PREFIX) for variable in _KNOWN_VARIABLES)
        near = nearest(name.removeprefix(PREFIX), known)
        hint = f"; did you mean {PREFIX}{near}?" if near else ""
        findings.warn(name, f"this variable is unknown and ignored{hint}")


def _join(said: Gathered, from_file: Gathered, findings: Findings) -> None:
    """Add the file's entries, and its values where nobody else spoke; an overruled one is still checked."""
    kinds = {option.key: option.kind for option in VALUES}
    for key, given in from_file.values.items():
        if key not in said.values:
            said.values[key] = given
            continue
        try:
            kinds[key].parse(given.text)
        except Unusable as why:
            findings.unusable(given.place, why)
    said.servers += from_file.servers
    said.models += from_file.models
    said.aliases += from_file.aliases
