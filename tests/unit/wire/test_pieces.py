"""A body that goes on in pieces: what is passed when, and what is told of its end."""

import pytest

from gollamas.errors import ProxyError
from gollamas.wire.framing import Streamed, Taking, room_for_pieces
from gollamas.wire.request import RequestReader
from tests.unit.wire.framing import BODY, REFUSED, chunked, get, post
from tests.unit.wire.readers import LIMITS, Alike, Takes, one_by_one, streamed

CHUNKS = b"2\r\nab\r\n1;x=y\r\nc\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\n"
LENGTH = b"Content-Length: 6\r\n"


@pytest.mark.parametrize("request_", [post(LENGTH, b"abcdef"), chunked(CHUNKS)])
def test_what_goes_on_is_what_came_whole_and_byte_by_byte(request_: bytes) -> None:
    takes = Takes()
    assert streamed([request_], takes) == b""
    assert takes.told == [b"abcdef", "whole"]  # of one read one piece, however many chunks it has
    takes = Takes()
    assert streamed(one_by_one(request_), takes) == b""
    assert takes.told == [b"a", b"b", b"c", b"d", b"e", b"f", "whole"]


@pytest.mark.parametrize("request_", [post(b"Content-Length: 0\r\n"), post(b""), chunked(b"0\r\n\r\n")])
def test_an_empty_body_is_whole_without_a_piece(request_: bytes) -> None:
    takes = Takes()
    assert streamed([request_], takes) == b""
    assert takes.told == ["whole"]


@pytest.mark.parametrize("request_", [post(LENGTH, b"abcdef"), chunked(CHUNKS)])
def test_what_stands_behind_is_neither_taken_nor_lost(request_: bytes) -> None:
    takes = Takes()
    assert streamed([request_[:-3], request_[-3:] + get(b"/")], takes) == get(b"/")
    assert b"".join(takes.pieces) == b"abcdef"
    assert takes.told[-1] == "whole"


@pytest.mark.parametrize("cut", range(1, 9))
@pytest.mark.parametrize("request_", [post(LENGTH, b"abcdef"), chunked(CHUNKS)])
def test_a_body_that_is_cut_tells_so_once(request_: bytes, cut: int) -> None:
    takes = Takes()
    reader = RequestReader(LIMITS)
    room = Alike()
    room.room = room_for_pieces(takes)
    if cut > 6 and request_.startswith(b"POST") and request_.endswith(b"abcdef"):
        cut = 6
    assert reader.feed(request_[:-cut], room) is None
    reader.give_up()
    reader.give_up()
    assert (takes.told.count("cut"), takes.told.count("whole")) == (1, 0)
    assert b"abcdef".startswith(b"".join(takes.pieces))


def test_a_body_that_was_whole_is_not_cut_by_what_follows() -> None:
    takes = Takes()
    reader, room = RequestReader(LIMITS), Alike()
    room.room = room_for_pieces(takes)
    assert reader.feed(post(LENGTH, b"abcdef"), room) == b""
    reader.next()
    assert takes.told == [b"abcdef", "whole"]
    assert (reader.head, reader.body) == (None, b"")


@pytest.mark.parametrize(
    "name", [name for name in REFUSED if name.startswith(("chunk-size", "chunk-end", "trailer"))]
)
def test_malformed_chunks_are_refused_and_nothing_is_told_to_be_whole(name: str) -> None:
    request, _ = REFUSED[name]
    for pieces in ([request], one_by_one(request)):
        takes = Takes()
        with pytest.raises(ProxyError):
            streamed(pieces, takes)
        assert "whole" not in takes.told


def test_a_malformed_chunk_tells_that_the_body_is_cut_once_it_is_given_up() -> None:
    takes = Takes()
    reader, room = RequestReader(LIMITS), Alike()
    room.room = room_for_pieces(takes)
    with pytest.raises(ProxyError):
        reader.feed(chunked(b"2\r\nab\r\nxyz\r\n"), room)
    reader.give_up()
    assert takes.told == ["cut"]  # what came before it in the same read goes nowhere


def test_it_is_held_up_until_somebody_wants_more() -> None:
    takes = Takes(answers=[True, False, True])
    reader, room = RequestReader(LIMITS), Alike()
    room.room = room_for_pieces(takes)
    assert not reader.is_held_up  # there is no body yet
    reader.go_on()
    assert reader.feed(post(LENGTH), room) is None
    assert reader.is_held_up  # who takes it has not said that more is wanted
    reader.go_on()
    assert not reader.is_held_up
    assert reader.feed(b"ab", room) is None
    assert not reader.is_held_up
    assert reader.feed(b"cd", room) is None
    assert reader.is_held_up
    reader.go_on()
    assert reader.feed(b"ef", room) == b""
    assert not reader.is_held_up
    reader.next()
    assert not reader.is_held_up


def test_the_last_piece_holds_nothing_up() -> None:
    takes = Takes(answers=[False])
    reader, room = RequestReader(LIMITS), Alike()
    room.room = room_for_pieces(takes)
    assert reader.feed(chunked(BODY), room) == b""
    assert not reader.is_held_up
    assert takes.told == [b"hello", "whole"]


def test_a_read_without_a_byte_of_the_body_passes_nothing() -> None:
    takes = Takes()
    streamed_ = Streamed(takes)
    streamed_.add(b"")
    streamed_.flush()
    streamed_.expect(1 << 60)  # there is no limit to what is not held
    assert takes.told == []


def test_what_takes_nothing_holds_nothing() -> None:
    taking = Taking()
    taking.expect(1)
    taking.add(b"a")
    assert taking.body() == b""
    taking.give_up()
