"""The parent of all tasks that must not end one another: connections, probers, loads.

Owns which tasks live. One that fails is told of, the others go on; whoever closes the supervisor ends all.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gollamas.events import Crashed, Emit


class Supervisor:
    """Runs tasks by name until `close`. Tasks that end are forgotten."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._tasks: set[asyncio.Task[None]] = set()

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run a coroutine as a child."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._emit(Crashed(task.get_name(), error))

    async def close(self) -> None:
        """End every task and wait for it."""
        while self._tasks:
            await asyncio.sleep(0)  # one that is cancelled before its first step leaves coroutines unawaited
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)


class Cancellable:
    """Runs one coroutine, which is cancelled at its first wait, not before: else it could tell nobody.

    `failed` is called where it ends by an exception, a cancellation among them.
    """

    def __init__(self, later: Coroutine[Any, Any, None], failed: Callable[[], None]) -> None:
        self._later = later
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False

    async def run(self) -> None:
        """Run it to its end."""
        task = self._task = asyncio.current_task()
        if self._is_cancelled and task is not None:
            task.cancel()
        try:
            await self._later
        except BaseException:
            self._failed()
            raise
        finally:
            self._task = None

    def cancel(self) -> None:
        """Have it end; one that has ended is left alone."""
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()
