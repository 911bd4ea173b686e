"""`/events`: the whole state, then what changes, for at most so many who read."""

import asyncio
import json
from typing import Any

import pytest

from gollamas.admin import events
from gollamas.admin.events import MOST_WATCHERS
from gollamas.app import App
from tests.sockets.jobs import NEW, held, servers
from tests.sockets.proxying import ROUTED, a_config, in_front_of, runs
from tests.sockets.proxying import running as run_proxy
from tests.sockets.raw import RawServer, get, hangs, post
from tests.sockets.test_state import ADMIN, BODY, Begins, state_of
from tests.sockets.watching import ask_admin, watched, watching
from tests.told import Told

QUICK = 0.02  # seconds between two looks


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for changes more often than once a second."""
    monkeypatch.setattr(events, "EVERY_S", QUICK)


def lasting(state: Told) -> Told:
    """What of a state does not change by itself: no time, no age, no sample."""
    found: Told = json.loads(json.dumps(state))
    for name in ("time", "traffic", "history"):
        del found[name]
    for lists in (found["requests"], found["jobs"], found["owed"]):
        for one in lists:
            del one["age_s"]
    for server in found["servers"]:
        for one in server["loading"]:
            del one["age_s"]
    return found


def task_of(app: App) -> object:
    return app._watching._task


async def until(holds: Any) -> None:
    """Wait until something holds."""
    while not holds():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.001)


@runs
async def test_the_whole_state_comes_first_and_is_that_of_the_page() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        await proxy.ask(post("/api/chat", BODY))
        async with watched(proxy) as watch:
            assert watch.head.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nContent-Type: text/event-stream\r\n" in watch.head
            assert b"\r\nCache-Control: no-store\r\n" in watch.head
            assert watch.kinds == ["state"]
            page = await state_of(proxy)
            assert list(page) == list(watch.state)
            assert lasting(page) == lasting(watch.state)
            assert "/api/chat" in [one["route"] for one in watch.state["ended"]]


@runs
async def test_a_browser_is_told_when_to_connect_anew() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        watch = await watching(proxy)
        assert await watch.block() == b"retry: 2000"


@runs
async def test_a_server_that_dies_and_returns_is_told_of() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, admin=ADMIN, probe_interval=0.05) as proxy,
        watched(proxy) as watch,
    ):
        await one.shut()
        state = await watch.until(lambda told: told["servers"][0]["health"] == "down")
        assert state["servers"][0]["why"]
        assert state["servers"][1]["health"] == "up"
        wrong = (await watch.until(lambda told: "server_down" in str(told["wrong"])))["wrong"][0]
        assert (wrong["kind"], wrong["server"], wrong["since"]) == (
            "server_down", "one", state["servers"][0]["since"],
        )  # fmt: skip
        await one.open()
        await watch.until(lambda told: told["servers"][0]["health"] == "up")
        await watch.until(lambda told: "server_down" not in str(told["wrong"]))
        assert set(watch.kinds[1:]) == {"change"}


@runs
async def test_a_request_is_told_of_while_it_runs_and_when_it_has_ended() -> None:
    stream = Begins()
    async with (
        RawServer(handler=stream) as server,
        in_front_of(server, admin=ADMIN) as proxy,
        watched(proxy) as watch,
    ):
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY, b"X-Request-Id: mine"))
        await stream.begun.get()
        state = await watch.until(lambda told: told["requests"] and told["requests"][0]["status"])
        assert (state["requests"][0]["id"], state["servers"][0]["in_flight"]) == ("mine", 1)
        stream.end()
        state = await watch.until(lambda told: told["ended"] and not told["requests"])
        (ended,) = state["ended"]
        assert (ended["event"], ended["request_id"], ended["model"]) == ("request", "mine", ROUTED)
        assert (ended["server"], ended["status"], ended["end"], ended["level"]) == (
            "one",
            200,
            "done",
            "info",
        )
        assert "a secret" not in json.dumps(watch.state)
        state = await watch.until(lambda told: not told["servers"][0]["in_flight"])
        assert lasting(state) == lasting(await state_of(proxy))


@runs
async def test_only_requests_that_are_new_are_told_of_with_a_change() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        await proxy.ask(post("/api/chat", BODY, b"X-Request-Id: before"))
        async with watched(proxy) as watch:
            await proxy.ask(post("/api/chat", BODY, b"X-Request-Id: after"))
            told: Told = {}
            while "ended" not in told:
                told = await watch.next()
            assert [one["request_id"] for one in told["ended"]] == ["after"]
            assert [one["request_id"] for one in watch.state["ended"]] == ["before", "after"]
            assert "history" not in told


@runs
async def test_of_a_server_only_the_members_that_changed_are_told() -> None:
    stream = Begins()
    async with (
        RawServer("one", stream) as one,
        RawServer("two") as two,
        in_front_of(one, two, models={ROUTED: [one]}, admin=ADMIN) as proxy,
        watched(proxy) as watch,
    ):
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        told: Told = {}
        while "in_flight" not in str(told.get("servers")):
            told = await watch.next()
        (server,) = told["servers"]
        assert (server["id"], server["in_flight"]) == ("one", 1)
        assert "installed" not in server
        assert "models" not in server
        assert told.keys() <= {"time", "servers", "requests", "ended", "traffic"}


@runs
async def test_a_load_is_told_of_until_it_has_ended() -> None:
    tags = b'{"models":[{"name":"llama3.2:latest","digest":"c"}]}'
    loader = Begins(b"")
    async with (
        RawServer(tags=tags, loader=loader) as server,
        in_front_of(server, admin=ADMIN) as proxy,
        watched(proxy) as watch,
    ):
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY, b"X-Request-Id: mine"))
        state = await watch.until(lambda told: told["servers"][0]["loading"])
        (loading,) = state["servers"][0]["loading"]
        assert (loading["model"], loading["why"], loading["waiting"]) == ("llama3.2:latest", "cold", ["mine"])
        loader.end()
        await watch.until(lambda told: told["ended"] and not told["servers"][0]["loading"])


@runs
async def test_a_pull_is_told_of_while_it_goes_on() -> None:
    async with servers("a", "b", admin=ADMIN) as both, watched(both.proxy) as watch:
        client = await held(both, on=("a",))
        state = await watch.until(lambda told: told["jobs"])
        (job,) = state["jobs"]
        assert (job["kind"], job["model"], [one["server"] for one in job["targets"]]) == (
            "pull", NEW, ["a", "b"],
        )  # fmt: skip
        client.reset()
        await watch.until(lambda told: not told["jobs"])


@runs
async def test_a_comment_says_that_we_are_there_where_nothing_changes() -> None:
    now = [1000.0]
    async with RawServer() as server:
        config = a_config([server], admin=ADMIN, probe_interval=10**6)
        async with run_proxy(config, clock=lambda: now[0]) as proxy:
            await proxy.events.up(server)
            await until(lambda: proxy.app.view.servers["one"].has_shown)
            async with watched(proxy) as watch:
                now[0] += 14.9
                await asyncio.sleep(3 * QUICK)
                assert watch.client.reader._buffer == b""  # type: ignore[attr-defined]
                now[0] += 0.1
                assert await watch.block() == b":"


@runs
async def test_ages_alone_are_no_change() -> None:
    now = [1000.0]
    async with RawServer(handler=hangs) as server:
        config = a_config([server], admin=ADMIN, probe_interval=10**6, first_byte_timeout=10**6)
        async with run_proxy(config, clock=lambda: now[0]) as proxy:
            await proxy.events.up(server)
            client = await proxy.connect()
            await client.send(post("/api/chat", BODY))
            await until(lambda: server.hits)
            async with watched(proxy) as watch:
                await watch.until(lambda told: told["servers"][0]["in_flight"])
                age = watch.state["requests"][0]["age_s"]
                now[0] += 16
                assert await watch.block() == b":"
                async with watched(proxy) as later:
                    assert later.state["requests"][0]["age_s"] == age + 16


@runs
async def test_all_who_watch_are_told_the_same_and_it_is_looked_for_once() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        all_ = [await watching(proxy) for _ in range(5)]
        for watch in all_:
            await watch.next()
        before = proxy.app._watching._live.encodings
        await proxy.ask(post("/api/chat", BODY, b"X-Request-Id: mine"))
        states = [await watch.until(lambda told: told["ended"]) for watch in all_]
        assert all(state["ended"] == states[0]["ended"] for state in states)
        assert proxy.app._watching._live.encodings - before < 20


@runs
async def test_no_more_than_may_watch_do_and_the_rest_of_the_port_is_open_to_others() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        all_ = [await watching(proxy) for _ in range(MOST_WATCHERS)]
        refused = await (await ask_admin(proxy, get("/events"))).answer()
        assert (refused.status, refused.get(b"retry-after")) == (503, b"5")
        assert "as many watch" in json.loads(refused.body)["error"]
        for path in ("/metrics", "/state", "/healthz", "/readyz"):
            assert (await (await ask_admin(proxy, get(path))).answer()).status == 200
        all_[0].client.writer.transport.abort()
        await until(lambda: len(proxy.app._watching._watchers) < MOST_WATCHERS)
        async with watched(proxy) as watch:
            assert watch.state["servers"]


@runs
async def test_who_closes_the_connection_watches_no_more_and_nothing_is_looked_for() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        assert task_of(proxy.app) is None
        one, other = await watching(proxy), await watching(proxy)
        await one.next()
        await other.next()
        one.client.close()  # by a FIN
        await until(lambda: len(proxy.app._watching._watchers) == 1)
        assert task_of(proxy.app) is not None
        other.client.reset()
        await until(lambda: task_of(proxy.app) is None)
        live = proxy.app._watching._live
        assert (live._servers, live._values) == ({}, {})
        async with watched(proxy) as again:
            assert again.kinds == ["state"]


@runs
async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_BEHIND_BYTES", 64 * 1024)
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        watch = await watching(proxy)
        await watch.next()
        watch.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        watch.client.reader._transport = None  # type: ignore[attr-defined] # it would read on by itself
        proxy.app._watching._live.change = _large  # type: ignore[method-assign]
        await until(lambda: not proxy.app._watching._watchers)
        await until(lambda: task_of(proxy.app) is None)
        assert proxy.app._admin is not None
        await until(lambda: not proxy.app._admin.clients.live)


def _large() -> bytes:
    return b":" * 60_000 + b"\n\n"


@runs
async def test_who_takes_nothing_for_half_a_minute_is_let_go() -> None:
    now = [1000.0]
    async with (
        RawServer() as server,
        run_proxy(a_config([server], admin=ADMIN), clock=lambda: now[0]) as proxy,
    ):
        await proxy.events.up(server)
        watcher = proxy.app._watching.watch()
        assert watcher is not None
        assert await anext(watcher) == b"retry: 2000\n\n"  # this task reads for it, and takes no more
        await until(lambda: watcher._whole)
        now[0] += 29
        await asyncio.sleep(3 * QUICK)
        assert watcher in proxy.app._watching._watchers
        now[0] += 2
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(10)
        assert watcher not in proxy.app._watching._watchers


@runs
async def test_streams_end_when_the_proxy_begins_to_shut_down_and_say_so() -> None:
    stream = Begins()
    async with RawServer(handler=stream) as server, in_front_of(server, admin=ADMIN) as proxy:
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await stream.begun.get()
        async with watched(proxy) as watch:
            proxy.app.drain()
            state = await watch.until(lambda told: told["not_ready"])
            assert state["not_ready"] == "gollamas is shutting down"
            assert await watch.ends()
        async with watched(proxy) as again:  # a browser connects anew
            assert again.state["not_ready"]
            assert [one["status"] for one in again.state["requests"]] == [200]
            stream.end()
            await again.until(lambda told: not told["requests"])


@runs
async def test_the_stop_ends_streams_at_once() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        watch = await watching(proxy)
        await watch.next()
        await proxy.app.stop(grace=0)
        assert await watch.ends()


@runs
async def test_another_configuration_is_told_whole() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, admin=ADMIN) as proxy,
        watched(proxy) as watch,
    ):
        proxy.app.apply(a_config([two], {"qwen3:4b": [two]}, admin=ADMIN))
        state = await watch.until(lambda told: len(told["servers"]) == 1)
        assert watch.kinds[-1] == "state"
        assert [one["name"] for one in state["models"]] == ["qwen3:4b"]


@runs
async def test_head_is_answered_by_the_head_alone_and_nobody_watches_by_it() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        client = await ask_admin(proxy, get("/events", method=b"HEAD"))
        got = await client.answer(to_head=True)
        assert (got.status, got.get(b"content-type")) == (200, b"text/event-stream")
        assert (proxy.app._watching._watchers, task_of(proxy.app)) == ({}, None)
        assert (await client.ask(get("/healthz"))).body == b"ok\n"


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS"])
@runs
async def test_events_are_only_read(method: bytes) -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        got = await (await ask_admin(proxy, get("/events", method=method))).answer()
        assert (got.status, got.get(b"allow")) == (405, b"GET, HEAD")
        assert (await proxy.ask(get("/events"))).status == 404


@runs
async def test_no_web_page_watches_by_a_name_of_its_own() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        data = get("/events").replace(b"Host: ", b"Host: evil.example\r\nX-Was: ")
        got = await (await ask_admin(proxy, data)).answer()
        assert got.status == 403
        assert not proxy.app._watching._watchers


@runs
async def test_a_watcher_who_reads_is_not_cut_by_the_time_outs_of_the_port() -> None:
    now = [1000.0]
    async with RawServer() as server:
        config = a_config([server], admin=ADMIN, write_timeout=5.0, client_idle_timeout=5.0, idle_timeout=5.0)
        async with run_proxy(config, clock=lambda: now[0]) as proxy:
            await proxy.events.up(server)
            async with watched(proxy) as watch:
                for _ in range(4):
                    now[0] += 16
                    assert proxy.app._admin is not None
                    proxy.app._admin.clients.check(now[0])
                    while await watch.block() != b":":
                        pass
