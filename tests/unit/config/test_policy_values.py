"""Durations of keep_alive and sizes of num_ctx: what Ollama reads, and our words beside it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.config.faults import Unusable
from gollamas.config.model import LOADED
from gollamas.config.policy_values import KeepAlive, NumCtx

KEEP_ALIVE = KeepAlive()
DEFAULT = NumCtx(may_be_loaded=True)
FORCE = NumCtx(may_be_loaded=False)
FOREVER = -1.0


def pattern_of(kind: KeepAlive | NumCtx) -> re.Pattern[str]:
    """Give the pattern of the texts in the kind's schema."""
    schema = kind.schema()["anyOf"]
    assert isinstance(schema, list)
    return re.compile(schema[1]["pattern"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-1", FOREVER),
        ("0", 0.0),
        ("300", 300.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+300", 300.0),
        ("5m", 300.0),
        ("+5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("1h1.5s", 3601.5),
        ("250ms", 0.25),
        ("20us", 2e-5),
        ("20\u00b5s", 2e-5),
        ("20\u03bcs", 2e-5),
        ("1ns", 1e-9),
        ("0.9ns", 0.0),
        ("0s", 0.0),
        ("-0", 0.0),
        ("-0s", 0.0),
        ("-1m", FOREVER),
        ("-0.5", FOREVER),
        ("-1ns", FOREVER),
        (" 10m ", 600.0),
        ("2562047h", 9223369200.0),
        ("9223372036", 9223372036.0),
        ("2562047h47m16.854775807s", FOREVER),  # how Ollama writes for ever
        ("-9223372036.854775808", FOREVER),
    ],
)
def test_a_duration_of_ollama_is_read(text: str, seconds: float) -> None:
    """Numbers are seconds, all else is Go's notation; whatever is less than 0 is for ever."""
    assert KEEP_ALIVE.parse(text) == seconds
    assert pattern_of(KEEP_ALIVE).search(text) or not text.isascii()


@pytest.mark.parametrize("text", ["off", " OFF ", "Off"])
def test_off_is_none(text: str) -> None:
    """In any case of its letters, for both."""
    assert KEEP_ALIVE.parse(text) is None
    assert DEFAULT.parse(text) is FORCE.parse(text) is None
    for kind in (KEEP_ALIVE, DEFAULT, FORCE):
        assert pattern_of(kind).search(text)
        assert kind.show(None) == "off"


@pytest.mark.parametrize(
    "text", ["9223372037", "2562047h47m16.854775808s", "2562048h", "9" * 400, "-9223372037"]
)
def test_a_duration_beyond_an_int64_of_nanoseconds_is_a_fault(text: str) -> None:
    """Go would refuse it, or wrap round."""
    with pytest.raises(Unusable, match="longer than a duration can be") as caught:
        KEEP_ALIVE.parse(text)
    assert caught.value.instead == "Write `-1` for ever"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("forever", "-1"),
        ("Infinite", "-1"),
        ("always", "-1"),
        ("none", "off"),
        ("false", "off"),
        ("now", "0"),
        ("10 m", "10m"),
        ("10M", "10m"),
        ("1h 30m", "1h30m"),
        ("5 minutes", "5m"),
        ("1hour", "1h"),
        ("90 sec", "90s"),
        ("1d", "24h"),
        ("1.5d", "36h"),
        ("2w", "336h"),
        ("1d12h", "24h12h"),
        ("-1d", "-24h"),
        ("500 ms", "500ms"),
    ],
)
def test_a_slip_in_a_duration_is_told_how_it_is_written(text: str, meant: str) -> None:
    """What is suggested is taken."""
    with pytest.raises(Unusable, match="is no duration") as caught:
        KEEP_ALIVE.parse(text)
    assert caught.value.instead == f"Write `{meant}`"
    KEEP_ALIVE.parse(meant)


@pytest.mark.parametrize(
    "text", ["", "-", "+", "--1", "5x", "m", "1e3", "0x10", "1:30", "5m-", "1_000", "nan", "never", "\u0665m"]
)
def test_what_is_no_duration_is_told_what_one_is(text: str) -> None:
    """Also what Python would take for a number."""
    with pytest.raises(Unusable, match="is no duration") as caught:
        KEEP_ALIVE.parse(text)
    for part in ("`10m`", "`1h30m`", "`300` (seconds)", "`0` to unload at once", "`-1` for ever"):
        assert part in caught.value.instead
    assert not pattern_of(KEEP_ALIVE).search(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(FOREVER, "-1"), (0.0, "0"), (600.0, "10m"), (5400.0, "1h30m"), (0.25, "250ms"), (1e-9, "0.000000001s")],
)
def test_a_duration_is_shown_in_its_shortest_form(seconds: float, text: str) -> None:
    """Which is read as the same."""
    assert KEEP_ALIVE.show(seconds) == text
    assert KEEP_ALIVE.parse(text) == seconds


@given(st.integers(0, 2**63 - 1), st.sampled_from(["", "-", "+"]))
def test_every_duration_that_is_shown_is_read_as_the_same(nanoseconds: int, sign: str) -> None:
    """To the nanosecond, as far as a float goes."""
    seconds = KEEP_ALIVE.parse(f"{sign}{nanoseconds}ns")
    assert seconds is not None
    assert KEEP_ALIVE.parse(KEEP_ALIVE.show(seconds)) == seconds
    assert seconds * 10**9 < 2**63


@pytest.mark.parametrize(("text", "tokens"), [("4", 4), (" 8192 ", 8192), ("100000000", 100_000_000)])
def test_a_context_is_a_whole_number(text: str, tokens: int) -> None:
    """As default and as force."""
    for kind in (DEFAULT, FORCE):
        assert kind.parse(text) == tokens
        assert kind.parse(kind.show(tokens)) == tokens
        assert pattern_of(kind).search(text)


def test_loaded_is_a_default_and_no_force() -> None:
    """The fault says where it may stand."""
    assert DEFAULT.parse("loaded") == DEFAULT.parse(" Loaded ") == LOADED
    assert DEFAULT.show(LOADED) == "loaded"
    with pytest.raises(Unusable, match="can't be forced") as caught:
        FORCE.parse("loaded")
    assert "--num-ctx MODEL=loaded" in caught.value.instead
    assert pattern_of(DEFAULT).search("loaded")
    assert not pattern_of(FORCE).search("loaded")
    assert "loaded" in DEFAULT.accepts
    assert "loaded" not in FORCE.accepts


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("8k", "8192"),
        ("8K", "8192"),
        ("128 k", "131072"),
        ("8KiB", "8192"),
        ("0.5k", "512"),
        ("1m", "1048576"),
        ("8192 tokens", "8192"),
        ("+8192", "8192"),
        ("8192.0", "8192"),
        ("8_192", "8192"),
        ("131 072", "131072"),
        ("32,768", "32768"),
        ("0", "off"),
        ("-1", "off"),
        ("auto", "off"),
        ("false", "off"),
    ],
)
def test_a_slip_in_a_context_is_told_how_it_is_written(text: str, meant: str) -> None:
    """What is suggested is taken."""
    with pytest.raises(Unusable, match=r"is no whole number|is out of range") as caught:
        DEFAULT.parse(text)
    assert caught.value.instead == f"Write `{meant}`"
    DEFAULT.parse(meant)


@pytest.mark.parametrize(
    "text",
    ["", "3", "100000001", "9" * 5000, "-8192", "8192.5", "2k5", "many", "0.001k", "200m", "\u0668", "8x"],
)
def test_what_is_no_context_is_told_the_range(text: str) -> None:
    """Also what Python would take for a number."""
    with pytest.raises(Unusable, match=r"is no whole number|is out of range") as caught:
        DEFAULT.parse(text)
    assert caught.value.instead == "Write a number from 4 to 100000000"
