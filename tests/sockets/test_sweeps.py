"""Each clock at its exact limit, by a time that the test holds: what is late ends only behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gollamas.config.model import Address
from gollamas.events import End
from gollamas.net.downstream import LINGER_SECONDS
from gollamas.net.pool import IDLE_SECONDS
from tests.sockets.proxying import Running, a_config, running, runs
from tests.sockets.raw import (
    Client,
    Message,
    Peer,
    RawServer,
    SaysLater,
    answer,
    chunk,
    chunked_head,
    get,
    post,
)
from tests.sockets.serving import Clock
from tests.sockets.test_backpressure import chunk_flood, read_all, settled, stalled

BODY = b'{"model":"llama3.2"}'
STREAM = b'{"model":"llama3.2","stream":true}'
LIMIT = 16.0  # seconds, of the clock that is tried
OTHERS = 4096.0  # of all others

at_and_behind = pytest.mark.parametrize("over", [0.0, 0.25], ids=["at its limit", "behind it"])


@asynccontextmanager
async def swept(**changes: Any) -> AsyncIterator[tuple[RawServer, Running, Clock]]:
    """Run a server and a proxy whose clock stands still, with time-outs of OTHERS but for `changes`."""
    names = ("first_byte", "idle", "header", "body", "write", "client_idle")
    clock = Clock()
    options: dict[str, Any] = {f"{name}_timeout": OTHERS for name in names}
    options |= {"probe_interval": 60.0, **changes}
    async with (
        RawServer() as server,
        running(a_config([server], **options), clock=clock) as proxy,
    ):
        await proxy.events.up(server)
        yield server, proxy, clock


def sweep(proxy: Running, clock: Clock, seconds: float) -> None:
    """Let time pass, and have all clients' clocks looked at."""
    clock.now += seconds
    assert proxy.app._listener is not None
    proxy.app._listener.clients.check(clock.now)


async def has_read(proxy: Running) -> None:
    """Wait until all that clients have sent has been read: the loop has looked at its sockets by then."""
    for _ in range(2):
        assert (await proxy.ask(get("/"))).status == 200


@at_and_behind
@pytest.mark.parametrize("was_used", [False, True])
@runs
async def test_the_idle_clock_of_a_client(over: float, was_used: bool) -> None:
    async with swept(client_idle_timeout=LIMIT) as (_, proxy, clock):
        client = await proxy.connect()
        await has_read(proxy)
        if was_used:
            clock.now += 100.0  # it runs from the end of the last answer
            assert (await client.ask(get("/"))).status == 200
        sweep(proxy, clock, LIMIT + over)
        if over:
            assert await client.is_closed()
        else:
            assert (await client.ask(get("/"))).status == 200


@at_and_behind
@runs
async def test_the_clock_of_a_head_runs_from_its_first_byte(over: float) -> None:
    async with swept(header_timeout=LIMIT) as (_, proxy, clock):
        client = await proxy.connect()
        await has_read(proxy)
        clock.now += 100.0
        await client.send(b"GET / HTTP/1.1\r\n")
        await has_read(proxy)
        clock.now += LIMIT / 2
        await client.send(b"Host: localhost\r\n")  # which gives it no more time
        await has_read(proxy)
        sweep(proxy, clock, LIMIT / 2 + over)
        if over:
            assert (await client.answer()).status == 408
        else:
            assert (await client.ask(b"\r\n")).status == 200


@at_and_behind
@pytest.mark.parametrize("way", ["length", "chunked"])
@runs
async def test_the_clock_of_a_body_runs_from_what_came_of_it_last(over: float, way: str) -> None:
    start, rest = post("/api/chat", BODY)[:-8], BODY[-8:]
    if way == "chunked":
        start = get("/api/chat", b"Transfer-Encoding: chunked", method=b"POST") + chunk(BODY)
        rest = b"0\r\n\r\n"
    async with swept(body_timeout=LIMIT) as (_, proxy, clock):
        client = await proxy.connect()
        await client.send(start)
        await has_read(proxy)
        clock.now += LIMIT
        await client.send(rest[:1])
        await has_read(proxy)
        sweep(proxy, clock, LIMIT + over)
        if over:
            assert (await client.answer()).status == 408
        else:
            assert (await client.ask(rest[1:])).status == 200


@at_and_behind
@runs
async def test_the_clock_of_a_client_that_takes_nothing(over: float) -> None:
    async with swept(write_timeout=LIMIT) as (server, proxy, clock):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY, b"Connection: close")) as sock:
            await settled(flood)
            sweep(proxy, clock, 1.0)  # finds what is unsent, and the clock runs from now
            sweep(proxy, clock, LIMIT + over)
            if over:
                event = await proxy.events.ended()
                assert (event.end, event.error) == (End.TIMED_OUT, "the client took nothing for 16 s")
                with pytest.raises(ConnectionResetError):
                    await read_all(sock)
            else:
                assert (await read_all(sock)).endswith(b"\r\n0\r\n\r\n")


@runs
async def test_what_a_client_takes_gives_it_all_the_time_to_write_anew() -> None:
    async with swept(write_timeout=LIMIT) as (server, proxy, clock):
        server.handler = flood = chunk_flood()
        async with stalled(proxy, post("/api/generate", BODY)) as sock:
            await settled(flood)
            for _ in range(4):
                sweep(proxy, clock, LIMIT)
                for _ in range(16):
                    assert await asyncio.get_running_loop().sock_recv(sock, 1 << 16)
                await settled(flood)
            assert not flood.left.done()


@at_and_behind
@runs
async def test_a_refused_client_may_send_on_for_a_while(over: float) -> None:
    async with swept() as (_, proxy, clock):
        client = await proxy.connect()
        got = await client.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert (got.status, got.get(b"connection"), await client.gone()) == (400, b"close", b"")
        assert proxy.app._listener is not None
        live = proxy.app._listener.clients.live
        (connection,) = live
        await client.send(b"a" * 1000)  # which is dropped
        sweep(proxy, clock, LINGER_SECONDS + over)
        await has_read(proxy)
        assert (connection in live) is not bool(over)


@at_and_behind
@runs
async def test_the_clock_of_a_streams_first_byte(over: float) -> None:
    later = SaysLater(answer())
    async with swept(first_byte_timeout=LIMIT) as (server, proxy, clock):
        server.handler = later
        client = await proxy.connect()
        await client.send(post("/api/chat", STREAM))
        await later.came.get()
        sweep(proxy, clock, LIMIT + over)
        later.goes_on.set()
        assert (await client.answer()).status == (504 if over else 200)


@at_and_behind
@runs
async def test_the_clock_of_a_silent_stream_runs_from_its_last_piece(over: float) -> None:
    goes_on = asyncio.Event()

    async def streams(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b"{}\n"))
        await goes_on.wait()
        await peer.send(chunk(b'{"done":true}\n') + chunk(b""))

    async with swept(idle_timeout=LIMIT) as (server, proxy, clock):
        server.handler = streams
        client = await proxy.connect()
        await client.send(post("/api/generate", STREAM))
        await client.reader.readuntil(b"{}\n\r\n")
        sweep(proxy, clock, 100.0)  # the first look finds a piece, and the clock runs from now
        sweep(proxy, clock, LIMIT + over)
        goes_on.set()
        rest = await client.reader.readuntil(b"}\n\r\n")
        assert (b"16 s" in rest, b"done" in rest) == (bool(over), not over)
        assert (await proxy.events.ended()).end is (End.TIMED_OUT if over else End.DONE)


@at_and_behind
@runs
async def test_a_busy_answer_is_waited_for_to_its_end_for_a_second(over: float) -> None:
    goes_on, came = asyncio.Event(), asyncio.Event()

    async def half(_: Message, peer: Peer) -> None:
        await peer.send(answer(b"busy!", status=b"503 Service Unavailable")[:-1])
        came.set()
        await goes_on.wait()
        await peer.send(b"!")

    clock = Clock()
    async with (
        RawServer("one", handler=half) as one,
        RawServer("two") as two,
        running(a_config([one, two], probe_interval=60.0), clock=clock) as proxy,
    ):
        await proxy.events.up(one, two)
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await came.wait()
        await has_read(proxy)
        sweep(proxy, clock, 1.0 + over)
        await has_read(proxy)
        assert two.hits == (1 if over else 0)
        goes_on.set()
        assert (await client.answer()).status == 200
        assert two.hits == 1


# -- what the app sweeps by itself ----------------------------------------------------------------------


async def is_swept(clock: Clock) -> None:
    """Wait until the app has looked at all clocks; nothing else asks for the time meanwhile."""
    before = clock.asked
    while clock.asked == before:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)


@runs
async def test_connections_to_servers_that_nobody_needs_are_closed_those_of_probes_too() -> None:
    async with swept(header_timeout=0.2) as (server, proxy, clock):  # so it looks twenty times a second
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        for path in ("/api/tags", "/api/ps"):  # which wait for the first probes
            assert (await proxy.ask(get(path))).status == 200
        await is_swept(clock)  # idle since now
        there = len(server._peers)
        assert there > 1
        clock.now += IDLE_SECONDS
        await is_swept(clock)
        assert len(server._peers) == there
        clock.now += 0.25
        while server._peers:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200


@runs
async def test_idle_clients_of_both_ports_are_closed() -> None:
    admin = Address(host="127.0.0.1", port=0)
    async with swept(client_idle_timeout=LIMIT, header_timeout=0.2, admin=admin) as (_, proxy, clock):
        assert proxy.app.admin_address is not None
        for port in (proxy.port, proxy.app.admin_address.port):
            client = await Client.connect(port)
            assert (await client.ask(get("/healthz"))).status in (200, 404)
            await is_swept(clock)
            clock.now += LIMIT + 0.25
            assert await client.is_closed()
            client.close()
