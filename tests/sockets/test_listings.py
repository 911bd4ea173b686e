"""Listings of several servers as one: merged, fresh, and never kept waiting by a server that is away."""

import asyncio
import json
from typing import Any

import pytest

from gollamas.config.model import Expose
from tests.sockets.proxying import ROUTED, Running, a_config, in_front_of, one_server, running, runs
from tests.sockets.raw import Message, Peer, RawServer, answer, get, post, says

BODY = b'{"model":"llama3.2"}'


def listed(*entries: tuple[str, int, str], time: str = "modified_at") -> bytes:
    """Make a listing of entries of a name, a second of the day and the first letter of a digest."""
    models = [
        {"name": name, "model": name, time: f"2026-11-24T07:05:{at:02}Z", "size": 1, "digest": letter * 64}
        for name, at, letter in entries
    ]
    return json.dumps({"models": models}, separators=(",", ":")).encode()


def loaded(*names: str) -> bytes:
    return listed(*((name, 1, "a") for name in names), time="expires_at")


async def shown(proxy: Running, path: str = "/api/tags", key: str = "models") -> list[Any]:
    """Ask for a listing and give its entries."""
    got = await proxy.ask(get(path))
    assert got.status == 200
    found: list[Any] = json.loads(got.body)[key]
    return found


def names_in(entries: list[Any]) -> list[str]:
    return [entry["name"] for entry in entries]


@runs
async def test_tags_of_two_servers_are_one_list_newest_first_and_each_model_once() -> None:
    first = listed(("llama3.2:latest", 10, "a"), ("qwen:4b", 30, "b"))
    second = listed(("llama3.2:latest", 50, "c"), ("gemma:2b", 20, "d"))
    async with (
        RawServer("one", tags=first) as one,
        RawServer("two", tags=second) as two,
        in_front_of(one, two, models={"llama3.2": [one, two], "qwen:4b": [one], "gemma:2b": [two]}) as proxy,
    ):
        entries = await shown(proxy)
        assert names_in(entries) == ["qwen:4b", "gemma:2b", "llama3.2:latest"]
        assert entries[2]["digest"] == "a" * 64
        assert [entry["id"] for entry in await shown(proxy, "/v1/models", "data")] == names_in(entries)


@runs
async def test_an_entrys_bytes_are_its_servers_own() -> None:
    tags = b'{"models":[ {"name":"llama3.2:latest", "x":[1, 2.50],"y":"\\u003c"} ]}'
    async with RawServer(tags=tags) as server, running(a_config([server])) as proxy:
        got = await proxy.ask(get("/api/tags"))
        assert got.body == b'{"models":[{"name":"llama3.2:latest", "x":[1, 2.50],"y":"\\u003c"}]}'


@runs
async def test_ps_shows_each_loaded_copy() -> None:
    async with (
        RawServer("one", ps=loaded("llama3.2:latest")) as one,
        RawServer("two", ps=loaded("llama3.2:latest")) as two,
        in_front_of(one, two) as proxy,
    ):
        assert names_in(await shown(proxy, "/api/ps")) == ["llama3.2:latest"] * 2


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/v1/models"])
@runs
async def test_an_empty_list_is_a_list(path: str) -> None:
    async with one_server() as (_, proxy):
        body = json.loads((await proxy.ask(get(path))).body)
        assert body in ({"models": []}, {"object": "list", "data": []})


@runs
async def test_only_configured_models_are_listed_by_default_on_their_own_servers() -> None:
    tags = listed(("llama3.2:latest", 1, "a"), ("other:latest", 2, "b"))
    ps = loaded("llama3.2:latest", "other:latest")
    async with (
        RawServer("one", tags=tags, ps=ps) as one,
        RawServer("two", tags=tags, ps=ps) as two,
        in_front_of(one, two, models={"llama3.2": [one]}) as proxy,
    ):
        assert names_in(await shown(proxy)) == ["llama3.2:latest"]
        assert names_in(await shown(proxy, "/api/ps")) == ["llama3.2:latest"]


@runs
async def test_ps_behind_a_load_shows_it() -> None:
    async def load(_: Message, peer: Peer) -> None:
        server.ps = loaded("llama3.2:latest")
        await peer.send(answer(b'{"done":true,"done_reason":"load"}'))

    async def unload(_: Message, peer: Peer) -> None:
        server.ps = b'{"models":[]}'
        await peer.send(answer(b'{"done":true,"done_reason":"unload"}'))

    async with one_server(probe_interval=60) as (server, proxy):
        client = await proxy.connect()
        for _ in range(2):
            server.handler = load
            await client.ask(post("/api/generate", BODY))
            assert names_in(json.loads((await client.ask(get("/api/ps"))).body)["models"]) == [
                "llama3.2:latest"
            ]
            server.handler = unload
            await client.ask(post("/api/generate", b'{"model":"llama3.2","keep_alive":0}'))
            assert json.loads((await client.ask(get("/api/ps"))).body)["models"] == []


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/v1/models", "/api/version"])
@pytest.mark.parametrize("trouble", ["gone", "hangs"])
@runs
async def test_a_dead_server_delays_no_listing(path: str, trouble: str) -> None:
    tags = listed(("llama3.2:latest", 1, "a"))
    async with (
        RawServer("one", tags=tags) as one,
        RawServer("two", tags=tags) as two,
        in_front_of(one, two, probe_interval=0.3) as proxy,
    ):
        loop = asyncio.get_running_loop()
        await proxy.ask(get(path))  # the first one may wait for what no server has told yet
        if trouble == "gone":
            await two.shut()
        else:
            two.version = None
        until = loop.time() + 1.0
        slowest = 0.0
        while loop.time() < until:
            began = loop.time()
            assert (await proxy.ask(get(path))).status == 200
            slowest = max(slowest, loop.time() - began)
            await asyncio.sleep(0.05)
        assert slowest < 1.5  # the 300 ms that a listing waits, and what a busy machine adds


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/v1/models"])
@runs
async def test_the_first_listing_waits_for_a_server_that_is_slow_but_not_for_ever(path: str) -> None:
    async with RawServer("one", version=None) as one, running(a_config([one])) as proxy:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await proxy.ask(get(path))).status == 200
        assert 1.5 < loop.time() - began < 4
        began = loop.time()
        assert (await proxy.ask(get(path))).status == 200
        assert loop.time() - began < 1.5


@runs
async def test_the_first_listing_behind_the_start_is_complete() -> None:
    tags = listed(("llama3.2:latest", 1, "a"))
    async with (
        RawServer(tags=tags, ps=loaded("llama3.2:latest")) as server,
        running(a_config([server])) as proxy,
    ):
        tagged, running_now = await asyncio.gather(shown(proxy), shown(proxy, "/api/ps"))
        assert names_in(tagged) == names_in(running_now) == ["llama3.2:latest"]


@runs
async def test_many_callers_cost_one_question_a_second() -> None:
    async with one_server(probe_interval=60) as (server, proxy):
        await asyncio.sleep(1.05)  # what is known is older than a second then
        before = server.probes.count(b"/api/tags")
        await asyncio.gather(*(proxy.ask(get("/api/tags")) for _ in range(30)))
        assert server.probes.count(b"/api/tags") - before == 1


@pytest.mark.parametrize(
    ("said", "lowest"),
    [
        (("0.10.0", "0.9.6"), "0.9.6"),
        (("0.32.15", "0.24.0"), "0.24.0"),
        (("0.32.0", "0.32.0-rc1"), "0.32.0-rc1"),
        (("0.0.0", "0.32.1"), "0.32.1"),
        (("0.0.0", "0.0.0"), "0.0.0"),
    ],
)
@runs
async def test_the_version_is_the_lowest_one(said: tuple[str, str], lowest: str) -> None:
    async with (
        RawServer("one", version=said[0].encode()) as one,
        RawServer("two", version=said[1].encode()) as two,
        in_front_of(one, two) as proxy,
    ):
        got = await proxy.ask(get("/api/version"))
        assert (got.status, json.loads(got.body)) == (200, {"version": lowest})


@runs
async def test_the_version_is_a_503_while_no_server_has_said_one() -> None:
    async with RawServer(version=None) as server, running(a_config([server])) as proxy:
        loop = asyncio.get_running_loop()
        began = loop.time()
        got = await proxy.ask(get("/api/version"))
        assert got.status == 503
        assert loop.time() - began < 4
        assert "one" in json.loads(got.body)["error"]


# -- what is not configured ----------------------------------------------------------------------------


@runs
async def test_under_installed_all_that_servers_have_is_listed_and_routed() -> None:
    tags = listed(("other:latest", 1, "a"))
    async with (
        RawServer("one") as one,
        RawServer("two", tags=tags) as two,
        in_front_of(one, two, models={}, expose=Expose.INSTALLED) as proxy,
    ):
        assert names_in(await shown(proxy)) == ["other:latest"]
        got = await proxy.ask(post("/api/chat", b'{"model":"OTHER"}'))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")


@runs
async def test_under_running_what_servers_have_loaded_is_listed_and_routed() -> None:
    tags = listed(("cold:latest", 1, "a"), ("warm:latest", 2, "b"))
    async with (
        RawServer(tags=tags, ps=loaded("warm:latest")) as server,
        in_front_of(server, models={}, expose=Expose.RUNNING) as proxy,
    ):
        assert names_in(await shown(proxy)) == ["warm:latest"]
        assert (await proxy.ask(post("/api/chat", b'{"model":"warm"}'))).status == 200
        assert (await proxy.ask(post("/api/chat", b'{"model":"cold"}'))).status == 404


@runs
async def test_a_name_that_nobody_knows_is_looked_up_once_before_the_404() -> None:
    async with (
        RawServer() as server,
        in_front_of(server, models={}, expose=Expose.INSTALLED, probe_interval=60) as proxy,
    ):
        await proxy.ask(get("/api/tags"))
        before = len(server.probes)
        for _ in range(5):
            got = await proxy.ask(post("/api/chat", b'{"model":"nope"}'))
            assert (got.status, json.loads(got.body)) == (404, {"error": "model 'nope' not found"})
        assert server.probes[before:].count(b"/api/tags") == 1
        server.tags = listed(("fresh:latest", 1, "a"))
        assert (await proxy.ask(post("/api/chat", b'{"model":"fresh"}'))).status == 200


@runs
async def test_a_cloud_name_is_routed_only_where_it_is_configured() -> None:
    tags = listed(("big:cloud", 1, "a"))
    async with RawServer(tags=tags) as server:
        async with in_front_of(server, models={}, expose=Expose.INSTALLED) as proxy:
            assert (await proxy.ask(post("/api/chat", b'{"model":"big:cloud"}'))).status == 404
        async with in_front_of(server, models={"big:cloud": [server]}) as proxy:
            assert (await proxy.ask(post("/api/chat", b'{"model":"big:cloud"}'))).status == 200


@runs
async def test_an_alias_is_listed_beside_its_model_where_that_is_asked_for() -> None:
    tags = listed(("llama3.2:latest", 1, "a"))
    async with RawServer(tags=tags) as server:
        async with in_front_of(server, aliases={"gpt-4o": ROUTED}) as proxy:
            assert names_in(await shown(proxy)) == ["llama3.2:latest"]
        async with in_front_of(server, aliases={"gpt-4o": ROUTED}, list_aliases=True) as proxy:
            entries = await shown(proxy)
            assert names_in(entries) == ["llama3.2:latest", "gpt-4o:latest"]
            assert entries[1] == entries[0] | {"name": "gpt-4o:latest", "model": "gpt-4o:latest"}
            ids = [entry["id"] for entry in await shown(proxy, "/v1/models", "data")]
            assert ids == names_in(entries)


@runs
async def test_another_configuration_lists_and_routes_anew_and_leaves_streams_alone() -> None:
    held = asyncio.get_running_loop().create_future()

    async def wait(_: Message, peer: Peer) -> None:
        await held
        await peer.send(answer(b"late"))

    async with RawServer("one", wait) as one, RawServer("two") as two, in_front_of(one) as proxy:
        pending = asyncio.ensure_future(proxy.ask(post("/api/chat", BODY)))
        while not one.hits:
            await proxy.ask(get("/"))
        proxy.app.apply(a_config([two], {"qwen": [two]}))
        assert (await proxy.ask(post("/api/chat", BODY))).status == 404
        two.handler = says(answer(b"two"))
        assert (await proxy.ask(post("/api/chat", b'{"model":"qwen"}'))).body == b"two"
        held.set_result(None)
        assert (await pending).body == b"late"
