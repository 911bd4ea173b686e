"""Ollama's newer routes and those that a configuration adds: by model to a server, any bytes back."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gollamas.events import End
from tests.sockets.proxying import ROUTED, a_config, in_front_of, one_server, opened, runs
from tests.sockets.raw import (
    Message,
    Peer,
    RawServer,
    answer,
    breaks_off,
    chunk,
    chunked_head,
    get,
    hangs,
    post,
    says,
)
from tests.sockets.test_metrics import ADMIN, samples
from tests.unit.api.test_form import FORM, TYPE

NEW = "/v1/new/thing"
PATHS = ["/v1/audio/speech", "/v1/systemone", NEW]
ALIAS = "gpt-4o"
BODY = b'{"model":"llama3.2","input":"hello","voice":"a"}'
# The model's name stands in it as it would in JSON: nobody may touch it.
SOUND = b'RIFF\x00\xff\r\n{"model":"llama3.2"}\n\ndata: {"model":"llama3.2"}\n' + bytes(range(256)) * 40
KINDS = [b"audio/mpeg", b"audio/wav", b"application/octet-stream", b"image/png", b""]


def as_length(content_type: bytes, body: bytes) -> list[bytes]:
    kind = b"Content-Type: %b\r\n" % content_type if content_type else b""
    return [b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (kind, len(body)), body]


def as_stream(content_type: bytes, body: bytes) -> list[bytes]:
    kind = b"Content-Type: %b\r\n" % content_type if content_type else b""
    pieces = [chunk(body[at : at + 1000]) for at in range(0, len(body), 1000)]
    return [b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n" % kind, *pieces, chunk(b"")]


@pytest.mark.parametrize("framed", [as_length, as_stream])
@pytest.mark.parametrize("content_type", KINDS)
@pytest.mark.parametrize("path", PATHS)
@runs
async def test_bytes_of_any_kind_pass_untouched(
    path: str, content_type: bytes, framed: Callable[[bytes, bytes], list[bytes]]
) -> None:
    """Also under an alias, though its model's name is among them."""

    async def handler(_: Message, peer: Peer) -> None:
        await peer.drip(framed(content_type, SOUND))

    async with one_server(routes=(NEW,), aliases={ALIAS: ROUTED}) as (server, proxy):
        server.handler = handler
        for name in (ROUTED, ALIAS):
            got = await proxy.ask(post(path, BODY.replace(b"llama3.2", name.encode())))
            assert (got.status, got.body, got.is_whole) == (200, SOUND, True)
            assert got.get(b"content-type") == (content_type or None)
            assert server.requests[-1].body == BODY
            assert server.requests[-1].start == b"POST %b HTTP/1.1" % path.encode()
        event = await proxy.events.ended(2)
        assert (event.route, event.model, event.model_used, event.alias) == (path, ALIAS, ROUTED, ALIAS)
        assert (event.end, event.tokens_in, event.tokens_out) == (End.DONE, None, None)
        assert event.bytes_out == len(SOUND)


@pytest.mark.parametrize("path", PATHS)
@runs
async def test_sound_goes_out_as_it_comes(path: str) -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head(b"audio/mpeg") + chunk(b"\xff\xf3first"))
        await peer.gone()

    async with one_server(routes=(NEW,)) as (server, proxy):
        server.handler = handler
        client = await proxy.connect()
        await client.send(post(path, BODY))
        assert (await client.reader.readuntil(b"first")).endswith(b"\xff\xf3first")


@pytest.mark.parametrize("path", PATHS)
@runs
async def test_no_word_of_ours_stands_among_bytes_of_sound(path: str) -> None:
    """A server that breaks off in its middle: what it sent, and no proper end."""
    async with one_server(routes=(NEW,)) as (server, proxy):
        server.handler = breaks_off(chunked_head(b"audio/mpeg") + chunk(SOUND) + b"ff\r\nhalf")
        got = await proxy.ask(post(path, BODY))
        assert (got.status, got.body, got.is_whole) == (200, SOUND + b"half", False)
        event = await proxy.events.ended()
        assert event.end is End.SERVER_BROKE
        assert event.error is not None
        assert "the server ended its answer too soon" in event.error


@pytest.mark.parametrize("path", PATHS)
@runs
async def test_events_that_break_off_end_with_an_error_in_openais_shape(path: str) -> None:
    async with one_server(routes=(NEW,)) as (server, proxy):
        server.handler = breaks_off(chunked_head(b"text/event-stream") + chunk(b'data: {"a":1}\n\n'))
        got = await proxy.ask(post(path, BODY))
        first, error, nothing = got.body.split(b"\n\n")
        assert (first, nothing, got.is_whole) == (b'data: {"a":1}', b"", False)
        assert json.loads(error.removeprefix(b"data: "))["error"]["type"] == "api_error"


TEXTS = {
    b"application/json": b'{"id":"x","model":"%b","out":[{"model":"llama3.2"}]}',
    b"Application/JSON; charset=utf-8": b'{"model":"%b"}',
    b"text/event-stream": b'event: a\ndata: {"type":"x","model":"%b","in":{"model":"llama3.2"}}\n\n',
    b"application/x-ndjson": b'{"model":"%b","text":"\\"model\\":\\"llama3.2\\""}\n',
}


@pytest.mark.parametrize("framed", [as_length, as_stream])
@pytest.mark.parametrize("content_type", TEXTS)
@pytest.mark.parametrize("path", PATHS)
@runs
async def test_json_carries_the_alias_as_on_the_other_routes(
    path: str, content_type: bytes, framed: Callable[[bytes, bytes], list[bytes]]
) -> None:
    async def handler(_: Message, peer: Peer) -> None:
        await peer.drip(framed(content_type, TEXTS[content_type] % b"llama3.2"))

    async with one_server(routes=(NEW,), aliases={ALIAS: ROUTED}) as (server, proxy):
        server.handler = handler
        got = await proxy.ask(post(path, BODY.replace(b"llama3.2", b"gpt-4o")))
        assert (got.body, got.is_whole) == (TEXTS[content_type] % b"gpt-4o", True)


@pytest.mark.parametrize("path", PATHS)
@runs
async def test_a_server_that_lacks_the_route_answers_its_own_404(path: str) -> None:
    raw = (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n\r\n404 page not found"
    )
    async with one_server(routes=(NEW,)) as (server, proxy):
        server.handler = says(raw)
        got = await proxy.ask(post(path, BODY))
        assert (got.status, got.get(b"content-type"), got.body) == (404, b"text/plain", b"404 page not found")
        assert got.get(b"x-gollamas-server") == b"one"
        assert (await proxy.events.ended()).end is End.DONE


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"model":"nope"}', 404, "model 'nope' not found"),
        (b'{"input":"hello"}', 400, "model is required"),
        (b'{"model":""}', 400, "model is required"),
        (b"hello", 400, "invalid character 'h' looking for beginning of value"),
        (b"", 400, "EOF"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
@runs
async def test_an_error_of_ours_has_openais_shape(path: str, body: bytes, status: int, text: str) -> None:
    async with one_server(routes=(NEW,)) as (server, proxy):
        got = await proxy.ask(post(path, body))
        kind = {404: "not_found_error", 400: "invalid_request_error"}[status]
        assert got.status == status
        assert json.loads(got.body) == {"error": {"message": text, "type": kind, "param": None, "code": None}}
        assert server.hits == 0


@runs
async def test_a_busy_server_is_passed_over_and_the_next_one_answers() -> None:
    one = RawServer("one", says(answer(b"{}", status=b"503 Service Unavailable")))
    two = RawServer("two", says(b"".join(as_length(b"audio/wav", SOUND))))
    async with opened(one, two), in_front_of(one, two, routes=(NEW,)) as proxy:
        for path in PATHS:
            got = await proxy.ask(post(path, BODY))
            assert (got.status, got.body, got.get(b"x-gollamas-server")) == (200, SOUND, b"two")
        assert one.hits == two.hits == len(PATHS)


@pytest.mark.parametrize("path", PATHS)
@runs
async def test_a_client_that_leaves_ends_the_request_on_the_server(path: str) -> None:
    async with one_server(routes=(NEW,)) as (server, proxy):
        asked = asyncio.Event()

        async def handler(request: Message, peer: Peer) -> None:
            asked.set()
            await hangs(request, peer)
            left.set()

        left = asyncio.Event()
        server.handler = handler
        client = await proxy.connect()
        await client.send(post(path, BODY))
        await asked.wait()
        client.half_close()  # as a client does that is stopped: a model runs, so it has left
        await left.wait()
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@runs
async def test_a_form_on_a_configured_route_is_routed_by_its_model() -> None:
    whole = FORM.replace(b"whisper", b"gpt-4o")
    async with one_server(routes=(NEW,), aliases={ALIAS: ROUTED}) as (server, proxy):
        got = await proxy.ask(post(NEW, whole, b"Content-Type: " + TYPE))
        assert got.status == 200
        assert server.requests[0].body == FORM.replace(b"whisper", b"llama3.2")
        assert server.requests[0].get(b"content-type") == TYPE


@runs
async def test_a_form_on_a_configured_route_may_be_as_long_as_any_form() -> None:
    whole = FORM.replace(b"whisper", b"llama3.2")
    async with one_server(routes=(NEW,), max_body=len(whole) - 1) as (server, proxy):
        assert (await proxy.ask(post(NEW, whole, b"Content-Type: " + TYPE))).status == 200
        assert (await proxy.ask(post(NEW, b" " * len(whole)))).status == 413
        assert server.hits == 1


@runs
async def test_a_configured_route_is_post_alone_and_has_one_spelling() -> None:
    async with one_server(routes=(NEW,)) as (server, proxy):
        client = await proxy.connect()
        got = await client.ask(get(NEW))
        assert (got.status, got.get(b"allow")) == (405, b"POST")
        assert (await proxy.events.ended()).route == NEW
        got = await client.ask(post(NEW + "/", BODY))
        assert (got.status, got.get(b"location")) == (307, NEW.encode())
        assert (await client.ask(post(NEW + "/more", BODY))).status == 404
        assert server.hits == 0
        assert (await client.ask(post("/v1/new/%74hing?a=b", BODY))).status == 200
        assert server.requests[0].start == b"POST /v1/new/thing HTTP/1.1"


@pytest.mark.parametrize(
    "path", [NEW, "/api/me", "/api/signout", "/api/experimental/web_search", "/api/experimental/aliases"]
)
@runs
async def test_a_path_that_nobody_configured_and_those_of_one_machines_account_are_a_404(path: str) -> None:
    async with one_server() as (server, proxy):
        for data in (post(path, BODY), get(path)):
            got = await proxy.ask(data)
            assert (got.status, got.body) == (404, b"404 page not found")
        assert (await proxy.events.ended()).route == "other"
        assert server.hits == 0


@runs
async def test_another_configuration_brings_its_own_routes() -> None:
    async with RawServer() as server:
        config = a_config([server])
        async with in_front_of(server) as proxy:
            client = await proxy.connect()
            assert (await client.ask(post(NEW, BODY))).status == 404
            proxy.app.apply(replace(config, listen=proxy.app.address, routes=(NEW,)))
            assert (await client.ask(post(NEW, BODY))).status == 200
            proxy.app.apply(replace(config, listen=proxy.app.address, routes=("/v1/other",)))
            assert (await client.ask(post(NEW, BODY))).status == 404
            assert server.hits == 1


@runs
async def test_a_configured_route_is_a_label_of_the_metrics_and_no_other_path_is() -> None:
    async with one_server(routes=(NEW,), admin=ADMIN) as (_, proxy):
        await proxy.ask(post(NEW, BODY))
        await proxy.ask(post("/v1/new/other", BODY))
        await proxy.events.ended(2)
        page = await samples(proxy)
        assert {dict(labels)["route"] for name, labels in page if name == "gollamas_requests_total"} == {
            NEW, "other"
        }  # fmt: skip
