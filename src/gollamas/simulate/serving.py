"""A simulated server on a socket.

Owns its listener and its tasks; what it answers is `server`'s. Like Ollama it has no time-outs of its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gollamas.config.model import Address, Config
from gollamas.errors import ProxyError
from gollamas.events import Crashed, Event
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Listener
from gollamas.responder import Responder, send
from gollamas.simulate.faults import Part
from gollamas.simulate.server import SimulatedOllama
from gollamas.system.listening import bind
from gollamas.system.supervisor import Supervisor
from gollamas.wire.message import Answer, CutOff, Request
from gollamas.wire.outgoing import field_lines

LOCAL: Final = Address(host="127.0.0.1", port=0)  # any free port
_MAX_BODY: Final = 1 << 40  # Ollama has no limit


@dataclass(slots=True)
class Served:
    """Where a simulated server is reached."""

    address: Address
    listener: Listener

    @property
    def url(self) -> str:
        """The address for a client."""
        return f"http://{self.address}"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self.listener.clients.live)

    def cut(self) -> None:
        """Cut every connection, idle ones too; new ones are accepted."""
        self.listener.clients.abort()


@asynccontextmanager
async def serving(simulated: SimulatedOllama, address: Address = LOCAL) -> AsyncIterator[Served]:
    """Serve on an address, a free port by default, until the block ends; then cut every client.

    Raises NotListening before the block, and after it the first defect of the server's own.
    """
    crashes: list[BaseException] = []

    def emit(event: Event) -> None:
        if isinstance(event, Crashed):
            crashes.append(event.error)

    tasks = Supervisor(emit)
    listener = Listener(_Service(simulated), Config(), tasks, time.monotonic)
    sockets = bind(address)
    await listener.start(sockets)
    try:
        yield Served(Address(host=address.host, port=sockets[0].getsockname()[1]), listener)
    finally:
        listener.stop_accepting()
        listener.clients.abort()
        await asyncio.sleep(0)  # a request that came just now begins, so that its task has what to cancel
        await tasks.close()
    if crashes:
        raise crashes[0]


class _Service(Responder):
    """Answers of a simulated server; it may also end a connection without one."""

    def __init__(self, simulated: SimulatedOllama) -> None:
        super().__init__(simulated.respond, _refused, _MAX_BODY)
        self._simulated = simulated

    async def answer(self, client: ClientConnection, request: Request) -> None:
        # Ollama's handlers that work for long end with their client; those that only look at something don't.
        client.fin_means_left = request.head.method == b"POST" and request.head.path != b"/api/show"
        try:
            answer = await self._simulated.respond(request)
        except CutOff:
            client.reset()
            return
        if isinstance(answer.body, Part):
            part, writer = answer.body, client.writer()
            client.write(
                writer.begin(answer.status, field_lines(answer.fields), b"", part.whole_length, bytes(part))
            )
            client.reset()
            return
        await send(client, answer)


def _refused(error: ProxyError) -> Answer:
    text = b"%d %b" % (error.status, error.text.encode("utf-8", "replace"))  # as Go's HTTP library has it
    return Answer(error.status, [(b"Content-Type", b"text/plain; charset=utf-8")], text)
