"""Uploads of hundreds of megabytes: at the pace of the slowest server, held nowhere, others served meanwhile.

The proxy is a process of its own, so that what it holds can be read. Bodies are made as they are sent.
"""

import asyncio
import functools
import hashlib
import re
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import serving
from tests.sockets.proxying import runs
from tests.sockets.raw import EMPTY_LIST, Client, Message, answer, chunk, get
from tests.sockets.running import Program, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")

KIB, MIB = 1 << 10, 1 << 20
SIZE = 256 * MIB
PIECE = bytes(256 * KIB)
MOST_GROWN = 8 * MIB
MOST_AHEAD = 48 * MIB  # that the kernel's buffers of two connections hold, far less than is sent
MOST_ASKED = 1000  # requests during an upload
PART = 200
HELD_BACK = 20  # turns without a byte that say that the client is held back
VERSION = get("/api/version")


@functools.cache
def digest() -> str:
    """Give that of what is sent."""
    found = hashlib.sha256()
    for _ in range(SIZE // len(PIECE)):
        found.update(PIECE)
    return f"sha256:{found.hexdigest()}"


class Memory:
    """What a process holds, and the most that it held since it was first asked."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        (self._folder / "clear_refs").write_text("5")  # the peak begins anew
        self._before = self._kib("VmRSS")

    @property
    def grown(self) -> int:
        """How many bytes the peak lies above what it held at first."""
        return (self._kib("VmHWM") - self._before) * KIB

    def _kib(self, name: str) -> int:
        found = re.search(rf"^{name}:\s*(\d+)", (self._folder / "status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


@dataclass
class Upload:
    """A client that makes a body of zeros as it sends it; `sent` grows with what the kernel took."""

    client: Client
    is_chunked: bool = False
    sent: int = 0

    async def run(self) -> Message:
        """Send it all, and give the answer."""
        framing = b"Transfer-Encoding: chunked" if self.is_chunked else b"Content-Length: %d" % SIZE
        await self.client.send(get(f"/api/blobs/{digest()}", framing, method=b"POST"))
        piece = chunk(PIECE) if self.is_chunked else PIECE
        self.client.writer.transport.set_write_buffer_limits(high=0)
        while self.sent < SIZE:
            await self.client.send(piece)
            self.sent += len(PIECE)
        if self.is_chunked:
            await self.client.send(chunk(b""))
        return await self.client.answer()


@asynccontextmanager
async def proxied(*ports: int) -> AsyncIterator[Program]:
    """Run the proxy in front of these ports, once it has heard of them all."""
    models = [f"--proxy=llama3.2=http://127.0.0.1:{port}" for port in ports]
    async with program("--listen=127.0.0.1:0", "--admin=off", "--log-format=json", *models) as proxy:
        await proxy.says(rf'(?s)(?:"server_up".*?){{{len(ports)}}}')
        yield proxy


def asked(port: int, is_over: threading.Event) -> list[float]:
    """Ask for the version over and over on one connection; how long each answer took, in seconds.

    A thread does this: what the servers of the test do in its loop is no fault of the proxy.
    """
    waits = list[float]()
    with socket.create_connection(("127.0.0.1", port)) as client:
        while not is_over.is_set() and len(waits) < MOST_ASKED:
            begun = time.monotonic()
            client.sendall(VERSION)
            assert client.recv(64 * KIB).startswith(b"HTTP/1.1 200 ")
            waits.append(time.monotonic() - begun)
    return waits


def p99(waits: list[float]) -> float:
    """Give that of the quietest part: whoever is held up by an upload is so all the time."""
    parts = [sorted(waits[at : at + PART]) for at in range(0, len(waits) - PART + 1, PART)]
    return min(part[PART * 99 // 100] for part in parts)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "in chunks"])
@runs
async def test_256_mib_stream_to_three_servers_while_others_are_served(is_chunked: bool) -> None:
    async with AsyncExitStack() as stack:
        ollamas = [SimulatedOllama() for _ in range(3)]
        served = [await stack.enter_async_context(serving(ollama)) for ollama in ollamas]
        proxy = await stack.enter_async_context(proxied(*(one.address.port for one in served)))
        memory, is_over = Memory(proxy.process.pid), threading.Event()
        upload = Upload(await proxy.connect(), is_chunked)
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(asyncio.to_thread(asked, await proxy.port(), is_over))
            try:
                assert (await upload.run()).status == 201
            finally:
                is_over.set()
        assert all(ollama.engine.library.has_blob(digest()) for ollama in ollamas)
        assert memory.grown < MOST_GROWN
        assert p99(asking.result()) < 0.05


class SlowServer:
    """A server that lacks every blob, and reads one when it is told to, some bytes at a time."""

    def __init__(self) -> None:
        self.may_read = asyncio.Semaphore(0)  # pieces
        self.got = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after another."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"HEAD "):
                    writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
                elif head.startswith(b"POST "):
                    await self._take(reader)
                    writer.write(answer(b"", status=b"201 Created"))
                else:
                    known = {b"/api/version": b'{"version":"0.32.15"}'}
                    writer.write(answer(known.get(head.split()[1], EMPTY_LIST)))
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        while self.got < SIZE:
            await self.may_read.acquire()
            self.got += len(await reader.readexactly(len(PIECE)))


@runs
async def test_256_mib_stream_through_to_a_slow_server_with_flat_memory() -> None:
    """The client is held back as long as the server reads nothing, then both go on at its pace."""
    slow = SlowServer()
    listening = await asyncio.start_server(slow.serve, "127.0.0.1", 0, limit=len(PIECE))
    async with listening, proxied(listening.sockets[0].getsockname()[1]) as proxy:
        memory, other = Memory(proxy.process.pid), await proxy.connect()
        upload = Upload(await proxy.connect())

        async def until_held_back(got: int) -> None:
            seen, turns = -1, 0  # of the proxy, in which it took no more
            while turns < HELD_BACK:
                turns = turns + 1 if slow.got == got and seen == upload.sent > 0 else 0
                seen = upload.sent
                assert (await other.ask(VERSION)).status == 200

        async with asyncio.TaskGroup() as tasks:
            uploading = tasks.create_task(upload.run())
            for got in range(0, SIZE, SIZE // 4):
                await until_held_back(got)
                assert upload.sent < got + MOST_AHEAD
                assert memory.grown < MOST_GROWN
                for _ in range(SIZE // 4 // len(PIECE)):
                    slow.may_read.release()
        assert uploading.result().status == 201
        assert memory.grown < MOST_GROWN
