"""Who may ask: origins of browsers and names in Host, as Ollama judges them."""

from collections.abc import Iterable

import pytest

from gollamas.api.gate import Gate
from gollamas.wire.message import Fields, Head
from tests.recorded import NEWEST, case, make_head

PREFLIGHT = [(b"Access-Control-Request-Method", b"POST")]


def gate(origins: Iterable[str] = (), *, is_loopback: bool = True, own: Iterable[str] = ()) -> Gate:
    """Make the gate of a machine called `desk`."""
    addresses = set(own)
    return Gate(
        tuple(origins),
        is_loopback=is_loopback,
        port=11434,
        hostnames=("Desk",),
        is_own=lambda one: one in addresses,
    )


def head(host: str | None = "localhost:11434", origin: str | None = None, method: bytes = b"GET") -> Head:
    """Make a head with a Host and an Origin."""
    fields: Fields = []
    if host is not None:
        fields.append((b"Host", host.encode()))
    if origin is not None:
        fields.append((b"Origin", origin.encode("latin-1")))
    return make_head(method, b"/api/tags", fields)


def test_a_refusal_names_what_was_refused_for_the_log() -> None:
    assert str(gate().judge(head("evil.example:1")).reason).startswith("Host evil.example is not allowed: ")
    other = gate().judge(head(origin="http://x"))
    assert other.reason == "Origin http://x is not allowed: add it to origins"
    none = gate().judge(head(origin="null"))  # of a page in a file or a sandbox: `origins` takes no such word
    assert none.reason == "Origin null is not allowed: only * in origins lets it in"
    assert gate().judge(head()).reason is None
    assert gate().judge(head(origin="http://localhost")).reason is None


def is_allowed(origin: str, *more: str) -> bool:
    """Judge an origin on an address that any machine can reach, and look at what it says of it."""
    verdict = gate(more, is_loopback=False).judge(head("proxy:11434", origin))
    assert verdict.status in (None, 403)
    if verdict.status is None:
        allowed = f"Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n"
        assert verdict.lines == allowed.encode("latin-1")
    else:
        assert verdict.lines == b""
    return verdict.status is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost", "https://localhost", "http://localhost:3000", "https://localhost:8443",
        "http://127.0.0.1", "http://127.0.0.1:8080", "https://127.0.0.1:1", "http://0.0.0.0",
        "https://0.0.0.0:5000", "app://x", "app://", "file://", "file:///home/x", "tauri://localhost",
        "vscode-webview://abc", "vscode-file://vscode-app", "HTTP://LOCALHOST:3000",
    ],
)  # fmt: skip
def test_pages_of_this_machine_may_ask(origin: str) -> None:
    assert is_allowed(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com", "http://example.com:11434", "null", "http://localhost.example.com",
        "http://localhost@example.com", "https://example.com/http://localhost", "http://127.0.0.2",
        "http://[::1]", "http://localhos", "ftp://localhost", "chrome-extension://x", "localhost", "*",
        "http://127x0x0x1", "http://evil\xe9", "xapp://x", "//localhost",
    ],
)  # fmt: skip
def test_pages_of_other_sites_may_not(origin: str) -> None:
    assert not is_allowed(origin)


@pytest.mark.parametrize(
    ("entry", "allowed", "refused"),
    [
        ("https://example.com", "https://example.com", "https://example.com:1"),
        ("HTTPS://Example.com", "https://example.com", "http://example.com"),
        ("https://*.example.com", "https://a.b.example.com", "https://example.com"),
        ("http://10.0.0.5:*", "http://10.0.0.5:3000", "http://10.0.0.5"),
        ("http://10.0.0.*", "http://10.0.0.77:8", "http://10.0.1.0"),
        ("http://a.b", "http://a.b", "http://axb"),
        ("chrome-extension://*", "chrome-extension://abc", "moz-extension://abc"),
        ("null", "null", "nul"),
    ],
)
def test_an_origin_that_is_configured_may_ask(entry: str, allowed: str, refused: str) -> None:
    assert is_allowed(allowed, entry)
    assert not is_allowed(refused, entry)
    assert is_allowed("http://localhost:3000", entry)


def test_every_origin_may_ask_where_a_star_says_so() -> None:
    everyone = gate(["*"], is_loopback=False)
    for origin in ("https://example.com", "null", "http://localhost"):
        verdict = everyone.judge(head("proxy", origin))
        assert (verdict.status, verdict.lines) == (None, b"Access-Control-Allow-Origin: *\r\n")
    verdict = everyone.judge(head("proxy", "https://example.com", b"OPTIONS"))
    assert verdict.status == 204
    assert verdict.lines.startswith(b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: ")
    assert b"Vary" not in verdict.lines


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("proxy:11434", "http://proxy:11434"),
        ("proxy:11434", "https://proxy:11434"),
        ("Proxy", "http://pROXY"),
        ("ollama.example.com", "https://ollama.example.com"),
        ("proxy", None),
        (None, None),
        ("proxy", ""),
    ],
)
def test_a_page_of_our_own_needs_no_permission(host: str | None, origin: str | None, method: bytes) -> None:
    verdict = gate(is_loopback=False).judge(head(host, origin, method))
    assert (verdict.status, verdict.lines) == (None, b"")


def test_an_origin_with_another_port_than_host_is_another_site() -> None:
    assert gate(is_loopback=False).judge(head("proxy:11434", "http://proxy:8080")).status == 403
    assert gate(is_loopback=False).judge(head(None, "http://proxy:8080")).status == 403


@pytest.mark.parametrize(
    "name", ["preflight-local", "preflight-foreign", "origin-local", "origin-foreign", "host-foreign"]
)
def test_verdicts_are_the_recorded_ones(name: str) -> None:
    recorded = case(NEWEST, name)
    verdict = gate().judge(recorded.request.head)
    expected = recorded.reply
    assert verdict.status == (None if expected.status == 200 else expected.status)
    wanted = [field for field in expected.fields if field[0].startswith((b"Access-Control-", b"Vary"))]
    said = [tuple(line.split(b": ", 1)) for line in verdict.lines.split(b"\r\n") if line]
    assert sorted(said) == sorted(wanted)


@pytest.mark.parametrize("is_loopback", [True, False])
def test_a_preflight_is_answered_whatever_it_asks_for(is_loopback: bool) -> None:
    verdict = gate(is_loopback=is_loopback).judge(head(origin="http://localhost:3000", method=b"OPTIONS"))
    assert verdict.status == 204
    assert b"Access-Control-Allow-Origin: http://localhost:3000\r\n" in verdict.lines
    assert b"Access-Control-Max-Age: 43200\r\n" in verdict.lines
    assert b"Access-Control-Allow-Credentials" not in verdict.lines


def test_no_origin_can_put_a_line_of_its_own_into_an_answer() -> None:
    for origin in ("http://localhost:\r\nX: y", "app://\n"):
        asked = head("proxy", "http://localhost")
        asked.names[b"origin"] = origin.encode()
        verdict = gate(is_loopback=False).judge(asked)
        assert (verdict.status, verdict.lines) == (403, b"")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:11434", "localhost:1", "127.0.0.1", "127.0.0.1:11434", "127.8.9.1", "[::1]",
        "[::1]:11434", "0.0.0.0:80", "[::]:11434", "10.1.2.3", "172.16.0.1:80", "192.168.1.5:11434",
        "[fd00::5]:80", "desk", "DESK:11434", "desk.local", "a.b.local:80", "x.localhost",
        "host.docker.internal:11434", "A.INTERNAL", None, "",
    ],
)  # fmt: skip
def test_on_a_loopback_address_names_of_this_machine_and_network_pass(host: str | None) -> None:
    verdict = gate().judge(head(host))
    assert (verdict.status, verdict.lines) == (None, b"")


@pytest.mark.parametrize(
    "host",
    [
        "example.com", "example.com:11434", "localhost.example.com", "evil-localhost", "local", "internal",
        "xlocal", "desk.example.com", "desk2", "8.8.8.8", "8.8.8.8:11434", "[2001:4860::1]", "1",
        "127.0.0.1.example.com", "127.0.0.1.nip.io", "localhost.", "256.0.0.1", "2130706433",
    ],
)  # fmt: skip
def test_on_a_loopback_address_other_names_are_forbidden(host: str) -> None:
    verdict = gate().judge(head(host))
    assert (verdict.status, verdict.lines) == (403, b"")
    assert gate().judge(head(host, "http://localhost:3000")).status == 403
    assert gate().judge(head(host, f"http://{host}")).status == 403


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "anything:1"])
def test_on_any_other_address_host_is_not_judged(host: str) -> None:
    assert gate(is_loopback=False).judge(head(host)).status is None
    assert gate(is_loopback=False).why_not_host(host.encode()) is None
    assert gate().why_not_host(host.encode()) is not None


def test_a_machine_may_have_several_names() -> None:
    filter_ = Gate((), is_loopback=True, port=1, hostnames=("desk", "Ops.Example"), is_own=lambda _: False)
    assert [filter_.why_not_host(host) for host in (None, b"", b"desk:1", b"ops.example:9")] == [None] * 4
    assert filter_.why_not_host(b"ops.example.com")


def test_an_address_of_this_machine_passes() -> None:
    ours = gate(own=["8.8.4.4", "2001:4860::2"])
    assert ours.judge(head("8.8.4.4:11434")).status is None
    assert ours.judge(head("[2001:4860:0:0::2]:11434")).status is None
    assert ours.judge(head("8.8.8.8")).status == 403


def test_a_foreign_origin_is_refused_before_host_is_looked_at() -> None:
    assert gate().judge(head("localhost", "https://example.com")).status == 403
    assert gate().judge(head("example.com", "http://localhost", b"OPTIONS")).status == 204


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11434", 204), ("desk", 204), ("x.local", 204), ("127.0.0.1:11434", None),
        ("[::1]", None), ("192.168.1.5", None), ("example.com", 403), (None, 204), ("", 204),
    ],
)  # fmt: skip
def test_options_without_an_origin_is_answered_for_names_only(host: str | None, status: int | None) -> None:
    """Where it is not, the route says 405."""
    assert gate().judge(head(host, method=b"OPTIONS")).status == status
    other = gate(is_loopback=False).judge(head(host, method=b"OPTIONS"))
    assert other.status is None


def test_what_a_verdict_says_is_whole_lines() -> None:
    for method in (b"GET", b"OPTIONS"):
        lines = gate().judge(head(origin="http://localhost", method=method)).lines
        assert lines.endswith(b"\r\n")
        assert lines.count(b"\r\n") == lines.count(b"\n") == lines.count(b": ")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.1.1", "203.0.113.7", "198.51.100.1", "192.0.2.1", "240.0.0.1", "198.18.0.1",
        "[2001:db8::1]", "[fe80::1]",
    ],
)  # fmt: skip
def test_private_is_what_go_calls_private(host: str) -> None:
    assert gate().judge(head(host)).status == 403
