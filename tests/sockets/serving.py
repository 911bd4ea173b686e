"""A listener of a test's own: who serves its clients, their limits, and the clock by which they are swept.

Owns starting and stopping it, and what it says of defects. Knows nothing of the proxy.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gollamas.config.model import Address, Config
from gollamas.errors import ProxyError
from gollamas.events import Crashed
from gollamas.net.contracts import Later, Service
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Clients, Listener
from gollamas.net.rounds import Round
from gollamas.system.listening import bind
from gollamas.system.supervisor import Supervisor
from gollamas.wire.framing import Room
from gollamas.wire.message import Body
from tests.sockets.proxying import Events
from tests.sockets.raw import Client


class Clock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0  # how often it was looked at

    def __call__(self) -> float:
        self.asked += 1
        return self.now


@dataclass
class Serving:
    """A listener that serves."""

    port: int
    listener: Listener
    clock: Callable[[], float]
    events: Events
    ends: list[Client] = field(default_factory=list)

    @property
    def clients(self) -> Clients:
        """The connections of its clients."""
        return self.listener.clients

    async def connect(self) -> tuple[Client, ClientConnection]:
        """Open a client's connection; give both of its ends."""
        before = set(self.clients.live)
        client = await Client.connect(self.port)
        self.ends.append(client)
        while not (new := self.clients.live - before):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        (connection,) = new
        return client, connection

    async def crashed(self, count: int = 1) -> list[tuple[str, str]]:
        """Wait for that many defects to be told of: where each was met, and what it says."""
        await self.events.until(lambda: len(self.events.of(Crashed)) >= count)
        return [(event.where, str(event.error)) for event in self.events.of(Crashed)]


class Asked:
    """A request that a service of a test answers by its `serve`; one that has a refusal reads no body."""

    def __init__(
        self, serve: Callable[[Body], Later | None], limit: int, refusal: ProxyError | None = None
    ) -> None:
        self.begin = serve
        self.room = Room(limit, refusal=refusal)

    def refuse(self, error: ProxyError) -> None:
        """Say nothing."""


def tells_of_defects(emit: Callable[[Crashed], Any]) -> None:
    """Have the loop tell of what no task of its own can end by, as the app has it."""

    def handler(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        emit(Crashed(context["message"], context["exception"]))

    asyncio.get_running_loop().set_exception_handler(handler)


@asynccontextmanager
async def serving(
    service: Service[ClientConnection],
    *,
    clock: Clock | None = None,
    round_: Round | None = None,
    **options: Any,
) -> AsyncIterator[Serving]:
    """Serve clients by `service`; `options` are those of the Config, for the limits."""
    events, clock = Events(), clock or Clock()
    tasks = Supervisor(events.append)
    tells_of_defects(events.append)
    listen = Address(host="127.0.0.1", port=0)
    sockets = bind(listen)
    listener = Listener(
        service, Config(listen=listen, servers={}, models={}, **options), tasks, clock, round_
    )
    port = sockets[0].getsockname()[1]
    await listener.start(sockets)
    made = Serving(port, listener, clock, events)
    try:
        yield made
    finally:
        for client in made.ends:
            client.writer.transport.abort()
        listener.stop_accepting()
        listener.clients.abort()
        await listener.clients.all_gone()
        await tasks.close()
    assert listener.clients.round.open == 0, "a request was not counted out"
