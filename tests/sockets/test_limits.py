"""The limit of open files: what fits, and what becomes of clients for whom there is no room."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gollamas.system import descriptors
from gollamas.system.descriptors import Descriptors
from tests.sockets.proxying import runs
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
    hangs,
    post,
)
from tests.sockets.running import Program, after, flags, program, status_of

resource = pytest.importorskip("resource")  # Windows has no such limits
BODY = b'{"model":"llama3.2"}'


@asynccontextmanager
async def limited(server: RawServer, files: int, *more: str) -> AsyncIterator[Program]:
    """Run the program with so many descriptors."""
    descriptors.raise_limit()  # ours, for its clients
    if (most := descriptors.limit()) is not None and most < 4 * files:
        pytest.skip(f"{most} descriptors are too few for its clients")
    async with program(*flags(server, *more), by=after(f"ulimit -n {files}")) as gollamas:
        await gollamas.says('"event":"server_up"')
        yield gollamas


async def gauges(admin: int) -> dict[str, float]:
    """Read the metrics."""
    client = await Client.connect(admin)
    got = await client.ask(get("/metrics"))
    client.close()
    assert got.status == 200
    lines = re.findall(r"^([a-z]\S*) (\S+)$", got.body.decode(), re.MULTILINE)
    return {name: float(value) for name, value in lines}


async def streams(_: Message, peer: Peer) -> None:
    """Send pieces until the client leaves."""
    await peer.send(chunked_head())
    while not peer.writer.transport.is_closing():
        await peer.send(chunk(b'{"response":"a"}\n'))
        await asyncio.sleep(0.01)


async def connected_until_accepting_stops(gollamas: Program, server: RawServer) -> list[Client]:
    """Connect clients whose requests wait at the server, one by one, until there are too many."""
    clients: list[Client] = []
    stops = asyncio.ensure_future(
        gollamas.says('"event":"accepting_paused","open_files":19[0-9],"limit":256')
    )
    while not stops.done():
        clients.append(await gollamas.connect())
        await clients[-1].send(post("/api/chat", BODY))
        while server.hits < len(clients) and not stops.done():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.001)
    return clients


@runs
async def test_1100_idle_clients_of_1024_descriptors_hurt_nobody_who_is_served() -> None:
    async with RawServer(handler=streams) as server, limited(server, 1024) as gollamas:
        port, admin = await gollamas.port(), await gollamas.port("admin")
        served = await gollamas.connect()
        await served.send(post("/api/chat", BODY))
        await served.reader.readuntil(b"}\n\r\n")
        for _ in range(1100):
            await gollamas.connect()
        assert await status_of(port, "/") == 200
        assert (await status_of(admin, "/healthz"), await status_of(admin, "/readyz")) == (200, 200)
        assert (await gauges(admin))["process_open_fds"] < 1024 - 64
        for _ in range(50):
            await served.reader.readuntil(b"}\n\r\n")
        fresh = await gollamas.connect()
        await fresh.send(post("/api/chat", BODY))
        await fresh.reader.readuntil(b"}\n\r\n")
        gollamas.process.kill()
        await gollamas.ended()
        assert '"max_connections is 480, not 10000: the limit of open files is 1024' in gollamas.text
        assert gollamas.text.count('"event":"connections_full"') == 1
        assert "server_down" not in gollamas.text


@pytest.mark.parametrize("leaves", [True, False])
@runs
async def test_accepting_stops_before_the_last_descriptors_and_goes_on_when_there_is_room(
    leaves: bool,
) -> None:
    later = SaysLater(answer())
    async with RawServer(handler=later) as server, limited(server, 256) as gollamas:
        admin = await gollamas.port("admin")
        clients = await connected_until_accepting_stops(gollamas, server)
        served = len(clients)
        assert 80 <= served < 96
        for _ in range(20):  # which would take the rest, one by one
            assert await status_of(admin, "/healthz") == 200
        assert (await gauges(admin))["process_open_fds"] < 256 - 32
        clients += [await gollamas.connect() for _ in range(50)]  # they wait to be accepted
        for client in clients[served:]:
            await client.send(get("/"))
        assert (await gauges(admin))['gollamas_connections{side="client"}'] == served
        later.goes_on.set()
        for client in clients[:served]:
            assert (await client.answer()).status == 200
            if leaves:
                client.close()  # else it is idle, and the longest of them go for the new ones
        await gollamas.says('"event":"accepting_resumed"')
        assert [(await client.answer()).status for client in clients[served:]] == [200] * 50
        gollamas.process.kill()
        await gollamas.ended()
        assert gollamas.text.count('"event":"accepting_paused"') == 1
        assert "server_down" not in gollamas.text


@runs
async def test_the_end_of_the_program_comes_while_accepting_has_stopped() -> None:
    async with RawServer(handler=hangs) as server, limited(server, 256) as gollamas:
        await connected_until_accepting_stops(gollamas, server)
        for _ in range(2):
            gollamas.signal()
            await gollamas.says('"event":"(draining|stopped)"')
        assert await gollamas.ended() == 1
        assert '"event":"crashed"' not in gollamas.text


@runs
async def test_a_crowd_at_the_admin_port_keeps_nobody_out() -> None:
    async with RawServer() as server, limited(server, 256) as gollamas:
        port, admin = await gollamas.port(), await gollamas.port("admin")
        crowd = [await Client.connect(admin) for _ in range(300)]
        assert await status_of(admin, "/healthz") == 200
        assert await status_of(port, "/") == 200
        for client in crowd:
            client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@runs
async def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    async with RawServer() as server, program(*flags(server), by=after("ulimit -Sn 200")) as gollamas:
        await gollamas.port()
        limits = resource.prlimit(gollamas.process.pid, resource.RLIMIT_NOFILE)
        assert limits == (limits[1], resource.getrlimit(resource.RLIMIT_NOFILE)[1])


@pytest.mark.parametrize(
    ("limit", "wanted", "most"),
    [(None, 10_000, 10_000), (20_000, 10_000, 10_000), (19_999, 10_000, 9_967), (1024, 10_000, 480),
     (1024, 400, 400), (64, 10_000, 24), (1, 10_000, 1)],
)  # fmt: skip
def test_what_fits_counts_where_descriptors_are_fewer_than_two_per_client(
    limit: int | None, wanted: int, most: int
) -> None:
    assert Descriptors(limit, lambda: 0).most_clients(wanted) == most


def test_descriptors_are_short_before_the_last_64() -> None:
    """What stopped goes on when 16 more are free."""
    connections = 0
    files = Descriptors(1024, lambda: connections)
    files.measure()
    others = files.in_use
    connections = 1024 - 64 - others
    assert not files.is_short
    connections += 1
    assert files.is_short
    connections -= 16
    assert not files.is_roomy
    connections -= 1
    assert files.is_roomy
