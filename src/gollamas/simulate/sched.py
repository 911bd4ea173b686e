"""Which models are loaded, and who waits for what: loads, slots, expiry, eviction.

Owns runners and their lives (Ollama's `server/sched.go`, and what running servers showed): loads are
serial, the request that needs one makes it in its own coroutine, so that its leaving ends the load and
the next in line begins anew. Expiry is not a timer: what is over is dropped whenever somebody looks, and
a reload that waits for it looks in time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from gollamas.simulate.clock import Clock
from gollamas.simulate.faults import FailsToLoad, HangsLoading, LoadFault
from gollamas.simulate.launch import Launch, check_options, runner_options
from gollamas.simulate.model import Model
from gollamas.simulate.prompts import Prompts
from gollamas.simulate.refusal import Refusal, busy
from gollamas.simulate.settings import FOREVER, Settings


@dataclass(slots=True)
class Load:
    """A load that was begun."""

    model: str  # as lists show it
    options: Mapping[str, Any]  # the runner options that were asked for, as they were sent; `shift` is one
    launch: Launch
    ended: Literal["", "loaded", "aborted", "failed"] = ""  # aborted: its client left; empty: it goes on


@dataclass(slots=True, eq=False)
class Runner:
    """Weights in memory."""

    model: Model  # the name that loaded it
    launch: Launch
    keep: float  # seconds after the last request
    expires_at: float
    slots: asyncio.Semaphore
    users: int = 0  # requests that hold or wait for a slot
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    prompts: Prompts = field(default_factory=Prompts)


class Scheduler:
    """Loads and unloads models; each request holds its runner through `lease`."""

    def __init__(self, settings: Settings, clock: Clock, changed: Callable[[], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._loader = asyncio.Lock()
        self._runners: dict[str, Runner] = {}  # by the weights' digest
        self._pending = 0
        self._loading: Runner | None = None
        self._released = asyncio.Event()
        self.loads: list[Load] = []
        self.faults: list[LoadFault] = []  # of the next loads, one each
        self.unloads: list[str] = []

    def running(self) -> list[Runner]:
        """Give the runners that `/api/ps` shows, the latest expiry first."""
        self._sweep()
        found = list(self._runners.values())
        if self._loading is not None and self._settings.release < (0, 30):
            # Ollama's own engine, which ran embedding models then, showed them before they could answer.
            found += [self._loading] if self._loading.model.weights.is_embedding else []
        return sorted(found, key=lambda runner: -runner.expires_at)

    @property
    def pending(self) -> int:
        """Requests that load a model or wait for one to be loaded."""
        return self._pending

    def release(self) -> None:
        """Let a load go on that hangs now."""
        self._released.set()
        self._released = asyncio.Event()

    def unload(self, model: Model) -> None:
        """Let a model go once it is idle; nothing where it is not loaded."""
        runner = self._runners.get(model.weights.digest)
        if runner is None:
            return
        runner.keep, runner.expires_at = 0.0, self._clock.now()
        if not runner.users:
            self._drop(runner)

    @asynccontextmanager
    async def lease(
        self,
        model: Model,
        options: Mapping[str, Any],
        keep_alive: float | None,
        shift: bool | None = None,
    ) -> AsyncIterator[Runner]:
        """Hold a loaded model, loading it first where that is needed.

        `keep_alive` is in seconds; None, and a `shift` of None, where the request says nothing. Raises
        Refusal: a wrong option, or 503 when too many wait.
        """
        check_options(options, self._settings.release)
        launch = Launch.of(model, options, shift, self._settings)
        self._sweep()
        runner = self._fitting(model, launch)
        if runner is None:
            load = Load(model.name.shortest, runner_options(options, shift), launch)
            runner = await self._load(model, load, keep_alive)
        if keep_alive is not None:
            runner.keep = keep_alive
        try:
            yield runner
        finally:
            self._release(runner)

    def _fitting(self, model: Model, launch: Launch) -> Runner | None:
        runner = self._runners.get(model.weights.digest)
        if runner is None or not runner.launch.serves(launch):
            return None
        runner.users += 1
        runner.idle.clear()
        return runner

    async def _load(self, model: Model, load: Load, keep_alive: float | None) -> Runner:
        if self._pending > self._settings.max_queue:  # one of them loads, the others are the queue
            raise busy()
        self._pending += 1
        self._changed()
        try:
            async with self._loader:
                self._sweep()
                if (runner := self._fitting(model, load.launch)) is not None:
                    return runner
                await self._make_room(model)
                return await self._start(model, load, keep_alive)
        finally:
            self._pending -= 1
            self._changed()

    async def _start(self, model: Model, load: Load, keep_alive: float | None) -> Runner:
        keep = self._settings.keep_alive if keep_alive is None else keep_alive
        parallel = 1 if model.weights.is_embedding else self._settings.num_parallel
        launch = load.launch.started(parallel, has_gpu=self._settings.vram_bytes > 0)
        slots = asyncio.Semaphore(parallel)
        self._loading = runner = Runner(model, launch, keep, self._clock.now() + keep, slots, users=1)
        self.loads.append(load)
        self._changed()
        try:
            await self._read(self.faults.pop(0) if self.faults else None)
        except asyncio.CancelledError:
            load.ended = "aborted"
            raise
        except Refusal:
            load.ended = "failed"
            raise
        finally:
            self._loading = None
        load.ended = "loaded"
        runner.expires_at = self._clock.now() + keep
        self._runners[model.weights.digest] = runner
        return runner

    async def _read(self, fault: LoadFault | None) -> None:
        if isinstance(fault, HangsLoading):
            await self._released.wait()
        await self._clock.sleep(self._settings.load_seconds)
        if isinstance(fault, FailsToLoad):
            raise Refusal(fault.status, fault.text)

    async def _make_room(self, model: Model) -> None:
        if (old := self._runners.get(model.weights.digest)) is not None:
            await self._retire(old)
        while len(self._runners) >= self._settings.max_loaded:
            await self._retire(
                min(self._runners.values(), key=lambda runner: (runner.users > 0, runner.keep))
            )

    async def _retire(self, runner: Runner) -> None:
        # New requests that it fits may take it all the while; one with a keep_alive makes it last that long.
        runner.keep = 0.0
        if not runner.users:
            self._drop(runner)
        async with asyncio.TaskGroup() as tasks:
            expiring = tasks.create_task(self._expire(runner))
            await runner.gone.wait()
            expiring.cancel()

    async def _expire(self, runner: Runner) -> None:
        while not runner.gone.is_set():
            await runner.idle.wait()
            await self._clock.sleep(runner.expires_at - self._clock.now())
            self._sweep()

    def _release(self, runner: Runner) -> None:
        runner.users -= 1
        if not runner.users:
            runner.expires_at = self._clock.now() + runner.keep
            runner.idle.set()
            if runner.keep == 0:
                self._drop(runner)
        self._changed()

    def _sweep(self) -> None:
        now = self._clock.now()
        for runner in list(self._runners.values()):
            if not runner.users and runner.keep < FOREVER and runner.expires_at <= now:
                self._drop(runner)

    def _drop(self, runner: Runner) -> None:
        digest = runner.model.weights.digest
        if self._runners.get(digest) is runner:
            del self._runners[digest]
            runner.gone.set()
            self.unloads.append(runner.model.name.shortest)
            self._changed()
