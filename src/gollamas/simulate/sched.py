"""Which models are loaded, and who waits for what: loads, slots, expiry, eviction.

Owns runners and their lives (Ollama's `server/sched.go`, and what running servers showed): loads are
serial, the request that needs one makes it in its own coroutine, so that its leaving ends the load and
the next in line begins anew. Expiry is not a timer: what is over is dropped whenever somebody looks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from gollamas.simulate.clock import Clock
from gollamas.simulate.model import Model
from gollamas.simulate.prompts import Prompts
from gollamas.simulate.refusal import Refusal, busy
from gollamas.simulate.settings import FOREVER, Settings

_MIN_CONTEXT: Final = 4
_MIN_VISION_CONTEXT: Final = 2048
_TYPES: Final[dict[str, str]] = {
    "num_keep": "integer",
    "seed": "integer",
    "num_predict": "integer",
    "top_k": "integer",
    "repeat_last_n": "integer",
    "num_ctx": "integer",
    "num_batch": "integer",
    "num_gpu": "integer",
    "main_gpu": "integer",
    "num_thread": "integer",
    "draft_num_predict": "integer",
    "top_p": "float32",
    "min_p": "float32",
    "typical_p": "float32",
    "temperature": "float32",
    "repeat_penalty": "float32",
    "presence_penalty": "float32",
    "frequency_penalty": "float32",
    "use_mmap": "boolean",
    "stop": "array",
}
_LAUNCH: Final = ("num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")


def check_options(options: Mapping[str, Any]) -> None:
    """Raise Refusal (500) in Ollama's words where an option has the wrong type; unknown ones pass."""
    for key, value in options.items():
        wanted = _TYPES.get(key)
        if wanted is None or value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "integer": is_number,
            "float32": is_number,
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list),
        }[wanted]
        if not fits:
            raise Refusal(500, f'option "{key}" must be of type {wanted}')
        if wanted == "array" and not all(isinstance(item, str) for item in value):
            raise Refusal(500, f'option "{key}" must be of an array of strings')


@dataclass(frozen=True, slots=True)
class Launch:
    """The options with which weights are loaded: a difference means a reload."""

    num_ctx: int
    others: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, model: Model, options: Mapping[str, Any], default_ctx: int) -> "Launch":
        """Give what this model needs with these options: request, then model, then server."""
        merged = {**model.parameters, **{key: value for key, value in options.items() if value is not None}}
        least = _MIN_VISION_CONTEXT if "vision" in model.weights.capabilities else _MIN_CONTEXT
        num_ctx = max(least, int(merged.get("num_ctx") or default_ctx))
        others = tuple(
            (key, merged[key])
            for key in _LAUNCH
            if key in merged and not (key == "num_gpu" and merged[key] < 0)
        )
        return cls(min(num_ctx, model.weights.trained_context), others)


@dataclass(slots=True, eq=False)
class Runner:
    """Weights in memory."""

    model: Model  # the name that loaded it
    launch: Launch
    keep: float  # seconds after the last request
    expires_at: float
    slots: asyncio.Semaphore
    users: int = 0  # requests that hold or wait for a slot
    is_retiring: bool = False  # no new request may take it
    idle: asyncio.Event = field(default_factory=asyncio.Event)
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
        self.is_loading: Model | None = None
        self.loads: list[tuple[str, int]] = []  # name and num_ctx of each load that was begun
        self.aborted_loads = 0
        self.unloads: list[str] = []

    def running(self) -> list[Runner]:
        """Give the runners that `/api/ps` shows, the latest expiry first."""
        self._sweep()
        return sorted(self._runners.values(), key=lambda runner: -runner.expires_at)

    @property
    def pending(self) -> int:
        """Requests that load a model or wait for one to be loaded."""
        return self._pending

    def unload(self, model: Model) -> None:
        """Let a model go once it is idle; nothing where it is not loaded."""
        runner = self._runners.get(model.weights.digest)
        if runner is None:
            return
        runner.keep = 0.0
        if not runner.users:
            self._drop(runner)

    @asynccontextmanager
    async def lease(
        self, model: Model, options: Mapping[str, Any], keep_alive: float | None
    ) -> AsyncIterator[Runner]:
        """Hold a loaded model, loading it first where that is needed.

        `keep_alive` is in seconds, None where the request says nothing. Raises Refusal: a wrong
        option, or 503 when too many wait.
        """
        check_options(options)
        launch = Launch.of(model, options, self._settings.context_length)
        self._sweep()
        runner = self._fitting(model, launch) or await self._load(model, launch, keep_alive)
        if keep_alive is not None:
            runner.keep = keep_alive
        try:
            yield runner
        finally:
            self._release(runner)

    def _fitting(self, model: Model, launch: Launch) -> Runner | None:
        runner = self._runners.get(model.weights.digest)
        if runner is None or runner.is_retiring or runner.launch != launch:
            return None
        runner.users += 1
        runner.idle.clear()
        return runner

    async def _load(self, model: Model, launch: Launch, keep_alive: float | None) -> Runner:
        if self._pending > self._settings.max_queue:  # one of them loads, the others are the queue
            raise busy()
        self._pending += 1
        self._changed()
        try:
            async with self._loader:
                self._sweep()
                if (runner := self._fitting(model, launch)) is not None:
                    return runner
                await self._make_room(model)
                return await self._start(model, launch, keep_alive)
        finally:
            self._pending -= 1
            self._changed()

    async def _start(self, model: Model, launch: Launch, keep_alive: float | None) -> Runner:
        self.loads.append((model.name.shortest, launch.num_ctx))
        self.is_loading = model
        self._changed()
        try:
            await self._clock.sleep(self._settings.load_seconds)
        except asyncio.CancelledError:
            self.aborted_loads += 1
            raise
        finally:
            self.is_loading = None
        keep = self._settings.keep_alive if keep_alive is None else keep_alive
        parallel = 1 if model.weights.is_embedding else self._settings.num_parallel
        expires_at = self._clock.now() + keep
        runner = Runner(model, launch, keep, expires_at, asyncio.Semaphore(parallel), users=1)
        self._runners[model.weights.digest] = runner
        return runner

    async def _make_room(self, model: Model) -> None:
        if (old := self._runners.get(model.weights.digest)) is not None:
            await self._retire(old)
        while len(self._runners) >= self._settings.max_loaded:
            await self._retire(
                min(self._runners.values(), key=lambda runner: (runner.users > 0, runner.keep))
            )

    async def _retire(self, runner: Runner) -> None:
        runner.is_retiring = True
        if runner.users:
            await runner.idle.wait()
        self._drop(runner)

    def _release(self, runner: Runner) -> None:
        runner.users -= 1
        if not runner.users:
            runner.expires_at = self._clock.now() + runner.keep
            runner.idle.set()
            if runner.keep == 0 or runner.is_retiring:
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
            self.unloads.append(runner.model.name.shortest)
            self._changed()
