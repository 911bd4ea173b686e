"""An upload goes at the pace of the slowest server; one that fails or stalls falls out."""

import asyncio
import socket

import pytest

from gollamas.events import End
from gollamas.net.downstream import ClientConnection
from gollamas.net.upstream import ServerConnection
from gollamas.proxy.turn import Turn
from tests.sockets.blobs import (
    BLOB,
    PATH,
    BlobServer,
    blob_servers,
    chunked,
    error_in,
    path_of,
)
from tests.sockets.proxying import Running, runs
from tests.sockets.raw import Client, answer, get, post

LARGE = bytes(range(256)) * (96 * 1024)  # 24 MiB, more than the kernel holds on the way
READ = 256 * 1024
SHORT = 0.2  # seconds, for the clock that is tried


def refuses(text: bytes, status: bytes = b"400 Bad Request") -> bytes:
    return answer(b'{"error":"%b"}' % text, status=status)


def connections(proxy: Running) -> list[ServerConnection]:
    """Give the connections that uploads go over: those whose request has no end yet."""
    return [one for one in proxy.app._ask_jobs.pool.open if one._room is not None]


async def held_up(proxy: Running, client: Client, data: bytes) -> list[ServerConnection]:
    """Send until nothing more is taken; give the connections to servers."""
    client.writer.write(data)
    while not (own(proxy, client)._reader.is_held_up and any(one.is_full for one in connections(proxy))):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.001)
    return connections(proxy)


def own(proxy: Running, client: Client) -> ClientConnection:
    """Give the proxy's end of a client's connection."""
    assert proxy.app._listener is not None
    address = client.socket.getsockname()
    return next(one for one in proxy.app._listener.clients.live if peer_of(one) == address)


def peer_of(connection: ClientConnection) -> object:
    return connection._transport.get_extra_info("peername")


def bytes_in(proxy: Running, client: Client) -> int:
    """Say how much was taken of an upload."""
    turn = own(proxy, client).turn
    assert isinstance(turn, Turn)
    return turn.event.bytes_in


# -- one that is slow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [False, True], ids=["of a length", "in chunks"])
@runs
async def test_a_slow_server_holds_the_client_back(is_chunked: bool) -> None:
    slow, quick = BlobServer("slow"), BlobServer("quick")
    slow.reads.clear()
    path = path_of(LARGE)
    data = chunked(LARGE, 1 << 20, path) if is_chunked else post(path, LARGE)
    async with blob_servers(slow, quick) as proxy:
        client = await proxy.connect()
        full = await held_up(proxy, client, data)
        assert len(full) == 2
        taken, before = bytes_in(proxy, client), -1
        while taken != before:  # what the kernels hold has room for some more
            before = taken
            for _ in range(50):
                assert (await proxy.ask(get("/api/version"))).status == 200  # others are served meanwhile
                assert max(one.unsent for one in full) <= READ + 32  # one read, and its framing
            taken = bytes_in(proxy, client)
        assert 0 < taken < len(LARGE)
        assert not quick.uploads[0].is_whole
        while len(quick.uploads[0].body) < taken:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)  # it gets all that was taken: what it waits for is the slow one alone
        assert len(quick.uploads[0].body) == taken
        slow.reads.set()
        got = await client.answer()
        assert (got.status, got.get(b"warning")) == (201, None)
        assert slow.uploads[0].body == quick.uploads[0].body == LARGE


@runs
async def test_a_client_that_leaves_while_a_server_is_slow_is_found_once_it_goes_on() -> None:
    slow, quick = BlobServer("slow"), BlobServer("quick")
    slow.reads.clear()
    async with blob_servers(slow, quick) as proxy:
        client = await proxy.connect()
        await held_up(proxy, client, post(path_of(LARGE), LARGE))
        client.reset()
        slow.reads.set()
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT
        for server in (slow, quick):
            upload = await server.upload()
            assert (upload.is_whole, upload.was_reset) == (False, True)


@runs
async def test_a_stop_while_a_server_is_slow_ends_it() -> None:
    slow = BlobServer("slow")
    slow.reads.clear()
    async with blob_servers(slow) as proxy:
        client = await proxy.connect()
        await held_up(proxy, client, post(path_of(LARGE), LARGE))
        async with asyncio.TaskGroup() as group:
            group.create_task(proxy.app.stop(grace=0))
            got = await client.answer()
            client.close()
        assert (got.status, error_in(got)) == (503, "gollamas is shutting down")


# -- one that stalls -----------------------------------------------------------------------------------


@runs
async def test_a_server_that_stalls_falls_out() -> None:
    slow, quick = BlobServer("slow"), BlobServer("quick")
    slow.reads.clear()
    async with blob_servers(slow, quick, write_timeout=SHORT) as proxy:
        got = await proxy.ask(post(path_of(LARGE), LARGE))
        assert (got.status, got.get(b"warning")) == (
            201, b'199 gollamas "slow does not have the blob: it accepted no data for 0.2 s"',
        )  # fmt: skip
        assert quick.uploads[0].body == LARGE
        slow.reads.set()
        assert (await slow.upload()).was_reset


@runs
async def test_where_the_only_server_stalls_it_is_an_error() -> None:
    slow = BlobServer("slow")
    slow.reads.clear()
    async with blob_servers(slow, write_timeout=SHORT) as proxy:
        client = await proxy.connect()
        client.writer.write(post(path_of(LARGE), LARGE))
        got = await client.answer()
        assert (got.status, error_in(got)) == (504, "server slow: it accepted no data for 0.2 s")
        event = await proxy.events.ended()
        assert (event.status, event.error) == (504, "server slow: it accepted no data for 0.2 s")


@runs
async def test_a_server_that_does_not_answer_falls_out() -> None:
    silent, quick = BlobServer("silent", says=b""), BlobServer("quick")
    async with blob_servers(silent, quick, first_byte_timeout=SHORT) as proxy:
        got = await proxy.ask(post(PATH, BLOB))
        assert (got.status, got.get(b"warning")) == (
            201, b'199 gollamas "silent does not have the blob: it did not answer for 0.2 s"',
        )  # fmt: skip


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such limit")
@runs
async def test_how_long_a_server_may_stall_is_not_for_the_kernel_to_say() -> None:
    slow = BlobServer("slow")
    slow.reads.clear()
    async with blob_servers(slow) as proxy:
        client = await proxy.connect()
        (full,) = await held_up(proxy, client, post(path_of(LARGE), LARGE))
        sock = full.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
        slow.reads.set()
        assert (await client.answer()).status == 201


# -- one that fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_chunked", [False, True], ids=["of a length", "in chunks"])
@runs
async def test_one_that_dies_in_the_middle_falls_out(is_chunked: bool) -> None:
    dies, lives = BlobServer("dies"), BlobServer("lives")
    data = chunked(BLOB) if is_chunked else post(PATH, BLOB)
    async with blob_servers(dies, lives) as proxy:
        client = await proxy.connect()
        await client.send(data[:-50_000])
        await dies.got(1000)
        await dies.shut()
        await client.send(data[-50_000:])
        got = await client.answer()
        assert got.status == 201
        (note,) = got.all(b"warning")
        assert note.startswith(b'199 gollamas "dies does not have the blob: it ')
        assert lives.uploads[0].body == BLOB


@runs
async def test_where_all_die_the_first_one_s_end_is_told_before_the_body_is_whole() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        await client.send(post(PATH, BLOB)[:-1000])
        for server in servers:
            await server.got(1000)
        for server in servers:
            await server.shut()
        got = await client.answer()
        assert got.status == 502
        assert error_in(got).startswith("server a: it ")
        client.half_close()
        assert await client.is_closed()
        assert (await proxy.events.ended()).error == error_in(got)


@runs
async def test_where_all_refuse_it_is_the_first_one_s_error() -> None:
    servers = [BlobServer("a", says=refuses(b"first")), BlobServer("b", says=refuses(b"second"))]
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        got = await client.ask(post(PATH, BLOB))
        assert (got.status, got.body, got.get(b"warning")) == (400, b'{"error":"first"}', None)
        assert (await proxy.events.ended()).end is End.REFUSED
        assert (await client.ask(get("/api/version"))).status == 200  # its body was read, so it goes on


@runs
async def test_one_that_refuses_before_the_body_is_whole_holds_nobody_up() -> None:
    refusing, other = BlobServer("a", early=refuses(b"disk full", b"500 Oh")), BlobServer("b")
    async with blob_servers(refusing, other) as proxy:
        client = await proxy.connect()
        await client.send(post(PATH, BLOB)[:-1000])
        await other.got(1000)
        assert (await refusing.upload()).is_whole is False
        await client.send(BLOB[-1000:])
        got = await client.answer()
        assert (got.status, got.get(b"warning")) == (
            201, b'199 gollamas "a does not have the blob: it answered 500"',
        )  # fmt: skip
        assert other.uploads[0].body == BLOB


@runs
async def test_where_all_refuse_before_the_body_is_whole_the_client_hears_it_at_once() -> None:
    servers = [BlobServer(name, early=refuses(b"disk full", b"500 Oh")) for name in "ab"]
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        await client.send(post(PATH, BLOB)[:-1000])
        got = await client.answer()
        assert (got.status, got.body) == (500, b'{"error":"disk full"}')
        assert got.get(b"connection") == b"close"
        client.half_close()
        assert await client.is_closed()
        for server in servers:
            assert not (await server.upload()).is_whole
        assert (await proxy.events.ended()).status == 500


@runs
async def test_one_that_can_t_be_asked_whether_it_has_it_is_named_and_gets_nothing() -> None:
    wrong, other = BlobServer("wrong"), BlobServer("b")
    wrong.missing = b"HTTP/1.1 500 Oh\r\n\r\n"
    async with blob_servers(wrong, other) as proxy:
        got = await proxy.ask(post(PATH, BLOB))
        why = b"it answered 500 when it was asked for the blob"
        assert (got.status, got.get(b"warning")) == (
            201, b'199 gollamas "wrong does not have the blob: %b"' % why,
        )  # fmt: skip
        assert wrong.uploads == []
        other.had = True
        assert (await proxy.ask(post(PATH, BLOB))).status == 200
    async with blob_servers(wrong) as proxy:
        got = await proxy.ask(post(PATH, BLOB))
        assert got.status == 502
        assert error_in(got) == "server wrong: it answered 500 when it was asked for the blob"
