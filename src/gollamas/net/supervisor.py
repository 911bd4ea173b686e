"""The parent of all tasks that must not end one another: connections, probers, loads.

Owns which tasks live. One that fails is told of, the others go on; whoever closes the supervisor ends all.
"""

import asyncio
from collections.abc import Coroutine
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
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
