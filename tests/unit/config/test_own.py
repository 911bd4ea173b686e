"""One parser for all verbs: each is read by its own table, by the same rules, with all faults at once."""

from collections.abc import Mapping
from typing import Any

import pytest

from gollamas.config.faults import Faults
from gollamas.config.flags import SERVE, Table
from gollamas.config.load import load_values, load_with_origins
from gollamas.config.options import OPTIONS, VALUES, FlagOption
from gollamas.config.own import read_own
from gollamas.config.values import Count, FilePath, Listen, Switch

LISTEN = FlagOption(
    key="listen", flags=("--listen", "-a"), kind=Listen(), variables=("LISTEN",), help="where"
)
MODELS = FlagOption(
    key="models", flags=("--model",), kind=FilePath(), default=("x",), is_repeated=True, help="which"
)
COUNT = FlagOption(key="count", flags=("--count",), kind=Count(1, 9), default=1, help="how many")
FULL = FlagOption(key="full", flags=("--full",), kind=Switch(), help="all of it")
LEVEL = FlagOption(key="level", flags=("--level",), kind=VALUES[2].kind, help="what is logged")
TABLE = Table("try", (LISTEN, MODELS, COUNT, FULL, LEVEL))
LIVE = FlagOption(key="live", flags=("--live",), kind=Switch(), help="ask")
CHECK = Table("check", (LIVE, *OPTIONS))


def read(*argv: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read a command line of the verb `try`."""
    return read_own(argv, env or {}, TABLE)


def faults_of(*argv: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Find what is wrong with a command line of the verb `try`."""
    with pytest.raises(Faults) as caught:
        read(*argv, env=env)
    return [str(fault) for fault in caught.value.faults]


def test_what_nobody_said_has_its_default_or_is_left_out() -> None:
    assert read() == {"models": ("x",), "count": 1}


@pytest.mark.parametrize(
    "argv", [["--count=3"], ["--count", "3"], ["-count=3"], ["-count", "3"], ["--count=2", "--count=3"]]
)
def test_a_value_follows_its_flag_and_the_last_one_holds(argv: list[str]) -> None:
    """After `=` or as the next word, behind one dash or two."""
    assert read(*argv)["count"] == 3


def test_a_repeated_flag_adds_up() -> None:
    """In its order, and without the default."""
    assert read("--model", "b", "--model=a")["models"] == ("b", "a")


def test_a_switch_takes_a_value_only_behind_an_equals_sign() -> None:
    assert read("--full")["full"] is True
    assert read("--full=false")["full"] is False
    assert faults_of("--full", "false") == ["argument `false`: this verb takes no argument. Leave it out."]


def test_a_variable_speaks_where_no_flag_does() -> None:
    """Without its quotes; an empty one says nothing."""
    env = {"LISTEN": "'h:1'"}
    assert str(read(env=env)["listen"]) == "h:1"
    assert str(read("-a", ":2", env=env)["listen"]) == ":2"
    assert "listen" not in read(env={"LISTEN": ""})
    (fault,) = faults_of(env={"LISTEN": "h"})
    assert fault.startswith("LISTEN: `h` has no port.")


def test_all_faults_of_a_command_line_are_said_at_once() -> None:
    """In its order: of the flags, of their values, of the words."""
    assert faults_of("--cuont", "3", "--model=", "--count=10", "--listen", "--full", "more") == [
        "--cuont: there is no such flag. Write `--count`.",
        "--listen: a value is missing. Write `--listen=ADDRESS`.",
        "--model: the file's name is empty. Write a path, like `gollamas.yaml`.",
        "--count: `10` is out of range. Write a number from 1 to 9.",
        "argument `more`: this verb takes no argument. Write `gollamas try --model`.",
    ]


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (
            ["--port", "8080"],
            "--port: there is no such flag. Write `--listen`, like `--listen localhost:8080`.",
        ),
        (["--verbose"], "--verbose: there is no such flag. Write `--level debug`."),
        (["--models", "x"], "--models: there is no such flag. Write `--model`."),
        (["--hepl"], "--hepl: there is no such flag. Write `--help`."),
        (["--xyzzy"], "--xyzzy: there is no such flag. See `gollamas try --help` for all flags."),
        (["--no-full"], "--no-full: there is no such flag. See `gollamas try --help` for all flags."),
        (["--live"], "--live: this verb has no such flag. Write `gollamas check --live`."),
        (
            ["--proxy", "a=http://h"],
            "--proxy: this verb has no such flag. It is for `gollamas serve`; see `gollamas try --help`.",
        ),
        (
            ["http://u:secret@h:1"],
            "argument `http://***@h:1`: this verb takes no server. `gollamas URL` is for yours.",
        ),
        (["full"], "argument `full`: this verb takes no argument. Write `gollamas try --full`."),
        (["--", "--count"], "argument `--count`: this verb takes no argument. Write `gollamas try --count`."),
    ],
)
def test_an_unknown_word_is_told_what_was_meant(argv: list[str], fault: str) -> None:
    """By what other programs call it, the nearest name, or the verb that has it."""
    assert faults_of(*argv) == [fault]


def test_a_verb_s_own_flags_stand_among_those_of_the_configuration() -> None:
    """`check --live` reads the whole configuration with one parser, and keeps what is its own."""
    argv = ["http://a", "--level", "warn", "--live"]
    loaded = load_with_origins(argv, {}, table=CHECK)
    assert (loaded.own, loaded.config.level) == ({"live": True}, "warn")
    assert load_values(argv, {}, table=CHECK).own == {"live": True}
    assert load_with_origins(["http://a"], {}, table=CHECK).own == {}


def test_faults_of_a_verb_s_own_flags_stand_among_the_others() -> None:
    with pytest.raises(Faults) as caught:
        load_with_origins(["--live=maybe", "--liv", "--xyzzy", "--ping=0", "nowhere"], {}, table=CHECK)
    assert [str(fault).partition(":")[0] for fault in caught.value.faults] == [
        "--liv",
        "--xyzzy",
        "--live",
        "argument `nowhere`",
        "--ping",
    ]
    said = str(caught.value)
    assert "--liv: there is no such flag. Write `--live`." in said
    assert "See `gollamas serve --help` for all flags" in said


def test_a_table_knows_its_flags_with_and_without_a_value() -> None:
    """With one dash or two, and no word that is no flag."""
    for word in ("--level", "-level", "--level=debug", "-a"):
        assert SERVE.knows(word), word
    for word in ("level", "-", "--live", "--", "---level"):
        assert not SERVE.knows(word), word
