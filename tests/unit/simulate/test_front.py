"""What happens before a handler: redirects, CORS, the Host filter, 404 and 405."""

import pytest

from tests.unit.simulate.running import body_of, fast, request, runs


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tags/", 301, b"/api/tags"),
        ("POST", "/api/chat/", 307, b"/api/chat"),
        ("GET", "//api/tags", 307, b"/api/tags"),
        ("POST", "//api/chat", 307, b"/api/chat"),
        ("GET", "/api/./tags", 307, b"/api/tags"),
        ("GET", "/api/x/../tags", 307, b"/api/tags"),
    ],
)
@runs
async def test_redirects(method: str, path: str, status: int, location: bytes) -> None:
    """An unclean path and a slash too many lead to the route."""
    answer = await fast().respond(request(method, path))
    assert (answer.status, dict(answer.fields)[b"Location"]) == (status, location)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/api/nothing/", 404, None),
        ("GET", "/v1/models/a/b", 404, None),
        ("GET", "/v1/models/a%2Fb", 404, None),
        ("POST", "/api/tags", 405, b"HEAD, GET"),
        ("HEAD", "/api/ps", 405, b"GET"),
        ("PUT", "/api/chat", 405, b"POST"),
        ("OPTIONS", "/api/chat", 204, b"POST"),
    ],
)
@runs
async def test_wrong_ways(method: str, path: str, status: int, allow: bytes | None) -> None:
    """No route is a 404, a wrong method a 405 with those that there are; OPTIONS of a named host passes."""
    answer = await fast().respond(request(method, path))
    assert (answer.status, dict(answer.fields).get(b"Allow")) == (status, allow)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://localhost", 200),
        (b"https://127.0.0.1:8443", 200),
        (b"http://0.0.0.0:1", 200),
        (b"app://obsidian.md", 200),
        (b"vscode-webview://x", 200),
        (b"https://mine.example", 200),
        (b"https://a.wild.example", 200),
        (b"https://example.com", 403),
        (b"http://localhost.evil.example", 403),
        (b"null", 403),
    ],
)
@runs
async def test_origins(origin: bytes, status: int) -> None:
    """Local pages and apps may, others only when they are named."""
    server = fast(origins=("https://mine.example", "https://*.wild.example"))
    answer = await server.respond(request("GET", "/api/version", fields=[(b"Origin", origin)]))
    assert answer.status == status
    assert dict(answer.fields).get(b"Access-Control-Allow-Origin") == (origin if status == 200 else None)


@runs
async def test_an_origin_that_is_the_host_passes_untouched() -> None:
    """The server's own page is no foreign origin."""
    answer = await fast().respond(
        request("GET", "/api/version", fields=[(b"Origin", b"http://localhost:11434")])
    )
    assert b"Vary" not in dict(answer.fields)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost:11434", 200),
        (b"127.0.0.1:11434", 200),
        (b"[::1]:11434", 200),
        (b"192.168.1.2", 200),
        (b"box.local:80", 200),
        (b"host.docker.internal", 200),
        (b"example.com", 403),
        (b"8.8.8.8", 403),
    ],
)
@runs
async def test_hosts(host: bytes, status: int) -> None:
    """On loopback a foreign name is refused without a word; elsewhere any is good."""
    one = request("GET", "/api/version", fields=[(b"Host", host)])
    answer = await fast().respond(one)
    assert answer.status == status
    assert (await body_of(answer) == b"") == (status == 403)
    assert (await fast(is_loopback=False).respond(one)).status == 200
