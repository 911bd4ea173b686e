"""Every way an upload can be cut: it stays nowhere, and what ends a body goes to no server."""

import asyncio

import pytest

from gollamas.events import End, RequestEnded
from tests.sockets.blobs import BLOB, LAST_CHUNK, PATH, BlobServer, blob_servers, chunks, error_in, head_of
from tests.sockets.proxying import Running, runs
from tests.sockets.raw import Client, post
from tests.sockets.simulated import fleet

CHUNKED = head_of(b"Transfer-Encoding: chunked")
WHOLE = chunks(BLOB, 1000)
SHORT = 0.2  # seconds, for the clock that is tried
# How far the client comes before it is cut.
PLACES = {
    "of a length, by all but one byte": post(PATH, BLOB)[:-1],
    "of a length, in the middle": post(PATH, BLOB)[: len(BLOB) // 2],
    "between two chunks": CHUNKED + chunks(BLOB[:50_000], 1000),
    "inside a chunk": CHUNKED + chunks(BLOB[:50_000], 1000) + b"3e8\r\nabc",
    "behind a chunk's data": CHUNKED + WHOLE[:-2],
    "between a chunk's CR and LF": CHUNKED + WHOLE[:-1],
    "inside a chunk's size line": CHUNKED + WHOLE + b"3e",
    "inside a chunk's extension": CHUNKED + WHOLE + b"3e8;na",
    "before the last chunk": CHUNKED + WHOLE,
    "inside the last chunk": CHUNKED + WHOLE + b"0\r\n",
    "inside a trailer": CHUNKED + WHOLE + b"0\r\nX-Sum: 1",
    "behind a trailer": CHUNKED + WHOLE + b"0\r\nX-Sum: 1\r\n",
}


async def sent(proxy: Running, servers: list[BlobServer], data: bytes) -> Client:
    """Send a part of an upload, and wait until each server has some of it."""
    client = await proxy.connect()
    await client.send(data)
    for server in servers:
        await server.got(1000)
    return client


async def stays_nowhere(servers: list[BlobServer]) -> None:
    """No server has got what ends a body, and each one's connection was reset."""
    for server in servers:
        upload = await server.upload()
        assert (upload.is_whole, upload.was_reset) == (False, True)
        assert not upload.is_all_there()
        assert not upload.raw.endswith(LAST_CHUNK)
        assert BLOB.startswith(upload.body[:1000])
        assert len(server.uploads) == 1  # it is not sent again


@pytest.mark.parametrize("way", ["FIN", "RST"])
@pytest.mark.parametrize("place", PLACES)
@runs
async def test_a_client_that_leaves(place: str, way: str) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await sent(proxy, servers, PLACES[place])
        client.close() if way == "FIN" else client.reset()
        await stays_nowhere(servers)
        event = await proxy.events.ended()
        assert (event.end, event.status, event.bytes_out) == (End.CLIENT_LEFT, None, 0)
        assert (event.route, event.method) == ("/api/blobs/:digest", "POST")
        assert 0 < event.bytes_in <= len(BLOB)


@pytest.mark.parametrize("place", ["of a length, in the middle", "inside a chunk"])
@runs
async def test_a_client_that_sends_no_more_and_reads_on_has_left(place: str) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await sent(proxy, servers, PLACES[place])
        client.half_close()
        await stays_nowhere(servers)
        assert await client.gone() == b""
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@pytest.mark.parametrize(
    "rest",
    [
        b"xyz\r\n",
        b"-1\r\n",
        b"11111111111111111\r\n",
        b"3\r\nabcd\r\n",
        b"0\r\nContent-Length: 3\r\n\r\n",
        b"\n",
    ],
)
@runs
async def test_a_malformed_chunk_is_a_400(rest: bytes) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await sent(proxy, servers, CHUNKED + WHOLE)
        await client.send(rest)
        got = await client.answer()
        assert got.status == 400
        assert error_in(got).startswith("malformed")
        await stays_nowhere(servers)
        client.half_close()
        assert await client.is_closed()
        event = await proxy.events.ended()
        assert (event.end, event.status, event.error) == (End.REFUSED, 400, error_in(got))


@runs
async def test_a_malformed_chunk_that_came_with_its_head_reaches_nobody() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        got = await client.ask(CHUNKED + b"3\r\nabc\r\nxyz\r\n")
        assert got.status == 400
        client.half_close()
        assert await client.is_closed()
        assert [server.uploads for server in servers] == [[], []]
        assert len(proxy.events.of(RequestEnded)) == 1


@pytest.mark.parametrize("place", ["of a length, in the middle", "inside a chunk", "before the last chunk"])
@runs
async def test_a_body_that_stops_is_a_408(place: str) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers, body_timeout=SHORT) as proxy:
        client = await sent(proxy, servers, PLACES[place])
        got = await client.answer()
        assert (got.status, error_in(got)) == (408, "the request body did not come in time")
        await stays_nowhere(servers)
        event = await proxy.events.ended()
        assert (event.end, event.status) == (End.REFUSED, 408)


@runs
async def test_a_body_that_comes_slowly_is_not_cut() -> None:
    server = BlobServer("a")
    async with blob_servers(server, body_timeout=SHORT) as proxy:
        client = await proxy.connect()
        await client.send(head_of(b"Content-Length: 8"))
        for byte in b"GGUFslow":
            await client.send(b"%c" % byte)
            await asyncio.sleep(SHORT / 2)
        assert (await client.answer()).status == 201
        assert server.uploads[0].raw == b"GGUFslow"


@pytest.mark.parametrize("way", ["FIN", "RST"])
@runs
async def test_a_client_that_leaves_while_servers_are_asked_sends_nothing(way: str) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    servers[0].answers.clear()
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        await client.send(head_of(b"Content-Length: 100", b"Expect: 100-continue"))
        await servers[0].asked.wait()
        client.close() if way == "FIN" else client.reset()
        servers[0].answers.set()
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT
        for server in servers:
            assert [upload.is_whole for upload in server.uploads] in ([], [False])


@runs
async def test_a_stop_in_the_middle_cuts_it() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await sent(proxy, servers, post(PATH, BLOB)[:-1000])
        async with asyncio.TaskGroup() as group:
            group.create_task(proxy.app.stop(grace=0.05))
            got = await client.answer()
            client.close()
        assert (got.status, error_in(got)) == (503, "gollamas is shutting down")
        await stays_nowhere(servers)
        event = await proxy.events.ended()
        assert (event.status, event.error) == (503, "gollamas is shutting down")


@runs
async def test_a_stop_lets_one_end_that_is_under_way() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await sent(proxy, servers, post(PATH, BLOB)[:-1000])
        async with asyncio.TaskGroup() as group:
            group.create_task(proxy.app.stop(grace=20))
            await client.send(BLOB[-1000:])
            assert (await client.answer()).status == 201
            assert await client.is_closed()
        assert [(await server.upload()).body for server in servers] == [BLOB, BLOB]


@pytest.mark.parametrize("place", PLACES)
@runs
async def test_simulated_servers_keep_nothing_of_it(place: str) -> None:
    async with fleet("a", "b", manage="all") as both:
        client = await both.proxy.connect()
        await client.send(PLACES[place])
        await both.until(lambda: all(one.asked(PATH) for one in both.ollamas.values()))
        client.close()
        assert (await both.proxy.events.ended()).end is End.CLIENT_LEFT
        await both.until(lambda: dict(both.proxy.app.gauges.connections())["client"] == 0)
        for ollama in both.ollamas.values():
            assert not ollama.engine.library.has_blob(PATH.removeprefix("/api/blobs/"))
            assert [one.head.method for one in ollama.asked(PATH)] == [b"HEAD"]
