"""Who may ask: foreign names and browsers of other sites, judged as Ollama judges them."""

import json
import socket

import pytest

from gollamas.config.model import Address
from tests.sockets.proxying import Running, one_server, runs
from tests.sockets.raw import Client, Message, answer, get, post, says

BODY = b'{"model":"llama3.2"}'
LOOPBACK = Address(host="127.0.0.1", port=0)
EVERYWHERE = Address(host="0.0.0.0", port=0)  # noqa: S104 - what such a listener lets in is what is tried

ALLOWED_HOSTS = (
    b"localhost",
    b"localhost:11434",
    b"LOCALHOST",
    b"127.0.0.1:11434",
    b"127.8.9.1",
    b"[::1]:11434",
    b"0.0.0.0",
    b"10.1.2.3",
    b"192.168.0.7:80",
    b"gpu.local",
    b"gpu.internal:11434",
    b"a.b.localhost",
    socket.gethostname().encode(),
)
FOREIGN_HOSTS = (
    b"example.com",
    b"evil.example:11434",
    b"localhost.evil.example",
    b"8.8.8.8",
    b"notlocal",
    b"1.2.3",
)


def hosted(host: bytes, data: bytes) -> bytes:
    return data.replace(b"Host: localhost", b"Host: " + host, 1)


def is_forbidden(got: Message) -> bool:
    return (got.status, got.body, got.get(b"content-type")) == (403, b"", None)


@pytest.mark.parametrize("host", ALLOWED_HOSTS)
@runs
async def test_on_loopback_a_name_of_this_machine_is_served(host: bytes) -> None:
    async with one_server() as (_, proxy):
        for data in (get("/"), post("/api/chat", BODY)):
            assert (await proxy.ask(hosted(host, data))).status == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@runs
async def test_on_loopback_a_foreign_name_is_an_empty_403(host: bytes) -> None:
    async with one_server() as (server, proxy):
        for data in (get("/"), get("/nothing"), post("/api/chat", BODY), get("/", method=b"OPTIONS")):
            assert is_forbidden(await proxy.ask(hosted(host, data)))
        assert server.hits == 0


@runs
async def test_listening_everywhere_any_name_is_served() -> None:
    async with one_server(listen=EVERYWHERE) as (_, proxy):
        for host in (*ALLOWED_HOSTS, *FOREIGN_HOSTS):
            assert (await proxy.ask(hosted(host, post("/api/chat", BODY)))).status == 200


PAGES = ("/healthz", "/readyz", "/metrics", "/nothing")


async def asked_of_operators(proxy: Running, data: bytes) -> Message:
    """Ask the second port, on a connection of its own."""
    assert proxy.app.admin_address is not None
    client = await Client.connect(proxy.app.admin_address.port)
    try:
        return await client.ask(data)
    finally:
        client.close()


@runs
async def test_the_admin_port_on_loopback_refuses_a_foreign_name() -> None:
    async with one_server(admin=LOOPBACK) as (_, proxy):
        for host in FOREIGN_HOSTS:
            for page in PAGES:
                got = await asked_of_operators(proxy, hosted(host, get(page)))
                assert got.status == 403
                assert "is not allowed" in json.loads(got.body)["error"]


@runs
async def test_the_admin_port_on_loopback_serves_names_of_this_machine_and_none() -> None:
    async with one_server(admin=LOOPBACK) as (_, proxy):
        for host in (*ALLOWED_HOSTS, b""):
            assert (await asked_of_operators(proxy, hosted(host, get("/healthz")))).status == 200
        without = b"GET /healthz HTTP/1.0\r\n\r\n"
        assert (await asked_of_operators(proxy, without)).status == 200


@runs
async def test_the_admin_port_on_every_address_serves_probes_and_prometheus() -> None:
    """Kubernetes asks by the Pod's address, Prometheus by that or by a service's name."""
    async with one_server(admin=EVERYWHERE) as (_, proxy):
        for host in (b"10.42.0.17:11435", b"gollamas.default.svc:11435", b"203.0.113.9", *FOREIGN_HOSTS):
            for page in ("/healthz", "/readyz", "/metrics"):
                assert (await asked_of_operators(proxy, hosted(host, get(page)))).status == 200


@runs
async def test_the_admin_port_serves_the_name_that_it_listens_by() -> None:
    async with one_server(admin=Address(host="127.1", port=0)) as (_, proxy):
        assert (await asked_of_operators(proxy, hosted(b"127.1:1", get("/healthz")))).status == 200
        assert (await asked_of_operators(proxy, hosted(b"127.2.example:1", get("/healthz")))).status == 403


LOCAL_ORIGINS = (
    b"http://localhost:3000",
    b"https://localhost:3000",
    b"http://127.0.0.1:5173",
    b"https://0.0.0.0",
    b"app://obsidian.md",
    b"file://x",
    b"tauri://localhost",
    b"vscode-webview://abc",
    b"HTTP://LOCALHOST:3000",
)
FOREIGN_ORIGINS = (
    b"https://example.com",
    b"null",
    b"http://localhost.evil.example",
    b"http://evil.example:11434",
    b"http://127.0.0.1.evil.example",
    b"chrome-extension://abc",
)


@pytest.mark.parametrize("origin", LOCAL_ORIGINS)
@runs
async def test_a_browser_of_this_machine_may_ask_and_its_origin_stays_here(origin: bytes) -> None:
    line = b"Origin: " + origin
    async with one_server() as (server, proxy):
        server.handler = says(answer(more=b"Access-Control-Allow-Origin: *\r\nVary: Accept\r\n"))
        for data in (get("/api/tags", line), get("/nothing", line), post("/api/chat", BODY, line)):
            got = await proxy.ask(data)
            assert got.get(b"access-control-allow-origin") == origin
            assert b"Origin" in got.all(b"vary")
        assert server.requests[0].all(b"origin") == []


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@runs
async def test_a_browser_of_another_site_gets_an_empty_403(origin: bytes) -> None:
    line = b"Origin: " + origin
    async with one_server(listen=EVERYWHERE) as (server, proxy):
        for data in (
            get("/", line),
            post("/api/chat", BODY, line),
            get("/api/chat", line, method=b"OPTIONS"),
        ):
            got = await proxy.ask(data)
            assert is_forbidden(got)
            assert not got.all(b"access-control-allow-origin")
        assert server.hits == 0


@runs
async def test_a_page_of_the_proxys_own_address_is_no_other_site() -> None:
    async with one_server(listen=EVERYWHERE) as (_, proxy):
        for scheme in (b"http", b"https"):
            data = hosted(
                b"proxy.example:80", post("/api/chat", BODY, b"Origin: %b://proxy.example:80" % scheme)
            )
            assert (await proxy.ask(data)).status == 200


@pytest.mark.parametrize("path", ["/api/chat", "/v1/messages", "/nothing"])
@runs
async def test_a_preflight_is_answered_here(path: str) -> None:
    lines = (b"Origin: http://localhost:3000", b"Access-Control-Request-Method: POST")
    async with one_server() as (server, proxy):
        got = await proxy.ask(get(path, *lines, method=b"OPTIONS"))
        assert (got.status, got.body) == (204, b"")
        assert got.get(b"access-control-allow-origin") == b"http://localhost:3000"
        assert b"POST" in (got.get(b"access-control-allow-methods") or b"")
        assert b"Authorization" in (got.get(b"access-control-allow-headers") or b"")
        assert got.get(b"content-length") is None
        assert server.hits == 0


@runs
async def test_configured_origins_are_added() -> None:
    async with one_server(origins=("https://example.com", "https://*.corp.example")) as (_, proxy):
        for origin in (b"https://example.com", b"https://a.corp.example", b"http://localhost:1"):
            assert (await proxy.ask(get("/", b"Origin: " + origin))).status == 200
        for origin in (b"http://example.com", b"https://corp.example", b"https://example.com.evil"):
            assert is_forbidden(await proxy.ask(get("/", b"Origin: " + origin)))


@runs
async def test_a_star_lets_every_origin_in_and_never_allows_credentials() -> None:
    async with one_server(origins=("*",)) as (server, proxy):
        server.handler = says(answer(more=b"Access-Control-Allow-Credentials: true\r\n"))
        for data in (get("/", b"Origin: https://x.example"), post("/api/chat", BODY, b"Origin: null")):
            got = await proxy.ask(data)
            assert (got.status, got.get(b"access-control-allow-origin")) == (200, b"*")
            assert not got.all(b"access-control-allow-credentials")


@runs
async def test_options_without_an_origin_are_ollamas() -> None:
    async with one_server() as (_, proxy):
        assert (await proxy.ask(get("/api/chat", method=b"OPTIONS"))).status == 204
        wrong = await proxy.ask(hosted(b"127.0.0.1", get("/api/chat", method=b"OPTIONS")))
        assert (wrong.status, wrong.get(b"allow")) == (405, b"POST")
        assert (await proxy.ask(hosted(b"127.0.0.1", get("/nothing", method=b"OPTIONS")))).status == 404


@runs
async def test_an_error_can_be_read_by_the_browser_that_caused_it() -> None:
    line = b"Origin: http://localhost:3000"
    async with one_server(max_body=100) as (_, proxy):
        for data, status in (
            (post("/api/chat", b'{"model":"nope"}', line), 404),
            (post("/api/chat", b"{", line), 400),
            (post("/api/chat", b"a" * 200, line), 413),
        ):
            got = await proxy.ask(data)
            assert got.status == status
            assert got.get(b"access-control-allow-origin") == b"http://localhost:3000"
