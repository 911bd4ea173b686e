"""Values in the spelling of Go's standard library: JSON, times, durations.

Owns text in and out; knows nothing of Ollama's routes. Rules: `encoding/json`, `time.ParseDuration`,
`time.RFC3339Nano`.
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

_ESCAPED: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPES: Final = str.maketrans(_ESCAPED)
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_EXPONENT: Final = 6  # from which on `%g` writes it
_NUMBER: Final = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_UNIT: Final = re.compile(r"[^.\d]*", re.ASCII)


def dump(value: Any) -> bytes:
    """Compact JSON; `<`, `>` and `&` are escaped as `encoding/json` does."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES).encode("utf-8", "replace")


def quote(text: str) -> str:
    """Give what `%q` prints."""
    return '"' + "".join(_quoted(char) for char in text) + '"'


def _quoted(char: str) -> str:
    plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if char in plain:
        return plain[char]
    return (
        char if char.isprintable() else f"\\x{ord(char):02x}" if ord(char) < 0x80 else f"\\u{ord(char):04x}"
    )


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with nanoseconds whose trailing zeros are left out."""
    whole, fraction = divmod(round(seconds * 1_000_000) * 1000, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z"


def nanoseconds(seconds: float) -> int:
    """Make a span for an answer: at least 1, since Ollama leaves zeros out of its answers."""
    return max(1, round(seconds * 1e9))


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as `1h15m30.5s`.

    Raises ValueError with the text of `time.ParseDuration`.
    """
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total = 0.0
    while rest:
        number = _NUMBER.match(rest)
        if number is None:
            raise ValueError(f"time: invalid duration {quote(text)}")
        rest = rest[number.end() :]
        word = _UNIT.match(rest)
        unit = word.group() if word else ""
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += float(number.group()) * _UNITS[unit]
        rest = rest[len(unit) :]
    return sign * total


def shortest(value: float) -> str:
    """Give what `%g` prints of a finite number: the fewest digits that tell it from others."""
    digits, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    if -5 < int(exponent) < _MAX_EXPONENT:
        return f"{Decimal(repr(value)).normalize():f}"
    return f"{digits}e{exponent[0]}{exponent[1:]:0>2}"


def go_type_of(value: Any) -> str:
    """Give what Go's `%T` calls a decoded JSON value."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"


def base64_fault(text: str) -> int | None:
    """Give where Go's `base64.StdEncoding` finds a text faulty: its CorruptInputError; None where it is good.

    Line ends are passed over, padding is a must.
    """
    filled = 0  # characters of the quantum that is being read
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char in "\r\n":
            continue
        if char == "=":
            return _padding_fault(text, at, filled)
        if char not in _BASE64:
            return at - 1
        filled = (filled + 1) % 4
    return len(text) - filled if filled else None


def _padding_fault(text: str, at: int, filled: int) -> int | None:
    """Judge the rest of a text behind its first `=`."""
    if filled < 2:
        return at - 1
    rest = [place for place in range(at, len(text)) if text[place] not in "\r\n"]
    if filled == 2:
        if not rest:
            return len(text)
        if text[rest[0]] != "=":
            return rest[0] - 1
        rest = rest[1:]
    return rest[0] if rest else None


_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
