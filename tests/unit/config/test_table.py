"""The options as people read them: the table of the documentation, and the help."""

import re

import pytest

from gollamas.config.flags import VERBS
from gollamas.config.options import OPTIONS, FlagOption
from gollamas.config.table import BEGIN, END, flags_help, markdown_table, overview, with_table
from gollamas.config.values import Count, Switch


@pytest.mark.parametrize("text", [markdown_table(), flags_help(OPTIONS)], ids=["table", "help"])
def test_every_flag_and_variable_is_shown(text: str) -> None:
    """In the table and in `serve --help`."""
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


def test_the_overview_shows_every_verb_and_fits_a_screen() -> None:
    """It names the flags that most people need, and where the others are."""
    for verb in VERBS:
        assert f"\n  {verb} " in overview()
    assert len(overview().splitlines()) <= 36
    for flag in ("--listen", "--connection", "--proxy", "--alias", "--config", "--level", "--help", "-V"):
        assert re.search(rf"^  .*{flag}\b", overview(), re.MULTILINE), flag
    assert "--max-body" not in overview()
    assert "`gollamas serve --help`" in overview()


@pytest.mark.parametrize("text", [overview(), flags_help(OPTIONS)], ids=["overview", "flags"])
def test_the_help_fits_a_terminal_of_100_columns(text: str) -> None:
    """In ASCII."""
    assert all(len(line) <= 100 and line.isascii() for line in text.splitlines())


def test_the_help_of_a_flag_has_what_there_is_to_say() -> None:
    """Range, default and variables where it has them; a switch needs neither word."""
    many = FlagOption(
        key="n",
        flags=("--n",),
        kind=Count(1, 9),
        default=(1, 2),
        is_repeated=True,
        help="a",
        variables=("N",),
    )
    switch = FlagOption(key="s", flags=("--s",), kind=Switch(), help="b")
    assert flags_help([many, switch]) == (
        "  --n NUMBER\n      a (1 to 9) [N; default 1, 2]\n  --s[=BOOL]\n      b\n"
    )
    assert flags_help([]) == ""


def test_a_page_without_markers_is_no_place_for_the_table() -> None:
    """The table goes between the two, and nothing else of the page changes."""
    assert with_table(f"a{BEGIN}old{END}b") == f"a{BEGIN}\n{markdown_table()}{END}b"
    for text in ("", BEGIN, END):
        with pytest.raises(ValueError, match="lacks"):
            with_table(text)
