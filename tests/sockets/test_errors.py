"""Bodies that no server ever sees, what is made of those that it does, and what a client reads instead."""

import gzip
import json
import sys
from typing import Any

import pytest

from gollamas.config.model import Config
from tests.sockets.proxying import a_config, in_front_of, one_server, running, runs
from tests.sockets.raw import Message, RawServer, answer, get, post, says

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard as zstd

BODY = b'{"model":"llama3.2"}'
ZSTD = b"Content-Encoding: zstd"
TAKES_ZSTD = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages")
NATIVE = ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/show")


def error_of(got: Message) -> str:
    """Read the text of an error, whatever its dialect's shape."""
    error = json.loads(got.body)["error"]
    return str(error if isinstance(error, str) else error["message"])


# -- names and keys ------------------------------------------------------------------------------------

SAME: dict[str, tuple[bytes, bytes]] = {
    "no blanks are kept": (b' { "model" : "llama3.2" } ', BODY),
    "the last of one key twice": (b'{"model":"nope","model":"llama3.2"}', BODY),
    "the last of one key escaped": (b'{"model":"nope","mod\\u0065l":"llama3.2"}', BODY),
    "a key in other case": (b'{"MODEL":"llama3.2"}', b'{"MODEL":"llama3.2"}'),
    "a key with a long s": ('{"model":"llama3.2","\u017ftream":false}'.encode(),) * 2,
    "numbers as they are": (b'{"model":"llama3.2","a":1e999,"b":12345678901234567890,"c":1.0}',) * 2,
    "escapes as they are": (b'{"model":"llama3.2","p":"\\u003c\\/\\ud83d\\ude00\\u0000"}',) * 2,
    "an unpaired surrogate": (b'{"model":"llama3.2","p":"\\ud800b"}', b'{"model":"llama3.2","p":"\\ufffdb"}'),
    "an unpaired low one": (b'{"model":"llama3.2","p":"\\udc00"}', b'{"model":"llama3.2","p":"\\ufffd"}'),
    "nothing twice": (b'{"model":"llama3.2","p":"\\\\ud800"}',) * 2,
    "deep but not too deep": (b'{"model":"llama3.2","p":' + b"[" * 500 + b"]" * 500 + b"}",) * 2,
    "text behind the value": (BODY + b' {"model":"nope"}', BODY),
    "rubbish behind the value": (BODY + b"\x00\xff", BODY),
    "a null model and a name": (b'{"model":"llama3.2","name":null}',) * 2,
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
@runs
async def test_a_body_goes_on_as_ollama_would_read_it(case: str) -> None:
    sent, wanted = SAME[case]
    async with one_server() as (server, proxy):
        assert (await proxy.ask(post("/api/chat", sent))).status == 200
        assert server.requests[0].body == wanted


REFUSED: dict[str, tuple[bytes, str]] = {
    "two spellings of model": (b'{"model":"llama3.2","Model":"x"}', "one to Ollama"),
    "two spellings of another key": (b'{"model":"llama3.2","stream":true,"Stream":false}', "one to Ollama"),
    "a long s": ('{"model":"llama3.2","stream":true,"\u017ftream":false}'.encode(), "one to Ollama"),
    "a kelvin sign": ('{"model":"llama3.2","think":true,"thin\u212a":false}'.encode(), "one to Ollama"),
    "a list": (b'[{"model":"llama3.2"}]', ""),
    "a string": (b'"llama3.2"', ""),
    "null": (b"null", ""),
    "a number": (b"12", ""),
    "a cut body": (b'{"model":"llama3.2"', "unexpected EOF"),
    "a model that is a list": (b'{"model":["llama3.2"]}', "cannot unmarshal array"),
    "a byte order mark": (b"\xef\xbb\xbf" + BODY, "invalid character"),
    "UTF-16": (BODY.decode().encode("utf-16"), "invalid character"),
    "NaN": (b'{"model":"llama3.2","x":NaN}', ""),
    "a comma too many": (b'{"model":"llama3.2",}', ""),
    "single quotes": (b"{'model':'llama3.2'}", ""),
    "a control character": (b'{"model":"llama\x013.2"}', ""),
    "a million deep": (b'{"model":"llama3.2","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", "nested"),
    "2 MiB of brackets": (b"[" * (2 << 20), ""),
    "objects in each other": (b'{"x":' * 50_000, ""),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("case", REFUSED)
@runs
async def test_a_body_that_ollama_would_not_read_one_way_is_a_400(case: str, path: str) -> None:
    sent, text = REFUSED[case]
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        got = await client.ask(post(path, sent))
        assert got.status == 400, got
        assert text in error_of(got)
        assert server.hits == 0
        assert (await client.ask(get("/"))).status == 200


@pytest.mark.parametrize("path", [*NATIVE, *TAKES_ZSTD])
@runs
async def test_no_body_and_no_model_are_said_in_ollamas_words(path: str) -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        empty = await client.ask(post(path, b""))
        assert (empty.status, error_of(empty)) == (
            400,
            "EOF" if path.startswith("/v1") else "missing request body",
        )
        for body in (b"{}", b'{"model":""}', b'{"model":null}'):
            got = await client.ask(post(path, body))
            is_404 = path in ("/api/generate", "/api/embed", "/v1/completions", "/v1/embeddings")
            wanted = (404, "model '' not found") if is_404 else (400, "model is required")
            assert (got.status, error_of(got)) == wanted
        assert server.hits == 0


@pytest.mark.parametrize(
    "name", ["a b", "x:", "/x", "x@sha256:12", "a/b/c/d", "-x", "x" * 81, "\u00e4", "a\\nb"]
)
@runs
async def test_a_name_that_is_none_is_a_400(name: str) -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post("/api/chat", b'{"model":"%b"}' % name.encode()))
        assert (got.status, error_of(got)) == (400, "invalid model name")
        assert server.hits == 0


# -- encodings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TAKES_ZSTD)
@runs
async def test_a_zstd_body_is_decoded_on_the_five_routes_and_sent_plain(path: str) -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        for line in (ZSTD, b"content-encoding: ZSTD"):
            assert (await client.ask(post(path, zstd.compress(BODY), line))).status == 200
        for request in server.requests:
            assert request.body == BODY
            assert request.get(b"content-encoding") is None


@pytest.mark.parametrize("path", NATIVE)
@runs
async def test_a_zstd_body_elsewhere_is_a_400(path: str) -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post(path, zstd.compress(BODY), ZSTD))
        assert (got.status, "invalid character '('" in error_of(got)) == (400, True)
        assert server.hits == 0


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate", b"zstd, zstd", b"identity, gzip"])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
@runs
async def test_any_other_encoding_is_never_undone(coding: bytes, path: str) -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post(path, gzip.compress(BODY, mtime=0), b"Content-Encoding: " + coding))
        assert (got.status, error_of(got)) == (
            400,
            "invalid character '\\x1f' looking for beginning of value",
        )
        assert server.hits == 0


@runs
async def test_a_zstd_body_that_decodes_to_more_than_20_mib_is_a_413() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        for size in (21 << 20, 100 << 20):
            bomb = zstd.compress(BODY[:-1] + b',"x":"' + b"a" * size + b'"}')
            got = await client.ask(post("/v1/chat/completions", bomb, ZSTD))
            assert (got.status, "20 MiB" in error_of(got)) == (413, True)
        just = b'{"model":"llama3.2","x":"' + b"a" * (19 << 20) + b'"}'
        assert (
            await (await proxy.connect()).ask(post("/v1/chat/completions", zstd.compress(just), ZSTD))
        ).status == 200
        assert [len(request.body) for request in server.requests] == [len(just)]


@pytest.mark.parametrize("body", [b"", b"\x28\xb5\x2f\xfd", BODY, zstd.compress(BODY)[:-4]])
@runs
async def test_a_body_that_only_claims_to_be_zstd_is_a_400(body: bytes) -> None:
    async with one_server() as (server, proxy):
        assert (await proxy.ask(post("/v1/chat/completions", body, ZSTD))).status == 400
        assert server.hits == 0


# -- secrets -------------------------------------------------------------------------------------------


SECRET = "s3cr3t-canary"


@runs
async def test_a_secret_is_in_no_answer_event_or_text_of_the_configuration() -> None:
    fields = ((b"Authorization", f"Bearer {SECRET}".encode()), (b"X-Key", SECRET.encode()))
    seen: list[Any] = []
    async with RawServer(fields=fields) as server:
        config: Config = a_config([server], probe_interval=0.1)
        async with running(config) as proxy:
            await proxy.events.up(server)
            mine = f"Authorization: Bearer {SECRET}-client".encode()
            seen.append(await proxy.ask(post("/api/chat", BODY, mine)))
            server.handler = says(b"HTTP/1.1 000 " + SECRET.encode() + b"\r\n\r\n")
            seen.append(await proxy.ask(post("/api/chat", BODY, mine)))
            seen.append(await proxy.ask(post("/api/chat", b'{"model":"nope"}', mine)))
            seen.append(await proxy.ask(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % mine))
            await server.shut()
            seen.append(await proxy.ask(post("/api/chat", BODY, mine)))
            await proxy.events.down(server)
            assert [got.status for got in seen] == [200, 502, 404, 400, 503]
            text = repr(seen) + repr(list(proxy.events)) + repr(config) + str(config.servers["one"].url)
            assert SECRET not in text


@runs
async def test_only_configured_models_are_routed_by_default() -> None:
    listed = b'{"models":[{"name":"other:latest","model":"other:latest","size":1,"digest":"%b"}]}' % (
        b"d" * 64
    )
    async with RawServer(tags=listed, ps=listed) as server, in_front_of(server) as proxy:
        assert (await proxy.ask(post("/api/chat", b'{"model":"other"}'))).status == 404
        assert server.hits == 0


@runs
async def test_a_wrong_method_names_the_right_ones() -> None:
    async with one_server() as (server, proxy):
        client = await proxy.connect()
        for path, allow in (("/api/chat", b"POST"), ("/api/ps", b"GET"), ("/v1/models/x", b"GET")):
            got = await client.ask(get(path, method=b"PUT"))
            assert (got.status, got.get(b"allow"), got.body) == (405, allow, b"405 method not allowed")
        got = await client.ask(get("/", method=b"DELETE"))
        assert set((got.get(b"allow") or b"").split(b", ")) == {b"GET", b"HEAD"}
        assert server.hits == 0


@pytest.mark.parametrize(
    "path",
    [
        "/api/../api/chat",
        "/api/%2e%2e/api/chat",
        "/api/chat;x",
        "/api/./chat",
        "/API/chat",
        "/api/chat%2f",
        "/debug/pprof/",
        "/api/me",
        "/v1/models/a/b",
        "/v1/models/a%2Fb",
    ],
)
@runs
async def test_a_path_that_is_no_route_reaches_no_server(path: str) -> None:
    async with one_server() as (server, proxy):
        for data in (post(path, BODY), get(path)):
            assert (await proxy.ask(data)).status in (400, 404)
        assert server.hits == 0


@pytest.mark.parametrize("path", ["//api/chat", "/api//chat", "/api/chat/", "///api/chat//"])
@runs
async def test_another_spelling_of_a_path_is_redirected_to_the_route(path: str) -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post(path, BODY))
        assert (got.status, got.body) == (307, b"")
        location = (got.get(b"location") or b"").decode()
        if location != "/api/chat":
            again = await proxy.ask(post(location, BODY))
            assert again.get(b"location") == b"/api/chat"
        assert (await proxy.ask(get("//evil.example/api/tags"))).status == 404
        assert server.hits == 0


@runs
async def test_an_escaped_path_reaches_the_server_in_its_plain_form() -> None:
    async with one_server() as (server, proxy):
        server.handler = says(answer())
        assert (await proxy.ask(post("/api/ch%61t?a=1", BODY))).status == 200
        assert server.requests[0].path == b"/api/chat"
