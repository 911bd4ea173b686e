"""Time limits for what a task waits for, by one timer of the loop for many of them.

HOT: `asyncio.timeout` has a timer of its own, an eighth of what it costs to connect.
"""

import asyncio


class TimeLimits:
    """Cancels tasks that take longer than `seconds`, by one timer of the loop for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[TimeLimit, float] = {}  # and when it is over, the next one first
        self._is_set = False

    def begin(self, limit: "TimeLimit") -> None:
        """Begin to wait."""
        loop = limit.task.get_loop()
        self._open[limit] = loop.time() + self._seconds
        if not self._is_set:
            self._is_set = True
            loop.call_later(self._seconds, self._ring, loop)

    def end(self, limit: "TimeLimit") -> bool:
        """Wait no longer; whether the limit was still open."""
        return self._open.pop(limit, None) is not None

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit, end in tuple(self._open.items()):
            if end > now:
                loop.call_at(end, self._ring, loop)
                return
            del self._open[limit]
            limit.task.cancel()
        self._is_set = False


class TimeLimit:
    """What is done in this context ends in TimeoutError when its limit is over."""

    __slots__ = ("_cancelling", "_limits", "task")

    def __init__(self, limits: TimeLimits) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - what awaits runs in one
        self.task = task
        self._cancelling = task.cancelling()
        self._limits = limits

    def __enter__(self) -> None:
        self._limits.begin(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._limits.end(self):
            return
        is_ours = self.task.uncancel() <= self._cancelling  # else somebody else cancelled it, too
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError
