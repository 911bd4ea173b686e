"""`gollamas models [MODEL[@SERVER]...] [--json]`: which model is on which server of a running proxy."""

from collections.abc import Sequence

import msgspec

from gollamas.cli.answers import NothingTold
from gollamas.cli.clients_port import with_proxy
from gollamas.cli.fleet_page import ServersState, read_state
from gollamas.cli.page import say_page
from gollamas.cli.placed import PlacedModel, is_meant, page_of, placed_in
from gollamas.cli.plain import PageRead
from gollamas.cli.say import say_bytes
from gollamas.cli.seen_by_clients import complain_of_unseen, show_tags
from gollamas.cli.wanted import models_named
from gollamas.config.load import Loaded


def run(argv: Sequence[str]) -> int:
    """Print a row for each model on each server; 1 where nobody answers or there is no such model."""
    return with_proxy("models", argv, _show)


def _show(loaded: Loaded) -> int:
    wanted = models_named("models", loaded.words) if loaded.words else []

    def read(state: ServersState) -> tuple[list[PlacedModel], PageRead]:
        placed = placed_in(state, wanted)
        return placed, page_of(state, placed)

    try:
        placed, page = read_state("models", loaded, read)
    except NothingTold as why:
        return show_tags(loaded, why, wanted)
    if loaded.own.get("json"):
        say_bytes(msgspec.json.encode(placed) + b"\n")
    elif placed or not wanted:
        say_page(page)
    return complain_of_unseen(named for named in wanted if not any(is_meant(one, named) for one in placed))
