"""Limits exactly: one less and equal pass, one more is refused, in one read and byte by byte."""

import string

import pytest

from gollamas.errors import BodyTooLarge, ProxyError
from gollamas.wire.head import BadHead, HeadTooLarge, TargetTooLong
from gollamas.wire.message import LARGE_BYTES
from gollamas.wire.response import MAX_HEAD_BYTES
from tests.unit.wire.framing import chunked, get, post
from tests.unit.wire.readers import LIMITS, answer_of, cut_at, first_request, one_by_one, requests_of

_LETTERS = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters


def verdict(request: bytes) -> type[ProxyError] | None:
    """Why a request is refused, None where it is read; the same at every split."""
    seen = requests_of([request])
    for pieces in (one_by_one(request), cut_at(request, range(0, len(request), 1000))):
        assert requests_of(pieces) == seen
    assert len(seen.requests) == (seen.error is None)
    return seen.error


def filled(start: bytes, end: bytes, size: int, fill: bytes = b"a") -> bytes:
    """Put as much between these as makes so many bytes of all."""
    whole = start + fill * (size - len(start) - len(end)) + end
    assert len(whole) == size
    return whole


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_target_may_have_8_kib(more: int) -> None:
    target = filled(b"/", b"", 8192 + more)
    assert verdict(get(target)) is (TargetTooLong if more > 0 else None)
    assert verdict(get(target + b"?a=b")) is (None if more < -3 else TargetTooLong)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_head_may_have_max_head(more: int) -> None:
    head = filled(get(b"/")[:-2] + b"X: ", b"\r\n\r\n", LIMITS.max_bytes + more)
    seen = requests_of([head])
    assert seen.error is (HeadTooLarge if more > 0 else None)
    assert requests_of(cut_at(head, [len(head) // 2])) == seen
    assert requests_of(cut_at(head, [len(head) - 1])) == seen


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_head_may_have_max_fields(more: int) -> None:
    fields = b"X: a\r\n" * (LIMITS.max_fields - 1 + more)  # beside Host
    assert verdict(post(fields)) is (HeadTooLarge if more > 0 else None)
    unusual = b"Connection: close\r\n" + fields[6:]
    assert verdict(post(unusual)) is (HeadTooLarge if more > 0 else None)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_sixteen_empty_lines_may_come_first(more: int) -> None:
    assert verdict(b"\r\n" * (16 + more) + get(b"/")) is (BadHead if more > 0 else None)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_body_may_have_its_limit(more: int) -> None:
    body = b"x" * (10 + more)
    in_one = post(b"Content-Length: %d\r\n" % len(body), body)
    in_two = chunked(b"1\r\nx\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body) - 1, body[1:]))
    for request in (in_one, in_two):
        for pieces in ([request], one_by_one(request)):
            seen = requests_of(pieces, limit=10)
            assert seen.error is (BodyTooLarge if more > 0 else None)
            assert seen.bodies == ([] if more > 0 else [body])


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_body_that_is_kept_apart_is_the_same(more: int) -> None:
    """A long one lies in memory of its own."""
    body = (bytes(range(256)) * (LARGE_BYTES // 256 + 1))[: LARGE_BYTES + more]
    for request in (
        post(b"Content-Length: %d\r\n" % len(body), body),
        chunked(b"3\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:3], len(body) - 3, body[3:])),
    ):
        for pieces in ([request + b"behind"], cut_at(request + b"behind", range(0, len(request), 50_000))):
            _, read, behind = first_request(pieces)
            assert bytes(read) == body
            if len(pieces) > 1:
                assert isinstance(read, bytes) is (more <= 0)
            assert behind == b"behind"


@pytest.mark.parametrize("digits", [15, 16, 17])
def test_a_chunks_size_may_have_16_digits(digits: int) -> None:
    chunk = b"5".rjust(digits, b"0") + b"\r\nhello\r\n" + b"0" * digits + b"\r\n\r\n"
    assert verdict(chunked(chunk)) is (BadHead if digits > 16 else None)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_chunk_extensions_may_have_16_kib_in_all(more: int) -> None:
    half = 8 * 1024
    lines = [
        b"1" + filled(b";", b"", half) + b"\r\nx\r\n",
        b"1" + filled(b";", b"", half + more) + b"\r\nx\r\n",
    ]
    assert verdict(chunked(b"".join(lines) + b"0\r\n\r\n")) is (BadHead if more > 0 else None)
    alone = b"1" + filled(b";", b"", 2 * half + more) + b"\r\nx\r\n0\r\n\r\n"
    assert verdict(chunked(alone)) is (BadHead if more > 0 else None)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_hundred_trailers_may_follow(more: int) -> None:
    assert verdict(chunked(b"0\r\n" + b"X: y\r\n" * (100 + more) + b"\r\n")) is (
        BadHead if more > 0 else None
    )


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_trailers_may_have_16_kib(more: int) -> None:
    """With the empty line behind them."""
    trailers = filled(b"X: ", b"\r\n\r\n", 16 * 1024 + more)
    assert verdict(chunked(b"0\r\n" + trailers)) is (BadHead if more > 0 else None)


def test_a_trailer_that_can_not_become_short_enough_is_refused_before_it_ends() -> None:
    start = chunked(b"0\r\nX: ")
    assert requests_of([start + b"a" * (16 * 1024 - 3)]).error is None
    assert requests_of([start + b"a" * (16 * 1024 - 2)]).error is BadHead


@pytest.mark.parametrize("size", [*range(1, 31), 62, 63, 64, 65, 66])
def test_a_name_of_any_first_letter_passes_both_ways(size: int) -> None:
    """Names that are told apart are known by their first letter and their length, and shorter than 64."""
    names = [(letter + "q" * (size - 1)).encode() for letter in _LETTERS]
    lines = b"".join(b"%b: x\r\n" % name for name in names)
    head, _, _ = first_request([post(lines)])
    assert head.lines == lines
    answer = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"
    for pieces in ([answer], one_by_one(answer)):
        said = answer_of(pieces)
        assert (said.is_complete, said.lines) == (True, lines)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_head_of_an_answer_may_have_32_kib(more: int) -> None:
    """Of one that is whole, names and values count: with it came who knows how much of a body."""
    start = filled(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ", b"", MAX_HEAD_BYTES + more)
    for pieces in ([start], one_by_one(start)):
        assert answer_of(pieces).error == ("its head is longer than 32 KiB" if more > 0 else None)
    counted = len(b"content-length" + b"2" + b"x")
    value = b"a" * (MAX_HEAD_BYTES + more - counted)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + value + b"\r\n\r\n{}"
    said = answer_of([whole])
    assert (said.error, said.body) == (("its head is longer than 32 KiB", b"") if more > 0 else (None, b"{}"))


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_head_of_an_answer_may_have_a_hundred_fields(more: int) -> None:
    repeated = b"X: a\r\n" * (99 + more)
    unlike = b"".join(b"X%d: a\r\n" % n for n in range(99 + more))
    for fields in (repeated, unlike):
        answer = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\n{}"
        for pieces in ([answer], one_by_one(answer)):
            said = answer_of(pieces)
            assert said.error == ("its head has more than 100 fields" if more > 0 else None)
            assert said.body == (b"" if more > 0 else b"{}")


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_ten_interim_answers_may_come_first(more: int) -> None:
    answer = (
        b"HTTP/1.1 102 Processing\r\n\r\n" * (10 + more) + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    )
    for pieces in ([answer], one_by_one(answer)):
        assert answer_of(pieces).error == ("it sent status 102 unasked" if more > 0 else None)


@pytest.mark.parametrize(
    ("status", "is_read"), [(199, False), (200, True), (201, True), (599, True), (600, False)]
)
def test_an_answers_own_status_is_200_to_599(status: int, is_read: bool) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status
    for pieces in ([answer], one_by_one(answer)):
        said = answer_of(pieces)
        assert said.is_complete is is_read
        assert said.body == (b"{}" if is_read else b"")
