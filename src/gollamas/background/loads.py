"""Loads models: one empty request of ours for all who want a model, which no client's leaving can end.

Owns the requests, and what their answers mean; which goes out when says `fleet/loading`, what is there then
`fleet/instances`. A server's connections for loads are not those of clients.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from gollamas.background.prober import ASK_TIMEOUT, Asker, Tasks
from gollamas.config.model import Server
from gollamas.errors import LoadFailed, ProxyError, ServerBroke, ServerRefused, ServerTooSlow, ShuttingDown
from gollamas.events import Crashed, Emit, LoadCause, LoadEnd, LoadEnded, Warned
from gollamas.fleet import facts
from gollamas.fleet.admit import Lease
from gollamas.fleet.instances import Memory
from gollamas.fleet.judging import ProbeReply
from gollamas.fleet.load_requests import (
    EMBED,
    GENERATE,
    SHOW,
    failure,
    is_well,
    load_body,
    show_body,
    unload_body,
)
from gollamas.fleet.loading import Loading, ModelLoad, Waiter
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.view import View
from gollamas.observe.state import OpenLoad

_ARRIVAL: Final = 0.02  # seconds; by then a server has read what was sent before a load
_UNLOAD_TIMEOUT: Final = 5.0  # seconds; it is answered at once


class Loads:
    """Loads models on the servers of a view. Tasks run under `tasks`.

    In: `changed` has a server's memory looked at anew; `timeout` says how many seconds a load may take.
    """

    def __init__(
        self,
        view: View,
        ask: Asker,
        tasks: Tasks,
        emit: Emit,
        *,
        changed: Callable[[str], None],
        timeout: Callable[[], float],
    ) -> None:
        self._view = view
        self._ask = ask
        self._tasks = tasks
        self._emit = emit
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
        entry = None if server is None else server.installed.get(lease.key)
        digest = None if server is None else server.memory.digest_of(lease.key)
        is_current = server is self._view.servers.get(lease.server)
        if server is None or entry is None or digest is None or not is_current:
            # It is not configured any more: the request finds out by itself.
            gone = ModelLoad(lease.server, lease.key, lease.key, lease.key, options, cause)
            waiter = self._loading.wait(gone, request_id)
            self._loading.ended(gone, None)
            return waiter
        load = self._loading.find(server, digest, options)
        if load is None:
            load = ModelLoad(lease.server, lease.key, entry.name, digest, options, cause)
            load.home, load.embeds, load.asked_at = server, embeds, _now()
            self._loading.want(load)
            server.memory.wanted(digest, lease.key)
            self._begin(load, server.server, server.memory)
        return self._loading.wait(load, request_id)

    def release(self, waiter: Waiter) -> None:
        """Let a request go that waited: it was sent, or is not going to be."""
        load = self._loading.release(waiter)
        if load is not None and self._is_draining:
            self._running[load].cancel()

    def unload(self, found: Found, asked: str) -> None:
        """Have a model leave the memory of all its servers but the one that its client's request goes to."""
        for server_id in found.candidates:
            server = self._view.servers.get(server_id)
            instance = None if server is None else server.instances.get(found.key)
            if server is None or server_id == asked or not server.is_up:
                continue
            if instance is None or instance.is_loading:  # what others wait for is not there yet
                continue
            entry = server.installed.get(found.key)
            name = found.key if entry is None else entry.name
            run = self._unload(server.server, server.memory, found.key, name)
            self._tasks.create_task(run, name=f"unload {server_id} {name}")

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
            memory.load_began(load.digest, load.key)
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
        reply = await self._post(load, server, EMBED if embeds else GENERATE)
        if reply.status == 400 and not embeds:
            other = await self._post(load, server, EMBED)
            reply = other if is_well(other) else reply
        return None if is_well(reply) else failure(server.id, reply)

    async def _post(self, load: ModelLoad, server: Server, path: str) -> ProbeReply:
        body = load_body(path, load.name, load.options)
        return await self._ask(server, "POST", path, body, timeout=self._timeout())

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
        elif (
            self._view.memory_of(load.server_id) is memory  # else it is configured no more
            and self._view.load_ended(load.server_id, load.digest, load.key, load.options, took)
        ):
            end = LoadEnd.SAME
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

    # -- an unload -----------------------------------------------------------------------------------

    async def _unload(self, server: Server, memory: Memory, key: str, name: str) -> None:
        try:
            reply = await self._ask(server, "POST", GENERATE, unload_body(name), timeout=_UNLOAD_TIMEOUT)
            why = "" if is_well(reply) else failure(server.id, reply).text
        except ProxyError as error:
            why = error.text
        if why:
            self._emit(Warned(f"{name} was to leave the memory of {server.id}, but did not: {why}"))
        else:
            memory.unloaded(key)
        self._changed(server.id)


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
