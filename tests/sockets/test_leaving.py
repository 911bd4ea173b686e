"""A client that leaves ends what was done for it, at the server too, and nobody is blamed."""

import asyncio
import time
from collections.abc import Callable

import pytest

from gollamas.events import AttemptFailed, End, ServerWentDown
from tests.sockets.proxying import Running, one_server, runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, chunk, chunked_head, get, post, says

BODY = b'{"model":"llama3.2"}'
AT_ONCE = 0.05  # seconds between a client's leaving and the end of its request at the server

WAYS = {"FIN": Client.close, "RST": Client.reset, "half-close": Client.half_close}


class Waits:
    """A server's handler that sends `first`, then waits for the proxy to leave and notes when it did."""

    def __init__(self, first: bytes = b"") -> None:
        self.first = first
        loop = asyncio.get_running_loop()
        self.began = loop.create_future()
        self.ended = loop.create_future()

    async def __call__(self, _: Message, peer: Peer) -> None:
        if self.first:
            await peer.send(self.first)
        self.began.set_result(None)
        await peer.gone()
        self.ended.set_result(time.monotonic())


async def leave(client: Client, way: str, server: RawServer, proxy: Running, waits: Waits) -> None:
    """Leave, and check when the server saw it and what the proxy says of it."""
    left_at = time.monotonic()
    WAYS[way](client)
    assert await waits.ended - left_at < AT_ONCE
    event = await proxy.events.ended()
    assert event.end is End.CLIENT_LEFT
    assert list(proxy.app.gauges.in_flight()) == []
    assert not proxy.events.of(AttemptFailed) + proxy.events.of(ServerWentDown)
    assert (event.server, event.model) == ("one", "llama3.2")
    server.handler = says(answer())
    assert (await proxy.ask(post("/api/chat", BODY))).status == 200
    assert server.hits == 2


@pytest.mark.parametrize("way", WAYS)
@runs
async def test_leaving_before_the_head_ends_the_request(way: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = waits = Waits()
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await waits.began
        await leave(client, way, server, proxy, waits)
        assert (await proxy.events.ended()).status is None


@pytest.mark.parametrize("way", WAYS)
@runs
async def test_leaving_a_stream_whose_server_is_silent_ends_the_request(way: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = waits = Waits(chunked_head() + chunk(b'{"response":"a"}\n'))
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        await client.reader.readuntil(b"}\n\r\n")
        await leave(client, way, server, proxy, waits)


@pytest.mark.parametrize("way", WAYS)
@runs
async def test_leaving_a_body_of_known_length_ends_the_request(way: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = waits = Waits(answer(b"a" * 100)[:-50])
        client = await proxy.connect()
        await client.send(post("/api/embed", BODY))
        await client.reader.readuntil(b"a" * 50)
        await leave(client, way, server, proxy, waits)


@runs
async def test_leaving_with_a_pipelined_request_waiting_ends_both() -> None:
    async with one_server() as (server, proxy):
        server.handler = waits = Waits()
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY) * 2)
        await waits.began
        client.close()
        await waits.ended
        await proxy.events.ended()
        assert server.hits == 1


@pytest.mark.parametrize("sent", [1, 60, 100])
@runs
async def test_leaving_while_sending_reaches_no_server(sent: int) -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(post("/api/chat", b'{"model":"llama3.2","x":"%b"}' % (b"a" * 200))[:sent])
        client.reset()
        assert (await proxy.ask(get("/"))).status == 200
        assert server.hits == 0


@pytest.mark.parametrize("way", WAYS)
@runs
async def test_leaving_while_a_listing_waits_is_no_crash(way: str) -> None:
    async with one_server(probe_interval=60) as (server, proxy):
        server.version = None
        client = await proxy.connect()
        await client.send(get("/api/ps"))
        WAYS[way](client)
        assert (await proxy.ask(get("/"))).status == 200


@pytest.mark.parametrize("seed", range(3))
@runs
async def test_many_that_leave_at_any_time_leave_nothing(seed: int) -> None:
    pieces = [chunked_head(), *(chunk(b'{"response":"%d"}\n' % number) for number in range(5)), chunk(b"")]

    async def handler(_: Message, peer: Peer) -> None:
        await peer.drip(pieces)

    async def come_and_go(proxy: Running, turns: int, leave_by: Callable[[Client], None]) -> None:
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        for _ in range(turns):
            await asyncio.sleep(0)
        leave_by(client)

    async with one_server() as (server, proxy):
        server.handler = handler
        ways = list(WAYS.values())
        for batch in range(10):
            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    turns = (number * 7 + batch * 3 + seed) % 40
                    group.create_task(come_and_go(proxy, turns, ways[(number + batch) % 3]))
        assert (await proxy.ask(post("/api/generate", BODY))).is_whole
        # One that ended its side while a connection was made for it is left with that.
        while list(proxy.app.gauges.in_flight()):
            assert (await proxy.ask(get("/"))).status == 200


@runs
async def test_an_event_of_a_client_that_left_a_stream_says_what_had_gone_out() -> None:
    async with one_server() as (server, proxy):
        piece = b'{"response":"a"}\n'
        server.handler = waits = Waits(chunked_head() + chunk(piece))
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        await client.reader.readuntil(b"}\n\r\n")
        client.reset()
        await waits.ended
        event = await proxy.events.ended()
        assert (event.status, event.bytes_out) == (200, len(piece))
        assert event.first_byte_s is not None
