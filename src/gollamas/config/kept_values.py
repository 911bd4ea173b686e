"""The kinds of values of what is kept on servers.

Owns the words for how many instances there are to be, how often one is looked at and whether a model is to be
there at all (`true`, `off`), and what to write for a slip. Knows nothing of levels, nor of models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeGuard

from gollamas.config.faults import Unusable
from gollamas.config.model import EVERYWHERE
from gollamas.config.policy_values import OFF, meant_duration
from gollamas.config.values import FILLED_IN, Count, Duration, seconds_in

TRUE: Final = "true"
FALSE: Final = "false"
ALL: Final = "all"  # the name of all models, where an entry begins with a name
# Words for either, of which two are taken.
YES: Final = frozenset({TRUE, "on", "yes", "enabled", "everything", "everywhere", "*"})
NO: Final = frozenset({FALSE, OFF, "no", "none", "never", "nothing", "disabled"})
_NUMBER: Final = Count(1, 1000)
_DURATION: Final = Duration(1.0, 86400.0)


@dataclass(frozen=True, slots=True)
class InstanceCount:
    """How many instances, EVERYWHERE for `true`; `false` and `off` are None. One server has no number."""

    may_be_number: bool = True
    placeholder: str = "NUMBER"

    @property
    def accepts(self) -> str:
        """The words and the range, for people."""
        number = f", or {_NUMBER.accepts} instances" if self.may_be_number else ""
        return f"true or false{number}"

    def parse(self, text: str) -> int | None:
        """Read a word or a number; raises Unusable where it is neither."""
        text = text.strip()
        word = text.lower()
        if word == TRUE:
            return EVERYWHERE
        if word in {FALSE, OFF}:
            return None
        if word in YES | {ALL}:
            raise Unusable(f"`{text}` is not a number of instances", f"Write `{TRUE}`")
        if word in NO or (word and not word.strip("0")):
            raise Unusable(f"`{text}` is not a number of instances", f"Write `{FALSE}`")
        if not self.may_be_number:
            raise Unusable(
                f"`{text}` is neither true nor false: a server has one instance of a model",
                f"Write `{TRUE}` or `{FALSE}`",
            )
        if not (text.isascii() and text.isdigit()):
            raise Unusable(
                f"`{text}` is not a number of instances",
                f"Write `{TRUE}`, `{FALSE}` or a number from {_NUMBER.accepts}",
            )
        return _NUMBER.parse(text)

    def show(self, value: int | None) -> str:
        """In digits, or the word."""
        return FALSE if value is None else TRUE if value == EVERYWHERE else str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a boolean or a number, or a word for either."""
        words = r"[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Oo][Ff][Ff]"
        number = {"type": "integer", "minimum": _NUMBER.minimum, "maximum": _NUMBER.maximum}
        digits = "|[0-9]+" if self.may_be_number else ""
        text = {"type": "string", "pattern": rf"^\s*({words}{digits})\s*$"}
        numbers = [number] if self.may_be_number else []
        return {"anyOf": [{"type": "boolean"}, *numbers, text, FILLED_IN]}


@dataclass(frozen=True, slots=True)
class Whether:
    """Whether a model is to be there: `true`, `false` or `off`."""

    placeholder: str = "BOOL"
    accepts: str = "true or false"

    def parse(self, text: str) -> bool:
        """Read a word; raises Unusable where it is none of them."""
        word = text.strip().lower()
        if word in {TRUE, FALSE, OFF}:
            return word == TRUE
        instead = TRUE if word in YES | {ALL} else FALSE if word in NO else f"{TRUE}` or `{FALSE}"
        raise Unusable(f"`{text.strip()}` is neither true nor false", f"Write `{instead}`")

    def show(self, value: bool) -> str:
        """As YAML writes it."""
        return TRUE if value else FALSE

    def schema(self) -> Mapping[str, object]:
        """Describe a boolean, or a word for one."""
        words = r"[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Oo][Ff][Ff]"
        return {
            "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": rf"^\s*({words})\s*$"}, FILLED_IN]
        }


@dataclass(frozen=True, slots=True)
class PingPause:
    """Seconds between two looks, or `off`, which is None."""

    placeholder: str = _DURATION.placeholder
    accepts: str = f"{_DURATION.accepts}; off is none"

    def parse(self, text: str) -> float | None:
        """Seconds; raises Unusable where it is no duration or out of range."""
        text = text.strip()
        word = text.lower()
        if word == OFF:
            return None
        seconds = seconds_in(text)
        if word in NO or seconds == 0 or text.startswith("-"):
            raise Unusable(f"`{text}` is not a time between two looks", f"Write `{OFF}`")
        if _is_in_range(seconds):
            return float(seconds)
        meant = meant_duration(word)
        raise Unusable(
            f"`{text}` is {'no duration' if seconds is None else 'out of range'}",
            f"Write `{meant}`"
            if meant and _is_in_range(seconds_in(meant))
            else f"Write a duration from {_DURATION.accepts}, like `4m`, or `{OFF}`",
        )

    def show(self, value: float | None) -> str:
        """Write the shortest form."""
        return OFF if value is None else _DURATION.show(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a number of seconds or a text."""
        number = {"type": "number", "minimum": _DURATION.minimum, "maximum": _DURATION.maximum}
        pattern = r"^\s*([Oo][Ff][Ff]|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h)?)+)\s*$"
        return {"anyOf": [number, {"type": "string", "pattern": pattern}, {"const": False}, FILLED_IN]}


def _is_in_range(seconds: Decimal | None) -> TypeGuard[Decimal]:
    return seconds is not None and _DURATION.minimum <= seconds <= _DURATION.maximum
