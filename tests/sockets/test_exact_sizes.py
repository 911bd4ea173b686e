"""What is held of a client or a server, at its exact limit: one byte less, as many, one more."""

import asyncio
import select
import socket
import sys
from mmap import mmap

import pytest

from gollamas.config.model import Server
from gollamas.errors import ProxyError, ServerBroke
from gollamas.net.answering import send_answer
from gollamas.net.ask import MAX_REPLY_BYTES, Ask
from gollamas.net.downstream import MAX_HELD_BYTES, ClientConnection
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from gollamas.wire.message import LARGE_BYTES, Body, Head
from gollamas.wire.response import ResponseReader
from tests.sockets.proxying import Running, a_server, one_server, runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, chunk, chunked_head, get, post
from tests.sockets.serving import Asked, serving
from tests.sockets.test_backpressure import in_kernel

BODY = b'{"model":"llama3.2"}'
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's queues are read from /proc")
around = pytest.mark.parametrize("more", [-1, 0, 1], ids=["one byte less", "as many", "one byte more"])


def padded(size: int, path: str = "/api/chat", model: bytes = b"llama3.2") -> bytes:
    """Make a request of so many bytes, head and all."""
    for rest in range(size - 200, size):
        body = b'{"model":"%b","x":"' % model
        made = post(path, body + b"x" * (rest - len(body) - 2) + b'"}')
        if len(made) == size:
            return made
    raise AssertionError(size)


class Answers:
    """A server's handler that answers when it is told to."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[None] = asyncio.Queue()
        self.goes_on = asyncio.Semaphore(0)

    async def __call__(self, _: Message, peer: Peer) -> None:
        self.came.put_nowait(None)
        await self.goes_on.acquire()
        await peer.send(answer())


def port_of(client: Client) -> int:
    port = client.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


async def is_read(client: Client) -> None:
    """Wait until the proxy has read all that a client sent."""
    while in_kernel(port_of(client)):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


async def is_left_unread(proxy: Running, client: Client) -> bool:
    """Whether the proxy leaves some of what a client sent: others are served meanwhile."""
    for _ in range(3):
        assert (await proxy.ask(get("/"))).status == 200
    return in_kernel(port_of(client)) > 0


@linux_only
@around
@runs
async def test_64_kib_are_read_ahead_of_a_client_and_what_lies_behind_waits_in_the_kernel(more: int) -> None:
    async with one_server() as (server, proxy):
        server.handler = answers = Answers()
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await answers.came.get()
        await client.send(padded(MAX_HELD_BYTES + more))
        await is_read(client)
        await client.send(b"G")
        assert await is_left_unread(proxy, client) is (more > 0)
        answers.goes_on.release()
        assert (await client.answer()).status == 200
        await answers.came.get()
        await is_read(client)  # whatever it was, it goes on behind the next request
        answers.goes_on.release()
        assert (await client.answer()).status == 200
        assert (await client.ask(get("/")[1:])).body == b"Ollama is running"
        assert [len(request.body) > 64_000 for request in server.requests] == [False, True]


@linux_only
@around
@runs
async def test_reading_goes_on_when_no_more_than_64_kib_are_left_behind_the_next_request(more: int) -> None:
    async with one_server() as (server, proxy):
        server.handler = answers = Answers()
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await answers.came.get()
        await client.send(post("/api/chat", BODY) + padded(MAX_HELD_BYTES + more))
        await is_read(client)
        await client.send(b"G")
        assert await is_left_unread(proxy, client)
        answers.goes_on.release()
        assert (await client.answer()).status == 200
        await answers.came.get()  # the second is parsed, the third is left
        assert await is_left_unread(proxy, client) is (more > 0)
        for _ in range(2):
            answers.goes_on.release()
            assert (await client.answer()).status == 200
        assert (await client.ask(get("/")[1:])).body == b"Ollama is running"


@linux_only
@around
@runs
async def test_behind_its_last_answer_a_client_lingers_that_has_more_than_64_kib_under_way(more: int) -> None:
    """Else the kernel has nothing of it that would reset the connection, and it is closed."""
    async with one_server() as (server, proxy):
        server.handler = answers = Answers()
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY, b"Connection: close"))
        await answers.came.get()
        assert proxy.app._listener is not None
        live = proxy.app._listener.clients.live
        (connection,) = (one for one in live if one.is_busy)
        await client.send(b"a" * (MAX_HELD_BYTES + more))
        await is_read(client)
        answers.goes_on.release()
        assert (await client.answer()).status == 200
        assert await client.gone() == b""
        assert (await proxy.ask(get("/"))).status == 200
        assert (connection in live) is (more > 0)


# -- a probe's answer ----------------------------------------------------------------------------------


class Sends:
    """A server's handler that sends an answer of so many bytes, and counts what was taken of it."""

    def __init__(self, size: int, *, is_chunked: bool) -> None:
        self._size = size
        self._is_chunked = is_chunked
        self.sent = 0

    async def __call__(self, _: Message, peer: Peer) -> None:
        peer.writer.transport.set_write_buffer_limits(high=0)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._size
        await peer.send(chunked_head() if self._is_chunked else head)
        while self.sent < self._size and not peer.writer.transport.is_closing():
            piece = b"a" * min(1 << 20, self._size - self.sent)
            await peer.send(chunk(piece) if self._is_chunked else piece)
            self.sent += len(piece)
        if self._is_chunked:
            await peer.send(chunk(b""))


@around
@pytest.mark.parametrize("is_chunked", [False, True])
@runs
async def test_64_mib_of_a_probes_answer_are_read(more: int, is_chunked: bool) -> None:
    async with RawServer(handler=Sends(MAX_REPLY_BYTES + more, is_chunked=is_chunked)) as server:
        ask = Ask(3.0, "test")
        if more > 0:
            with pytest.raises(ServerBroke, match="longer than 64 MiB"):
                await ask(a_server(server), "GET", "/large", timeout=20)
        else:
            reply = await ask(a_server(server), "GET", "/large", timeout=20)
            assert (reply.status, len(reply.body)) == (200, MAX_REPLY_BYTES + more)
        ask.pool.close()


@runs
async def test_an_endless_answer_to_a_probe_ends_where_it_is_too_long() -> None:
    sends = Sends(16 * MAX_REPLY_BYTES, is_chunked=True)
    async with RawServer(handler=sends) as server:
        ask = Ask(3.0, "test")
        with pytest.raises(ServerBroke, match="longer than 64 MiB"):
            await ask(a_server(server), "GET", "/large", timeout=20)
        while server._peers:  # noqa: ASYNC110 - no event tells that it has seen the end
            await asyncio.sleep(0)
        assert sends.sent < MAX_REPLY_BYTES + (16 << 20)  # what sockets hold
        assert not ask.pool.open


# -- large bodies --------------------------------------------------------------------------------------


class Notes:
    """A service that notes how bodies came."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []

    def on_head(self, client: ClientConnection, head: Head) -> Asked:  # noqa: ARG002
        return Asked(lambda body: self._serve(client, body), 1 << 30)

    def refuse(self, client: ClientConnection, error: ProxyError, asked: tuple[str, str] | None) -> None:
        raise AssertionError((client, error, asked))

    def _serve(self, client: ClientConnection, body: Body) -> None:
        self.bodies.append(body)
        send_answer(client, 200, [], b"")
        client.request_done()


@around
@pytest.mark.parametrize("is_chunked", [False, True])
@runs
async def test_a_body_of_more_than_256_kib_lies_in_memory_of_its_own(more: int, is_chunked: bool) -> None:
    body = b"b" * (LARGE_BYTES + more)
    data = post("/x", body)
    if is_chunked:
        data = get("/x", b"Transfer-Encoding: chunked", method=b"POST") + chunk(body) + chunk(b"")
    notes = Notes()
    async with serving(notes) as server:
        client, _ = await server.connect()
        assert (await client.ask(data)).status == 200
        (got,) = notes.bodies
        assert bytes(got) == body
        large = bytearray if is_chunked else mmap
        assert type(got) is (large if more > 0 else bytes)


@around
@runs
async def test_bodies_of_more_than_256_kib_are_served_one_a_turn(more: int) -> None:
    """The others are served as they come, in the turn that read them."""
    data = post("/x", b"b" * (LARGE_BYTES + more))
    notes = Notes()
    async with serving(notes) as server:
        ends = [await server.connect() for _ in range(4)]
        served = []
        for _ in range(2):  # the second time none is left of the first
            for _, connection in ends:
                connection.data_received(data)
            for _ in range(5):
                served.append(len(notes.bodies))
                await asyncio.sleep(0)
            notes.bodies.clear()
            for client, _ in ends:
                assert (await client.answer()).status == 200
        assert served == ([0, 1, 2, 3, 4] if more > 0 else [4] * 5) * 2


@runs
async def test_a_step_that_is_taken_alone_may_ask_for_another() -> None:
    order: list[str] = []
    one = Round()

    def first() -> None:
        order.append("first")
        one.one_a_turn(lambda: order.append("third"))

    one.one_a_turn(first)
    one.one_a_turn(lambda: order.append("second"))
    for _ in range(4):
        order.append("others")
        await asyncio.sleep(0)
    assert order == ["others", "first", "others", "second", "others", "third", "others"]


class Collects:
    """A sink that waits for its answer's end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def progress(self, reader: ResponseReader) -> None:
        reader.take()

    def completed(self) -> None:
        self.over.set()

    def broke(self, why: str) -> None:
        pytest.fail(why)


def drained(sock: socket.socket) -> bytes:
    """Read all that the kernel has, on either side of a connection."""
    got = b""
    while select.select([sock], [], [], 0.3)[0]:
        got += sock.recv(1 << 20)
    return got


@around
@runs
async def test_a_large_body_is_handed_to_the_kernel_in_slices_of_256_kib(more: int) -> None:
    """No slice is taken before the last one is with the kernel, and none is lost."""
    loop = asyncio.get_running_loop()
    slice_bytes = 256 * 1024
    pieces = [b"a" * (slice_bytes + more), b"b" * 10, b"c" * (2 * slice_bytes + more), b"d"]
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % sum(map(len, pieces))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        pool = Pool(3.0, Round())
        port = listening.getsockname()[1]
        one = Server(id="one", scheme="http", host="127.0.0.1", port=port)
        connection = await pool.of(one).dial()
        transport = connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.send_pieces(head, [memoryview(piece) for piece in pieces])
        sink = Collects()
        connection.expect(sink)
        taken = len(head) + min(len(pieces[0]), slice_bytes)
        for _ in range(20):
            await asyncio.sleep(0)
        sock, _ = listening.accept()
        with sock:
            got = drained(sock)  # in this turn, so that no more is handed over
            assert len(got) + transport.get_write_buffer_size() == taken
            sock.setblocking(False)
            while len(got) < len(head) + sum(map(len, pieces)):
                got += await loop.sock_recv(sock, 1 << 16)
                assert transport.get_write_buffer_size() <= slice_bytes
            assert got == head + b"".join(pieces)
            await loop.sock_sendall(sock, answer())
            await sink.over.wait()
            assert pool.of(one).take() is connection
        pool.close()
