"""Loads models: one empty request of ours for all who want a model, which no client's leaving can end.

Owns the requests, and what their answers mean; which goes out when says `fleet/loading`, what is there then
`fleet/instances`. A server's connections for loads are not those of clients.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from gollamas.background.duty import Duty
from gollamas.background.empty_request import EmptyRequest, ask_empty
from gollamas.background.prober import ASK_TIMEOUT
from gollamas.config.model import Server
from gollamas.errors import LoadFailed, ProxyError, ServerBroke, ServerRefused, ServerTooSlow, ShuttingDown
from gollamas.events import Crashed, LoadCause, LoadEnd, LoadEnded
from gollamas.fleet import facts
from gollamas.fleet.admit import Lease
from gollamas.fleet.instances import Memory
from gollamas.fleet.load_requests import (
    SHOW,
    failure,
    is_well,
    show_body,
)
from gollamas.fleet.loading import Loading, ModelLoad, Waiter
from gollamas.fleet.reloads import Reloads
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.server_view import ServerView
from gollamas.observe.state import OpenLoad

_ARRIVAL: Final = 0.02  # seconds; by then a server has read what was sent before a load


class Loads:
    """Loads models on the servers of a view.

    In: `reloads` hears of models that had to leave for a load; `changed` has a server's memory looked at
    anew; `timeout` says how many seconds a load may take.
    """

    def __init__(
        self, duty: Duty, *, reloads: Reloads, changed: Callable[[str], None], timeout: Callable[[], float]
    ) -> None:
        self._view, self._ask, self._tasks, self._emit = duty
        self._reloads = reloads
        self._changed = changed
        self._timeout = timeout
        self._loading = Loading()
        self._running: dict[ModelLoad, asyncio.Task[None]] = {}
        self._showing: dict[tuple[Server, str], asyncio.Lock] = {}  # by server and digest
        self._is_draining = False

    # -- what requests call --------------------------------------------------------------------------

    def load(
        self, lease: Lease, options: RunnerOptions, cause: LoadCause, request_id: str, embeds: bool
    ) -> Waiter:
        """Have a model loaded on the server of a lease, or wait for a load that is wanted already."""
        server = lease.held
        keep_alive = None if lease.plan is None else lease.plan.policy.load_keep_alive
        if server is None:
            return self._gone(lease.server, lease.key, options, cause)
        server.memory.hand_unloads.asked_for(lease.key)
        waiter = self.begin(server, lease.key, options, keep_alive, cause)
        waiter.id = request_id
        if waiter.load is not None and waiter.load.waiters == [waiter]:  # it was not wanted by others before
            waiter.load.embeds = embeds
        return waiter

    def release(self, waiter: Waiter) -> None:
        """Let a request go that waited: it was sent, or is not going to be."""
        load = self._loading.release(waiter)
        if load is not None and self._is_draining:
            self._running[load].cancel()

    # -- what loads without a request ----------------------------------------------------------------

    def begin(
        self,
        server: ServerView,
        key: str,
        options: RunnerOptions,
        keep_alive: float | None,
        cause: LoadCause,
    ) -> Waiter:
        """Have a model loaded on a server, or wait for a load that is wanted already.

        Whoever waited calls `release`, as a request does. Where the server does not list the model, nothing
        is loaded, and the waiter has ended without an error.
        """
        entry, digest = server.installed.get(key), server.memory.digest_of(key)
        if entry is None or digest is None or server is not self._view.servers.get(server.id):
            return self._gone(server.id, key, options, cause)
        load = self._loading.find(server, digest, options)
        if load is None:
            load = ModelLoad(server.id, key, entry.name, digest, options, cause)
            load.home, load.asked_at, load.keep_alive = server, _now(), keep_alive
            self._loading.want(load)
            server.memory.wanted(digest, key, options)
            self._begin(load, server.server, server.memory)
        return self._loading.wait(load, "")

    @asynccontextmanager
    async def held_up(self, server: ServerView, key: str) -> AsyncIterator[None]:
        """Have no load of a model's weights go out meanwhile.

        Those that were in line before have ended by then, and the requests that waited for them were sent.
        """
        memory = server.memory
        digest = memory.digest_of(key) or key
        turn = ModelLoad(server.id, key, key, digest, PLAIN, LoadCause.HAND)
        turn.home = server
        try:
            if not self._loading.enter(turn, memory.weights_of(digest)):
                await _started(turn)
            yield
        finally:
            self._loading.ended(turn, None)

    def _gone(self, server_id: str, key: str, options: RunnerOptions, cause: LoadCause) -> Waiter:
        """Give a waiter of a server or model that is not there any more: a request finds out by itself."""
        gone = ModelLoad(server_id, key, key, key, options, cause)
        waiter = self._loading.wait(gone, "")
        self._loading.ended(gone, None)
        return waiter

    # -- what the application calls ------------------------------------------------------------------

    def drain(self) -> None:
        """End the loads that nobody waits for, now and from now on."""
        self._is_draining = True
        for load, task in tuple(self._running.items()):
            if not load.waiters:
                task.cancel()

    def under_way(self) -> list[OpenLoad]:
        """Give the loads that have not ended."""
        now = _now()
        return [OpenLoad(load, now - load.asked_at) for load in self._loading.all()]

    # -- a load --------------------------------------------------------------------------------------

    def _begin(self, load: ModelLoad, server: Server, memory: Memory) -> None:
        outcome = _LoadOutcome()
        run = self._run(load, server, memory, outcome)
        task = self._running[load] = self._tasks.create_task(run, name=f"load {server.id} {load.name}")
        # Not in the task itself: one that is cancelled before its first step does nothing at all.
        task.add_done_callback(partial(self._settle, load, memory, outcome))

    async def _run(self, load: ModelLoad, server: Server, memory: Memory, outcome: "_LoadOutcome") -> None:
        try:
            await self._learn(load, server, memory)
            if not self._loading.enter(load, memory.weights_of(load.digest)):
                await _started(load)
                if not load.waiters:
                    self._loading.give_up(load)  # before it is known that this task has ended
                    return
            memory.load_began(load.digest, load.key, load.options)
            outcome.began_at = _now()
            outcome.error = await self._ask_to_load(load, server, memory.facts_of(load.digest))
            outcome.end = LoadEnd.LOADED if outcome.error is None else LoadEnd.FAILED
        except ServerTooSlow:
            outcome.end = LoadEnd.GIVEN_UP
            outcome.error = ServerTooSlow(
                f"server {server.id} has not loaded {load.name} within {self._timeout():g} s"
            )
        except ServerBroke as why:
            outcome.end = LoadEnd.FAILED
            outcome.error = ServerBroke(f"server {server.id} did not load {load.name}: {why.text}")
        except ProxyError as why:
            outcome.end, outcome.error = LoadEnd.FAILED, why
        except Exception as defect:  # noqa: BLE001 - whoever waits must hear of it
            self._emit(Crashed(f"a load of {load.name} on {server.id}", defect))
            outcome.end = LoadEnd.FAILED
            outcome.error = LoadFailed(500, "internal error: see the log of gollamas")

    async def _learn(self, load: ModelLoad, server: Server, memory: Memory) -> None:
        """Ask what a model is, once for each server and digest."""
        place = server, load.digest
        async with self._showing.setdefault(place, asyncio.Lock()):
            try:
                if memory.facts_of(load.digest) is not None:
                    return
                timeout = min(ASK_TIMEOUT, self._timeout())
                reply = await self._ask(server, "POST", SHOW, show_body(load.name), timeout=timeout)
                shown = facts.read(reply.body) if reply.status == 200 else None
                if shown is not None:
                    memory.learned(load.digest, shown)
            except ServerRefused:
                raise  # the load would be, too, after another time-out
            except ProxyError:
                pass  # the load itself will tell what is wrong
            finally:
                self._showing.pop(place, None)

    async def _ask_to_load(
        self, load: ModelLoad, server: Server, known: facts.Facts | None
    ) -> ProxyError | None:
        embeds = load.embeds if known is None else known.only_embeds
        empty = EmptyRequest(load.name, load.options, load.keep_alive, embeds)
        reply = await ask_empty(self._ask, server, empty, self._timeout())
        return None if is_well(reply) else failure(server.id, reply)

    def _settle(
        self, load: ModelLoad, memory: Memory, outcome: "_LoadOutcome", _task: asyncio.Task[None]
    ) -> None:
        """Write down what became of a load, and let all go on who waited for it."""
        del self._running[load]
        now = _now()
        end = outcome.end
        took = 0.0 if outcome.began_at is None else now - outcome.began_at
        waited = len(load.waiters)
        if outcome.began_at is None:
            memory.not_loaded(load.digest)
        elif end is not LoadEnd.LOADED:
            memory.load_failed(load.digest)
        elif self._view.memory_of(load.server_id) is memory:  # else it is configured no more
            end = self._loaded(load, memory, took, now)
        load.end, load.took = end, took
        self._loading.ended(load, outcome.error)
        self._changed(load.server_id)
        if outcome.began_at is not None or end is not LoadEnd.STOPPED:
            self._emit(
                LoadEnded(
                    server=load.server_id,
                    model=load.name,
                    options=str(load.options),
                    why=load.cause,
                    end=end,
                    took_s=took,
                    waited=waited,
                    error=None if outcome.error is None else outcome.error.text,
                )
            )

    def _loaded(self, load: ModelLoad, memory: Memory, took: float, now: float) -> LoadEnd:
        """Write down what is there now, and tell of an instance that had to leave for it."""
        is_same, replaced = self._view.load_ended(load.server_id, load.digest, load.key, load.options, took)
        if load.keep_alive is not None:
            memory.gave(load.key, load.keep_alive, time.time())
        if replaced is not None and not replaced.takes(load.options):
            self._reloads.noted(load.server_id, load.name, replaced.asked_with, load.options, now)
        return LoadEnd.SAME if is_same else LoadEnd.LOADED


def _now() -> float:
    return asyncio.get_running_loop().time()


class _LoadOutcome:
    """What has become of a load so far: one that ends now was stopped."""

    def __init__(self) -> None:
        self.began_at: float | None = None
        self.end = LoadEnd.STOPPED
        self.error: ProxyError | None = ShuttingDown("gollamas is shutting down: try again")


async def _started(load: ModelLoad) -> None:
    """Wait for a load's turn in the line of its weights."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start() -> None:
        if not turn.done():
            turn.set_result(None)

    load.start = start
    await turn
    await asyncio.sleep(_ARRIVAL)
