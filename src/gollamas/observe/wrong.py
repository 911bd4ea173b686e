"""What is wrong now, the most urgent first, and what to do about each.

Owns the kinds, their order and the words; docs/state.md describes the keys. Nothing of it is kept: what is
mended is told no more, but for what has to have happened several times in an hour. Pure.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from gollamas.config.model import Config
from gollamas.fleet.crowding import Crowded
from gollamas.fleet.entries import numbers
from gollamas.fleet.health import TOLD_AS, Health
from gollamas.fleet.reloads import RecentReloads
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.syncing import Lacking, SyncStatus
from gollamas.fleet.view import View
from gollamas.observe.jobs import OwedJob
from gollamas.observe.models import named
from gollamas.observe.moment import Moment
from gollamas.observe.safe import LONGEST_ERROR, cut, without_user_info

_MOST_OF_A_KIND: Final = 100
_IN_A_STEP: Final = 16  # models
_MOST_NAMED: Final = 3  # models that one server lacks, or servers of one model
_DOWN: Final = TOLD_AS[Health.DOWN]


class WrongState(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    kind: str
    text: str
    advice: str
    since: str | None = None
    server: str | None = None
    model: str | None = None


class Unlike(NamedTuple):
    """Two servers that have other contents under a model's name."""

    model: str
    servers: tuple[str, str]


class Happened(NamedTuple):
    """What is known beside the view: pairs that do not fit together, reloads, debts, pulls to come."""

    unfit: Iterable[tuple[str, str, str]] = ()  # server, and the names of two kept models
    crowded: Iterable[Crowded] = ()
    reloads: Iterable[RecentReloads] = ()
    owed: Iterable[OwedJob] = ()
    lacking: Sequence[Lacking] = ()


class UnlikeModels:
    """The models whose servers differ, looked for anew only where what servers have has changed."""

    def __init__(self) -> None:
        self.found: list[Unlike] = []
        self._seen: tuple[int, Config] | None = None

    def look(self, view: View, config: Config) -> Iterator[None]:
        """Bring them up to date, some models at a time."""
        seen = view.contents, config
        if self._seen is not None and self._seen[0] == seen[0] and self._seen[1] is config:
            return
        found = []
        for number, key in enumerate(view.routed()):
            pair = view.differing_on(key)
            if pair is not None:
                found.append(Unlike(named(key, view.servers[pair[0]], config), pair))
            if number % _IN_A_STEP == _IN_A_STEP - 1:
                yield
        self.found, self._seen = found, seen


def wrong_now(
    view: View, config: Config, unlike: Iterable[Unlike], happened: Happened, now: Moment
) -> list[WrongState]:
    """Say what is wrong; `unlike` are the models whose servers differ."""
    servers = list(view.servers.values())
    coming = [one for one in happened.lacking if one.status is not SyncStatus.DELETED]
    by_itself = {(one.server_id, one.name) for one in coming}
    kinds = (
        (_down(server, now) for server in servers if TOLD_AS[server.health] == _DOWN),
        _without_server(view, config, now),
        (
            one
            for server in servers
            if server.is_up and server.missing
            for one in _missing(server, config, by_itself)
        ),
        map(_differs, unlike),
        (one for server in servers if not server.is_down for one in _on_cpu(server)),
        _crowded(view, config, happened, now),
        (_owed(one, now) for one in happened.owed),
        (_failing(one) for one in coming if one.failures),
        (_reloads(one, now) for one in happened.reloads),
    )
    return [one for kind in kinds for one in _not_too_many(list(kind))]


def _not_too_many(found: list[WrongState]) -> list[WrongState]:
    more = len(found) - _MOST_OF_A_KIND
    if more <= 0:
        return found
    rest = WrongState(
        kind=found[0].kind, text=f"and {more} more like these", advice="Begin with those above."
    )
    return [*found[:_MOST_OF_A_KIND], rest]


def _down(server: ServerView, now: Moment) -> WrongState:
    why = cut(without_user_info(server.why_down), LONGEST_ERROR)
    url = without_user_info(server.server.url)
    return WrongState(
        kind="server_down",
        text=f"{server.id} is down: {why}",
        advice=f"Start Ollama at {url}, or see why it can't be reached from here: gollamas check --live.",
        since=None if server.since is None else now.when(server.since),
        server=server.id,
    )


def _without_server(view: View, config: Config, now: Moment) -> Iterator[WrongState]:
    for model in config.models.values():
        # HOT: the first server of a model is up mostly.
        if any(_may_be_up(view.servers.get(one)) for one in model.servers):
            continue
        servers = [view.servers[one] for one in model.servers if one in view.servers]
        since = max((server.since for server in servers if server.since is not None), default=None)
        yield WrongState(
            kind="no_server",
            text=f"no server of {model.name} is up: {_some([server.id for server in servers])}",
            advice="Requests for it fail until one of them is back: start one, or give it another server.",
            since=None if since is None else now.when(since),
            model=model.name,
        )


def _may_be_up(server: ServerView | None) -> bool:
    return server is not None and (server.is_up or server.health is Health.UNKNOWN)


def _missing(
    server: ServerView, config: Config, by_itself: Container[tuple[str, str]]
) -> Iterator[WrongState]:
    """Tell of what a server lacks and does not get by itself."""
    models = [
        model.name
        for model in config.models.values()
        if model.key in server.missing and (server.id, model.name) not in by_itself
    ]
    if not models:
        return
    shown = models if len(models) <= _MOST_NAMED else [None]
    for model in shown:
        yield WrongState(
            kind="model_missing",
            text=f"{server.id} lacks {model or _some(models)}",
            advice=f"Pull with `gollamas pull {model or 'MODEL'}@{server.id}`, "
            f"or take {server.id} out of the servers of {model or 'these models'}.",
            server=server.id,
            model=model,
        )


def _differs(unlike: Unlike) -> WrongState:
    one, other = unlike.servers
    return WrongState(
        kind="digests_differ",
        text=f"{unlike.model} is not the same on {one} and {other}",
        advice=f"Make them equal with `gollamas pull {unlike.model}`; create or copy it again on both if you "
        "made it yourself.",
        model=unlike.model,
    )


def _on_cpu(server: ServerView) -> Iterator[WrongState]:
    for entry in server.loaded:
        size, size_vram, context = numbers(entry, "size", "size_vram", "context_length")
        if size is None or size_vram is None or not 0 < size_vram < size:
            continue  # none of it on a graphics card: there is none
        share = round(100 * (1 - size_vram / size))
        with_context = "" if context is None else f", with a context of {context}"
        yield WrongState(
            kind="on_cpu",
            text=f"{share} % of {cut(entry.name)} is on the CPU of {server.id}{with_context}",
            advice="That makes it many times slower: a smaller num_ctx may help, or fewer models beside it.",
            server=server.id,
            model=cut(entry.name),
        )


def _crowded(view: View, config: Config, happened: Happened, now: Moment) -> Iterator[WrongState]:
    told = set()
    for server_id, earlier, later in happened.unfit:
        told.add((server_id, frozenset((earlier, later))))
        yield WrongState(
            kind="crowded",
            text=f"{earlier} and {later} do not both fit into the memory of {server_id}",
            advice=f"{later} is loaded there only when a client asks for it: keep it elsewhere, "
            "or give one of them a smaller num_ctx.",
            server=server_id,
            model=later,
        )
    for server_id, keys, times, last_at in happened.crowded:
        server = view.servers.get(server_id)
        if server is None:
            continue
        one, other = (named(key, server, config) for key in keys)
        if (server_id, frozenset((one, other))) in told:
            continue
        yield WrongState(
            kind="crowded",
            text=f"{one} and {other} pushed each other out of the memory of {server_id} {times} times "
            "in the last hour",
            advice="Have them run on different servers, or give one of them a smaller num_ctx.",
            since=now.when(last_at),
            server=server_id,
            model=one,
        )


def _owed(one: OwedJob, now: Moment) -> WrongState:
    model = cut(without_user_info(one.model))
    return WrongState(
        kind="owed",
        text=f"{one.server} missed the {one.kind.value} of {model}",
        advice=f"Bring {one.server} back: it is done as soon as it answers.",
        since=now.when(one.since),
        server=one.server,
        model=model,
    )


def _failing(one: Lacking) -> WrongState:
    times = "" if one.failures == 1 else f", {one.failures} times in a row"
    why = cut(without_user_info(one.error), LONGEST_ERROR)
    return WrongState(
        kind="sync_failing",
        text=f"{one.name} could not be pulled on {one.server_id}{times}: {why}",
        advice="It is tried again by itself: check the server's disk, the model's name and its registry.",
        server=one.server_id,
        model=one.name,
    )


def _reloads(one: RecentReloads, now: Moment) -> WrongState:
    model = cut(one.model)
    times = "once" if one.times == 1 else f"{one.times} times"
    return WrongState(
        kind="reloads",
        text=f"{model} was reloaded {times} on {one.server_id} in the last hour because its options changed",
        advice=f"{one.advice[:1].upper()}{one.advice[1:]}.",
        since=now.when(one.last_at),
        server=one.server_id,
        model=model,
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(islice(names, _MOST_NAMED)) + (f" and {more} more" if more > 0 else "")
