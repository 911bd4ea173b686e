"""`gollamas ps [--json]`: what is loaded on which server of a running proxy, and what is being loaded."""

from collections.abc import Iterator, Sequence

import msgspec

from gollamas.cli.answers import NothingTold
from gollamas.cli.clients_port import with_proxy
from gollamas.cli.fleet_page import ServersState, read_state
from gollamas.cli.page import say_page
from gollamas.cli.plain import PageRead
from gollamas.cli.say import say_bytes
from gollamas.cli.seen_by_clients import show_ps
from gollamas.cli.state import loaded_table, loading_table
from gollamas.config.load import Loaded
from gollamas.observe.safe import cut, escaped


class RunningModel(msgspec.Struct, frozen=True, kw_only=True):
    """What is loaded on a server, or being loaded."""

    model: str
    server: str
    is_loading: bool = False
    context_length: int | None = None
    size: int | None = None
    size_vram: int | None = None
    cpu_share: float | None = None
    expires_at: str | None = None


def run(argv: Sequence[str]) -> int:
    """Print a row for each model on each server; 1 where nobody answers."""
    return with_proxy("ps", argv, _show)


def _show(loaded: Loaded) -> int:
    try:
        running, page = read_state("ps", loaded, lambda state: (list(_running(state)), _page(state)))
    except NothingTold as why:
        return show_ps(loaded, why)
    if loaded.own.get("json"):
        say_bytes(msgspec.json.encode(running) + b"\n")
    else:
        say_page(page)
    return 0


def _page(state: ServersState) -> PageRead:
    loaded, loading = loaded_table(state), loading_table(state)
    notes = [
        escaped(cut(f"{server.id} is down{f': {server.why}' if server.why else ''}"))
        for server in state.servers
        if server.health == "down"
    ]
    if not loading.rows:
        return PageRead("", [loaded._replace(title="")], notes=notes)
    return PageRead("", [loaded, loading] if loaded.rows else [loading], notes=notes)


def _running(state: ServersState) -> Iterator[RunningModel]:
    for server in state.servers:
        for one in server.loaded:
            yield RunningModel(
                model=one.model,
                server=server.id,
                context_length=one.context_length,
                size=one.size,
                size_vram=one.size_vram,
                cpu_share=one.cpu_share,
                expires_at=one.expires_at,
            )
        for load in server.loading:
            yield RunningModel(model=load.model, server=server.id, is_loading=True)
