"""The URLs of servers: what they mean, and that no fault shows a password."""

import base64

import pytest

from gollamas.config.address import ServerUrl, looks_like_server, parse_url, shown, slip_in
from gollamas.config.faults import Fault, Unusable
from gollamas.config.model import Address


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://gpu-1:11434", ("http", "gpu-1", 11434, "")),
        ("http://gpu-1:11434/", ("http", "gpu-1", 11434, "")),
        ("http://gpu-1", ("http", "gpu-1", 80, "")),
        ("HTTPS://GPU-1.Example/ollama/", ("https", "gpu-1.example", 443, "/ollama")),
        ("gpu-1:11434", ("http", "gpu-1", 11434, "")),
        ("gpu_1:11434/a/b", ("http", "gpu_1", 11434, "/a/b")),
        ("[::1]:11434", ("http", "::1", 11434, "")),
        ("http://[2001:DB8::1]", ("http", "2001:db8::1", 80, "")),
        ("http://10.0.0.1:11434/a%20b", ("http", "10.0.0.1", 11434, "/a%20b")),
        ("http://b\u00fccher.example:1", ("http", "xn--bcher-kva.example", 1, "")),
    ],
)
def test_a_url_names_a_target(text: str, target: tuple[str, str, int, str]) -> None:
    """Scheme, host in lower case, the scheme's own port, prefix without its last slash."""
    assert parse_url(text) == ServerUrl(*target, b"")


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        ("http://user:pass@h:1", b"user:pass"),
        ("user:pass@h:1", b"user:pass"),
        ("http://user@h", b"user:"),
        ("http://a%40b:p%2F%3A%2C@h", b"a@b:p/:,"),
        ("http://u:p:q@h", b"u:p:q"),
        ("http://u:%C3%BC@h", b"u:\xc3\xbc"),
        ("http://u:a@b@h", b"u:a@b"),
    ],
)
def test_user_info_becomes_basic_authorization(text: str, credentials: bytes) -> None:
    """Percent-decoded and in base64, with the last `@` before the host."""
    assert parse_url(text).authorization == b"Basic " + base64.b64encode(credentials)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu-1",
        "localhost",
        "ftp://h",
        "ws://h:1",
        "http://",
        "http:///x",
        "http://:11434",
        "http://h:0",
        "http://h:65536",
        "http://h:x",
        "http://h:\u0661",
        "http://h?a=b",
        "http://h#a",
        "http://h/a//b",
        "http://h/../b",
        "http://h/a%zz",
        "http://h/a b",
        "http://h\n:1",
        "http://a..b",
        "http://-a",
        "http://a*b",
        "http://::1:11434",
        "http://[::1",
        "http://[zz]:1",
        "http://\u2e2e.example\u3002\u3002:1",
        "http://h\\a:1",
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    """Each says what to write."""
    with pytest.raises(Unusable) as caught:
        parse_url(text)
    assert caught.value.instead.startswith("Write")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("http:/gpu-1:11434", "http://gpu-1:11434"),
        ("http//gpu-1:11434", "http://gpu-1:11434"),
        ("http:gpu-1:11434", "http://gpu-1:11434"),
        ("http;//gpu-1", "http://gpu-1"),
        ("http:\\\\gpu-1", "http://gpu-1"),
        ("http:///gpu-1", "http://gpu-1"),
        ("http:////gpu-1/x", "http://gpu-1/x"),
        ("http://http://gpu-1", "http://gpu-1"),
        ("http://https://gpu-1", "https://gpu-1"),
        ("HTTPS//gpu-1", "https://gpu-1"),
        ("htp://gpu-1:1", "http://gpu-1:1"),
        ("htpps://gpu-1", "https://gpu-1"),
        ("http:/user:hunter2@h", "http://***@h"),
        ("gpu-1", "http://gpu-1:11434"),
        ("gpu-1/ollama", "http://gpu-1:11434/ollama"),
    ],
)
def test_a_slip_in_a_url_says_which_is_meant(text: str, meant: str) -> None:
    """And it is known for a server's address wherever one may stand, so that it is no id and no verb."""
    with pytest.raises(Unusable) as caught:
        parse_url(text)
    assert caught.value.instead == f"Write `{meant}`"
    assert "hunter2" not in caught.value.what
    assert looks_like_server(text) is not text.startswith("gpu")


@pytest.mark.parametrize("text", ["http://h", "http:11434", "http://h//x", "https://http:1", "http-1:11434"])
def test_what_only_looks_like_a_slip_is_none(text: str) -> None:
    """A host may be called http."""
    assert slip_in(text) is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("http://h:1/x", "http://h:1/x"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("http://u:p@h:1/x", "http://***@h:1/x"),
        ("c=http://u:p@h", "c=http://***@h"),
        ("u:p@h:1", "***@h:1"),
        ("http://u:p", "http://u:***"),
        ("http://u:99999/x", "http://u:***"),
        ("http://http://u:p@h", "http://http://***@h"),
        ("gpu-1", "gpu-1"),
        ("llama3.2:8b", "llama3.2:8b"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(text: str, seen: str) -> None:
    """User info, and a port that is none: a password whose `@` is missing looks like it."""
    assert shown(text) == seen


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{SECRET}@h:x",
        f"http://user:{SECRET}@h:1?q",
        f"ftp://user:{SECRET}@h",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}/x@h:1",
        f"http://user:{SECRET}#x@h:1",
        f"http://user:{SECRET} x@h:1",
        f"http://user:{SECRET}",
        f"http://us:er:{SECRET}@h/a//b",
        f"user:{SECRET}@h",
        f"http://{SECRET}@a..b",
    ],
)
def test_no_fault_shows_user_info(text: str) -> None:
    """Whatever is wrong with a URL, its password is not printed."""
    with pytest.raises(Unusable) as caught:
        parse_url(text)
    fault = str(Fault("--connection", caught.value.what, caught.value.instead))
    assert SECRET not in fault


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("http://H", "h:80"),
        ("https://h/a/", "h:443/a"),
        ("http://[::1]:1", "[::1]:1"),
        ("http://u:p@h", "h:80"),
    ],
)
def test_a_target_is_called_host_and_port(text: str, name: str) -> None:
    """With its prefix, and without user info."""
    assert parse_url(text).name == name


@pytest.mark.parametrize(
    ("text", "is_server"),
    [
        ("http://a", True),
        ("a:1", True),
        ("[::1]:1/x", True),
        ("u:p@a:1", True),
        ("a", False),
        ("llama3.2:latest", False),
        ("srve", False),
        (":11434", False),
        ("", False),
        ("::1", False),
    ],
)
def test_a_server_has_a_scheme_or_a_port(text: str, is_server: bool) -> None:
    """Other words are ids, verbs or mistakes."""
    assert looks_like_server(text) is is_server


@pytest.mark.parametrize(
    ("host", "clients"),
    [
        ("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("localhost", "localhost"),  # noqa: S104
        ("192.0.2.1", "192.0.2.1"),
    ],
)  # fmt: skip
def test_clients_on_this_machine_reach_every_address_by_loopback(host: str, clients: str) -> None:
    assert Address(host=host, port=1).for_clients == Address(host=clients, port=1)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        *(
            (host, True)
            for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1")
        ),
        *((host, False) for host in ("", "0.0.0.0", "::", "192.0.2.1", "localhost.lan", "127.lan")),  # noqa: S104
    ],
)
def test_an_address_is_loopback_by_its_words(host: str, *, is_loopback: bool) -> None:
    """No name is looked up: another one may be any machine's."""
    assert Address(host=host, port=1).is_loopback is is_loopback
