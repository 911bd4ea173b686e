"""A job on one server, as it stands: what it waits for, how it ended, whether it is to stop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gollamas.api.outcomes import PartOutcome
from gollamas.fleet.server_view import ServerView

T = TypeVar("T")


class Part:
    """A job on one server. `outcome` is there once its client may be told."""

    def __init__(self, server: ServerView) -> None:
        self.server = server
        self.outcome: PartOutcome | None = None
        self.stopped: PartOutcome | None = None
        self.took_s = 0.0  # from the job's turn on, once its client may be told
        self.is_asking = False  # the server is at it
        self._waits: asyncio.Future[Any] | None = None

    def stop(self, outcome: PartOutcome) -> None:
        """Ask the server no more: this is how it ended."""
        self.stopped = self.stopped or outcome
        if self._waits is not None:
            self._waits.cancel()

    async def unless_stopped(self, run: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Wait for what this gives, and raise what it raises; None where `stop` came first."""
        if self.stopped is not None:
            return None
        waits = self._waits = asyncio.ensure_future(run())
        try:
            await asyncio.wait([waits])
            return None if waits.cancelled() else waits.result()
        finally:
            self._waits = None
            waits.cancel()


class Hears(Protocol):
    """Who is told of a part."""

    def progress(self, part: Part, line: bytes) -> None:
        """Hear a line of a server's progress."""

    def ended(self, part: Part, outcome: PartOutcome) -> None:
        """Hear how it ended; what is left to do then is nothing that a client waits for."""
