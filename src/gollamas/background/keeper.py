"""Keeps models in memory: acts on what is due, again and again as things change and time passes.

Owns the one task that does so, and the loads and touches that it asks for; `fleet/keeping` decides what is
due. It publishes nothing else.
"""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from gollamas.background.duty import Duty
from gollamas.background.loads import Loads
from gollamas.background.touches import Touches
from gollamas.events import Crashed
from gollamas.fleet.keeping import Act, Keeping, KeepLoad, KeepLook, KeepTouch
from gollamas.fleet.policy import Policies
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.proxy.waiting import ended

_SHORTEST_REST: Final = 0.001  # seconds; a loop's time may stand still as long
_LONGEST_REST: Final = 30.0  # seconds; whatever is missed is seen then


class Means(NamedTuple):
    """What a keeper acts by: loads, touches, looks at what a server has loaded, calls some seconds later."""

    loads: Loads
    touches: Touches
    look: Callable[[str], None]
    call_later: Callable[[float, Callable[[], None]], object]


class Keeper:
    """Acts on the wishes of one configuration at a time. Its task and its loads run under `duty.tasks`."""

    def __init__(self, duty: Duty, means: Means) -> None:
        self._view, _, self._tasks, self._emit = duty
        self._means = means
        self._keeping: Keeping | None = None
        self._policies: Policies | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loads: set[asyncio.Task[None] | None] = set()
        self._called_at = math.inf  # when the next call comes

    def apply(self, keeping: Keeping, policies: Policies) -> None:
        """Keep what these wishes name from now on, with what the policies say."""
        self._keeping, self._policies = keeping, policies
        if keeping.keeps_any and self._task is None:
            self._task = self._tasks.create_task(self._run(), name="keeper")
        self.wake()

    def drain(self) -> None:
        """Keep nothing any more; loads that clients wait for go on."""
        for task in (self._task, *self._loads):
            if task is not None:
                task.cancel()

    def wake(self) -> None:
        """Note that something has changed."""
        self._news.set()

    def not_tried(self) -> list[str]:
        """Name the models that are to be loaded ahead and were not tried yet where they could be."""
        return [] if self._keeping is None else self._keeping.not_tried()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            keeping = self._keeping
            if keeping is not None:
                try:
                    for act in keeping.due(_now(), time.time()):
                        self._act(keeping, act)
                except Exception as defect:  # noqa: BLE001 - models are kept on
                    self._emit(Crashed("keeping models in memory", defect))
                self._call_at(min(keeping.next_at, _now() + _LONGEST_REST))
            await self._news.wait()

    def _call_at(self, at: float) -> None:
        """Be called again at a time, unless a call comes before it."""
        now = _now()
        if now < self._called_at <= at:
            return
        self._called_at = at
        self._means.call_later(max(at - now, _SHORTEST_REST), partial(self._called, at))

    def _called(self, at: float) -> None:
        if at == self._called_at:  # else an earlier call took its place
            self._called_at = math.inf
            self.wake()

    def _act(self, keeping: Keeping, act: Act) -> None:
        match act:
            case KeepLook(server_id=server_id):
                self._means.look(server_id)
            case KeepTouch(server_id=server_id, key=key):
                _, keep_alive = self._wanted(server_id, key)
                self._means.touches.extend(server_id, key, keep_alive)
            case KeepLoad(server_id=server_id, key=key):
                task = self._tasks.create_task(self._load(keeping, act), name=f"keep {server_id} {key}")
                self._loads.add(task)

    def _wanted(self, server_id: str, key: str) -> tuple[RunnerOptions, float | None]:
        """With which options requests without any run a model, and how long it is to stay."""
        policies = None if self._policies is None else self._policies.of(key)
        policy = None if policies is None else policies.get(server_id)
        return (PLAIN, None) if policy is None else (policy.load_options, policy.load_keep_alive)

    async def _load(self, keeping: Keeping, act: KeepLoad) -> None:
        server, waiter, was_loaded = self._view.servers.get(act.server_id), None, False
        try:
            if server is not None:
                options, keep_alive = self._wanted(act.server_id, act.key)
                waiter = self._means.loads.begin(server, act.key, options, keep_alive, act.cause)
                await ended(waiter)
                was_loaded = waiter.error is None
        finally:
            self._loads.discard(asyncio.current_task())
            if waiter is not None:
                self._means.loads.release(waiter)
            keeping.ended(act.server_id, act.key, was_loaded=was_loaded, now=_now())
            self.wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
