"""Which source speaks for an option: flag, then environment, then file; entries of all three add up.

Owns precedence, and the quotes around variables; does not read what a value means.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gollamas.config.address import looks_like_server, shown, surely_names_in, url_of
from gollamas.config.entries import pairs_of, servers_of
from gollamas.config.faults import Findings, Unusable, nearest
from gollamas.config.flags import SERVE, VERB_SYNONYMS, VERBS, Flags, Table, read_flags
from gollamas.config.given import Gathered, Given, ReadFile, ServerEntry
from gollamas.config.levels import level_entries_of
from gollamas.config.lists import is_url, unquoted
from gollamas.config.options import (
    ALIASES,
    CONFIG,
    MODELS,
    OPTIONS,
    POLICIES,
    ROUTES,
    SERVERS,
    VALUES,
    Option,
)
from gollamas.config.own import own_values, value_of, variable_of
from gollamas.config.synonyms import meant_by, nearest_to

PREFIX: Final = "GOLLAMAS_"
# Kubernetes sets these beside every Service: of one called gollamas, and of one called gollamas-SOMETHING.
_OF_SERVICE: Final = re.compile(
    r"GOLLAMAS_(PORT|SERVICE_)|GOLLAMAS_.*_(SERVICE_(HOST$|PORT)|PORT_\d+_(TCP|UDP|SCTP))"
)
_OF_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://")
_FOR_OTHERS: Final = ("GOLLAMAS_TEST_", "GOLLAMAS_PURE")  # read by the tests and by setup.py

_LISTEN: Final = "listen"
_PROXY_HOST: Final = "GOLLAMAS_HOST"  # of verbs that talk to a running proxy
_KNOWN_VARIABLES: Final = tuple(
    variable for option in OPTIONS for variable in option.variables if variable.startswith(PREFIX)
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look: the command line without program and verb, the environment, and how to read a file."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    read_file: ReadFile
    table: Table = SERVE


def gather(sources: Sources, findings: Findings) -> Gathered:
    """All that was said: one text per value, all entries."""
    flags = read_flags(sources.argv, findings, sources.table)
    said = Gathered(own=own_values(sources.table.own, flags, sources.environ, findings))
    for option in VALUES:
        if given := value_of(option, flags, sources.environ):
            said.values[option.key] = given
    for given in _lists(MODELS, flags, sources.environ, findings):
        said.models += pairs_of(given, MODELS, findings)
    for given in _lists(ALIASES, flags, sources.environ, findings):
        said.aliases += pairs_of(given, ALIASES, findings)
    for given in _lists(SERVERS, flags, sources.environ, findings):
        said.servers += servers_of(given, findings)
    said.routes += _lists(ROUTES, flags, sources.environ, findings)
    for policy in POLICIES:
        said.levels[policy.key] = [
            entry
            for given in (*_variable(policy, sources.environ), *_single(policy, flags, findings))
            for entry in level_entries_of(given, policy, findings)
        ]
    if sources.table.words:
        said.words = flags.words
    else:
        said.servers += _positional(flags.words, findings)
    _look_for_unknown_variables(sources, said, findings)
    if path := value_of(CONFIG, flags, sources.environ):
        from gollamas.config.file import read_config_file  # noqa: PLC0415 - YAML's reader is slow to import

        _join(said, read_config_file(path, sources.environ, sources.read_file, findings), findings)
    return said


def _lists(option: Option, flags: Flags, environ: Mapping[str, str], findings: Findings) -> list[Given]:
    """Lists of the singular flags, then of the plural ones or, where there is none, of the variable."""
    plural = flags.plural.get(option.key)
    return [*_single(option, flags, findings), *(_variable(option, environ) if plural is None else plural)]


def _single(option: Option, flags: Flags, findings: Findings) -> list[Given]:
    single = flags.single.get(option.key, [])
    for given in single:
        if not given.text.strip():
            written = f"{given.place} {option.written}"
            findings.fault(given.place, "the entry is empty", f"Write `{written}`", (written,))
    return single


def _variable(option: Option, environ: Mapping[str, str]) -> list[Given]:
    variable = variable_of(option, environ)
    return [variable] if variable else []


def _positional(words: Sequence[str], findings: Findings) -> list[ServerEntry]:
    """Plain words are servers; one that can't be is most likely a mistyped verb."""
    servers: list[ServerEntry] = []
    for index, word in enumerate(words):
        names = surely_names_in(word)
        place = f"argument `{word if names else shown(word)}`"
        if is_url(word) or ("=" not in word and not names and looks_like_server(word)):
            servers.append(ServerEntry(id=None, url=word, place=place))
            continue
        findings.fault(place, "this is neither a verb nor the URL of a server", _meant(index, word), names)
    return servers


def _meant(index: int, word: str) -> str:
    if word in VERBS:
        return f"Write the verb first: `gollamas {word} ...`"
    if index == 0 and (near := VERB_SYNONYMS.get(word.lower()) or nearest(word, VERBS)):
        return f"Write `gollamas {near}`"
    if "=" in word:
        return f"Write `--proxy {word}` for a model, `--connection {word}` for a server"
    if word.lower() in {"true", "false", "t", "f", "1", "0"}:
        return f"Write the value of a switch behind `=`, like `--list-aliases={word}`"
    return f"Write a server with a scheme or a port, like `{url_of(word)}`"


def _look_for_unknown_variables(sources: Sources, said: Gathered, findings: Findings) -> None:
    environ = sources.environ
    known = {*_KNOWN_VARIABLES, *(name for option in sources.table.own for name in option.variables)}
    if _LISTEN in said.values:
        known.add(_PROXY_HOST)  # whoever set both means the verbs by it
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name.startswith(_FOR_OTHERS):
            continue
        if _is_of_service(name, environ[name]):
            continue
        hint = _meant_variable(name.removeprefix(PREFIX), unquoted(environ[name]))
        what = "for `gollamas pull` and its like," if name == _PROXY_HOST else "unknown"
        findings.warn(name, f"this variable is {what} and ignored{hint}")


def _is_of_service(name: str, value: str) -> bool:
    if name == f"{PREFIX}PORT" and value.isdecimal():
        return False  # a Service's is a URL
    return bool(_OF_SERVICE.match(name) or (name.endswith("_PORT") and _OF_SERVICE_URL.match(value)))


def _meant_variable(name: str, value: str) -> str:
    if meant := meant_by(name, value) or nearest_to(name):
        example = f" Write it like {meant.variable}={meant.example}." if meant.example else ""
        return f"; did you mean {meant.variable}?{example}"
    return ""


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
    said.routes += from_file.routes
    for key, entries in from_file.levels.items():
        said.levels[key] = [*entries, *said.levels[key]]
