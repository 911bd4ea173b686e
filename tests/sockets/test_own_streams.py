"""Answers of our own that come in pieces: on the main port, and where services answer by values."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gollamas.api.routes import Route
from gollamas.config.model import Config
from gollamas.errors import ModelNotFound, ProxyError, ServerBroke
from gollamas.events import Crashed, End
from gollamas.proxy.own import Own
from gollamas.responder import Responder
from gollamas.wire.message import Answer, CutOff, Fields, Request
from tests.sockets.proxying import Running, one_server, runs
from tests.sockets.raw import get
from tests.sockets.serving import Serving, serving

NDJSON: Fields = [(b"Content-Type", b"application/x-ndjson")]
EVENTS: Fields = [(b"Content-Type", b"text/event-stream")]


@dataclass
class Pieces:
    """A body whose pieces are made when they are asked for, and that knows how it was treated."""

    pieces: list[bytes]
    then: Exception | None = None  # raised behind the last one
    waits: bool = False  # for `go`, before each
    asked: int = 0
    is_closed: bool = False
    go: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        if self.waits:
            await self.go.acquire()
        if self.pieces:
            return self.pieces.pop(0)
        if self.then is not None:
            raise self.then
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


class Streams(Own):
    """Answers each request that is ours with what it is given."""

    def __init__(self, own: Own, make: Callable[[], Answer]) -> None:
        super().__init__(own._view, own._listings, own._changes, own.uploads)
        self._make = make

    async def _of_route(self, route: Route, config: Config, only: str | None) -> Answer:
        del route, config, only
        return self._make()


@asynccontextmanager
async def main_port(make: Callable[[], Answer], **options: float) -> AsyncIterator[Running]:
    """Run a proxy whose own answers are made by `make`."""
    async with one_server(**options) as (_, proxy):
        inner = proxy.app._proxy
        inner._own = Streams(inner._own, make)
        yield proxy


@asynccontextmanager
async def values(make: Callable[[], Answer]) -> AsyncIterator[Serving]:
    """Serve answers that are values."""

    async def respond(_: Request) -> Answer:
        return make()

    def refuse(error: ProxyError) -> Answer:
        return Answer(error.status, [], error.text.encode())

    async with serving(Responder(respond, refuse, 1024)) as port:
        yield port
    assert not port.events.of(Crashed)


@asynccontextmanager
async def port_of(where: str, make: Callable[[], Answer]) -> AsyncIterator[Serving]:
    """Serve `make` on one of the two kinds of ports."""
    if where == "values":
        async with values(make) as port:
            yield port
        return
    async with main_port(make) as proxy:
        assert proxy.app._listener is not None
        yield Serving(proxy.port, proxy.app._listener, proxy.app._clock, proxy.events, proxy.clients)


on_both = pytest.mark.parametrize("where", ["main port", "values"])


def streamed(body: Pieces, fields: Fields = NDJSON, status: int = 200) -> Callable[[], Answer]:
    """Make the same answer for each request."""
    return lambda: Answer(status, list(fields), body)


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    while not holds():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


async def settled(count: Callable[[], int]) -> int:
    """Let the loop turn until a count has stood still for long; nothing else announces that."""
    same, last = 0, -1
    while same < 2000:
        await asyncio.sleep(0)
        now = count()
        same = same + 1 if now == last else 0
        last = now
    return last


@on_both
@runs
async def test_each_piece_is_a_chunk_that_goes_out_before_the_next_is_made(where: str) -> None:
    body = Pieces([b'{"n":1}\n', b"", b'{"n":2}\n'], waits=True)
    async with port_of(where, streamed(body)) as port:
        client, _ = await port.connect()
        await client.send(get("/"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in head
        body.go.release()
        assert await client.reader.readexactly(13) == b'8\r\n{"n":1}\n\r\n'
        assert len(body.pieces) == 2
        for _ in range(3):
            body.go.release()
        assert await client.reader.readexactly(18) == b'8\r\n{"n":2}\n\r\n0\r\n\r\n'
        await until(lambda: body.is_closed)
        body.pieces, body.go = [b"more"], asyncio.Semaphore(2)
        again = await client.ask(get("/"))
        assert (again.body, again.is_whole) == (b"more", True)


@on_both
@runs
async def test_to_a_client_of_http_10_pieces_go_until_the_connection_ends(where: str) -> None:
    body = Pieces([b"a", b"", b"bc"])
    async with port_of(where, streamed(body)) as port:
        client, _ = await port.connect()
        got = await client.ask(get("/", b"Connection: keep-alive", version=b"1.0"))
        assert (got.body, got.get(b"transfer-encoding"), got.get(b"connection")) == (b"abc", None, b"close")
        assert body.is_closed


@on_both
@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
@runs
async def test_where_no_body_follows_none_is_made(where: str, method: bytes) -> None:
    body = Pieces([b"a"])
    make = streamed(body, status=200 if method == b"HEAD" else 204)
    async with port_of(where, make) as port:
        client, _ = await port.connect()
        for _ in range(2):
            assert (await client.ask(get("/", method=method), to_head=True)).body == b""
        await until(lambda: body.is_closed)
        assert body.asked == 0


@on_both
@runs
async def test_nothing_is_made_for_a_client_that_does_not_read(where: str) -> None:
    size, count = 64 * 1024, 200  # more than sockets take
    body = Pieces([b"%04x" % n + b"a" * (size - 4) for n in range(count)])
    sent = b"".join(body.pieces)
    async with port_of(where, streamed(body)) as port:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port.port))
            await loop.sock_sendall(sock, get("/", version=b"1.0"))
            asked = await settled(lambda: body.asked)
            (client,) = (one for one in port.clients.live if one.is_busy)
            assert client.is_paused
            assert client._transport.get_write_buffer_size() <= size
            assert 0 < asked < count
            got = b""
            while data := await loop.sock_recv(sock, 1 << 20):
                got += data
            assert got.partition(b"\r\n\r\n")[2] == sent
            assert body.is_closed


@on_both
@pytest.mark.parametrize("way", ["waiting for a piece", "not reading"])
@runs
async def test_a_client_that_leaves_ends_the_iterator(where: str, way: str) -> None:
    waits = way == "waiting for a piece"
    body = Pieces([b"a" * 65536] * 1000, waits=waits)
    async with port_of(where, streamed(body)) as port:
        client, _ = await port.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/"))
        asked = await settled(lambda: body.asked)
        assert asked == 1 if waits else asked < 1000
        client.reset()
        await until(lambda: body.is_closed)
        assert body.asked == asked
        await until(lambda: not port.clients.live)


@on_both
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@runs
async def test_a_body_that_is_cut_off_resets_the_connection(where: str, version: bytes) -> None:
    body = Pieces([b"a"], then=CutOff())
    async with port_of(where, streamed(body)) as port:
        client, _ = await port.connect()
        await client.send(get("/", version=version))
        assert await client.was_reset()
        assert body.is_closed


@on_both
@runs
async def test_others_are_served_while_an_iterator_never_waits(where: str) -> None:
    first = Pieces([b"a"] * 100_000)
    answers = iter([Answer(200, [], first), Answer(200, [], b"other")])
    async with port_of(where, lambda: next(answers)) as port:
        (client, _), (other, _) = await port.connect(), await port.connect()
        await client.send(get("/"))
        await until(lambda: first.asked > 0)
        assert (await other.ask(get("/"))).body == b"other"
        assert first.pieces
        client.reset()
        await until(lambda: first.is_closed)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@runs
async def test_shutting_down_breaks_an_answer_by_values_off(version: bytes) -> None:
    body = Pieces([b"{}\n"], waits=True)
    async with values(streamed(body)) as port:
        client, _ = await port.connect()
        await client.send(get("/", version=version))
        body.go.release()
        await client.reader.readuntil(b"{}\n")
        port.listener.stop_accepting()
        assert await port.listener.wait_closed(0) == 1
        assert body.is_closed
        if version == b"1.0":
            assert await client.was_reset()
        else:
            assert await client.gone() == b"\r\n"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@runs
async def test_a_defect_in_an_answer_by_values_is_never_a_proper_end(version: bytes) -> None:
    async with values(streamed(Pieces([b"a"], then=ValueError("x")))) as port:
        client, _ = await port.connect()
        await client.send(get("/", version=version))
        if version == b"1.0":
            assert await client.was_reset()
        else:
            assert (await client.gone()).endswith(b"\r\n\r\n1\r\na\r\n")
        (crashed,) = port.events.of(Crashed)
        assert isinstance(crashed.error, ValueError)
        port.events.remove(crashed)


# -- what the log is told, and what the client reads in its dialect: the main port alone ------------------


@runs
async def test_the_event_counts_all_pieces() -> None:
    async with main_port(streamed(Pieces([b"abc", b"", b"de"]))) as proxy:
        assert (await proxy.ask(get("/"))).body == b"abcde"
        event = await proxy.events.ended()
        assert (event.status, event.end, event.bytes_out, event.error) == (200, End.DONE, 5, None)


@runs
async def test_the_event_of_a_client_that_left_counts_what_went_out() -> None:
    body = Pieces([b"abc"], waits=True)
    async with main_port(streamed(body)) as proxy:
        client = await proxy.connect()
        await client.send(get("/"))
        body.go.release()
        await client.reader.readuntil(b"abc")
        client.reset()
        event = await proxy.events.ended()
        assert (event.status, event.end, event.bytes_out) == (200, End.CLIENT_LEFT, 3)
        assert body.is_closed


@runs
async def test_a_client_that_takes_nothing_for_too_long_is_told_of() -> None:
    body = Pieces([b"a" * 65536] * 1000)
    async with main_port(streamed(body), write_timeout=0.2) as proxy:
        client = await proxy.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/"))
        event = await proxy.events.ended()
        assert (event.status, event.end, event.error) == (
            200,
            End.TIMED_OUT,
            "the client took nothing for 0.2 s",
        )
        assert body.is_closed


@pytest.mark.parametrize(
    ("path", "fields", "wanted"),
    [
        ("/", NDJSON, b'\n{"error":"it broke"}\n'),
        (
            "/v1/models",
            EVENTS,
            b'\n\ndata: {"error":{"message":"it broke","type":"api_error","param":null,"code":null}}\n\n',
        ),
    ],
)
@pytest.mark.parametrize(
    ("error", "end"), [(ServerBroke("it broke"), End.SERVER_BROKE), (ModelNotFound("it broke"), End.REFUSED)]
)
@runs
async def test_an_answer_that_fails_on_its_way_ends_with_one_error_in_the_routes_dialect(
    path: str, fields: Fields, wanted: bytes, error: ProxyError, end: End
) -> None:
    async with main_port(streamed(Pieces([b'{"a"'], then=error), fields)) as proxy:
        got = await proxy.ask(get(path))
        assert (got.status, got.is_whole, got.body) == (200, False, b'{"a"' + wanted)
        event = await proxy.events.ended()
        assert (event.end, event.error, event.bytes_out) == (end, "it broke", 4)


@runs
async def test_an_answer_that_fails_on_its_way_to_a_client_of_http_10_is_reset() -> None:
    async with main_port(streamed(Pieces([b"{}\n"], then=ServerBroke("it broke")))) as proxy:
        client = await proxy.connect()
        await client.send(get("/", version=b"1.0"))
        assert await client.was_reset()
        assert (await proxy.events.ended()).end is End.SERVER_BROKE


@runs
async def test_a_defect_on_the_way_of_an_answer_is_told_and_ends_it_with_an_error() -> None:
    async with main_port(streamed(Pieces([b"{}\n"], then=ValueError("secret")))) as proxy:
        got = await proxy.ask(get("/"))
        assert not got.is_whole
        assert json.loads(got.body.removeprefix(b"{}\n")) == {
            "error": "internal error: see the log of gollamas"
        }
        event = await proxy.events.ended()
        assert (event.end, event.status) == (End.REFUSED, 200)
        (crashed,) = proxy.events.of(Crashed)
        assert isinstance(crashed.error, ValueError)
        proxy.events.remove(crashed)


@runs
async def test_a_body_that_is_cut_off_is_told_as_a_break() -> None:
    async with main_port(streamed(Pieces([b"{}\n"], then=CutOff()))) as proxy:
        client = await proxy.connect()
        await client.send(get("/"))
        assert await client.was_reset()
        assert (await proxy.events.ended()).end is End.SERVER_BROKE


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@runs
async def test_shutting_down_breaks_an_answer_of_our_own_off(version: bytes) -> None:
    body = Pieces([b"{}\n"], waits=True)
    async with main_port(streamed(body)) as proxy:
        client = await proxy.connect()
        await client.send(get("/", version=version))
        body.go.release()
        await client.reader.readuntil(b"{}\n")
        await proxy.app.stop(grace=0)
        assert body.is_closed
        if version == b"1.0":
            assert await client.was_reset()
        else:
            rest = await client.gone()
            assert not rest.endswith(b"0\r\n\r\n")
            assert b'{"error":"gollamas is shutting down"}\n' in rest
        event = await proxy.events.ended()
        assert (event.end, event.error, event.bytes_out) == (
            End.SHUT_DOWN,
            "gollamas is shutting down",
            3,
        )
