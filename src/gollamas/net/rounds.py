"""What one turn of the event loop has read, worked off stage by stage.

A request passes through more code than a processor's caches hold. So what the sockets gave in one turn is
collected, and each stage (parse, pass on, write, end, account; parse, serve, send) is done for all of it
before the next: with 32 connections that takes two fifths off a request's time. Owns the order of the
stages, and whether a read waits for them: connections tell it of every one. While no more than FEW requests
are open a turn seldom reads twice, and each read is worked off at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

FEW = 4  # a plain variable: tests set it


class ServerReads(Protocol):
    """A connection to a server that has read."""

    def parse(self) -> bool:
        """Parse what was read; whether there was anything."""

    def pass_on(self) -> bool:
        """Pass on what was parsed; whether the answer is whole by that."""

    def settle(self) -> None:
        """Tell of the end of a whole answer; what follows may be left to `Round.then`."""


class ClientReads(Protocol):
    """A client's connection that has read."""

    def parse(self) -> bool:
        """Parse what was read; whether a request is complete."""

    def serve(self) -> None:
        """Begin to answer the request; what follows may be left to `Round.then`."""


class Round:
    """The reads and writes of one turn. No method of what it is given may raise."""

    __slots__ = (
        "_asking", "_is_due", "_is_gathering", "_large", "_reading", "_steps", "_writes", "few",
        "has_stages", "open",
    )  # fmt: skip

    def __init__(self) -> None:
        self.open = 0  # requests that are being answered
        self.few = FEW
        self._writes: list[tuple[asyncio.Transport, bytes]] = []
        self._reading: list[ServerReads] = []
        self._asking: list[ClientReads] = []
        self._steps: list[Callable[[], None]] = []  # of the next stage
        self._large: deque[Callable[[], None]] = deque()
        self.has_stages = False  # a stage is done that has another behind it
        self._is_due = self._is_gathering = False

    def defers_answer(self, connection: ServerReads, may_wait: bool) -> bool:
        """Hear of a server's connection that has read: whether that waits for its stage, or is due now."""
        if not may_wait or self.open <= self.few:
            return False
        self._reading.append(connection)
        self._soon()
        return True

    def defers_request(self, client: ClientReads, may_wait: bool) -> bool:
        """Hear of a client's connection that has read; as `defers_answer`."""
        if not may_wait or self.open <= self.few:
            return False
        self._asking.append(client)
        self._soon()
        return True

    def _soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.run)

    def one_a_turn(self, step: Callable[[], None]) -> None:
        """Take a step that is long, alone: all else that is due comes between two of them."""
        self._large.append(step)
        if len(self._large) == 1:
            asyncio.get_running_loop().call_soon(self._take_large)

    def _take_large(self) -> None:
        try:
            self._large[0]()
        finally:  # the others' turns come whatever this one ends by
            self._large.popleft()
            if self._large:
                asyncio.get_running_loop().call_soon(self._take_large)

    def then(self, step: Callable[[], None]) -> None:
        """Take a step in the next stage. While not `has_stages`, whoever calls takes it at once.

        HOT: to name a method costs as much as to run a short one.
        """
        self._steps.append(step)

    def run(self) -> None:
        """Work off all that was read."""
        self._is_due = False
        reading = self._reading
        if reading:
            self._reading = []
            parsed = [connection for connection in reading if connection.parse()]
            self._is_gathering = True
            try:
                whole = [connection for connection in parsed if connection.pass_on()]
            finally:
                self._is_gathering = False
            self.flush()
            self._in_two_stages([connection.settle for connection in whole])
        asking = self._asking
        if asking:
            self._asking = []
            complete = [client for client in asking if client.parse()]
            self._in_two_stages([client.serve for client in complete])

    def _in_two_stages(self, first: list[Callable[[], None]]) -> None:
        """Take these steps, then those that they leave to `then`."""
        second = self._steps = []
        self.has_stages = True
        try:
            for step in first:
                step()
        finally:
            self.has_stages = False
        for step in second:
            step()

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write in the stage of its own; outside of a round, at once."""
        if self._is_gathering:
            self._writes.append((transport, data))
        else:
            _write(transport, data)

    def flush(self) -> None:
        """Write what waits for its stage."""
        writes = self._writes
        if writes:
            for transport, data in writes:
                _write(transport, data)
            writes.clear()


def _write(transport: asyncio.Transport, data: bytes) -> None:
    """Write, where the transport still takes anything."""
    try:
        transport.write(data)
    except Exception:  # noqa: BLE001 - one transport's trouble is not the others'
        transport.abort()
