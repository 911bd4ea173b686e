"""`/events`: the state of the fleet, then what changes of it, as server-sent events for all who watch.

Owns who watches, and when it is looked for changes: once a second, while somebody does. All get the same
bytes. Whoever does not read is let go: what waits for it is bounded by bytes and by time. What is told is in
`observe/live`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final

from gollamas.observe.live import LiveState
from gollamas.system.supervisor import Supervisor

MOST_WATCHERS: Final = 32
COMMENT_S: Final = 15.0  # seconds without an event, behind which a comment says that we are there
PATIENCE_S: Final = 30.0  # seconds for which something may wait for a watcher that takes nothing
EVERY_S = 1.0  # seconds between two looks; a plain variable, as the next one: tests set it
MOST_BEHIND_BYTES = 1024 * 1024  # of changes that wait for a watcher

_RETRY: Final = b"retry: 2000\n\n"
_COMMENT: Final = b":\n\n"


class EventStream(AsyncIterator[bytes]):
    """One who watches: the pieces of its answer. It counts from its making to `aclose`."""

    def __init__(self, watching: "EventStreams") -> None:
        self._watching = watching
        self._task: asyncio.Task[object] | None = None
        self._news: asyncio.Future[None] | None = None
        self._whole: deque[bytes] = deque()  # what is left of the state
        self._changes: deque[bytes] = deque()
        self._changes_bytes = 0
        self._wants_whole = True
        self._is_over = False
        self._waits_since = 0.0
        self._told_at = 0.0

    async def __anext__(self) -> bytes:
        if self._task is None:
            self._task = asyncio.current_task()
            self._watching.began()
            return _RETRY
        while not self._whole and not self._changes:
            if self._is_over:
                raise StopAsyncIteration
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        self._waits_since = self._watching.clock()
        if self._whole:
            return self._whole.popleft()
        piece = self._changes.popleft()
        self._changes_bytes -= len(piece)
        return piece

    async def aclose(self) -> None:
        """Watch no more."""
        self._watching.left(self)

    @property
    def is_there(self) -> bool:
        """Whether its answer has begun."""
        return self._task is not None

    @property
    def is_due(self) -> bool:
        """Whether it is to get the state."""
        return self.is_there and self._wants_whole and not self._whole

    def begin(self, whole: Iterable[bytes], now: float) -> None:
        """Tell it everything, what waits included; one that reads the last state yet gets it behind that."""
        self._changes.clear()
        self._changes_bytes = 0
        self._wants_whole = bool(self._whole)
        if not self._wants_whole:
            self._tell(self._whole, whole, now)

    def put(self, change: bytes, now: float) -> None:
        """Tell it a change. One that is slow to read the state gets the state again instead."""
        if not self.is_there or self._wants_whole:
            return
        if self._changes_bytes + len(change) <= MOST_BEHIND_BYTES:
            self._changes_bytes += len(change)
            self._tell(self._changes, (change,), now)
        elif self._whole:
            self._changes.clear()
            self._changes_bytes = 0
            self._wants_whole = True
        else:
            self.let_go()

    def check(self, now: float) -> None:
        """Let it go where it has taken nothing for too long; say that we are there where nothing was told."""
        if (self._whole or self._changes) and now - self._waits_since > PATIENCE_S:
            self.let_go()
        elif now - self._told_at >= COMMENT_S:
            self.put(_COMMENT, now)

    def end(self) -> None:
        """End its answer behind what waits."""
        self._is_over = self.is_there
        self._ring()

    def let_go(self) -> None:
        """End its connection."""
        self._watching.left(self)
        if self._task is not None:
            self._task.cancel()

    def _tell(self, waiting: deque[bytes], pieces: Iterable[bytes], now: float) -> None:
        if not self._whole and not self._changes:
            self._waits_since = now
        self._told_at = now
        waiting.extend(pieces)
        self._ring()

    def _ring(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class EventStreams:
    """All who watch. In: what is told, whose child the looking is, what calls later, the monotonic clock."""

    def __init__(
        self,
        live: LiveState,
        tasks: Supervisor,
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._live = live
        self._tasks = tasks
        self._call_later = call_later
        self._watchers: dict[EventStream, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._bell: asyncio.Future[None] | None = None
        self._is_ending = False

    def watch(self) -> EventStream | None:
        """Let somebody watch; None where as many do as may."""
        if len(self._watchers) >= MOST_WATCHERS:
            return None
        watcher = EventStream(self)
        self._watchers[watcher] = None
        return watcher

    def began(self) -> None:
        """Look at once: somebody waits for the state."""
        if self._task is None:
            self._task = self._tasks.create_task(self._run(), name="events")
        self._look_now()

    def left(self, watcher: EventStream) -> None:
        """Forget one who watched; nothing is done where it was the last."""
        if watcher in self._watchers:
            del self._watchers[watcher]
            if not self._is_watched:
                self._look_now()

    def drain(self) -> None:
        """End what is sent now, behind the change that says why; who comes later is served to the end."""
        self._is_ending = True
        self._look_now()

    @property
    def _is_watched(self) -> bool:
        return any(one.is_there for one in self._watchers)

    def _look_now(self) -> None:
        _ring(self._bell)

    async def _run(self) -> None:
        try:
            while self._is_watched:
                await self._look()
                await self._rest()
        finally:
            self._task = self._bell = None
            self._live.forget()
            for watcher in tuple(self._watchers):
                watcher.end()

    async def _look(self) -> None:
        """Tell everybody what has changed, and those who came before this the whole."""
        live, newcomers = self._live, {one for one in self._watchers if one.is_due}
        is_ending, self._is_ending = self._is_ending, False
        for _ in live.look(with_ages=bool(newcomers)):
            await asyncio.sleep(0)
        now, everybody = self.clock(), [one for one in self._watchers if one.is_there]
        is_anew, change = live.is_anew, live.change()
        if is_anew:
            newcomers.update(everybody)
        elif change is not None:
            for watcher in everybody:
                watcher.put(change, now)
        if newcomers:
            whole = live.whole()
            for watcher in newcomers.intersection(everybody):
                watcher.begin(whole, now)
        for watcher in everybody:
            watcher.check(now)
            if is_ending:
                watcher.end()

    async def _rest(self) -> None:
        """Wait for the next look: for a second, unless somebody came or the last one left."""
        if self._is_ending or any(one.is_due for one in self._watchers):
            return
        bell = self._bell = asyncio.get_running_loop().create_future()
        self._call_later(EVERY_S, partial(_ring, bell))
        await bell


def _ring(bell: "asyncio.Future[None] | None") -> None:
    if bell is not None and not bell.done():
        bell.set_result(None)
