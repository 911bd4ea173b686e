"""Loads and unloads models because an operator says so: on one server, or on all of a model's that are up.

Owns what is meant by a name and a server, and what is told of each server. Loads are shared with those of
requests; nobody who asks and leaves ends anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from gollamas import names
from gollamas.background.duty import Duty
from gollamas.background.loads import Loads
from gollamas.background.prober import Prober
from gollamas.background.touches import Touches
from gollamas.errors import BadRequest, ModelNotFound, NoServerLeft, ProxyError, ServerNotFound
from gollamas.events import LoadCause, LoadEnd
from gollamas.fleet.judging import PS
from gollamas.fleet.routing import Found, Invalid, Routing
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import NOT_YET
from gollamas.observe.by_hand import ByHand, OnServer, UnloadEnd, Wanted
from gollamas.observe.safe import cut
from gollamas.proxy.waiting import ended


class _Place(NamedTuple):
    """A model on a server that it is to be loaded on, or unloaded from."""

    found: Found
    server: ServerView

    @property
    def name(self) -> str:
        """The model as the server names it."""
        entry = self.server.installed.get(self.found.key)
        return self.found.model if entry is None else entry.name


_Act = Callable[[_Place], Awaitable[OnServer]]


class HandLoads:
    """What an operator has loaded and unloaded on the servers of a view.

    In: `routing` gives the names that hold now.
    """

    def __init__(
        self, duty: Duty, *, loads: Loads, touches: Touches, prober: Prober, routing: Callable[[], Routing]
    ) -> None:
        self._view, _, self._tasks, _ = duty
        self._loads = loads
        self._touches = touches
        self._prober = prober
        self._routing = routing

    async def load(self, wanted: Wanted) -> ByHand:
        """Have a model loaded, and wait until the loads have ended; raises ProxyError for what is nowhere."""
        return await self._on_each("load", wanted, self._load)

    async def unload(self, wanted: Wanted) -> ByHand:
        """Have a model leave; it stays away until a client asks for it. Raises ProxyError as `load` does."""
        done = await self._on_each("unload", wanted, self._unload)
        found = await self._find(wanted.model)
        for server_id in () if wanted.server is not None else found.candidates:
            server = self._view.servers.get(server_id)
            if server is not None and not server.is_up:  # nor is it loaded there when that one returns
                server.memory.unloaded_by_hand(found.key)
        return done

    # -- where ---------------------------------------------------------------------------------------

    async def _on_each(self, word: str, wanted: Wanted, act: _Act) -> ByHand:
        """Do it on all servers that are meant, at the same time; whether whoever asked waits or not."""
        places = await self._places(wanted)
        done: list[OnServer] = []

        async def run(place: _Place) -> None:
            done.append(await act(place))

        await asyncio.wait(
            [self._start(run(place), f"{word} by hand {place.server.id} {place.name}") for place in places]
        )
        if len(done) < len(places):
            raise ProxyError("internal error: see the log of gollamas")
        order = [place.server.id for place in places]
        return ByHand(servers=sorted(done, key=lambda one: order.index(one.server)))

    def _start(self, run: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(run, name=name)

    async def _places(self, wanted: Wanted) -> Sequence[_Place]:
        found = await self._find(wanted.model)
        if wanted.server is not None:
            return [_Place(found, await self._listed(self._named(found, wanted, wanted.server)))]
        configured = [one for id_ in found.candidates if (one := self._view.servers.get(id_)) is not None]
        servers = await asyncio.gather(*(self._listed(one) for one in configured))
        places = [_Place(found, server) for server in servers if server.is_up]
        if not places:
            whys = "; ".join(f"{server.id}: {_why_down(server)}" for server in servers)
            raise NoServerLeft(f"no server of model '{cut(wanted.model)}' is up ({whys})")
        return places

    async def _find(self, model: str) -> Found:
        """Find the model that a name means, an alias's for its own."""
        found = self._routing().find(model, self._view)
        if not isinstance(found, Found | Invalid) and found.may_look_up:
            await self._prober.look_up(found.key)
            found = self._routing().find(model, self._view)
        if isinstance(found, Invalid):
            raise BadRequest(f"'{cut(model)}' is no name of a model")
        if not isinstance(found, Found):
            raise (self._routing().cannot_tell(self._view) if found.may_look_up else None) or ModelNotFound(
                f"model '{cut(model)}' not found"
            )
        if names.is_cloud(found.key):
            raise BadRequest(f"model '{cut(model)}' runs in Ollama's cloud: no server has it in memory")
        return found

    def _named(self, found: Found, wanted: Wanted, server_id: str) -> ServerView:
        server = self._view.servers.get(server_id)
        if server is None:
            known = ", ".join(self._view.servers)
            raise ServerNotFound(f"no server '{cut(server_id)}' is configured; there are {known}")
        if server_id not in found.candidates:
            its = ", ".join(found.candidates)
            raise BadRequest(
                f"model '{cut(wanted.model)}' does not run on server '{server_id}'; it does on {its}"
            )
        return server

    async def _listed(self, server: ServerView) -> ServerView:
        """Wait for a server's first list, if it has not said what it has."""
        if not server.has_listed:
            await self._prober.first_list(server.id)
        return server

    # -- on one server -------------------------------------------------------------------------------

    async def _load(self, place: _Place) -> OnServer:
        found, server = place
        entry = server.installed.get(found.key)
        if not server.is_up:
            return _failed(place, f"server {server.id} is not up: {_why_down(server)}")
        if entry is None:
            return _failed(place, f"server {server.id} has no model {found.model}")
        if entry.is_remote:
            return _failed(
                place, f"{entry.name} runs elsewhere: server {server.id} has nothing of it in memory"
            )
        server.memory.hand_unloads.asked_for(found.key)
        policy = None if found.policies is None else found.policies.get(server.id)
        options = PLAIN if policy is None else policy.load_options
        keep_alive = None if policy is None else policy.load_keep_alive
        waiter = self._loads.begin(server, found.key, options, keep_alive, LoadCause.HAND)
        load = waiter.load
        try:
            await ended(waiter)
        finally:
            self._loads.release(waiter)
        if load is None or load.end is None:
            return _failed(place, f"server {server.id} is not configured any more")
        error = None if waiter.error is None else waiter.error.text
        return OnServer(server=server.id, model=load.name, end=load.end, took_s=load.took, error=error)

    async def _unload(self, place: _Place) -> OnServer:
        """Unload once what is being loaded is there: nothing is taken from those who wait for it."""
        key, server = place.found.key, place.server
        if not server.is_up:
            return _failed(place, f"server {server.id} is not up: {_why_down(server)}")
        await self._prober.look_anew(server.id, PS)
        began_at = _now()
        server.memory.unloaded_by_hand(key)
        async with self._loads.held_up(server, key):
            instance = server.instances.get(key)
            if (instance is None or instance.is_loading) and key not in server.running:
                return _told(place, UnloadEnd.NOT_LOADED)
            why = await self._touches.leave(server, key)
        if why:
            server.memory.hand_unloads.asked_for(key)
            return _failed(place, why, _now() - began_at)
        return _told(place, UnloadEnd.UNLOADED, _now() - began_at)


def _why_down(server: ServerView) -> str:
    return server.why_down or NOT_YET


def _failed(place: _Place, why: str, took_s: float = 0.0) -> OnServer:
    return OnServer(server=place.server.id, model=place.name, end=LoadEnd.FAILED, took_s=took_s, error=why)


def _told(place: _Place, end: UnloadEnd, took_s: float = 0.0) -> OnServer:
    return OnServer(server=place.server.id, model=place.name, end=end, took_s=took_s, error=None)


def _now() -> float:
    return asyncio.get_running_loop().time()
