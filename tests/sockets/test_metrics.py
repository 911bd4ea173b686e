"""What `/metrics`, `/healthz` and `/readyz` say after real requests."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gollamas.config.model import Address, Expose
from gollamas.events import AttemptFailed, Cause, End
from tests.sockets.proxying import ROUTED, Running, a_config, in_front_of, runs
from tests.sockets.proxying import running as run_proxy
from tests.sockets.raw import (
    Client,
    Handler,
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
from tests.sockets.test_breaking_off import then
from tests.sockets.test_listings import listed, loaded

BODY = b'{"model":"llama3.2"}'
FAILED = "gollamas_attempts_failed_total"
ADMIN = Address(host="127.0.0.1", port=0)
DONE = (
    b'{"model":"llama3.2","done":true,"done_reason":"stop","total_duration":5,"load_duration":1,'
    b'"prompt_eval_count":26,"prompt_eval_cached_count":20,"prompt_eval_duration":1,"eval_count":3,"eval_duration":1}'
)


async def admin(proxy: Running, data: bytes) -> Message:
    """Ask the second port."""
    assert proxy.app.admin_address is not None
    client = await Client.connect(proxy.app.admin_address.port)
    try:
        return await client.ask(data)
    finally:
        client.close()


async def samples(proxy: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Scrape, and give each sample's value by its name and labels."""
    got = await admin(proxy, get("/metrics"))
    assert got.status == 200
    families = text_string_to_metric_families(got.body.decode())
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@runs
async def test_requests_are_counted_by_route_model_server_status_and_end() -> None:
    async with (
        RawServer() as server,
        in_front_of(server, admin=ADMIN, aliases={"gpt-4o": ROUTED}) as proxy,
    ):
        server.handler = says(answer(DONE))
        for body in (BODY, b'{"model":"gpt-4o"}', b'{"model":"LLAMA3.2:latest"}', b'{"model":"nope"}', b"{"):
            await proxy.ask(post("/api/chat", body))
        await proxy.ask(get("/nothing"))
        await proxy.events.ended(6)
        found = await samples(proxy)
        of_chat = {"route": "/api/chat", "model": ROUTED, "server": "one"}
        assert found[of("gollamas_requests_total", status="200", end="done", **of_chat)] == 3
        others = {
            (label["status"], label["model"], label["route"], label["end"])
            for name, labels in found
            if name == "gollamas_requests_total" and (label := dict(labels))["status"] != "200"
        }
        assert ("404", "other", "/api/chat", "refused") in others
        assert {(status, route) for status, _, route, _ in others} == {
            ("404", "/api/chat"),
            ("400", "/api/chat"),
            ("404", "other"),
        }
        assert found[of("gollamas_tokens_total", direction="in", model=ROUTED, server="one")] == 78
        assert found[of("gollamas_tokens_total", direction="out", model=ROUTED, server="one")] == 9
        assert found[of("gollamas_server_up", server="one")] == 1
        assert found[of("gollamas_tokens_total", direction="cached", model=ROUTED, server="one")] == 60
        assert found[of("gollamas_request_seconds_count", **of_chat)] == 3
        assert found[of("gollamas_first_byte_seconds_count", **of_chat)] == 3
        assert found[of("gollamas_wait_seconds_count", **of_chat)] == 3
        assert not proxy.events.of(AttemptFailed)


BUSY = answer(b'{"error":"server busy"}', status=b"503 Service Unavailable")
BEGUN = chunked_head() + chunk(b"{}\n")
STREAM = b'{"model":"llama3.2","stream":true}'

# What one server does, the status that the client reads, how the request ends, the cause that is counted.
FAILING: dict[str, tuple[Handler, str, End, Cause]] = {
    "it is busy": (says(BUSY), "503", End.DONE, Cause.BUSY),
    "it closes": (then(b"", "FIN"), "502", End.REFUSED, Cause.UNANSWERED),
    "it speaks no HTTP": (then(b"", "rubbish\r\n\r\n"), "502", End.REFUSED, Cause.BROKE_EARLY),
    "it is slow": (hangs, "504", End.REFUSED, Cause.TOO_SLOW),
    "it dies in the middle": (then(BEGUN, "RST"), "200", End.SERVER_BROKE, Cause.BROKE_LATE),
    "it falls silent": (then(BEGUN, ""), "200", End.TIMED_OUT, Cause.WENT_SILENT),
}


@pytest.mark.parametrize("case", FAILING)
@runs
async def test_what_a_server_fails_by_is_counted_though_nobody_else_is_asked(case: str) -> None:
    handler, status, end, cause = FAILING[case]
    async with (
        RawServer(handler=handler) as server,
        in_front_of(server, admin=ADMIN, first_byte_timeout=0.2, idle_timeout=0.2) as proxy,
    ):
        client = await proxy.connect()
        await client.send(post("/api/chat", STREAM))
        await proxy.events.ended()
        found = await samples(proxy)
        ended = [dict(labels) for name, labels in found if name == "gollamas_requests_total"]
        assert [(one["status"], one["end"], one["server"]) for one in ended] == [(status, end.value, "one")]
        failed = {labels: count for (name, labels), count in found.items() if name == FAILED}
        assert failed == {frozenset({("server", "one"), ("cause", cause.value)}): 1}
        (told,) = proxy.events.of(AttemptFailed)
        assert (told.cause, told.moves_on) == (cause, False)


@runs
async def test_each_attempt_of_a_request_is_counted_once() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two", handler=says(BUSY)) as two,
        RawServer("three", handler=says(BUSY)) as three,
        in_front_of(one, two, three, admin=ADMIN, probe_interval=60) as proxy,
    ):
        await one.shut()
        assert (await proxy.ask(post("/api/chat", BODY))).status == 503
        await proxy.events.ended()
        found = await samples(proxy)
        assert {labels: count for (name, labels), count in found.items() if name == FAILED} == {
            frozenset({("server", "one"), ("cause", "connect")}): 1,
            frozenset({("server", "two"), ("cause", "busy")}): 1,
            frozenset({("server", "three"), ("cause", "busy")}): 1,
        }


@runs
async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    async def handler(_: Message, peer: Peer) -> None:
        if server.hits == 2:
            peer.close()
        else:
            await peer.send(answer(DONE))

    async with RawServer(handler=handler) as server, in_front_of(server, admin=ADMIN) as proxy:
        for _ in range(2):
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        assert server.hits == 3
        await proxy.events.ended(2)
        assert not [name for name, _ in await samples(proxy) if name == FAILED]


@runs
async def test_what_is_loaded_and_what_differs_is_told() -> None:
    async with (
        RawServer("one", tags=listed((ROUTED, 1, "a")), ps=loaded(ROUTED)) as one,
        RawServer("two", tags=listed((ROUTED, 1, "b"))) as two,
        in_front_of(one, two, admin=ADMIN) as proxy,
    ):
        assert (await proxy.ask(get("/api/ps"))).status == 200  # it waits until both were asked
        found = await samples(proxy)
        assert found[of("gollamas_model_loaded", model=ROUTED, server="one")] == 1
        assert found[of("gollamas_model_loaded", model=ROUTED, server="two")] == 0
        assert found[of("gollamas_digests_differ", model=ROUTED)] == 1


@runs
async def test_what_goes_on_is_gauged() -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def hang(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b"{}\n"))
        begun.put_nowait(None)
        await peer.gone()

    async with RawServer(handler=hang) as server, in_front_of(server, admin=ADMIN) as proxy:
        clients = [await proxy.connect() for _ in range(3)]
        for client in clients:
            await client.send(post("/api/chat", BODY))
            await begun.get()
        found = await samples(proxy)
        assert found[of("gollamas_in_flight", model=ROUTED, server="one")] == 3
        assert found[of("gollamas_connections", side="client")] == 3
        assert found[of("gollamas_connections", side="server")] >= 3
        for client in clients:
            client.reset()
        await proxy.events.ended(3)
        found = await samples(proxy)
        assert found.get(of("gollamas_in_flight", model=ROUTED, server="one"), 0) == 0
        assert found[of("gollamas_connections", side="client")] == 0


@pytest.mark.parametrize("expose", [Expose.CONFIGURED, Expose.INSTALLED])
@runs
async def test_names_that_clients_make_up_add_no_series(expose: Expose) -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN, expose=expose) as proxy:
        await proxy.ask(post("/api/chat", b'{"model":"first"}'))
        await proxy.ask(get("/first"))
        await proxy.events.ended(2)
        before = set(await samples(proxy))
        client = await proxy.connect()
        for number in range(30):
            await client.ask(post("/api/chat", b'{"model":"made-up-%d"}' % number))
            await client.ask(get(f"/made/up/{number}"))
        await proxy.events.ended(62)
        assert {labels for _, labels in set(await samples(proxy)) - before} == set()


@runs
async def test_ready_is_said_once_a_server_is_up_and_no_more_when_none_is() -> None:
    async with RawServer(version=None) as server:
        async with run_proxy(a_config([server], admin=ADMIN, probe_interval=0.05)) as proxy:
            assert (await admin(proxy, get("/readyz"))).status == 503
            assert (await admin(proxy, get("/healthz"))).status == 200
        server.version = b"0.32.15"
        async with in_front_of(server, admin=ADMIN, probe_interval=0.05) as proxy:
            assert (await admin(proxy, get("/readyz"))).status == 200
            await server.shut()
            await proxy.events.down(server)
            assert (await admin(proxy, get("/readyz"))).status == 503
            assert (await samples(proxy))[of("gollamas_server_up", server="one")] == 0


@runs
async def test_administration_is_not_on_the_main_port() -> None:
    async with RawServer() as server, in_front_of(server, admin=ADMIN) as proxy:
        for path in ("/metrics", "/healthz", "/readyz"):
            assert (await proxy.ask(get(path))).status == 404
        assert (await admin(proxy, post("/api/chat", BODY))).status == 404
        assert server.hits == 0
