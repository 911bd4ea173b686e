"""Loads and unloads by hand: POST /load and /unload on the admin port of a proxy with simulated servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gollamas.config.model import LOADED, Address, Expose, Model
from gollamas.events import LoadCause, LoadEnd, LoadEnded, RequestEnded
from gollamas.simulate.faults import Drops, Fails, FailsToLoad, Hangs, HangsAfter, HangsLoading
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, Message, get, post
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet, asks, fleet

ADMIN = Address(host="127.0.0.1", port=0)
ALL = ("", "")
LOADS = {"load_seconds": 0.2}  # longer than what is no load takes on a busy machine


@asynccontextmanager
async def by_hand(*names: str, **options: Any) -> AsyncIterator[Fleet]:
    """Run servers and a proxy with an admin port."""
    async with fleet(*names, **{"admin": ADMIN, **options}) as both:
        yield both


async def to_admin(both: Fleet) -> Client:
    """Connect to the admin port."""
    address = both.proxy.app.admin_address
    assert address is not None
    return await Client.connect(address.port)


async def ask(both: Fleet, path: str, *lines: bytes, **body: Any) -> Message:
    """Ask the admin port on a connection of its own."""
    client = await to_admin(both)
    try:
        return await client.ask(post(path, json.dumps(body).encode(), *lines))
    finally:
        client.close()


async def done(both: Fleet, path: str, status: int = 200, **body: Any) -> list[tuple[str, str, str]]:
    """Have it done; of each server its id, its name of the model and what became of it."""
    got = await ask(both, path, **body)
    assert (got.status, got.get(b"content-type")) == (status, b"application/json; charset=utf-8")
    told = json.loads(got.body)["servers"]
    assert all(one.keys() == {"server", "model", "end", "took_s", "error"} for one in told)
    assert all((one["error"] is None) == (one["end"] not in ("failed", "given_up")) for one in told)
    return [(one["server"], one["model"], one["end"]) for one in told]


def is_away(both: Fleet, server: str = "one", key: str = CHAT_KEY) -> bool:
    """Whether what keeps models is to leave one alone."""
    return both.proxy.app.view.servers[server].memory.is_unloaded_by_hand(key)


async def in_memory(both: Fleet, server: str | None = None) -> list[str]:
    """Give what a server has loaded, by its own word."""
    listed = json.loads((await both.ask_directly("/api/ps", {}, "GET", server)).body)["models"]
    return [one["name"] for one in listed]


# -- loads ----------------------------------------------------------------------------------------------


@runs
async def test_a_load_by_hand_goes_to_all_servers_of_the_model() -> None:
    async with by_hand("one", "two") as both:
        assert await done(both, "/load", model=CHAT) == [
            ("one", "smol:latest", "loaded"),
            ("two", "smol:latest", "loaded"),
        ]
        assert [await in_memory(both, name) for name in ("one", "two")] == [["smol:latest"]] * 2
        ended = both.proxy.events.of(LoadEnded)
        assert [(one.why, one.end, one.options, one.error) for one in ended] == [
            (LoadCause.HAND, LoadEnd.LOADED, "-", None)
        ] * 2
        assert (await both.ask("/api/chat")).status == 200
        assert [len(one.loads) for one in both.ollamas.values()] == [1, 1]
        client = await to_admin(both)
        page = (await client.ask(get("/metrics"))).body
        client.close()
        assert b'cause="hand",end="loaded"' in page


@runs
async def test_a_load_by_hand_goes_to_the_server_that_is_named() -> None:
    async with by_hand("one", "two") as both:
        assert await done(both, "/load", model=CHAT, server="two") == [("two", "smol:latest", "loaded")]
        assert [len(one.loads) for one in both.ollamas.values()] == [0, 1]


@runs
async def test_one_that_is_there_so_is_told_to_be_the_same_and_is_no_reload() -> None:
    async with by_hand(settings=LOADS) as both:
        got = json.loads((await ask(both, "/load", model=CHAT)).body)["servers"][0]
        assert (got["end"], got["took_s"] >= 0.2) == ("loaded", True)
        got = json.loads((await ask(both, "/load", model=CHAT)).body)["servers"][0]
        assert (got["end"], got["took_s"] < 0.2) == ("same", True)
        assert len(both.ollama.loads) == 1


@runs
async def test_one_that_somebody_else_loaded_is_no_reload() -> None:
    async with by_hand() as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        await both.look()
        await ask(both, "/load", model=CHAT)
        kinds = {type(event).__name__ for event in both.proxy.events}
        assert (len(both.ollama.loads), "Reloaded" in kinds) == (1, False)


@pytest.mark.parametrize("name", ["smol", "SMOL:latest", "library/smol", "gpt-4o", "GPT-4o:latest"])
@runs
async def test_a_model_is_meant_by_any_spelling_and_by_its_alias(name: str) -> None:
    async with by_hand(aliases={"gpt-4o": CHAT}) as both:
        assert await done(both, "/load", model=name) == [("one", "smol:latest", "loaded")]
        assert await done(both, "/unload", model=name) == [("one", "smol:latest", "unloaded")]


@pytest.mark.parametrize(
    ("policy", "options", "keep_alive"),
    [
        ({}, None, None),
        ({"num_ctx": {ALL: 4096}}, {"num_ctx": 4096}, None),
        ({"force_num_ctx": {(CHAT_KEY, "one"): 2048}, "num_ctx": {ALL: 4096}}, {"num_ctx": 2048}, None),
        ({"num_ctx": {ALL: LOADED}}, None, None),
        ({"keep_alive": {ALL: -1.0}}, None, -1),
        ({"force_keep_alive": {ALL: 600.0}, "num_ctx": {ALL: 1024}}, {"num_ctx": 1024}, 600),
        ({"keep_alive": {ALL: 0.0}}, None, None),
    ],
)
@runs
async def test_a_load_by_hand_is_that_of_a_request_without_options(
    policy: dict[str, Any], options: Any, keep_alive: Any
) -> None:
    """A request that comes then finds the model as it wants it."""
    async with by_hand(**policy) as both:
        await done(both, "/load", model=CHAT)
        (body,) = [json.loads(one.body) for one in both.empty()]
        assert (body.get("options"), body.get("keep_alive")) == (options, keep_alive)
        assert (await both.ask("/api/chat")).status == 200
        assert len(both.ollama.loads) == 1


@runs
async def test_a_model_that_only_embeds_is_loaded_by_embed_and_unloaded_by_generate() -> None:
    async with by_hand() as both:
        assert await done(both, "/load", model=EMBEDDER) == [("one", "minilm:latest", "loaded")]
        assert [one.head.path for one in both.empty()] == [b"/api/embed"]
        assert await done(both, "/unload", model=EMBEDDER) == [("one", "minilm:latest", "unloaded")]
        assert (await in_memory(both), len(both.ollama.loads)) == ([], 1)


@runs
async def test_a_load_that_is_under_way_for_a_client_is_shared() -> None:
    async with by_hand() as both:
        both.ollama.fail_next_load(HangsLoading())
        client = asyncio.ensure_future(both.ask("/api/chat"))
        await both.until(lambda: len(both.ollama.loads) == 1)
        hand = asyncio.ensure_future(done(both, "/load", model=CHAT))
        (load,) = both.proxy.app._duties.loads.under_way()
        await both.until(lambda: len(load.load.waiters) == 2)
        both.ollama.release()
        assert await hand == [("one", "smol:latest", "loaded")]
        assert ((await client).status, len(both.empty())) == (200, 1)
        assert [one.why for one in both.proxy.events.of(LoadEnded)] == [LoadCause.COLD]


@runs
async def test_a_client_that_comes_meanwhile_waits_for_the_load_by_hand() -> None:
    async with by_hand() as both:
        both.ollama.fail_next_load(HangsLoading())
        hand = asyncio.ensure_future(done(both, "/load", model=CHAT))
        await both.until(lambda: len(both.ollama.loads) == 1)
        client = asyncio.ensure_future(both.ask("/api/chat"))
        (load,) = both.proxy.app._duties.loads.under_way()
        await both.until(lambda: len(load.load.waiters) == 2)
        both.ollama.release()
        assert await hand == [("one", "smol:latest", "loaded")]
        assert ((await client).status, len(both.empty())) == (200, 1)


@runs
async def test_whoever_asks_and_leaves_ends_no_load() -> None:
    """Not even one that waits for another of the same weights."""
    async with by_hand(num_ctx={ALL: 1024}, settings=LOADS) as both:
        both.ollama.fail_next_load(HangsLoading())
        other = asyncio.ensure_future(both.ask("/api/chat", options={"num_ctx": 2048}))
        await both.until(lambda: len(both.ollama.loads) == 1)
        client = await to_admin(both)
        await client.send(post("/load", json.dumps({"model": CHAT}).encode()))
        await both.until(lambda: len(both.proxy.app._duties.loads.under_way()) == 2)
        client.reset()
        admin = both.proxy.app._admin
        assert admin is not None
        await both.until(lambda: not admin.clients.live)
        both.ollama.release()
        assert (await other).status == 200
        await both.proxy.events.until(lambda: len(both.proxy.events.of(LoadEnded)) == 2)
        assert [(one.why, one.end, one.options) for one in both.proxy.events.of(LoadEnded)] == [
            (LoadCause.COLD, LoadEnd.LOADED, "num_ctx=2048"),
            (LoadCause.HAND, LoadEnd.LOADED, "num_ctx=1024"),
        ]


@runs
async def test_a_load_may_take_longer_than_a_client_may_be_idle() -> None:
    quick = {"client_idle_timeout": 0.1, "idle_timeout": 0.1, "first_byte_timeout": 0.1, "write_timeout": 0.1}
    async with by_hand(settings={"load_seconds": 0.5}, **quick) as both:
        assert await done(both, "/load", model=CHAT) == [("one", "smol:latest", "loaded")]


# -- loads that fail ------------------------------------------------------------------------------------


@runs
async def test_a_server_that_fails_is_told_of_beside_one_that_loads() -> None:
    async with by_hand("one", "two") as both:
        both.ollamas["one"].fail_next_load(FailsToLoad("out of memory"))
        got = await ask(both, "/load", model=CHAT)
        assert got.status == 200
        one, two = json.loads(got.body)["servers"]
        assert (one["end"], one["error"], two["end"]) == ("failed", "out of memory", "loaded")


@pytest.mark.parametrize(
    ("fault", "why"),
    [(FailsToLoad("out of memory"), "out of memory"), (Drops(), "server one did not load smol:latest")],
)
@runs
async def test_where_all_servers_fail_it_is_a_502(fault: Any, why: str) -> None:
    async with by_hand() as both:
        if isinstance(fault, Drops):
            both.ollama.fail_next(fault, path="/api/generate", times=-1)
        else:
            both.ollama.fail_next_load(fault)
        got = await ask(both, "/load", model=CHAT)
        told = json.loads(got.body)
        assert (got.status, told["servers"][0]["end"]) == (502, "failed")
        assert why in told["servers"][0]["error"]
        assert told["error"].startswith("one: ")


@runs
async def test_a_load_that_takes_longer_than_it_may_is_given_up() -> None:
    async with by_hand(load_timeout=0.2) as both:
        both.ollama.fail_next_load(HangsLoading())
        assert await done(both, "/load", 502, model=CHAT) == [("one", "smol:latest", "given_up")]


@runs
async def test_a_model_that_a_server_lacks_is_not_pulled() -> None:
    async with by_hand(settings={"models": (EMBEDDER,)}) as both:
        got = await ask(both, "/load", model=CHAT)
        told = json.loads(got.body)["servers"][0]
        assert (got.status, told["end"], told["error"]) == (502, "failed", "server one has no model smol")
        assert both.empty() == []


@runs
async def test_a_server_that_is_down_is_passed_over_unless_it_is_named() -> None:
    async with by_hand("one", "two", probe_interval=0.05) as both:
        both.ollamas["one"].fail_next(Drops(), times=-1)
        await both.until(lambda: both.proxy.app.view.servers["one"].is_down)
        assert await done(both, "/load", model=CHAT) == [("two", "smol:latest", "loaded")]
        for path in ("/load", "/unload"):
            got = await ask(both, path, model=CHAT, server="one")
            told = json.loads(got.body)["servers"][0]
            assert (got.status, told["end"]) == (502, "failed")
            assert told["error"].startswith("server one is not up: ")
        both.ollamas["two"].fail_next(Drops(), times=-1)
        await both.until(lambda: both.proxy.app.view.servers["two"].is_down)
        got = await ask(both, "/load", model=CHAT)
        assert got.status == 503
        assert json.loads(got.body)["error"].startswith("no server of model 'smol' is up (one: ")


@pytest.mark.parametrize("path", ["/load", "/unload"])
@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"model": "nothing"}, 404, "model 'nothing' not found"),
        ({"model": "a b"}, 400, "'a b' is no name of a model"),
        ({"model": "gollamas/smol-1a2b:ctx2048"}, 404, "not found"),
        ({"model": CHAT, "server": "nowhere"}, 404, "no server 'nowhere' is configured; there are one, two"),
        ({"model": CHAT, "server": "ONE"}, 404, "no server 'ONE' is configured"),
        ({"model": CHAT, "server": ""}, 404, "no server '' is configured"),
        ({"model": CHAT, "server": "two"}, 400, "does not run on server 'two'; it does on one"),
        ({"model": "gpt-oss:120b-cloud"}, 400, "runs in Ollama's cloud"),
        ({"model": ""}, 400, "`model` is empty"),
        ({}, 400, "the body has to be like"),
        ({"model": CHAT, "sever": "one"}, 400, "sever"),
    ],
)
@runs
async def test_what_is_not_there_is_named(path: str, body: dict[str, Any], status: int, why: str) -> None:
    async with by_hand("one", "two") as both:
        config = both.proxy.app._config
        of_one = {CHAT_KEY: ("one",), "registry.ollama.ai/library/gpt-oss:120b-cloud": ("one",)}
        models = {key: Model(name=key, key=key, servers=on) for key, on in of_one.items()}
        both.proxy.app.apply(replace(config, models=models))
        got = await ask(both, path, **body)
        assert (got.status, why in json.loads(got.body)["error"]) == (status, True)
        assert both.empty() == []


@runs
async def test_what_servers_have_is_found_without_any_model_configured() -> None:
    """Also one that is new, and one that only one of them has."""
    async with by_hand(
        "one", "two", models=(), settings={"models": (EMBEDDER,)}, expose=Expose.INSTALLED
    ) as both:
        await both.ask_directly("/api/copy", {"source": EMBEDDER, "destination": "new"}, server="two")
        assert await done(both, "/load", model="new") == [("two", "new:latest", "loaded")]
        got = await ask(both, "/load", model="nothing")
        assert (got.status, json.loads(got.body)["error"]) == (404, "model 'nothing' not found")


@runs
async def test_the_rule_for_changes_holds() -> None:
    async with by_hand(admin_token="s3cret") as both:
        for path in ("/load", "/unload"):
            assert (await ask(both, path, model=CHAT)).status == 403
            assert (await ask(both, path, b"Authorization: Bearer wrong", model=CHAT)).status == 403
            evil = (b"Authorization: Bearer s3cret", b"Origin: http://evil.com")
            assert (await ask(both, path, *evil, model=CHAT)).status == 403
            assert both.empty() == []
        assert (await ask(both, "/load", b"Authorization: Bearer s3cret", model=CHAT)).status == 200
        assert (await both.proxy.ask(post("/load", b'{"model":"smol"}'))).status == 404


# -- unloads --------------------------------------------------------------------------------------------


@runs
async def test_an_unload_goes_to_the_servers_that_have_the_model_loaded() -> None:
    async with by_hand("one", "two") as both:
        await done(both, "/load", model=CHAT, server="two")
        assert await done(both, "/unload", model=CHAT) == [
            ("one", "smol:latest", "not_loaded"),
            ("two", "smol:latest", "unloaded"),
        ]
        assert (both.empty(), await in_memory(both, "two")) == ([], [])
        body = json.loads(both.ollamas["two"].asked("/api/generate")[-1].body)
        assert body == {"model": "smol:latest", "keep_alive": 0, "stream": False}
        assert (await ask(both, "/unload", model=CHAT, server="two")).status == 200
        assert len(both.ollamas["two"].loads) == 1


@runs
async def test_what_somebody_else_has_loaded_since_the_last_look_is_unloaded_too() -> None:
    async with by_hand() as both:
        await both.ask_directly("/api/generate", {"model": CHAT})
        assert await done(both, "/unload", model=CHAT) == [("one", "smol:latest", "unloaded")]
        assert await in_memory(both) == []


@runs
async def test_what_the_operator_keeps_for_ever_is_unloaded_by_hand() -> None:
    async with by_hand(force_keep_alive={ALL: -1.0}) as both:
        assert (await both.ask("/api/chat")).status == 200
        assert await done(both, "/unload", model=CHAT) == [("one", "smol:latest", "unloaded")]
        assert await in_memory(both) == []


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/generate"])
@runs
async def test_it_stays_away_until_a_client_asks_for_it(path: str) -> None:
    async with by_hand("one", "two", models=(CHAT,)) as both:
        await done(both, "/load", model=CHAT)
        assert not is_away(both)
        await done(both, "/unload", model=CHAT)
        await both.look()
        assert is_away(both)
        assert is_away(both, "two")
        reply = await both.ask(path)
        asked = (reply.get(b"x-gollamas-server") or b"").decode()
        assert (reply.status, is_away(both, asked)) == (200, False)
        assert is_away(both, "two" if asked == "one" else "one")


@runs
async def test_what_asks_for_no_load_changes_nothing() -> None:
    async with by_hand() as both:
        await done(both, "/load", model=CHAT)
        await done(both, "/unload", model=CHAT)
        await both.proxy.ask(post("/api/show", b'{"model":"smol"}'))
        await both.proxy.ask(post("/api/generate", b'{"model":"smol","keep_alive":0}'))
        await both.settled()
        assert is_away(both)


@runs
async def test_one_that_was_not_loaded_stays_away_as_well_until_it_is_loaded_by_hand() -> None:
    async with by_hand() as both:
        await done(both, "/unload", model=CHAT)
        assert is_away(both)
        await done(both, "/load", model=CHAT)
        assert not is_away(both)


@runs
async def test_one_that_is_loaded_past_the_proxy_was_asked_for() -> None:
    async with by_hand() as both:
        await done(both, "/load", model=CHAT)
        await done(both, "/unload", model=CHAT)
        await both.look()
        await both.ask_directly("/api/generate", {"model": CHAT})
        await both.look()
        assert not is_away(both)


@runs
async def test_an_unload_takes_nothing_from_those_who_wait_for_a_load() -> None:
    async with by_hand() as both:
        both.ollama.fail_next_load(HangsLoading())
        client = asyncio.ensure_future(both.ask("/api/chat"))
        await both.until(lambda: len(both.ollama.loads) == 1)
        hand = asyncio.ensure_future(done(both, "/unload", model=CHAT))
        await both.until(lambda: is_away(both))
        assert len(both.empty()) == 1
        both.ollama.release()
        assert (await client).status == 200
        assert await hand == [("one", "smol:latest", "unloaded")]
        assert (len(both.ollama.loads), await in_memory(both), is_away(both)) == (1, [], True)


@runs
async def test_what_is_being_answered_is_answered_to_its_end_and_its_model_counts_as_gone() -> None:
    async with by_hand() as both:
        both.ollama.fail_next(HangsAfter(1), path="/api/chat")
        client = await both.proxy.connect()
        await client.send(asks("/api/chat", stream=True))
        await both.until(lambda: both.ollama.hanging == 1)
        assert await done(both, "/unload", model=CHAT) == [("one", "smol:latest", "unloaded")]
        await both.look()
        assert is_away(both)
        assert CHAT_KEY not in both.proxy.app.view.servers["one"].instances
        both.ollama.release()
        assert (await client.answer()).status == 200
        await both.proxy.events.until(lambda: bool(both.proxy.events.of(RequestEnded)))
        await both.look()
        assert is_away(both)


@pytest.mark.parametrize("fault", [Fails(500, b'{"error":"no unload today"}'), Drops()])
@runs
async def test_an_unload_that_fails_is_told_of_and_keeps_nothing_away(fault: Any) -> None:
    async with by_hand() as both:
        await done(both, "/load", model=CHAT)
        both.ollama.fail_next(fault, path="/api/generate", times=-1)
        assert await done(both, "/unload", 502, model=CHAT) == [("one", "smol:latest", "failed")]
        assert not is_away(both)


@runs
async def test_a_proxy_that_stops_meanwhile_leaves_nothing_behind() -> None:
    """No task, no lease, no connection: what runs a proxy in these tests looks for them."""
    for path in ("/load", "/unload"):
        async with by_hand() as both:
            await done(both, "/load", model=CHAT)
            both.ollama.fail_next(Hangs(), path="/api/generate", times=-1)
            client = await to_admin(both)
            await client.send(post(path, json.dumps({"model": CHAT}).encode()))
            await both.until(lambda both=both: both.ollama.hanging == 1)  # type: ignore[misc]
            client.close()


@runs
async def test_loads_go_on_behind_an_unload_that_hangs() -> None:
    """Those of the same model; others go on meanwhile."""
    async with by_hand() as both:
        await done(both, "/load", model=CHAT)
        both.ollama.fail_next(Hangs(), path="/api/generate")
        hand = asyncio.ensure_future(done(both, "/unload", model=CHAT))
        await both.until(lambda: both.ollama.hanging == 1)
        other = asyncio.ensure_future(both.ask("/api/chat", options={"num_ctx": 1024}))
        await both.until(lambda: len(both.proxy.app._duties.loads.under_way()) == 1)
        assert await done(both, "/load", model=EMBEDDER) == [("one", "minilm:latest", "loaded")]
        assert len(both.proxy.app._duties.loads.under_way()) == 1
        both.ollama.release()
        assert await hand == [("one", "smol:latest", "unloaded")]
        assert (await other).status == 200
