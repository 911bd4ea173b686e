"""The proxy in a test's own loop, in front of servers made of bytes.

Owns starting and stopping an App on port 0 and waiting for what it says. After each test it checks what must
always hold: no defect was met, no lease is left, no task outlives the proxy.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from gollamas import names
from gollamas.app import App, loop_factory
from gollamas.config.model import Address, Alias, Config, Model, Server
from gollamas.events import Crashed, Event, RequestEnded, ServerWentDown, ServerWentUp
from tests.sockets.raw import Client, Message, RawServer

P = ParamSpec("P")
E = TypeVar("E")

DEADLINE: Final = 30.0  # seconds; what hangs is a failure
ROUTED: Final = "llama3.2"


def runs(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine, in a loop of the proxy's own kind."""

    @wraps(test)
    def inner(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE):
                await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(bounded())

    return inner


class Events(list[Event]):
    """Everything the proxy says, in order; `until` waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def append(self, event: Event) -> None:
        super().append(event)
        self._news.set()

    def of(self, kind: type[E]) -> list[E]:
        """Give all of one kind."""
        return [event for event in self if isinstance(event, kind)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which is looked at after each event."""
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def ended(self, count: int = 1) -> RequestEnded:
        """Wait for that many requests to have ended and give the last of them."""
        await self.until(lambda: len(self.of(RequestEnded)) >= count)
        return self.of(RequestEnded)[count - 1]

    async def up(self, *servers: RawServer) -> None:
        """Wait until these servers were seen up."""
        wanted = {server.name for server in servers}
        await self.until(lambda: wanted <= {event.server for event in self.of(ServerWentUp)})

    async def down(self, server: RawServer) -> ServerWentDown:
        """Wait until a server was seen down."""
        await self.until(lambda: any(event.server == server.name for event in self.of(ServerWentDown)))
        return self.of(ServerWentDown)[-1]


@dataclass
class Running:
    """A proxy that listens."""

    app: App
    events: Events
    clients: list[Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self.app.address.port

    async def connect(self) -> Client:
        """Open a client's connection."""
        client = await Client.connect(self.port)
        self.clients.append(client)
        return client

    async def ask(self, data: bytes, *, to_head: bool = False) -> Message:
        """Send a request on a connection of its own and read the answer."""
        client = await self.connect()
        try:
            return await client.ask(data, to_head=to_head)
        finally:
            client.close()


def a_config(
    servers: Iterable[RawServer],
    models: Mapping[str, Iterable[RawServer]] | None = None,
    aliases: Mapping[str, str] | None = None,
    **options: Any,
) -> Config:
    """Make a configuration: every server runs ROUTED unless `models` says which server runs what."""
    servers = list(servers)
    routes = {ROUTED: servers} if models is None else models
    configured = {
        _key(name): Model(name=name, key=_key(name), servers=tuple(one.name for one in run_by))
        for name, run_by in routes.items()
    }
    named = {
        _key(name): Alias(name=name, key=_key(name), model=model, model_key=_key(model))
        for name, model in (aliases or {}).items()
    }
    given = {
        "listen": Address(host="127.0.0.1", port=0),
        "admin": None,
        "servers": {one.name: a_server(one) for one in servers},
        **options,
    }
    return Config(models=configured, aliases=named, **given)


def a_server(one: RawServer) -> Server:
    """Give what is configured of a server."""
    return Server(
        id=one.name, scheme="http", host="127.0.0.1", port=one.port, prefix=one.prefix, fields=one.fields
    )


def _key(name: str) -> str:
    key = names.key_of(name)
    assert key is not None
    return key


@asynccontextmanager
async def running(
    config: Config,
    *,
    clock: Callable[[], float] = time.monotonic,
    hears: Callable[[Event], object] = lambda _: None,
    has_defects: bool = False,
) -> AsyncIterator[Running]:
    """Run a proxy and check what must hold after any test.

    `hears` is told of each event too, and may raise; `has_defects` says that defects are met on purpose.
    """
    before = asyncio.all_tasks()
    events = Events()

    def log(event: Event) -> None:
        events.append(event)
        hears(event)

    app = App(config, log=log, clock=clock)
    await app.start()
    proxy = Running(app, events)
    try:
        yield proxy
    finally:
        for client in proxy.clients:
            client.writer.transport.abort()
        await app.stop(grace=0)
    for _ in range(3):  # an aborted connection is told of its end in the loop's next turns
        await asyncio.sleep(0)
    assert has_defects or not (crashed := events.of(Crashed)), f"a defect of ours was met: {crashed}"
    assert list(app.gauges.in_flight()) == [], "a lease was not given back"
    assert app._round.open == 0, "a request was not counted out"
    ended = [id(event) for event in events.of(RequestEnded)]
    assert len(ended) == len(set(ended)), "a request was told of twice"
    assert dict(app.gauges.connections()) == {"client": 0, "server": 0}, "a connection was left open"
    left = {task.get_name() for task in asyncio.all_tasks() - before if "Peer" not in repr(task)}
    assert not {name for name in left if not name.startswith("Task-")}, "a task outlives the proxy"
    assert app._timers._thread not in threading.enumerate(), "a thread outlives the proxy"


@asynccontextmanager
async def opened(*servers: RawServer) -> AsyncIterator[None]:
    """Open servers, and close them."""
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        yield


@asynccontextmanager
async def in_front_of(
    *servers: RawServer,
    models: Mapping[str, Iterable[RawServer]] | None = None,
    aliases: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Run a proxy in front of servers that listen already, once it has seen them up."""
    async with running(a_config(servers, models, aliases, **options)) as proxy:
        up = [one for one in servers if one.version is not None]
        await proxy.events.up(*up)
        # Which server comes first depends on what it has: all or none must have said it.
        while not all(proxy.app.view.servers[one.name].has_listed for one in up):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        yield proxy


@asynccontextmanager
async def one_server(**options: Any) -> AsyncIterator[tuple[RawServer, Running]]:
    """Run one server and a proxy in front of it; `options` are those of the Config, and `aliases`."""
    async with RawServer() as server, in_front_of(server, **options) as proxy:
        yield server, proxy
