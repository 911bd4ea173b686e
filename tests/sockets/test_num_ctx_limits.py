"""No client asks for a larger context than the operator allows: it is refused, sent elsewhere, or lowered."""

import json
from typing import Any

import pytest

from gollamas.config.model import LOADED
from gollamas.events import AttemptFailed, End, RequestEnded
from tests.sockets.proxying import in_front_of, opened, runs
from tests.sockets.raw import RawServer, breaks_off, post
from tests.sockets.simulated import CHAT, CHAT_KEY, asks, fleet

ALL = ("", "")
REFUSED = "model 'smol' allows a num_ctx of at most 4096, but 65536 was requested (limit: {num_ctx: 4096})"
NATIVE = ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"]


@pytest.mark.parametrize("path", NATIVE)
@runs
async def test_a_context_above_the_limit_is_a_400_that_names_the_option(path: str) -> None:
    async with fleet(limit_num_ctx={ALL: 4096}) as both:
        reply = await both.ask(path, options={"num_ctx": 65536})
        assert (reply.status, json.loads(reply.body)) == (400, {"error": REFUSED})
        assert not both.ollama.loads
        ended = await both.proxy.events.ended()
        assert (ended.end, ended.error, ended.server) == (End.REFUSED, REFUSED, None)
        assert not both.proxy.events.of(AttemptFailed)


@pytest.mark.parametrize("written", ["4097", "4097.9", "1e5", "1e30"])
@runs
async def test_however_the_number_is_written(written: str) -> None:
    async with fleet(limit_num_ctx={ALL: 4096}) as both:
        body = f'{{"model":"smol","prompt":"hi","options":{{"num_ctx":{written}}}}}'
        assert (await both.proxy.ask(post("/api/generate", body.encode()))).status == 400
        body = body.replace(written, "4096.9")
        assert (await both.proxy.ask(post("/api/generate", body.encode()))).status == 200
        assert [load.options for load in both.ollama.loads] == [{"num_ctx": 4096}]


@pytest.mark.parametrize("path", NATIVE)
@runs
async def test_clamp_sends_and_loads_what_the_limit_allows(path: str) -> None:
    model = "minilm" if "embed" in path else CHAT
    async with fleet(limit_num_ctx={ALL: 256}, on_limit={ALL: "clamp"}) as both:
        reply = await both.ask(path, model, options={"num_ctx": 65536, "seed": 1})
        assert reply.status == 200, reply.body
        assert [load.options for load in both.ollama.loads] == [{"num_ctx": 256}]
        sent = json.loads(both.ollama.asked(path)[-1].body)
        assert sent["options"] == {"num_ctx": 256, "seed": 1}
        assert (await both.proxy.events.ended()).num_ctx == 256


@runs
async def test_the_server_with_the_larger_limit_gets_what_the_other_may_not() -> None:
    limits = {("", "one"): 4096, ("", "two"): 65536}
    async with fleet("one", "two", limit_num_ctx=limits) as both:
        for num_ctx, server in ((4096, "one"), (4097, "two"), (65536, "two"), (4096, "one")):
            reply = await both.ask("/api/chat", options={"num_ctx": num_ctx})
            assert (reply.status, reply.get(b"x-gollamas-server")) == (200, server.encode())
        reply = await both.ask("/api/chat", options={"num_ctx": 65537})
        assert reply.status == 400
        assert b"at most 65536" in reply.body
        assert not both.proxy.events.of(AttemptFailed)


@runs
async def test_a_failover_judges_anew_and_lowers_where_none_else_is_left() -> None:
    """It was sent whole to the server that takes it, and goes to the smaller one with what that one takes."""
    one, two = RawServer(name="one"), RawServer(name="two", handler=breaks_off(b""))
    told: dict[str, Any] = {"limit_num_ctx": {("", "one"): 1024}, "on_limit": {ALL: "clamp"}}
    async with opened(one, two), in_front_of(one, two, **told) as proxy:
        reply = await proxy.ask(asks("/api/chat", "llama3.2", options={"num_ctx": 9999}))
        assert reply.status == 200
        asked = [json.loads(server.requests[-1].body)["options"] for server in (two, one)]
        assert asked == [{"num_ctx": 9999}, {"num_ctx": 1024}]
        assert (await proxy.events.ended()).num_ctx == 1024


@runs
async def test_a_failover_ends_where_only_limits_are_left() -> None:
    one, two = RawServer(name="one"), RawServer(name="two", handler=breaks_off(b""))
    async with opened(one, two), in_front_of(one, two, limit_num_ctx={("", "one"): 1024}) as proxy:
        reply = await proxy.ask(asks("/api/chat", "llama3.2", options={"num_ctx": 9999}))
        assert reply.status == 502
        assert not one.requests


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"])
@runs
async def test_v1_asks_for_no_context_and_is_not_judged(path: str) -> None:
    async with fleet(limit_num_ctx={ALL: 4096}) as both:
        reply = await both.ask(path, options={"num_ctx": 65536})
        assert reply.status == 200
        assert [load.options for load in both.ollama.loads] == [{}]


@runs
async def test_a_request_without_a_context_is_not_judged() -> None:
    async with fleet(limit_num_ctx={ALL: 1024}) as both:
        assert (await both.ask("/api/chat")).status == 200
        assert [load.options for load in both.ollama.loads] == [{}]


@runs
async def test_what_runs_no_model_is_not_judged() -> None:
    async with fleet(limit_num_ctx={ALL: 1024}) as both:
        await both.ask("/api/chat")
        reply = await both.ask("/api/generate", prompt="", keep_alive=0, options={"num_ctx": 65536})
        assert json.loads(reply.body)["done_reason"] == "unload"
        assert (
            await both.ask("/api/generate", prompt="", options={"num_ctx": 65536})
        ).status == 400  # a load


@runs
async def test_what_somebody_else_has_loaded_above_the_limit_is_lowered_where_it_is_filled_in() -> None:
    async with fleet(limit_num_ctx={ALL: 4096}, num_ctx={(CHAT_KEY, ""): LOADED}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT, "options": {"num_ctx": 8192}})
        await both.look()
        assert (await both.ask("/api/generate")).status == 200
        assert both.ollama.loads[-1].options == {"num_ctx": 4096}


@runs
async def test_an_alias_is_judged_by_its_model_and_named_as_the_client_named_it() -> None:
    aliases = {"gpt-4o": CHAT}
    async with fleet(limit_num_ctx={(CHAT_KEY, ""): 4096}, aliases=aliases) as both:
        reply = await both.ask("/api/chat", "gpt-4o", options={"num_ctx": 5000})
        assert (reply.status, b"model 'gpt-4o' allows" in reply.body) == (400, True)
        assert (await both.proxy.events.ended()).model == "gpt-4o"


@runs
async def test_one_request_above_the_limit_leaves_the_others_their_instance() -> None:
    async with fleet(limit_num_ctx={ALL: 4096}) as both:
        for num_ctx, status in ((4096, 200), (65536, 400), (4096, 200)):
            assert (await both.ask("/api/chat", options={"num_ctx": num_ctx})).status == status
        assert len(both.ollama.loads) == 1
        assert [one.status for one in both.proxy.events.of(RequestEnded)] == [200, 400, 200]
