"""`gollamas models [MODEL[@SERVER]...] [--json]`: which model is on which server of a running proxy."""

from collections.abc import Sequence

import msgspec

from gollamas.cli.answers import NothingTold
from gollamas.cli.clients_port import with_proxy
from gollamas.cli.fleet_page import ServersState, read_state
from gollamas.cli.page import say_page
from gollamas.cli.placed import (
    PlacedModel,
    is_meant,
    page_of,
    placed_in,
    unheard,
    why_unseen,
    without_alias,
)
from gollamas.cli.plain import PageRead
from gollamas.cli.say import complain, say_bytes
from gollamas.cli.seen_by_clients import show_tags
from gollamas.cli.wanted import Named, models_named
from gollamas.config.load import Loaded


def run(argv: Sequence[str]) -> int:
    """Print a row for each model on each server; 1 where nobody answers or there is no such model."""
    return with_proxy("models", argv, _show)


def _show(loaded: Loaded) -> int:
    wanted = models_named("models", loaded.words) if loaded.words else []

    def read(state: ServersState) -> tuple[ServersState, list[PlacedModel], PageRead]:
        placed = placed_in(state, [without_alias(state, named) for named in wanted])
        return state, placed, page_of(state, placed)

    try:
        state, placed, page = read_state("models", loaded, read)
    except NothingTold as why:
        return show_tags(loaded, why, wanted)
    has_notes = False
    if loaded.own.get("json"):
        say_bytes(msgspec.json.encode(placed) + b"\n")
    elif placed or not wanted:
        say_page(page)
        has_notes = True
    return _complain(state, placed, wanted, has_notes=has_notes)


def _complain(
    state: ServersState, placed: Sequence[PlacedModel], wanted: Sequence[Named], *, has_notes: bool
) -> int:
    """Say what there is nothing to tell of; 1 if there is any such model."""
    unseen = [
        named for named in wanted if not any(is_meant(one, without_alias(state, named)) for one in placed)
    ]
    for why in why_unseen(state, unseen):
        complain(f"gollamas: {why}")
    if unseen and not has_notes:  # which else say so
        for why in unheard(state):
            complain(f"gollamas: {why}")
    return 1 if unseen else 0
