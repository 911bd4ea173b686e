"""What is told of each server, request and job: `/state` and `/events` are made of it.

Owns what is left out: no secret, nothing of what was asked or answered, and of a server that is down nothing
that it said last of its memory. Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gollamas.config.model import Config
from gollamas.fleet.entries import ZERO_TIME, Entry, numbers
from gollamas.fleet.health import TOLD_AS
from gollamas.fleet.instances import Memory
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.syncing import Lacking
from gollamas.observe.jobs import OpenJob, OwedJob
from gollamas.observe.models import named
from gollamas.observe.moment import Moment, written
from gollamas.observe.safe import cut, without_user_info
from gollamas.observe.state import (
    InstalledModel,
    JobState,
    LoadedModel,
    LoadingModel,
    OpenLoad,
    OpenRequest,
    OwedState,
    RequestState,
    ServerState,
    SyncState,
    TargetState,
)


class Meanwhile(NamedTuple):
    """What is known beside a server itself: the configuration, the time, the loads that have not ended."""

    config: Config
    now: Moment
    loads: Mapping[str, Sequence[OpenLoad]]  # by server


def loads_by_server(loads: Iterable[OpenLoad]) -> Mapping[str, Sequence[OpenLoad]]:
    """Give the loads of each server."""
    found: dict[str, list[OpenLoad]] = {}
    for one in loads:
        found.setdefault(one.load.server_id, []).append(one)
    return found


_Tell = Callable[[ServerView, Meanwhile], object]

# Each member of a server's state, and what it is made of.
TOLD_OF_SERVER: Final[Mapping[str, _Tell]] = {
    "id": lambda server, _: server.id,
    "url": lambda server, _: without_user_info(server.server.url),
    "health": lambda server, _: TOLD_AS[server.health],
    "why": lambda server, _: cut(without_user_info(server.why_down)) or None,
    "since": lambda server, but: None if server.since is None else but.now.when(server.since),
    "version": lambda server, _: server.version,
    "in_flight": lambda server, _: server.in_flight,
    "truncated": lambda server, but: {
        named(key, server, but.config): count for key, count in server.truncated.items()
    },
    "models": lambda server, _: (
        [entry.name for entry in server.installed.values()] if server.has_listed else None
    ),
    "installed": lambda server, _: (
        [_installed(entry) for entry in server.installed.values()] if server.has_listed else None
    ),
    "missing": lambda server, but: [
        model.name for model in but.config.models.values() if model.key in server.missing
    ],
    # What one that is down said last is of no use to anybody.
    "loaded": lambda server, _: (
        [] if server.is_down else [_loaded(server.memory, entry) for entry in server.loaded]
    ),
    "loading": lambda server, but: [_loading(one) for one in but.loads.get(server.id, ())],
}


def server_state(server: ServerView, meanwhile: Meanwhile) -> ServerState:
    """Tell of a server."""
    members = {name: tell(server, meanwhile) for name, tell in TOLD_OF_SERVER.items()}
    return ServerState(**members)  # type: ignore[arg-type]


def look_of(server: ServerView, loads: Sequence[OpenLoad]) -> tuple[object, ...]:
    """What the members of a server's state behind `url` are made of: where it is equal, so are they.

    Ages are no part of it. It costs some microseconds, whatever the server has.
    """
    listed = server.has_listed, server.installed
    memory = server.memory
    shown = (memory.shown_as(entry) for entry in server.loaded)
    options = tuple(None if one is None else one.asked_with for one in shown)
    return (
        server.health,
        server.why_down,
        server.since,
        server.version,
        server.in_flight,
        tuple(server.truncated.items()),
        listed,
        listed,
        server.missing,
        (server.is_down, server.loaded, options),
        tuple([(one.load, one.load.is_under_way, *one.load.waiters) for one in loads]),
    )


def _installed(entry: Entry) -> InstalledModel:
    return InstalledModel(model=entry.name, digest=entry.digest, size=entry.size, modified_at=_time(entry))


def _loading(one: OpenLoad) -> LoadingModel:
    load = one.load
    return LoadingModel(
        model=load.name,
        runner_options=load.options.told,
        why=load.cause.value,
        age_s=round(one.age_s, 3),
        has_begun=load.is_under_way,
        waiting=[cut(waiter.id) for waiter in load.waiters],
    )


def _loaded(memory: Memory, entry: Entry) -> LoadedModel:
    instance = memory.shown_as(entry)
    options = None if instance is None else instance.asked_with
    context_length, size, size_vram = numbers(entry, "context_length", "size", "size_vram")
    return LoadedModel(
        model=entry.name,
        context_length=context_length,
        runner_options=None if options is None else options.told,
        size=size,
        size_vram=size_vram,
        cpu_share=None if not size or size_vram is None else round(max(0.0, 1 - size_vram / size), 3),
        expires_at=_time(entry),
    )


def _time(entry: Entry) -> str | None:
    return None if entry.time_ns == ZERO_TIME else written(entry.time_ns // 1_000_000)


def request_state(request: OpenRequest) -> RequestState:
    """Tell of a request that is being answered."""
    event = request.event
    return RequestState(
        id=event.request_id,
        age_s=round(request.age_s, 3),
        client=event.client,
        method=event.method,
        route=event.route,
        model=None if event.model is None else cut(event.model),
        model_used=event.model_used,
        server=request.server,
        status=event.status,
    )


def job_state(job: OpenJob) -> JobState:
    """Tell of a job that has not ended."""
    return JobState(
        kind=job.kind.value,
        model=cut(without_user_info(job.model)),
        why=job.why.value,
        age_s=round(job.age_s, 3),
        is_waiting=job.is_waiting,
        watchers=job.watchers,
        targets=[
            TargetState(
                server=one.server,
                status=cut(without_user_info(one.status)) or None,
                completed=one.completed,
                total=one.total,
            )
            for one in job.targets
        ],
    )


def owed_state(owed: OwedJob) -> OwedState:
    """Tell of what a server missed."""
    return OwedState(
        kind=owed.kind.value,
        model=cut(without_user_info(owed.model)),
        server=owed.server,
        age_s=round(owed.age_s, 3),
    )


def sync_state(one: Lacking) -> SyncState:
    """Tell of a model that is not yet where it is to be."""
    return SyncState(
        model=one.name,
        server=one.server_id,
        status=one.status.value,
        failures=one.failures,
        error=cut(without_user_info(one.error)) or None,
        retry_in_s=None if one.retry_s is None else round(one.retry_s, 3),
    )
