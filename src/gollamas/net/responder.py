"""A service whose answers are values: for the admin port and the simulated server.

Owns the way from a request to its answer, and the sending of one that is made piece by piece.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gollamas.errors import ProxyError
from gollamas.net.contracts import Later
from gollamas.net.downstream import ClientConnection, head_of
from gollamas.wire.message import Answer, Body, CutOff, Head, Request


async def send(client: ClientConnection, answer: Answer) -> None:
    """Send an answer, whole or piece by piece as its iterator gives them."""
    pieces = answer.body
    if isinstance(pieces, bytes):
        client.answer(answer.status, answer.fields, pieces)
        return
    head = client.head
    is_chunked = head is None or not head.is_http10
    if not is_chunked:
        client.keep_alive = False
    framing = b"Transfer-Encoding: chunked\r\n" if is_chunked else b""
    transport = client.transport
    transport.write(head_of(answer.status, answer.fields, client.framing_lines(framing)))
    try:
        async for piece in pieces:
            if piece:
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await _until_it_reads(client)
    except CutOff:
        client.reset()
        return
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    if is_chunked:
        transport.write(b"0\r\n\r\n")


async def _until_it_reads(client: ClientConnection) -> None:
    if client.is_paused:
        client.drained = asyncio.get_running_loop().create_future()
        await client.drained
        client.drained = None


class Responder:
    """A service whose answers are values: `respond` makes one of each request, errors look like `refuse`."""

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Answer]],
        refuse: Callable[[ProxyError], Answer],
        max_body: int,
    ) -> None:
        self._respond = respond
        self._refuse = refuse
        self._max_body = max_body

    def on_head(self, head: Head, is_whole: bool) -> int:  # noqa: ARG002 - every route has one limit
        """Let every body in up to `max_body` bytes."""
        return self._max_body

    def serve(self, client: ClientConnection, head: Head, body: Body) -> Later:
        """Send what `respond` answers."""
        return self._serve(client, Request(head, bytes(body), client.address))

    async def _serve(self, client: ClientConnection, request: Request) -> None:
        try:
            await self.answer(client, request)
        finally:
            client.finished()

    async def answer(self, client: ClientConnection, request: Request) -> None:
        """Answer one request; whoever serves other answers than values overrides this."""
        try:
            answer = await self._respond(request)
        except ProxyError as error:
            answer = self._refuse(error)
        await send(client, answer)

    def refusal(self, error: ProxyError, head: Head | None, client: ClientConnection) -> Answer:  # noqa: ARG002
        """Say why a request was not read to its end."""
        return self._refuse(error)
