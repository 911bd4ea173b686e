"""Who may ask, and whether anything is served there, is judged before a body is read."""

import json

import pytest

from gollamas.config.model import Address, Manage
from gollamas.events import End
from tests.sockets.proxying import one_server, runs
from tests.sockets.raw import Message

LONG = b"Content-Length: 60000000"
CHUNKS = b"Transfer-Encoding: chunked"
EXPECTS = b"Expect: 100-continue"
FOREIGN = b"evil.example"


def head(
    *lines: bytes, path: bytes = b"/api/chat", host: bytes = b"localhost", method: bytes = b"POST"
) -> bytes:
    """Make a head whose body has not come."""
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, path), b"Host: " + host, *lines, b"", b""))


def is_forbidden(got: Message) -> bool:
    return (got.status, got.body) == (403, b"")


@pytest.mark.parametrize("length", [LONG, CHUNKS])
@pytest.mark.parametrize("more", [(), (EXPECTS,)])
@runs
async def test_a_foreign_host_is_refused_at_its_head(length: bytes, more: tuple[bytes, ...]) -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        got = await client.ask(head(length, *more, host=FOREIGN))
        assert is_forbidden(got)
        assert got.get(b"connection") == b"close"
        client.half_close()
        assert await client.is_closed()
        event = await proxy.events.ended()
        assert (event.status, event.end, event.route) == (403, End.REFUSED, "/api/chat")
        assert server.hits == 0


@pytest.mark.parametrize("origin", [b"Origin: https://example.com", b"Origin: null"])
@runs
async def test_a_foreign_origin_is_refused_at_its_head(origin: bytes) -> None:
    async with one_server() as (_, proxy):
        assert is_forbidden(await proxy.ask(head(LONG, EXPECTS, origin)))


@pytest.mark.parametrize("length", [LONG, CHUNKS])
@runs
async def test_an_unknown_path_is_a_404_at_its_head(length: bytes) -> None:
    async with one_server() as (_, proxy):
        got = await proxy.ask(head(length, EXPECTS, path=b"/api/nothing"))
        assert (got.status, got.body) == (404, b"404 page not found")
        assert got.get(b"content-type") == b"text/plain"
        event = await proxy.events.ended()
        assert (event.status, event.route) == (404, "other")


@runs
async def test_a_method_that_a_path_does_not_have_is_a_405_at_its_head() -> None:
    async with one_server() as (_, proxy):
        got = await proxy.ask(head(LONG, EXPECTS, path=b"/api/tags"))
        assert (got.status, got.all(b"allow"), got.body) == (405, [b"HEAD, GET"], b"405 method not allowed")


@runs
async def test_another_spelling_of_a_path_is_redirected_at_its_head() -> None:
    async with one_server() as (_, proxy):
        got = await proxy.ask(head(LONG, EXPECTS, path=b"//api/chat?a=\xc3\xa9%22<"))
        assert (got.status, got.get(b"location")) == (307, b"/api/chat?a=%C3%A9%22<")


@runs
async def test_a_page_that_may_ask_is_let_read_why_it_was_refused() -> None:
    async with one_server() as (_, proxy):
        got = await proxy.ask(head(LONG, b"Origin: http://localhost:3000", path=b"/nothing"))
        assert got.status == 404
        assert got.get(b"access-control-allow-origin") == b"http://localhost:3000"


@runs
async def test_an_upload_that_can_t_be_is_told_so_at_its_head() -> None:
    async with one_server(manage=Manage.OFF) as (_, proxy):
        got = await proxy.ask(head(LONG, EXPECTS, path=b"/api/blobs/sha256:0"))
        assert (got.status, json.loads(got.body)) == (400, {"error": "invalid digest format"})
        got = await proxy.ask(head(LONG, EXPECTS, path=b"/api/blobs/sha256:%b" % (b"0" * 64)))
        assert (got.status, "`manage` is `off`" in json.loads(got.body)["error"]) == (403, True)


@runs
async def test_a_client_that_may_ask_is_told_to_go_on() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        await client.send(head(b"Content-Length: 20", EXPECTS))
        assert (await client.answer()).status == 100
        assert (await client.ask(b'{"model":"llama3.2"}')).status == 200
        assert server.hits == 1


@pytest.mark.parametrize("host", [b"Host:\r\n", b"Host: \r\n", b""])
@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - what such a listener lets in is tried
@runs
async def test_an_empty_or_absent_host_is_answered_as_ollama_answers_it(host: bytes, listen: str) -> None:
    version = b"1.0" if not host else b"1.1"
    async with one_server(listen=Address(host=listen, port=0)) as (_, proxy):
        got = await proxy.ask(b"GET / HTTP/%b\r\n%b\r\n" % (version, host))
        assert (got.status, got.body) == (200, b"Ollama is running")
        options = await proxy.ask(b"OPTIONS / HTTP/%b\r\n%b\r\n" % (version, host))
        assert options.status == (204 if listen == "127.0.0.1" else 405)
        assert (await proxy.ask(b"GET / HTTP/1.1\r\n\r\n")).status == 400
