"""Requests of our own to a server: probes, look-ups, loads.

Owns connections apart from those of clients, so that neither waits for the other.
"""

import asyncio
from typing import Final, NamedTuple

from gollamas.config.model import Server
from gollamas.errors import ServerBroke, ServerTooSlow
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from gollamas.wire.response import AnswerHead, ResponseReader

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    location: str = ""  # where it redirects to


class _Collects:
    """A sink that keeps the whole body."""

    __slots__ = ("done", "head", "pieces", "size", "why")

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.pieces: list[bytes] = []
        self.size = 0
        self.why: str | None = None
        self.head: AnswerHead | None = None

    def progress(self, reader: ResponseReader) -> None:
        if reader.is_complete:
            self.head = reader.keep_head()
        piece = reader.take()
        self.size += len(piece)
        if self.size > MAX_REPLY_BYTES:
            self.why = "its answer is longer than 64 MiB"
            self._wake()
        else:
            self.pieces.append(piece)

    def completed(self) -> None:
        self._wake()

    def broke(self, why: str) -> None:
        self.why = why
        self._wake()

    def _wake(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Ask:
    """Asks servers, over a pool of its own. `connect_timeout` is seconds."""

    def __init__(self, connect_timeout: float, user_agent: str) -> None:
        self.pool = Pool(connect_timeout, Round())
        self._user_agent = user_agent.encode()

    async def __call__(
        self,
        server: Server,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109 - part of what is asked
    ) -> Reply:
        """Send one request and return the whole answer.

        Raises ServerRefused, ServerBroke, or ServerTooSlow after `timeout` seconds, dialling included.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._ask(server, method, path, body)
        except TimeoutError as why:
            raise ServerTooSlow(f"no answer within {timeout:g} s") from why

    async def _ask(self, server: Server, method: str, path: str, body: bytes | None) -> Reply:
        kept = self.pool.of(server)
        connection = kept.take()
        is_kept = connection is not None
        if connection is None:
            connection = await kept.dial()
        head = self._head(server, method, path, body)
        sink = _Collects(asyncio.get_running_loop().create_future())
        try:
            connection.send(head, body or b"")
            connection.expect(sink, is_head_request=method == "HEAD")
            await sink.done
        except asyncio.CancelledError:
            connection.abort()
            raise
        if sink.why is not None:
            connection.abort()
            if is_kept and not sink.pieces:  # the server closed it: whatever is asked here may be asked twice
                return await self._ask(server, method, path, body)
            raise ServerBroke(sink.why)
        assert sink.head is not None  # noqa: S101 - a whole answer has a head
        location = sink.head.names.get(b"location", b"").decode(errors="replace")
        return Reply(sink.head.status, b"".join(sink.pieces), location)

    def _head(self, server: Server, method: str, path: str, body: bytes | None) -> bytes:
        lines = [
            f"{method} {server.prefix}{path} HTTP/1.1\r\nHost: {server.authority}\r\n".encode(),
            b"User-Agent: %b\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n" % self._user_agent,
        ]
        lines += [b"%b: %b\r\n" % field for field in server.fields]
        if body is not None:
            lines.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
        return b"".join((*lines, b"\r\n"))
