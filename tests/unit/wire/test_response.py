"""Answers of servers out of bytes: where they end, what is refused, what is passed on."""

import pytest

from gollamas.wire.response import BadAnswer, Ends, ResponseReader, end_to_end
from tests.unit.wire.readers import answer_of, cut_at, one_by_one

CHUNKS = b"5\r\nhello\r\n1;x\r\n!\r\n0\r\n\r\n"
NEXT = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nleak"


def answer(fields: bytes = b"", body: bytes = b"", start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Make an answer out of ready field lines and a body."""
    return start + b"\r\n" + fields + b"\r\n" + body


LENGTH = answer(b"Content-Length: 5\r\nX-A: 1\r\n", b"hello")
CHUNKED = answer(b"Transfer-Encoding: chunked\r\n", CHUNKS)
CLOSE = answer(b"Content-Type: text/plain\r\n", b"hello")


@pytest.mark.parametrize(
    ("data", "body", "ends"),
    [
        (LENGTH, b"hello", Ends.LENGTH),
        (answer(b"Content-Length: 0\r\n"), b"", Ends.LENGTH),
        (answer(b"content-length: 0005 \r\n", b"hello"), b"hello", Ends.LENGTH),
        (CHUNKED, b"hello!", Ends.CHUNKED),
        (answer(b"TRANSFER-ENCODING: Chunked\r\n", b"0\r\n\r\n"), b"", Ends.CHUNKED),
        (answer(b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"), b"x", Ends.CHUNKED),
        (answer(start=b"HTTP/1.1 204 No Content"), b"", Ends.AT_ONCE),
        (answer(b"Content-Length: 5\r\n", start=b"HTTP/1.1 304 Not Modified"), b"", Ends.AT_ONCE),
        (answer(b"Content-Length: 2\r\n", b"{}", b"HTTP/1.1 503 Busy"), b"{}", Ends.LENGTH),
        (answer(b"Content-Length: 2\r\n", b"{}", b"HTTP/1.1 200"), b"{}", Ends.LENGTH),
        (answer(b"Content-Length: 2\r\n", b"{}", b"HTTP/1.1 299 "), b"{}", Ends.LENGTH),
        (answer(b"Content-Length: 2\r\n", b"{}", b"HTTP/1.1 599 X"), b"{}", Ends.LENGTH),
    ],
)
def test_a_whole_answer_is_complete_and_keeps_the_connection(data: bytes, body: bytes, ends: Ends) -> None:
    said = answer_of([data])
    assert (said.body, said.ends, said.is_complete, said.keeps_alive) == (body, ends, True, True)
    assert said.status == int(data[9:12])
    assert answer_of(one_by_one(data)) == said


@pytest.mark.parametrize("data", [LENGTH, CHUNKED])
def test_every_two_pieces_of_an_answer_give_the_same(data: bytes) -> None:
    whole = answer_of([data])
    assert all(answer_of(cut_at(data, [place])) == whole for place in range(len(data)))


def test_an_answer_without_framing_ends_with_the_connection() -> None:
    for pieces in ([CLOSE], one_by_one(CLOSE)):
        said = answer_of(pieces)
        assert (said.body, said.ends, said.is_complete) == (b"hello", Ends.CLOSE, False)
        said = answer_of(pieces, closes=True)
        assert (said.body, said.is_complete, said.keeps_alive) == (b"hello", True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"HTTP/1.1 200 OK\r\n", LENGTH[:-1], answer(b"Content-Length: 5\r\n"), CHUNKED[:-1],
        CHUNKED[:-5], CHUNKED[:-7], CHUNKED[:60],
    ],
)  # fmt: skip
def test_an_answer_that_is_cut_is_never_complete(data: bytes) -> None:
    assert not answer_of([data]).is_complete
    assert not answer_of([data], closes=True).is_complete
    assert not answer_of(one_by_one(data), closes=True).is_complete


def test_what_came_before_the_cut_is_kept() -> None:
    assert answer_of([LENGTH[:-2]], closes=True).body == b"hel"
    assert answer_of([CHUNKED[:-11]], closes=True).body == b"hello"


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("split", [False, True])
def test_an_answer_to_head_has_no_body_and_leaves_the_connection_usable(fields: bytes, split: bool) -> None:
    data = answer(fields)
    reader = ResponseReader()
    reader.begin(is_head_request=True)
    for piece in one_by_one(data) if split else [data]:
        reader.feed(piece)
    assert (reader.is_complete, reader.take()) == (True, b"")
    assert reader.keeps_alive is bool(fields)
    reader.begin(is_head_request=False)
    reader.feed(LENGTH)
    assert (reader.is_complete, reader.take(), reader.keeps_alive) == (True, b"hello", True)


def test_a_body_behind_an_answer_to_head_is_dropped_with_the_connection() -> None:
    said = answer_of([LENGTH], to_head=True)
    assert (said.body, said.is_complete, said.keeps_alive) == (b"", True, False)
    said = answer_of([answer(b"Content-Length: 5\r\n"), b"hello"], to_head=True)
    assert (said.body, said.is_complete, said.keeps_alive) == (b"", True, False)


@pytest.mark.parametrize("whole", [LENGTH, CHUNKED, answer(start=b"HTTP/1.1 204 No Content")])
@pytest.mark.parametrize("behind", [b"x", b"\r\n", NEXT, b"HTTP/1.1 100 Continue\r\n\r\n", b"\x00"])
def test_bytes_behind_an_answer_never_reach_it_and_end_the_connection(whole: bytes, behind: bytes) -> None:
    clean = answer_of([whole])
    for pieces in ([whole + behind], [whole, behind], one_by_one(whole + behind)):
        said = answer_of(pieces)
        assert (said.body, said.status, said.names) == (clean.body, clean.status, clean.names)
        assert said.is_complete
        if behind != b"\r\n":  # an empty line before the next answer means nothing
            assert not said.keeps_alive


def test_one_reader_reads_one_answer_after_another() -> None:
    reader = ResponseReader()
    for _ in range(3):
        for data, body in ((LENGTH, b"hello"), (CHUNKED, b"hello!"), (answer(b"Content-Length: 0\r\n"), b"")):
            reader.begin(is_head_request=False)
            assert (reader.has_begun, reader.has_head, reader.is_complete) == (False, False, False)
            reader.feed(data)
            assert (reader.has_begun, reader.has_head, reader.is_complete) == (True, True, True)
            assert (reader.take(), reader.keeps_alive) == (body, True)


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_a_few_interim_answers_are_passed_over(count: int, interim: bytes) -> None:
    data = answer(b"Link: </x>\r\n", start=b"HTTP/1.1 " + interim) * count + LENGTH
    said = answer_of([data])
    assert (said.status, said.body, said.keeps_alive) == (200, b"hello", True)
    assert said.names == {b"content-length": b"5", b"x-a": b"1"}
    assert said.lines == b"X-A: 1\r\n"
    assert answer_of(one_by_one(data)) == said


INTERIM = answer(b"Link: </x>\r\n", start=b"HTTP/1.1 103 Early Hints")


def splits_of(data: bytes) -> list[list[bytes]]:
    return [[data], one_by_one(data), *(cut_at(data, [place]) for place in range(1, len(data)))]


def test_an_answer_in_1_0_behind_an_interim_one_in_1_1_is_read_as_its_own_line_says() -> None:
    old = b"HTTP/1.0 200 OK"
    for pieces in splits_of(INTERIM + answer(b"Content-Length: 5\r\n", b"hello", old)):
        said = answer_of(pieces)
        assert (said.status, said.body, said.ends) == (200, b"hello", Ends.LENGTH)
        assert (said.is_complete, said.keeps_alive) == (True, False)
    for pieces in splits_of(INTERIM + answer(b"Connection: keep-alive\r\nContent-Length: 0\r\n", start=old)):
        assert answer_of(pieces).keeps_alive
    for pieces in splits_of(INTERIM + answer(b"Transfer-Encoding: chunked\r\n", CHUNKS, old)):
        assert answer_of(pieces).error == "its framing is ambiguous"


@pytest.mark.parametrize("fields", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_interim_answer_with_a_body_is_refused(fields: bytes) -> None:
    """It would be read, and go out before the answer's own body."""
    body = b"{}" if b"Length" in fields else b"2\r\n{}\r\n0\r\n\r\n"
    for pieces in splits_of(answer(fields, body, b"HTTP/1.1 103 Early Hints") + LENGTH):
        said = answer_of(pieces)
        assert (said.error, said.body) == ("it sent status 103 with a body", b"")
    data = answer(b"Content-Length: 0\r\n", start=b"HTTP/1.1 103 Early Hints") + LENGTH
    assert answer_of([data]).body == b"hello"


REFUSED = {
    "eleven-interim": answer(start=b"HTTP/1.1 100 Continue") * 11 + LENGTH,
    "switched": answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"x", b"HTTP/1.1 101 Switching"),
    "switched-bare": answer(start=b"HTTP/1.1 101 Switching Protocols"),
    "length-and-chunks": answer(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "chunks-and-length": answer(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", CHUNKS),
    "two-lengths": answer(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two-equal-lengths": answer(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "length-lf": b"HTTP/1.1 200 OK\r\nContent-Length:\n2\r\n\r\nok",
    "length-cr": b"HTTP/1.1 200 OK\r\nContent-Length:\r2\r\n\r\nok",
    "length-list": answer(b"Content-Length: 5, 5\r\n", b"hello"),
    "length-negative": answer(b"Content-Length: -5\r\n", b"hello"),
    "length-empty": answer(b"Content-Length:\r\n", b"hello"),
    "length-overflow": answer(b"Content-Length: 9223372036854775808\r\n", b"hello"),
    "coding-gzip": answer(b"Transfer-Encoding: gzip\r\n", b"hello"),
    "coding-list": answer(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
    "coding-not-last": answer(b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS),
    "coding-twice": answer(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
    "coding-malformed": answer(b"Transfer-Encoding: ,chunked\r\n", CHUNKS),
    "coding-in-1.0": answer(b"Transfer-Encoding: chunked\r\n", CHUNKS, b"HTTP/1.0 200 OK"),
    "folded": answer(b"Content-Length: 5\r\nX: a\r\n b\r\n", b"hello"),
    "bare-lf": answer(b"Content-Length: 5\nX: a\r\n", b"hello"),
    "all-lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "nul": answer(b"Content-Length: 5\r\nX: a\x00\r\n", b"hello"),
    "control": answer(b"Content-Length: 5\r\nX: a\x01\r\n", b"hello"),
    "bare-cr": answer(b"Content-Length: 5\r\nX: a\rb\r\n", b"hello"),
    "bare-cr-elsewhere": answer(b"Content-Length: 5\r\nX: ab\rc\r\n", b"hello"),
    "blank-before-colon": answer(b"Content-Length : 5\r\n", b"hello"),
    "no-colon": answer(b"Content-Length 5\r\n", b"hello"),
    "status-0": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 000 X"),
    "status-99": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 099 X"),
    "status-99-short": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 99 X"),
    "status-600": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 600 X"),
    "status-999": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 999 X"),
    "status-1000": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 1000 X"),
    "version-2": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/2.0 200 OK"),
    "version-0.9": answer(b"Content-Length: 5\r\n", b"hello", b"HTTP/0.9 200 OK"),
    "garbage": b"\x16\x03\x01garbage",
    "text": b"hello\r\n\r\n",
    "fields-101": answer(b"X: a\r\n" * 101 + b"\r\n"),
    "chunk-size": answer(b"Transfer-Encoding: chunked\r\n", b"zz\r\nhello\r\n0\r\n\r\n"),
    "chunk-end": answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloo\r\n0\r\n\r\n"),
    "head-endless": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 33_000,
    "interim-endless": answer(b"X: " + b"a" * 8000 + b"\r\n", start=b"HTTP/1.1 103 Early Hints") * 5,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_answer_is_refused_whole_and_byte_by_byte(name: str) -> None:
    for pieces in ([REFUSED[name]], one_by_one(REFUSED[name])):
        said = answer_of(pieces)
        assert said.error
        assert not said.is_complete


def test_a_refusal_says_what_the_server_did() -> None:
    assert answer_of([REFUSED["eleven-interim"]]).error == "it sent status 100 unasked"
    assert answer_of([REFUSED["switched"]]).error == "it sent status 101 unasked"
    assert answer_of([REFUSED["status-600"]]).error == "it sent status 600"
    assert answer_of([REFUSED["coding-gzip"]]).error == "the only transfer coding is chunked"
    assert answer_of([REFUSED["fields-101"]]).error == "its head has more than 100 fields"
    assert answer_of([REFUSED["head-endless"]]).error == "its head is longer than 32 KiB"
    assert (answer_of([REFUSED["garbage"]]).error or "").startswith("it is not HTTP: ")


@pytest.mark.parametrize("alert", [b"\x15\x03\x01\x00\x02\x02\x0a", b"\x15\x03\x03\x00\x02\x02\x46"])
def test_a_server_that_speaks_tls_is_named_so(alert: bytes) -> None:
    """It answers what it can't read with an alert."""
    assert answer_of([alert]).error == "it speaks TLS: write https:// in its URL"
    assert answer_of([b"\x15\x02" + alert[2:]]).error == "it is not HTTP: another protocol"


def test_a_hundred_fields_and_a_head_just_below_the_limit_are_read() -> None:
    assert answer_of([answer(b"X: a\r\n" * 99 + b"Content-Length: 0\r\n")]).is_complete
    long = answer(b"Content-Length: 0\r\nX: " + b"a" * 32_000 + b"\r\n")
    assert answer_of([long]).is_complete
    assert answer_of(one_by_one(long)).is_complete


@pytest.mark.parametrize(
    ("start", "connection", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK", b"", True),
        (b"HTTP/1.1 200 OK", b"Connection: close\r\n", False),
        (b"HTTP/1.1 200 OK", b"Connection: X-A\r\nConnection: Close\r\n", False),
        (b"HTTP/1.1 200 OK", b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK", b"", False),
        (b"HTTP/1.0 200 OK", b"Connection: Keep-Alive\r\n", True),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_a_server_says_whether_its_connection_goes_on(
    start: bytes, connection: bytes, keeps_alive: bool
) -> None:
    said = answer_of([answer(connection + b"Content-Length: 5\r\n", b"hello", start)])
    assert (said.is_complete, said.keeps_alive) == (True, keeps_alive)


def test_fields_of_one_name_are_one_value() -> None:
    reader = ResponseReader()
    reader.feed(answer(b"Vary: a\r\nX: 1\r\nvary: b\r\nContent-Length: 0\r\n"))
    assert reader.names == {b"vary": b"a, b", b"x": b"1", b"content-length": b"0"}


def test_trailers_are_no_fields() -> None:
    data = answer(b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\nX-Late: 1\r\nServer: x\r\n\r\n")
    for pieces in ([data], one_by_one(data)):
        said = answer_of(pieces)
        assert (said.names, said.lines) == ({b"transfer-encoding": b"chunked"}, b"")


def test_the_older_name_of_connection_ends_it_too() -> None:
    """Behind it llhttp reads nothing."""
    said = answer_of(one_by_one(answer(b"Proxy-Connection: close\r\nContent-Length: 5\r\n", b"hello")))
    assert (said.body, said.is_complete, said.keeps_alive) == (b"hello", True, False)


def test_a_kept_head_outlives_the_next_answer() -> None:
    reader = ResponseReader()
    reader.feed(LENGTH)
    kept = reader.keep_head()
    reader.begin(is_head_request=False)
    reader.feed(CHUNKED)
    assert (kept.status, kept.ends, kept.length, kept.is_complete) == (200, Ends.LENGTH, 5, True)
    assert kept.lines == b"X-A: 1\r\n"
    assert kept.names[b"x-a"] == b"1"


def test_a_stream_goes_on_when_its_head_is_let_go() -> None:
    reader = ResponseReader()
    middle = CHUNKED.index(b"1;x")
    reader.feed(CHUNKED[:middle])
    reader.let_go()
    reader.feed(CHUNKED[middle:])
    assert (reader.lines, reader.names) == (b"", {})
    assert (reader.take(), reader.is_complete, reader.keeps_alive) == (b"hello!", True, True)


def test_bytes_are_taken_once() -> None:
    reader = ResponseReader()
    middle = CHUNKED.index(b"1;x")
    reader.feed(CHUNKED[:middle])
    assert reader.take() == b"hello"
    assert reader.take() == b""
    reader.feed(CHUNKED[middle:])
    assert (reader.take(), reader.is_complete) == (b"!", True)


def test_a_refused_connection_has_no_head() -> None:
    reader = ResponseReader()
    with pytest.raises(BadAnswer):
        reader.feed(REFUSED["coding-gzip"])
    assert not reader.has_head
    assert not reader.at_eof()


def lines_of(*fields: tuple[bytes, bytes]) -> list[bytes]:
    """Give what the client gets of these fields."""
    reader = ResponseReader()
    for name, value in fields:
        reader.on_header(name, value)
    return end_to_end(reader).splitlines(keepends=True)


def test_fields_for_this_hop_and_those_that_are_ours_are_not_passed_on() -> None:
    dropped = [
        b"Connection", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Connection", b"TE", b"Trailer",
        b"Upgrade", b"Transfer-Encoding", b"Content-Length", b"X-Request-Id", b"X-Gollamas-Server",
        b"Access-Control-Allow-Origin", b"Access-Control-Allow-Credentials", b"Access-Control-Allow-Methods",
        b"Access-Control-Allow-Headers", b"Access-Control-Expose-Headers", b"ACCESS-CONTROL-MAX-AGE",
    ]  # fmt: skip
    assert lines_of(*((name, b"x") for name in dropped), (b"X-Kept", b"1")) == [b"X-Kept: 1\r\n"]


def test_what_connection_names_is_not_passed_on() -> None:
    fields = [
        (b"Connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"Content-Type", b"a/b"),
        (b"Date", b"now"),
    ]
    assert lines_of(*fields) == [b"Content-Type: a/b\r\n", b"Date: now\r\n"]
    assert lines_of(*fields, (b"connection", b"date"), (b"X-HOP", b"2")) == [b"Content-Type: a/b\r\n"]


def test_fields_pass_in_their_order_and_spelling() -> None:
    fields = [(b"content-TYPE", b"a/b"), (b"Vary", b"x"), (b"Set-Cookie", b"a=1; b")]
    lines = [b"content-TYPE: a/b\r\n", b"Vary: x\r\n", b"Set-Cookie: a=1; b\r\n"]
    assert lines_of(*fields) == lines
    assert lines_of(*fields, (b"Set-Cookie", b"c=2")) == [*lines, b"Set-Cookie: c=2\r\n"]


@pytest.mark.parametrize("length", [33_000, 40_000, 100_000])
def test_a_head_over_the_limit_is_refused_however_it_is_split(length: int) -> None:
    data = answer(b"Content-Length: 0\r\nX: " + b"a" * length + b"\r\n")
    assert answer_of(one_by_one(data)).error == "its head is longer than 32 KiB"
    assert answer_of([data]).error == "its head is longer than 32 KiB"
    assert answer_of(cut_at(data, range(0, len(data), 32 * 1024))).error == "its head is longer than 32 KiB"


@pytest.mark.parametrize("behind", [b"5\r\n", b"5", b"0\r\n\r\n"])
def test_chunks_behind_an_answer_to_head_end_the_connection(behind: bytes) -> None:
    reader = ResponseReader()
    reader.begin(is_head_request=True)
    reader.feed(answer(b"Transfer-Encoding: chunked\r\n", behind))
    assert reader.is_complete
    assert not reader.keeps_alive


def test_an_answer_in_another_protocol_is_refused() -> None:
    assert answer_of([answer(b"Content-Length: 0\r\n", start=b"RTSP/1.0 200 OK")]).error
