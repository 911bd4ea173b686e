"""What of a request's head is accepted and passed on."""

from collections.abc import Callable

import pytest

from gollamas.wire import head as heads
from gollamas.wire.fields import connection_names
from gollamas.wire.head import BadHead, check_coding, content_length, forwarded, via
from gollamas.wire.message import Fields, Head
from tests.recorded import make_head
from tests.unit.wire.readers import LIMITS

HOST = (b"Host", b"a")


def check(method: bytes, target: bytes, version: str, fields: Fields) -> Head:
    """Check a head of these parts."""
    head = make_head(method, target, fields, version=version)
    heads.check(head, LIMITS)
    return head


def head_of(*fields: tuple[bytes, bytes], target: bytes = b"/", version: str = "1.1") -> Head:
    """Check a head with a Host and these fields."""
    return check(b"POST", target, version, [HOST, *fields])


def lines_of(*fields: tuple[bytes, bytes], configured: frozenset[bytes] = frozenset()) -> list[bytes]:
    """Give what a server gets of these fields."""
    return forwarded(head_of(*fields), configured).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""), (b"/api/chat?a=b&c", b"/api/chat", b"a=b&c"), (b"/?", b"/", b""),
        (b"/a?b?c", b"/a", b"b?c"), (b"/%41%2f;x='()", b"/%41%2f;x='()", b""), (b"//a", b"//a", b""),
        (b"/../a", b"/../a", b""), (b"http://a", b"/", b""), (b"HTTP://A/b?c", b"/b", b"c"),
        (b"http://a?b", b"/", b"b"), (b"http://a?b/c", b"/", b"b/c"),
        (b"/a?d=50%", b"/a", b"d=50%"), (b"/a?\xc3\xa9#x", b"/a", b"\xc3\xa9#x"),
        (b"/a?%00\\", b"/a", b"%00\\"),
        (b"http://a/?b/c", b"/", b"b/c"), (b"/http://b/", b"/http://b/", b""),
    ],
)  # fmt: skip
def test_a_target_is_a_path_and_a_query(target: bytes, path: bytes, query: bytes) -> None:
    head = head_of(target=target)
    assert (head.path, head.query) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        b"http://b/", b"http://a:80/", b"http://u@a/", b"https://a/", b"http:///", b"http:", b"*", b"a",
        b"a:80", b"/#", b"/\\", b"/%00", b"/%0", b"/ ", b"/\x80", b"/%?a", b"/#?a",
    ],
)  # fmt: skip
def test_no_other_target_is_read(target: bytes) -> None:
    with pytest.raises(BadHead) as caught:
        head_of(target=target)
    assert caught.value.status == 400


def test_an_absolute_target_needs_the_host_that_is_asked() -> None:
    with pytest.raises(BadHead):
        check(b"GET", b"http://a/", "1.0", [])
    assert check(b"GET", b"http://a:80/x", "1.1", [(b"host", b"A:80")]).path == b"/x"


@pytest.mark.parametrize(
    "host",
    [
        b"a", b"A.example", b"a-b.c:80", b"a:0", b"a:65535", b"a:", b"127.0.0.1:11434", b"[::1]",
        b"[::1]:80", b"a_b", b"a%20b", b"a~b", b"[fe80::1]:", b"a.", b"xn--e-ckb",
    ],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address_with_a_port(host: bytes) -> None:
    assert check(b"GET", b"/", "1.1", [(b"Host", host)]).get(b"host") == host


@pytest.mark.parametrize("host", [b"a,b", b"a b", b"u@a", b"a/", b"a:65536", b"a:x", b"[::1", b"[]", b":1"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_other_host_is_read(host: bytes, version: str) -> None:
    with pytest.raises(BadHead, match="malformed Host"):
        check(b"GET", b"/", version, [(b"Host", host)])


@pytest.mark.parametrize("host", [b"a", b"A.example:80", b"localhost:65535", b"127.0.0.1:11434"])
def test_a_usual_head_is_sound_before_all_its_names_are_looked_at(host: bytes) -> None:
    """To lay them out takes as long as all else that is done with a head."""
    fields = [(b"Host", host), (b"Content-Length", b"5"), (b"Content-Type", b"application/json")]
    head = check(b"POST", b"/api/chat", "1.1", fields)
    assert head._names is None
    assert head.get(b"content-type") == b"application/json"
    assert head._names


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_host_may_be_empty(version: str) -> None:
    assert check(b"GET", b"/", version, [(b"Host", b"")]).host == b""


def test_only_1_0_may_leave_the_host_out() -> None:
    with pytest.raises(BadHead, match="needs a Host"):
        check(b"GET", b"/", "1.1", [])
    assert check(b"GET", b"/", "1.0", []).is_http10


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Transfer-Encoding"])
def test_what_frames_a_request_stands_once(name: bytes) -> None:
    fields = [HOST, (name, b"5"), (name.lower(), b"5")]
    with pytest.raises(BadHead, match=f"more than one {name.decode()} field"):
        check(b"POST", b"/", "1.1", fields)


@pytest.mark.parametrize(
    ("method", "target", "version", "fields", "status"),
    [
        (b"GET", b"/", "2.0", [HOST], 505),
        (b"GET", b"/", "0.9", [HOST], 505),
        (b"CONNECT", b"/", "1.1", [HOST], 405),
        (b"TRACE", b"/", "1.1", [HOST], 405),
        (b"GET", b"/" * 8193, "1.1", [HOST], 414),
        (b"GET", b"/", "1.1", [HOST] + [(b"X", b"")] * 200, 431),
        (b"POST", b"/", "1.1", [HOST, (b"Content-Length", b"9" * 30)], 413),
        (b"POST", b"/", "1.1", [HOST, (b"Transfer-Encoding", b"gzip")], 501),
        (b"POST", b"/", "1.0", [(b"Transfer-Encoding", b"chunked")], 400),
        (b"POST", b"/", "1.1", [HOST, (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")], 400),
        (b"POST", b"/", "1.1", [HOST, (b"Expect", b"x")], 417),
    ],
)
def test_each_refusal_has_its_status_and_closes(
    method: bytes, target: bytes, version: str, fields: Fields, status: int
) -> None:
    with pytest.raises(BadHead) as caught:
        check(method, target, version, fields)
    assert caught.value.status == status
    assert caught.value.text


def test_limits_themselves_are_allowed() -> None:
    head = check(
        b"GET", b"/" * heads.MAX_TARGET_BYTES, "1.1", [HOST] + [(b"X", b"")] * (LIMITS.max_fields - 1)
    )
    assert len(head.path) == 8192
    assert head.lines == b"X: \r\n" * (LIMITS.max_fields - 1)


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        ("1.1", [], True), ("1.1", [b"close"], False), ("1.1", [b"X-A , CLOSE"], False),
        ("1.1", [b"keep-alive"], True), ("1.1", [b"", b"close"], False), ("1.1", [b"x-close"], True),
        ("1.0", [], False), ("1.0", [b"Keep-Alive"], True), ("1.0", [b"keep-alive, close"], False),
        ("1.0", [b"x"], False),
    ],
)  # fmt: skip
def test_close_wins_over_keep_alive(version: str, connection: list[bytes], keeps_alive: bool) -> None:
    head = head_of(*((b"Connection", value) for value in connection), version=version)
    assert head.keep_alive is keeps_alive


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0), (b"5", 5), (b"0" * 40 + b"5", 5), (b" \t7\t ", 7),
        (b"9223372036854775807", (1 << 63) - 1), (b"000", 0),
    ],
)  # fmt: skip
def test_a_length_is_digits(value: bytes, length: int) -> None:
    assert content_length(value) == length
    assert head_of((b"Content-Length", value)).length == length


@pytest.mark.parametrize(
    "value", [b"", b"+1", b"-1", b"1,1", b"0x1", b"1_0", b"\xb2", b"1 1", b"9" * 30 + b"x"]
)
def test_anything_else_is_no_length(value: bytes) -> None:
    with pytest.raises(BadHead, match="no number"):
        content_length(value)


@pytest.mark.parametrize("value", [b"9223372036854775808", b"1" * 20, b"9" * 5000])
def test_a_length_that_no_integer_holds_is_too_large(value: bytes) -> None:
    with pytest.raises(heads.LengthTooLarge):
        content_length(value)


@pytest.mark.parametrize("value", [b"chunked", b"CHUNKED", b"\t chunked "])
def test_chunked_is_the_only_coding(value: bytes) -> None:
    check_coding(value)
    assert head_of((b"Transfer-Encoding", value)).is_chunked


@pytest.mark.parametrize("value", [b"gzip", b"gzip, chunked", b"xchunked", b"identity", b"chunked,chunked"])
def test_another_coding_is_unknown(value: bytes) -> None:
    with pytest.raises(heads.UnknownCoding):
        check_coding(value)


@pytest.mark.parametrize(
    "value", [b"", b",chunked", b"chunked,", b'"chunked"', b"\xa0chunked", b"\x0bchunked"]
)
def test_what_is_no_coding_is_malformed(value: bytes) -> None:
    with pytest.raises(BadHead, match="malformed"):
        check_coding(value)


def test_an_expectation_counts_only_in_1_1() -> None:
    assert head_of((b"Expect", b" 100-CONTINUE ")).expects_continue
    assert not head_of((b"Expect", b"100-continue"), version="1.0").expects_continue
    assert not head_of((b"Expect", b"anything"), version="1.0").expects_continue
    assert not head_of().expects_continue


def test_fields_of_one_name_are_one_value() -> None:
    head = head_of((b"Accept", b"a"), (b"X", b"1"), (b"accept", b"b"))
    assert head.names == {b"host": b"a", b"accept": b"a, b", b"x": b"1"}
    assert head.get(b"accept") == b"a, b"
    assert head.get(b"other") is None


@pytest.mark.parametrize("spelt", [bytes.title, bytes.lower, bytes.upper, bytes.swapcase])
def test_what_is_meant_for_this_hop_is_not_passed_on(spelt: Callable[[bytes], bytes]) -> None:
    ours = [
        b"Connection", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Authorization", b"Proxy-Connection",
        b"TE", b"Trailer", b"Upgrade", b"Origin", b"Accept-Encoding", b"Content-Encoding", b"Via",
        b"X-Request-Id", b"X-Forwarded-For", b"X-Gollamas-Server", b"EXPECT",
    ]  # fmt: skip
    fields = [(spelt(name), b"100-continue") for name in ours]
    assert lines_of(*fields, (spelt(b"Content-Length"), b"0"), (b"X-Kept", b"1")) == [b"X-Kept: 1\r\n"]
    assert lines_of((spelt(b"Transfer-Encoding"), b"chunked")) == []


def test_what_connection_names_is_not_passed_on() -> None:
    named = [
        (b"Connection", b""),
        (b"Connection", b"X-Secret ,close"),
        (b"X-Secret", b"1"),
        (b"x-secret", b"2"),
    ]
    assert lines_of(*named, (b"X", b"3")) == [b"X: 3\r\n"]


def test_connection_takes_nothing_away_that_every_hop_needs() -> None:
    named = (b"Connection", b"Authorization, Host, Content-Length, Content-Type, X")
    gone = [(b"Authorization", b"Bearer x"), (b"X", b"")]
    assert lines_of(named, (b"Content-Type", b"text/plain"), *gone) == [b"Content-Type: text/plain\r\n"]
    head = check(b"POST", b"/", "1.1", [HOST, (b"Connection", b"content-length"), (b"Content-Length", b"5")])
    assert head.length == 5


def test_fields_pass_in_their_order_and_spelling() -> None:
    fields = [(b"User-Agent", b"curl/8 (x)"), (b"x-A", b"caf\xe9"), (b"X-a", b""), (b"Accept", b"*/*")]
    assert lines_of(*fields) == [
        b"User-Agent: curl/8 (x)\r\n",
        b"x-A: caf\xe9\r\n",
        b"X-a: \r\n",
        b"Accept: */*\r\n",
    ]
    assert lines_of(*fields[:2]) == [b"User-Agent: curl/8 (x)\r\n", b"x-A: caf\xe9\r\n"]


def test_a_configured_field_replaces_the_clients() -> None:
    configured = frozenset({b"authorization"})
    assert lines_of((b"AUTHORIZATION", b"x"), (b"X", b"1"), configured=configured) == [b"X: 1\r\n"]
    repeated = [(b"X", b"1"), (b"x", b"2"), (b"Authorization", b"x")]
    assert lines_of(*repeated, configured=configured) == [b"X: 1\r\n", b"x: 2\r\n"]


def test_connection_names_leave_out_what_every_hop_needs() -> None:
    assert connection_names(b"close, X-A ,Content-Type,Authorization,\tTE") == {
        b"x-a",
        b"te",
        b"authorization",
    }


def test_we_stand_at_the_end_of_via() -> None:
    assert via(head_of(), b"me") == b"1.1 me"
    assert (
        via(head_of((b"Via", b"1.0 fred, 1.1 p.example.net")), b"me")
        == b"1.0 fred, 1.1 p.example.net, 1.1 me"
    )
    assert via(head_of((b"Via", b"1.1 x"), version="1.0"), b"me") == b"1.1 x, 1.0 me"


@pytest.mark.parametrize("chain", [b"1.1 me", b"1.0 x, 1.1 me", b"1.1 me (gollamas), 1.1 x", b"HTTP/1.1\tme"])
def test_a_request_that_passed_here_is_a_loop(chain: bytes) -> None:
    assert via(head_of((b"Via", chain)), b"me") is None
    assert via(head_of((b"Via", b"1.1 x"), (b"via", chain)), b"me") is None


def test_a_name_that_only_holds_ours_is_no_loop() -> None:
    assert via(head_of((b"Via", b"1.1 some")), b"me") == b"1.1 some, 1.1 me"


@pytest.mark.parametrize("name", [b"Authorization", b"authorization", b"AUTHORIZATION"])
def test_authorization_is_noted_passed_on_and_makes_no_head_unusual(name: bytes) -> None:
    head = head_of((name, b"Bearer 1"), (b"X", b"y"))
    assert (head.authorization, head.is_plain) == (b"Bearer 1", True)
    assert forwarded(head, frozenset()) == name + b": Bearer 1\r\nX: y\r\n"
    assert not head_of((name, b"Bearer 1"), (name, b"Bearer 2")).is_plain
    assert head_of((b"X", b"y")).authorization is None
