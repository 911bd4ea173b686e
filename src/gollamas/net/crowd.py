"""Who may be connected: the clients of a listener, at most so many of them at once.

Owns the set of those who are connected and who of them has to go for another one: the client that has been
idle longest, and where none is, the newcomer. Nothing is kept in order for that while there is room: only
a listener that is full looks who is idle, and one look serves many newcomers.
"""

import heapq
import sys
from collections.abc import Callable
from typing import Final

from gollamas.errors import TooManyClients
from gollamas.events import AcceptingPaused, AcceptingResumed, ConnectionsFree, ConnectionsFull, Emit
from gollamas.net.downstream import ClientConnection
from gollamas.system.descriptors import Descriptors

_MOST_REFUSED: Final = 32  # refused clients that may still be reading why
_MOST_CANDIDATES: Final = 256  # idle clients that one look finds
# A look at 10 000 clients takes 10 ms, 1 ms where all are busy: that one is not repeated for 20 ms.
_LOOK_SECONDS: Final = 2e-6  # for each client


class Crowd:
    """The clients that are connected, at most `most` beside those that are being refused.

    Where `files` are short, idle connections to servers go, then an idle client for each new one; where none
    is idle, `pause` is called, and `resume` when there is room again. Who accepts sets both in advance.
    """

    __slots__ = (
        "_emit", "_ended", "_files", "_idle", "_is_full", "_most", "_next_look", "_paused_at", "_refused",
        "_refused_count", "live", "pause", "resume",
    )  # fmt: skip

    pause: Callable[[], None]
    resume: Callable[[], None]

    def __init__(
        self, most: int = sys.maxsize, emit: Emit | None = None, files: Descriptors | None = None
    ) -> None:
        self.live: set[ClientConnection] = set()
        self._most = most
        self._emit = emit
        self._files = files
        self._refused: dict[ClientConnection, None] = {}  # in the order in which they came
        self._idle: list[tuple[float, ClientConnection]] = []  # the longest idle at the end
        self._next_look = 0.0
        self._paused_at: float | None = None
        self._is_full = False
        self._ended = self._refused_count = 0  # since it is full

    @property
    def is_paused(self) -> bool:
        """Whether nobody is accepted for lack of descriptors."""
        return self._paused_at is not None

    def add(self, client: ClientConnection, now: float) -> None:
        """Let a client in, in place of an idle one where the house is full, or refuse it."""
        live = self.live
        live.add(client)
        if len(live) - len(self._refused) > self._most:
            self._is_too_many(client, now)
        files = self._files
        if files is not None and self._paused_at is None and files.is_short:
            self._are_files_short(client, files, now)

    def remove(self, client: ClientConnection) -> None:
        """Forget a client that is gone."""
        self.live.discard(client)
        self._refused.pop(client, None)

    def check(self, now: float) -> None:
        """Go on accepting where there is room again; tell when the crowd is over."""
        if self._paused_at is not None and self._may_resume():
            self._tell(AcceptingResumed(now - self._paused_at))
            self._paused_at = None
            self.resume()
        if self._is_full and len(self.live) - len(self._refused) < self._most - self._most // 16:
            self._is_full = False
            self._idle.clear()
            self._tell(ConnectionsFree(self._ended, self._refused_count))

    def _may_resume(self) -> bool:
        """Whether there is room, or somebody who would give some to a new client."""
        files = self._files
        if files is None or files.is_roomy or files.free():
            return True
        return any(client.idle_since is not None for client in self.live)

    def _is_too_many(self, newcomer: ClientConnection, now: float) -> None:
        if not self._is_full:
            self._is_full = True
            self._ended = self._refused_count = 0
            self._tell(ConnectionsFull(self._most))
        if self._end_idle(newcomer, now):
            return
        refused = self._refused
        if len(refused) >= _MOST_REFUSED:
            oldest = next(iter(refused))
            self.remove(oldest)
            oldest.abort()
        refused[newcomer] = None
        self._refused_count += 1
        newcomer.refuse(
            TooManyClients(f"gollamas serves {self._most} connections at once (max_connections): try again")
        )

    def _are_files_short(self, newcomer: ClientConnection, files: Descriptors, now: float) -> None:
        if files.free() or self._end_idle(newcomer, now):
            return
        self._paused_at = now
        self._tell(AcceptingPaused(files.in_use, files.limit))
        self.pause()

    def _end_idle(self, newcomer: ClientConnection, now: float) -> bool:
        """End the client that has been idle longest; whether there was one."""
        client = self._longest_idle(newcomer, now)
        if client is None:
            return False
        self.remove(client)  # its place is free now, whenever the kernel is told
        client.close()
        self._ended += 1
        return True

    def _longest_idle(self, newcomer: ClientConnection, now: float) -> ClientConnection | None:
        idle = self._idle
        while idle:
            since, client = idle.pop()
            if client.idle_since == since:  # one that was used since is idle for less than all others here
                return client
        if now < self._next_look:
            return None
        self._next_look = now + len(self.live) * _LOOK_SECONDS
        found = [
            (moment, client)
            for client in self.live
            if (moment := client.idle_since) is not None and client is not newcomer
        ]
        self._idle = heapq.nsmallest(_MOST_CANDIDATES, found, key=_since)[::-1]
        return self._idle.pop()[1] if found else None

    def _tell(self, event: AcceptingPaused | AcceptingResumed | ConnectionsFull | ConnectionsFree) -> None:
        if self._emit is not None:
            self._emit(event)


def _since(entry: tuple[float, ClientConnection]) -> float:
    return entry[0]
