"""What happened, as values: the log line, the metrics and a test read the same one.

Owns the shapes; who emits and who reads them is decided in `app`. Times are monotonic seconds, spans
are seconds, sizes are bytes of bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gollamas.events.ended import End, RequestEnded

__all__ = [
    "AcceptingPaused",
    "AcceptingResumed",
    "AttemptFailed",
    "Cause",
    "ConnectionsFree",
    "ConnectionsFull",
    "Crashed",
    "DigestsDiffer",
    "Draining",
    "Emit",
    "End",
    "Event",
    "JobCause",
    "JobEnd",
    "JobEnded",
    "JobKind",
    "LoadCause",
    "LoadEnd",
    "LoadEnded",
    "ModelFound",
    "ModelMissing",
    "RequestEnded",
    "ServerWentDown",
    "ServerWentUp",
    "Started",
    "Stopped",
    "Warned",
]


class Cause(StrEnum):
    """What a server did that made an attempt fail."""

    CONNECT = "connect"  # no connection could be made
    BUSY = "busy"  # it answered that its queue is full
    UNANSWERED = "unanswered"  # it closed the connection before a byte of an answer
    BROKE_EARLY = "broke_early"  # before a byte went to the client: no HTTP, or the connection's end
    TOO_SLOW = "too_slow"  # no first byte within `first_byte_timeout`
    BROKE_LATE = "broke_late"  # in the middle of its answer
    WENT_SILENT = "went_silent"  # nothing for `idle_timeout` in the middle of its answer
    LOAD = "load"  # it did not load the model


class LoadCause(StrEnum):
    """Why we loaded a model."""

    COLD = "cold"  # it was not there
    OPTIONS = "options"  # it was there with other runner options
    PRELOAD = "preload"  # it is to be there before anybody asks
    PING = "ping"  # it was to be there, and was not
    HAND = "hand"  # an operator asked for it


class LoadEnd(StrEnum):
    """How a load of ours ended."""

    LOADED = "loaded"
    SAME = "same"  # the server had nothing to do
    FAILED = "failed"
    GIVEN_UP = "given_up"  # it took longer than `load_timeout`
    STOPPED = "stopped"  # we stopped, and nobody waited for it any more


class JobKind(StrEnum):
    """What a job changes."""

    PULL = "pull"
    PUSH = "push"
    CREATE = "create"
    COPY = "copy"
    DELETE = "delete"


class JobCause(StrEnum):
    """Who wants a job."""

    CLIENT = "client"  # one has asked for it
    HAND = "hand"  # an operator has
    OWED = "owed"  # one had, while the server was down
    SYNC = "sync"  # the model is to be there, by the configuration


class JobEnd(StrEnum):
    """How a job ended on one of its targets."""

    DONE = "done"
    MISSING = "missing"  # the server did not have the model: there was nothing to do
    FAILED = "failed"
    DOWN = "down"  # the server was down before it was asked
    STOPPED = "stopped"  # nobody waited for it any more, or we stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """One try on one server that failed by the server, whether another one follows or not."""

    request_id: str
    server: str
    model: str
    cause: Cause
    why: str
    moves_on: bool  # another try follows


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEnded:
    """A load of ours, however it ended."""

    server: str
    model: str  # the server's own name of it
    options: str  # the runner options, "-" where there are none
    why: LoadCause
    end: LoadEnd
    took_s: float  # from the question to the answer, None of the time that it waited for other loads
    waited: int  # requests that waited for it when it ended
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """A job's part on one server, however it ended."""

    kind: JobKind
    server: str
    model: str  # as it was asked for; of a copy its destination
    end: JobEnd
    took_s: float  # from its turn on, none of the time that it waited for other jobs
    why: JobCause
    is_owed: bool  # it is done when the server is back
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """A model was loaded anew though it was there, since it was asked for with other runner options."""

    server: str
    model: str  # the server's own name of it
    differs: str  # the options that are not the same, "unknown" where nobody told us
    before: str  # the runner options, "unknown" where somebody else had loaded it
    after: str


@dataclass(frozen=True, slots=True)
class VariantMade:
    """A server made a variant of a model, for requests that can carry no context."""

    server: str
    model: str
    num_ctx: int
    took_s: float


@dataclass(frozen=True, slots=True)
class VariantRefused:
    """A server made none: such requests run the model itself there."""

    server: str
    model: str
    num_ctx: int
    why: str


@dataclass(frozen=True, slots=True)
class VariantRemoved:
    """A variant, or a hidden copy that a pull left, is on a server no more."""

    server: str
    model: str | None  # None where it is gone
    num_ctx: int | None  # None of a hidden copy
    why: str


@dataclass(frozen=True, slots=True)
class ServerWentUp:
    """A server answered that was down or not seen yet."""

    server: str
    version: str


@dataclass(frozen=True, slots=True)
class ServerWentDown:
    """A server is not used until a probe succeeds."""

    server: str
    why: str


@dataclass(frozen=True, slots=True)
class DigestsDiffer:
    """Two servers have one model's name with different contents."""

    model: str
    servers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class ModelMissing:
    """A server that is to run a configured model does not list it."""

    model: str
    server: str


@dataclass(frozen=True, slots=True)
class ModelFound:
    """A server lists a configured model that it lacked before."""

    model: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The proxy listens."""

    listen: tuple[str, ...]
    admin: str | None
    servers: tuple[tuple[str, str], ...]  # id and URL without secrets
    models: tuple[tuple[str, tuple[str, ...]], ...]  # model and its servers' ids
    aliases: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ConnectionsFull:
    """As many clients are connected as there may be: idle ones end for new ones, else these are refused."""

    max_connections: int


@dataclass(frozen=True, slots=True)
class ConnectionsFree:
    """There is room for clients again."""

    ended: int  # idle connections that ended for new ones
    refused: int  # clients that got a 503


@dataclass(frozen=True, slots=True)
class AcceptingPaused:
    """Descriptors run out: new clients wait until there are more."""

    open_files: int
    limit: int


@dataclass(frozen=True, slots=True)
class AcceptingResumed:
    """New clients are accepted again."""

    paused_s: float


@dataclass(frozen=True, slots=True)
class Draining:
    """No new connection is accepted; streams finish."""

    open_requests: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The last task has ended."""

    cut: int  # streams that the grace period did not suffice for


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should mend; the proxy goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """A defect of ours: a task ended by an exception that nobody expected."""

    where: str
    error: BaseException


Event = (
    RequestEnded
    | AttemptFailed
    | LoadEnded
    | JobEnded
    | Reloaded
    | VariantMade
    | VariantRefused
    | VariantRemoved
    | ServerWentUp
    | ServerWentDown
    | DigestsDiffer
    | ModelMissing
    | ModelFound
    | Started
    | ConnectionsFull
    | ConnectionsFree
    | AcceptingPaused
    | AcceptingResumed
    | Draining
    | Stopped
    | Warned
    | Crashed
)
Emit = Callable[[Event], None]
