"""Large bodies: not copied, sent slice by slice, served one a turn; forms have a limit of their own."""

import asyncio
import hashlib
import json
import sys

import pytest

from gollamas.wire.message import LARGE_BYTES
from tests.sockets.proxying import a_config, one_server, running, runs
from tests.sockets.raw import Message, Peer, RawServer, SaysLater, answer, chunk, get, hangs, post

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard as zstd

MIB = 1 << 20
TYPE = b"Content-Type: multipart/form-data; boundary=XX"


def picture(size: int, model: str = "llama3.2") -> bytes:
    """Make a body with a picture of so many bytes."""
    return b'{"model":"%b","images":["%b"],"stream":false}' % (model.encode(), b"A" * size)


def in_zstd(size: int) -> bytes:
    """Make a request with a picture of so many bytes, which is small on its way."""
    return post("/v1/chat/completions", zstd.compress(picture(size)), b"Content-Encoding: zstd")


def form(size: int, model: bytes = b"llama3.2", *, is_first: bool = True) -> bytes:
    """Make a form with a recording of so many bytes."""
    field = b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + model + b"\r\n"
    file = (
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        + b"\0" * size
        + b"\r\n"
    )
    return (field + file if is_first else file + field) + b"--XX--\r\n"


def in_chunks(path: str, body: bytes, *lines: bytes) -> bytes:
    """Make a request whose body comes in chunks."""
    head = get(path, b"Transfer-Encoding: chunked", *lines, method=b"POST")
    pieces = [chunk(body[at : at + 100_000]) for at in range(0, len(body), 100_000)]
    return head + b"".join(pieces) + chunk(b"")


@pytest.mark.parametrize("size", [LARGE_BYTES - 100, LARGE_BYTES, LARGE_BYTES + 1, 3 * MIB])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("asked", ["llama3.2", "gpt-4o"])
@runs
async def test_a_large_body_reaches_its_server_byte_for_byte(size: int, is_chunked: bool, asked: str) -> None:
    async with one_server(aliases={"gpt-4o": "llama3.2"}) as (server, proxy):
        body = picture(size, asked)
        client = await proxy.connect()
        for _ in range(2):
            await client.send(in_chunks("/api/chat", body) if is_chunked else post("/api/chat", body))
            assert (await client.answer()).status == 200
        wanted = picture(size)
        assert [request.body == wanted for request in server.requests] == [True, True]
        assert server.connections == 1


@pytest.mark.parametrize("asked", [b"llama3.2", b"gpt-4o"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_chunked", [False, True])
@runs
async def test_a_large_form_reaches_its_server_with_its_model(
    asked: bytes, is_first: bool, is_chunked: bool
) -> None:
    path = "/v1/audio/transcriptions"
    async with one_server(aliases={"gpt-4o": "llama3.2"}, max_body=1000) as (server, proxy):
        body = form(3 * MIB, asked, is_first=is_first)
        data = in_chunks(path, body, TYPE) if is_chunked else post(path, body, TYPE)
        assert (await proxy.ask(data)).status == 200
        assert server.requests[0].body == form(3 * MIB, is_first=is_first)


@pytest.mark.parametrize("is_chunked", [False, True])
@runs
async def test_a_form_longer_than_max_upload_is_refused(is_chunked: bool) -> None:
    path = "/v1/audio/transcriptions"
    async with one_server(max_upload=MIB) as (server, proxy):
        body = form(MIB)
        got = await proxy.ask(in_chunks(path, body, TYPE) if is_chunked else post(path, body, TYPE))
        assert (got.status, b"max_upload" in got.body) == (413, True)
        assert server.hits == 0


@pytest.mark.parametrize("size", [1000, 60_000, 200_000])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/transcription%73"])
@runs
async def test_a_form_that_comes_in_one_read_has_the_same_limit(
    size: int, is_chunked: bool, path: str
) -> None:
    async with one_server(max_upload=size) as (server, proxy):
        for body, status in ((form(size), 413), (form(size - len(form(0))), 200)):
            data = in_chunks(path, body, TYPE) if is_chunked else post(path, body, TYPE)
            got = await proxy.ask(data)
            assert got.status == status
        assert (server.hits, len(server.requests[0].body)) == (1, size)


@runs
async def test_forms_that_come_in_one_read_count_too() -> None:
    later = SaysLater(answer())
    async with one_server(max_upload=3000) as (server, proxy):
        server.handler = later
        data = post("/v1/audio/transcriptions", form(800), TYPE)
        clients = [await proxy.connect() for _ in range(4)]
        for client in clients[:3]:
            await client.send(data)
        while server.hits < 3:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        got = await clients[3].ask(data)
        assert (got.status, got.get(b"retry-after")) == (503, b"5")
        later.goes_on.set()
        for client in clients[:3]:
            assert (await client.answer()).status == 200
            assert (await client.ask(data)).status == 200


@runs
async def test_a_form_counts_no_more_once_it_is_answered_though_its_client_goes_on() -> None:
    async with one_server(max_upload=2 * MIB) as (_, proxy):
        data = post("/v1/audio/transcriptions", form(MIB + 1000), TYPE, b"Connection: close")
        first = await proxy.connect()
        first.writer.write(data + get("/", b"X: " + b"x" * 1000) * 300)
        assert (await first.answer()).status == 200
        assert (await proxy.ask(data)).status == 200


@runs
async def test_all_forms_together_hold_no_more_than_max_upload() -> None:
    path = "/v1/audio/transcriptions"
    later = SaysLater(answer())
    async with one_server(max_upload=2 * MIB) as (server, proxy):
        server.handler = later
        data = post(path, form(MIB + 1000), TYPE)
        first, second = await proxy.connect(), await proxy.connect()
        await first.send(data)
        await later.came.get()
        got = await second.ask(data)
        assert (got.status, got.get(b"retry-after"), b"max_upload" in got.body) == (503, b"5", True)
        later.goes_on.set()
        assert (await first.answer()).status == 200
        # What was answered, refused or broken off counts no more.
        for _ in range(3):
            gone = await proxy.connect()
            await gone.send(data[:MIB])
            assert (await proxy.ask(get("/"))).status == 200
            gone.reset()
            assert (await proxy.ask(get("/"))).status == 200
        assert (await proxy.ask(data)).status == 200


@runs
async def test_more_than_a_thousand_members_are_a_400_that_says_so() -> None:
    async with one_server() as (server, proxy):
        body = b'{"model":"llama3.2",' + b",".join(b'"k%d":1' % number for number in range(200_000)) + b"}"
        got = await proxy.ask(post("/api/chat", body))
        assert (got.status, "more than 1000 members" in json.loads(got.body)["error"]) == (400, True)
        assert server.hits == 0


@runs
async def test_an_answer_before_a_large_body_has_gone_out_spoils_no_other() -> None:
    """A server that refuses without reading gets no second request on the same connection."""

    async def refuses_unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(answer(b'{"version":"0.1.0"}'))
        else:
            heads.append(head)
            writer.write(answer(b'{"error":"too large"}', status=b"413 Too Large"))
            await over.wait()
        writer.close()

    heads: list[bytes] = []
    over = asyncio.Event()
    async with RawServer() as server, running(a_config([server])) as proxy:
        await server.shut()
        lazy = await asyncio.start_server(refuses_unread, "127.0.0.1", server.port, limit=1024)
        client = await proxy.connect()
        for _ in range(2):
            await client.send(post("/api/chat", picture(32 * MIB)))
            got = await client.answer()
            assert (got.status, got.body) == (413, b'{"error":"too large"}')
        assert [head.startswith(b"POST /api/chat HTTP/1.1\r\n") for head in heads] == [True, True]
        over.set()
        lazy.close()


@runs
async def test_bodies_that_are_large_without_their_coding_are_served_one_a_turn_too() -> None:
    """A few hundred bytes of zstd can be 20 MiB, which take as long as any."""
    later = SaysLater(answer())
    async with one_server() as (server, proxy):
        server.handler = later
        clients = [await proxy.connect() for _ in range(8)]
        for client in clients:
            client.writer.write(in_zstd(MIB))
        while proxy.app._round.open < len(clients):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert len(proxy.app._round._large) > 1
        later.goes_on.set()
        assert {(await client.answer()).status for client in clients} == {200}
        assert {len(request.body) for request in server.requests} == {len(picture(MIB))}


@runs
async def test_large_bodies_are_let_go_one_a_turn_too() -> None:
    """To give 64 MiB back takes the kernel a while, and many answers may come at once."""
    later = SaysLater(answer())
    async with one_server() as (server, proxy):
        server.handler = later
        clients = [await proxy.connect() for _ in range(6)]
        asking = [asyncio.ensure_future(client.ask(post("/api/chat", picture(MIB)))) for client in clients]
        while server.hits < len(clients):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert not proxy.app._round._large
        later.goes_on.set()
        waiting = 0
        while not all(task.done() for task in asking) or proxy.app._round._large:
            waiting = max(waiting, len(proxy.app._round._large))
            await asyncio.sleep(0)
        assert waiting > 1


@runs
async def test_what_waits_for_its_turn_at_the_end_of_the_grace_period_gets_a_503() -> None:
    async with one_server() as (server, proxy):
        server.handler = hangs
        round_, listens = proxy.app._round, proxy.app._listener
        assert listens is not None
        clients = [await proxy.connect() for _ in range(20)]
        for client in clients:
            client.writer.write(in_zstd(MIB))  # which comes in one read
        while round_.open < len(clients):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert len(round_._large) > 1
        listens.clients.drain()
        listens.clients.cut()
        for client in clients:
            got = await client.answer()
            assert (got.status, got.get(b"connection"), b"shutting down" in got.body) == (503, b"close", True)
        while round_._large:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


@runs
async def test_others_are_served_between_large_bodies() -> None:
    """Each of many large ones is taken apart in a turn of the loop of its own."""
    order: list[str] = []

    async def notes(request: Message, peer: Peer) -> None:
        order.append("large" if len(request.body) > LARGE_BYTES else "small")
        await peer.send(answer())

    async with one_server() as (server, proxy):
        server.handler = notes
        clients = [await proxy.connect() for _ in range(8)]
        data = post("/api/chat", picture(4 * MIB))
        small = await proxy.connect()
        asking = [asyncio.ensure_future(client.ask(data)) for client in clients]
        while "large" not in order:
            assert (await small.ask(post("/api/chat", b'{"model":"llama3.2"}'))).status == 200
        assert {got.status for got in await asyncio.gather(*asking)} == {200}
        digests = {hashlib.sha256(one.body).hexdigest() for one in server.requests if len(one.body) > MIB}
        assert len(digests) == 1


@runs
async def test_a_client_that_leaves_before_its_large_body_is_served_leaves_nothing() -> None:
    async with one_server() as (_, proxy):
        for _ in range(5):
            client = await proxy.connect()
            await client.send(post("/api/chat", picture(2 * MIB)))
            client.reset()
        assert (await proxy.ask(post("/api/chat", b'{"model":"llama3.2"}'))).status == 200
