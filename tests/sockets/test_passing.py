"""What a server gets of a request and a client of an answer: all that is theirs, and nothing of a hop."""

import asyncio

import pytest

from gollamas.events import End
from tests.sockets.proxying import ROUTED, a_config, in_front_of, one_server, running, runs
from tests.sockets.raw import (
    Message,
    Peer,
    RawServer,
    answer,
    chunk,
    chunked_head,
    get,
    hangs,
    post,
    says,
)

BODY = b'{"model":"llama3.2"}'


@runs
async def test_a_request_reaches_the_server_with_the_clients_fields_and_without_those_of_a_hop() -> None:
    lines = (
        b"User-Agent: ollama/0.32.15 (amd64 linux) Go/go1.24",
        b"Authorization: Bearer of-the-client",
        b"X-Own: 1",
        b"X-Own: 2",
        b"Connection:",
        b"Connection: x-secret, host, content-length, x-forwarded-for, close",
        b"X-Secret: hop",
        b"Keep-Alive: timeout=5",
        b"TE: trailers",
        b"Trailer: X",
        b"Proxy-Authorization: Basic cA==",
        b"Proxy-Connection: keep-alive",
        b"Origin: http://localhost:3000",
        b"Accept-Encoding: gzip, br",
        b"X-Forwarded-For: 203.0.113.7",
    )
    async with one_server() as (server, proxy):
        assert (await proxy.ask(post("/api/chat?ts=1", BODY, *lines))).status == 200
        (request,) = server.requests
        assert request.start == b"POST /api/chat HTTP/1.1"
        assert request.get(b"host") == b"127.0.0.1:%d" % server.port
        assert request.get(b"authorization") == b"Bearer of-the-client"
        assert request.get(b"user-agent") == b"ollama/0.32.15 (amd64 linux) Go/go1.24"
        assert request.all(b"x-own") == [b"1", b"2"]
        assert request.get(b"accept-encoding") == b"identity"
        assert request.get(b"x-forwarded-for") == b"127.0.0.1"
        assert request.get(b"via") is not None
        assert request.get(b"content-length") == b"20"
        for name in (b"x-secret", b"keep-alive", b"te", b"trailer", b"origin", b"connection"):
            assert not request.all(name), name
        assert not request.all(b"proxy-authorization") + request.all(b"proxy-connection")
        assert request.body == BODY


@runs
async def test_configured_fields_take_the_place_of_the_clients() -> None:
    fields = ((b"Authorization", b"Bearer configured"), (b"X-Team", b"a"))
    async with RawServer(fields=fields) as server, running(a_config([server])) as proxy:
        await proxy.ask(post("/api/chat", BODY, b"authorization: Bearer mine", b"x-team: b"))
        (request,) = server.requests
        assert request.get(b"authorization") == b"Bearer configured"
        assert request.get(b"x-team") == b"a"


@runs
async def test_a_prefix_of_a_servers_url_stands_before_every_path() -> None:
    async with RawServer(prefix="/ollama") as server, running(a_config([server])) as proxy:
        await proxy.ask(post("/api/chat", BODY))
        await proxy.ask(get("/v1/models/llama3.2"))
        paths = {request.path for request in server.requests}
        assert {b"/ollama/api/chat", b"/ollama/v1/models/llama3.2"} <= paths
        assert all(path.startswith(b"/ollama/") for path in paths)


@runs
async def test_an_answers_status_and_fields_pass_but_for_those_of_a_hop() -> None:
    fields = (
        b"X-Own: 1\r\nx-own: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
        b"Connection: x-hop, Keep-Alive\r\nX-Hop: 1\r\n"
        b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X\r\n"
        b"Access-Control-Allow-Origin: *\r\nDate: Tue, 24 Nov 2026 07:05:31 GMT\r\n"
    )
    async with one_server() as (server, proxy):
        server.handler = says(answer(b"tea", status=b"418 Short And Stout", more=fields))
        client = await proxy.connect()
        got = await client.ask(post("/api/chat", BODY))
        assert got.status == 418
        assert got.body == b"tea"
        assert (got.all(b"x-own"), got.all(b"set-cookie")) == ([b"1", b"2"], [b"a", b"b"])
        assert got.get(b"date") == b"Tue, 24 Nov 2026 07:05:31 GMT"
        for name in (b"x-hop", b"keep-alive", b"proxy-authenticate", b"upgrade", b"trailer", b"connection"):
            assert not got.all(name), name
        assert not got.all(b"access-control-allow-origin")
        assert (await client.ask(get("/"))).status == 200


@pytest.mark.parametrize(
    "status",
    [
        b"400 Bad Request",
        b"404 Not Found",
        b"429 Too Many Requests",
        b"500 Internal Server Error",
        b"501 Not Implemented",
        b"502 Bad Gateway",
    ],
)
@runs
async def test_a_servers_own_error_passes_verbatim_and_is_asked_once(status: bytes) -> None:
    body = b'{"error":"model runner has unexpectedly stopped"}'
    async with RawServer("one") as one, RawServer("two") as two, in_front_of(one, two) as proxy:
        one.handler = two.handler = says(answer(body, status=status))
        got = await proxy.ask(post("/api/generate", BODY))
        assert (got.start, got.body) == (b"HTTP/1.1 " + status, body)
        assert one.hits + two.hits == 1


@runs
async def test_pieces_are_forwarded_as_they_come() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head())
        await peer.send(chunk(b'{"response":"a"}\n'))
        await peer.reader.readexactly(1)  # the client has read that

    async with one_server() as (server, proxy):
        server.handler = handler
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        assert b"200 OK" in await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readuntil(b"}\n\r\n") == b'11\r\n{"response":"a"}\n\r\n'


@runs
async def test_chunk_extensions_and_trailers_of_a_server_stay_behind() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(chunked_head() + b"3;x=y\r\nabc\r\n0;z\r\nX-Trailer: 1\r\n\r\n")
        client = await proxy.connect()
        got = await client.ask(post("/api/generate", BODY))
        assert (got.body, got.is_whole) == (b"abc", True)
        assert not got.all(b"x-trailer")
        assert (await client.ask(get("/"))).status == 200


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@runs
async def test_an_answer_without_a_body_keeps_both_connections(status: bytes) -> None:
    async with one_server() as (server, proxy):
        server.handler = says(b"HTTP/1.1 %b\r\nX-Own: 1\r\n\r\n" % status)
        client = await proxy.connect()
        for _ in range(2):
            got = await client.ask(post("/api/chat", BODY))
            assert got.start == b"HTTP/1.1 " + status
            assert (got.get(b"content-length"), got.get(b"transfer-encoding")) == (None, None)
        assert (server.hits, server.connections) == (2, 1)


@pytest.mark.parametrize("count", [1, 10])
@runs
async def test_interim_answers_are_swallowed(count: int) -> None:
    async with one_server() as (server, proxy):
        server.handler = says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * count + answer())
        client = await proxy.connect()
        for _ in range(2):
            got = await client.ask(post("/api/chat", BODY))
            assert (got.status, got.body, got.all(b"link")) == (200, b'{"done":true}', [])


@runs
async def test_interim_answers_without_end_are_a_502() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(b"HTTP/1.1 102 Processing\r\n\r\n" * 21 + answer())
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502


@runs
async def test_an_unasked_101_is_a_502() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw"
        )
        got = await proxy.ask(post("/api/chat", BODY))
        assert got.status == 502
        assert b"raw" not in got.body


@runs
async def test_an_answer_until_close_is_chunked_anew_and_the_client_kept() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
        await peer.send(b'{"response":"a"}\n')
        peer.close()

    async with one_server() as (server, proxy):
        server.handler = handler
        client = await proxy.connect()
        for _ in range(2):
            got = await client.ask(post("/api/generate", BODY))
            assert (got.body, got.is_whole, got.get(b"transfer-encoding")) == (
                b'{"response":"a"}\n',
                True,
                b"chunked",
            )
        assert server.connections == 2


@runs
async def test_a_stream_for_http_10_ends_with_its_connection() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(chunked_head() + chunk(b"one\n") + chunk(b"two\n") + chunk(b""))
        client = await proxy.connect()
        got = await client.ask(post("/api/generate", BODY, b"Connection: keep-alive", version=b"1.0"))
        assert got.body == b"one\ntwo\n"
        assert got.get(b"connection") == b"close"
        assert got.get(b"transfer-encoding") is None
        assert server.hits == 1


@runs
async def test_an_encoded_answer_passes_as_it_is() -> None:
    body = bytes(range(256))
    async with one_server(aliases={"gpt-4o": ROUTED}) as (server, proxy):
        server.handler = says(answer(body, more=b"Content-Encoding: gzip\r\n"))
        got = await proxy.ask(post("/api/chat", b'{"model":"gpt-4o"}'))
        assert (got.body, got.get(b"content-encoding")) == (body, b"gzip")


@runs
async def test_a_request_id_is_taken_passed_on_answered_and_logged() -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post("/api/chat", BODY, b"X-Request-Id: mine-1"))
        assert got.get(b"x-request-id") == server.requests[0].get(b"x-request-id") == b"mine-1"
        assert (await proxy.events.ended()).request_id == "mine-1"


@pytest.mark.parametrize("given", [None, b"", b"two words", b"a" * 200, b"x\xff", b"<script>"])
@runs
async def test_a_request_id_is_made_where_none_is_usable(given: bytes | None) -> None:
    lines = () if given is None else (b"X-Request-Id: " + given,)
    async with one_server() as (server, proxy):
        got = [await proxy.ask(post("/api/chat", BODY, *lines)) for _ in range(2)]
        ids = [one.get(b"x-request-id") for one in got]
        assert ids == [request.get(b"x-request-id") for request in server.requests]
        assert len(set(ids)) == 2
        assert all(made and made != given for made in ids)


@runs
async def test_an_answer_of_ours_carries_the_request_id_too() -> None:
    async with one_server() as (_, proxy):
        for data in (
            get("/"),
            get("/nothing"),
            post("/api/chat", b'{"model":"unknown"}'),
            post("/api/chat", b"{"),
        ):
            asked = data.replace(b"\r\n", b"\r\nX-Request-Id: mine\r\n", 1)
            assert (await proxy.ask(asked)).get(b"x-request-id") == b"mine"


@runs
async def test_the_server_is_named_unless_that_is_off() -> None:
    async with one_server() as (_, proxy):
        assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") == b"one"
    async with one_server(server_header=False) as (server, proxy):
        server.handler = says(answer(more=b"X-Gollamas-Server: other\r\n"))
        assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") is None


@runs
async def test_a_loop_through_itself_is_refused_with_508() -> None:
    async with RawServer() as server, running(a_config([server])) as proxy:
        await proxy.ask(post("/api/chat", BODY))
        via = server.requests[0].get(b"via")
        assert via is not None
        again = await proxy.ask(post("/api/chat", BODY, b"Via: 1.0 other, " + via))
        assert again.status == 508
        assert again.get(b"x-gollamas-server") == b"one"
        event = await proxy.events.ended(2)
        assert (event.server, event.why, event.model_used) == ("one", "only server", ROUTED)
        assert server.hits == 1
        other = await proxy.ask(post("/api/chat", BODY, b"Via: 1.0 other"))
        assert other.status == 200
        assert server.requests[1].get(b"via") == b"1.0 other, " + via


@runs
async def test_a_proxy_in_front_of_itself_says_508_and_stops() -> None:
    async with RawServer() as server, running(a_config([server])) as proxy:
        proxy.app.apply(a_config([RawServer(port=proxy.port)]))
        assert (await proxy.ask(post("/api/chat", BODY))).status == 508
        assert server.hits == 0


@runs
async def test_an_answer_that_comes_before_the_request_is_through_is_passed_on() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"{}", status=b"400 Bad Request", more=b"Connection: close\r\n"))
        try:
            await Peer(reader, writer).gone()
        finally:
            writer.close()

    async with RawServer() as server, running(a_config([server])) as proxy:
        await server.shut()
        early = await asyncio.start_server(refuse, "127.0.0.1", server.port, limit=1024)
        body = b'{"model":"llama3.2","x":"%b"}' % (b"a" * (32 << 20))
        got = await proxy.ask(post("/api/chat", body))
        assert (got.status, got.body) == (400, b"{}")
        early.close()


@runs
async def test_the_body_of_a_get_stays_behind() -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(get("/v1/models/llama3.2", b"Content-Length: 4") + b"body")
        assert got.status == 200
        assert server.requests[0].body == b""
        assert server.requests[0].get(b"content-length") in (None, b"0")


@runs
async def test_an_event_says_what_was_asked_and_answered() -> None:
    async with one_server(aliases={"gpt-4o": ROUTED}) as (server, proxy):
        done = (
            b'{"model":"llama3.2","response":"","done":true,"done_reason":"stop","total_duration":5,'
            b'"load_duration":1,"prompt_eval_count":26,"prompt_eval_duration":1,"eval_count":3,'
            b'"eval_duration":1000000000}'
        )
        server.handler = says(answer(done))
        body = b'{"model":"gpt-4o","stream":false}'
        await proxy.ask(post("/api/generate", body))
        event = await proxy.events.ended()
        assert (event.route, event.status, event.end) == ("/api/generate", 200, End.DONE)
        assert (event.model, event.model_used, event.alias, event.server) == (
            "gpt-4o",
            ROUTED,
            "gpt-4o",
            "one",
        )
        assert (event.tokens_in, event.tokens_out, event.tokens_per_s) == (26, 3, 3.0)
        assert (event.bytes_in, event.bytes_out) == (len(body), len(done) - 2)
        assert event.first_byte_s is not None
        assert event.total_s >= event.first_byte_s >= 0


@runs
async def test_a_server_that_hangs_is_counted_in_flight() -> None:
    async with one_server() as (server, proxy):
        server.handler = hangs
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY) + get("/"))
        while not server.hits:
            await proxy.ask(get("/"))
        assert list(proxy.app.gauges.in_flight()) == [(ROUTED, "one", 1)]


@runs
async def test_a_refused_request_carries_the_id_under_which_it_is_logged() -> None:
    async with one_server(max_body=10) as (_, proxy):
        for count, data in enumerate((b"GET / HTTP/1.1\r\n\r\n", post("/api/chat", BODY)), 1):
            got = await proxy.ask(data)
            logged = (await proxy.events.ended(count)).request_id
            assert got.get(b"x-request-id") == logged.encode()


@runs
async def test_an_answer_of_ours_says_when_it_was_made() -> None:
    async with one_server() as (_, proxy):
        got = await proxy.ask(get("/"))
        assert (got.get(b"date") or b"").endswith(b" GMT")
