"""How many pulls and creates run at once: those of clients first, and what syncs of the rest."""

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """A number of places. `on_wanted` hears of each client's job that has to wait for one."""

    def __init__(self, number: int) -> None:
        self.free = number  # 0 while a job of a client waits
        self.on_wanted: Callable[[], object] = _nothing
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> bool:
        """Wait for a place, behind those who came before; True."""
        if self.take():
            return True
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self.on_wanted()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given the place, and cancelled in the same turn
                self.release()
            elif place in self._waiting:  # else a place that came free meanwhile has passed it over
                self._waiting.remove(place)
            raise
        return True

    def take(self) -> bool:
        """Take a place that is free; whether there was one."""
        if not self.free:
            return False
        self.free -= 1
        return True

    def release(self) -> None:
        """Give a place back: to who waits longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.free += 1


def _nothing() -> None:
    pass
