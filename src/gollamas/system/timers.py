"""Timers of a thread, so that the event loop has none.

A loop that has a timer gives every wait for its sockets a time-out, and the kernel arms a clock for each of
them: in a virtual machine a trap, 2 us twice a request. So what waits for seconds, over and over, waits
here; a time-out that is there only while something is under way may be the loop's.
"""

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from itertools import count


class Timers:
    """Calls back in the loop that calls. The thread is there from the first call to `close`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []  # a heap, guarded by it
        self._is_closed = False
        self._numbers = count()  # two that are due at once ring in the order of their calls
        self._thread: threading.Thread | None = None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have `callback` called in the loop, unless `close` comes first."""
        entry = (time.monotonic() + seconds, next(self._numbers), callback)
        with self._changed:
            if self._is_closed:
                return
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()
        if self._thread is None:
            loop = asyncio.get_running_loop()
            thread = threading.Thread(target=self._run, args=(loop,), name="timers", daemon=True)
            thread.start()
            self._thread = thread

    async def sleep(self, seconds: float) -> None:
        """Wait; as `asyncio.sleep`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ring() -> None:
            if not over.done():
                over.set_result(None)

        self.call_later(seconds, ring)
        await over

    def close(self) -> None:
        """End the thread; nothing rings any more."""
        with self._changed:
            self._is_closed = True
            self._due.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (callback := self._next()) is not None:
            try:
                loop.call_soon_threadsafe(self._ring, callback)
            except RuntimeError:
                return  # the loop is closed: nobody is left to be called

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next that is due; None at the end."""
        with self._changed:
            while not self._is_closed:
                if not self._due:
                    self._changed.wait()
                elif (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._due)[2]
        return None

    def _ring(self, callback: Callable[[], None]) -> None:
        if not self._is_closed:
            callback()
