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
    client.write(head_of(answer.status, answer.fields, client.framing_lines(framing)))
    try:
        async for piece in pieces:
            if piece:
                client.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await _until_it_reads(client)
    except CutOff:
        client.reset()
        return
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    if is_chunked:
        client.write(b"0\r\n\r\n")


async def _until_it_reads(client: ClientConnection) -> None:
    if client.is_paused:
        client.drained = asyncio.get_running_loop().create_future()
        await client.drained
        client.drained = None


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
        self.max_body = max_body

    def on_head(self, client: ClientConnection, head: Head) -> "_ByValue":
        """Let every body in up to `max_body` bytes."""
        return _ByValue(self, client, head)

    async def serve(self, client: ClientConnection, request: Request) -> None:
        """Send what `respond` answers."""
        try:
            await self.answer(client, request)
        finally:
            client.finished()

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
        client.answer(answer.status, answer.fields, answer.body if isinstance(answer.body, bytes) else b"")


class _ByValue:
    """One request that a responder answers."""

    budget = refusal = None

    def __init__(self, responder: Responder, client: ClientConnection, head: Head) -> None:
        self.limit = responder.max_body
        self._responder = responder
        self._client = client
        self._head = head

    def begin(self, body: Body) -> Later:
        return self._responder.serve(self._client, Request(self._head, bytes(body), self._client.address))

    def refuse(self, error: ProxyError) -> None:
        self._responder.refuse(self._client, error)
