"""`gollamas status [--json]`: what a running proxy says at `/state`."""

from collections.abc import Sequence

import msgspec

from gollamas.cli.asking import Question
from gollamas.cli.page import PageAsked, show
from gollamas.cli.plain import PageRead
from gollamas.cli.state import heading_of, tables_of
from gollamas.observe.state import FleetState


def run(argv: Sequence[str]) -> int:
    """Print the state; 0, 1 where no gollamas answers or administration is off, 2 for a faulty address."""
    return show("status", argv, lambda _: PageAsked(Question("/state"), _read))


def _read(body: bytes) -> PageRead:
    state = msgspec.json.decode(body, type=FleetState)
    return PageRead(heading_of(state), tables_of(state))
