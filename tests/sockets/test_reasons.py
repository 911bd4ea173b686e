"""Whatever we refuse, the log says why, and what was asked for where that is no route of ours."""

import asyncio
import ssl
from typing import Any

import pytest

from gollamas.events import End, RequestEnded
from gollamas.observe import jsonlines, textlines
from tests.sockets.proxying import in_front_of, one_server, runs
from tests.sockets.raw import Message, RawServer, chunk, chunked_head, get, hangs, post, says
from tests.sockets.test_breaking_off import then

BODY = b'{"model":"llama3.2"}'
STREAM = b'{"model":"llama3.2","stream":true}'


def hosted(host: bytes, data: bytes) -> bytes:
    return data.replace(b"Host: localhost", b"Host: " + host, 1)


# What is sent, the status, what the reason says, the path.
REFUSED: dict[str, tuple[bytes, int, str, str | None]] = {
    "a foreign host": (
        hosted(b"evil.example:11434", get("/api/tags")), 403, "Host evil.example is not allowed: ", None
    ),
    "a foreign origin": (
        post("/api/chat", BODY, b"Origin: http://a.example"),
        403,
        "Origin http://a.example is not allowed: add it to origins",
        None,
    ),
    "a foreign host and a path of nobody's": (
        hosted(b"evil.example", get("/x?token=secret")), 403, "Host evil.example is not allowed: ", "/x"
    ),
    "a path of nobody's": (get("/v2/chat?token=secret"), 404, "no such path", "/v2/chat"),
    "another method": (get("/api/chat"), 405, "/api/chat takes POST", None),
    "a model of nobody's": (post("/api/chat", b'{"model":"nope"}'), 404, "model 'nope' not found", None),
    "no JSON": (post("/api/chat", b"{'model'}"), 400, "not valid JSON", None),
    "no model": (post("/api/chat", b"{}"), 400, "", None),
    "a faulty head": (
        b"GET /x?secret HTTP/1.1\r\nHost: a\r\nb c: d\r\n\r\n", 400, "malformed request: ", "/x"
    ),
    "no request at all": (b"hello\r\n\r\n", 501, "unknown method", None),
    "a head that is too large": (get("/", b"a: " + b"b" * (1 << 21)), 431, "head is longer than", "/"),
    "a whole head that is too large": (
        get("/v2/x", b"a: " + b"b" * 70_000), 431, "head is longer than", "/v2/x"
    ),
    "a target that is too long": (get("/" + "a" * (1 << 21)), 414, "target is longer than", "/" + "a" * 511),
    "a body that is too large": (
        get("/api/chat", b"Content-Length: 99999999999", method=b"POST"), 413, "max_body", None
    ),
    "a large body for a path of nobody's": (
        get("/x", b"Content-Length: 999999999999999999999999", method=b"POST"), 413, "Content-Length", "/x"
    ),
    "an expectation": (get("/", b"Expect: tea"), 417, "xpect", "/"),
    "a method of nobody's": (get("/", method=b"BREW"), 501, "unknown method", "/"),
    "a model that clients may not change": (
        post("/api/pull", b'{"model":"typo"}'), 403, "'typo' can't be pulled through gollamas: ", None
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@runs
async def test_a_refusal_says_why_in_the_log(case: str) -> None:
    data, status, reason, path = REFUSED[case]
    async with one_server() as (_, proxy):
        got = await proxy.ask(data)
        assert got.status == status
        event = await proxy.events.ended()
        assert (event.end, event.status, event.bytes_out) == (End.REFUSED, status, len(got.body))
        assert event.error
        assert reason in event.error
        assert event.path == path
        assert "secret" not in str(written(event))


@runs
async def test_the_log_counts_no_body_where_head_was_asked() -> None:
    async with one_server() as (_, proxy):
        await proxy.ask(get("/api/tags", method=b"HEAD"), to_head=True)
        await proxy.ask(get("/v2/x", method=b"HEAD"), to_head=True)
        await proxy.events.ended(2)
        assert [event.bytes_out for event in proxy.events.of(RequestEnded)] == [0, 0]


def written(event: RequestEnded) -> tuple[str, bytes]:
    """Give both forms of an event's line."""
    return textlines.line(event, "now", colour=False), jsonlines.line(event, "now")


@runs
async def test_a_path_in_the_log_is_short_and_printable() -> None:
    async with one_server() as (_, proxy):
        await proxy.ask(get("/" + "a" * 5000))
        event = await proxy.events.ended()
        text, json = written(event)
        assert f'path="/{"a" * 78}…"' in text
        assert f'"path":"/{"a" * 78}'.encode() in json
        assert event.path is not None
        assert len(event.path) < 1000


@runs
async def test_what_goes_well_has_neither_reason_nor_path() -> None:
    async with one_server() as (_, proxy):
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        assert (await proxy.ask(get("/"))).status == 200
        await proxy.events.ended(2)
        assert [(one.error, one.path) for one in proxy.events.of(RequestEnded)] == [(None, None)] * 2


@runs
async def test_a_redirect_is_no_refusal_and_has_its_path() -> None:
    async with one_server() as (_, proxy):
        assert (await proxy.ask(get("//api/tags"))).status == 307
        event = await proxy.events.ended()
        assert (event.end, event.error, event.path) == (End.DONE, None, "//api/tags")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@runs
async def test_tls_spoken_to_the_plain_port_is_named_so(version: ssl.TLSVersion) -> None:
    async with one_server() as (_, proxy):
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = version
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context, server_hostname="localhost")
        event = await proxy.events.ended()
        assert (event.end, event.status) == (End.REFUSED, 400)
        assert event.error is not None
        assert event.error.startswith("the client speaks TLS (https) to a plain http port: use http://")


def hello() -> bytes:
    """Make the first bytes of a TLS connection."""
    sent = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return sent.read()


@pytest.mark.parametrize("at", [1, 2, 5])
@runs
async def test_tls_is_seen_by_its_first_byte(at: int) -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        await client.send(hello()[:at])
        got = await client.answer()
        assert got.status == 400
        assert b"TLS" in got.body


# -- what servers do -----------------------------------------------------------------------------------

HEAD = chunked_head() + chunk(b"{}\n")
FAILING: dict[str, tuple[Any, int, End, str]] = {
    "no answer": (then(b"", "FIN"), 502, End.REFUSED, "server one gave no answer: "),
    "no HTTP": (then(b"", "rubbish\r\n\r\n"), 502, End.REFUSED, "server one gave no answer: "),
    "nothing in time": (hangs, 504, End.REFUSED, "server one gave no answer: no answer within 0.2 s"),
    "an end too soon": (then(HEAD, "FIN"), 200, End.SERVER_BROKE, "the server ended its answer too soon: "),
    "silence": (then(HEAD, ""), 200, End.TIMED_OUT, "the server sent nothing for 0.2 s"),
}


@pytest.mark.parametrize("case", FAILING)
@runs
async def test_what_a_server_did_is_the_reason_that_the_client_read(case: str) -> None:
    handler, status, end, reason = FAILING[case]
    async with one_server(first_byte_timeout=0.2, idle_timeout=0.2) as (server, proxy):
        server.handler = handler
        got = await proxy.ask(post("/api/chat", STREAM))
        event = await proxy.events.ended()
        assert (event.status, event.end) == (status, end)
        assert event.error is not None
        assert event.error.startswith(reason)
        assert event.error.encode() in got.body


@runs
async def test_a_503_names_the_servers_in_the_log_too() -> None:
    async with RawServer() as server, in_front_of(server, probe_interval=60) as proxy:
        await server.shut()
        assert (await proxy.ask(post("/api/chat", BODY))).status == 503
        event = await proxy.events.ended()
        assert event.error is not None
        assert event.error.startswith("model 'llama3.2' is not available: no server can be reached (one: ")


@runs
async def test_a_servers_own_error_is_no_reason_of_ours() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}")
        assert (await proxy.ask(post("/api/chat", BODY))).status == 500
        event = await proxy.events.ended()
        assert (event.end, event.error) == (End.DONE, None)


@runs
async def test_a_loop_is_a_reason() -> None:
    async with one_server() as (server, proxy):
        await proxy.ask(post("/api/chat", BODY))
        via: Message = server.requests[0]
        again = await proxy.ask(post("/api/chat", BODY, b"Via: " + (via.get(b"via") or b"")))
        assert again.status == 508
        assert "has been here before" in str((await proxy.events.ended(2)).error)
