"""`max_connections`: the longest idle connection ends for a new one, which is refused where none is."""

import asyncio
import json
from collections.abc import Iterable

import pytest

from gollamas.events import ConnectionsFree, ConnectionsFull, End, RequestEnded
from tests.sockets.proxying import Running, one_server, runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, chunk, chunked_head, get, hangs, post

BODY = b'{"model":"llama3.2"}'


async def is_served(clients: Iterable[Client]) -> bool:
    """Whether each of these connections still answers."""
    return [(await client.ask(get("/"))).status for client in clients] == [200 for _ in clients]


async def idle(proxy: Running, count: int) -> list[Client]:
    """Connect clients that have each been answered once, one after another."""
    clients = [await proxy.connect() for _ in range(count)]
    assert await is_served(clients)
    return clients


async def asked(server: RawServer, times: int = 1) -> None:
    """Wait until a server has that many requests."""
    while server.hits < times:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)


def clients_of(proxy: Running) -> int:
    return dict(proxy.app.gauges.connections())["client"]


@runs
async def test_the_longest_idle_connection_ends_when_max_connections_is_reached() -> None:
    async with one_server(max_connections=4) as (_, proxy):
        first, second, third, fourth = await idle(proxy, 4)
        assert await is_served([first])  # so the second is the longest idle
        new = await proxy.connect()
        assert await is_served([new])
        assert await second.is_closed()
        assert await is_served([fourth])
        newer = await proxy.connect()
        assert await is_served([newer])
        assert await third.is_closed()
        assert await is_served([first, fourth, new, newer])
        assert proxy.events.of(ConnectionsFull) == [ConnectionsFull(4)]


@runs
async def test_many_new_connections_end_the_idle_ones_in_their_order_and_no_other() -> None:
    async with one_server(max_connections=40) as (_, proxy):
        old = await idle(proxy, 40)
        new = [await proxy.connect() for _ in range(30)]
        assert await is_served(new)
        assert [await client.is_closed() for client in old[:30]] == [True] * 30
        assert await is_served(old[30:])
        assert clients_of(proxy) == 40


@runs
async def test_one_that_has_only_connected_is_idle_too() -> None:
    async with one_server(max_connections=2) as (_, proxy):
        silent, other = await proxy.connect(), await proxy.connect()
        assert await is_served([other])
        assert await is_served([await proxy.connect()])
        assert await silent.is_closed()
        assert await is_served([other])


@runs
async def test_where_none_is_idle_the_new_one_gets_a_503_and_the_others_go_on() -> None:
    async def half(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
        await goes_on.wait()
        await peer.send(chunk(b'{"done":true}\n') + chunk(b""))

    goes_on = asyncio.Event()
    async with one_server(max_connections=3) as (server, proxy):
        server.handler = half
        answered, in_head, in_body = [await proxy.connect() for _ in range(3)]
        await answered.send(post("/api/chat", BODY))
        await answered.reader.readuntil(b"}\n\r\n")
        await in_head.send(b"GET / HTTP/1.1\r\n")
        await in_body.send(post("/api/show", BODY)[:-1])
        while sum(client.idle_since is None for client in proxy.app._listener.clients.live) < 3:  # type: ignore[union-attr]  # noqa: ASYNC110 - no event tells that bytes were read
            await asyncio.sleep(0)

        refused = await proxy.connect()
        got = await refused.answer()  # it has sent nothing
        assert got.start == b"HTTP/1.1 503 Service Unavailable"
        assert (got.get(b"connection"), got.get(b"retry-after")) == (b"close", b"1")
        assert "max_connections" in json.loads(got.body)["error"]
        assert await refused.is_closed()
        event = proxy.events.of(RequestEnded)[-1]
        assert (event.status, event.end, event.client) == (503, End.REFUSED, "127.0.0.1")
        assert server.hits == 1

        await in_head.send(b"Host: localhost\r\n\r\n")
        assert (await in_head.answer()).status == 200  # and is idle now
        assert await is_served([await proxy.connect()])
        assert await in_head.is_closed()
        goes_on.set()
        assert (await answered.reader.readuntil(b"0\r\n\r\n")).count(b"done") == 1


@runs
async def test_a_refused_client_reads_why_though_it_goes_on_sending() -> None:
    async with one_server(max_connections=1) as (server, proxy):
        server.handler = hangs
        busy = await proxy.connect()
        await busy.send(post("/api/chat", BODY))
        await asked(server)
        got = await proxy.ask(post("/api/chat", b'{"model":"llama3.2","x":"' + b"a" * (1 << 20) + b'"}'))
        assert got.status == 503
        assert server.hits == 1


@runs
async def test_a_flood_of_refused_clients_holds_no_more_than_32_connections() -> None:
    async with one_server(max_connections=1) as (server, proxy):
        server.handler = hangs
        busy = await proxy.connect()
        await busy.send(post("/api/chat", BODY))
        await asked(server)
        flood = [await proxy.connect() for _ in range(100)]
        await proxy.events.ended(100)
        assert clients_of(proxy) == 33
        assert [(await client.answer()).status for client in flood[-32:]] == [503] * 32


@pytest.mark.parametrize("is_busy", [True, False])
@runs
async def test_the_log_has_one_line_when_it_is_full_and_one_when_there_is_room(is_busy: bool) -> None:
    async with one_server(max_connections=4, client_idle_timeout=3.0, probe_interval=0.2) as (server, proxy):
        server.handler = hangs
        old = await idle(proxy, 4)
        if is_busy:
            for client in old:
                await client.send(post("/api/chat", BODY))
            await asked(server, 4)
        new = [await proxy.connect() for _ in range(3)]
        for client in new:
            assert (await client.ask(get("/"))).status == (503 if is_busy else 200)
        for client in (*old, *new):
            client.close()
        await proxy.events.until(lambda: bool(proxy.events.of(ConnectionsFree)))
        assert proxy.events.of(ConnectionsFull) == [ConnectionsFull(4)]
        assert proxy.events.of(ConnectionsFree) == [ConnectionsFree(*((0, 3) if is_busy else (3, 0)))]
        server.handler = lambda _, peer: peer.send(answer())
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
