"""A server that keeps what is sent of a blob, byte for byte, and how each of its connections ended.

Owns nothing but that: no digest is checked, and what is kept of a body is its framing too.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from gollamas.config.model import Expose, Manage
from tests.sockets.proxying import Running, in_front_of, opened
from tests.sockets.raw import Message, Peer, RawServer, get

OPEN: Final[dict[str, Any]] = {"manage": Manage.ALL, "expose": Expose.INSTALLED, "probe_interval": 60.0}
BLOB: Final = b"GGUF" + bytes(range(256)) * 1000
DIGEST: Final = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
PATH: Final = f"/api/blobs/{DIGEST}"
LAST_CHUNK: Final = b"0\r\n\r\n"
MADE: Final = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
MISSING: Final = b"HTTP/1.1 404 Not Found\r\n\r\n"
THERE: Final = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass
class Upload:
    """One POST of a blob, as a server got it."""

    head: Message
    raw: bytearray = field(default_factory=bytearray)  # of the body, with its framing
    is_whole: bool = False
    was_reset: bool | None = None  # once its connection has ended before it was whole
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # whole, or cut

    @property
    def body(self) -> bytes:
        """What the body says, without its framing."""
        if self.head.get(b"transfer-encoding") is None:
            return bytes(self.raw)
        found, rest = b"", bytes(self.raw)
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return found

    def is_all_there(self) -> bool:
        """Whether what ends the body has come."""
        length = self.head.get(b"content-length")
        if length is not None:
            return len(self.raw) >= int(length)
        return self.raw.endswith(LAST_CHUNK)


@dataclass
class BlobServer(RawServer):
    """A server that has the blob or lacks it; `says` is what it answers to one that is whole.

    While `reads` is not set it takes nothing of a body; where `early` is, it says that before it has all.
    """

    had: bool = False
    says: bytes = MADE
    early: bytes = b""
    missing: bytes = MISSING
    heads: list[Message] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)  # whether it has the blob
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()
        self.reads.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = Peer(reader, writer)
        self._peers.add(peer)
        self._tasks.add(task)
        try:
            while not writer.transport.is_closing():
                raw = await reader.readuntil(b"\r\n\r\n")
                start, _, rest = raw.partition(b"\r\n")
                fields = [line.partition(b": ") for line in rest.split(b"\r\n") if line]
                head = Message(start, [(name, value) for name, _, value in fields], raw=raw)
                if start.startswith(b"GET"):
                    await self._probe(head.path, peer)
                elif start.startswith(b"HEAD"):
                    self.heads.append(head)
                    self.asked.set()
                    await self.answers.wait()
                    await peer.send(THERE if self.had else self.missing)
                else:
                    await self._take(head, peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # cancelled by `shut` only
        finally:
            writer.close()
            self._peers.discard(peer)
            self._tasks.discard(task)

    async def _take(self, head: Message, peer: Peer) -> None:
        upload = Upload(head)
        self.uploads.append(upload)
        self.began.set()
        if not self.reads.is_set():
            reading: Any = peer.writer.transport
            reading.pause_reading()
            await self.reads.wait()
            reading.resume_reading()
        if self.early:
            await peer.send(self.early)
        try:
            while not upload.is_all_there():
                piece = await peer.reader.read(1 << 16)
                if not piece:
                    upload.was_reset = False
                    return
                upload.raw += piece
            upload.is_whole = True
            upload.ended.set()
            await peer.send(self.says)
        except ConnectionResetError:
            upload.was_reset = True
            raise
        finally:
            upload.ended.set()

    async def upload(self, number: int = 0) -> Upload:
        """Wait for an upload to begin and to end, one way or the other."""
        while len(self.uploads) <= number:
            self.began.clear()
            await self.began.wait()
        upload = self.uploads[number]
        await upload.ended.wait()
        return upload

    async def got(self, size: int, number: int = 0) -> Upload:
        """Wait until so many bytes of an upload have come."""
        while len(self.uploads) <= number or len(self.uploads[number].raw) < size:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
        return self.uploads[number]


@asynccontextmanager
async def blob_servers(*servers: BlobServer, **options: Any) -> AsyncIterator[Running]:
    """Open servers for blobs and a proxy in front of them, by default one that lets clients change all."""
    async with opened(*servers), in_front_of(*servers, **{**OPEN, **options}) as proxy:
        yield proxy


def chunks(body: bytes, size: int = 100_000) -> bytes:
    """Make chunks of a body, without the last one."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def chunked(body: bytes, size: int = 100_000, path: str = PATH, *fields: bytes) -> bytes:
    """Make an upload in chunks."""
    return head_of(b"Transfer-Encoding: chunked", *fields, path=path) + chunks(body, size) + LAST_CHUNK


def head_of(*fields: bytes, path: str = PATH, version: bytes = b"1.1") -> bytes:
    """Make the head of an upload."""
    return get(path, *fields, method=b"POST", version=version)


def path_of(body: bytes) -> str:
    """Say where a blob is uploaded."""
    return f"/api/blobs/sha256:{hashlib.sha256(body).hexdigest()}"


def error_in(got: Message) -> str:
    """Give the words of an error."""
    text: str = json.loads(got.body)["error"]
    return text
