"""Numbers of instances and times between two looks: what is read, what is shown, and what a slip is told."""

import re

import pytest

from gollamas.config.faults import Unusable
from gollamas.config.kept_values import InstanceCount, PingPause, Whether
from gollamas.config.model import EVERYWHERE

COUNT = InstanceCount()
ON_ONE = InstanceCount(may_be_number=False)
PING = PingPause()
WANTED = Whether()


def pattern_of(kind: InstanceCount | PingPause | Whether) -> re.Pattern[str]:
    """Give the pattern of the texts in the kind's schema."""
    schema = kind.schema()["anyOf"]
    assert isinstance(schema, list)
    return re.compile(next(shape["pattern"] for shape in schema if "pattern" in shape))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("true", EVERYWHERE),
        ("True", EVERYWHERE),
        (" TRUE ", EVERYWHERE),
        ("false", None),
        ("FALSE", None),
        ("off", None),
        ("Off", None),
        ("1", 1),
        ("2", 2),
        ("007", 7),
        ("1000", 1000),
    ],
)
def test_a_number_of_instances_is_read(text: str, number: int | None) -> None:
    """Also the words for all and none, in any case of their letters; what is shown is read as the same."""
    assert COUNT.parse(text) == number
    assert COUNT.parse(COUNT.show(number)) == number
    assert pattern_of(COUNT).search(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("0", "Write `false`"),
        ("00", "Write `false`"),
        ("no", "Write `false`"),
        ("none", "Write `false`"),
        ("yes", "Write `true`"),
        ("ALL", "Write `true`"),
        ("", "Write `true`, `false` or a number from 1 to 1000"),
        ("-1", "Write `true`, `false` or a number from 1 to 1000"),
        ("1.5", "Write `true`, `false` or a number from 1 to 1000"),
        ("two", "Write `true`, `false` or a number from 1 to 1000"),
        ("\u0662", "Write `true`, `false` or a number from 1 to 1000"),
        ("1001", "Write a number from 1 to 1000"),
        ("9" * 5000, "Write a number from 1 to 1000"),
    ],
)
def test_what_is_no_number_of_instances_is_told_what_one_is(text: str, instead: str) -> None:
    """The word that is taken, or the range."""
    with pytest.raises(Unusable, match=r"is not a number of instances|is out of range") as caught:
        COUNT.parse(text)
    assert caught.value.instead == instead


def test_on_one_server_a_model_is_kept_or_not() -> None:
    """A number would be of servers."""
    assert ON_ONE.parse("true") == EVERYWHERE
    assert ON_ONE.parse("false") is ON_ONE.parse("off") is None
    for text in ("1", "2", "x"):
        with pytest.raises(Unusable, match="a server has one instance of a model") as caught:
            ON_ONE.parse(text)
        assert caught.value.instead == "Write `true` or `false`"
        assert not pattern_of(ON_ONE).search(text)
    assert "1000" in COUNT.accepts
    assert ON_ONE.accepts == "true or false"
    assert "integer" in repr(COUNT.schema())
    assert "integer" not in repr(ON_ONE.schema())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("4m", 240.0),
        (" 4m ", 240.0),
        ("1m30s", 90.0),
        ("240", 240.0),
        ("1.5", 1.5),
        ("1500ms", 1.5),
        ("24h", 86400.0),
        ("off", None),
        ("OFF", None),
    ],
)
def test_a_time_between_two_looks_is_read(text: str, seconds: float | None) -> None:
    """From a second to a day, or off; what is shown is read as the same."""
    assert PING.parse(text) == seconds
    assert PING.parse(PING.show(seconds)) == seconds
    assert pattern_of(PING).search(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.0", "0h0m", "-1", "-4m", "false", "none", "No", "never"])
def test_no_ping_is_called_off(text: str) -> None:
    """Neither 0 nor -1, which mean something else for `keep_alive`."""
    with pytest.raises(Unusable, match="is not a time between two looks") as caught:
        PING.parse(text)
    assert caught.value.instead == "Write `off`"


@pytest.mark.parametrize(
    ("text", "what", "instead"),
    [
        ("4 m", "is no duration", "Write `4m`"),
        ("4M", "is no duration", "Write `4m`"),
        ("5 minutes", "is no duration", "Write `5m`"),
        ("1d", "is no duration", "Write `24h`"),
        ("2d", "is no duration", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("forever", "is no duration", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("true", "is no duration", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("", "is no duration", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("500ms", "is out of range", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("0.999", "is out of range", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("24h1s", "is out of range", "Write a duration from 1s to 24h, like `4m`, or `off`"),
        ("9" * 400, "is out of range", "Write a duration from 1s to 24h, like `4m`, or `off`"),
    ],
)
def test_what_is_no_time_between_two_looks_is_told_what_one_is(text: str, what: str, instead: str) -> None:
    """How it is written, where that is in range."""
    with pytest.raises(Unusable, match=what) as caught:
        PING.parse(text)
    assert caught.value.instead == instead


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), (" True ", True), ("false", False), ("OFF", False)]
)
def test_whether_a_model_is_to_be_there_is_read(text: str, value: bool) -> None:
    assert WANTED.parse(text) is value
    assert WANTED.parse(WANTED.show(value)) is value
    assert pattern_of(WANTED).search(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("yes", "Write `true`"),
        ("all", "Write `true`"),
        ("never", "Write `false`"),
        ("2", "Write `true` or `false`"),
        ("", "Write `true` or `false`"),
    ],
)
def test_what_says_neither_is_told_what_to_write(text: str, instead: str) -> None:
    with pytest.raises(Unusable, match=re.escape(f"`{text}` is neither true nor false")) as why:
        WANTED.parse(text)
    assert why.value.instead == instead
    assert not pattern_of(WANTED).search(text)
