"""A client that only sends no more (`nc -N`, tunnels) gets its answer, unless a model runs for it."""

import asyncio
import time

import pytest

from gollamas.config.model import Expose
from gollamas.events import End, RequestEnded
from tests.sockets.proxying import a_config, one_server, running, runs
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
    says,
    says_in_order,
)
from tests.sockets.test_timeouts import black_hole

BODY = b'{"model":"llama3.2"}'
SHOW = b'{"license":"MIT"}'
AT_ONCE = 0.05


async def rest_of(client: Client) -> tuple[Message, bytes]:
    """Read one answer and all behind it, to the end of the connection."""
    got = await client.answer()
    return got, await client.gone()


@pytest.mark.parametrize("data", [post("/api/show", BODY), get("/v1/models/llama3.2")], ids=["show", "model"])
@runs
async def test_what_a_server_is_only_asked_about_is_answered(data: bytes) -> None:
    later = SaysLater(answer(SHOW))
    async with one_server() as (server, proxy):
        server.handler = later
        client = await proxy.connect()
        await client.send(data)
        await later.came.get()
        client.half_close()
        assert (await proxy.ask(get("/"))).status == 200  # the end of its side has been seen by now
        later.goes_on.set()
        got, rest = await rest_of(client)
        assert (got.status, got.body, got.get(b"connection"), rest) == (200, SHOW, b"close", b"")
        assert (await proxy.events.ended(2)).end is End.DONE


@pytest.mark.parametrize("data", [post("/api/show", BODY), get("/v1/models/llama3.2")], ids=["show", "model"])
@runs
async def test_it_is_answered_when_its_end_comes_with_the_request(data: bytes) -> None:
    async with one_server() as (server, proxy):
        server.handler = says(answer(SHOW))
        client = await proxy.connect()
        client.writer.write(data)
        client.half_close()
        got, rest = await rest_of(client)
        assert (got.status, got.body, rest) == (200, SHOW, b"")


@pytest.mark.parametrize("path", ["/", "/api/tags", "/api/ps", "/api/version", "/v1/models", "/nothing"])
@runs
async def test_answers_of_our_own_are_whole(path: str) -> None:
    async with one_server() as (_, proxy):
        for _ in range(5):
            client = await proxy.connect()
            client.writer.write(get(path))
            client.half_close()
            got, rest = await rest_of(client)
            assert (got.status, got.is_whole, rest) == (404 if path == "/nothing" else 200, True, b"")


@runs
async def test_a_listing_that_waits_for_a_server_is_answered() -> None:
    async with one_server(probe_interval=60) as (server, proxy):
        server.version = None  # it hangs from now on
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 1.1)  # what is known is old
        client = await proxy.connect()
        client.writer.write(get("/api/ps"))
        client.half_close()
        got, rest = await rest_of(client)
        assert (got.status, got.body, rest) == (200, b'{"models":[]}', b"")


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/show", "/v1/messages"])
@runs
async def test_an_unknown_model_is_told_so_after_the_servers_were_asked(path: str) -> None:
    async with one_server(models={}, expose=Expose.INSTALLED) as (_, proxy):
        client = await proxy.connect()
        client.writer.write(post(path, b'{"model":"nobody"}'))
        client.half_close()
        got, rest = await rest_of(client)
        assert (got.status, b"nobody" in got.body, rest) == (404, True, b"")


@runs
async def test_that_no_server_can_be_reached_is_told() -> None:
    with black_hole() as port:
        async with running(a_config([RawServer("silent", port=port)], connect_timeout=0.2)) as proxy:
            client = await proxy.connect()
            client.writer.write(post("/api/chat", BODY))
            client.half_close()
            got, rest = await rest_of(client)
            assert (got.status, b"silent" in got.body, rest) == (503, True, b"")


@runs
async def test_requests_that_came_before_the_end_are_all_answered() -> None:
    async with one_server() as (server, proxy):
        server.handler = says_in_order(answer(SHOW), answer(SHOW))
        client = await proxy.connect()
        client.writer.write(post("/api/show", BODY) * 2 + get("/") + b"GET /api/ta")
        client.half_close()
        bodies = [(await client.answer()).body for _ in range(3)]
        assert bodies == [SHOW, SHOW, b"Ollama is running"]
        assert await client.gone() == b""


@pytest.mark.parametrize("path", ["/api/chat", "/v1/completions", "/api/embed"])
@runs
async def test_a_client_that_has_ended_its_side_before_a_model_runs_for_it_has_left(path: str) -> None:
    ended = asyncio.Event()

    async def hangs(_: Message, peer: Peer) -> None:
        await peer.gone()
        ended.set()

    async with one_server() as (server, proxy):
        server.handler = hangs
        client = await proxy.connect()
        client.writer.write(post(path, BODY))
        client.half_close()
        assert await client.gone() == b""
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT
        if server.hits:
            await ended.wait()


@pytest.mark.parametrize("padding", [0, 300_000])
@runs
async def test_no_answer_takes_the_place_of_one_that_does_not_come(padding: int) -> None:
    """What was sent behind a request that is given up is not answered: it would be read as its answer."""
    async with one_server() as (_, proxy):
        body = b'{"model":"llama3.2","prompt":"%b"}' % (b"x" * padding)
        for _ in range(4):
            client = await proxy.connect()
            client.writer.write(post("/api/generate", body) + get("/api/version") + post("/api/show", BODY))
            client.half_close()
            assert await client.gone() == b""
        assert {event.end for event in proxy.events.of(RequestEnded)} == {End.CLIENT_LEFT}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"llama3.2","keep_alive":0}',
        b'{"model":"llama3.2","keep_alive":"0s","prompt":"","messages":[]}',
    ],
)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@runs
async def test_a_model_leaves_the_memory_for_a_client_that_has_ended_its_side(path: str, body: bytes) -> None:
    """Nothing runs for such a request, so its end is no leaving."""
    async with one_server() as (server, proxy):
        server.handler = says(answer(b'{"done":true,"done_reason":"unload"}'))
        client = await proxy.connect()
        client.writer.write(post(path, body))
        client.half_close()
        got, rest = await rest_of(client)
        assert (got.status, b"unload" in got.body, rest) == (200, True, b"")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate", b'{"model":"llama3.2","keep_alive":0,"prompt":"hi"}'),
        ("/api/chat", b'{"model":"llama3.2","keep_alive":0,"messages":[{}]}'),
        ("/api/embed", b'{"model":"llama3.2","keep_alive":0,"input":"hi"}'),
    ],
)
@runs
async def test_one_that_runs_before_it_leaves_the_memory_runs_for_nobody(path: str, body: bytes) -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        client.writer.write(post(path, body))
        client.half_close()
        assert await client.gone() == b""
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@runs
async def test_a_reset_ends_what_a_client_waits_for_that_had_ended_its_side() -> None:
    left = asyncio.Event()
    began = asyncio.Event()

    async def hangs(_: Message, peer: Peer) -> None:
        began.set()
        await peer.gone()
        left.set()

    async with one_server(idle_timeout=0.2) as (server, proxy):  # which has the clocks looked at more often
        server.handler = hangs
        client = await proxy.connect()
        await client.send(post("/api/show", BODY))
        await began.wait()
        client.half_close()
        assert (await proxy.ask(get("/"))).status == 200  # the end of its side has been seen by now
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.2)
        assert not left.is_set()
        client.reset()
        await left.wait()
        assert (await proxy.events.ended(2)).end is End.CLIENT_LEFT


@runs
async def test_a_stream_that_its_client_has_ended_ends_at_the_server_within_50_ms() -> None:
    left = asyncio.get_running_loop().create_future()

    async def streams(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
        await peer.gone()
        left.set_result(time.monotonic())

    async with one_server() as (server, proxy):
        server.handler = streams
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        await client.reader.readuntil(b"}\n\r\n")
        began = time.monotonic()
        client.half_close()
        assert await left - began < AT_ONCE
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@runs
async def test_a_server_that_never_answers_a_question_is_not_waited_for_without_end() -> None:
    """A client that has gone without a word can't be told from one that waits."""
    async with one_server(first_byte_timeout=0.2) as (server, proxy):
        left = asyncio.Event()

        async def hangs(_: Message, peer: Peer) -> None:
            await peer.gone()
            left.set()

        server.handler = hangs
        client = await proxy.connect()
        client.writer.write(post("/api/show", BODY))
        client.half_close()
        assert (await client.answer()).status == 504
        await left.wait()
