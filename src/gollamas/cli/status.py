"""`gollamas status [--json]`: what a running proxy says at `/state`, as tables, as text or as it came.

Finds the admin address as `health` does. Where its output is no terminal it is plain text, and the library
that draws tables is not even imported.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from gollamas.cli.asking import NotHttp, Unanswered, ask
from gollamas.cli.say import USAGE, complain, complain_of, say, say_bytes
from gollamas.cli.state import StateTable, as_text, heading_of, tables_of
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import load_values
from gollamas.config.model import Address
from gollamas.observe.state import FleetState


class _NoState(Exception):
    """There is nothing to print; the text says why, in one line."""


def run(argv: Sequence[str]) -> int:
    """Print the state; 0, 1 where no gollamas answers or administration is off, 2 for a faulty address."""
    try:
        loaded = load_values(argv, os.environ, table=TABLES["status"])
    except Faults as faults:
        complain_of(faults)
        return USAGE
    try:
        body, heading, tables = _ask(loaded.config.admin)
    except _NoState as why:
        complain(f"gollamas: {why}")
        return 1
    if loaded.own.get("json"):
        say_bytes(body)
    elif sys.stdout.isatty():
        from gollamas.cli.terminal import drawn  # noqa: PLC0415 - only a terminal needs it

        say(drawn(heading, tables, sys.stdout))
    else:
        say(as_text(heading, tables))
    return 0


def _ask(admin: Address | None) -> tuple[bytes, str, list[StateTable]]:
    """Ask for the state: its bytes, and what they say; raises _NoState."""
    if admin is None:
        raise _NoState("administration is off here (--admin off): status asks the admin port")
    asked = f"http://{admin}/state"
    try:
        reply = ask(admin, "/state")
    except NotHttp as why:
        raise _NoState(f"what answers at {asked} is no gollamas: it speaks no HTTP") from why
    except Unanswered as why:
        raise _NoState(f"nobody answers at {asked}: {why}") from why
    if reply.status != 200:
        raise _NoState(f"what answers at {asked} is no gollamas, or an older one: status {reply.status}")
    try:
        state = msgspec.json.decode(reply.body, type=FleetState)
        return reply.body, heading_of(state), tables_of(state)
    except (msgspec.DecodeError, ValueError, RecursionError) as why:
        raise _NoState(f"what answers at {asked} is no gollamas: it says no state of one") from why
