"""A proxy with simulated servers, in a thread of its own beside a browser that is asked from the test's.

Owns the thread and its loop; what runs there is `sockets/simulated`'s.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from gollamas.app import loop_factory
from tests.sockets.simulated import Fleet

T = TypeVar("T")
_PATIENCE = 20.0  # seconds


class Stage:
    """A fleet that runs while the block does."""

    def __init__(self, fleet: AbstractAsyncContextManager[Fleet]) -> None:
        self._fleet = fleet
        self._runs: Future[tuple[Fleet, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="stage")

    def __enter__(self) -> Self:
        self._thread.start()
        self.fleet, self._loop, self._stop = self._runs.result(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._ended.result()  # what must hold after any test, and does not

    @property
    def url(self) -> str:
        """The page's address."""
        address = self.fleet.proxy.app.admin_address
        assert address is not None
        return f"http://127.0.0.1:{address.port}/"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Have something begun there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., T], *words: Any, **named: Any) -> T:
        """Call something in the loop's thread."""

        async def called() -> T:
            return function(*words, **named)

        return self.do(called())

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            for future in (self._runs, self._ended):
                if not future.done():
                    future.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        async with self._fleet as fleet:
            self._runs.set_result((fleet, asyncio.get_running_loop(), stop))
            await stop.wait()
