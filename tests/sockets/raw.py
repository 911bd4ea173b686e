"""A server and a client made of bytes: what the proxy is tried with from both sides.

Owns sockets, the reading of one message from either side, and what a server saw. Knows nothing of the proxy:
framing is read here by a few lines of its own, so that a fault of ours is not hidden by the same fault.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

Fields = list[tuple[bytes, bytes]]

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds
_LIMIT: Final = 1 << 26
# Of long data: what is cut into single bytes at either end, and the pieces between.
_END_BYTES: Final = 2048
_PIECE_BYTES: Final = 97
EMPTY_LIST: Final = b'{"models":[]}'
# What an own answer of the proxy always differs in: who it is, when it was.
OURS: Final = frozenset({b"x-request-id", b"x-gollamas-server", b"date"})


def split_fields(head: bytes) -> Fields:
    """Split the field lines of a head, which has no start line any more."""
    lines = [line.partition(b":") for line in head.split(b"\r\n") if line]
    return [(name, value.strip()) for name, _, value in lines]


@dataclass
class Message:
    """A request as a server got it, or an answer as a client got it. `raw` is the head as it came."""

    start: bytes
    fields: Fields
    body: bytes = b""
    raw: bytes = b""
    is_whole: bool = True
    chunks: list[bytes] | None = None

    @property
    def status(self) -> int:
        """An answer's status."""
        return int(self.start.split(b" ")[1])

    @property
    def path(self) -> bytes:
        """A request's target."""
        return self.start.split(b" ")[1]

    def all(self, name: bytes) -> list[bytes]:
        """Give every value of a field, whose name is given in lower case."""
        return [value for known, value in self.fields if known.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """Give the one value of a field; a field that is there twice is a failure."""
        found = self.all(name)
        assert len(found) < 2, f"{name!r} is there {len(found)} times"
        return found[0] if found else None

    def end_to_end(self, without: Iterable[bytes] = ()) -> Fields:
        """Give the fields without framing, without ours, and without those that are named."""
        dropped = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", *OURS, *without}
        return sorted((name.lower(), value) for name, value in self.fields if name.lower() not in dropped)


async def read_message(reader: asyncio.StreamReader, *, has_body: bool = True) -> Message:
    """Read one message; one that ends with its connection in the middle has `is_whole` False."""
    raw = await reader.readuntil(b"\r\n\r\n")
    start, _, rest = raw.partition(b"\r\n")
    message = Message(start, split_fields(rest), raw=raw)
    is_answer = start.startswith(b"HTTP/")
    if not has_body or (is_answer and (message.status in (204, 304) or message.status < 200)):
        return message
    try:
        if message.get(b"transfer-encoding") == b"chunked":
            await _read_chunks(reader, message)
        elif (length := message.get(b"content-length")) is not None:
            message.body = await reader.readexactly(int(length))
        elif is_answer:
            message.body = await reader.read()
    except asyncio.IncompleteReadError as why:
        message.body += why.partial
        message.is_whole = False
    except ConnectionError:
        message.is_whole = False
    return message


async def _read_chunks(reader: asyncio.StreamReader, message: Message) -> None:
    message.chunks = []
    while True:
        line = (await reader.readuntil(b"\r\n"))[:-2]
        size = int(line, 16)
        assert line == b"%x" % size, f"a chunk's size line with more than its size: {line!r}"
        if size:
            piece = await reader.readexactly(size)
            message.body += piece
            message.chunks.append(piece)
        end = await reader.readexactly(2)
        assert end == b"\r\n", "a chunk without its line end, or a trailer"
        if not size:
            return


class Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.socket: Any = writer.get_extra_info("socket")

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait until the kernel has them."""
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def drip(self, pieces: Iterable[bytes]) -> None:
        """Send pieces one by one; the other side's loop turns between any two."""
        for piece in pieces:
            if self.writer.transport.is_closing():
                return
            await self.send(piece)
            await asyncio.sleep(0)

    async def gone(self) -> bytes:
        """Wait until the other side has ended the connection; give what it sent before."""
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := await self.reader.read(1 << 16):
                found += piece
        return found

    async def was_reset(self) -> bool:
        """Wait for the end and tell whether it was a reset."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionResetError:
            return True
        return False

    def close(self) -> None:
        """End with FIN."""
        self.writer.close()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.writer.write_eof()

    def reset(self) -> None:
        """End with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


class Client(Peer):
    """A client of the proxy."""

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT))

    async def answer(self, *, to_head: bool = False) -> Message:
        """Read one answer."""
        return await read_message(self.reader, has_body=not to_head)

    async def ask(self, data: bytes, *, to_head: bool = False) -> Message:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer(to_head=to_head)

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; False when more bytes come instead."""
        return await self.gone() == b""


Handler = Callable[[Message, Peer], Awaitable[None]]


def says(raw: bytes) -> Handler:
    """Answer every request with these bytes; the connection stays open."""

    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(raw)

    return handler


def says_in_order(*raws: bytes) -> Handler:
    """Answer each request with the next of these; none left is a failure that closes."""
    left = list(raws)

    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(left.pop(0))

    return handler


def breaks_off(raw: bytes) -> Handler:
    """Answer with these bytes and close."""

    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(raw)
        peer.close()

    return handler


class SaysLater:
    """Answers every request with these bytes, but not before `goes_on`; `came` is told of each."""

    def __init__(self, raw: bytes) -> None:
        self.came: asyncio.Queue[None] = asyncio.Queue()
        self.goes_on = asyncio.Event()
        self._raw = raw

    async def __call__(self, _: Message, peer: Peer) -> None:
        self.came.put_nowait(None)
        await self.goes_on.wait()
        await peer.send(self._raw)


async def hangs(_: Message, peer: Peer) -> None:
    """Answer nothing until the other side leaves."""
    await peer.gone()


def answer(body: bytes = b'{"done":true}', *, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    """Make an answer of known length."""
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\n%bContent-Length: %d\r\n\r\n%b"
        % (status, more, len(body), body)
    )


def chunk(data: bytes) -> bytes:
    """Make one chunk; empty is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked_head(content_type: bytes = b"application/x-ndjson") -> bytes:
    """Make the head of a stream."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % content_type


def byte_by_byte(data: bytes) -> list[bytes]:
    """Cut into single bytes; the middle of what is long, which is more of the same, into short pieces."""
    first, last = min(_END_BYTES, len(data)), max(_END_BYTES, len(data) - _END_BYTES)
    middle = (data[at : min(at + _PIECE_BYTES, last)] for at in range(first, last, _PIECE_BYTES))
    return [*(b"%c" % byte for byte in data[:first]), *middle, *(b"%c" % byte for byte in data[last:])]


def post(path: str, body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """Make a request with a body of known length."""
    lines = b"".join(line + b"\r\n" for line in fields)
    return b"POST %b HTTP/%b\r\nHost: localhost\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path.encode(),
        version,
        len(body),
        lines,
        body,
    )


def get(path: str, *fields: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """Make a request without a body."""
    lines = b"".join(line + b"\r\n" for line in fields)
    return b"%b %b HTTP/%b\r\nHost: localhost\r\n%b\r\n" % (method, path.encode(), version, lines)


@dataclass
class RawServer:
    """An upstream: probes are answered by what it has, all else by `handler`, and everything is counted.

    Loads of the proxy's own go to `loader`, which by default answers at once that the model is loaded; its
    questions about a model are answered by `shown`.
    """

    name: str = "one"
    handler: Handler = field(default_factory=lambda: says(answer()))
    version: bytes | None = b"0.32.15"  # None: probes hang
    tags: bytes = EMPTY_LIST
    ps: bytes = EMPTY_LIST
    loader: Handler = field(default_factory=lambda: says(answer(b'{"done":true}')))
    shown: bytes = answer(b'{"error":"not told"}', status=b"500 Internal Server Error")
    requests: list[Message] = field(default_factory=list)
    loads: list[Message] = field(default_factory=list)
    shows: int = 0
    probes: list[bytes] = field(default_factory=list)  # their paths
    connections: int = 0  # that a request came on
    port: int = 0
    prefix: str = ""  # of its URL, as configured
    fields: tuple[tuple[bytes, bytes], ...] = ()  # configured for it

    async def __aenter__(self) -> Self:
        self._peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        await self.open()
        return self

    async def open(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_LIMIT, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections, and end those that are open."""
        self._server.close()
        for peer in tuple(self._peers):
            peer.writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aexit__(self, *_: object) -> None:
        await self.shut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 1)

    @property
    def hits(self) -> int:
        """How many requests came that were no probes."""
        return len(self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = Peer(reader, writer)
        self._peers.add(peer)
        self._tasks.add(task)
        counted = False
        try:
            while not writer.transport.is_closing():
                request = await read_message(reader)
                if not request.is_whole:
                    return
                if request.start.startswith(b"GET /api/"):
                    await self._probe(request.path, peer)
                    continue
                if b"gollamas/" in (request.get(b"user-agent") or b""):
                    await self._asked_by_the_proxy(request, peer)
                    continue
                self.connections += not counted
                counted = True
                self.requests.append(request)
                await self.handler(request, peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled by `shut` only
        finally:
            writer.close()
            self._peers.discard(peer)
            self._tasks.discard(task)

    async def _asked_by_the_proxy(self, request: Message, peer: Peer) -> None:
        if request.path == b"/api/show":
            self.shows += 1
            await peer.send(self.shown)
            return
        self.loads.append(request)
        await self.loader(request, peer)

    async def _probe(self, path: bytes, peer: Peer) -> None:
        self.probes.append(path)
        if self.version is None:
            await peer.gone()
            return
        bodies = {
            b"/api/version": b'{"version":"%b"}' % self.version,
            b"/api/tags": self.tags,
            b"/api/ps": self.ps,
        }
        await peer.send(answer(bodies[path]))
