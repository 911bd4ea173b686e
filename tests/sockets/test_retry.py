"""Several servers, and connections that die: who is asked next, who never, and what if nobody is left."""

import asyncio
import json
from collections.abc import Callable

import pytest

from gollamas.events import AttemptFailed, ServerWentDown, ServerWentUp
from tests.sockets.proxying import ROUTED, a_config, in_front_of, one_server, opened, running, runs
from tests.sockets.raw import (
    Handler,
    Message,
    Peer,
    RawServer,
    answer,
    breaks_off,
    chunk,
    chunked_head,
    get,
    post,
    says,
)

BODY = b'{"model":"llama3.2"}'
BUSY = answer(
    b'{"error":"server busy, please try again.  maximum pending requests exceeded"}',
    status=b"503 Service Unavailable",
)
STATELESS = (
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
)


async def dies(_: Message, peer: Peer) -> None:
    """Close without a byte of an answer."""
    peer.close()


def kept_then(second: Handler) -> Handler:
    """Answer the first request of each connection, and treat the next by another handler."""
    seen: set[Peer] = set()

    async def handler(request: Message, peer: Peer) -> None:
        if peer in seen:
            await second(request, peer)
        else:
            seen.add(peer)
            await peer.send(answer())

    return handler


# -- connections that are kept -------------------------------------------------------------------------


@runs
async def test_requests_share_one_kept_connection() -> None:
    async with one_server() as (server, proxy):
        for _ in range(5):
            await proxy.ask(post("/api/chat", BODY))
        assert (server.hits, server.connections) == (5, 1)


@pytest.mark.parametrize("path", STATELESS)
@runs
async def test_a_kept_connection_that_dies_on_a_request_is_replaced_unseen(path: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = kept_then(dies)
        client = await proxy.connect()
        for _ in range(6):
            assert (await client.ask(post(path, BODY))).status == 200
        assert not proxy.events.of(ServerWentDown)


@runs
async def test_a_get_on_a_kept_connection_that_dies_is_sent_again() -> None:
    async with one_server() as (server, proxy):
        server.handler = kept_then(dies)
        for _ in range(4):
            assert (await proxy.ask(get("/v1/models/llama3.2"))).status == 200


@runs
async def test_without_replays_a_kept_connection_that_dies_is_a_502_and_one_hit() -> None:
    async with one_server(replay_inference=False) as (server, proxy):
        server.handler = kept_then(dies)
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502
        assert server.hits == 2
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200


@runs
async def test_half_an_answer_on_a_kept_connection_is_never_sent_again() -> None:
    async with one_server() as (server, proxy):
        server.handler = kept_then(breaks_off(b"HTTP/1.1 2"))
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502
        assert server.hits == 2


@pytest.mark.parametrize("way", [Peer.close, Peer.reset])
@pytest.mark.parametrize("replays", [True, False])
@runs
async def test_a_connection_closed_while_idle_is_never_written_to(
    way: Callable[[Peer], None], replays: bool
) -> None:
    async def closes(_: Message, peer: Peer) -> None:
        await peer.send(answer())
        await reached.reader.readuntil(b"true}")
        way(peer)

    async with one_server(replay_inference=replays) as (server, proxy):
        server.handler = closes
        for count in range(1, 5):
            reached = await proxy.connect()
            await reached.send(post("/api/chat", BODY))
            assert (await proxy.events.ended(2 * count - 1)).status == 200
            assert (await proxy.ask(get("/"))).status == 200  # the loop has turned: the end has been read
            assert (server.hits, server.connections) == (count, count)


@runs
async def test_a_server_that_says_close_is_connected_anew() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(answer(more=b"Connection: close\r\n"))
        for count in range(1, 4):
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
            assert server.connections == count


@runs
async def test_a_restarted_server_is_used_again_without_an_error() -> None:
    async with one_server() as (server, proxy):
        await asyncio.gather(*(proxy.ask(post("/api/chat", BODY)) for _ in range(5)))
        await server.shut()
        await server.open()
        for _ in range(6):
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        await server.shut()


# -- fresh connections ---------------------------------------------------------------------------------


@runs
async def test_a_fresh_connection_that_dies_has_one_hit_where_there_is_one_server() -> None:
    async with one_server() as (server, proxy):
        server.handler = dies
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502
        assert server.hits == 1


@runs
async def test_a_fresh_connection_that_dies_is_tried_once_on_another_server() -> None:
    servers = [RawServer(name) for name in ("one", "two", "three")]
    async with (
        servers[0] as one,
        servers[1] as two,
        servers[2] as three,
        in_front_of(one, two, three) as proxy,
    ):
        one.handler = two.handler = three.handler = dies
        got = await proxy.ask(post("/api/chat", BODY))
        assert got.status == 502
        assert one.hits + two.hits + three.hits == 2
        one.handler = two.handler = three.handler = says(answer())
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200


@runs
async def test_without_replays_a_fresh_connection_that_dies_is_a_502_and_one_hit() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, replay_inference=False) as proxy,
    ):
        one.handler = two.handler = dies
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502
        assert one.hits + two.hits == 1


@runs
async def test_what_broke_after_its_first_byte_is_never_tried_again() -> None:
    breaks = breaks_off(chunked_head() + chunk(b'{"response":"a"}\n'))
    async with RawServer("one") as one, RawServer("two") as two, in_front_of(one, two) as proxy:
        one.handler = two.handler = breaks
        got = await proxy.ask(post("/api/generate", BODY))
        assert (got.status, got.is_whole) == (200, False)
        assert one.hits + two.hits == 1


# -- servers that are down -----------------------------------------------------------------------------


@runs
async def test_a_refused_connection_moves_on_and_that_server_rests_until_a_probe_succeeds() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, probe_interval=0.1) as proxy,
    ):
        await one.shut()
        got = await proxy.ask(post("/api/chat", BODY))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
        await proxy.events.down(one)
        for _ in range(3):
            assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") == b"two"
        ups = len(proxy.events.of(ServerWentUp))
        await one.open()
        await proxy.events.until(lambda: len(proxy.events.of(ServerWentUp)) > ups)
        assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") == b"one"


@runs
async def test_a_failed_attempt_is_told_and_counted() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, probe_interval=60) as proxy,
    ):
        await one.shut()
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        event = await proxy.events.ended()
        assert (len(proxy.events.of(AttemptFailed)), event.server, event.status) == (1, "two", 200)
        (failed,) = proxy.events.of(AttemptFailed)
        assert (failed.server, failed.model, failed.moves_on) == ("one", ROUTED, True)
        assert failed.request_id == event.request_id
        assert "refused" in failed.why
        (down,) = proxy.events.of(ServerWentDown)
        assert (down.server, "refused" in down.why) == ("one", True)


SHAPES = {
    "/api/chat": lambda body: body["error"],
    "/v1/chat/completions": lambda body: body["error"]["message"],
    "/v1/messages": lambda body: body["error"]["message"],
}


@pytest.mark.parametrize("path", SHAPES)
@runs
async def test_when_all_are_down_a_503_names_model_and_servers_and_when_to_come_back(path: str) -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, probe_interval=60) as proxy,
    ):
        await one.shut()
        await two.shut()
        for _ in range(2):  # found out by this request, and known before
            got = await proxy.ask(post(path, BODY))
            assert got.status == 503
            assert int(got.get(b"retry-after") or b"0") > 0
            text = SHAPES[path](json.loads(got.body))
            assert ROUTED in text
            assert "one" in text
            assert "two" in text


@runs
async def test_a_server_that_is_down_from_the_start_is_found_when_it_comes() -> None:
    late = RawServer()
    async with late:
        await late.shut()
        async with running(a_config([late], probe_interval=0.05)) as proxy:
            assert (await proxy.ask(post("/api/chat", BODY))).status == 503
            await late.open()
            await proxy.events.up(late)
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200


# -- servers that are busy -----------------------------------------------------------------------------


@runs
async def test_a_busy_server_is_passed_over_before_a_byte_goes_out() -> None:
    async with RawServer("one") as one, RawServer("two") as two, in_front_of(one, two) as proxy:
        one.handler = says(BUSY)
        got = await proxy.ask(post("/api/chat", BODY))
        assert (got.status, got.get(b"x-gollamas-server"), one.hits, two.hits) == (200, b"two", 1, 1)
        assert not proxy.events.of(ServerWentDown)


@pytest.mark.parametrize("count", [1, 2, 3])
@runs
async def test_when_all_are_busy_the_last_ones_words_pass_verbatim(count: int) -> None:
    servers = [RawServer(f"s{number}") for number in range(count)]
    async with opened(*servers), in_front_of(*servers) as proxy:
        await proxy.events.up(*servers)
        for server in servers:
            server.handler = says(BUSY)
        client = await proxy.connect()
        for turn in (1, 2):
            got = await client.ask(post("/api/chat", BODY))
            assert (got.status, got.body) == (503, BUSY.partition(b"\r\n\r\n")[2])
            assert got.get(b"x-gollamas-server") == servers[-1].name.encode()
            assert [server.hits for server in servers] == [turn] * count
            assert (await proxy.events.ended(turn)).status == 503


@runs
async def test_a_busy_answer_in_chunks_passes_whole_where_nobody_is_left() -> None:
    pieces = chunked_head(b"application/json") + chunk(b'{"error":') + chunk(b'"busy"}') + chunk(b"")
    busy = pieces.replace(b"200 OK", b"503 Busy")
    async with RawServer("one") as one, RawServer("two") as two, in_front_of(one, two) as proxy:
        one.handler = two.handler = says(busy)
        got = await proxy.ask(post("/api/chat", BODY))
        assert (got.status, got.body, got.is_whole) == (503, b'{"error":"busy"}', True)


@runs
async def test_busy_here_and_down_there_passes_the_busy_answer() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, probe_interval=60) as proxy,
    ):
        one.handler = says(BUSY)
        await two.shut()
        got = await proxy.ask(post("/api/chat", BODY))
        assert (got.status, got.body) == (503, BUSY.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("way", ["breaks off", "hangs"])
@runs
async def test_a_busy_answer_that_never_ends_moves_on_too(way: str) -> None:
    async def half(_: Message, peer: Peer) -> None:
        await peer.send(BUSY[:-20])
        if way == "hangs":
            await peer.gone()
        peer.close()

    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, idle_timeout=0.3) as proxy,
    ):
        one.handler = half
        async with asyncio.timeout(5):
            got = await proxy.ask(post("/api/chat", BODY))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
