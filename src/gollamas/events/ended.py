"""The event of every request.

Owns what is said of one that has ended. A file of its own, since it is compiled: one is made, and most of
its members are set, while a client waits.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class End(StrEnum):
    """How a request ended."""

    DONE = "done"  # the whole answer went out
    REFUSED = "refused"  # answered by us with an error
    CLIENT_LEFT = "client_left"  # the client closed its connection first
    SERVER_BROKE = "server_broke"  # the server ended in the middle of its answer
    TIMED_OUT = "timed_out"  # the server was silent, or the client took nothing, for too long
    SHUT_DOWN = "shut_down"  # the grace period ended first


_DONE: Final = End.DONE  # HOT: CPython 3.11 looks a member of an Enum up by a slow path


@dataclass(slots=True, init=False)
class RequestEnded:
    """One request, from its first byte to its end. What is not known when it is made is set as it comes.

    The log has these members in this order, but for the last.
    """

    request_id: str
    client: str  # the client's address
    method: str
    route: str  # path of the route table, "other" for a path that is none
    model: str | None  # as the client wrote it
    model_used: str | None  # as the server was asked
    num_ctx: int | None  # the context that a policy gave it
    alias: str | None  # the alias that was followed
    server: str | None  # the id of the server that answered, else of the one that was asked last
    status: int | None  # None when the client left before an answer
    why: str | None  # why that server was chosen
    wait_s: float | None  # from the complete request to the attempt that answered
    load_s: float | None  # of that, how long it waited for loads; None where it did not
    first_byte_s: float | None  # from the complete request to the first byte of the answer
    total_s: float  # from the complete request to the end
    tokens_in: int | None  # of the prompt, cached ones too
    tokens_cached: int | None
    truncated: bool | None  # whether its count shows that the prompt was cut; None where it can't
    tokens_out: int | None
    tokens_per_s: float | None
    bytes_in: int
    bytes_out: int
    end: End
    error: str | None  # why it did not end well, as the client was told; None where nothing is to be said
    path: str | None  # the start of the client's, without its query, where the route is "other"
    ended_at: float  # by the monotonic clock; the log has the time of the line instead

    def __init__(self, request_id: str, client: str, method: str, route: str) -> None:
        self.request_id = request_id
        self.client = client
        self.method = method
        self.route = route
        self.status = self.tokens_in = self.tokens_cached = self.tokens_out = None
        self.model = self.model_used = self.num_ctx = self.alias = self.server = self.why = None
        self.wait_s = self.load_s = self.first_byte_s = self.tokens_per_s = None
        self.error = self.path = self.truncated = None
        self.total_s = self.ended_at = 0.0
        self.bytes_in = self.bytes_out = 0
        self.end = _DONE
