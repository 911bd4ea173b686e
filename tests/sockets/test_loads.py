"""Loads belong to the proxy: one for all who want it, ended by nobody's leaving, in the order of fewest."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gollamas.background.duty import Duty
from gollamas.background.loads import Loads
from gollamas.background.prober import Tasks
from gollamas.config.model import Address, Server
from gollamas.errors import ServerRefused
from gollamas.events import (
    AttemptFailed,
    Cause,
    Crashed,
    End,
    Event,
    LoadCause,
    LoadEnd,
    LoadEnded,
    RequestEnded,
)
from gollamas.fleet.admit import Lease
from gollamas.fleet.judging import ProbeReply
from gollamas.fleet.loading import Waiter
from gollamas.fleet.reloads import Reloads
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.names import key_of
from tests.sockets.proxying import Running, a_config, in_front_of, opened, running, runs
from tests.sockets.raw import EMPTY_LIST, Client, Message, Peer, RawServer, answer, get, hangs, post, says

MODEL = "llama3.2"
EMBEDDER = "all-minilm"
AT_ONCE = 0.05  # seconds
DIALECTS: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": "hi", "stream": False},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"input": "hi"},
}


def listed(*names: str, **members: object) -> bytes:
    """Make a list of models; each name has contents of its own, those of `cp` ones are one."""
    models = [
        {"name": name, "model": name, "size": 9, "digest": f"{sum(name.encode()):064x}", **members}
        for name in names
    ]
    return json.dumps({"models": models}).encode()


LISTED = listed("llama3.2:latest", "all-minilm:latest")


@asynccontextmanager
async def has_listed(ps: bytes = EMPTY_LIST, **options: Any) -> AsyncIterator[tuple[RawServer, Running]]:
    """Run a server that has the models, and a proxy in front of it."""
    async with RawServer(tags=LISTED, ps=ps) as server, in_front_of(server, **options) as proxy:
        yield server, proxy


def asks(path: str = "/api/generate", model: str = MODEL, **members: object) -> bytes:
    """Make a request for a model."""
    return post(path, json.dumps({"model": model, **DIALECTS.get(path, {}), **members}).encode())


def with_ctx(num_ctx: int) -> bytes:
    """Make a request with a context."""
    return asks(options={"num_ctx": num_ctx})


class Loader:
    """Loads when it is told to: each load waits for `go`, and everything that comes is noted in order."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.order: list[str] = []
        self.paths: list[bytes] = []
        self._go: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, request: Message, peer: Peer) -> None:
        body = json.loads(request.body)
        self.order.append(f"load {body.get('options', {}).get('num_ctx')}")
        self.paths.append(request.path)
        self.came.put_nowait(body)
        left = asyncio.ensure_future(peer.gone())
        said = asyncio.ensure_future(self._go.get())
        await asyncio.wait((left, said), return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        await asyncio.wait((left,))
        if said.done():
            await peer.send(said.result())
        said.cancel()

    def serve(self, request: Message) -> None:
        """Note a request of a client."""
        body = json.loads(request.body)
        self.order.append(f"request {body.get('options', {}).get('num_ctx')}")

    def go(self, raw: bytes = answer(), times: int = 1) -> None:
        """Have loads end with this answer."""
        for _ in range(times):
            self._go.put_nowait(raw)


def noting(loader: Loader) -> Callable[[Message, Peer], Any]:
    """Make a handler that notes each request and answers it."""

    async def handler(request: Message, peer: Peer) -> None:
        loader.serve(request)
        await peer.send(answer())

    return handler


def loads_with(duty: Duty) -> Loads:
    """Make loads that nobody looks at anew."""
    return Loads(duty, reloads=Reloads(duty.emit), changed=lambda _: None, timeout=lambda: 5.0)


def loads_of(proxy: Running) -> list[LoadEnded]:
    """Give what was told of loads."""
    return proxy.events.of(LoadEnded)


async def sent(proxy: Running, *requests: bytes) -> list[Client]:
    """Send requests, each on a connection of its own, until the proxy has all of them."""
    clients = []
    for raw in requests:
        client = await proxy.connect()
        await client.send(raw)
        clients.append(client)
    await until(lambda: in_flight(proxy) >= len(requests))
    return clients


def in_flight(proxy: Running) -> int:
    """Count the leases."""
    return sum(server.in_flight for server in proxy.app.view.servers.values())


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that no event tells."""
    while not holds():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


@runs
async def test_forty_requests_of_all_dialects_at_once_make_one_load() -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader = loader
        clients = await sent(proxy, *[asks(path) for path in list(DIALECTS) * 7][:40])
        assert await loader.came.get() == {"model": "llama3.2:latest", "stream": False}
        assert (server.hits, server.shows) == (0, 1)
        server.ps = listed("llama3.2:latest")
        loader.go()
        assert {(await client.answer()).status for client in clients} == {200}
        assert (len(server.loads), server.hits, server.shows) == (1, 40, 1)
        (load,) = loads_of(proxy)
        assert (load.server, load.model, load.options, load.waited) == ("one", "llama3.2:latest", "-", 40)
        assert (load.why, load.end, load.error) == (LoadCause.COLD, LoadEnd.LOADED, None)
        ended = proxy.events.of(RequestEnded)
        assert all(event.load_s is not None and event.wait_s is not None for event in ended)
        assert (await proxy.ask(asks())).status == 200
        assert len(server.loads) == 1
        assert (await proxy.events.ended(41)).load_s is None


@pytest.mark.parametrize("leaves", ["close", "reset", "half_close"])
@runs
async def test_a_client_that_leaves_takes_the_load_from_nobody(leaves: str) -> None:
    """It gives its lease back within 50 ms, and its request is never sent."""
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader = loader
        first, second = await sent(proxy, asks(), asks())
        await loader.came.get()
        getattr(first, leaves)()
        async with asyncio.timeout(AT_ONCE):
            event = await proxy.events.ended()
        assert (event.end, event.server, in_flight(proxy)) == (End.CLIENT_LEFT, "one", 1)
        assert event.load_s is not None  # it waited for nothing else
        assert 0 < event.load_s <= event.total_s
        loader.go()
        assert (await second.answer()).status == 200
        assert (len(server.loads), server.hits) == (1, 1)


@runs
async def test_a_load_goes_on_when_nobody_is_left() -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader = loader
        (client,) = await sent(proxy, asks())
        await loader.came.get()
        client.close()
        await proxy.events.ended()
        loader.go()
        await proxy.events.until(lambda: bool(loads_of(proxy)))
        assert loads_of(proxy)[0].end is LoadEnd.LOADED
        server.ps = listed("llama3.2:latest")
        assert (await proxy.ask(asks())).status == 200
        assert len(server.loads) == 1


@runs
async def test_two_contexts_in_turns_from_eight_clients_make_two_loads() -> None:
    """Those who waited for one are sent before the next begins."""
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader, server.handler = loader, noting(loader)
        clients = await sent(proxy, *(with_ctx(2048 if number % 2 else 1024) for number in range(8)))
        assert (await loader.came.get())["options"] == {"num_ctx": 1024}
        loader.go(times=2)
        assert {(await client.answer()).status for client in clients} == {200}
        assert loader.order == ["load 1024", *["request 1024"] * 4, "load 2048", *["request 2048"] * 4]
        assert [load.why for load in loads_of(proxy)] == [LoadCause.COLD, LoadCause.OPTIONS]


@runs
async def test_one_who_waited_and_left_does_not_hold_up_the_next_load() -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader, server.handler = loader, noting(loader)
        first, second = await sent(proxy, with_ctx(1), with_ctx(2))
        await loader.came.get()
        first.close()
        await proxy.events.ended()
        loader.go(times=2)
        assert (await second.answer()).status == 200
        assert loader.order == ["load 1", "load 2", "request 2"]


@runs
async def test_a_load_that_waits_in_line_and_that_nobody_wants_any_more_never_goes_out() -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader, server.handler = loader, noting(loader)
        first, second = await sent(proxy, with_ctx(1), with_ctx(2))
        await loader.came.get()
        second.close()
        await proxy.events.ended()
        loader.go()
        assert (await first.answer()).status == 200
        await until(lambda: not proxy.app._duties.loads.under_way())
        assert loader.order == ["load 1", "request 1"]


class Hooked:
    """Runs tasks, and calls `hook` when one has ended, before anybody else hears of it."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.hook: Callable[[], None] = lambda: None

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run a coroutine."""
        task = self._tasks.create_task(coro, name=name)
        task.add_done_callback(lambda _: self.hook())
        return task


@runs
async def test_who_comes_when_a_load_in_line_has_just_been_given_up_gets_one_anew() -> None:
    async with has_listed() as (server, proxy):
        app, events, late = proxy.app, proxy.events, list[Waiter]()
        tasks = Hooked(app._tasks)
        loads = loads_with(Duty(app.view, app._ask, tasks, events.append))
        one = app.view.servers["one"]
        lease = Lease(one, "", next(iter(one.installed)))

        def want(num_ctx: int) -> Waiter:
            options = RunnerOptions((num_ctx, *PLAIN.values[1:]))
            return loads.load(lease, options, LoadCause.COLD, "", False)

        first, second = want(1), want(2)
        loads.release(second)
        await until(lambda: first.has_ended)
        tasks.hook = lambda: late.append(want(2)) if not late else None
        loads.release(first)
        await until(lambda: bool(late) and late[0].has_ended)
        assert late[0].error is None
        assert len(server.loads) == 2
        loads.release(late[0])


@pytest.mark.parametrize(
    ("error", "status"), [(ServerRefused("connection refused"), 502), (ValueError("a defect"), 500)]
)
@runs
async def test_where_nobody_can_ask_what_a_model_is_no_load_follows(error: Exception, status: int) -> None:
    """It would wait for the connection once more."""
    asked = []

    async def ask(
        server: Server,  # noqa: ARG001 - the shape of net/ask
        method: str,  # noqa: ARG001 - the same
        path: str,
        body: bytes | None = None,  # noqa: ARG001 - the same
        timeout: float = 5.0,  # noqa: ARG001, ASYNC109 - the same
    ) -> ProbeReply:
        asked.append(path)
        raise error

    async with has_listed() as (_, proxy):
        one, events = proxy.app.view.servers["one"], list[Event]()
        loads = loads_with(Duty(proxy.app.view, ask, proxy.app._tasks, events.append))
        lease = Lease(one, "", next(iter(one.installed)))
        waiter = loads.load(lease, PLAIN, LoadCause.COLD, "", False)
        await until(lambda: waiter.has_ended)
        assert (asked, waiter.error and waiter.error.status) == (["/api/show"], status)
        assert [event.end for event in events if isinstance(event, LoadEnded)] == [LoadEnd.FAILED]
        assert any(isinstance(event, Crashed) for event in events) is (status == 500)
        assert not one.instances


@runs
async def test_loads_of_unlike_models_go_out_at_once() -> None:
    loader = Loader()
    async with RawServer(tags=LISTED, loader=loader) as server:
        models = {MODEL: [server], EMBEDDER: [server]}
        async with in_front_of(server, models=models) as proxy:
            clients = await sent(proxy, asks(), asks("/api/embed", EMBEDDER, input="hi"))
            names = {(await loader.came.get())["model"] for _ in range(2)}
            assert names == {"llama3.2:latest", "all-minilm:latest"}
            loader.go(times=2)
            assert {(await client.answer()).status for client in clients} == {200}


@runs
async def test_two_requests_for_a_cold_model_load_it_on_one_server() -> None:
    loader = Loader()
    servers = [RawServer(name, tags=LISTED, loader=loader) for name in ("one", "two")]
    async with opened(*servers), in_front_of(*servers) as proxy:
        clients = await sent(proxy, asks(), asks())
        await loader.came.get()
        servers[0].ps = listed("llama3.2:latest")
        loader.go()
        got = [await client.answer() for client in clients]
        assert [one.get(b"x-gollamas-server") for one in got] == [b"one", b"one"]
        assert [len(server.loads) for server in servers] == [1, 0]
        third = await sent(proxy, asks())
        await third[0].answer()
        assert [len(server.loads) for server in servers] == [1, 0]


@runs
async def test_the_load_has_the_runner_options_of_the_request_and_nothing_else_of_it() -> None:
    async with has_listed() as (server, proxy):
        options = {"num_ctx": 2048.5, "use_mmap": True, "temperature": 1, "num_gpu": None}
        await proxy.ask(asks(options=options, shift=False, keep_alive="1h"))
        assert json.loads(server.loads[0].body) == {
            "model": "llama3.2:latest",
            "options": {"num_ctx": 2048, "use_mmap": True},
            "shift": False,
            "stream": False,
        }
        assert json.loads(server.requests[0].body)["keep_alive"] == "1h"
        assert loads_of(proxy)[0].options == "num_ctx=2048,use_mmap=true,shift=false"


@runs
async def test_a_value_that_ollama_refuses_goes_to_ollama_as_it_is() -> None:
    async with has_listed() as (server, proxy):
        refused: list[Any] = [{"num_ctx": "large"}, [], {"use_mmap": 1}]
        for options in refused:
            await proxy.ask(asks(options=options))
        assert (server.loads, server.hits) == ([], 3)


@pytest.mark.parametrize(
    ("shown", "path"),
    [
        ({"capabilities": ["embedding"]}, b"/api/embed"),
        ({"capabilities": ["completion"]}, b"/api/generate"),
        (None, b"/api/embed"),  # the route of the request decides
    ],
)
@runs
async def test_a_model_that_only_embeds_is_loaded_by_embed(shown: dict[str, Any] | None, path: bytes) -> None:
    async with has_listed() as (server, proxy):
        if shown is not None:
            server.shown = answer(json.dumps(shown).encode())
        assert (await proxy.ask(asks("/api/embed", input="hi"))).status == 200
        assert [load.path for load in server.loads] == [path]
        assert json.loads(server.loads[0].body)["model"] == "llama3.2:latest"


@runs
async def test_a_400_to_generate_is_followed_by_embed() -> None:
    async def loader(request: Message, peer: Peer) -> None:
        is_bad = request.path == b"/api/generate"
        await peer.send(answer(b'{"error":"no"}', status=b"400 Bad Request") if is_bad else answer())

    async with has_listed() as (server, proxy):
        server.loader = loader
        assert (await proxy.ask(asks())).status == 200
        assert [load.path for load in server.loads] == [b"/api/generate", b"/api/embed"]
        assert loads_of(proxy)[0].end is LoadEnd.LOADED


@runs
async def test_what_loads_nothing_is_sent_at_once() -> None:
    remote = listed("far:latest", remote_host="https://ollama.com:443")
    tags = json.dumps({"models": json.loads(LISTED)["models"] + json.loads(remote)["models"]}).encode()
    async with RawServer(tags=tags) as server:
        models = {name: [server] for name in (MODEL, "far", "gone", "m:cloud")}
        async with in_front_of(server, models=models) as proxy:
            for raw in (
                asks("/api/show"),
                asks(prompt="", keep_alive=0),
                asks(model="far"),
                asks(model="gone"),
                asks(model="m:cloud"),
            ):
                assert (await proxy.ask(raw)).status == 200
            assert (server.loads, server.hits) == ([], 5)


@runs
async def test_a_listing_that_overtakes_a_load_says_nothing_about_it() -> None:
    """It was asked for before the load ended, and comes behind it."""
    loader = Loader()
    async with has_listed(probe_interval=3600.0) as (server, proxy):
        server.loader = loader
        (client,) = await sent(proxy, asks())
        await loader.came.get()
        asked = proxy.app.view.asking("one")
        server.ps = listed("llama3.2:latest")
        loader.go()
        assert (await client.answer()).status == 200
        proxy.app.view.ran("one", [], asked)
        assert (await proxy.ask(asks())).status == 200
        assert len(server.loads) == 1


@runs
async def test_what_a_list_lacks_that_was_asked_for_later_is_not_loaded() -> None:
    async with has_listed() as (server, proxy):
        assert (await proxy.ask(asks())).status == 200
        await until(lambda: not proxy.app.view.servers["one"].instances)  # its list is empty
        assert (await proxy.ask(asks())).status == 200
        assert len(server.loads) == 2


@runs
async def test_somebody_else_s_instance_is_taken_as_it_is_shown() -> None:
    """Plain requests and those with the context that is shown go at once; any other loads first."""
    ps = listed("llama3.2:latest", context_length=8192)
    async with has_listed(ps) as (server, proxy):
        await until(lambda: bool(proxy.app.view.servers["one"].instances))
        for raw in (asks(), asks("/v1/messages"), with_ctx(8192)):
            assert (await proxy.ask(raw)).status == 200
        assert server.loads == []
        assert (await proxy.ask(with_ctx(4096))).status == 200
        assert len(server.loads) == 1


ERROR = b'{"error":"model requires more system memory"}'


@pytest.mark.parametrize("path", DIALECTS)
@runs
async def test_all_who_waited_get_ollama_s_own_status_and_text(path: str) -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader = loader
        clients = await sent(proxy, asks(path), asks(path))
        await loader.came.get()
        loader.go(answer(ERROR, status=b"500 Internal Server Error"))
        for client in clients:
            got = await client.answer()
            assert got.status == 500
            assert b"model requires more system memory" in got.body
            assert (b'"type"' in got.body) is path.startswith("/v1")
            assert got.get(b"x-gollamas-server") == b"one"
        assert server.hits == 0
        assert [failed.cause for failed in proxy.events.of(AttemptFailed)] == [Cause.LOAD] * 2
        loader.go()
        assert (await proxy.ask(asks(path))).status == 200  # who comes after it loads anew
        assert len(server.loads) == 2


@runs
async def test_a_failed_load_goes_to_another_server_first() -> None:
    fails = says(answer(ERROR, status=b"500 Internal Server Error"))
    one, two = RawServer("one", tags=LISTED, loader=fails), RawServer("two", tags=LISTED)
    async with opened(one, two), in_front_of(one, two) as proxy:
        got = await proxy.ask(asks())
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
        assert (one.hits, two.hits, len(two.loads)) == (0, 1, 1)
        (failed,) = proxy.events.of(AttemptFailed)
        assert (failed.server, failed.cause, failed.moves_on) == ("one", Cause.LOAD, True)


@runs
async def test_a_server_that_lacks_the_model_after_all_answers_that_itself() -> None:
    async with has_listed() as (server, proxy):
        server.loader = says(answer(b'{"error":"model not found"}', status=b"404 Not Found"))
        server.handler = says(answer(b'{"error":"its own words"}', status=b"404 Not Found"))
        got = await proxy.ask(asks())
        assert (got.status, got.body) == (404, b'{"error":"its own words"}')


@runs
async def test_a_load_that_hangs_is_given_up_and_holds_up_no_other_model() -> None:
    loader = Loader()

    async def hang_or_load(request: Message, peer: Peer) -> None:
        await (hangs if b"llama" in request.body else loader)(request, peer)

    async with RawServer(tags=LISTED, loader=hang_or_load) as server:
        models = {MODEL: [server], EMBEDDER: [server]}
        async with in_front_of(server, models=models, load_timeout=0.3) as proxy:
            hung, behind = await sent(proxy, with_ctx(1), with_ctx(2))
            loader.go()
            assert (await proxy.ask(asks("/api/embed", EMBEDDER, input="hi"))).status == 200
            for client in (hung, behind):
                got = await client.answer()
                assert got.status == 504
                assert json.loads(got.body)["error"] == (
                    "server one has not loaded llama3.2:latest within 0.3 s"
                )
            given_up = [load for load in loads_of(proxy) if load.end is LoadEnd.GIVEN_UP]
            assert [load.options for load in given_up] == ["num_ctx=1", "num_ctx=2"]
            server.loader = says(answer())
            assert (await proxy.ask(with_ctx(1))).status == 200


@runs
async def test_a_server_that_is_silent_altogether_is_given_up_as_soon() -> None:
    """Neither does it say what the model is."""
    async with has_listed(load_timeout=0.2) as (server, proxy):
        server.shown, server.loader = b"", hangs
        async with asyncio.timeout(2):
            got = await proxy.ask(asks())
        assert got.status == 504
        assert [load.end for load in loads_of(proxy)] == [LoadEnd.GIVEN_UP]


@runs
async def test_a_server_that_ends_the_connection_of_a_load_is_named() -> None:
    async def drops(_: Message, peer: Peer) -> None:
        peer.reset()

    async with has_listed() as (server, proxy):
        server.loader = drops
        got = await proxy.ask(asks())
        assert got.status == 502
        assert json.loads(got.body)["error"].startswith("server one did not load llama3.2:latest: ")


@runs
async def test_a_server_that_refuses_the_connection_of_a_load_is_down() -> None:
    one, two = RawServer("one", tags=LISTED), RawServer("two", tags=LISTED)
    async with opened(one, two), in_front_of(one, two, probe_interval=3600.0) as proxy:
        await one.shut()
        got = await proxy.ask(asks())
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
        await proxy.events.down(one)
        (failed,) = proxy.events.of(AttemptFailed)
        assert (failed.server, failed.cause, failed.moves_on) == ("one", Cause.CONNECT, True)


@runs
async def test_a_server_that_refuses_a_request_behind_its_load_holds_up_no_later_load() -> None:
    async def loads_and_shuts(_: Message, peer: Peer) -> None:
        one._server.close()
        await peer.send(answer())

    one, two = RawServer("one", tags=LISTED, loader=loads_and_shuts), RawServer("two", tags=LISTED)
    async with opened(one, two), in_front_of(one, two, probe_interval=0.05) as proxy:
        got = await proxy.ask(asks())
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
        one.loader = says(answer())
        await two.shut()
        await one.open()
        await until(lambda: proxy.app.view.servers["one"].is_up)
        got = await proxy.ask(with_ctx(2048))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"one")
        assert not proxy.app._duties.loads.under_way()


@runs
async def test_a_server_at_another_address_waits_for_no_load_of_the_one_before() -> None:
    loader = Loader()
    old, new = RawServer("one", tags=LISTED, loader=loader), RawServer("one", tags=LISTED)
    async with opened(old, new), in_front_of(old) as proxy:
        (waits,) = await sent(proxy, asks())
        await loader.came.get()
        proxy.app.apply(a_config([new]))
        await until(lambda: proxy.app.view.servers["one"].has_listed)
        assert (await proxy.ask(asks())).status == 200
        assert (len(new.loads), new.hits) == (1, 1)
        loader.go()
        assert (await waits.answer()).status == 200
        assert (len(old.loads), old.hits) == (1, 1)


@runs
async def test_an_unload_goes_to_every_server_that_holds_the_model_and_loads_none() -> None:
    ps = listed("llama3.2:latest")
    servers = [RawServer(name, tags=LISTED, ps=ps) for name in ("one", "two")]
    servers.append(RawServer("three", tags=LISTED))
    async with opened(*servers), in_front_of(*servers) as proxy:
        await until(lambda: all(proxy.app.view.servers[name].instances for name in ("one", "two")))
        got = await proxy.ask(asks("/api/chat", messages=[], keep_alive=0))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"one")
        await until(lambda: bool(servers[1].loads))
        assert json.loads(servers[1].loads[0].body) == {
            "model": "llama3.2:latest",
            "keep_alive": 0,
            "stream": False,
        }
        assert [(server.hits, len(server.loads)) for server in servers] == [(1, 0), (0, 1), (0, 0)]


@runs
async def test_at_a_stop_those_who_wait_are_answered_and_a_load_that_nobody_wants_ends() -> None:
    loader = Loader()
    async with RawServer(tags=LISTED, loader=loader) as server:
        models = {MODEL: [server], EMBEDDER: [server]}
        async with in_front_of(server, models=models, grace=5.0) as proxy:
            waits, leaves = await sent(proxy, asks(), asks("/api/embed", EMBEDDER, input="hi"))
            for _ in range(2):
                await loader.came.get()
            leaves.close()
            await proxy.events.ended()
            proxy.app.drain()
            await proxy.events.until(lambda: bool(loads_of(proxy)))
            assert (loads_of(proxy)[0].end, loads_of(proxy)[0].model) == (
                LoadEnd.STOPPED,
                "all-minilm:latest",
            )
            loader.go()
            assert (await waits.answer()).status == 200


@runs
async def test_one_who_still_waits_when_the_grace_period_ends_gets_a_503() -> None:
    loader = Loader()
    async with has_listed() as (server, proxy):
        server.loader = loader
        (client,) = await sent(proxy, asks())
        await loader.came.get()
        await proxy.app.stop(grace=0)
        assert (await client.answer()).status == 503


@runs
async def test_a_load_and_who_waits_for_it_stand_in_the_state() -> None:
    loader = Loader()
    async with has_listed(admin=Address(host="127.0.0.1", port=0)) as (server, proxy):
        server.loader = loader
        (client,) = await sent(proxy, post("/api/chat", b'{"model":"llama3.2"}', b"X-Request-Id: mine"))
        await loader.came.get()
        found = await state_of(proxy)
        (one,) = found["servers"][0]["loading"]
        assert one.pop("age_s") >= 0
        assert one == {
            "model": "llama3.2:latest",
            "runner_options": {},
            "why": "cold",
            "has_begun": True,
            "waiting": ["mine"],
        }
        loader.go()
        await client.answer()
        assert (await state_of(proxy))["servers"][0]["loading"] == []


async def state_of(proxy: Running) -> dict[str, Any]:
    """Read the page of the second port."""
    address = proxy.app.admin_address
    assert address is not None
    client = await Client.connect(address.port)
    try:
        found: dict[str, Any] = json.loads((await client.ask(get("/state"))).body)
        return found
    finally:
        client.close()


@runs
async def test_a_request_that_comes_before_the_first_list_waits_for_it() -> None:
    loader = Loader()
    async with (
        RawServer(tags=LISTED, loader=loader) as server,
        running(a_config([server])) as proxy,
    ):
        clients = [await proxy.connect() for _ in range(3)]
        for client in clients:
            await client.send(asks())
        await loader.came.get()
        loader.go()
        assert {(await client.answer()).status for client in clients} == {200}
        assert (len(server.loads), server.hits) == (1, 3)


@runs
async def test_one_who_waited_and_gets_no_connection_does_not_hold_up_the_next_load() -> None:
    loader = Loader()
    one, two = RawServer("one", tags=LISTED, loader=loader), RawServer("two", tags=LISTED)
    async with opened(one, two), in_front_of(one, two, probe_interval=3600.0) as proxy:
        clients = await sent(proxy, with_ctx(1), with_ctx(2))
        await loader.came.get()
        one._server.close()  # it answers on connections that are open, and takes no other
        loader.go(times=2)
        got = [await client.answer() for client in clients]
        assert [answer.status for answer in got] == [200, 200]
        assert b"two" in [answer.get(b"x-gollamas-server") for answer in got]
        await until(lambda: not proxy.app._duties.loads.under_way())
        assert (await proxy.ask(with_ctx(3))).status == 200


@runs
async def test_an_unload_takes_no_load_from_those_who_wait_for_it() -> None:
    loader = Loader()
    servers = RawServer("one", tags=LISTED, loader=loader), RawServer("two", tags=LISTED)
    async with opened(*servers), in_front_of(*servers) as proxy:
        (waits,) = await sent(proxy, asks())
        await loader.came.get()
        proxy.app._duties.touches.unload(Found(key_of(MODEL) or "", MODEL, ("one", "two")), "two")
        loader.go()
        assert (await waits.answer()).status == 200
        assert [json.loads(load.body).get("keep_alive") for load in servers[0].loads] == [None]
