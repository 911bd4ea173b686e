"""Answers on their way out: heads, framings, names changed back, counts, ends."""

import itertools

import pytest

from gollamas.wire.lines import NameEditor, Shape
from gollamas.wire.outgoing import UNKNOWN, AnswerWriter, field_lines
from gollamas.wire.response import Ends
from gollamas.wire.tail import TAIL_BYTES

OLD = b'{"model":"smol","x":1}\n'
NEW = b'{"model":"gpt-4o","x":1}\n'


def writer(*, is_http10: bool = False, to_head: bool = False, keeps_alive: bool = True) -> AnswerWriter:
    return AnswerWriter(is_http10=is_http10, to_head=to_head, keeps_alive=keeps_alive)


def renaming(*, is_http10: bool = False) -> AnswerWriter:
    made = writer(is_http10=is_http10)
    made.editor = NameEditor(Shape.NATIVE_LINES, b"smol", b"gpt-4o")
    return made


def begun(length: int = UNKNOWN, *, is_http10: bool = False) -> AnswerWriter:
    """A writer whose head is out."""
    made = writer(is_http10=is_http10)
    made.begin(200, b"", b"", length)
    return made


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (508, b"HTTP/1.1 508 Loop Detected\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (529, b"HTTP/1.1 529 \r\n"),
    ],
)
def test_a_status_line_always_has_its_three_parts(status: int, line: bytes) -> None:
    assert writer().begin(status, b"", b"", 0).startswith(line)


def test_fields_become_lines() -> None:
    assert field_lines([(b"A", b"1"), (b"B", b"")]) == b"A: 1\r\nB: \r\n"
    assert field_lines([]) == b""


def test_a_whole_answer_of_known_length_is_its_head_and_its_body() -> None:
    data = writer().begin(200, b"A: 1\r\n", b"B: 2\r\n", 5, b"hello", is_whole=True)
    assert data == b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nContent-Length: 5\r\n\r\nhello"


def test_a_body_of_known_length_goes_out_as_it_comes() -> None:
    made = begun(5)
    assert made.ends is Ends.LENGTH
    assert (made.piece(b"he"), made.piece(b""), made.end(b"llo"), made.bytes_out) == (b"he", b"", b"llo", 5)


def test_a_body_of_unknown_length_goes_out_in_chunks() -> None:
    made = writer()
    head = made.begin(200, b"", b"", data=b"a" * 17)
    assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n" + b"a" * 17 + b"\r\n"
    assert made.piece(b"b") == b"1\r\nb\r\n"
    assert made.piece(b"") == b""  # an empty chunk would be the last one
    assert made.end(b"c") == b"1\r\nc\r\n0\r\n\r\n"
    assert (made.bytes_out, made.keeps_alive) == (19, True)


def test_chunks_end_with_an_empty_one_alone_where_nothing_else_is_left() -> None:
    assert begun().end() == b"0\r\n\r\n"
    assert writer().begin(200, b"", b"", is_whole=True).endswith(b"chunked\r\n\r\n0\r\n\r\n")


def test_a_client_of_http_10_reads_a_body_of_unknown_length_until_the_connection_ends() -> None:
    made = writer(is_http10=True)
    assert made.begin(200, b"", b"", data=b"a") == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na"
    assert (made.piece(b"b"), made.end(), made.ends, made.keeps_alive) == (b"b", b"", Ends.CLOSE, False)


@pytest.mark.parametrize(
    ("is_http10", "keeps_alive", "line"),
    [
        (False, True, b""),
        (False, False, b"Connection: close\r\n"),
        (True, True, b"Connection: keep-alive\r\n"),
        (True, False, b"Connection: close\r\n"),
    ],
)
def test_the_head_says_what_becomes_of_the_connection(
    is_http10: bool, keeps_alive: bool, line: bytes
) -> None:
    made = writer(is_http10=is_http10, keeps_alive=keeps_alive)
    assert made.begin(200, b"", b"", 0) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + line + b"\r\n"
    assert made.keeps_alive is keeps_alive


@pytest.mark.parametrize("status", [103, 199, 204, 304])
@pytest.mark.parametrize("is_http10", [False, True])
def test_some_answers_have_neither_body_nor_length(status: int, is_http10: bool) -> None:
    for length, is_whole in itertools.product((UNKNOWN, 0, 5), (False, True)):
        made = writer(is_http10=is_http10)
        data = made.begin(status, b"A: 1\r\n", b"", length, b"hello", is_whole=is_whole)
        assert data.partition(b"\r\n")[2].replace(b"Connection: keep-alive\r\n", b"") == b"A: 1\r\n\r\n"
        assert (made.piece(b"a"), made.end(b"b"), made.broken(b"c"), made.bytes_out) == (b"", b"", b"", 0)
        assert made.keeps_alive


@pytest.mark.parametrize("status", [200, 203, 205, 303, 305, 404])
def test_all_others_have_one(status: int) -> None:
    assert writer().begin(status, b"", b"", 1, b"a", is_whole=True).endswith(b"Content-Length: 1\r\n\r\na")


def test_head_is_answered_with_the_head_alone() -> None:
    whole = writer(to_head=True)
    assert whole.begin(200, b"", b"", 5, b"hello", is_whole=True).endswith(b"Content-Length: 5\r\n\r\n")
    assert (whole.ends, whole.bytes_out) == (Ends.AT_ONCE, 0)
    streamed = writer(to_head=True)
    assert streamed.begin(200, b"", b"").endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    assert (streamed.piece(b"a"), streamed.end()) == (b"", b"")
    older = writer(to_head=True, is_http10=True)
    assert older.begin(200, b"", b"") == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def test_an_editor_changes_the_length_of_a_body_that_is_whole() -> None:
    data = renaming().begin(200, b"", b"", len(OLD), OLD, is_whole=True)
    assert data == b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(NEW), NEW)


@pytest.mark.parametrize("is_http10", [False, True])
def test_a_body_that_is_edited_as_it_comes_has_no_length(is_http10: bool) -> None:
    made = renaming(is_http10=is_http10)
    head = made.begin(200, b"", b"", len(OLD), OLD[:12])
    assert b"Content-Length" not in head
    assert made.ends is (Ends.CLOSE if is_http10 else Ends.CHUNKED)
    assert made.piece(OLD[12:13]) == b""  # perhaps the name
    rest = made.end(OLD[13:])
    assert rest.endswith(b"\n" if is_http10 else b"\n\r\n0\r\n\r\n")
    assert (made.tail, made.bytes_out) == (NEW, len(NEW))


def test_what_an_editor_holds_goes_out_at_the_end() -> None:
    made = renaming()
    made.begin(200, b"", b"", data=b'{"model":"sm')
    assert made.end() == b'3\r\n"sm\r\n0\r\n\r\n'


def test_chunks_that_break_off_end_with_an_error_and_not_with_the_last_chunk() -> None:
    made = begun()
    made.piece(b"abc")
    assert made.broken(b"it broke") == b"8\r\nit broke\r\n"
    assert made.bytes_out == 3  # the error is not of the body


def test_chunks_that_break_off_without_a_word_have_no_last_chunk() -> None:
    assert begun().broken(b"") == b""


def test_what_an_editor_held_goes_out_before_the_error() -> None:
    made = renaming()
    made.begin(200, b"", b"", data=b'{"model":"sm')
    assert made.last_bytes == b':"sm'
    assert made.broken(b"!") == b'4\r\n"sm!\r\n'
    assert (made.bytes_out, made.tail) == (12, b'{"model":"sm')


def test_an_answer_until_close_that_breaks_off_has_no_room_for_an_error() -> None:
    made = renaming(is_http10=True)
    made.begin(200, b"", b"", data=b'{"model":"sm')
    assert (made.broken(b"!"), made.bytes_out) == (b'"sm', 12)


def test_an_answer_of_known_length_that_breaks_off_has_no_room_for_an_error() -> None:
    made = begun(5)
    made.piece(b"he")
    assert (made.broken(b"!"), made.bytes_out) == (b"", 2)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, TAIL_BYTES, TAIL_BYTES + 1])
def test_the_tail_is_at_least_the_last_bytes_that_counts_are_read_from(size: int) -> None:
    made = begun()
    body = bytes(n % 251 for n in range(TAIL_BYTES)) + bytes(size)
    for piece in (body[:100], body[100 : TAIL_BYTES - 1], body[TAIL_BYTES - 1 :]):
        made.piece(piece)
    assert body.endswith(made.tail)
    assert len(made.tail) >= min(len(body) - 100, TAIL_BYTES)
    assert made.last_bytes == body[-4:]


def test_an_answer_that_sent_nothing_has_an_empty_tail() -> None:
    assert (begun().tail, begun().last_bytes, writer().bytes_out) == (b"", b"", 0)
