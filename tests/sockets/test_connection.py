"""One client's connection: kept or ended, its requests in order, `Expect`, HEAD and upgrades."""

import asyncio
import random
from typing import cast

import pytest

from gollamas.net.rounds import Round
from tests.sockets.proxying import one_server, runs
from tests.sockets.raw import Message, Peer, SaysLater, answer, get, post
from tests.sockets.test_framing import BODY, CL, TE, WHOLE, hosted, is_refused


@runs
async def test_http_10_without_host_is_served() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(b"POST /api/chat HTTP/1.0\r\nContent-Length: 20\r\n\r\n" + BODY)
        answer = await client.answer()
        assert (answer.status, answer.get(b"connection")) == (200, b"close")
        assert await client.is_closed()
        assert server.hits == 1


@runs
async def test_http_10_is_kept_alive_only_where_it_asks_for_it() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        kept = await client.ask(post("/api/chat", BODY, b"Connection: keep-alive", version=b"1.0"))
        assert (kept.status, kept.get(b"connection")) == (200, b"keep-alive")
        last = await client.ask(post("/api/chat", BODY, version=b"1.0"))
        assert (last.status, last.get(b"connection")) == (200, b"close")
        assert await client.is_closed()
        assert server.hits == 2


@runs
async def test_http_11_closes_where_it_asks_for_it() -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        assert (await client.ask(post("/api/chat", BODY))).get(b"connection") is None
        last = await client.ask(post("/api/chat", BODY, b"Connection: Keep-Alive, Close"))
        assert (last.status, last.get(b"connection")) == (200, b"close")
        assert await client.is_closed()


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
@pytest.mark.parametrize("has_body", [True, False])
@runs
async def test_an_upgrade_is_passed_over_and_the_connection_kept(protocol: bytes, has_body: bool) -> None:
    lines = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AAMAAABk")
    data = post("/api/chat", BODY, *lines) if has_body else get("/", *lines)
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        for _ in range(2):
            got = await client.ask(data)
            assert (got.status, got.get(b"connection"), got.get(b"upgrade")) == (200, None, None)
        for request in server.requests:
            assert not request.all(b"upgrade") + request.all(b"connection") + request.all(b"http2-settings")


@runs
async def test_three_requests_in_one_segment_are_answered_in_order() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(get("/") + post("/api/chat", BODY) + get("/api/version"))
        assert (await client.answer()).body == b"Ollama is running"
        assert (await client.answer()).body == b'{"done":true}'
        assert (await client.answer()).body == b'{"version":"0.32.15"}'
        assert server.hits == 1


@runs
async def test_2000_requests_in_one_segment_are_answered_in_order() -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        sending = asyncio.ensure_future(
            client.send(b"".join(get("/", b"X-Request-Id: %d" % number) for number in range(2000)))
        )
        for number in range(2000):
            assert (await client.answer()).get(b"x-request-id") == b"%d" % number
        await sending


@runs
async def test_a_bad_second_request_is_refused_behind_the_first_answer() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(
            post("/api/chat", BODY) + hosted(CL, TE) + WHOLE + b"0\r\n\r\n" + post("/api/chat", BODY)
        )
        assert (await client.answer()).status == 200
        await is_refused(client, 400)
        assert server.hits == 1


@runs
async def test_head_has_the_fields_of_get_and_no_body() -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        for path in ("/", "/api/version", "/api/tags", "/api/nothing", "/v1/models"):
            whole = await client.ask(get(path, method=b"HEAD"), to_head=True)
            other = await client.ask(get(path))
            if path != "/v1/models":
                assert (whole.status, whole.end_to_end()) == (other.status, other.end_to_end())
                assert whole.get(b"content-length") == b"%d" % len(other.body)
            else:
                assert (whole.status, whole.get(b"allow")) == (405, b"GET")


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@runs
async def test_100_continue_is_sent_before_the_body_comes_and_never_passed_on() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(hosted(b"Expect: 100-Continue", CL))
        assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
        assert (await client.ask(BODY)).status == 200
        assert server.requests[0].get(b"expect") is None


@runs
async def test_a_body_that_is_too_long_is_refused_instead_of_continued() -> None:
    async with one_server(max_body=10) as (server, proxy):
        client = await proxy.connect()
        await client.send(hosted(b"Expect: 100-continue", CL))
        await is_refused(client, 413)
        assert server.hits == 0


@runs
async def test_http_10_is_not_told_to_continue() -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        await client.send(hosted(b"Expect: 100-continue", CL, start=b"POST /api/chat HTTP/1.0") + BODY)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("way", ["length", "chunked"])
@runs
async def test_a_body_that_is_too_long_gets_a_readable_413_though_the_client_goes_on_sending(
    way: str,
) -> None:
    async with one_server(max_body=1024) as (server, proxy):
        client = await proxy.connect()
        piece = b"a" * 65536
        if way == "length":
            await client.send(hosted(b"Content-Length: %d" % (100 * len(piece))))
        else:
            await client.send(hosted(TE) + b"%x\r\n" % (100 * len(piece)))
        for _ in range(20):
            await client.send(piece)
        answer = await client.answer()
        assert (answer.status, answer.get(b"connection")) == (413, b"close")
        assert b"max_body" in answer.body
        client.close()
        assert server.hits == 0


@pytest.mark.parametrize("size", [100, 65536, 65537, 200_000, 3 << 20])
@runs
async def test_a_long_request_sent_behind_one_that_is_being_answered_is_read_whole(size: int) -> None:
    later = SaysLater(answer())
    long = b'{"model":"llama3.2","x":"%b"}' % (b"a" * size)
    async with one_server() as (server, proxy):
        server.handler = later
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        sending = asyncio.ensure_future(client.send(post("/api/chat", long) + post("/api/chat", BODY)))
        while not server.hits:
            await proxy.ask(get("/"))
        await proxy.ask(get("/"))
        later.goes_on.set()
        for _ in range(3):
            assert (await client.answer()).status == 200
        await sending
        assert [len(request.body) for request in server.requests] == [len(BODY), len(long), len(BODY)]


@runs
async def test_requests_that_come_in_pieces_behind_one_another_keep_their_bodies() -> None:
    async def echo(request: Message, peer: Peer) -> None:
        await peer.send(answer(request.body))

    bodies = [b'{"model":"llama3.2","n":%d}' % n for n in range(1000)]
    data = b"".join(post("/api/chat", body) for body in bodies)
    chance = random.Random(7)  # noqa: S311 - the same pieces every time

    async def send() -> None:
        at = 0
        while at < len(data):
            end = at + chance.randrange(1, 700)
            client.writer.write(data[at:end])  # not drained: a piece comes in every turn of the loop
            at = end
            await asyncio.sleep(0)

    async with one_server() as (server, proxy):
        server.handler = echo
        client = await proxy.connect()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            for body in bodies:
                assert (await client.answer()).body == body


@runs
async def test_no_clock_ends_a_connection_that_has_just_read() -> None:
    async with one_server(client_idle_timeout=60) as (_, proxy):
        client = await proxy.connect()
        await client.ask(get("/"))
        assert proxy.app._listener is not None
        (connection,) = proxy.app._listener.clients.live
        connection.data_received(post("/api/embed", BODY))
        connection.check(asyncio.get_running_loop().time() + 1e6)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("is_gathering", [False, True])
@runs
async def test_a_transport_that_takes_nothing_keeps_no_write_from_the_others(is_gathering: bool) -> None:
    async with one_server() as (server, _):
        ends = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        (_, broken), (reader, writer) = ends
        broken.transport.write_eof()  # it is not closing, and refuses every write
        one = Round()
        one._is_gathering = is_gathering
        for end, data in ((broken, b"x"), (writer, post("/api/chat", BODY))):
            one.write(cast("asyncio.Transport", end.transport), data)
        one.flush()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for _, end in ends:
            end.close()
