"""Requests out of bytes: what is refused, what is read, and that pieces make no difference."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gollamas.errors import BodyTooLarge, NotServed, ProxyError, UploadsFull
from gollamas.wire.framing import too_large
from gollamas.wire.head import HeadTooLarge, TargetTooLong
from gollamas.wire.message import LARGE_BYTES, Budget
from gollamas.wire.request import RequestReader
from tests.unit.wire.framing import BODY, REFUSED, chunked, get, post
from tests.unit.wire.readers import LIMITS, Alike, first_request, one_by_one, refusal_of, requests_of


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused_and_ends_the_connection(name: str) -> None:
    request, statuses = REFUSED[name]
    seen = requests_of([request])
    assert seen.requests == []
    assert seen.status in statuses
    assert seen.error is not None


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused_alike_byte_by_byte(name: str) -> None:
    request, _ = REFUSED[name]
    assert requests_of(one_by_one(request)) == requests_of([request])


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (get(b"/"), b""),
        (post(b""), b""),
        (post(b"Content-Length: 5\r\n", b"hello"), b"hello"),
        (post(b"Content-Length:5\r\n", b"hello"), b"hello"),
        (post(b"Content-Length: \t 0000000000000000000000000005 \t\r\n", b"hello"), b"hello"),
        (post(b"Content-Length: 0\r\n"), b""),
        (b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (chunked(BODY), b"hello"),
        (post(b"transfer-encoding: \t CHUNKED  \r\n", BODY), b"hello"),
        (chunked(b"0\r\n\r\n"), b""),
        (chunked(b"0000000000000005\r\nhello\r\n000\r\n\r\n"), b"hello"),
        (chunked(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), b"0123456789" * 2),
        (chunked(b'1;a\r\nx\r\n1;a=b;c="d;\\"e"\r\ny\r\n1;a = b\r\nz\r\n0;last\r\n\r\n'), b"xyz"),
        (chunked(b"2\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n"), b"\r\n0\r"),
        (chunked(b"0\r\nX-Sum: 1\r\ny:\r\nZ: \xc3\xa9\t\r\n\r\n"), b""),
        (chunked(b"0\r\n" + b"X: y\r\n" * 100 + b"\r\n"), b""),
        (chunked(b"5;" + b"a" * 16_000 + b"\r\nhello\r\n0\r\n\r\n"), b"hello"),
        (b"\r\n" * 16 + get(b"/"), b""),
        (get(b"/" + b"a" * 8191), b""),
        (post(b"X: " + b"a" * 16_000 + b"\r\n"), b""),
        (post(b"".join(b"X%d: a\r\n" % n for n in range(99))), b""),
        (get(b"/", b"[::1]:11434"), b""),
        (get(b"/", b"a:"), b""),
        (b"GET http://a/ HTTP/1.1\r\nHost: A\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \t caf\xe9 \t\r\nY:\r\n\r\n", b""),
    ],
)
def test_a_sound_request_is_read_whole_and_byte_by_byte(request_: bytes, body: bytes) -> None:
    whole = first_request([request_ + b"behind"])
    assert whole[1:] == (body, b"behind")
    assert first_request(one_by_one(request_ + b"behind")) == whole


def test_a_head_says_how_its_body_and_its_connection_end() -> None:
    head, _, _ = first_request([post(b"Content-Length: 5\r\nConnection: Close\r\n", b"hello")])
    assert (head.method, head.path, head.query) == (b"POST", b"/api/chat", b"")
    assert (head.length, head.is_chunked, head.keep_alive, head.is_http10) == (5, False, False, False)
    head, _, _ = first_request([chunked(BODY)])
    assert (head.length, head.is_chunked, head.keep_alive) == (0, True, True)


def test_fields_are_kept_as_they_were_sent_and_trailers_are_dropped() -> None:
    head, _, _ = first_request(
        [post(b"transfer-ENCODING: Chunked\r\nx-A: 1\r\nX-a: 2\r\n", b"0\r\nX-B: 3\r\n\r\n")]
    )
    assert head.lines == b"x-A: 1\r\nX-a: 2\r\n"
    assert head.get(b"transfer-encoding") == b"Chunked"
    assert head.get(b"x-a") == b"1, 2"
    assert head.get(b"x-b") is None


USUAL = [
    get(b"/"),
    post(b"Content-Length: 5\r\n", b"hello"),
    post(b"Content-Length: 9000\r\n", b"x" * 9000),
    post(b"Proxy-Connection: close\r\n"),
    chunked(BODY),
]


@pytest.mark.parametrize("usual", USUAL)
@pytest.mark.parametrize("name", REFUSED)
def test_a_request_before_it_makes_nothing_ambiguous_sound(name: str, usual: bytes) -> None:
    request, _ = REFUSED[name]
    for pieces in ([usual, request], [usual + request]):
        seen = requests_of(pieces)
        assert len(seen.requests) == 1
        assert seen.error is requests_of([request]).error


def test_any_usual_request_may_follow_any_other() -> None:
    for first in USUAL:
        for second in USUAL:
            seen = requests_of([first, second, first + second])
            assert (len(seen.requests), seen.error) == (4, None)


@pytest.mark.parametrize("count", [3, 2_000])
def test_requests_behind_one_another_are_read_in_order(count: int) -> None:
    pipeline = b"".join(post(b"Content-Length: %d\r\n" % len(b"%d" % n), b"%d" % n) for n in range(count))
    seen = requests_of([pipeline])
    assert seen.bodies == [b"%d" % n for n in range(count)]
    assert seen.error is None


def test_a_request_is_parsed_no_further_than_its_end() -> None:
    """A faulty second request is not looked at before it is asked for."""
    reader = RequestReader(LIMITS)
    rest = reader.feed(post(b"Content-Length: 2\r\n", b"{}") + b"nonsense\r\n\r\n", Alike(10))
    assert (reader.body, rest) == (b"{}", b"nonsense\r\n\r\n")
    reader.next()
    with pytest.raises(ProxyError):
        reader.feed(b"nonsense\r\n\r\n", Alike(10))


def test_sound_requests_before_a_faulty_one_are_read() -> None:
    seen = requests_of([get(b"/1") + get(b"/2") + get(b"/ 3") + get(b"/4")])
    assert [head.path for head, _ in seen.requests] == [b"/1", b"/2"]
    assert seen.status == 400


def test_a_reader_says_how_far_a_request_has_come() -> None:
    reader, room = RequestReader(LIMITS), Alike(10)
    assert reader.feed(b"POST / HTTP/1.1\r\n", room) is None
    assert reader.head_bytes == 17
    assert reader.feed(b"Host: a\r\nContent-Length: 5\r\n\r\nhel", room) is None
    assert reader.head is not None
    assert reader.head_bytes == 0
    assert reader.feed(b"lo", room) == b""
    assert reader.body == b"hello"
    reader.next()
    assert not reader.body


@pytest.mark.parametrize("start", [b"\r", b"\r\n", b"\r\n\r"])
def test_an_empty_line_may_come_in_parts(start: bytes) -> None:
    reader, room = RequestReader(LIMITS), Alike(10)
    assert reader.feed(start, room) is None
    assert reader.feed((b"\n" if start.endswith(b"\r") else b"") + get(b"/") + b"x", room) == b"x"


@pytest.mark.parametrize("way", ["length", "chunked"])
def test_a_request_is_judged_once_by_its_head_before_its_body(way: str) -> None:
    fields, body = (
        (b"Content-Length: 5\r\n", b"hello") if way == "length" else (b"Transfer-Encoding: chunked\r\n", BODY)
    )
    for data in one_by_one(post(fields, body)), [post(fields), body], [post(fields, body)]:
        room = Alike(10)
        reader = RequestReader(LIMITS)
        assert [reader.feed(piece, room) for piece in data] == [None] * (len(data) - 1) + [b""]
        assert [head.path for head in room.told] == [b"/api/chat"]


@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_head_that_is_refused_is_refused_before_its_body_is_read(fields: bytes) -> None:
    with pytest.raises(NotServed):
        RequestReader(LIMITS).feed(post(fields), Alike(10, refusal=NotServed("no")))


def test_a_body_that_came_with_a_head_is_read_whatever_becomes_of_it() -> None:
    reader = RequestReader(LIMITS)
    assert reader.feed(post(b"Content-Length: 5\r\n", b"hello!"), Alike(5, refusal=NotServed("no"))) == b"!"
    assert reader.body == b"hello"


@pytest.mark.parametrize("size", [9, 10])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_budget_gets_back_what_a_body_held(size: int, is_chunked: bool) -> None:
    budget = Budget(10)
    body = b"a" * size
    data = (
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
        if is_chunked
        else post(b"Content-Length: %d\r\n" % size, body)
    )
    for _ in range(2):
        reader = RequestReader(LIMITS)
        assert reader.feed(data[:-1], Alike(10, budget)) is None
        assert not budget.take(2)
        other = RequestReader(LIMITS)
        with pytest.raises(UploadsFull):
            other.feed(data[:-1], Alike(10, budget))
        other.give_up()
        assert reader.feed(data[-1:], Alike(10, budget)) == b""
        assert reader.body == body
        assert not budget.take(2)  # it is held as long as it is answered
        reader.next()
    assert budget.take(10)


@pytest.mark.parametrize("request_", [post(b"Content-Length: 11\r\n"), chunked(b"5\r\nhello\r\n6\r\n")])
def test_a_body_over_the_limit_is_refused_before_it_is_read(request_: bytes) -> None:
    assert requests_of([request_], limit=10).error is BodyTooLarge
    assert requests_of(one_by_one(request_), limit=10).error is BodyTooLarge


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert requests_of([post(b"Content-Length: 10\r\n", b"0123456789")], limit=10).bodies == [b"0123456789"]
    assert requests_of([chunked(b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n")], limit=10).bodies == [
        b"0123456789"
    ]


def test_an_expectation_is_told_with_the_head() -> None:
    room = Alike(10)
    assert RequestReader(LIMITS).feed(post(b"Expect: 100-Continue\r\nContent-Length: 5\r\n"), room) is None
    assert room.told[0].expects_continue


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_an_upgrade_is_read_as_the_request_that_it_is(body: bytes) -> None:
    fields = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    request = post(fields + b"Content-Length: %d\r\n" % len(body), body)
    head, read, rest = first_request([request + get(b"/")])
    assert (read, rest) == (body, get(b"/"))
    assert head.keep_alive
    assert head.hop_names >= {b"upgrade", b"http2-settings"}
    assert first_request(one_by_one(request + get(b"/"))) == (head, read, rest)


def test_many_small_chunks_are_one_body() -> None:
    assert requests_of([chunked(b"1\r\nx\r\n" * 65_536 + b"0\r\n\r\n")]).bodies == [b"x" * 65_536]


def test_an_endless_first_line_is_a_long_target_and_endless_fields_are_a_large_head() -> None:
    assert isinstance(refusal_of(b"GET /" + b"a" * 66_000), TargetTooLong)
    assert isinstance(refusal_of(get(b"/")[:-2] + b"X: " + b"a" * 66_000), HeadTooLarge)


def test_an_endless_chunk_line_is_refused_before_it_ends() -> None:
    assert refusal_of(chunked(b"5;" + b"a" * 17_000)).status == 400
    assert refusal_of(chunked(b"0\r\nX: " + b"a" * 17_000)).status == 400


def test_the_error_for_a_long_body_names_the_limit_and_the_option() -> None:
    error = too_large(10, "max_body")
    assert error.status == 413
    assert error.text == "the request body is larger than 10 bytes: raise max_body to allow it"


def test_a_refusal_says_what_is_wrong() -> None:
    assert refusal_of(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n").text == "HTTP/2.0 is not supported: use HTTP/1.1"
    assert "HTTP/2" in refusal_of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").text
    assert refusal_of(b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n").text == "unknown method"


@pytest.mark.parametrize("start", [b"\x16", b"\x16\x03", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_tls_to_a_plain_port_is_named_so(start: bytes) -> None:
    error = refusal_of(start)
    assert error.status == 400
    assert error.text.startswith("the client speaks TLS (https) to a plain http port: use http://")


@pytest.mark.parametrize("start", [b"\x16\x02\x00", b"\x15\x03\x01\x00", b"\x80\x2e\x01"])
def test_other_bytes_are_an_unknown_method(start: bytes) -> None:
    assert refusal_of(start).text == "unknown method"
    assert refusal_of(b"\nGET").text == "malformed request: a line that ends without CRLF"


def test_a_blank_before_a_chunk_extension_is_refused() -> None:
    assert requests_of([chunked(b"5 ;a\r\nhello\r\n0\r\n\r\n")]).status == 400


@pytest.mark.parametrize("length", range(16_376, 16_390))
def test_a_long_chunk_extension_has_one_verdict_however_it_is_split(length: int) -> None:
    request = chunked(b"5;" + b"a" * (length - 1) + b"\r\nhello\r\n0\r\n\r\n")
    assert requests_of(one_by_one(request)) == requests_of([request])


@pytest.mark.parametrize("length", [*range(16_370, 16_390), 20_000])
def test_a_long_trailer_has_one_verdict_however_it_is_split(length: int) -> None:
    request = chunked(b"0\r\nX: " + b"a" * length + b"\r\n\r\n")
    assert requests_of(one_by_one(request)) == requests_of([request])


def test_trailers_of_more_than_16_kib_are_refused() -> None:
    assert requests_of([chunked(b"0\r\n" + b"X: %b\r\n" % (b"a" * 2000) * 20 + b"\r\n")]).status == 400


def test_a_method_and_a_path_are_known_of_a_head_that_is_refused() -> None:
    for data, method, asked in (
        (get(b"/x?secret")[:-2] + b"b c: d\r\n\r\n", b"GET", ("GET", "/x")),
        (b"HEAD /y HTTP/1.1\r\n\r\n", b"HEAD", ("HEAD", "/y")),
        (b"\x16\x03\x01", b"", None),
    ):
        for pieces in ([data], one_by_one(data)):
            reader = RequestReader(LIMITS)
            with suppress(ProxyError):
                for piece in pieces:
                    assert reader.feed(piece, Alike(10)) is None
            assert reader.asked == asked
            assert reader.method in (method, b"")


@pytest.mark.parametrize("query", [b"d=50%", b"\xc3\xa9", b"#x", b"\xff#?"])
def test_a_query_may_hold_what_no_url_has(query: bytes) -> None:
    data = get(b"/a?" + query)
    for pieces in ([data], one_by_one(data)):
        head, _, rest = first_request(pieces)
        assert (head.path, head.query, rest) == (b"/a", query, b"")


def test_a_body_that_came_with_its_head_counts_toward_its_budget() -> None:
    room = Alike(100, Budget(10))
    data = post(b"Content-Length: 10\r\n", b"0123456789")
    first, second = RequestReader(LIMITS), RequestReader(LIMITS)
    assert first.feed(data, room) == b""
    assert first.body == b"0123456789"
    with pytest.raises(UploadsFull):
        second.feed(data, room)
    first.next()
    assert RequestReader(LIMITS).feed(data, room) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="its list of a process's memory")
def test_a_large_body_takes_no_shared_memory() -> None:
    """Which is slower to fill and to free."""
    shared = Path("/proc/self/maps").read_bytes().count(b"/dev/zero")
    reader = RequestReader(LIMITS)
    body = b"a" * (LARGE_BYTES + 1)
    assert reader.feed(post(b"Content-Length: %d\r\n" % len(body), body[:-1]), Alike()) is None
    assert Path("/proc/self/maps").read_bytes().count(b"/dev/zero") == shared
    assert reader.feed(body[-1:], Alike()) == b""
    assert bytes(reader.body) == body
