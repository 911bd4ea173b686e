"""The kinds of values that a policy has: how long a model stays loaded, and how large its context is.

Owns what Ollama reads as either, the words of ours beside it (`off`, `loaded`) and what to write for a slip.
Knows nothing of levels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gollamas.config.faults import Unusable
from gollamas.config.model import LOADED
from gollamas.config.values import FILLED_IN, NUMBER, Duration, seconds_in

OFF: Final = "off"  # lifts what is said of the same kind farther off
_LOADED: Final = "loaded"
_FOREVER: Final = -1.0
_A_SECOND: Final = 10**9  # of nanoseconds, which Go counts durations in, as an int64
_MOST: Final = 2**63 - 1
_ANY_DURATION: Final = Duration(0.0, _MOST / _A_SECOND)

_NO_POLICY: Final = dict.fromkeys(("none", "no", "false", "disabled", "default", "auto", "unset"), OFF)
_MEANT_BY_KEEP_ALIVE: Final = {
    **_NO_POLICY,
    **dict.fromkeys(("forever", "for ever", "infinite", "infinity", "inf", "always", "permanent"), "-1"),
    **dict.fromkeys(("now", "immediately", "unload", "zero"), "0"),
}
# Units that Go lacks or spells otherwise, each with what it is in hours, minutes or seconds.
_MEANT_BY_UNIT: Final = {
    **dict.fromkeys(("w", "week", "weeks"), (168, "h")),
    **dict.fromkeys(("d", "day", "days"), (24, "h")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (1, "h")),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), (1, "m")),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), (1, "s")),
    "ms": (1, "ms"),
}
_PART: Final = re.compile(rf"({NUMBER})\s*([a-z]+)\s*", re.ASCII)
_PARTS: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)

_MEANT_BY_NUM_CTX: Final = {**_NO_POLICY, **dict.fromkeys(("0", "-1"), OFF)}
_TOKENS: Final = re.compile(rf"\+?({NUMBER})\s*(?:(k|m)i?b?)?\s*(?:tokens?)?", re.ASCII)
_GROUPED: Final = re.compile(r"\d{1,3}(?:[,_' ]\d{3})+", re.ASCII)
_TOKENS_IN: Final = {"": 1, "k": 1024, "m": 1024**2}
_MOST_DIGITS: Final = 18  # Python refuses to read numbers of some thousands


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Seconds as Ollama reads them, less than 0 for ever, or `off`, which is None."""

    placeholder: str = "DURATION"
    accepts: str = "like 10m or 300 for seconds; 0 unloads at once, -1 is for ever, off is none"

    def parse(self, text: str) -> float | None:
        """Seconds, rounded down to nanoseconds; raises Unusable where it is no duration, or too long."""
        text = text.strip()
        if text.lower() == OFF:
            return None
        sign = text[:1] if text.startswith(("+", "-")) else ""
        seconds = seconds_in(text.removeprefix(sign))
        if seconds is None:
            meant = meant_duration(text.lower())
            raise Unusable(
                f"`{text}` is no duration",
                f"Write `{meant}`"
                if meant
                else "Write it like `10m`, `1h30m` or `300` (seconds), `0` to unload at once, `-1` for ever",
            )
        is_negative = sign == "-"
        nanoseconds = int(seconds * _A_SECOND)
        if nanoseconds > _MOST + is_negative:
            raise Unusable(f"`{text}` is longer than a duration can be", "Write `-1` for ever")
        value = float(Decimal(nanoseconds).scaleb(-9))
        # The longest durations are what Ollama calls for ever: no float of seconds tells them apart.
        return _FOREVER if (is_negative and seconds) or value * _A_SECOND > _MOST else value

    def show(self, value: float | None) -> str:
        """Write the shortest form."""
        if value is None:
            return OFF
        if value < 0:
            return "-1"
        return _ANY_DURATION.show(value) if value else "0"

    def schema(self) -> Mapping[str, object]:
        """Describe a number of seconds or a text."""
        pattern = rf"^\s*([Oo][Ff][Ff]|[+\-]?(({NUMBER})|(({NUMBER})(ns|us|ms|s|m|h))+))\s*$"
        text = {"type": "string", "pattern": pattern.replace("(?:", "(").replace(r"\d", "[0-9]")}
        return {"anyOf": [{"type": "number"}, text, {"const": False}, FILLED_IN]}


@dataclass(frozen=True, slots=True)
class NumCtx:
    """Tokens, or `off`, which is None; where it `may_be_loaded` also what the model is loaded with."""

    may_be_loaded: bool = False
    is_limit: bool = False  # of what requests ask for: `loaded` is no slip for a default of it
    minimum: int = 4  # Ollama lifts less to it
    maximum: int = 100_000_000
    placeholder: str = "TOKENS"

    @property
    def accepts(self) -> str:
        """The range and the words, for people."""
        loaded = "; loaded is what the model is loaded with" if self.may_be_loaded else ""
        return f"{self._range}{loaded}; off is none"

    def parse(self, text: str) -> int | None:
        """Tokens; raises Unusable where it is no whole number, out of range, or no word of these."""
        text = text.strip()
        word = text.lower()
        if word == OFF:
            return None
        if word == _LOADED:
            if self.may_be_loaded:
                return LOADED
            if not self.is_limit:
                raise Unusable(
                    f"`{text}` can't be forced", "Write it as a default, like `--num-ctx MODEL=loaded`"
                )
        if not (text.isascii() and text.isdigit()):
            raise Unusable(f"`{text}` is no whole number", self._meant(word))
        number = int(text) if len(text) <= _MOST_DIGITS else -1
        if not self.minimum <= number <= self.maximum:
            raise Unusable(f"`{text}` is out of range", self._meant(word))
        return number

    def show(self, value: int | None) -> str:
        """In digits, or the word."""
        return OFF if value is None else _LOADED if value == LOADED else str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a number or a word."""
        words = rf"[Oo][Ff][Ff]{'|[Ll][Oo][Aa][Dd][Ee][Dd]' if self.may_be_loaded else ''}"
        number = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        text = {"type": "string", "pattern": rf"^\s*([0-9]+|{words})\s*$"}
        return {"anyOf": [number, text, {"const": False}, FILLED_IN]}

    @property
    def _range(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def _meant(self, word: str) -> str:
        meant = _MEANT_BY_NUM_CTX.get(word) or self._meant_number(word)
        return f"Write `{meant}`" if meant else f"Write a number from {self._range}"

    def _meant_number(self, word: str) -> str | None:
        """Give the digits of `8k`, `8192 tokens`, `8_192` or `8192.0`; None where that is out of range."""
        found = _TOKENS.fullmatch(re.sub(r"[,_' ]", "", word) if _GROUPED.fullmatch(word) else word)
        number = Decimal(found[1]) * _TOKENS_IN[found[2] or ""] if found else Decimal()
        is_usable = number == int(number) and self.minimum <= number <= self.maximum
        return str(int(number)) if is_usable else None


def meant_duration(word: str) -> str | None:
    """Give the duration that was meant by `forever`, `10 m`, `1d` or `5 minutes`."""
    if meant := _MEANT_BY_KEEP_ALIVE.get(word):
        return meant
    sign = word[:1] if word.startswith(("+", "-")) else ""
    rest = word.removeprefix(sign).strip()
    parts = _PART.findall(rest) if _PARTS.fullmatch(rest) else []
    if not parts or any(unit not in _MEANT_BY_UNIT for _, unit in parts):
        return None
    known = ((Decimal(number), *_MEANT_BY_UNIT[unit]) for number, unit in parts)
    return sign + "".join(f"{(number * factor).normalize():f}{unit}" for number, factor, unit in known)
