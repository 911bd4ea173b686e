"""The page about the verbs shows what comes: its commands run, and print tables of that form."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.meta.documents import blocks_of, commands_of
from tests.meta.test_manage_docs import Reader

_PAGE: Final = "docs/verbs.md"
_BLOCKS: Final = [block for block in blocks_of(_PAGE) if block.language == "console"]
_COMMANDS: Final = [line for block in _BLOCKS for line in commands_of(block)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Have one who has started the proxy."""
    with ExitStack() as stack:
        yield Reader(stack, tmp_path)


def test_the_commands_of_the_page_do_what_it_says(reader: Reader) -> None:
    """One after another; the table has the columns and models of the page."""
    (start,) = [block for block in blocks_of(_PAGE) if block.language == "sh"]
    assert start == next(block for block in blocks_of("docs/manage.md") if block.language == "sh")
    printed = {command: reader.run(command) for command in _COMMANDS}
    assert len(printed) == len(_COMMANDS) >= 9
    (block,) = [block for block in _BLOCKS if len(block.text.splitlines()) > len(commands_of(block))]
    columns, *rows = [line.split() for line in block.text.partition("\n\n")[0].splitlines()[1:]]
    ours, *found = [line.split() for line in printed["gollamas models"].splitlines()]
    assert ours == columns[:-1]  # no simulated server has other contents than another
    assert [row[:2] for row in found] == [row[:2] for row in rows]
    assert all(re.fullmatch("[0-9a-f]{12}", row[4]) for row in found + rows)
    assert printed["gollamas rm llama3.2@pc-2"] == "deleted llama3.2@pc-2\n"
    assert [row.split()[:2] for row in reader.run("gollamas models llama3.2").splitlines()[1:]] == [
        ["llama3.2:latest", "pc-1"]
    ]
