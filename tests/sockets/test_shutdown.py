"""The running program from its start to its end: ports, signals, and what becomes of open requests."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gollamas.net.downstream import ClientConnection
from gollamas.responder import Responder
from gollamas.wire.message import Answer, Request
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, Message, Peer, RawServer, chunk, chunked_head, get, hangs, post
from tests.sockets.running import flags, program, status_of
from tests.sockets.serving import serving

BODY = b'{"model":"llama3.2"}'
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Stream:
    """A server's handler: one piece, then the rest when it is told so."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()

    async def __call__(self, _: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
        await self.goes_on.wait()
        await peer.send(chunk(b'{"response":"b","done":true}\n') + chunk(b""))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@runs
async def test_a_signal_lets_streams_finish_and_takes_nothing_new(number: signal.Signals) -> None:
    async with RawServer(handler=Stream()) as server, program(*flags(server)) as gollamas:
        port, admin = await gollamas.port(), await gollamas.port("admin")
        client, idle = await gollamas.connect(), await gollamas.connect()
        assert (await idle.ask(get("/"))).status == 200
        await client.send(post("/api/generate", BODY))
        first = await client.reader.readuntil(b"}\n\r\n")
        assert b"200 OK" in first
        gollamas.signal(number)
        assert await idle.is_closed()
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(port)
        assert await status_of(admin, "/readyz") == 503
        assert await status_of(admin, "/healthz") == 200
        assert isinstance(server.handler, Stream)
        server.handler.goes_on.set()
        assert (await client.gone()).endswith(b'"done":true}\n\r\n0\r\n\r\n')
        assert await gollamas.ended() == 0


@runs
async def test_a_request_that_was_being_sent_is_answered_and_told_that_the_connection_ends() -> None:
    async with RawServer() as server, program(*flags(server)) as gollamas:
        client = await gollamas.connect()
        data = post("/api/chat", BODY)
        await client.send(data[:-5])
        assert await status_of(await gollamas.port(), "/") == 200  # its loop has turned: the head is there
        gollamas.signal()
        await gollamas.says("draining|shutting")
        got = await client.ask(data[-5:])
        assert (got.status, got.get(b"connection")) == (200, b"close")
        assert await client.is_closed()
        assert await gollamas.ended() == 0


@runs
async def test_a_stream_that_outlasts_the_grace_period_ends_with_an_error() -> None:
    async with RawServer(handler=Stream()) as server, program(*flags(server, "--grace=300ms")) as gollamas:
        client = await gollamas.connect()
        await client.send(post("/api/generate", BODY))
        await client.reader.readuntil(b"}\n\r\n")
        gollamas.signal()
        rest = await client.gone()
        assert not rest.endswith(b"0\r\n\r\n")
        assert "shutting down" in json.loads(rest.partition(b"\r\n")[2])["error"]
        assert await gollamas.ended() == 0
        await gollamas.says('"end":"shut_down","error":"gollamas is shutting down"')


@runs
async def test_a_request_without_an_answer_at_the_end_of_the_grace_period_gets_a_503() -> None:
    async with RawServer(handler=hangs) as server, program(*flags(server, "--grace=300ms")) as gollamas:
        client = await gollamas.connect()
        await client.send(post("/v1/messages", BODY))
        while not server.hits:
            assert await status_of(await gollamas.port(), "/") == 200
        gollamas.signal()
        got = await client.answer()
        assert (got.status, got.get(b"connection")) == (503, b"close")
        assert json.loads(got.body)["type"] == "error"
        assert await gollamas.ended() == 0


@runs
async def test_a_second_signal_ends_it_now() -> None:
    async with RawServer(handler=Stream()) as server, program(*flags(server)) as gollamas:
        client = await gollamas.connect()
        await client.send(post("/api/generate", BODY))
        await client.reader.readuntil(b"}\n\r\n")
        gollamas.signal()
        await gollamas.says("draining|shutting")
        gollamas.signal()
        assert not (await client.gone()).endswith(b"0\r\n\r\n")
        assert await gollamas.ended() == 1


@runs
async def test_without_open_requests_it_ends_at_once() -> None:
    async with RawServer() as server, program(*flags(server)) as gollamas:
        await gollamas.port()
        gollamas.signal()
        async with asyncio.timeout(2):
            assert await gollamas.ended() == 0
        assert "Traceback" not in gollamas.text


@asynccontextmanager
async def taken_port() -> AsyncIterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


@runs
async def test_a_taken_port_is_exit_1_and_names_the_address_and_its_flag() -> None:
    async with RawServer() as server, taken_port() as port:
        words = [f"--listen=127.0.0.1:{port}" if "listen" in word else word for word in flags(server)]
        async with program(*words) as gollamas:
            assert await gollamas.ended() == 1
            assert f"127.0.0.1:{port}" in gollamas.text
            assert "--listen" in gollamas.text
            assert "Traceback" not in gollamas.text


@runs
async def test_a_taken_admin_port_that_was_configured_is_exit_1_and_names_its_flag() -> None:
    async with RawServer() as server, taken_port() as port:
        words = [f"--admin=127.0.0.1:{port}" if "admin" in word else word for word in flags(server)]
        async with program(*words) as gollamas:
            assert await gollamas.ended() == 1
            assert f"127.0.0.1:{port}" in gollamas.text
            assert "--admin" in gollamas.text
            assert "--listen" not in gollamas.text


@runs
async def test_a_taken_default_admin_port_is_only_a_warning() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", 11435))
            sock.listen()
        except OSError:  # then it is taken already, by whom does not matter
            pass
        async with RawServer() as server:
            words = [word for word in flags(server) if "admin" not in word]
            async with program(*words) as gollamas:
                port = await gollamas.port()
                await gollamas.says("no admin port")
                assert await status_of(port, "/") == 200
                gollamas.signal()
                assert await gollamas.ended() == 0


@runs
async def test_it_starts_with_every_server_down_and_is_ready_when_one_comes() -> None:
    async with RawServer() as server:
        await server.shut()
        words = flags(server, "--probe-interval=200ms")
        async with program(*words) as gollamas:
            admin = await gollamas.port("admin")
            await gollamas.says("connection refused")
            assert await status_of(admin, "/readyz") == 503
            assert await status_of(admin, "/healthz") == 200
            await server.open()
            await gollamas.says('"event": ?"server_up"|"event": ?"up"|went up|server_went_up')
            assert await status_of(admin, "/readyz") == 200


@runs
async def test_a_client_that_is_let_in_while_the_drain_begins_is_answered_once() -> None:
    """It is accepted before, and made one of the clients behind it."""

    async def nothing(_: Request) -> Answer:
        return Answer(204, [])

    async with serving(Responder(nothing, lambda _: Answer(400, []), 0)) as serves:

        def makes() -> ClientConnection:
            client = ClientConnection(serves.clients)
            serves.clients.drain()
            return client

        late = await asyncio.get_running_loop().create_server(makes, "127.0.0.1", 0)
        async with late:
            client = await Client.connect(late.sockets[0].getsockname()[1])
            await client.send(get("/") + get("/"))
            assert (await client.answer()).get(b"connection") == b"close"
            assert await client.is_closed()
            client.close()
