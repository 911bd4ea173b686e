"""The options as people read them: the table of the documentation, and `--help`."""

import re

import pytest

from gollamas.config.flags import VERBS
from gollamas.config.options import OPTIONS
from gollamas.config.table import BEGIN, END, markdown_table, usage, with_table


@pytest.mark.parametrize("text", [markdown_table(), usage()], ids=["table", "help"])
def test_every_flag_and_variable_is_shown(text: str) -> None:
    """In the table and in `--help`."""
    for option in OPTIONS:
        for name in (*option.flags, *option.plural, *option.variables):
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", text), name


def test_a_row_says_where_an_option_is_set_and_what_holds_where_it_is_not() -> None:
    """The file's own option has no key in it, a switch no value, an entry no default."""
    rows = {row.split("`")[1].partition(" ")[0]: row for row in markdown_table().splitlines()[2:]}
    assert len(rows) == len(OPTIONS)
    assert rows["--listen"].startswith("| `--listen ADDRESS`, ")
    assert "| `listen` | `localhost:11434` |" in rows["--listen"]
    assert "| `GOLLAMAS_CONFIG` |  |  | a YAML file that says any of these |" in rows["--config"]
    assert rows["--list-aliases"].startswith("| `--list-aliases` |")
    assert "`--connections [ID=]URL,...` |" in rows["--connection"]
    assert "| `servers` |  |" in rows["--connection"]
    assert rows["--proxy"].startswith("| `--proxy MODEL=URL\\|ID`, ")
    assert "also warning, fatal, panic" in rows["--level"]


def test_the_help_shows_every_verb() -> None:
    """And fits a terminal of 100 columns, in ASCII."""
    for verb in VERBS:
        assert f"\n  {verb} " in usage()
    assert all(len(line) <= 100 and line.isascii() for line in usage().splitlines())


def test_a_page_without_markers_is_no_place_for_the_table() -> None:
    """The table goes between the two, and nothing else of the page changes."""
    assert with_table(f"a{BEGIN}old{END}b") == f"a{BEGIN}\n{markdown_table()}{END}b"
    for text in ("", BEGIN, END):
        with pytest.raises(ValueError, match="lacks"):
            with_table(text)
