"""A server that breaks off: everything that it sent, one error in the caller's dialect, never a fake end."""

import json
from dataclasses import dataclass

import pytest

from gollamas.events import End
from tests.sockets.proxying import ROUTED, one_server, runs
from tests.sockets.raw import Client, Handler, Message, Peer, answer, chunk, chunked_head, get, post, says

BODY = b'{"model":"llama3.2","stream":true}'


@dataclass(frozen=True)
class Dialect:
    path: str
    content_type: bytes
    events: bytes  # whole ones, as the server sends them


DIALECTS = {
    "native": Dialect("/api/generate", b"application/x-ndjson", b'{"response":"a"}\n{"response":"b"}\n'),
    "openai": Dialect(
        "/v1/chat/completions", b"text/event-stream", b'data: {"id":"a"}\n\ndata: {"id":"b"}\n\n'
    ),
    "responses": Dialect("/v1/responses", b"text/event-stream", b'event: x\ndata: {"type":"x"}\n\n'),
    "anthropic": Dialect("/v1/messages", b"text/event-stream", b'event: ping\ndata: {"type":"ping"}\n\n'),
}


def then(first: bytes, way: str) -> Handler:
    """Send bytes, wait until the proxy has read them, and break off in a way."""

    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(first)
        if way == "RST":
            peer.reset()
        elif way == "FIN":
            peer.close()
        else:
            await peer.send(way.encode())
            await peer.gone()

    return handler


def error_in(dialect: str, text: bytes) -> str:
    """Read the message of the one error that follows, in its dialect's shape, on lines of its own."""
    if dialect == "native":
        assert text.endswith(b"}\n")
        assert text.count(b"\n") == 1
        error = json.loads(text)
        assert list(error) == ["error"]
        return str(error["error"])
    lines = text.split(b"\n")
    if dialect == "anthropic":
        assert lines.pop(0) == b"event: error"
    data, *empty = lines
    assert data.startswith(b"data: ")
    assert empty == [b"", b""]
    error = json.loads(data[6:])
    if dialect == "anthropic":
        assert error["type"] == "error"
        assert error["request_id"].startswith("req_")
    else:
        assert set(error["error"]) == {"message", "type", "param", "code"}
    return str(error["error"]["message"])


async def broken(client: Client, sent: bytes) -> bytes:
    """Read a stream that breaks off; give what follows the bytes that the server sent."""
    got = await client.answer()
    assert not got.is_whole, "a last chunk was sent"
    assert got.status == 200
    assert got.body.startswith(sent)
    return got.body[len(sent) :]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("way", ["FIN", "RST", "zz\r\n", "5\r\nabcdefgh"])
@runs
async def test_a_stream_that_breaks_off_ends_with_one_error_in_the_callers_dialect(
    dialect: str, way: str
) -> None:
    said = DIALECTS[dialect]
    async with one_server() as (server, proxy):

        async def handler(_: Message, peer: Peer) -> None:
            await peer.send(chunked_head(said.content_type) + chunk(said.events))
            await reached.reader.readuntil(said.events[-8:] + b"\r\n")
            await then(b"", way)(_, peer)

        server.handler = handler
        reached = client = await proxy.connect()
        await client.send(post(said.path, BODY))
        await proxy.events.ended()
        rest = await client.gone()
        if way.startswith("5"):
            assert rest.startswith(b"5\r\nabcde\r\n")
            rest = rest.removeprefix(b"5\r\nabcde\r\n")
        size, _, rest = rest.partition(b"\r\n")
        assert int(size, 16) == len(rest) - 2
        gap = (b"\n" if dialect == "native" else b"\n\n") if way.startswith("5") else b""
        assert rest.startswith(gap)
        assert "too soon" in error_in(dialect, rest.removesuffix(b"\r\n").removeprefix(gap))
        assert server.hits == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@runs
async def test_the_error_begins_on_a_line_of_its_own_wherever_the_server_stopped(dialect: str) -> None:
    said = DIALECTS[dialect]
    for stop in range(1, len(said.events) + 1):
        sent = said.events[:stop]
        async with one_server() as (server, proxy):
            server.handler = then(chunked_head(said.content_type) + chunk(sent), "FIN")
            client = await proxy.connect()
            await client.send(post(said.path, BODY))
            rest = await broken(client, sent)
            mark = b"\n" if dialect == "native" else b"\n\n"
            before = sent + rest[: len(rest) - len(rest.lstrip(b"\n"))]
            assert before.endswith(mark)
            assert before.count(mark) <= sent.count(mark) + 1
            assert "too soon" in error_in(dialect, rest.lstrip(b"\n"))


@pytest.mark.parametrize("way", ["FIN", "RST"])
@runs
async def test_an_answer_of_known_length_is_cut(way: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = then(answer(b'{"embeddings":[' + b"0" * 100)[:-20], way)
        client = await proxy.connect()
        got = await client.ask(post("/api/embed", b'{"model":"llama3.2"}'))
        assert not got.is_whole
        assert got.body in (b"", b'{"embeddings":[' + b"0" * 80)


@runs
async def test_an_answer_until_close_that_is_reset_breaks_off() -> None:
    async with one_server() as (server, proxy):

        async def handler(_: Message, peer: Peer) -> None:
            await peer.send(
                b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" + b'{"response":"a"}\n'
            )
            await client.reader.readuntil(b"}\n\r\n")
            peer.reset()

        server.handler = handler
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY))
        await proxy.events.ended()
        rest = await client.gone()
        assert not rest.endswith(b"\r\n0\r\n\r\n")
        assert "too soon" in error_in("native", rest.partition(b"\r\n")[2].removesuffix(b"\r\n"))


@pytest.mark.parametrize("way", ["FIN", "RST"])
@runs
async def test_a_client_of_http_10_is_reset(way: str) -> None:
    async with one_server() as (server, proxy):

        async def handler(_: Message, peer: Peer) -> None:
            await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
            await client.reader.readuntil(b"}\n")
            await then(b"", way)(_, peer)

        server.handler = handler
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY, version=b"1.0"))
        await proxy.events.ended()
        assert await client.was_reset()


@runs
async def test_what_an_alias_held_back_goes_out_before_the_error() -> None:
    async with one_server(aliases={"gpt-4o": ROUTED}) as (server, proxy):
        server.handler = then(chunked_head() + chunk(b'{"model":"llama3.2","x":1}\n{"model":"llam'), "FIN")
        client = await proxy.connect()
        await client.send(post("/api/generate", b'{"model":"gpt-4o"}'))
        rest = await broken(client, b'{"model":"gpt-4o","x":1}\n{"model":"llam')
        assert "too soon" in error_in("native", rest.removeprefix(b"\n"))


EARLY = {
    "FIN": then(b"", "FIN"),
    "RST": then(b"", "RST"),
    "half a head": then(b"HTTP/1.1 200 OK\r\nContent-", "FIN"),
    "garbage": says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "length and chunked": says(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"
    ),
    "two lengths": says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"),
    "gzip as transfer coding": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nsecret"),
    "LF for CRLF": says(b"HTTP/1.1 200 OK\nContent-Length: 1\n\na"),
    "a folded field": says(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\na"),
    "NUL in a field": says(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 1\r\n\r\na"),
    "status 000": says(b"HTTP/1.1 000 Nothing\r\nContent-Length: 1\r\n\r\na"),
    "status 99": says(b"HTTP/1.1 099 Less\r\nContent-Length: 1\r\n\r\na"),
    "status 1000": says(b"HTTP/1.1 1000 More\r\nContent-Length: 1\r\n\r\na"),
    "HTTP/2": says(b"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\na"),
    "1000 fields": says(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n"),
    "a head of 100 KiB": says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100 * 1024 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("case", EARLY)
@runs
async def test_no_answer_before_the_first_byte_is_a_502_that_names_the_server(case: str) -> None:
    async with one_server(replay_inference=False) as (server, proxy):
        server.handler = EARLY[case]
        client = await proxy.connect()
        for path, look in (
            ("/api/chat", "native"),
            ("/v1/responses", "openai"),
            ("/v1/messages", "anthropic"),
        ):
            got = await client.ask(post(path, BODY))
            assert (got.status, got.is_whole) == (502, True)
            assert got.get(b"content-type") in (b"application/json; charset=utf-8", b"application/json")
            assert got.get(b"x-gollamas-server") == b"one"
            said = json.loads(got.body)
            text = said["error"] if look == "native" else said["error"]["message"]
            assert "one" in text
            assert "secret" not in text
            assert (said.get("type") == "error") is (look == "anthropic")
        assert server.hits == 3
        assert (await client.ask(get("/"))).status == 200


@runs
async def test_a_broken_server_is_still_asked_while_its_probes_succeed() -> None:
    async with one_server() as (server, proxy):
        server.handler = then(b"", "FIN")
        assert (await proxy.ask(post("/api/chat", BODY))).status == 502
        server.handler = says(answer())
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200


@runs
async def test_bytes_behind_an_answer_are_dropped_and_that_connection_not_used_again() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(answer(b"one") + answer(b"two"))
        client = await proxy.connect()
        for count in range(1, 4):
            assert (await client.ask(post("/api/chat", BODY))).body == b"one"
            assert server.connections == count


@runs
async def test_bytes_on_an_idle_connection_are_never_anyones_answer() -> None:
    async with one_server() as (server, proxy):

        async def handler(_: Message, peer: Peer) -> None:
            await peer.send(answer(b"one"))
            if server.hits == 1:
                await client.reader.readuntil(b"one")
                await peer.send(answer(b"poison"))
                await peer.gone()

        server.handler = handler
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await proxy.events.ended()
        assert (await proxy.ask(get("/"))).status == 200
        assert (await proxy.ask(post("/api/chat", BODY))).body == b"one"


@pytest.mark.parametrize("way", ["FIN", "RST"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("first", [chunked_head() + chunk(b"{}\n"), answer(b"a" * 100)[:-20]])
@runs
async def test_an_event_of_a_broken_stream_blames_the_server(way: str, version: bytes, first: bytes) -> None:
    async with one_server() as (server, proxy):

        async def handler(_: Message, peer: Peer) -> None:
            await peer.send(first)
            await client.reader.readuntil(first[-3:-2])
            await then(b"", way)(_, peer)

        server.handler = handler
        client = await proxy.connect()
        await client.send(post("/api/generate", BODY, version=version))
        event = await proxy.events.ended()
        assert (event.end, event.status, server.hits) == (End.SERVER_BROKE, 200, 1)
        assert event.bytes_out in (3, 80)
