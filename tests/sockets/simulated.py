"""A simulated Ollama on a socket of its own, with the proxy in front: for what takes a whole server's memory.

Owns how the two are put together, and the requests of all dialects for one model.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from gollamas.events import RequestEnded, ServerWentDown, ServerWentUp
from gollamas.fleet.judging import PS, TAGS
from gollamas.names import key_of
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import Served, serving
from gollamas.simulate.settings import VERSIONS, Settings
from gollamas.wire.message import Request
from tests.sockets.proxying import Running, a_config, running
from tests.sockets.raw import Client, Message, RawServer, get, post

CHAT: Final = "smol"
EMBEDDER: Final = "minilm"
CHAT_KEY: Final = key_of(CHAT) or ""
_HI: Final = [{"role": "user", "content": "hi"}]
# Whole bodies beside the model's name, for each route that runs a model.
DIALECTS: Final[Mapping[str, dict[str, Any]]] = {
    "/api/generate": {"prompt": "hi", "stream": False},
    "/api/chat": {"messages": _HI, "stream": False},
    "/v1/chat/completions": {"messages": _HI},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"max_tokens": 1, "messages": _HI},
    "/v1/responses": {"input": "hi"},
    "/api/embed": {"input": "hi"},
    "/api/embeddings": {"prompt": "hi"},
    "/v1/embeddings": {"input": "hi"},
}


def asks(path: str, model: str = CHAT, **members: object) -> bytes:
    """Make a request for a model."""
    return post(path, json.dumps({"model": model, **DIALECTS[path], **members}).encode())


@dataclass
class Fleet:
    """Simulated servers, by name, and the proxy in front of them."""

    proxy: Running
    ollamas: dict[str, SimulatedOllama]
    places: dict[str, Served]
    sockets: dict[str, AsyncExitStack]

    @property
    def ollama(self) -> SimulatedOllama:
        """The only server, or the first."""
        return next(iter(self.ollamas.values()))

    async def ask(self, path: str, model: str = CHAT, **members: object) -> Message:
        """Ask the proxy."""
        return await self.proxy.ask(asks(path, model, **members))

    async def ask_in_turn(self, paths: Iterable[str], model: str = CHAT) -> None:
        """Ask one after another, each once all that followed the one before is over."""
        for path in paths:
            count = len(self.proxy.events.of(RequestEnded)) + 1
            assert (await self.ask(path, model)).status == 200
            await self.proxy.events.ended(count)
            await self.settled()

    async def settled(self) -> None:
        """Wait for what runs beside requests: touches, unloads, variants that are made or removed."""
        words = ("touch", "unload", "create", "delete")
        while tasks := [one for one in asyncio.all_tasks() if one.get_name().startswith(words)]:
            await asyncio.wait(tasks)

    async def look(self) -> None:
        """Have the proxy ask each server that is up what it has now; an answer under way says what it had."""
        prober = self.proxy.app._prober
        up = [server_id for server_id, server in prober.view.servers.items() if not server.is_down]
        await asyncio.gather(*(prober.look_anew(one, path) for one in up for path in (TAGS, PS)))

    async def ask_directly(
        self, path: str, body: dict[str, Any], method: str = "POST", server: str | None = None
    ) -> Message:
        """Ask a server, the first by default, past the proxy."""
        place = self.places[server] if server else next(iter(self.places.values()))
        client = await Client.connect(place.address.port)
        try:
            raw = post(path, json.dumps(body).encode()).replace(b"POST ", f"{method} ".encode(), 1)
            return await client.ask(raw)
        finally:
            client.close()

    async def names(self, path: str = "/api/tags") -> list[str]:
        """Give the names of a listing of the proxy."""
        listed = json.loads((await self.proxy.ask(get(path))).body)
        return [one.get("name") or one["id"] for one in listed.get("models", listed.get("data"))]

    def touches(self) -> list[dict[str, Any]]:
        """Give the empty requests with a keep_alive that the server got, loads of ours among them."""
        asked = [json.loads(one.body) for one in self.empty()]
        return [body for body in asked if "keep_alive" in body]

    def empty(self) -> list[Request]:
        """Give the requests that load, touch or unload."""
        paths = [*self.ollama.asked("/api/generate"), *self.ollama.asked("/api/embed")]
        return [one for one in paths if not {"prompt", "input"} & json.loads(one.body).keys()]

    async def take_down(self, name: str) -> None:
        """Have a server refuse connections, and wait until the proxy has found out; its models stay."""
        count = len(self.proxy.events.of(ServerWentDown))
        await self.sockets[name].aclose()
        await self.proxy.events.until(lambda: len(self.proxy.events.of(ServerWentDown)) > count)

    async def bring_back(self, name: str) -> None:
        """Have it listen again, on the port that it had, and wait until the proxy has seen it."""
        count = len(self.proxy.events.of(ServerWentUp))
        await self.sockets[name].enter_async_context(serving(self.ollamas[name], self.places[name].address))
        await self.proxy.events.until(lambda: len(self.proxy.events.of(ServerWentUp)) > count)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that no event tells."""
        while not holds():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)


@asynccontextmanager
async def fleet(
    *names: str,
    version: str = VERSIONS[0],
    settings: Mapping[str, Any] | None = None,
    models: tuple[str, ...] = (CHAT, EMBEDDER),
    **options: Any,
) -> AsyncIterator[Fleet]:
    """Run servers (one by default) whose work takes no time, and a proxy that has heard of all they have."""
    async with AsyncExitStack() as stack:
        ollamas, places = dict[str, SimulatedOllama](), dict[str, Served]()
        sockets = dict[str, AsyncExitStack]()
        for name in names or ("one",):
            quick = {"load_seconds": 0.0, "tokens_per_second": 0.0, "prompt_tokens_per_second": 0.0}
            told = {**quick, "models": models, "version": version, **(settings or {})}
            ollamas[name] = SimulatedOllama(Settings(**told))
            sockets[name] = await stack.enter_async_context(AsyncExitStack())
            places[name] = await sockets[name].enter_async_context(serving(ollamas[name]))
        ends = [RawServer(name=name, port=place.address.port) for name, place in places.items()]
        # Probes far between: what is known comes of what the proxy did, and of looks that it asked for.
        told = {"probe_interval": 60.0, **options}
        config = a_config(ends, dict.fromkeys(models, ends), told.pop("aliases", None), **told)
        proxy = await stack.enter_async_context(running(config))
        both = Fleet(proxy, ollamas, places, sockets)
        await proxy.events.up(*ends)
        views = proxy.app.view.servers
        await both.until(lambda: all(views[name].has_listed for name in ollamas))
        yield both
