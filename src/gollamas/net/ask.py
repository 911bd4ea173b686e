"""Requests of our own to a server: probes, look-ups, loads.

Owns connections apart from those of clients, so that neither waits for the other. What may be asked twice is;
what changes a server is sent once, whatever becomes of it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from gollamas.config.model import Server
from gollamas.errors import ServerBroke, ServerTooSlow
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection, Sink
from gollamas.wire.response import AnswerHead, ResponseReader

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 1024 * 1024


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    location: str = ""  # where it redirects to
    content_type: bytes = b""


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


class _Lines(_Collects):
    """A sink that gives the lines of a 200 as they come, and keeps the body of any other answer.

    What follows the last line end is kept as well.
    """

    __slots__ = ("_on_line",)

    def __init__(self, done: asyncio.Future[None], on_line: Callable[[bytes], None]) -> None:
        super().__init__(done)
        self._on_line = on_line

    def progress(self, reader: ResponseReader) -> None:
        super().progress(reader)
        if reader.status != 200 or b"\n" not in self.pieces[-1]:
            if reader.status == 200 and self.size > _LONGEST_LINE:
                self.broke("a line of its answer is longer than 1 MiB")
            return
        *lines, rest = b"".join(self.pieces).split(b"\n")
        self.pieces, self.size = [rest], len(rest)
        for line in lines:
            self._on_line(line)


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
        sink = _Collects(asyncio.get_running_loop().create_future())
        head = self._head(server, method, path, body)
        try:
            return await _answered(connection, head, body or b"", sink, is_head=method == "HEAD")
        except ServerBroke:
            if is_kept and not sink.pieces:  # the server closed it: whatever is asked here may be asked twice
                return await self._ask(server, method, path, body)
            raise

    async def once(
        self, server: Server, method: str, path: str, body: bytes, on_line: Callable[[bytes], None]
    ) -> Reply:
        """Send one request that changes the server, over a connection of its own and never again.

        `on_line` is called with each line of a 200 as it comes, without its end; what is returned has the
        rest. There is no limit of time. Raises ServerRefused where nothing was sent, ServerBroke where it is
        not known what the server did.
        """
        connection = await self.pool.of(server).dial()
        sink = _Lines(asyncio.get_running_loop().create_future(), on_line)
        head = self._head(server, method, path, body, b"Connection: close\r\n")
        return await _answered(connection, head, body, sink)

    async def begin(
        self, server: Server, path: str, length: int | None, sink: Sink, room: Callable[[], None]
    ) -> ServerConnection:
        """Begin a POST whose body is written piece by piece, over a connection of its own.

        Without a `length` it goes out in chunks, which whoever writes makes. Raises ServerRefused.
        """
        connection = await self.pool.of(server).dial()
        framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
        more = b"Connection: close\r\nContent-Type: application/octet-stream\r\n%b\r\n" % framing
        connection.begin(self._head(server, "POST", path, None, more), room)
        connection.expect(sink)
        return connection

    def _head(self, server: Server, method: str, path: str, body: bytes | None, more: bytes = b"") -> bytes:
        lines = [
            f"{method} {server.prefix}{path} HTTP/1.1\r\nHost: {server.authority}\r\n".encode(),
            more,
            b"User-Agent: %b\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n" % self._user_agent,
        ]
        lines += [b"%b: %b\r\n" % field for field in server.fields]
        if body is not None:
            lines.append(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body))
        return b"".join((*lines, b"\r\n"))


async def _answered(
    connection: ServerConnection, head: bytes, body: bytes, sink: _Collects, *, is_head: bool = False
) -> Reply:
    """Send a request and wait for its whole answer; raises ServerBroke."""
    try:
        connection.send(head, body)
        connection.expect(sink, is_head_request=is_head)
        await sink.done
    except asyncio.CancelledError:
        connection.abort()
        raise
    if sink.why is not None:
        connection.abort()
        raise ServerBroke(sink.why)
    assert sink.head is not None  # noqa: S101 - a whole answer has a head
    names = sink.head.names
    location = names.get(b"location", b"").decode(errors="replace")
    return Reply(sink.head.status, b"".join(sink.pieces), location, names.get(b"content-type", b""))
