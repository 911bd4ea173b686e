"""`gollamas pull MODEL[@SERVER]... [--json] [--insecure]`: has a running proxy pull models.

Owns what an answer has to be; how it is shown is `pull_lines`' and, on a terminal, `pull_bars`'.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Final

import msgspec

from gollamas.cli.answers import NothingTold, no_gollamas
from gollamas.cli.asking import BrokenOff, Question, Unanswered, ask, endpoint_at
from gollamas.cli.client_paths import PULL
from gollamas.cli.clients_port import (
    Port,
    Refused,
    admin_of,
    each,
    lines_from,
    port_of,
    question,
    with_proxy,
)
from gollamas.cli.pull_lines import JsonLines, PlainLines, PullLine, PullShown
from gollamas.cli.say import complain
from gollamas.cli.wanted import Named, models_named
from gollamas.config.load import Loaded
from gollamas.config.model import Address
from gollamas.observe.safe import cut, escaped

_SUCCESS: Final = "success"
_DUMB: Final = ("", "dumb", "unknown")  # terminals that nothing can be drawn on
_QUICK: Final = 1.0  # seconds that the admin port has to answer
_INSECURE: Final = "its registry has no TLS; `gollamas pull --insecure` allows that"
_AGAIN: Final = "pull again: servers go on with what they have"
# What helps, by what Ollama says of it; an answer may be that of several servers.
_ADVICE: Final = (
    ("file does not exist", "its registry has no such model or tag"),
    ("invalid model name", "a name is written like `llama3.2:3b`"),
    ("server gave HTTP response to HTTPS client", _INSECURE),
    ("insecure protocol http", _INSECURE),
    ("no space left on device", f"make room there, then {_AGAIN}"),
)


def run(argv: Sequence[str]) -> int:
    """Pull them; 1 where one failed on any server, 2 for a faulty command line."""
    return with_proxy("pull", argv, _pull)


def _pull(loaded: Loaded) -> int:
    wanted = models_named("pull", loaded.words)
    port, show = port_of(loaded), _way_to_show(loaded)
    members = {"stream": True, "insecure": bool(loaded.own.get("insecure"))}
    try:
        return each(wanted, lambda named: _pull_one(port, _question(named, members), show(named)))
    except KeyboardInterrupt:
        complain(
            "gollamas: interrupted; servers keep what they have fetched, and the next pull goes on from it"
        )
        raise


def _way_to_show(loaded: Loaded) -> Callable[[Named], AbstractContextManager[PullShown]]:
    if loaded.own.get("json"):
        return JsonLines
    admin = admin_of(loaded)
    if sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB and admin and _answers(admin):
        from gollamas.cli.pull_bars import PullBars  # noqa: PLC0415 - only a terminal needs it

        return lambda named: PullBars(named, endpoint_at(admin))
    return PlainLines


def _answers(admin: Address) -> bool:
    try:
        return ask(endpoint_at(admin), Question("/state", timeout=_QUICK)).status == 200
    except Unanswered:
        return False


def _question(named: Named, members: Mapping[str, object]) -> Question:
    return question(PULL, named, {"model": named.model, **members}, timeout=None)


def _pull_one(port: Port, asked: Question, showing: AbstractContextManager[PullShown]) -> None:
    """Pull a model, and show how far it is; raises Refused or NothingTold."""
    has_succeeded = False
    try:
        with closing(lines_from(port, asked)) as lines, showing as shown:
            for line in filter(bytes.strip, lines):
                said = _read(port, line)
                shown.hear(line, said)
                if said.error:
                    raise Refused(_why(said.error))
                has_succeeded = said.status == _SUCCESS
            if not has_succeeded:
                raise Refused(f"the answer broke off; {_AGAIN}")
            shown.succeed()
    except BrokenOff as why:
        raise Refused(f"{why}; {_AGAIN}") from why


def _read(port: Port, line: bytes) -> PullLine:
    try:
        said = msgspec.json.decode(line, type=PullLine)
    except (ValueError, RecursionError) as why:
        raise _other(port) from why
    if not (said.status or said.error):
        raise _other(port)
    return said


def _other(port: Port) -> NothingTold:
    return no_gollamas(port.url + PULL, "its answer is not what gollamas sends")


def _why(error: str) -> str:
    text = cut(escaped(error), 1000)
    helps = dict.fromkeys(advice for words, advice in _ADVICE if words in text)
    return "; ".join((text, *(helps or (f"once that is fixed, {_AGAIN}",))))
