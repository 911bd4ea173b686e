"""The operator's num_ctx and keep_alive hold on every dialect, and one instance serves all of them."""

import asyncio
import json
from typing import Any

import pytest

from gollamas.config.model import LOADED
from gollamas.events import LoadEnd, LoadEnded, Reloaded, RequestEnded, Warned
from gollamas.simulate.faults import Fails, Hangs
from gollamas.simulate.settings import VERSIONS
from tests.sockets.proxying import in_front_of, opened, runs
from tests.sockets.raw import RawServer, breaks_off
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, asks, fleet

ALL = ("", "")
OF_CHAT = (CHAT_KEY, "")
# Thirteen requests as programs send them that know nothing of each other.
THIRTEEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/chat", {"options": {"num_ctx": 8192}}),
    ("/api/chat", {}),
    ("/api/generate", {"options": {"num_ctx": 16384, "temperature": 0.5}}),
    ("/api/generate", {"options": None, "keep_alive": None}),
    ("/v1/chat/completions", {}),
    ("/v1/chat/completions", {"stream": True}),
    ("/v1/completions", {}),
    ("/v1/messages", {}),
    ("/v1/messages", {"stream": True}),
    ("/v1/responses", {}),
    ("/api/chat", {"options": {"num_ctx": None}, "stream": True}),
    ("/api/generate", {"keep_alive": "5m"}),
    ("/v1/responses", {"stream": True}),
)


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_thirteen_requests_of_unlike_dialects_and_contexts_make_one_load(version: str) -> None:
    async with fleet(version=version, force_num_ctx={ALL: 2048}, force_keep_alive={ALL: -1.0}) as both:
        for path, members in THIRTEEN:
            reply = await both.ask(path, **members)
            assert (reply.status, b"gollamas" in reply.body) == (200, False), (path, reply.body)
            assert reply.body.count(b'"model":"smol"'), (path, reply.body)
        assert [load.options for load in both.ollama.loads] == [{"num_ctx": 2048}]
        assert [one.model for one in both.ollama.creates] == [both.ollama.creates[0].model]
        ended = both.proxy.events.of(RequestEnded)
        assert {(one.model_used, one.num_ctx) for one in ended} == {(CHAT, 2048)}
        (loaded,) = json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"]
        assert loaded["name"] == "smol:latest"
        assert loaded["expires_at"] > "2300"


@runs
async def test_all_at_once_make_one_load_and_one_variant() -> None:
    async with fleet(force_num_ctx={ALL: 2048}, settings={"load_seconds": 0.05}) as both:
        found = await asyncio.gather(*(both.ask(path, **members) for path, members in THIRTEEN * 2))
        assert {one.status for one in found} == {200}
        assert (len(both.ollama.loads), len(both.ollama.creates)) == (1, 1)


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"])
@pytest.mark.parametrize(
    ("options", "sent", "expected"),
    [
        ({"num_ctx": {ALL: 2048}}, {}, {"options": {"num_ctx": 2048}}),
        ({"num_ctx": {ALL: 2048}}, {"options": {"num_ctx": 512}}, {"options": {"num_ctx": 512}}),
        ({"force_num_ctx": {ALL: 2048}}, {"options": {"num_ctx": 512}}, {"options": {"num_ctx": 2048}}),
        ({"keep_alive": {ALL: 600.0}}, {}, {"keep_alive": 600}),
        ({"keep_alive": {ALL: 600.0}}, {"keep_alive": "1m"}, {"keep_alive": "1m"}),
        ({"force_keep_alive": {ALL: -1.0}}, {"keep_alive": "1m"}, {"keep_alive": -1}),
    ],
)
@runs
async def test_a_native_body_carries_the_policy(
    path: str, options: dict[str, Any], sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with RawServer() as server, in_front_of(server, **options) as proxy:
        await proxy.ask(asks(path, "llama3.2", **sent))
        got = json.loads(server.requests[-1].body)
        assert {key: got.get(key) for key in ("options", "keep_alive") if key in got} == expected


@runs
async def test_the_policy_is_that_of_the_server_also_after_a_failover() -> None:
    one, two = RawServer(name="one", handler=breaks_off(b"")), RawServer(name="two")
    levels = {("", "one"): 1024, ("", "two"): 4096}
    async with opened(one, two), in_front_of(one, two, force_num_ctx=levels) as proxy:
        assert (await proxy.ask(asks("/api/chat", "llama3.2"))).status == 200
        asked = [json.loads(server.requests[-1].body)["options"] for server in (one, two)]
        assert asked == [{"num_ctx": 1024}, {"num_ctx": 4096}]
        assert (await proxy.events.ended()).num_ctx == 4096


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"keep_alive": {ALL: 600.0}, "num_ctx": {ALL: 2048}}, (600, {"num_ctx": 2048})),
        ({"force_keep_alive": {ALL: 0.5}}, ("500000000ns", None)),
        ({"force_keep_alive": {ALL: 0.0}}, (None, None)),
    ],
)
@runs
async def test_a_load_carries_what_requests_carry(options: dict[str, Any], expected: tuple[Any, Any]) -> None:
    async with fleet(**options) as both:
        await both.ask("/api/chat")
        load = json.loads(both.empty()[0].body)
        assert (load.get("keep_alive"), load.get("options")) == expected


@runs
async def test_cloud_models_are_left_alone() -> None:
    async with RawServer() as server:
        models = {"glm:cloud": [server]}
        async with in_front_of(server, models=models, force_num_ctx={ALL: 9}, keep_alive={ALL: 5.0}) as proxy:
            for path in ("/api/chat", "/v1/chat/completions"):
                await proxy.ask(asks(path, "glm:cloud"))
                assert not {"options", "keep_alive"} & json.loads(server.requests[-1].body).keys()
            assert not server.loads


# -- a client's unload ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/api/generate", {"prompt": "", "keep_alive": 0}),
        ("/api/chat", {"messages": [], "keep_alive": "0s"}),
        ("/api/embed", {"input": "", "keep_alive": 0}),
        ("/api/embeddings", {"prompt": "", "keep_alive": 0}),
    ],
)
@runs
async def test_a_client_s_unload_of_what_the_operator_keeps_goes_nowhere(
    path: str, members: dict[str, Any]
) -> None:
    model = EMBEDDER if "embed" in path else CHAT
    async with fleet(force_keep_alive={ALL: 600.0}) as both:
        await both.ask("/api/embed" if model == EMBEDDER else "/api/chat", model)
        before = len(both.ollama.seen)
        reply = await both.ask(path, model, **members)
        directly = await both.ask_directly(path, {"model": model, **members})
        assert reply.status == directly.status == 200
        assert reply.get(b"content-type") == directly.get(b"content-type")
        assert _without_time(reply.body) == _without_time(directly.body)
        assert len([one for one in both.ollama.seen if one.head.path == path.encode()]) <= before + 1
        ended = (await both.proxy.events.ended(2)).error
        assert ended == "the operator's keep_alive stands: the model stays loaded"


def _without_time(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return {key: value for key, value in found.items() if key != "created_at"}


@runs
async def test_where_the_operator_keeps_it_on_one_server_a_client_s_unload_reaches_the_others() -> None:
    async with fleet("one", "two", force_keep_alive={("", "one"): -1.0}) as both:
        for name in both.ollamas:
            await both.ask_directly("/api/chat", {"model": CHAT, "messages": []}, server=name)
        views = both.proxy.app.view.servers
        await both.look()
        assert all(CHAT_KEY in view.instances for view in views.values())
        reply = await both.ask("/api/generate", prompt="", keep_alive=0)
        assert json.loads(reply.body)["done_reason"] == "unload"
        await both.settled()
        assert [name for name, one in both.ollamas.items() if one.engine.sched.running()] == ["one"]


@pytest.mark.parametrize("is_loaded", [True, False])
@runs
async def test_an_unload_that_goes_nowhere_changes_nothing(is_loaded: bool) -> None:
    async with fleet(force_keep_alive={ALL: 600.0}) as both:
        if is_loaded:
            await both.ask("/api/chat", options={"num_thread": 3})
        await both.ask("/api/generate", prompt="", keep_alive=0)
        if is_loaded:
            await both.ask("/api/chat", options={"num_thread": 3})
        else:
            await both.ask("/v1/chat/completions")
        assert len(both.ollama.loads) == 1
        assert [body["keep_alive"] for body in both.touches()] == [600]
        assert not both.proxy.events.of(Reloaded)


@runs
async def test_a_key_of_another_case_unloads_as_well() -> None:
    async with fleet(force_keep_alive={ALL: 600.0}) as both:
        reply = await both.ask("/api/generate", prompt="", Keep_Alive=0)
        assert json.loads(reply.body)["done_reason"] == "unload"
        assert not both.ollama.loads


@runs
async def test_an_unload_that_moves_on_to_a_server_that_keeps_it_loads_nothing() -> None:
    tags = b'{"models":[{"name":"llama3.2:latest","digest":"1"}]}'
    one, two = RawServer(name="one", handler=breaks_off(b""), tags=tags), RawServer(name="two", tags=tags)
    async with opened(one, two), in_front_of(one, two, force_keep_alive={("", "two"): -1.0}) as proxy:
        reply = await proxy.ask(asks("/api/generate", "llama3.2", prompt="", keep_alive=0))
        assert json.loads(reply.body)["done_reason"] == "unload"
        assert (one.hits, two.hits) == (1, 0)


@runs
async def test_a_default_lets_a_client_unload() -> None:
    async with fleet(keep_alive={ALL: -1.0}) as both:
        await both.ask("/api/chat")
        await both.ask("/api/generate", prompt="", keep_alive=0)
        assert json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"] == []


# -- touches --------------------------------------------------------------------------------------------


@runs
async def test_a_load_carries_the_keep_alive_so_that_no_answer_of_v1_is_followed_by_a_touch() -> None:
    async with fleet(keep_alive={ALL: 600.0}) as both:
        await both.ask_in_turn(3 * ["/v1/chat/completions"])
        assert [body["keep_alive"] for body in both.touches()] == [600]


@pytest.mark.parametrize(("seconds", "sent"), [(600.0, 600), (-1.0, -1)])
@runs
async def test_an_answer_of_v1_is_followed_by_a_touch_once_a_client_has_said_otherwise(
    seconds: float, sent: int
) -> None:
    async with fleet(keep_alive={ALL: seconds}, num_ctx={ALL: 2048}) as both:
        await both.ask_in_turn(["/v1/chat/completions"])
        await both.ask("/api/chat", keep_alive="1m")
        await both.ask_in_turn(3 * ["/v1/chat/completions", "/v1/messages"])
        load, touch = both.touches()
        assert load == touch == {**load, "keep_alive": sent, "options": {"num_ctx": 2048}}
        assert len(both.ollama.loads) == 1
        expires = json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"][0]["expires_at"]
        assert (expires > "2300") is (seconds < 0)


@runs
async def test_an_answer_of_v1_is_followed_by_a_touch_where_the_server_shows_another_expiry() -> None:
    async with fleet(keep_alive={ALL: 600.0}) as both:
        await both.ask_in_turn(["/v1/chat/completions"])
        await both.ask_directly("/api/generate", {"model": CHAT, "keep_alive": -1})
        await both.look()
        await both.ask_in_turn(3 * ["/v1/chat/completions"])
        assert [body["keep_alive"] for body in both.touches()] == [600, -1, 600]


@runs
async def test_somebody_else_s_instance_is_touched_once() -> None:
    async with fleet(keep_alive={ALL: -1.0}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        await both.look()
        await both.ask_in_turn(3 * ["/v1/chat/completions"])
        assert [body["keep_alive"] for body in both.touches()] == [-1]
        assert len(both.ollama.loads) == 1


@runs
async def test_an_embedding_model_is_touched_in_its_own_way() -> None:
    async with fleet(keep_alive={ALL: -1.0}) as both:
        await both.ask_directly("/api/embed", {"model": EMBEDDER})
        await both.look()
        await both.ask_in_turn(["/v1/embeddings"], EMBEDDER)
        assert [json.loads(one.body).get("keep_alive") for one in both.ollama.asked("/api/embed")] == [
            None,
            -1,
        ]


@runs
async def test_with_0_the_model_leaves_behind_the_last_answer_of_v1() -> None:
    async with fleet(force_keep_alive={ALL: 0.0}, settings={"tokens_per_second": 200.0}) as both:
        paths = 3 * ["/v1/chat/completions"]
        await asyncio.gather(*(both.ask(path) for path in paths))
        await both.proxy.events.ended(3)
        await both.settled()
        assert [body["keep_alive"] for body in both.touches()] == [0]
        assert not both.ollama.engine.sched.running()
        await both.ask_in_turn(["/v1/chat/completions"])
        assert [load.ended for load in both.ollama.loads] == ["loaded", "loaded"]


@runs
async def test_who_comes_behind_the_last_answer_has_the_model_loaded_anew() -> None:
    """The unload has gone out by then, answered or not."""
    async with fleet(force_keep_alive={ALL: 0.0}, force_num_ctx={ALL: 2048}) as both:
        await both.ask("/v1/chat/completions")
        both.ollama.fail_next(Hangs(), path="/api/generate")
        await both.ask("/v1/chat/completions")
        await both.until(lambda: both.ollama.hanging == 1)
        assert not both.proxy.app.view.servers["one"].instances
        both.ollama.release()


@runs
async def test_no_touch_goes_out_while_a_load_is_under_way() -> None:
    """It would take that one's place on a server with room for one model."""
    async with fleet(keep_alive={ALL: 600.0}, settings={"max_loaded": 1, "tokens_per_second": 40.0}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        await both.look()
        await asyncio.gather(both.ask("/v1/chat/completions"), both.ask("/v1/embeddings", EMBEDDER))
        await both.proxy.events.ended(2)
        await both.settled()
        assert [load.model for load in both.ollama.loads] == ["smol:latest", "minilm:latest"]


@runs
async def test_without_a_keep_alive_there_are_no_touches() -> None:
    async with fleet(force_num_ctx={ALL: 2048}) as both:
        await both.ask("/api/chat", keep_alive="1m")
        await both.ask_in_turn(3 * ["/v1/chat/completions"])
        assert len(both.touches()) == 0


@runs
async def test_a_server_that_refuses_a_touch_is_told_of() -> None:
    async with fleet(keep_alive={ALL: -1.0}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        await both.look()
        both.ollama.fail_next(Fails(500), path="/api/generate")
        await both.ask_in_turn(2 * ["/v1/chat/completions"])
        (warned,) = both.proxy.events.of(Warned)
        assert warned.text == "one failed to keep smol:latest in memory: simulated failure"


# -- the reload guard -----------------------------------------------------------------------------------


@runs
async def test_loaded_gives_a_request_without_a_context_that_of_the_instance() -> None:
    """Chat programs send it with a chat and leave it out of the request for a title."""
    async with fleet(num_ctx={OF_CHAT: LOADED}) as both:
        for _ in range(3):
            await both.ask("/api/chat", options={"num_ctx": 8192})
            await both.ask("/api/generate")
            await both.ask("/api/generate", options={"num_ctx": None, "seed": 1})
        assert [load.options for load in both.ollama.loads] == [{"num_ctx": 8192}]
        assert not both.ollama.creates


@runs
async def test_loaded_follows_a_load_that_is_under_way() -> None:
    async with fleet(num_ctx={OF_CHAT: LOADED}, settings={"load_seconds": 0.1}) as both:
        first = asyncio.ensure_future(both.ask("/api/chat", options={"num_ctx": 8192}))
        await both.until(lambda: bool(both.ollama.loads))
        assert (await both.ask("/api/generate")).status == (await first).status == 200
        assert [load.options for load in both.ollama.loads] == [{"num_ctx": 8192}]


@runs
async def test_loaded_follows_what_somebody_else_has_loaded() -> None:
    async with fleet(num_ctx={OF_CHAT: LOADED}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT, "options": {"num_ctx": 1024}})
        await both.look()
        await both.ask("/api/generate")
        assert len(both.ollama.loads) == 1


@runs
async def test_reloads_are_counted_with_what_differed_and_what_ends_them() -> None:
    async with fleet(settings={"load_seconds": 0.1}) as both:
        for options in ({}, {"num_ctx": 8192}, {}, {"num_ctx": 8192, "num_gpu": 0}):
            await both.ask("/api/generate", options=options)
        told = [(one.differs, one.before, one.after) for one in both.proxy.events.of(Reloaded)]
        assert told == [
            ("num_ctx", "-", "num_ctx=8192"),
            ("num_ctx", "num_ctx=8192", "-"),
            ("num_ctx, num_gpu", "-", "num_ctx=8192,num_gpu=0"),
        ]
        (warned,) = both.proxy.events.of(Warned)  # one a minute
        assert warned.text == (
            "smol:latest was reloaded on one: its options changed from none to "
            "num_ctx=8192; set --force-num-ctx smol:latest=8192 to give all requests one context, "
            "or --num-ctx smol:latest=loaded to give those without num_ctx the one that is loaded"
        )


@runs
async def test_a_load_that_turned_out_to_be_none_is_no_reload() -> None:
    async with fleet(settings={"load_seconds": 0.2}) as both:
        for options in ({}, {"num_ctx": 4096}):  # the default, said by name
            await both.ask("/api/generate", options=options)
        ends = [one.end for one in both.proxy.events.of(LoadEnded)]
        assert ends == [LoadEnd.LOADED, LoadEnd.SAME]
        assert not both.proxy.events.of(Reloaded)


@runs
async def test_an_answer_that_tells_of_a_load_is_a_reload_by_somebody_else() -> None:
    async with fleet(settings={"load_seconds": 0.1}) as both:
        await both.ask("/api/generate")
        await both.ask_directly("/api/generate", {"model": CHAT, "options": {"num_ctx": 1024}})
        await both.ask("/api/generate")
        (told,) = both.proxy.events.of(Reloaded)
        assert (told.server, told.model, told.differs, told.before) == (
            "one",
            "smol:latest",
            "unknown",
            "unknown",
        )


@runs
async def test_what_was_there_just_so_is_no_reload() -> None:
    """As after a restart of ours: the server has nothing to do."""
    async with fleet(settings={"load_seconds": 0.1}) as both:
        options = {"num_ctx": 2048, "num_thread": 3}
        await both.ask_directly("/api/generate", {"model": CHAT, "options": options})
        await both.look()
        for _ in range(3):
            await both.ask("/api/generate", options=options)
        assert not both.proxy.events.of(Reloaded)
        assert len(both.ollama.loads) == 1


@runs
async def test_a_load_of_what_somebody_has_just_loaded_says_nothing_of_later_answers() -> None:
    async with fleet(settings={"load_seconds": 0.1}) as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        for _ in range(5):
            await both.ask("/api/generate")
        assert not both.proxy.events.of(Reloaded)
