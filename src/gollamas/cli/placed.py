"""What each server has of each model, compared, out of the state of a running proxy.

Owns which copy is the newest, and what is said of copies that differ or are missing. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from gollamas import names
from gollamas.cli.fleet_page import ServersState
from gollamas.cli.plain import PageRead, StateTable, cells, seconds_between, size_text, span
from gollamas.cli.wanted import Named
from gollamas.observe.safe import cut, escaped
from gollamas.observe.state import ServerState, SyncState

_DIGEST_LETTERS: Final = 12  # as `ollama list` shows
_COLUMNS: Final = ("MODEL", "SERVER", "SIZE", "DIGEST", "MODIFIED", "LOADED", "CONTEXT", "NOTE")
_DELETED: Final = "deleted"  # by a client, which ends a sync
_EMPTY: Final = "no server has said that it has a model"


class PlacedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on one server; `note` is null where all servers have the same."""

    model: str
    server: str
    is_down: bool
    size: int | None = None
    digest: str | None = None
    modified_at: str | None = None
    is_loaded: bool = False
    is_loading: bool = False
    context_length: int | None = None
    note: str | None = None  # newest, older, missing
    is_hidden: bool = False  # from clients: they can't use it there


def placed_in(state: ServersState, wanted: Sequence[Named] = ()) -> list[PlacedModel]:
    """Give all, by model and then in the order of the servers; or only those of these names."""
    by_key: dict[str, list[PlacedModel]] = {}
    usable = None if state.models is None else {_key(one.name): one.servers for one in state.models}
    for server in state.servers:
        for one in _on(server, state.sync):
            by_key.setdefault(_key(one.model), []).append(_seen_by_clients(one, usable))
    compared = sorted((list(_compared(copies)) for copies in by_key.values()), key=_order)
    placed = [one for copies in compared for one in copies]
    return [one for one in placed if not wanted or any(is_meant(one, named) for named in wanted)]


def _seen_by_clients(one: PlacedModel, usable: Mapping[str, Sequence[str]] | None) -> PlacedModel:
    """Mark what is there and of no use to clients; of what is not there, or down, nobody can say so."""
    if usable is None or one.is_down or one.note or names.is_cloud(one.model):
        return one
    return msgspec.structs.replace(one, is_hidden=one.server not in usable.get(_key(one.model), ()))


def _order(copies: Sequence[PlacedModel]) -> tuple[str, str]:
    """Order models by the names that are shown."""
    return copies[0].model.lower(), copies[0].model


def without_alias(state: ServersState, named: Named) -> Named:
    """Give what is meant by a name, an alias or not."""
    key = _key(named.model)
    model = next((one.name for one in state.models or () if key in map(_key, one.aliases)), named.model)
    return named._replace(model=model)


def why_unseen(state: ServersState, unseen: Iterable[Named]) -> Iterator[str]:
    """Say why there is nothing to tell of these: no server has them, or it is not known."""
    ids = {server.id for server in state.servers}
    silent = {server.id for server in state.servers if server.installed is None}
    nowhere = []
    for named in unseen:
        if named.server and named.server not in ids:
            yield f"{named}: no server '{named.server}' is configured: `gollamas status` shows the servers"
        elif named.server not in silent:
            nowhere.append(named)
    if nowhere:
        yield f"no server has {', '.join(map(str, nowhere))}"


def page_of(state: ServersState, placed: Sequence[PlacedModel]) -> PageRead:
    """Say it to people; a column that would be empty is left out."""
    rows = [cells(_cells(one, state.time)) for one in placed]
    columns: tuple[str, ...] = _COLUMNS
    if not any(one.note or one.is_hidden for one in placed):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return PageRead("", [StateTable("", columns, rows, _EMPTY)], notes=list(_notes(state, placed)))


def _on(server: ServerState, sync: Iterable[SyncState]) -> Iterator[PlacedModel]:
    is_down = server.health == "down"
    loaded = {_key(one.model): one for one in server.loaded}
    loading = {_key(one.model) for one in server.loading}
    seen = {}
    for one in server.installed or ():
        key = _key(one.model)
        instance = loaded.get(key)
        seen[key] = PlacedModel(
            model=one.model,
            server=server.id,
            is_down=is_down,
            size=one.size,
            digest=one.digest.removeprefix("sha256:") or None,
            modified_at=one.modified_at,
            is_loaded=instance is not None,
            is_loading=key in loading,
            context_length=None if instance is None else instance.context_length,
        )
    yield from seen.values()
    lacks = list(server.missing)
    if server.installed is not None:  # else nobody knows
        lacks += [one.model for one in sync if one.server == server.id and one.status != _DELETED]
    missing = {key: name for name in lacks if (key := _key(name)) not in seen}
    for name in missing.values():
        yield PlacedModel(model=name, server=server.id, is_down=is_down, note="missing")


def _compared(copies: Sequence[PlacedModel]) -> Iterator[PlacedModel]:
    """Mark those of a model that are not the same everywhere, under the name that the most of them have."""
    there = [one for one in copies if one.digest]
    name = next((one.model for one in there), copies[0].model)
    newest = max(there, key=lambda one: one.modified_at or "", default=None)
    differs = len({one.digest for one in there}) > 1
    for one in copies:
        note = one.note
        if differs and newest is not None and one.digest:
            note = "newest" if one.digest == newest.digest else "older"
        yield msgspec.structs.replace(one, model=name, note=note)


def is_meant(one: PlacedModel, named: Named) -> bool:
    """Whether a model on a server is what somebody named."""
    return _key(one.model) == _key(named.model) and named.server in (None, one.server)


def _cells(one: PlacedModel, now: str) -> Sequence[object]:
    changed = None if one.modified_at is None else f"{span(seconds_between(one.modified_at, now))} ago"
    return (
        one.model,
        f"{one.server} (down)" if one.is_down else one.server,
        size_text(one.size),
        one.digest and one.digest[:_DIGEST_LETTERS],
        changed,
        "yes" if one.is_loaded else "loading" if one.is_loading else None,
        one.context_length,
        ", ".join(filter(None, (one.note, "hidden" if one.is_hidden else None))),
    )


def _notes(state: ServersState, placed: Sequence[PlacedModel]) -> Iterator[str]:
    """Say what to do about copies that differ or are missing, and who has not been heard."""
    older: dict[str, None] = {}
    usable: dict[str, None] = {}
    for one in placed:
        if one.note and (name := names.parse(one.model)):  # else it is no word of a command line
            if one.note == "older":
                older[name.shortest] = None
            if not one.is_hidden:
                usable[name.shortest] = None
    if pulled := [name for name in older if name in usable]:
        yield f"Contents differ between servers: `gollamas pull {' '.join(pulled)}` makes them alike."
    if len(pulled) < len(older):
        yield "Contents of hidden models differ, too: clients may pull these only with `manage: all`."
    yield from _missing_notes(state, placed)
    yield from unheard(state)


def _missing_notes(state: ServersState, placed: Iterable[PlacedModel]) -> Iterator[str]:
    """Say who brings what is missing: the one who reads this, or a sync of that server."""
    synced = {(_key(one.model), one.server) for one in state.sync if one.status != _DELETED}
    missing = [one for one in placed if one.note == "missing"]
    by_hand = [one.model for one in missing if (_key(one.model), one.server) not in synced]
    words = dict.fromkeys(name.shortest for model in by_hand if (name := names.parse(model)))
    if words:  # of what no command line can name there is nothing to say
        yield f"A server lacks what is configured for it: `gollamas pull {' '.join(words)}` mends that."
    if len(by_hand) < len(missing):
        yield "A server lacks what `sync` brings there: `gollamas status` shows how far it is."


def unheard(state: ServersState) -> Iterator[str]:
    """Say of which servers it is not known what they have."""
    for server in state.servers:
        if server.installed is None:
            why = f": {server.why}" if server.why else ""
            yield escaped(cut(f"{server.id} has not said yet what it has{why}"))


def _key(name: str) -> str:
    return names.key_of(name) or name
