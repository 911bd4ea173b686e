"""A prompt that a server has cut is counted and told of, or refused where the operator wants that."""

import json
from typing import Any

import pytest

from gollamas.background import prober
from gollamas.config.model import Address
from gollamas.events import RequestEnded
from gollamas.simulate.settings import VERSIONS
from tests.sockets.proxying import Running, in_front_of, runs
from tests.sockets.raw import Client, Message, RawServer, answer, get, says
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet, asks, fleet

ADMIN = Address(host="127.0.0.1", port=0)
ALL = ("", "")
LONG = "word " * 600
DIALECTS: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": LONG},
    "/api/chat": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/completions": {"prompt": LONG},
    "/v1/messages": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/responses": {"input": LONG},
}


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no server looked at a second time, so that what it has loaded is never seen."""
    monkeypatch.setattr(prober, "_GAP", 60.0)


async def admin(proxy: Running, request: bytes) -> Message:
    """Ask the second port."""
    assert proxy.app.admin_address is not None
    client = await Client.connect(proxy.app.admin_address.port)
    try:
        return await client.ask(request)
    finally:
        client.close()


async def count(both: Fleet) -> str:
    """What the page of metrics says of prompts that were cut."""
    lines = (await admin(both.proxy, get("/metrics"))).body.decode().splitlines()
    return "\n".join(line for line in lines if line.startswith("gollamas_prompts_truncated_total"))


async def state(both: Fleet) -> list[dict[str, int]]:
    """What the page of the state says of them, by server."""
    page = json.loads((await admin(both.proxy, get("/state"))).body)
    return [server["truncated"] for server in page["servers"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", DIALECTS)
@runs
async def test_a_prompt_that_was_cut_is_counted_in_every_dialect(
    path: str, version: str, stream: bool
) -> None:
    async with fleet(version=version, force_num_ctx={ALL: 256}, admin=ADMIN) as both:
        more = {"stream_options": {"include_usage": True}} if stream and path.startswith("/v1/c") else {}
        for members in (DIALECTS[path], {}, DIALECTS[path]):
            assert (await both.ask(path, stream=stream, **{**members, **more})).status == 200
        await both.proxy.events.ended(3)
        assert [one.truncated for one in both.proxy.events.of(RequestEnded)] == [True, False, True]
        assert await count(both) == 'gollamas_prompts_truncated_total{model="smol"} 2'
        assert await state(both) == [{CHAT: 2}]


@pytest.mark.usefixtures("unseen")
@runs
async def test_the_context_is_the_client_s_where_nobody_else_says_one() -> None:
    async with fleet() as both:
        await both.ask("/api/chat", **DIALECTS["/api/chat"], options={"num_ctx": 256})
        await both.ask("/api/chat", **DIALECTS["/api/chat"], options={"num_ctx": 4096})
        await both.proxy.events.ended(2)
        assert [one.truncated for one in both.proxy.events.of(RequestEnded)] == [True, False]


@runs
async def test_the_context_that_the_server_shows_is_what_counts() -> None:
    async with fleet() as both:
        await both.ask_directly("/api/generate", {"model": CHAT, "options": {"num_ctx": 256}})
        await both.look()
        await both.ask("/api/chat", **DIALECTS["/api/chat"], options={"num_ctx": 256})
        assert (await both.proxy.events.ended()).truncated is True


@pytest.mark.usefixtures("unseen")
@runs
async def test_without_a_context_that_is_known_it_is_null() -> None:
    async with fleet(admin=ADMIN) as both:
        await both.ask("/v1/chat/completions", **DIALECTS["/v1/chat/completions"])
        assert (await both.proxy.events.ended()).truncated is None
        assert await state(both) == [{}]


@pytest.mark.parametrize("path", ["/api/embed", "/v1/embeddings"])
@runs
async def test_embeddings_are_not_judged_whose_count_is_of_all_inputs(path: str) -> None:
    async with fleet(force_num_ctx={ALL: 256}) as both:
        reply = await both.ask(path, EMBEDDER, input=["word " * 200] * 4)
        assert reply.status == 200
        ended = await both.proxy.events.ended()
        assert (ended.tokens_in or 0) > 256
        assert ended.truncated is None


@runs
async def test_an_answer_of_more_tokens_than_its_context_was_cut() -> None:
    text = (
        b'{"model":"llama3.2","done":true,"total_duration":1,"load_duration":1,"prompt_eval_count":%d,'
        b'"prompt_eval_duration":1,"eval_count":1,"eval_duration":1}'
    )
    for tokens, expected in ((4095, False), (4096, True), (9999, True)):
        server = RawServer(handler=says(answer(text % tokens)))
        async with server, in_front_of(server) as proxy:
            await proxy.ask(asks("/api/chat", "llama3.2", options={"num_ctx": 4096}))
            assert (await proxy.events.ended()).truncated is expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@runs
async def test_on_overflow_error_the_client_gets_ollama_s_400(path: str, version: str) -> None:
    async with fleet(version=version, on_overflow={ALL: "error"}, admin=ADMIN) as both:
        members = {**DIALECTS[path], "options": {"num_ctx": 256}}
        for said in ({}, {"truncate": True}, {"TRUNCATE": True}, {"truncate": None}):
            reply = await both.ask(path, **members, **said)
            directly = await both.ask_directly(
                path, {"model": CHAT, "stream": False, **members, "truncate": False}
            )
            assert (reply.status, reply.body) == (directly.status, directly.body)
            assert reply.status == 400
        assert (await both.ask(path, options={"num_ctx": 256})).status == 200
        assert await state(both) == [{}]


@runs
async def test_on_overflow_pass_is_the_default_and_holds_where_it_is_said() -> None:
    levels = {ALL: "error", (CHAT_KEY, ""): "pass"}
    for told in ({}, levels):
        async with fleet(on_overflow=told) as both:
            reply = await both.ask("/api/chat", **DIALECTS["/api/chat"], options={"num_ctx": 256})
            assert reply.status == 200
            assert b"truncate" not in both.ollama.asked("/api/chat")[-1].body
