"""A service whose answers are values: for the admin port and the simulated server.

Owns the way from a request to its answer, and the sending of one that is made piece by piece, which the main
port's own answers go through too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from gollamas.errors import ProxyError, ShuttingDown
from gollamas.net.answering import break_off, send_answer
from gollamas.net.contracts import Judged, Later
from gollamas.net.downstream import ClientConnection
from gollamas.net.sources import TaskSource
from gollamas.wire.framing import Room
from gollamas.wire.message import Answer, Body, CutOff, Head, Request
from gollamas.wire.outgoing import AnswerWriter
from gollamas.wire.response import Ends


class Stream(TaskSource):
    """The pieces of an answer whose head has gone out; the client's source while they follow it.

    None is asked for while the client does not read. However it ends, the iterator is closed.
    """

    def __init__(self, client: ClientConnection, writer: AnswerWriter, pieces: AsyncIterator[bytes]) -> None:
        super().__init__(client)
        self._writer = writer
        self._pieces = pieces
        self._drained: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Send all pieces and the end; raises what the iterator raises, and ShuttingDown."""
        self._client.source = self
        try:
            if self._writer.ends is not Ends.AT_ONCE:
                await self._send()
        except asyncio.CancelledError:
            if not self.is_cut:
                raise
            raise ShuttingDown("gollamas is shutting down") from None
        finally:
            self._client.source = None
            close = getattr(self._pieces, "aclose", None)
            if close is not None:
                await close()

    async def _send(self) -> None:
        client, writer = self._client, self._writer
        await self._until_it_reads()
        async for piece in self._pieces:
            data = writer.piece(piece)
            if data:
                client.write(data)
                await self._until_it_reads()
        data = writer.end()
        if data:
            client.write(data)

    async def _until_it_reads(self) -> None:
        """Wait while the client does not read; let others go on even where it does."""
        await asyncio.sleep(0)
        while self._client.is_paused:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def resume(self) -> None:
        """Ask for the next piece."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


async def send(client: ClientConnection, answer: Answer) -> None:
    """Send an answer, whole or piece by piece as its iterator gives them."""
    pieces = answer.body
    if isinstance(pieces, bytes):
        send_answer(client, answer.status, answer.fields, pieces)
        return
    writer = send_answer(client, answer.status, answer.fields, None)
    try:
        await Stream(client, writer, pieces).run()
    except CutOff:
        client.reset()
    except ShuttingDown:
        break_off(client, writer, b"")
    except BaseException:
        break_off(client, writer, b"")
        raise


class Responder:
    """A service whose answers are values: `respond` makes one of each request, `refusal` of an error."""

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Answer]],
        refusal: Callable[[ProxyError], Answer],
        max_body: int,
    ) -> None:
        self._respond = respond
        self._refusal = refusal
        self.room = Room(max_body)

    def on_head(self, client: ClientConnection, head: Head) -> Judged:
        """Name who answers: whoever asks, bodies have the same room."""
        return _ByValue(self, client, head)

    async def serve(self, client: ClientConnection, request: Request) -> None:
        """Send what `respond` answers."""
        try:
            await self.answer(client, request)
        finally:
            client.request_done()

    async def answer(self, client: ClientConnection, request: Request) -> None:
        """Answer one request; whoever serves other answers than values overrides this."""
        try:
            answer = await self._respond(request)
        except ProxyError as error:
            answer = self._refusal(error)
        await send(client, answer)

    def refuse(self, client: ClientConnection, error: ProxyError, _: tuple[str, str] | None = None) -> None:
        """Say why a request was not read to its end."""
        answer = self._refusal(error)
        send_answer(
            client, answer.status, answer.fields, answer.body if isinstance(answer.body, bytes) else b""
        )


class _ByValue:
    """One request that a responder answers."""

    def __init__(self, responder: Responder, client: ClientConnection, head: Head) -> None:
        self.room = responder.room
        self._responder = responder
        self._client = client
        self._head = head

    def begin(self, body: Body) -> Later:
        return self._responder.serve(self._client, Request(self._head, bytes(body), self._client.address))

    def refuse(self, error: ProxyError) -> None:
        self._responder.refuse(self._client, error)
