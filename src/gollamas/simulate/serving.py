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
from gollamas.net.contracts import Judged
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Listener
from gollamas.responder import Responder, send
from gollamas.simulate.blobs import Blob, Incoming
from gollamas.simulate.faults import Part
from gollamas.simulate.server import SimulatedOllama
from gollamas.system.listening import bind
from gollamas.system.supervisor import Supervisor
from gollamas.wire.framing import room_for_pieces
from gollamas.wire.message import Answer, Body, CutOff, Head, Request
from gollamas.wire.outgoing import field_lines

LOCAL: Final = Address(host="127.0.0.1", port=0)  # any free port
_MAX_BODY: Final = 1 << 40  # Ollama has no limit
# What Go's HTTP library reads of a body that nobody wants, and how long it then waits before it closes.
_MOST_SKIPPED: Final = 256 * 1024
_CLOSES_AFTER: Final = 0.5  # seconds


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

    def on_head(self, client: ClientConnection, head: Head) -> Judged:
        """Name who answers: blobs come in pieces."""
        digest = self._simulated.digest_sent(head)
        if digest is None:
            return super().on_head(client, head)
        return _Upload(self, client, head, is_wanted=self._simulated.wants_blob(digest))

    async def answer(self, client: ClientConnection, request: Request, blob: Blob | None = None) -> None:
        # Ollama's handlers that work for long end with their client; those that only look at something don't.
        client.fin_means_left = request.head.method == b"POST" and request.head.path != b"/api/show"
        try:
            answer = await self._simulated.respond(request, blob)
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


class _Upload:
    """A request that brings a blob: read to its end where that is wanted, else as far as Go does."""

    def __init__(self, service: _Service, client: ClientConnection, head: Head, *, is_wanted: bool) -> None:
        self._service = service
        self._client = client
        self._head = head
        self._is_wanted = is_wanted
        self._incoming = Incoming()
        self._skipped = _MOST_SKIPPED if head.expects_continue else head.length
        self._is_whole = self._has_begun = self._is_cut = False
        self._news = asyncio.Event()
        self.room = room_for_pieces(self)
        client.run(self._serve())

    def piece(self, data: bytes | memoryview) -> bool:
        """Take the next piece; whether to go on reading."""
        if self._is_wanted:
            self._incoming.add(data)
        elif self._head.is_chunked:
            self._skipped += len(data)
            self._news.set()
        return self._is_read

    def whole(self) -> None:
        """Hear that it was the last."""
        self._is_whole = True

    def cut(self) -> None:
        """Hear that no more comes: nothing is kept."""
        self._is_cut = True
        self._news.set()

    def begin(self, _: Body) -> None:
        """Hear that the connection counts the request, which its answer ends."""
        self._has_begun = True
        self._news.set()

    def refuse(self, error: ProxyError) -> None:
        """Say why it was not read to its end."""
        self._service.refuse(self._client, error)

    @property
    def _is_read(self) -> bool:
        return self._is_wanted or self._skipped < _MOST_SKIPPED

    async def _serve(self) -> None:
        client = self._client
        if self._is_read:
            client.read_on()
        while not self._has_begun and not self._is_cut and (self._is_read or self._is_whole):
            self._news.clear()
            await self._news.wait()
        if self._is_cut:
            return
        blob = self._incoming.blob()
        if not self._has_begun:
            client.keep_alive = False
        try:
            await self._service.answer(client, Request(self._head, blob.body, client.address), blob)
        finally:
            if self._has_begun:
                client.request_done()
        if not self._has_begun:
            await asyncio.sleep(_CLOSES_AFTER)
            client.reset()


def _refused(error: ProxyError) -> Answer:
    text = b"%d %b" % (error.status, error.text.encode("utf-8", "replace"))  # as Go's HTTP library has it
    return Answer(error.status, [(b"Content-Type", b"text/plain; charset=utf-8")], text)
