"""`/api/blobs`: what is asked before a body is read, who may upload where, and one upload behind another."""

import asyncio

import pytest

from gollamas.config.model import Expose, Manage
from gollamas.events import End, RequestEnded
from tests.sockets.blobs import (
    BLOB,
    DIGEST,
    LAST_CHUNK,
    OPEN,
    PATH,
    BlobServer,
    blob_servers,
    chunked,
    chunks,
    error_in,
    head_of,
    path_of,
)
from tests.sockets.proxying import in_front_of, opened, runs
from tests.sockets.raw import byte_by_byte, get, post
from tests.sockets.simulated import fleet

# -- what is asked before the body ---------------------------------------------------------------------


@runs
async def test_100_continue_comes_once_it_is_known_who_gets_the_blob() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    servers[1].answers.clear()
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        await client.send(head_of(b"Content-Length: %d" % len(BLOB), b"Expect: 100-continue"))
        await servers[0].asked.wait()
        await servers[1].asked.wait()
        assert (await proxy.ask(get("/api/version"))).status == 200
        assert not client.reader._buffer  # type: ignore[attr-defined]  # nothing has come
        servers[1].answers.set()
        assert (await client.answer()).start == b"HTTP/1.1 100 Continue"
        got = await client.ask(BLOB)
        assert got.status == 201
        assert [server.uploads[0].raw for server in servers] == [BLOB, BLOB]
        assert all(server.uploads[0].head.get(b"expect") is None for server in servers)
        assert (await client.ask(get("/api/version"))).status == 200


@runs
async def test_100_continue_is_said_once_in_chunks() -> None:
    server = BlobServer("a")
    async with blob_servers(server) as proxy:
        client = await proxy.connect()
        await client.send(head_of(b"Transfer-Encoding: chunked", b"Expect: 100-continue"))
        assert (await client.answer()).status == 100
        for piece in (chunks(BLOB[:9]), chunks(BLOB[9:]), LAST_CHUNK):
            await client.send(piece)
        assert (await client.answer()).status == 201
        assert server.uploads[0].body == BLOB


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
@runs
async def test_where_all_have_it_the_answer_comes_without_the_body(framing: bytes) -> None:
    servers = [BlobServer("a", had=True), BlobServer("b", had=True)]
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        got = await client.ask(head_of(framing, b"Expect: 100-continue"))
        assert (got.status, got.body, got.get(b"connection")) == (200, b"", b"close")
        await client.send(b"GET /api/version HTTP/1.1\r\n")  # of a body that it was told not to send
        client.half_close()
        assert await client.is_closed()
        assert [server.uploads for server in servers] == [[], []]
        event = await proxy.events.ended()
        assert (event.status, event.end, event.bytes_in) == (200, End.DONE, 0)


@runs
async def test_a_large_body_that_all_have_is_not_read() -> None:
    large = bytes(24 << 20)
    async with blob_servers(BlobServer("a", had=True)) as proxy:
        client = await proxy.connect()
        client.writer.write(post(path_of(large), large))
        got = await client.answer()
        assert (got.status, got.get(b"connection")) == (200, b"close")
        assert (await proxy.events.ended()).bytes_in <= 256 * 1024


@runs
async def test_a_server_that_has_it_gets_no_post() -> None:
    has, lacks = BlobServer("a", had=True), BlobServer("b")
    async with blob_servers(has, lacks) as proxy:
        got = await proxy.ask(post(PATH, BLOB))
        assert (got.status, got.body, got.get(b"warning")) == (201, b"", None)
        assert (len(has.heads), has.uploads) == (1, [])
        assert [upload.raw for upload in lacks.uploads] == [BLOB]


@pytest.mark.parametrize("method", [b"HEAD", b"POST"])
@pytest.mark.parametrize(
    "digest", [DIGEST.replace(":", "-"), DIGEST.upper(), f"sha256:{'A' * 64}", DIGEST[:-1], DIGEST[7:]]
)
@runs
async def test_what_is_no_digest_is_refused_before_anything_is_sent(digest: str, method: bytes) -> None:
    server = BlobServer("a")
    async with blob_servers(server) as proxy:
        path, is_head = f"/api/blobs/{digest}", method == b"HEAD"
        data = get(path, method=method) if is_head else post(path, BLOB)
        got = await proxy.ask(data, to_head=is_head)
        assert got.status == 400
        assert got.body == (b"" if is_head else b'{"error":"invalid digest format"}')
        assert (server.heads, server.uploads) == ([], [])
        assert (await proxy.events.ended()).error == "invalid digest format"


@runs
async def test_head_is_200_only_where_every_server_has_it() -> None:
    servers = [BlobServer("a", had=True), BlobServer("b")]
    async with blob_servers(*servers) as proxy:
        head = get(PATH, method=b"HEAD")
        assert (await proxy.ask(head, to_head=True)).status == 404
        servers[1].had = True
        assert (await proxy.ask(head, to_head=True)).status == 200
        assert (
            await proxy.ask(get(PATH, b"X-Gollamas-Server: a", method=b"HEAD"), to_head=True)
        ).status == 200


# -- who may, and where --------------------------------------------------------------------------------


@runs
async def test_it_goes_to_the_servers_of_configured_models_or_those_of_manage_servers_or_one() -> None:
    one, two, three = (BlobServer(name) for name in ("a", "b", "c"))
    some = {"llama3.2": [three]}
    async with opened(one, two, three):
        async with in_front_of(one, two, three, models=some, manage=Manage.CONFIGURED) as proxy:
            assert (await proxy.ask(post(PATH, BLOB))).status == 201
            assert [len(server.uploads) for server in (one, two, three)] == [0, 0, 1]
        async with in_front_of(one, two, three, **OPEN, manage_servers=("b",)) as proxy:
            assert (await proxy.ask(post(PATH, BLOB))).status == 201
            assert [len(server.uploads) for server in (one, two, three)] == [0, 1, 1]
            refused = await proxy.ask(post(PATH, BLOB, b"X-Gollamas-Server: a"))
            assert (refused.status, error_in(refused)) == (400, "blobs are not uploaded to server 'a'")
        async with in_front_of(one, two, three, **OPEN) as proxy:
            assert (await proxy.ask(post(PATH, BLOB, b"X-Gollamas-Server: a"))).status == 201
            assert [len(server.uploads) for server in (one, two, three)] == [1, 1, 1]
            assert one.uploads[0].head.get(b"x-gollamas-server") is None
            refused = await proxy.ask(post(PATH, BLOB, b"X-Gollamas-Server: z"))
            assert (refused.status, b"'z'" in refused.body, b"'b'" in refused.body) == (400, True, False)


@runs
async def test_while_manage_is_off_it_is_a_403_and_head_goes_on() -> None:
    server = BlobServer("a", had=True)
    async with blob_servers(server, manage=Manage.OFF, expose=Expose.CONFIGURED) as proxy:
        client = await proxy.connect()
        got = await client.ask(head_of(b"Content-Length: 1000", b"Expect: 100-continue"))
        assert got.status == 403
        assert error_in(got) == "blobs can't be uploaded through gollamas: `manage` is `off`"
        client.half_close()
        assert await client.is_closed()
        assert (await proxy.ask(get(PATH, method=b"HEAD"), to_head=True)).status == 200
        assert server.uploads == []


@runs
async def test_one_that_is_down_is_left_out_and_where_all_are_it_is_a_503() -> None:
    async with fleet("a", "b", **{**OPEN, "probe_interval": 0.05}) as both:
        await both.take_down("a")
        assert (await both.proxy.ask(post(PATH, BLOB))).status == 201
        assert [one.engine.library.has_blob(DIGEST) for one in both.ollamas.values()] == [False, True]
        assert (await both.proxy.ask(get(PATH, method=b"HEAD"), to_head=True)).status == 200
        await both.take_down("b")
        got = await both.proxy.ask(post(PATH, BLOB))
        assert (got.status, got.get(b"retry-after") is not None) == (503, True)
        assert error_in(got).startswith("no server can be reached (a: ")
        assert (await both.proxy.ask(get(PATH, method=b"HEAD"), to_head=True)).status == 503


# -- a connection's requests ---------------------------------------------------------------------------


@runs
async def test_two_blobs_and_what_is_pipelined_behind_them_go_over_one_connection() -> None:
    server = BlobServer("a")
    other = b"GGUF, another one"
    async with blob_servers(server) as proxy:
        client = await proxy.connect()
        assert (await client.ask(post(PATH, BLOB))).status == 201
        await client.send(chunked(other, 5, path_of(other)) + get("/api/version") + post(PATH, BLOB))
        assert (await client.answer()).status == 201
        version = await client.answer()
        assert (version.status, b"version" in version.body) == (200, True)
        assert (await client.answer()).status == 201
        assert [upload.body for upload in server.uploads] == [BLOB, other, BLOB]
        assert len(proxy.events.of(RequestEnded)) == 4


@pytest.mark.parametrize("field", [(), (b"Connection: keep-alive",)])
@runs
async def test_over_http_1_0(field: tuple[bytes, ...]) -> None:
    server = BlobServer("a")
    async with blob_servers(server) as proxy:
        client = await proxy.connect()
        got = await client.ask(post(PATH, BLOB, *field, version=b"1.0"))
        assert (got.status, got.get(b"transfer-encoding")) == (201, None)
        if field:
            assert (await client.ask(get("/api/version"))).status == 200
        else:
            assert await client.is_closed()
        assert server.uploads[0].raw == BLOB


@runs
async def test_an_http_1_0_client_that_expects_something_is_told_nothing() -> None:
    server = BlobServer("a")
    async with blob_servers(server) as proxy:
        got = await proxy.ask(post(PATH, BLOB, b"Expect: 100-continue", version=b"1.0"))
        assert got.status == 201


@pytest.mark.parametrize("body", [b"", b"G", BLOB[:1000]])
@pytest.mark.parametrize("way", ["at once", "byte by byte"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["of a length", "in chunks"])
@runs
async def test_small_ones(body: bytes, way: str, is_chunked: bool) -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    data = chunked(body, 7, path_of(body)) if is_chunked else post(path_of(body), body)
    async with blob_servers(*servers) as proxy:
        client = await proxy.connect()
        await client.drip([data] if way == "at once" else byte_by_byte(data))
        assert (await client.answer()).status == 201
        assert [server.uploads[0].body for server in servers] == [body, body]
        assert (await client.ask(get("/api/version"))).status == 200
        event = await proxy.events.ended(1)
        assert (event.bytes_in, event.bytes_out, event.end) == (len(body), 0, End.DONE)


@runs
async def test_trailers_are_read_and_dropped() -> None:
    server = BlobServer("a")
    async with blob_servers(server) as proxy:
        data = chunked(BLOB).removesuffix(LAST_CHUNK) + b"0\r\nX-Sum: 1\r\n\r\n"
        assert (await proxy.ask(data)).status == 201
        assert (server.uploads[0].body, b"Sum" in server.uploads[0].raw) == (BLOB, False)


@runs
async def test_what_a_server_gets_is_a_head_of_ours() -> None:
    server = BlobServer("a", fields=((b"Authorization", b"Bearer of-the-server"),), prefix="")
    async with blob_servers(server) as proxy:
        secret = (b"Authorization: Bearer of-the-client", b"Cookie: a=b", b"Content-Type: text/plain")
        assert (await proxy.ask(post(PATH, BLOB, *secret))).status == 201
        head = server.uploads[0].head
        assert head.get(b"authorization") == b"Bearer of-the-server"
        assert head.get(b"content-type") == b"application/octet-stream"
        assert (head.get(b"cookie"), head.get(b"content-length")) == (None, b"%d" % len(BLOB))


@runs
async def test_many_uploads_at_once_do_not_meet() -> None:
    servers = [BlobServer("a"), BlobServer("b")]
    bodies = [bytes([number]) * 50_000 for number in range(12)]
    async with blob_servers(*servers) as proxy:
        asked = [
            proxy.ask(chunked(body, 9_999, path_of(body)) if number % 2 else post(path_of(body), body))
            for number, body in enumerate(bodies)
        ]
        assert {got.status for got in await asyncio.gather(*asked)} == {201}
        for server in servers:
            got = {upload.head.path.decode(): upload.body for upload in server.uploads}
            assert got == {path_of(body): body for body in bodies}
