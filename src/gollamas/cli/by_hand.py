"""What `gollamas load` and `gollamas unload` have in common: the models are asked for one after another.

Owns how long they are waited for, and what people read of an answer.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gollamas.cli.answers import NobodyThere, NothingTold, error_in, no_gollamas
from gollamas.cli.asking import PageReply, Question
from gollamas.cli.page import bearer, reply_of
from gollamas.cli.say import USAGE, complain, complain_of, say, say_bytes
from gollamas.cli.tables import TABLES
from gollamas.cli.wanted import models_named
from gollamas.config.faults import Faults
from gollamas.config.load import Loaded, load_values
from gollamas.config.model import Config
from gollamas.events import LoadEnd
from gollamas.observe.by_hand import ByHand, OnServer, UnloadEnd, Wanted
from gollamas.observe.safe import escaped

_SLACK: Final = 15.0  # seconds that a proxy may take beside a load
_SAID: Final[Mapping[str, str]] = {
    LoadEnd.LOADED: "loaded in {took}",
    LoadEnd.SAME: "was loaded already ({took})",
    UnloadEnd.UNLOADED: "unloaded in {took}",
    UnloadEnd.NOT_LOADED: "was not loaded",
}


def run_by_hand(verb: str, argv: Sequence[str]) -> int:
    """Print what became of each; 1 where something failed or nobody answers, 2 for a faulty command line."""
    try:
        loaded = load_values(argv, os.environ, table=TABLES[verb])
        wanted = [Wanted(model=one.model, server=one.server) for one in models_named(verb, loaded.words)]
    except Faults as faults:
        complain_of(faults)
        return USAGE
    code = 0
    try:
        for one in wanted:
            code = max(code, _ask(verb, loaded, one))
    except NobodyThere as why:
        complain(f"gollamas: {why}; --admin or GOLLAMAS_ADMIN says where the admin port is")
        return 1
    except NothingTold as why:
        complain(f"gollamas: {why}")
        return 1
    return code


def _ask(verb: str, loaded: Loaded, wanted: Wanted) -> int:
    """Have the proxy do it, and print what it says; raises NothingTold where it says nothing."""
    config = loaded.config
    if verb == "load" and sys.stderr.isatty():
        where = f" on {wanted.server}" if wanted.server else ""
        complain(f"gollamas: loading {wanted.model}{where}, which may take minutes ...")
    url, reply = reply_of(verb, config.admin, _question(verb, config, wanted))
    done = _done(url, reply)
    if done is None:
        complain(f"gollamas: {error_in(reply.body)}")
        return 1
    if loaded.own.get("json"):
        say_bytes(reply.body)
    else:
        say("\n".join(_line(one) for one in done.servers))
    return 1 if any(one.has_failed for one in done.servers) else 0


def _question(verb: str, config: Config, wanted: Wanted) -> Question:
    fields = {"Content-Type": b"application/json", **bearer(config)}
    timeout = config.load_timeout + _SLACK
    return Question(f"/{verb}", "POST", fields, timeout, msgspec.json.encode(wanted))


def _done(url: str, reply: PageReply) -> ByHand | None:
    """Read what became of it, None of what the proxy could not begin; raises NothingTold."""
    try:
        done = msgspec.json.decode(reply.body, type=ByHand)
    except (ValueError, RecursionError) as why:
        if reply.status == 200 or not error_in(reply.body):
            status = (
                "its answer is not what gollamas sends" if reply.status == 200 else f"status {reply.status}"
            )
            raise no_gollamas(url, status) from why
        return None
    return done


def _line(one: OnServer) -> str:
    took = f"{one.took_s:.2f} s"
    if one.has_failed:
        text = f"{one.end.replace('_', ' ')} after {took}: {one.error}"
    else:
        text = _SAID.get(one.end, one.end).format(took=took)
    return escaped(f"{one.model} on {one.server}: {text}")
