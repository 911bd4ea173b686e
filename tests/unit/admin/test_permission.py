"""Who may change the state of a running proxy: the token, and pages of other sites."""

import pytest

from gollamas.admin.permission import Permission
from tests.recorded import make_head

HOST = (b"Host", b"proxy.lan:11435")
TOKEN = "s3cret-\u00fc"
BEARER = (b"Authorization", f"Bearer {TOKEN}".encode())


def why_not(
    *fields: tuple[bytes, bytes], token: str | None = None, is_loopback: bool = True, version: str = "1.1"
) -> str | None:
    """Judge a POST with these fields."""
    head = make_head(b"POST", b"/variants/prune", list(fields), version=version)
    return Permission(token, is_loopback=is_loopback).why_not(head)


def test_on_a_loopback_address_without_a_token_everybody_may() -> None:
    """Also somebody who sends a token that nobody asked for."""
    assert why_not(HOST) is None
    assert why_not(HOST, BEARER) is None


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("fields", [(), (BEARER,), ((b"Authorization", b"Bearer "),)])
def test_elsewhere_without_a_token_nobody_may(
    token: str | None, fields: tuple[tuple[bytes, bytes], ...]
) -> None:
    why = why_not(HOST, *fields, token=token, is_loopback=False)
    assert why is not None
    assert "set admin_token (GOLLAMAS_ADMIN_TOKEN)" in why


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
@pytest.mark.parametrize("between", [b" ", b"   "])
def test_whoever_has_the_token_may_everywhere(is_loopback: bool, scheme: bytes, between: bytes) -> None:
    field = (b"authorization", scheme + between + TOKEN.encode())
    assert why_not(HOST, field, token=TOKEN, is_loopback=is_loopback) is None


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize(
    "sent",
    [
        [], [b""], [b"Bearer"], [b"Bearer "], [b"Bearer wrong"],
        [TOKEN.encode()], [b"Basic " + TOKEN.encode()], [b"Bearer" + TOKEN.encode()],
        [BEARER[1] + b"x"], [BEARER[1][:-1]], [BEARER[1] + b", " + BEARER[1]],
        [b"Bearer x " + TOKEN.encode()],
        [b"Bearer " + TOKEN.upper().encode()], [b"Bearer " + TOKEN.encode("latin-1")],
        [BEARER[1], BEARER[1]], [b"Bearer wrong", BEARER[1]],
    ],
)  # fmt: skip
def test_whoever_lacks_the_token_may_not_where_there_is_one(is_loopback: bool, sent: list[bytes]) -> None:
    """A field that stands twice is none either: two readers could see two tokens in it."""
    fields = [(b"Authorization", value) for value in sent]
    why = why_not(HOST, *fields, token=TOKEN, is_loopback=is_loopback)
    assert why is not None
    assert "GOLLAMAS_ADMIN_TOKEN" in why
    assert TOKEN not in why


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://proxy.lan:11435", b"proxy.lan:11435"),
        (b"HTTP://Proxy.LAN:11435", b"pRoxy.lan:11435"),
        (b"https://proxy.lan:11435", b"proxy.lan:11435"),
        (b"http://[::1]:11435", b"[::1]:11435"),
        (b"http://proxy.lan", b"proxy.lan"),
        (b"http://proxy.lan", b"proxy.lan:80"),
        (b"https://proxy.lan", b"proxy.lan"),
        (b"https://proxy.lan:443", b"proxy.lan"),
    ],
)
def test_a_page_of_this_address_may(origin: bytes, host: bytes) -> None:
    """As far as anybody may."""
    fields = ((b"Host", host), (b"Origin", origin))
    assert why_not(*fields) is None
    assert why_not(*fields, BEARER, token=TOKEN, is_loopback=False) is None
    assert why_not(*fields, token=TOKEN) is not None


@pytest.mark.parametrize(
    "origin",
    [
        b"", b"null", b"http://evil", b"http://proxy.lan", b"http://proxy.lan:11434", b"http://lan:11435",
        b"https://proxy.lan", b"http://proxy.lan:11435.evil", b"http://proxy.lan:11435/",
        b"//proxy.lan:11435", b"proxy.lan:11435", b"ftp://proxy.lan:11435", b"app://proxy.lan:11435",
        b"http://evil@proxy.lan:11435", b"http://proxy.lan:11435, http://evil", b"http://proxy.lan:x",
        b"http://", b"http://a:b:c",
    ],
)  # fmt: skip
def test_a_page_of_another_site_may_nothing_even_with_the_token(origin: bytes) -> None:
    for token, is_loopback in ((None, True), (TOKEN, True), (TOKEN, False)):
        why = why_not(HOST, (b"Origin", origin), BEARER, token=token, is_loopback=is_loopback)
        assert why == f"Origin {origin.decode()} is another site, which may change nothing here"


@pytest.mark.parametrize("host", [None, b"", b"a:b:c"])
def test_without_a_host_no_page_is_of_this_address(host: bytes | None) -> None:
    fields = () if host is None else ((b"Host", host),)
    for origin in (b"http://", b"http://a:b:c", b"http://proxy.lan:11435"):
        assert why_not(*fields, (b"Origin", origin), version="1.0") is not None


def test_an_origin_of_any_length_makes_a_short_sentence() -> None:
    why = why_not(HOST, (b"Origin", b"http://" + b"e" * 60_000))
    assert why is not None
    assert len(why) < 400
