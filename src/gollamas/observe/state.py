"""What `/state` tells: the servers, the requests and the jobs as they are now, for people and their programs.

Owns the keys, which docs/state.md describes one by one, and what is left out: no secret, nothing of what was
asked or answered. It changes nothing and asks no server; `gollamas status` reads what is written here.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from gollamas.config.model import Config
from gollamas.events import RequestEnded
from gollamas.fleet.entries import ZERO_TIME, Entry, numbers
from gollamas.fleet.health import TOLD_AS
from gollamas.fleet.instances import Memory
from gollamas.fleet.loading import ModelLoad
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.syncing import Lacking
from gollamas.fleet.view import View
from gollamas.observe.jobs import OpenJob, OwedJob
from gollamas.observe.jsonlines import encoded
from gollamas.observe.safe import cut, without_user_info

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IN_A_PART: Final = 64  # requests or jobs that are written before others are served


class InstalledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a server has on disk, in the terms of its `/api/tags`."""

    model: str
    digest: str
    size: int | None
    modified_at: str | None


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of a model in a server's memory, in the terms of its `/api/ps`."""

    model: str
    context_length: int | None
    runner_options: dict[str, object] | None
    size: int | None
    size_vram: int | None
    cpu_share: float | None
    expires_at: str | None


class LoadingModel(msgspec.Struct, frozen=True, kw_only=True):
    """A load of ours that has not ended."""

    model: str
    runner_options: dict[str, object]
    why: str
    age_s: float
    has_begun: bool
    waiting: list[str]


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """One server."""

    id: str
    url: str
    health: str
    why: str | None
    since: str | None
    version: str | None
    in_flight: int
    truncated: dict[str, int]
    models: list[str] | None
    installed: list[InstalledModel] | None
    missing: list[str]
    loaded: list[LoadedModel]
    loading: list[LoadingModel]


class RequestState(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is being answered."""

    id: str
    age_s: float
    client: str
    method: str
    route: str
    model: str | None
    model_used: str | None
    server: str | None
    status: int | None


class TargetState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is on one server."""

    server: str
    status: str | None
    completed: int | None
    total: int | None


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """One pull, push, create, copy or delete that has not ended."""

    kind: str
    model: str
    why: str
    age_s: float
    is_waiting: bool
    watchers: int
    targets: list[TargetState]


class OwedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a server missed while it was down."""

    kind: str
    model: str
    server: str
    age_s: float


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is to be on a server and is not there yet."""

    model: str
    server: str
    status: str
    failures: int
    error: str | None
    retry_in_s: float | None


class FleetState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole page."""

    gollamas: str
    time: str
    started_at: str
    not_ready: str | None
    servers: list[ServerState]
    requests: list[RequestState]
    jobs: list[JobState]
    owed: list[OwedState]
    sync: list[SyncState]


class OpenRequest(NamedTuple):
    """A request that is being answered: what will be its event, the server that it is with, its age."""

    event: RequestEnded
    server: str | None
    age_s: float


class OpenLoad(NamedTuple):
    """A load that has not ended: on which server, and how long ago it was first wanted."""

    load: ModelLoad
    age_s: float


class UnderWay(NamedTuple):
    """What gives the requests, loads and jobs that go on, what is owed, and what has yet to be pulled."""

    requests: Callable[[], Iterable[OpenRequest]]
    loads: Callable[[], Iterable[OpenLoad]]
    jobs: Callable[[], Iterable[OpenJob]]
    owed: Callable[[], Iterable[OwedJob]]
    lacking: Callable[[], Iterable[Lacking]]


class Moment(NamedTuple):
    """One moment by two clocks: seconds of the monotonic one, and since 1970."""

    monotonic: float
    since_epoch: float

    def when(self, monotonic: float) -> str:
        """Write another moment of the monotonic clock as a time."""
        return written(round((self.since_epoch - self.monotonic + monotonic) * 1000)) or ""


class StatePage:
    """Writes the page of one view.

    `now` tells the time by both clocks, `config` what is served by, `under_way` gives what goes on,
    `not_ready` says why nothing can, or None.
    """

    def __init__(
        self,
        version: str,
        view: View,
        now: Callable[[], Moment],
        config: Callable[[], Config],
        under_way: UnderWay,
        not_ready: Callable[[], str | None],
    ) -> None:
        self._version = version
        self._view = view
        self._now = now
        self._config = config
        self._under_way = under_way
        self._not_ready = not_ready
        self._began_at = now().monotonic

    def parts(self) -> Iterator[bytes]:
        """Write the page, a part for each server and for some requests or jobs; each is as it is then."""
        now, config = self._now(), self._config()
        began = FleetState(
            gollamas=self._version,
            time=now.when(now.monotonic),
            started_at=now.when(self._began_at),
            not_ready=self._not_ready(),
            servers=[],
            requests=[],
            jobs=[],
            owed=[],
            sync=[],
        )
        yield encoded(began).removesuffix(b'[],"requests":[],"jobs":[],"owed":[],"sync":[]}') + b"["
        under_way = self._under_way
        loads = list(under_way.loads())
        for number, server in enumerate(tuple(self._view.servers.values())):
            yield (b"," if number else b"") + encoded(_server(server, config, now, loads))
        yield b'],"requests":['
        yield from _in_parts(_request(one) for one in under_way.requests())
        yield b'],"jobs":['
        yield from _in_parts(_job(one) for one in under_way.jobs())
        yield b'],"owed":['
        yield from _in_parts(_owed(one) for one in under_way.owed())
        yield b'],"sync":['
        yield from _in_parts(_sync(one) for one in under_way.lacking())
        yield b"]}\n"


def written(milliseconds: int) -> str | None:
    """Write a Unix time as RFC 3339 in UTC; None where no calendar has it."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_parts(states: Iterator[msgspec.Struct]) -> Iterator[bytes]:
    """Write what stands in a list, some at once."""
    comma = b""
    while some := [encoded(one) for one in islice(states, _IN_A_PART)]:
        yield comma + b",".join(some)
        comma = b","


def _server(server: ServerView, config: Config, now: Moment, loads: Iterable[OpenLoad]) -> ServerState:
    return ServerState(
        id=server.id,
        url=without_user_info(server.server.url),
        health=TOLD_AS[server.health],
        why=cut(without_user_info(server.why_down)) or None,
        since=None if server.since is None else now.when(server.since),
        version=server.version,
        in_flight=server.in_flight,
        truncated={_named(key, server, config): count for key, count in server.truncated.items()},
        models=[entry.name for entry in server.installed.values()] if server.has_listed else None,
        installed=[_installed(entry) for entry in server.installed.values()] if server.has_listed else None,
        missing=[model.name for model in config.models.values() if model.key in server.missing],
        # What one that is down said last is of no use to anybody.
        loaded=[] if server.is_down else [_loaded(server.memory, entry) for entry in server.loaded],
        loading=[_loading(one) for one in loads if one.load.server_id == server.id],
    )


def _named(key: str, server: ServerView, config: Config) -> str:
    """The name of a model as it is configured, else as the server lists it."""
    model, entry = config.models.get(key), server.installed.get(key)
    return model.name if model is not None else key if entry is None else entry.name


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


def _request(request: OpenRequest) -> RequestState:
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


def _job(job: OpenJob) -> JobState:
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


def _owed(owed: OwedJob) -> OwedState:
    return OwedState(
        kind=owed.kind.value,
        model=cut(without_user_info(owed.model)),
        server=owed.server,
        age_s=round(owed.age_s, 3),
    )


def _sync(one: Lacking) -> SyncState:
    return SyncState(
        model=one.name,
        server=one.server_id,
        status=one.status.value,
        failures=one.failures,
        error=cut(without_user_info(one.error)) or None,
        retry_in_s=None if one.retry_s is None else round(one.retry_s, 3),
    )
