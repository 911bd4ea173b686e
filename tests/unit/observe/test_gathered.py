"""The lines of a turn: written together, whole, in order, and not forgotten when nobody takes them."""

from collections.abc import Callable

import pytest

from gollamas.observe.gathered import GatheredLines

AT_ONCE = 100


class Reader:
    """Somebody who takes what is written, and the loop whose turn ends when told."""

    def __init__(self) -> None:
        self.takes = True
        self.got: list[bytes] = []
        self.due: list[Callable[[], None]] = []
        self.lines = GatheredLines(self._write, AT_ONCE, self.due.append)

    def _write(self, data: bytes) -> bool:
        if self.takes:
            self.got.append(data)
        return self.takes

    def turn(self) -> None:
        due, self.due[:] = list(self.due), []
        for call in due:
            call()


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_the_lines_of_a_turn_are_one_write(reader: Reader) -> None:
    assert all([reader.lines(b"one\n"), reader.lines(b"two\n")])
    assert reader.got == []
    reader.turn()
    assert reader.got == [b"one\ntwo\n"]
    assert reader.lines(b"three\n")
    reader.turn()
    assert reader.got == [b"one\ntwo\n", b"three\n"]


def test_a_turn_is_asked_for_once(reader: Reader) -> None:
    for _ in range(3):
        reader.lines(b"one\n")
    assert len(reader.due) == 1


def test_what_is_more_than_can_be_written_at_once_is_divided_between_lines(reader: Reader) -> None:
    lines = [b"%d" % number * 39 + b"\n" for number in range(5)]
    assert all(map(reader.lines, lines))
    reader.turn()
    assert reader.got == [lines[0] + lines[1], lines[2] + lines[3], lines[4]]


def test_a_line_that_fits_exactly_is_written_whole(reader: Reader) -> None:
    line = b"x" * (AT_ONCE - 1) + b"\n"
    assert all([reader.lines(line), reader.lines(line)])
    reader.turn()
    assert reader.got == [line, line]


def test_what_is_not_taken_is_written_with_the_next_line(reader: Reader) -> None:
    reader.takes = False
    assert reader.lines(b"one\n")
    reader.turn()
    reader.takes = True
    assert reader.got == []
    assert reader.lines(b"two\n")
    reader.turn()
    assert reader.got == [b"one\ntwo\n"]


def test_a_reader_that_stays_away_loses_what_does_not_fit(reader: Reader) -> None:
    """64 KiB wait; a line that has no room is refused, and those that were taken come in order."""
    reader.takes = False
    line = b"x" * 63 + b"\n"
    taken = 0
    while reader.lines(line):
        taken += 1
        reader.turn()
    assert taken == 1024
    assert not reader.lines(line)
    reader.takes = True
    assert reader.lines(b"again\n")
    reader.turn()
    assert b"".join(reader.got) == line * taken + b"again\n"


def test_a_line_that_can_not_be_written_at_once_comes_after_those_that_wait(reader: Reader) -> None:
    long = b"y" * AT_ONCE + b"\n"
    assert reader.lines(b"one\n")
    assert reader.lines(long)
    assert reader.got == [b"one\n", long]


def test_such_a_line_is_lost_where_others_still_wait(reader: Reader) -> None:
    reader.takes = False
    assert reader.lines(b"one\n")
    assert not reader.lines(b"y" * AT_ONCE + b"\n")
    reader.takes = True
    reader.lines.flush()
    assert reader.got == [b"one\n"]


def test_many_lines_in_one_turn_are_all_written(reader: Reader) -> None:
    lines = [b"%063d\n" % number for number in range(3000)]
    assert all(map(reader.lines, lines))
    reader.lines.flush()
    assert b"".join(reader.got) == b"".join(lines)
