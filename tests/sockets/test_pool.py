"""Connections to servers that are kept, and what a fresh one costs, has set and leaves behind."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gollamas.config.model import Server
from gollamas.errors import ServerRefused
from gollamas.net.pool import Kept, Pool
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection
from gollamas.wire.response import ResponseReader
from tests.sockets.proxying import a_config, a_server, running, runs
from tests.sockets.raw import Peer, RawServer, SaysLater, answer, post
from tests.sockets.test_timeouts import black_hole

BODY = b'{"model":"llama3.2"}'
TIMEOUT = 3.0  # seconds to connect

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux has")


def at(port: int, host: str = "127.0.0.1") -> Server:
    """Give what is configured of a server on this machine."""
    return Server(id="one", scheme="http", host=host, port=port)


async def take(pool: Pool, server: Server, count: int) -> list[ServerConnection]:
    """Take connections as a request does: one that is idle, else a fresh one."""
    return [pool.of(server).take() or await pool.of(server).dial() for _ in range(count)]


@asynccontextmanager
async def listening(host: str) -> AsyncIterator[int]:
    """Accept connections and wait for their end."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Peer(reader, writer).gone()
        writer.close()

    async with await asyncio.start_server(accept, host, 0) as server:
        yield server.sockets[0].getsockname()[1]


def open_files() -> int:
    """Count this process's open descriptors."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Hears:
    """A sink that keeps why its answer failed."""

    def __init__(self) -> None:
        self.why: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def progress(self, _: ResponseReader) -> None:
        pytest.fail("a piece of an answer that was never sent")

    def completed(self) -> None:
        pytest.fail("the end of an answer that was never sent")

    def broke(self, why: str) -> None:
        self.why.set_result(why)


@runs
async def test_as_many_connections_are_kept_as_there_were_requests_at_once() -> None:
    later = SaysLater(answer())
    async with RawServer(handler=later) as server, running(a_config([server])) as proxy:
        for _ in range(3):
            later.goes_on.clear()
            asking = [asyncio.ensure_future(proxy.ask(post("/api/chat", BODY))) for _ in range(100)]
            for _ in asking:
                await later.came.get()
            later.goes_on.set()
            assert {got.status for got in await asyncio.gather(*asking)} == {200}
            assert dict(proxy.app.gauges.connections())["server"] == 100
        assert (server.hits, server.connections) == (300, 100)


@runs
async def test_a_connection_that_was_not_needed_for_a_minute_is_closed() -> None:
    async with RawServer() as server:
        one = a_server(server)
        pool = Pool(TIMEOUT, Round())
        for connection in await take(pool, one, 50):
            pool.of(one).give(connection)
        pool.check(0.0)
        for now in (30.0, 60.0):
            busy = await take(pool, one, 40)
            for connection in busy:
                pool.of(one).give(connection)
            pool.check(now)
            assert not any(connection.is_closed for connection in pool.open)
        pool.check(61.0)
        closed = {connection for connection in pool.open if connection.is_closed}
        assert len(closed) == 10
        assert closed.isdisjoint(busy)
        assert closed.isdisjoint(await take(pool, one, 40))
        assert pool.of(one).take() is None
        pool.close()


@runs
async def test_no_connection_to_the_old_address_is_taken_for_a_server_that_has_moved() -> None:
    async with RawServer() as old, RawServer() as new:
        before, after = a_server(old), replace(a_server(new), id=old.name)
        pool = Pool(TIMEOUT, Round())
        (idle, busy) = await take(pool, before, 2)
        pool.of(before).give(idle)
        pool.forget(before)
        assert idle.is_closed
        assert pool.of(after).take() is None
        kept = busy.home
        kept.give(busy)  # its request began before
        assert busy.is_closed
        assert isinstance(kept, Kept)
        late = await kept.dial()  # such a request goes on, too
        kept.give(late)
        assert late.is_closed
        assert pool.of(after).take() is None
        (fresh,) = await take(pool, after, 1)
        assert fresh.transport.get_extra_info("peername")[1] == new.port
        pool.close()


@runs
async def test_a_connection_that_its_server_closes_while_idle_is_never_taken() -> None:
    async with RawServer() as server:
        one = a_server(server)
        pool = Pool(TIMEOUT, Round())
        for connection in await take(pool, one, 3):
            pool.of(one).give(connection)
        await server.shut()
        while pool.open:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        pool.check(0.0)
        assert pool.of(one).take() is None
        await server.open()
        (fresh,) = await take(pool, one, 1)
        pool.of(one).give(fresh)
        assert pool.of(one).take() is fresh
        pool.close()


@runs
async def test_a_server_that_is_configured_by_address_costs_no_look_up() -> None:
    async def cost(server: Server) -> float:
        began = time.process_time()
        for connection in [await pool.of(server).dial() for _ in range(20)]:
            connection.abort()
        return time.process_time() - began

    async with listening("127.0.0.1") as port:
        pool = Pool(TIMEOUT, Round())
        costs = [(await cost(at(port)), await cost(at(port, "localhost"))) for _ in range(8)]
        by_address, by_name = map(min, zip(*costs, strict=True))
        assert by_address < 0.75 * by_name


@linux_only
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
@runs
async def test_a_host_that_vanishes_is_found_by_the_kernel(host: str) -> None:
    async with listening(host) as port:
        pool = Pool(TIMEOUT, Round())
        connection = await pool.of(at(port, host)).dial()
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        names = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        set_to = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        assert set_to == [1, 15, 5, 3, 30_000]
        pool.close()


@linux_only
@runs
async def test_a_dial_that_is_given_up_leaves_no_socket_open() -> None:
    with black_hole() as port:
        with pytest.raises(ServerRefused, match=r"within 0\.05 s"):
            await Pool(0.05, Round()).of(at(port)).dial()
        before = open_files()
        pool = Pool(TIMEOUT, Round())
        dials = [asyncio.ensure_future(pool.of(at(port)).dial()) for _ in range(5)]
        while open_files() < before + 5:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        for dial in dials:
            dial.cancel()
        await asyncio.wait(dials)
        assert all(dial.cancelled() for dial in dials)
        while open_files() > before:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert not pool.open


@runs
async def test_every_dial_has_the_whole_connect_timeout() -> None:
    limit = 0.2

    async def refused() -> float:
        began = time.monotonic()
        with pytest.raises(ServerRefused, match=r"not connected within 0\.2 s"):
            await pool.of(at(port)).dial()
        return time.monotonic() - began

    with black_hole() as port:
        pool = Pool(limit, Round())
        loop = asyncio.get_running_loop()
        first = asyncio.ensure_future(refused())
        half: asyncio.Future[None] = loop.create_future()
        loop.call_later(limit / 2, half.set_result, None)
        await half
        took = [*await asyncio.gather(first, refused(), refused()), await refused()]
        assert min(took) > limit - 0.01
        assert max(took) < limit + 1


@runs
async def test_a_shorter_time_out_around_a_dial_is_told_from_its_own() -> None:
    with black_hole() as port:
        pool = Pool(TIMEOUT, Round())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.of(at(port)).dial()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@runs
async def test_a_connection_that_is_closed_as_soon_as_it_is_made_fails_its_request(host: str) -> None:
    slams = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    pool = Pool(TIMEOUT, Round())
    server = at(slams.sockets[0].getsockname()[1], host)
    for _ in range(20):
        connection = await pool.of(server).dial()
        while not connection.is_closed:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        heard = Hears()
        connection.send(b"GET / HTTP/1.1\r\n\r\n", b"")
        connection.expect(heard)
        assert await heard.why == "it closed the connection"
    while pool.open:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    slams.close()


@runs
async def test_a_server_that_refuses_is_told_of_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        server = at(taken.getsockname()[1])
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(ServerRefused, match="connection refused"):
                await Pool(TIMEOUT, Round()).of(replace(server, host=host)).dial()
