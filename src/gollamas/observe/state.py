"""What `/state` and `/events` tell: servers, models, requests and jobs, what is wrong, how busy the fleet is.

Owns the keys, which docs/state.md describes one by one; `gollamas status` reads what is written by them. What
is known of each thing is in `telling`, the page in `page`, what changes in `live`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from gollamas.events import RequestEnded
from gollamas.fleet.loading import ModelLoad
from gollamas.fleet.syncing import Lacking
from gollamas.observe.jobs import OpenJob, OwedJob
from gollamas.observe.models import ModelState
from gollamas.observe.traffic import HistoryState, TrafficState
from gollamas.observe.wrong import WrongState


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
    installed: list[InstalledModel] | None = None  # not from an older proxy
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
    why: str = "client"  # an older proxy leaves it out
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
    # A proxy that runs on through an update of the command line does not say these.
    sync: list[SyncState] = []
    models: list[ModelState] = []
    wrong: list[WrongState] = []
    traffic: TrafficState | None = None
    history: HistoryState | None = None
    ended: list[dict[str, object]] = []


class OpenRequest(NamedTuple):
    """A request that is being answered: what will be its event, the server that it is with, its age."""

    event: RequestEnded
    server: str | None
    age_s: float

    @property
    def waits(self) -> bool:
        """Whether no server works on it: it waits for a load, a list or a connection, or is read."""
        return self.event.model_used is None and self.event.status is None


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
