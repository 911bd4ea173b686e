"""Text in Go's spelling."""

import pytest

from gollamas.simulate.goformat import (
    base64_fault,
    dump,
    go_type_of,
    nanoseconds,
    parse_duration,
    quote,
    shortest,
    timestamp,
)


def test_json_is_compact_and_escapes_what_go_escapes() -> None:
    """Angle brackets, ampersands and line separators are escaped, other letters stay."""
    assert dump({"a": "<b>&\u2028é"}) == '{"a":"\\u003cb\\u003e\\u0026\\u2028é"}'.encode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_700_000_000.5, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000.000001, "2023-11-14T22:13:20.000001Z"),
        (1_700_000_000 + 9_223_372_036.854775807, "2316-02-24T22:00:36.854776Z"),
    ],
)
def test_times_leave_trailing_zeros_out(seconds: float, text: str) -> None:
    """A time is printed as RFC3339Nano does it."""
    assert timestamp(seconds) == text


def test_no_span_is_zero() -> None:
    """A span of nothing is one nanosecond, so that the member is not left out."""
    assert [nanoseconds(0.0), nanoseconds(1.5)] == [1, 1_500_000_000]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300.0),
        ("1h15m30.5s", 4530.5),
        ("-1m", -60.0),
        ("0", 0.0),
        ("500ms", 0.5),
        ("+2s", 2.0),
        (".5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """What Go reads as a duration."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-1", 'time: missing unit in duration "-1"'),
        ("300", 'time: missing unit in duration "300"'),
        ("", 'time: invalid duration ""'),
        ("soon", 'time: invalid duration "soon"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("-", 'time: invalid duration "-"'),
    ],
)
def test_what_is_no_duration(text: str, fault: str) -> None:
    """The words of `time.ParseDuration`."""
    with pytest.raises(ValueError, match=r"^time: ") as raised:
        parse_duration(text)
    assert str(raised.value) == fault


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None),
        ("aGVsbG8=", None),
        ("aGVs\r\nbA==\n", None),
        ("*", 0),
        ("aG*s", 2),
        ("aGVsbG", 4),
        ("a===", 1),
        ("=", 0),
        ("bA=", 3),
        ("bA=x", 2),
        ("bA==x", 4),
        ("bG8=x", 4),
    ],
)
def test_where_base64_is_faulty(text: str, at: int | None) -> None:
    """The place is the one in Go's error."""
    assert base64_fault(text) == at


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "<nil>"),
        (True, "bool"),
        (1, "float64"),
        ("a", "string"),
        ({}, "map[string]interface {}"),
        ([], "[]interface {}"),
    ],
)
def test_the_types_of_decoded_values(value: object, name: str) -> None:
    """What `%T` prints."""
    assert go_type_of(value) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2048.0, "2048"),
        (-1.0, "-1"),
        (2048.5, "2048.5"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (262144.0, "262144"),
        (1_000_000.0, "1e+06"),
        (1_048_576.0, "1.048576e+06"),
        (1e100, "1e+100"),
    ],
)
def test_numbers_are_as_short_as_may_be(value: float, text: str) -> None:
    """With an exponent from a million on, and for the smallest."""
    assert shortest(value) == text


def test_quoting_keeps_letters_and_escapes_the_rest() -> None:
    """Quotes, line ends and control characters are escaped."""
    assert quote('a"b\n\x01é') == '"a\\"b\\n\\x01é"'
