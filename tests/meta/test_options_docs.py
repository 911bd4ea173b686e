"""What is made from the declarations of the options is up to date, and the pages name every part of it."""

import re
from pathlib import Path

import pytest

from gollamas.cli.describe import SCHEMA, TABLES, described
from gollamas.config.flags import VERBS
from gollamas.config.options import LATER_OF_MODEL, OPTIONS
from gollamas.config.table import BEGIN, END, markdown_table, usage, with_table

ROOT = Path(__file__).parents[2]
MEND = "run `python -m gollamas.cli.describe` in the repository's root"


@pytest.mark.parametrize("name", [*TABLES, SCHEMA])
def test_what_is_made_from_the_options_is_up_to_date(name: str) -> None:
    """README, the page about configuration and the shipped schema are those of the declarations."""
    path = ROOT / name
    assert path.read_text(encoding="utf-8") == described(ROOT)[path], MEND


@pytest.mark.parametrize("text", [markdown_table(), usage()], ids=["table", "help"])
def test_every_flag_and_variable_is_shown(text: str) -> None:
    """In the table and in `--help`."""
    for option in OPTIONS:
        for name in (*option.flags, *option.plural, *option.variables):
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", text), name


def test_the_help_shows_every_verb() -> None:
    """And fits a terminal of 100 columns, in ASCII."""
    for verb in VERBS:
        assert f"\n  {verb} " in usage()
    assert all(len(line) <= 100 and line.isascii() for line in usage().splitlines())


def test_the_page_names_what_the_table_can_not() -> None:
    """The keys of a server, the keys of a later release, the verbs that read the configuration."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for word in ("headers", "tls", "ca", "verify", "url", *LATER_OF_MODEL, "check --live", "gollamas health"):
        assert re.search(rf"(?<!\w){word}(?!\w)", page), word


def test_a_page_without_markers_is_no_place_for_the_table() -> None:
    """The table goes between the two, and nothing else of the page changes."""
    assert with_table(f"a{BEGIN}old{END}b") == f"a{BEGIN}\n{markdown_table()}{END}b"
    for text in ("", BEGIN, END):
        with pytest.raises(ValueError, match="lacks"):
            with_table(text)
