"""A client that does not read stops its server; what is held of its stream is bounded and nothing is lost."""

import asyncio
import hashlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gollamas.events import End, RequestEnded
from gollamas.net.downstream import ClientConnection
from tests.sockets.proxying import ROUTED, Running, one_server, runs
from tests.sockets.raw import Message, Peer, answer, chunk, chunked_head, get, post, says

BODY = b'{"model":"llama3.2"}'
HELD = 128 * 1024
TOTAL = 64 << 20  # more than all socket buffers of both connections can take
LINE = b'{"model":"llama3.2","response":"' + b"a" * 8000 + b'"}\n'


class Flood:
    """A server's handler that sends a body as fast as it is taken, and counts what the kernel took."""

    def __init__(
        self, head: bytes, pieces: Callable[[], Iterator[bytes]], end: bytes = b"", *, closes: bool = False
    ) -> None:
        self._closes = closes
        self._head = head
        self._pieces = pieces
        self._end = end
        self.peer: Peer | None = None
        self.written = 0
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __call__(self, _: Message, peer: Peer) -> None:
        self.peer = peer
        peer.writer.transport.set_write_buffer_limits(high=0)
        try:
            for piece in (self._head, *self._pieces(), self._end):
                if peer.writer.transport.is_closing():
                    return
                self.written += len(piece)
                peer.writer.write(piece)
                await peer.writer.drain()
        except ConnectionError:
            self.left.set_result(None)
            raise
        if self._closes:
            peer.close()

    @property
    def taken(self) -> int:
        """How many bytes the kernel has taken."""
        assert self.peer is not None
        return self.written - self.peer.writer.transport.get_write_buffer_size()


def length_flood() -> Flood:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % TOTAL
    return Flood(head, lambda: (b"b" * 65536 for _ in range(TOTAL // 65536)))


def chunk_flood() -> Flood:
    return Flood(chunked_head(), lambda: (chunk(LINE) for _ in range(TOTAL // len(LINE))), chunk(b""))


def close_flood() -> Flood:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
    return Flood(head, lambda: (LINE for _ in range(TOTAL // len(LINE))), closes=True)


FLOODS = {"length": length_flood, "chunked": chunk_flood, "until close": close_flood}


@asynccontextmanager
async def stalled(proxy: Running, data: bytes) -> AsyncIterator[socket.socket]:
    """Send a request and read nothing of its answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
        await loop.sock_sendall(sock, data)
        yield sock


async def settled(flood: Flood) -> int:
    """Wait until the flood has stopped for 0.2 s; nothing else announces that. Give what was taken."""
    same, last = 0, -1
    while same < 10:
        await asyncio.sleep(0.02)
        now = flood.taken if flood.peer is not None else -1
        same = same + 1 if now == last and now > 0 else 0
        last = now
    return last


def in_kernel(*ports: int) -> int:
    """How many bytes wait in sockets of connections that have one of these ports at an end."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if {int(local[-4:], 16), int(remote[-4:], 16)} & set(ports):
            waiting += sum(int(queue, 16) for queue in queues.split(":"))
    return waiting


async def read_all(sock: socket.socket) -> bytes:
    """Read up to the end of one answer's connection."""
    loop = asyncio.get_running_loop()
    pieces = []
    while piece := await loop.sock_recv(sock, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's queues are read from /proc")
@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("model", [ROUTED, "gpt-4o"])
@runs
async def test_at_most_128_kib_of_a_stalled_stream_are_held(kind: str, model: str) -> None:
    async with one_server(aliases={"gpt-4o": ROUTED}) as (server, proxy):
        server.handler = flood = FLOODS[kind]()
        async with stalled(proxy, post("/api/generate", b'{"model":"%b"}' % model.encode())) as sock:
            taken = await settled(flood)
            assert flood.peer is not None
            held = taken - in_kernel(sock.getsockname()[1], flood.peer.socket.getpeername()[1])
            assert taken < TOTAL / 2
            assert held < HELD, f"{held} bytes are neither sent nor in the kernel"


@pytest.mark.parametrize("kind", FLOODS)
@runs
async def test_a_stalled_stream_goes_on_when_its_client_reads_and_loses_nothing(kind: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = flood = FLOODS[kind]()
        async with stalled(proxy, post("/api/generate", BODY, b"Connection: close")) as sock:
            await settled(flood)
            head, _, body = (await read_all(sock)).partition(b"\r\n\r\n")
            assert b"Connection: close" in head
            assert digest(kind, body) == digest(kind, expected(kind))
            event = await proxy.events.ended()
            assert event.end is End.DONE
            assert event.bytes_out == len(expected(kind))


def expected(kind: str) -> bytes:
    if kind == "length":
        return b"b" * TOTAL
    return LINE * (TOTAL // len(LINE))


def digest(kind: str, body: bytes) -> str:
    """Tell a body, its chunks undone where it has some."""
    if kind != "length" and not body.startswith(b"{"):
        pieces, at = [], 0
        while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
            pieces.append(body[end + 2 : end + 2 + size])
            at = end + 2 + size + 2
        assert body[end:] == b"\r\n\r\n"
        body = b"".join(pieces)
    return hashlib.sha256(body).hexdigest()


@runs
async def test_a_stalled_client_does_not_hold_another_one_up() -> None:
    async with one_server() as (server, proxy):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)):
            await settled(flood)
            assert (await proxy.ask(get("/"))).status == 200


def send_little(proxy: Running) -> None:
    """Have the kernel take little for clients to come."""
    assert proxy.app._listener is not None
    for sock in proxy.app._listener._servers[0].sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # what is accepted inherits it


def only_client(proxy: Running) -> ClientConnection:
    assert proxy.app._listener is not None
    (client,) = proxy.app._listener.clients.live
    return client


@runs
async def test_answers_of_our_own_do_not_pile_up_for_a_client_that_does_not_read() -> None:
    loop = asyncio.get_running_loop()
    async with one_server() as (_, proxy):
        send_little(proxy)
        async with stalled(proxy, get("/") * 5000) as sock:
            await proxy.events.until(lambda: only_client(proxy).is_paused)
            answered = still = 0
            while still < 300:  # the kernel may take more for a while
                await asyncio.sleep(0)
                before, answered = answered, len(proxy.events.of(RequestEnded))
                still = still + 1 if answered == before else 0
            assert answered < 2500
            seen, rest, text = 0, b"", b"Ollama is running"
            while seen < 5000:
                *whole, rest = (rest + await loop.sock_recv(sock, 1 << 16)).split(text)
                seen += len(whole)


@runs
async def test_a_last_answer_is_whole_whatever_its_client_has_sent_behind_the_request() -> None:
    big = answer(b"a" * 2_000_000)
    more = post("/api/chat", b'{"model":"llama3.2","x":"%b"}' % (b"x" * 30_000))
    async with one_server() as (server, proxy):
        server.handler = says(big)
        loop = asyncio.get_running_loop()
        async with stalled(proxy, post("/api/chat", BODY, b"Connection: close")) as sock:
            sent = 0
            try:
                async with asyncio.timeout(1):  # until nobody takes any more
                    while sent < 40:
                        await loop.sock_sendall(sock, more)
                        sent += 1
            except TimeoutError:
                pass
            assert (await read_all(sock)).count(b"a" * 1000) == 2000


@runs
async def test_a_connection_serves_on_whose_last_answer_waits_for_its_client() -> None:
    """An answer may end while its client is behind: nobody tells the connection when it has caught up."""
    async with one_server() as (server, proxy):
        send_little(proxy)
        server.handler = says(answer(b"a" * 1_000_000))
        loop = asyncio.get_running_loop()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            while not proxy.events.of(RequestEnded):
                assert await loop.sock_recv(sock, 4096)
            assert only_client(proxy).is_paused
            server.handler = says(answer())
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
            assert server.connections == 1


@runs
async def test_a_stalled_client_that_is_gone_is_seen_at_the_next_write() -> None:
    async with one_server() as (server, proxy):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await settled(flood)
            sock.close()
            await flood.left
            assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@runs
async def test_a_client_that_stalls_for_too_long_is_cut_and_its_server_let_go() -> None:
    async with one_server(write_timeout=0.3) as (server, proxy):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await flood.left
            event = await proxy.events.ended()
            assert (event.end, event.error) == (End.TIMED_OUT, "the client took nothing for 0.3 s")
            with pytest.raises(ConnectionResetError):
                await read_all(sock)


@runs
async def test_a_client_that_reads_slowly_but_steadily_is_not_cut() -> None:
    async with one_server(write_timeout=0.4) as (server, proxy):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await settled(flood)
            loop = asyncio.get_running_loop()
            began = loop.time()
            while loop.time() - began < 1.2:
                for _ in range(16):
                    assert await loop.sock_recv(sock, 1 << 16)
                await asyncio.sleep(0.01)
            assert not flood.left.done()


@pytest.mark.skipif(sys.platform != "linux", reason="what the kernel holds is told elsewhere, or not at all")
@runs
async def test_what_the_kernel_still_holds_for_a_slow_client_counts_as_read_when_it_goes() -> None:
    """The kernel asks for more only when a third of its buffer is free: at this pace after seconds."""
    async with one_server(write_timeout=0.6) as (server, proxy):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await settled(flood)
            loop = asyncio.get_running_loop()
            began, (client,) = loop.time(), proxy.app._listener.clients.live  # type: ignore[union-attr]
            unsent = client._transport.get_write_buffer_size()
            while loop.time() - began < 1.5:
                assert await loop.sock_recv(sock, 1 << 12)
                await asyncio.sleep(0.01)
            assert client._transport.get_write_buffer_size() == unsent  # only the kernel has sent
            assert not flood.left.done()


@runs
async def test_a_client_that_sends_on_while_it_is_answered_is_held_up() -> None:
    began = asyncio.get_running_loop().create_future()

    async def hang(_: Message, peer: Peer) -> None:
        began.set_result(None)
        await peer.gone()

    async with one_server() as (server, proxy):
        server.handler = hang
        client = await proxy.connect()
        client.writer.transport.set_write_buffer_limits(high=0)
        await client.send(post("/api/chat", BODY))
        await began
        sent = 0
        more = get("/") * 4000
        try:
            while sent < TOTAL:
                client.writer.write(more)
                sent += len(more)
                async with asyncio.timeout(0.3):
                    await client.writer.drain()
        except TimeoutError:
            pass
        assert sent < TOTAL


@pytest.mark.parametrize("kind", ["chunked", "length"])
@runs
async def test_a_server_that_breaks_off_while_its_client_stalls_loses_nothing_that_was_read(
    kind: str,
) -> None:
    async with one_server() as (server, proxy):
        server.handler = flood = FLOODS[kind]()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await settled(flood)
            assert flood.peer is not None
            flood.peer.reset()
            head, _, body = (await read_all(sock)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            if kind == "chunked":
                assert b'{"error":"' in body[-400:]
                assert not body.endswith(b"\r\n0\r\n\r\n")
            assert 1 << 20 < len(body) < TOTAL
            assert (await proxy.events.ended()).end is End.SERVER_BROKE
