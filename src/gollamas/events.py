"""What happened, as values: the log line, the metrics and a test read the same one.

Owns the shapes; who emits and who reads them is decided in `app`. Times are monotonic seconds, spans
are seconds, sizes are bytes of bodies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class End(StrEnum):
    """How a request ended."""

    DONE = "done"  # the whole answer went out
    REFUSED = "refused"  # answered by us with an error
    CLIENT_LEFT = "client_left"  # the client closed its connection first
    SERVER_BROKE = "server_broke"  # the server ended in the middle of its answer
    TIMED_OUT = "timed_out"  # the server was silent for too long in the middle of its answer
    SHUT_DOWN = "shut_down"  # the grace period ended first


class RequestEnded(msgspec.Struct):
    """One request, from its first byte to its end.

    HOT: one is made for every request; a Struct takes a tenth of a dataclass's time for that.
    """

    request_id: str
    client: str  # the client's address
    method: str
    route: str  # path of the route table, "other" for a path that is none
    status: int | None = None  # None when the client left before an answer
    model: str | None = None  # as the client wrote it
    model_used: str | None = None  # as the server was asked
    alias: str | None = None  # the alias that was followed
    server: str | None = None  # the id of the server that answered
    why: str | None = None  # why that server was chosen
    wait_s: float | None = None  # from the complete request to the attempt that answered
    first_byte_s: float | None = None  # from the complete request to the first byte of the answer
    total_s: float = 0.0  # from the complete request to the end
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_per_s: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    end: End = End.DONE
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """One try on one server that ended before a byte of its answer went out."""

    request_id: str
    server: str
    model: str
    why: str
    moves_on: bool  # another try follows


@dataclass(frozen=True, slots=True)
class ServerWentUp:
    """A probe reached a server that was down or not seen yet."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The proxy listens."""

    listen: tuple[str, ...]
    admin: str | None
    servers: tuple[tuple[str, str], ...]  # id and URL without secrets
    models: tuple[tuple[str, tuple[str, ...]], ...]  # model and its servers' ids
    aliases: tuple[tuple[str, str], ...]


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
    | ServerWentUp
    | ServerWentDown
    | DigestsDiffer
    | Started
    | Draining
    | Stopped
    | Warned
    | Crashed
)
Emit = Callable[[Event], None]
