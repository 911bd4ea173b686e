"""Time for a simulated server: real, faster than real, or held by a test.

Owns the passing of time and nothing else. `now` is in seconds since 1970, as a server would print it.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What a simulated server knows of time."""

    def now(self) -> float:
        """Seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds have passed on this clock; at once where none are left."""


class WallClock:
    """Real time, or `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began = time.time()
        self._zero = time.monotonic()

    def now(self) -> float:
        """Seconds since 1970; never goes back."""
        return self._began + (time.monotonic() - self._zero) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait; a time that is over gives the loop one turn."""
        await asyncio.sleep(max(0.0, seconds / self._speed))


class HeldClock:
    """Time that passes only when a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Seconds since 1970, as far as `advance` went."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many wait on this clock."""
        return sum(not sleeper.done() for _, _, sleeper in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its own moment, and let those that woke run."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, sleeper = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not sleeper.done():
                sleeper.set_result(None)
                await self._settle()
        self._now = end
        await self._settle()

    async def _settle(self) -> None:
        # Enough turns for a woken coroutine to go through locks and queues to its next sleep.
        for _ in range(20):
            await asyncio.sleep(0)
