"""What a client's connection asks of the others, and they of it.

Owns shapes only: the service that answers its requests, the source that an answer comes from, the clocks
and the listener that it shares with its siblings.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gollamas.errors import ProxyError
from gollamas.net.rounds import Round
from gollamas.wire.head import HeadLimits
from gollamas.wire.message import Answer, Body, Head

# A client's connection, which stands above this file.
C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
Later = Coroutine[Any, Any, None]  # what goes on in a task


class Source(Protocol):
    """Where the bytes of an answer come from, told what its client does."""

    def pause(self) -> None:
        """Stop reading: the client does not keep up."""

    def resume(self) -> None:
        """Read on."""

    def client_left(self) -> None:
        """End at once: nobody reads."""

    def check(self, now: float) -> None:
        """Look at the clocks of the answer."""

    def shut_down(self) -> None:
        """The grace period is over: tell the client what is missing and end."""


class Service(Protocol[C_contra]):
    """What a listener's connections are served by."""

    def on_head(self, head: Head, is_whole: bool) -> int:
        """Answer how long this request's body may be, in bytes, or raise a ProxyError.

        `is_whole` says that the body has come with the head.
        """

    def serve(self, client: C_contra, head: Head, body: Body) -> Later | None:
        """Begin to answer a request; `client.finished` is called once, behind the answer.

        What has to wait before that is returned, to run as the connection's task.
        """

    def refusal(self, error: ProxyError, head: Head | None, client: C_contra) -> Answer:
        """Say in the right dialect why a request was not read to its end."""


class Limits(Protocol):
    """The clocks of a client, in seconds, and how large its heads may be."""

    @property
    def max_head(self) -> int:
        """Bytes of a request's head."""

    @property
    def max_fields(self) -> int:
        """Fields of a request's head."""

    @property
    def header_timeout(self) -> float:
        """For a request's head, from its first byte."""

    @property
    def body_timeout(self) -> float:
        """Between two reads of a body."""

    @property
    def write_timeout(self) -> float:
        """Without a byte taken of what was sent."""

    @property
    def client_idle_timeout(self) -> float:
        """Between two requests."""


class Group(Protocol[C]):
    """The connections of one listener, and what they share."""

    service: Service[C]
    limits: Limits
    head_limits: HeadLimits
    round: Round
    clock: Callable[[], float]  # monotonic seconds
    spawn: Callable[[Later, str], asyncio.Task[None]]
    is_draining: bool

    def made(self, client: C) -> None:
        """Count a connection in."""

    def lost(self, client: C) -> None:
        """Forget a connection."""

    def hold_head(self, client: C, size: int) -> None:
        """Note how many bytes are held of a head that is not whole; none where it is, or is given up."""
