"""What a client's connection asks of the others, and they of it.

Owns shapes only: the service that answers its requests, the source that an answer comes from, the clocks
and the listener that it shares with its siblings.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gollamas.config.model import Config
from gollamas.errors import ProxyError
from gollamas.net.rounds import Round
from gollamas.wire.framing import Room
from gollamas.wire.head import HeadLimits
from gollamas.wire.message import Body, Head

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


class Judged(Protocol):
    """A request whose head has come, and who answers it."""

    @property
    def room(self) -> Room:
        """How much of its body is read."""

    def begin(self, body: Body) -> Later | None:
        """Begin to answer; `request_done` of the client's connection is called once, behind the answer.

        What has to wait before that is returned, to run as the connection's task.
        """

    def refuse(self, error: ProxyError) -> None:
        """Answer why the request was not read to its end; that is all, and the connection ends."""


class Service(Protocol[C_contra]):
    """What a listener's connections are served by."""

    def on_head(self, client: C_contra, head: Head) -> Judged:
        """Name who answers this request."""

    def refuse(self, client: C_contra, error: ProxyError, asked: tuple[str, str] | None) -> None:
        """Answer why a head could not be read; `asked` are its method and path, where they are known."""


class Group(Protocol[C]):
    """The connections of one listener, and what they share."""

    service: Service[C]
    limits: Config
    head_limits: HeadLimits
    round: Round
    clock: Callable[[], float]  # monotonic seconds
    spawn: Callable[[Later, str], asyncio.Task[None]]
    is_draining: bool  # who comes in now is answered once

    def made(self, client: C) -> None:
        """Count a connection in."""

    def lost(self, client: C) -> None:
        """Forget a connection."""

    def hold_head(self, client: C, size: int) -> None:
        """Note how many bytes are held of a head that is not whole; none where it is, or is given up."""
