"""A request that X-Gollamas-Server limits to one server reaches that one or none; none reads the field."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gollamas.config.model import Expose
from gollamas.events import AttemptFailed, End, RequestEnded
from tests.sockets.proxying import ROUTED, Running, a_config, in_front_of, opened, running, runs
from tests.sockets.raw import (
    Handler,
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
from tests.sockets.simulated import CHAT, DIALECTS, EMBEDDER, asks, fleet

BODY = b'{"model":"llama3.2"}'
TWO = b"X-Gollamas-Server: gpu-2"
MULTIPART = b"Content-Type: multipart/form-data; boundary=X"
FORM = (
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nllama3.2\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nsound\r\n--X--\r\n'
)
BUSY = answer(b'{"error":"server busy"}', status=b"503 Service Unavailable")
# Every route that a model answers, with a whole request for it.
ROUTED_REQUESTS = {
    **{path: post(path, BODY) for path in (*DIALECTS, "/api/show", "/v1/audio/speech", "/v1/systemone")},
    "/v1/audio/transcriptions": post("/v1/audio/transcriptions", FORM, MULTIPART),
    "/v1/models/llama3.2": get("/v1/models/llama3.2"),
    "/v1/new/thing": post("/v1/new/thing", BODY),
    "/v1/new/form": post("/v1/new/form", FORM, MULTIPART),
}
OURS = ("/api/tags", "/api/ps", "/v1/models", "/api/version", "/api/status", "/")


def to(line: bytes, request: bytes) -> bytes:
    """Add a field line to a request."""
    return request.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)


def error_in(got: Message) -> str:
    """Give the text of an error, after a look at its dialect's shape."""
    found: Any = json.loads(got.body)["error"]
    return str(found if isinstance(found, str) else found["message"])


def tags(*names: str, second: int = 1) -> bytes:
    times = {"modified_at": f"2026-11-24T07:05:{second:02}Z", "expires_at": f"2026-11-24T07:05:{second:02}Z"}
    models = [{"name": name, "model": name, **times, "digest": f"{second:064}"} for name in names]
    return json.dumps({"models": models}).encode()


@asynccontextmanager
async def three(
    *handlers: Handler, **options: Any
) -> AsyncIterator[tuple[tuple[RawServer, RawServer, RawServer], Running]]:
    """Run three servers, of which the first two run the model, and a proxy in front of them."""
    servers = [RawServer(f"gpu-{number}") for number in (1, 2, 3)]
    for server, handler in zip(servers, handlers, strict=False):
        server.handler = handler
    one, two, three = servers
    async with (
        opened(*servers),
        in_front_of(*servers, models={ROUTED: [one, two], "other": [three]}, **options) as proxy,
    ):
        yield (one, two, three), proxy


# -- where it goes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTED_REQUESTS)
@runs
async def test_on_every_route_a_request_goes_to_the_server_that_it_names(path: str) -> None:
    """And that server reads nothing of the field, whatever its spelling and whatever Connection says."""
    async with three(routes=("/v1/new/thing", "/v1/new/form")) as ((one, two, _), proxy):
        for number, line in enumerate(
            (
                TWO,
                b"x-gollamas-server:gpu-2",
                b"X-GOLLAMAS-SERVER:  gpu-2 ",
                b"Connection: X-Gollamas-Server, close\r\n" + TWO,
                b"Connection: x-other\r\nX-Kept: 1\r\nx-gollamas-SERVER: gpu-2",
            ),
            start=1,
        ):
            got = await proxy.ask(to(line, ROUTED_REQUESTS[path]))
            assert (got.status, got.get(b"x-gollamas-server")) == (200, b"gpu-2")
            assert (one.hits, two.hits) == (0, number)
            assert b"gollamas-server" not in two.requests[-1].raw.lower()
            ended = await proxy.events.ended(number)
            assert (ended.server, ended.why) == ("gpu-2", "only server")
        assert two.requests[-1].get(b"x-kept") == b"1"


@runs
async def test_the_field_counts_for_its_own_request_only() -> None:
    """On one connection, and whichever server answered before."""
    async with three() as ((one, two, _), proxy):
        client = await proxy.connect()
        for line, hits in ((TWO, (0, 1)), (b"X-Other: 1", (1, 1)), (TWO, (1, 2)), (b"X-Other: 1", (2, 2))):
            assert (await client.ask(to(line, post("/api/chat", BODY)))).status == 200
            assert (one.hits, two.hits) == hits


@runs
async def test_an_alias_leads_to_the_server_of_its_model() -> None:
    async with three(aliases={"gpt-4o": ROUTED}) as ((one, two, _), proxy):
        got = await proxy.ask(to(TWO, post("/api/chat", b'{"model":"gpt-4o"}')))
        assert got.get(b"x-gollamas-server") == b"gpu-2"
        assert json.loads(two.requests[0].body)["model"] == ROUTED
        refused = await proxy.ask(to(b"X-Gollamas-Server: gpu-3", post("/api/chat", b'{"model":"gpt-4o"}')))
        assert error_in(refused) == "model 'gpt-4o' does not run on server 'gpu-3'"
        assert one.hits == 0


@runs
async def test_a_stream_of_one_server_passes_as_it_comes() -> None:
    """And one that breaks off ends as any other does."""
    lines = [b'{"response":"a"}\n', b'{"response":"b"}\n']

    async def streams(request: Message, peer: Peer) -> None:
        await peer.send(chunked_head())
        await peer.drip([chunk(line) for line in lines])
        if b"whole" in request.body:
            await peer.send(chunk(b""))
        else:
            peer.close()

    async with three(says(answer()), streams) as ((one, _, _), proxy):
        got = await proxy.ask(to(TWO, post("/api/generate", b'{"model":"llama3.2","prompt":"whole"}')))
        assert (got.is_whole, got.body) == (True, b"".join(lines))
        broken = await proxy.ask(to(TWO, post("/api/generate", BODY)))
        assert not broken.is_whole
        assert broken.body.startswith(b"".join(lines) + b'{"error":')
        assert (await proxy.events.ended(2)).end is End.SERVER_BROKE
        assert one.hits == 0


# -- no server but that one ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
@runs
async def test_a_server_that_fails_a_request_is_not_stood_in_for(path: str) -> None:
    """Neither where it closes, nor where it is busy, nor where it gives no connection."""
    async with three() as ((one, two, _), proxy):
        two.handler = breaks_off(b"")
        got = await proxy.ask(to(TWO, post(path, BODY)))
        assert (got.status, error_in(got)[:27]) == (502, "server gpu-2 gave no answer")
        two.handler = says(BUSY)
        got = await proxy.ask(to(TWO, post(path, BODY)))
        assert (got.status, got.body) == (503, b'{"error":"server busy"}')
        await two.shut()
        for _ in range(2):  # what was kept, and what is known by then
            got = await proxy.ask(to(TWO, post(path, BODY)))
            assert got.status in (502, 503)
        assert got.status == 503
        assert got.get(b"retry-after") == b"5"
        assert error_in(got).startswith(
            "model 'llama3.2' is not available: no server can be reached (gpu-2: "
        )
        assert b"gpu-1" not in got.body
        assert one.hits == 0
        assert not any(event.moves_on for event in proxy.events.of(AttemptFailed))
        assert (await proxy.ask(post(path, BODY))).status == 200


# -- refused -------------------------------------------------------------------------------------------

REFUSED = {
    b"X-Gollamas-Server: gpu-9": "no server 'gpu-9' is configured (X-Gollamas-Server)",
    b"X-Gollamas-Server: " + b"y" * 5000: f"no server '{'y' * 64}…' is configured (X-Gollamas-Server)",
    b"X-Gollamas-Server:": "X-Gollamas-Server is empty: it takes the id of one server",
    TWO + b"\r\n" + TWO: "X-Gollamas-Server is there more than once, or names several servers:"
    " it takes the id of one",
}


@pytest.mark.parametrize("line", REFUSED, ids=["unknown", "long", "empty", "twice"])
@pytest.mark.parametrize("path", [*ROUTED_REQUESTS, *OURS])
@runs
async def test_what_names_no_server_is_refused_on_every_route_in_its_dialect(path: str, line: bytes) -> None:
    async with three(routes=("/v1/new/thing", "/v1/new/form")) as (servers, proxy):
        got = await proxy.ask(to(line, ROUTED_REQUESTS.get(path) or get(path)))
        assert (got.status, error_in(got)) == (400, REFUSED[line])
        _look_at_dialect(path, got)
        assert [server.hits for server in servers] == [0, 0, 0]
        ended = await proxy.events.ended()
        assert (ended.end, ended.status, ended.error) == (End.REFUSED, 400, REFUSED[line])


@pytest.mark.parametrize("path", ROUTED_REQUESTS)
@runs
async def test_a_server_that_is_not_the_models_is_refused_and_no_other_is_named(path: str) -> None:
    async with three(routes=("/v1/new/thing", "/v1/new/form")) as (servers, proxy):
        got = await proxy.ask(to(b"X-Gollamas-Server: gpu-3", ROUTED_REQUESTS[path]))
        assert (got.status, error_in(got)) == (400, "model 'llama3.2' does not run on server 'gpu-3'")
        _look_at_dialect(path, got)
        assert [server.hits for server in servers] == [0, 0, 0]


def _look_at_dialect(path: str, got: Message) -> None:
    error = json.loads(got.body)
    if path == "/v1/messages":
        assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    elif path.startswith("/v1/"):
        assert (error["error"]["type"], error["error"]["param"]) == ("invalid_request_error", None)
    else:
        assert error.keys() == {"error"}


@runs
async def test_what_is_wrong_otherwise_is_said_first() -> None:
    """A path that is none, a method that is not the route's, a body that can't be read."""
    bad = b"X-Gollamas-Server: gpu-9"
    async with three() as (_, proxy):
        for request, status in (
            (get("/api/nothing"), 404),
            (get("/api/chat"), 405),
            (post("/api/chat", b"{"), 400),
            (post("/api/chat", b"{}"), 400),
        ):
            got = await proxy.ask(to(bad, request))
            assert (got.status, b"gpu-9" in got.body) == (status, False)
        head = await proxy.ask(to(bad, get("/api/tags", method=b"HEAD")), to_head=True)
        assert (head.status, head.body) == (400, b"")


# -- it never widens -----------------------------------------------------------------------------------


@runs
async def test_the_field_opens_nothing_that_expose_does_not() -> None:
    """A server that is not to run what it has; a model that is not exposed; one that is loaded elsewhere."""
    one = RawServer("gpu-1", tags=tags("llama3.2:latest", "found:latest"), ps=tags("found:latest"))
    two = RawServer("gpu-2", tags=tags("llama3.2:latest", "found:latest"))
    for expose, statuses in (
        (Expose.CONFIGURED, (404, 404)),
        (Expose.RUNNING, (200, 400)),
        (Expose.INSTALLED, (200, 200)),
    ):
        async with (
            opened(one, two),
            in_front_of(one, two, models={ROUTED: [one]}, expose=expose) as proxy,
        ):
            got = await proxy.ask(to(TWO, post("/api/chat", BODY)))
            assert (got.status, error_in(got)) == (400, "model 'llama3.2' does not run on server 'gpu-2'")
            for server, status in zip((b"gpu-1", b"gpu-2"), statuses, strict=True):
                asked = post("/api/chat", b'{"model":"found"}', b"X-Gollamas-Server: " + server)
                got = await proxy.ask(asked)
                assert got.status == status
                if status == 200:
                    assert got.get(b"x-gollamas-server") == server
                    continue
                assert b"gpu-1" not in got.body
        one.port = two.port = 0


@runs
async def test_a_name_that_nobody_knew_is_looked_up_and_then_limited() -> None:
    """Pulled on one server a moment ago: it is found there, and by name not on the other."""
    one, two = RawServer("gpu-1", tags=tags("m:latest")), RawServer("gpu-2", tags=tags("m:latest"))
    async with (
        opened(one, two),
        in_front_of(one, two, models={}, expose=Expose.INSTALLED, probe_interval=60.0) as proxy,
    ):
        two.tags = tags("m:latest", "new:latest")
        asked = post("/api/chat", b'{"model":"new"}')
        assert (await proxy.ask(to(TWO, asked))).get(b"x-gollamas-server") == b"gpu-2"
        got = await proxy.ask(to(b"X-Gollamas-Server: gpu-1", asked))
        assert (got.status, error_in(got)) == (400, "model 'new' does not run on server 'gpu-1'")
        missing = await proxy.ask(to(TWO, post("/api/chat", b'{"model":"none"}')))
        assert (missing.status, error_in(missing)) == (404, "model 'none' not found")
        assert one.hits == 0


@runs
async def test_a_name_that_one_server_can_t_be_asked_for_is_a_503_that_names_it_alone() -> None:
    one, two = RawServer("gpu-1", tags=tags("m:latest")), RawServer("gpu-2")
    async with opened(one, two):
        await two.shut()
        async with running(a_config([one, two], {}, expose=Expose.INSTALLED)) as proxy:
            await proxy.events.up(one)
            await proxy.events.down(two)
            for name in (b"m", b"none"):  # on another server, and on none that could be asked
                got = await proxy.ask(to(TWO, post("/api/chat", b'{"model":"%b"}' % name)))
                assert got.status == 503
                assert "gpu-2: " in error_in(got)
                assert b"gpu-1" not in got.body


# -- listings ------------------------------------------------------------------------------------------


@runs
async def test_a_listing_is_that_servers_part() -> None:
    """Its own entries and version; of a server that never answered, what is known of it alone."""
    one = RawServer("gpu-1", version=b"0.24.0", tags=tags("llama3.2:latest", second=1), ps=tags("a:latest"))
    two = RawServer(
        "gpu-2", tags=tags("llama3.2:latest", "qwen:4b", second=2), ps=tags("llama3.2:latest", second=2)
    )
    three = RawServer("gpu-3", version=None)
    models = {ROUTED: [one, two], "qwen:4b": [two], "gone": [three]}
    async with (
        opened(one, two, three),
        in_front_of(one, two, three, models=models) as proxy,
    ):

        async def listed(path: str, server: bytes, key: str) -> list[tuple[str, str]]:
            got = await proxy.ask(get(path, b"X-Gollamas-Server: " + server))
            assert got.status == 200
            found = json.loads(got.body)
            names = [entry.get("name") or entry["id"] for entry in found[key]]
            return [
                (name, entry.get("digest", "")[-1:]) for name, entry in zip(names, found[key], strict=True)
            ]

        assert await listed("/api/tags", b"gpu-1", "models") == [("llama3.2:latest", "1")]
        assert await listed("/api/tags", b"gpu-2", "models") == [("llama3.2:latest", "2"), ("qwen:4b", "2")]
        assert await listed("/api/ps", b"gpu-1", "models") == []
        assert await listed("/api/ps", b"gpu-2", "models") == [("llama3.2:latest", "2")]
        assert await listed("/v1/models", b"gpu-1", "data") == [("llama3.2:latest", "")]
        assert await listed("/v1/models", b"gpu-2", "data") == [("llama3.2:latest", ""), ("qwen:4b", "")]
        for path, key in (("/api/tags", "models"), ("/api/ps", "models"), ("/v1/models", "data")):
            assert await listed(path, b"gpu-3", key) == []
        for server, version in ((b"gpu-1", "0.24.0"), (b"gpu-2", "0.32.15")):
            got = await proxy.ask(get("/api/version", b"X-Gollamas-Server: " + server))
            assert json.loads(got.body) == {"version": version}
        got = await proxy.ask(get("/api/version", b"X-Gollamas-Server: gpu-3"))
        assert got.status == 503
        assert error_in(got).startswith("the server that was asked for has not answered yet (gpu-3: ")
        assert b"gpu-1" not in got.body


# -- what else is done for a request -------------------------------------------------------------------


@pytest.mark.parametrize("path", DIALECTS)
@runs
async def test_a_model_is_loaded_and_runs_on_the_one_server_by_its_policy(path: str) -> None:
    """In every dialect; another one of the model's servers has it loaded already."""
    model = EMBEDDER if "embed" in path else CHAT
    async with fleet("one", "two", num_ctx={("", "one"): 4096, ("", "two"): 2048}) as both:
        await both.proxy.ask(to(b"X-Gollamas-Server: one", asks(path, model)))
        await both.look()
        before = len(both.ollamas["one"].asked(path))  # with the load
        got = await both.proxy.ask(to(b"X-Gollamas-Server: two", asks(path, model)))
        assert (got.status, got.get(b"x-gollamas-server")) == (200, b"two")
        ended = await both.proxy.events.ended(2)
        assert (ended.why, ended.num_ctx) == ("only server", 2048)
        assert both.ollamas["two"].asked(path)
        assert len(both.ollamas["one"].asked(path)) == before
        await both.settled()


@runs
async def test_an_unload_leaves_the_models_other_servers_alone() -> None:
    async with fleet("one", "two") as both:
        for name in (b"one", b"two"):
            await both.proxy.ask(to(b"X-Gollamas-Server: " + name, asks("/api/chat")))
        unload = post("/api/generate", json.dumps({"model": CHAT, "keep_alive": 0}).encode())
        assert (await both.proxy.ask(to(b"X-Gollamas-Server: two", unload))).status == 200
        await both.proxy.events.ended(3)
        await both.settled()
        await both.look()
        listings = [
            await both.proxy.ask(get("/api/ps", b"X-Gollamas-Server: " + name)) for name in (b"one", b"two")
        ]
        assert [len(json.loads(listing.body)["models"]) for listing in listings] == [1, 0]


@runs
async def test_a_client_that_leaves_the_one_server_is_seen_to_leave() -> None:
    async with three(says(answer()), hangs) as ((one, two, _), proxy):
        client = await proxy.connect()
        await client.send(to(TWO, post("/api/chat", BODY)))
        while not two.hits:
            await client.drip([b""])
        client.reset()
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT
        assert (one.hits, len(proxy.events.of(RequestEnded))) == (0, 1)
