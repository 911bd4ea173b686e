"""The page about the log has every value of `end` and of `why`, and no other."""

import re

import pytest

from gollamas.events.ended import End
from gollamas.fleet.server_view import ServerView
from tests.meta.documents import text_of
from tests.unit.fleet.fleets import server

_PAGE = "docs/logging.md"
_ROW = re.compile(r"\| `([^`]+)` \| .+ \|\n")


def rows_of(key: str) -> list[str]:
    """Read the first column of the table that explains a key's values."""
    table = text_of(_PAGE).partition(f"\n| `{key}` | |\n|---|---|\n")[2]
    rows = []
    while row := _ROW.match(table):
        rows.append(row[1])
        table = table[row.end() :]
    return rows


# Where `choose` takes its answer from: a reason that is not there would be a KeyError.
WHYS = set(ServerView(server("a")).choices)


@pytest.mark.parametrize(("key", "values"), [("end", set(End)), ("why", WHYS)], ids=["end", "why"])
def test_the_log_s_page_has_every_value_of_a_key_once(key: str, values: set[str]) -> None:
    """In the table of that key, and nothing that no line says."""
    assert sorted(rows_of(key)) == sorted(values)
