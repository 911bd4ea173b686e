"""Bodies that are taken in pieces: long ones are passed on where they lie, short ones together."""

import pytest

from gollamas.wire.framing import BodyReader, Streamed
from tests.recorded import make_head

KIB = 1024


class Takes:
    """Keeps every piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.ends = 0
        self.wants_more = True

    def piece(self, data: bytes | memoryview) -> bool:
        self.pieces.append(data)
        return self.wants_more

    def whole(self) -> None:
        self.ends += 1

    def cut(self) -> None:
        raise AssertionError


def chunks(*sizes: int) -> tuple[bytes, bytes]:
    """Make a body in chunks of these sizes, and what it says."""
    parts = [bytes([97 + at]) * size for at, size in enumerate(sizes)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return framed + b"0\r\n\r\n", b"".join(parts)


def reading(takes: Takes) -> tuple[BodyReader, Streamed]:
    streamed = Streamed(takes)
    head = make_head(b"POST", b"/", [])
    head.is_chunked = True
    return BodyReader(head, streamed), streamed


@pytest.mark.parametrize("read", [100, 16 * KIB, 50_000, 256 * KIB, 1_000_000])
def test_chunks_of_all_sizes_are_the_same_body(read: int) -> None:
    data, whole = chunks(1, 16 * KIB, 16 * KIB + 1, 3, 2, 100_000, 7, 300_000, 1)
    takes = Takes()
    reader, streamed = reading(takes)
    rest = None
    for at in range(0, len(data), read):
        rest = reader.feed(data[at : at + read])
        streamed.flush()
    assert rest == b""
    streamed.body()
    assert b"".join(takes.pieces) == whole
    assert takes.ends == 1


def test_short_pieces_come_together_and_long_ones_are_not_copied() -> None:
    data, _ = chunks(1, 2, 20_000, 3, 4, 30_000, 40_000)
    takes = Takes()
    reader, streamed = reading(takes)
    assert reader.feed(data) == b""
    assert takes.pieces == []
    streamed.flush()
    assert takes.pieces == [b"abb", b"c" * 20_000, b"dddeeee", b"f" * 30_000, b"g" * 40_000]
    views = [piece for piece in takes.pieces if isinstance(piece, memoryview)]
    assert [view.obj is data for view in views] == [True, True, True]


def test_any_of_its_pieces_may_be_one_too_many() -> None:
    """The others of the same read are passed on all the same."""
    data, _ = chunks(20_000, 5)
    takes = Takes()
    reader, streamed = reading(takes)
    streamed.is_held_up, takes.wants_more = False, False
    reader.feed(data)
    streamed.flush()
    assert [len(piece) for piece in takes.pieces] == [20_000, 5]
    assert streamed.is_held_up
