"""Log lines into real descriptors: a file, a pipe that is read, one that is not, one that is gone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gollamas.admin.logwriter import LogWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe: the end to read, the end to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


def test_lines_go_into_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        write = LogWriter(file.fileno())
        assert write(b"one\n")
        assert write(b"x" * 100_000 + b"\n")
    assert path.read_bytes() == b"one\n" + b"x" * 100_000 + b"\n"


def test_a_pipe_that_nobody_reads_loses_lines_and_blocks_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    write = LogWriter(writer)
    line = b"x" * 999 + b"\n"
    sent = 0
    while write(line):
        sent += 1
    assert sent > 0
    assert not write(line)
    got = b""
    while len(got) < sent * len(line):
        got += os.read(reader, 65536)
    assert got == line * sent
    assert write(b"again\n")
    assert os.read(reader, 100) == b"again\n"


def test_a_line_that_was_cut_is_ended_before_the_next(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    write = LogWriter(writer)
    assert not write(b"y" * 1_000_000 + b"\n")
    got = len(os.read(reader, 65536))
    while got % 65536 == 0 and got < 131072:
        os.set_blocking(reader, False)
        try:
            got += len(os.read(reader, 65536))
        except BlockingIOError:
            break
    assert write(b"next\n")
    assert os.read(reader, 100) == b"\nnext\n"


def test_a_reader_that_has_gone_ends_the_log_only(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    write = LogWriter(writer)
    os.close(reader)
    assert not write(b"one\n")
    assert not write(b"two\n")


def test_a_descriptor_that_is_closed_ends_the_log_only(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    os.close(writer)
    assert not LogWriter(writer)(b"one\n")
    assert not LogWriter(-1)(b"one\n")


def test_a_pipe_that_somebody_made_non_blocking_loses_lines_only(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    os.set_blocking(writer, False)
    write = LogWriter(writer)
    while write(b"x" * 5000 + b"\n"):
        pass
    assert not write(b"x" * 5000 + b"\n")
