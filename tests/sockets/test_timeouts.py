"""Every clock, scaled down: what is ended by it, and what is not."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from gollamas.events import End, ServerWentDown
from tests.sockets.proxying import a_config, in_front_of, one_server, running, runs
from tests.sockets.raw import Message, Peer, RawServer, answer, chunk, chunked_head, get, hangs, post, says

STREAM: Final = b'{"model":"llama3.2","stream":true}'
WHOLE: Final = b'{"model":"llama3.2","stream":false}'
SHORT: Final = 0.2  # seconds, for the clock that is tried
LONG: Final = 0.6  # longer than SHORT and any sweep over the clocks


@contextmanager
def black_hole() -> Iterator[int]:
    """Listen without accepting, with a queue that is full: connecting there takes for ever."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        port = sock.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


@runs
async def test_a_server_that_does_not_accept_in_time_is_passed_over_and_marked_down() -> None:
    with black_hole() as port:
        silent = RawServer("silent", port=port)
        async with RawServer("two") as two, running(a_config([silent, two], connect_timeout=SHORT)) as proxy:
            began = asyncio.get_running_loop().time()
            got = await proxy.ask(post("/api/chat", STREAM))
            assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
            assert asyncio.get_running_loop().time() - began < SHORT + LONG
            await proxy.events.down(silent)


@runs
async def test_a_server_that_does_not_accept_in_time_is_a_503_where_it_is_the_only_one() -> None:
    with black_hole() as port:
        silent = RawServer("silent", port=port)
        async with running(a_config([silent], connect_timeout=SHORT)) as proxy:
            got = await proxy.ask(post("/v1/chat/completions", STREAM))
            assert got.status == 503
            assert got.get(b"retry-after")
            assert "silent" in json.loads(got.body)["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/generate", b'{"model":"llama3.2"}'), ("/api/chat", STREAM), ("/v1/messages", STREAM)],
)
@runs
async def test_a_stream_without_a_first_byte_in_time_is_a_504_and_ends_the_attempt(
    path: str, body: bytes
) -> None:
    left = asyncio.get_running_loop().create_future()

    async def handler(_: Message, peer: Peer) -> None:
        await peer.gone()
        left.set_result(None)

    async with one_server(first_byte_timeout=SHORT) as (server, proxy):
        server.handler = handler
        got = await proxy.ask(post(path, body))
        assert got.status == 504
        await left
        assert server.hits == 1
        event = await proxy.events.ended()
        assert (event.status, event.end) == (504, End.REFUSED)
        assert not proxy.events.of(ServerWentDown)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/generate", WHOLE), ("/api/embed", b'{"model":"llama3.2"}'), ("/v1/messages", WHOLE)],
)
@runs
async def test_a_whole_answer_may_take_longer_than_the_first_byte_of_a_stream(path: str, body: bytes) -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await asyncio.sleep(LONG)
        await peer.send(answer())

    async with one_server(first_byte_timeout=SHORT, idle_timeout=SHORT) as (server, proxy):
        server.handler = handler
        assert (await proxy.ask(post(path, body))).status == 200


@runs
async def test_a_stream_that_falls_silent_ends_with_an_error() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
        await peer.gone()

    async with one_server(idle_timeout=SHORT) as (server, proxy):
        server.handler = handler
        got = await proxy.ask(post("/api/generate", STREAM))
        assert not got.is_whole
        first, second, empty = got.body.split(b"\n")
        assert (first, empty) == (b'{"response":"a"}', b"")
        assert "0.2 s" in json.loads(second)["error"]


@runs
async def test_a_stream_that_drips_is_not_silent() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head())
        for _number in range(10):
            await asyncio.sleep(SHORT / 2)
            await peer.send(chunk(b"x"))
        await peer.send(chunk(b""))

    async with one_server(idle_timeout=SHORT * 2, first_byte_timeout=SHORT * 2, body_timeout=SHORT) as (
        server,
        proxy,
    ):
        server.handler = handler
        got = await proxy.ask(post("/api/generate", STREAM))
        assert (got.body, got.is_whole) == (b"x" * 10, True)


@pytest.mark.parametrize("start", [b"G", b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX:", b"\r\n"])
@runs
async def test_a_head_that_does_not_come_in_time_is_a_408(start: bytes) -> None:
    async with one_server(header_timeout=SHORT) as (server, proxy):
        client = await proxy.connect()
        got = await client.ask(start)
        assert (got.status, got.get(b"connection")) == (408, b"close")
        assert await client.is_closed()
        assert server.hits == 0
        assert (await proxy.events.ended()).status == 408


@runs
async def test_a_head_that_drips_is_not_given_more_time() -> None:
    async with one_server(header_timeout=SHORT) as (_, proxy):
        client = await proxy.connect()

        async def drip() -> None:
            for byte in get("/", b"X: " + b"a" * 1000):
                await client.send(bytes([byte]))
                await asyncio.sleep(SHORT / 10)

        dripping = asyncio.ensure_future(drip())
        assert (await client.answer()).status == 408
        dripping.cancel()


@pytest.mark.parametrize(
    "start",
    [
        post("/api/chat", STREAM)[:-5],
        get("/api/chat", b"Transfer-Encoding: chunked", method=b"POST") + b"22\r\n{",
    ],
)
@runs
async def test_a_body_that_does_not_come_in_time_is_a_408_in_the_dialect_of_the_route(start: bytes) -> None:
    async with one_server(body_timeout=SHORT) as (server, proxy):
        client = await proxy.connect()
        got = await client.ask(start.replace(b"/api/chat", b"/v1/messages"))
        assert (got.status, got.get(b"connection")) == (408, b"close")
        assert json.loads(got.body)["type"] == "error"
        assert await client.is_closed()
        assert server.hits == 0


@runs
async def test_a_body_that_keeps_coming_is_waited_for() -> None:
    async with one_server(body_timeout=SHORT * 2, header_timeout=SHORT) as (_, proxy):
        client = await proxy.connect()
        data = post("/api/chat", STREAM)
        await client.send(data[:-6])
        for byte in data[-6:]:
            await asyncio.sleep(SHORT / 2)
            await client.send(bytes([byte]))
        assert (await client.answer()).status == 200


@runs
async def test_an_idle_client_is_closed_without_a_word() -> None:
    async with one_server(client_idle_timeout=SHORT) as (_, proxy):
        fresh = await proxy.connect()
        used = await proxy.connect()
        assert (await used.ask(get("/"))).status == 200
        assert await fresh.is_closed()
        assert await used.is_closed()


@runs
async def test_a_client_that_waits_for_its_answer_is_not_idle() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await asyncio.sleep(LONG)
        await peer.send(answer())

    short = {
        "client_idle_timeout": SHORT,
        "header_timeout": SHORT,
        "body_timeout": SHORT,
        "write_timeout": SHORT,
    }
    async with one_server(**short) as (server, proxy):
        server.handler = handler
        assert (await proxy.ask(post("/api/chat", STREAM))).status == 200


@runs
async def test_the_event_of_a_silent_stream_says_that_it_timed_out() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b"{}\n"))
        await peer.gone()

    async with one_server(idle_timeout=SHORT) as (server, proxy):
        server.handler = handler
        await proxy.ask(post("/api/generate", STREAM))
        event = await proxy.events.ended()
        assert (event.end, event.status, event.bytes_out) == (End.TIMED_OUT, 200, 3)


@runs
async def test_a_silent_stream_of_one_client_leaves_the_others_alone() -> None:
    async with RawServer("one") as one, in_front_of(one, first_byte_timeout=SHORT) as proxy:
        one.handler = hangs
        slow = asyncio.ensure_future(proxy.ask(post("/api/chat", STREAM)))
        assert (await proxy.ask(get("/"))).status == 200
        assert (await slow).status == 504
        one.handler = says(answer())
        assert (await proxy.ask(post("/api/chat", STREAM))).status == 200


@runs
async def test_the_idle_clock_of_an_answer_begins_at_its_head() -> None:
    async def slow(_: Message, peer: Peer) -> None:
        await asyncio.sleep(0.9)
        await peer.send(chunked_head())
        await asyncio.sleep(0.3)
        await peer.send(chunk(b"{}\n") + chunk(b""))

    async with one_server(idle_timeout=0.6, first_byte_timeout=5.0) as (server, proxy):
        server.handler = slow
        got = await proxy.ask(post("/api/chat", b'{"model":"llama3.2"}'))
        assert (got.is_whole, got.body) == (True, b"{}\n")
