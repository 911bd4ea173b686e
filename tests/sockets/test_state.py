"""What `/state` says of real servers and requests, and that docs/state.md describes every key of it."""

import asyncio
import json
import re
import time
from datetime import datetime
from typing import Any

import pytest

from gollamas.config.model import Address, Expose
from gollamas.observe.models import PolicyState
from gollamas.observe.state import FleetState, JobState, OwedState, SyncState, TargetState
from gollamas.observe.wrong import WrongState
from tests.meta.documents import text_of
from tests.sockets.proxying import ROUTED, Running, a_config, in_front_of, runs
from tests.sockets.proxying import running as run_proxy
from tests.sockets.raw import (
    Client,
    Message,
    Peer,
    RawServer,
    answer,
    chunk,
    chunked_head,
    get,
    hangs,
    post,
    says,
)
from tests.sockets.test_listings import listed
from tests.sockets.test_timeouts import black_hole

ADMIN = Address(host="127.0.0.1", port=0)
BODY = b'{"model":"llama3.2","messages":[{"role":"user","content":"a secret of mine"}]}'
FAR = "2318-03-11T08:15:00.5+01:00"
PS = json.dumps(
    {
        "models": [
            {"name": "llama3.2:latest", "context_length": 8192, "size": 3, "size_vram": 2, "expires_at": FAR},
            {"name": "llama3.2:latest", "context_length": 4096, "size": 3, "size_vram": 0, "expires_at": FAR},
        ]
    }
).encode()
BEGUN = chunked_head() + chunk(b'{"message":{"content":"an answer of mine"}}\n')


async def state_of(proxy: Running) -> dict[str, Any]:
    """Ask the second port."""
    assert proxy.app.admin_address is not None
    client = await Client.connect(proxy.app.admin_address.port)
    try:
        got = await client.ask(get("/state"))
    finally:
        client.close()
    assert got.status == 200
    assert got.get(b"content-type") == b"application/json; charset=utf-8"
    assert b"of mine" not in got.body
    found: dict[str, Any] = json.loads(got.body)
    return found


async def until_loaded(proxy: Running, *names: str) -> None:
    """Wait until all of these servers have said what they have loaded."""
    while not all(proxy.app.view.servers[name].loaded for name in names):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


def since_epoch(text: str) -> float:
    assert text.endswith("Z")
    return datetime.fromisoformat(text).timestamp()


class Begins:
    """A server's answer that begins and goes on until `end`; `begun` is told of each."""

    def __init__(self, first: bytes = BEGUN) -> None:
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self._first = first
        self._may_end = asyncio.Event()

    async def __call__(self, _: Message, peer: Peer) -> None:
        await peer.send(self._first)
        self.begun.put_nowait(None)
        await self._may_end.wait()
        await peer.send((b"" if self._first else chunked_head()) + chunk(b""))

    def end(self) -> None:
        self._may_end.set()


@runs
async def test_a_server_that_is_up_says_since_when_its_version_and_its_models() -> None:
    before = time.time()
    tags = listed(("llama3.2:latest", 1, "a"), ("other:7b", 2, "b"))
    async with (
        RawServer(tags=tags) as server,
        in_front_of(server, models={ROUTED: [server], "qwen:4b": [server]}, admin=ADMIN) as proxy,
    ):
        found = await state_of(proxy)
        (one,) = found["servers"]
        assert (one["id"], one["url"]) == ("one", f"http://127.0.0.1:{server.port}")
        assert (one["health"], one["why"], one["version"]) == ("up", None, "0.32.15")
        assert (one["models"], one["missing"]) == (["llama3.2:latest", "other:7b"], ["qwen:4b"])
        assert (one["loaded"], one["in_flight"], found["requests"]) == ([], 0, [])
        started, since, now = (
            since_epoch(text) for text in (found["started_at"], one["since"], found["time"])
        )
        assert before - 0.1 <= started <= since + 0.1 <= now + 0.2 <= time.time() + 0.3
        assert found["not_ready"] is None


@runs
async def test_each_loaded_instance_is_told_of_with_its_context_and_expiry() -> None:
    async with RawServer(ps=PS) as server, in_front_of(server, admin=ADMIN) as proxy:
        await until_loaded(proxy, "one")
        first, second = (await state_of(proxy))["servers"][0]["loaded"]
        assert first == {
            "model": "llama3.2:latest",
            "context_length": 8192,
            "runner_options": None,
            "size": 3,
            "size_vram": 2,
            "cpu_share": 0.333,
            "expires_at": "2318-03-11T07:15:00.500Z",
        }
        assert (second["context_length"], second["size_vram"]) == (4096, 0)


@runs
async def test_a_server_that_went_down_says_why_and_since_when() -> None:
    async with (
        RawServer("one", ps=PS) as one,
        RawServer("two") as two,
        in_front_of(one, two, admin=ADMIN, probe_interval=0.05) as proxy,
    ):
        await until_loaded(proxy, "one")
        was_up_since = since_epoch((await state_of(proxy))["servers"][0]["since"])
        await one.shut()
        told = await proxy.events.down(one)
        found = await state_of(proxy)
        down, up = found["servers"]
        assert (down["health"], down["why"]) == ("down", told.why)
        assert down["why"]
        assert was_up_since <= since_epoch(down["since"]) <= since_epoch(found["time"]) + 0.1
        assert (down["version"], down["loaded"]) == ("0.32.15", [])
        assert (up["health"], up["why"], found["not_ready"]) == ("up", None, None)


@runs
async def test_a_server_that_was_never_reached_says_so() -> None:
    async with RawServer(version=None) as silent, run_proxy(a_config([silent], admin=ADMIN)) as proxy:
        found = await state_of(proxy)
        (server,) = found["servers"]
        assert (server["health"], server["since"], server["models"]) == ("unknown", None, None)
        assert found["not_ready"] == "no Ollama server is up"


@runs
async def test_a_request_in_flight_is_told_of_until_its_answer_is_out() -> None:
    stream = Begins()
    async with (
        RawServer(handler=stream) as server,
        in_front_of(server, aliases={"gpt-4o": ROUTED}, admin=ADMIN) as proxy,
    ):
        client = await proxy.connect()
        asked = post("/api/chat", BODY.replace(b"llama3.2", b"gpt-4o"), b"X-Request-Id: mine-1")
        await client.send(asked)
        await stream.begun.get()
        await client.reader.readuntil(b"content")  # so its head was passed on
        found = await state_of(proxy)
        (one,) = found["requests"]
        assert 0 <= one.pop("age_s") < 10
        assert one == {
            "id": "mine-1",
            "client": "127.0.0.1",
            "method": "POST",
            "route": "/api/chat",
            "model": "gpt-4o",
            "model_used": ROUTED,
            "server": "one",
            "status": 200,
        }
        assert found["servers"][0]["in_flight"] == 1
        stream.end()
        await proxy.events.ended()
        found = await state_of(proxy)
        assert (found["requests"], found["servers"][0]["in_flight"]) == ([], 0)


@runs
async def test_a_request_that_waits_for_its_answer_has_no_status_yet() -> None:
    stream = Begins(b"")
    async with RawServer(handler=stream) as server, in_front_of(server, admin=ADMIN) as proxy:
        client = await proxy.connect()
        await client.send(post("/v1/chat/completions", BODY))
        await stream.begun.get()
        (one,) = (await state_of(proxy))["requests"]
        assert (one["route"], one["server"], one["status"]) == ("/v1/chat/completions", "one", None)


async def until_told(proxy: Running, **wanted: object) -> dict[str, Any]:
    """Wait until the one request that is told of is so, and give it."""
    while True:
        found = (await state_of(proxy))["requests"]
        if len(found) == 1 and wanted.items() <= found[0].items():
            one: dict[str, Any] = found[0]
            return one


@runs
async def test_a_request_that_waits_for_a_connection_says_to_which_server_and_how_long() -> None:
    now = [1000.0]
    with black_hole() as port:
        config = a_config(
            [RawServer("silent", port=port)],
            aliases={"gpt-4o": ROUTED},
            admin=ADMIN,
            connect_timeout=10**6,
        )
        async with run_proxy(config, clock=lambda: now[0]) as proxy:
            client = await proxy.connect()
            await client.send(post("/api/chat", BODY.replace(b"llama3.2", b"gpt-4o"), b"X-Request-Id: mine"))
            await until_told(proxy, server="silent")
            now[0] += 40
            found = await state_of(proxy)
            assert found["requests"] == [
                {
                    "id": "mine",
                    "age_s": 40.0,
                    "client": "127.0.0.1",
                    "method": "POST",
                    "route": "/api/chat",
                    "model": "gpt-4o",
                    "model_used": None,
                    "server": "silent",
                    "status": None,
                }
            ]
            assert found["servers"][0]["in_flight"] == 1
            client.reset()
            await proxy.events.ended()
            found = await state_of(proxy)
            assert (found["requests"], found["servers"][0]["in_flight"]) == ([], 0)


@runs
async def test_a_request_that_moved_on_is_told_of_with_the_server_that_is_dialled_now() -> None:
    busy = says(answer(b"{}", status=b"503 Service Unavailable"))
    with black_hole() as port:
        async with RawServer("one", busy) as one:
            silent = RawServer("silent", port=port)
            async with run_proxy(a_config([one, silent], admin=ADMIN)) as proxy:
                await proxy.events.up(one)
                client = await proxy.connect()
                await client.send(post("/api/chat", BODY))
                told = await until_told(proxy, server="silent")
                assert (told["model_used"], told["status"], one.hits) == (ROUTED, None, 1)


@runs
async def test_a_request_for_a_name_that_servers_are_asked_for_is_with_no_server_yet() -> None:
    async with (
        RawServer() as server,
        in_front_of(server, models={}, expose=Expose.INSTALLED, admin=ADMIN) as proxy,
    ):
        server.version = None  # it hangs from now on
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        told = await until_told(proxy, route="/api/chat")
        assert (told["model"], told["model_used"], told["server"]) == (ROUTED, None, None)
        client.reset()
        await proxy.events.ended()
        assert (await state_of(proxy))["requests"] == []


@runs
async def test_requests_are_told_of_from_the_oldest_to_the_newest() -> None:
    now = [1000.0]
    async with RawServer(handler=hangs) as server:
        config = a_config([server], admin=ADMIN, first_byte_timeout=10**6)
        async with run_proxy(config, clock=lambda: now[0]) as proxy:
            await proxy.events.up(server)
            clients = [await proxy.connect() for _ in range(3)]
            for number in (2, 0, 1):
                await clients[number].send(post("/api/chat", BODY, b"X-Request-Id: %d" % number))
                while server.hits <= (2, 0, 1).index(number):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0)
                now[0] += 10
            found = [(one["id"], one["age_s"]) for one in (await state_of(proxy))["requests"]]
            assert found == [("2", 30.0), ("0", 20.0), ("1", 10.0)]


@runs
async def test_an_upload_is_no_request_until_it_is_whole_and_a_large_one_has_its_own_age() -> None:
    stream = Begins(b"")
    large = b'{"model":"llama3.2","prompt":"%b"}' % (b"x" * 1_000_000)
    async with RawServer(handler=stream) as server, in_front_of(server, admin=ADMIN) as proxy:
        client = await proxy.connect()
        data = post("/api/generate", large)
        await client.send(data[:-1])
        assert (await state_of(proxy))["requests"] == []
        await client.send(data[-1:])
        await stream.begun.get()
        (one,) = (await state_of(proxy))["requests"]
        assert (one["route"], one["model"]) == ("/api/generate", ROUTED)
        assert 0 <= one["age_s"] < 10


@runs
async def test_a_client_that_leaves_takes_its_request_along() -> None:
    stream = Begins()
    async with RawServer(handler=stream) as server, in_front_of(server, admin=ADMIN) as proxy:
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        await stream.begun.get()
        client.reset()
        await proxy.events.ended()
        assert (await state_of(proxy))["requests"] == []


@runs
async def test_one_connection_has_one_request_at_a_time_and_none_between_two() -> None:
    async with (
        RawServer(handler=says(answer())) as server,
        in_front_of(server, admin=ADMIN) as proxy,
    ):
        client = await proxy.connect()
        assert (await client.ask(post("/api/chat", BODY))).status == 200
        await proxy.events.ended()
        assert (await state_of(proxy))["requests"] == []
        stream = server.handler = Begins()
        await client.send(post("/api/chat", BODY, b"X-Request-Id: first") + post("/api/chat", BODY))
        await stream.begun.get()
        assert [one["id"] for one in (await state_of(proxy))["requests"]] == ["first"]


@pytest.mark.parametrize("method", [b"POST", b"DELETE"])
@runs
async def test_state_is_only_read(method: bytes) -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        assert proxy.app.admin_address is not None
        client = await Client.connect(proxy.app.admin_address.port)
        assert (await client.ask(get("/state", method=method))).status == 405
        client.close()
        assert (await proxy.ask(get("/state"))).status == 404


def keys_of(value: object, name: str = "") -> set[str]:
    """Name every key of a JSON value, those of lists as `list[].key`."""
    if isinstance(value, list):
        return set().union(*(keys_of(inner, f"{name}[]") for inner in value))
    if not isinstance(value, dict):
        return set()
    prefix = f"{name}." if name else ""
    return {f"{prefix}{key}" for key in value}.union(
        *(keys_of(inner, f"{prefix}{key}") for key, inner in value.items())
    )


@runs
async def test_the_page_about_state_has_every_key_that_a_running_proxy_answers() -> None:
    stream = Begins()
    tags = b'{"models":[{"name":"cold:latest","digest":"c"}]}'
    async with (
        RawServer(handler=stream, tags=tags, ps=PS, loader=hangs) as server,
        in_front_of(server, models={ROUTED: [server], "cold": [server]}, admin=ADMIN) as proxy,
    ):
        await until_loaded(proxy, "one")
        for body in (BODY, b'{"model":"cold"}'):
            client = await proxy.connect()
            await client.send(post("/api/chat", body))
        await stream.begun.get()
        while not (found := await state_of(proxy))["servers"][0]["loading"]:
            pass
        described = re.findall(r"^\| `([^`]+)` \|", text_of("docs/state.md"), re.MULTILINE)
        assert len(described) == len(set(described))
        more = {
            f"{place}.{key}"
            for place, shape in (
                ("jobs[]", JobState),
                ("jobs[].targets[]", TargetState),
                ("owed[]", OwedState),
                ("sync[]", SyncState),
                ("wrong[]", WrongState),
                ("models[].policies.SERVER", PolicyState),
            )
            for key in shape.__struct_fields__
        }
        assert set(described) == keys_of(found) | more
        assert (found["jobs"], found["owed"], found["sync"]) == ([], [], [])
        assert list(found) == list(FleetState.__struct_fields__)


@runs
async def test_two_models_that_leave_for_each_other_again_and_again_are_told_of() -> None:
    """The server has room for one; its list shows the last that was loaded."""

    async def loads(request: Message, peer: Peer) -> None:
        name = json.loads(request.body)["model"]
        server.ps = json.dumps({"models": [{"name": name, "digest": name[0], "expires_at": FAR}]}).encode()
        await peer.send(answer())

    tags = b'{"models":[{"name":"m:latest","digest":"m"},{"name":"n:latest","digest":"n"}]}'
    async with (
        RawServer(loader=loads, tags=tags) as server,
        in_front_of(server, models={"m": [server], "n": [server]}, admin=ADMIN) as proxy,
    ):
        view = proxy.app.view.servers["one"]
        for name in "mnmnm":
            assert (await state_of(proxy))["wrong"] == []
            await proxy.ask(post("/api/chat", b'{"model":"%b"}' % name.encode()))
            while [entry.name for entry in view.loaded] != [f"{name}:latest"]:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
        (wrong,) = (await state_of(proxy))["wrong"]
        assert (wrong["kind"], wrong["server"], wrong["model"]) == ("crowded", "one", "m")
        assert wrong["text"] == "m and n pushed each other out of the memory of one 4 times in the last hour"
