"""The flags of every verb, and the help that is made from them."""

import re
from pathlib import Path

import pytest

import gollamas
from gollamas.cli.main import main
from gollamas.cli.tables import TABLES, ModelName, Number, Release
from gollamas.config.faults import Unusable
from gollamas.config.flags import HELP_FLAGS, VERBS
from gollamas.config.options import OPTIONS, FlagOption
from gollamas.simulate.settings import Settings

OWN = [(verb, option) for verb, table in TABLES.items() for option in table.own]


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Print the help of a verb."""
    assert main(["help", verb]) == 0
    return capsys.readouterr().out


def test_every_verb_has_a_table() -> None:
    """Also one that takes no flag, so that a flag of it is a fault and no verb is read by other rules."""
    assert TABLES.keys() == VERBS.keys()
    assert all(table.verb == verb for verb, table in TABLES.items())


@pytest.mark.parametrize(("verb", "option"), OWN, ids=lambda part: getattr(part, "key", part))
def test_the_help_of_a_verb_names_each_of_its_own_flags(
    verb: str, option: FlagOption, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what it is for and its default."""
    text = " ".join(help_of(verb, capsys).split())
    for flag in option.flags:
        assert f" {flag}" in text
    assert option.help in text
    assert option.default is None or f"default {option.default_text}]" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_short_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In three spellings, it fits 100 columns, and only `serve` has all flags of the configuration."""
    text = help_of(verb, capsys)
    for argv in ([verb, "--help"], [verb, "-h"], ["--help", verb]):
        assert main(argv) == 0
        assert capsys.readouterr().out == text
    assert text.startswith(f"Usage: gollamas {verb if verb != 'serve' else '[serve]'}")
    assert all(len(line) <= 100 and line.isascii() for line in text.splitlines())
    assert f"  {', '.join(HELP_FLAGS)}\n" in text
    shown = [
        option
        for option in OPTIONS
        if re.search(rf"^  {(option.flags or option.variables)[0]}\b", text, re.MULTILINE)
    ]
    assert (len(shown) == len(OPTIONS)) == (verb == "serve")
    assert verb == "serve" or len(text.splitlines()) <= 40


def test_the_help_of_check_says_what_it_exits_with_and_where_its_other_flags_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = help_of("check", capsys)
    for words in ("--live", "gollamas serve --help", "exits 1", "Exits 2"):
        assert words in text


def test_one_parser_reads_every_command_line() -> None:
    """No file of the program imports another one."""
    others = re.compile(r"^\s*(import|from) (argparse|optparse|getopt|click)\b", re.MULTILINE)
    sources = [*Path(gollamas.__file__).parent.rglob("*.py")]
    assert len(sources) > 100
    assert not [path for path in sources if others.search(path.read_text(encoding="utf-8"))]


def test_the_options_of_simulate_are_those_of_the_simulated_server() -> None:
    """What is not said is what the server has without any option."""
    defaults = {option.key: option.default for option in TABLES["simulate"].own}
    defaults.pop("listen")
    assert Settings(**defaults) == Settings()


@pytest.mark.parametrize(("verb", "option"), OWN, ids=lambda part: getattr(part, "key", part))
def test_a_default_is_written_as_it_is_read(verb: str, option: FlagOption) -> None:
    """What the help of the verb shows parses to the default."""
    del verb
    if option.default is not None:
        values = option.default if option.is_repeated else (option.default,)
        texts = option.default_text.split(", ")
        assert tuple(option.kind.parse(text) for text in texts) == values


@pytest.mark.parametrize(
    ("kind", "text", "what"),
    [
        (Number(), "soon", "is no number"),
        (Number(), "nan", "is no number"),
        (Number(may_be_negative=True), "-inf", "is no number"),
        (Number(), "-0.5", "is less than 0"),
        (Release(), "new", "is no version"),
        (Release(), "", "is no version"),
        (ModelName(), "a b", "is no name of a model"),
    ],
)
def test_what_no_value_of_its_kind_is_says_so(
    kind: Number | Release | ModelName, text: str, what: str
) -> None:
    with pytest.raises(Unusable, match=what):
        kind.parse(text)


def test_numbers_may_have_a_fraction_and_one_kind_a_sign() -> None:
    assert [Number().parse(text) for text in ("0", "0.5", "10")] == [0, 0.5, 10]
    assert Number(may_be_negative=True).parse("-1") == -1
    assert Release().parse("0.40.0-rc1") == "0.40.0-rc1"
