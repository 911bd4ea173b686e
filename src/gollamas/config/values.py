"""The kinds of values that options have: how each is read, shown, bounded and described.

Every source (flag, variable, file) gives text, and one reader per kind makes a value of it, so that an option
reads the same wherever it stands. Knows no option's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from gollamas.config.address import parse_listen
from gollamas.config.faults import Unusable, nearest
from gollamas.config.model import Address

W = TypeVar("W", bound=StrEnum)

_DURATION_UNITS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "\u00b5s": Decimal("1e-6"),
    "\u03bcs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
_DURATION_PART: Final = re.compile(rf"({NUMBER})(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_PLAIN: Final = re.compile(NUMBER, re.ASCII)

_SIZE_UNITS: Final = {"": 1, "b": 1} | {
    prefix + tail: factor
    for number, letter in enumerate("kmgt", start=1)
    for prefix, factor, tails in ((letter, 1000**number, ("", "b")), (letter + "i", 1024**number, ("", "b")))
    for tail in tails
}
_SIZE: Final = re.compile(rf"({NUMBER})\s*([A-Za-z]*)", re.ASCII)
_BINARY: Final = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))

_MOST_DIGITS: Final = 18  # Python refuses to read numbers of some thousands

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # strconv.ParseBool of Go
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})

_ON: Final = frozenset({"on", "true", "yes", "y", "t", "1", "enabled", "default"})
_OFF: Final = frozenset({"no", "n", "f", "0", "none", "disabled", "never"})
FILLED_IN: Final = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}


class FlagKind(Protocol):
    """What the value of a flag may be."""

    @property
    def placeholder(self) -> str:
        """What stands for the value in help."""

    @property
    def accepts(self) -> str:
        """The range, for people."""

    def parse(self, text: str) -> Any:
        """Read the value of a text; raises Unusable."""

    def show(self, value: Any) -> str:
        """Write the text that parses to this value again."""


class ValueKind(FlagKind, Protocol):
    """What the value of an option may be that stands in the file, too."""

    def schema(self) -> Mapping[str, object]:
        """Describe the value in a file as JSON Schema."""


def seconds_in(text: str) -> Decimal | None:
    """Read the seconds of a number, or of a duration as in Go without a sign; None for another text."""
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if not _DURATION.fullmatch(text):
        return None
    parts = _DURATION_PART.findall(text)
    return sum((Decimal(number) * _DURATION_UNITS[unit] for number, unit in parts), Decimal())


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, written as in Go (`3s`, `1m30s`, `500ms`) or as a plain number."""

    minimum: float
    maximum: float
    placeholder: str = "DURATION"

    @property
    def accepts(self) -> str:
        """The range, for people."""
        return f"{self.show(self.minimum)} to {self.show(self.maximum)}"

    def parse(self, text: str) -> float:
        """Seconds; raises Unusable where it is no duration or out of range."""
        text = text.strip()
        read = seconds_in(text)
        if read is None:
            raise Unusable(f"`{text}` is no duration", "Write it like `30s`, `1m30s` or `500ms`")
        seconds = float(read)
        if not self.minimum <= seconds <= self.maximum:
            raise Unusable(f"`{text}` is out of range", f"Write a duration from {self.accepts}")
        return seconds

    def show(self, value: float) -> str:
        """Write the shortest Go-style duration."""
        if value != int(value):
            milliseconds = Decimal(repr(value)) * 1000
            whole = milliseconds == int(milliseconds) and value < 1
            return f"{int(milliseconds)}ms" if whole else f"{Decimal(repr(value)):f}s"
        minutes, seconds = divmod(int(value), 60)
        hours, minutes = divmod(minutes, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"

    def schema(self) -> Mapping[str, object]:
        """Describe a number of seconds or a text."""
        pattern = r"^\s*(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|ms|s|m|h)?)+\s*$"
        return {
            "anyOf": [
                {"type": "number", "minimum": self.minimum, "maximum": self.maximum},
                {"type": "string", "pattern": pattern},
                FILLED_IN,
            ]
        }


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, written with a binary (`64MiB`) or decimal (`1GB`) unit or as a plain number."""

    minimum: int
    maximum: int
    placeholder: str = "SIZE"

    @property
    def accepts(self) -> str:
        """The range, for people."""
        return f"{self.show(self.minimum)} to {self.show(self.maximum)}"

    def parse(self, text: str) -> int:
        """Bytes; raises Unusable where it is no size or out of range."""
        text = text.strip()
        match = _SIZE.fullmatch(text)
        factor = _SIZE_UNITS.get(match.group(2).lower()) if match else None
        if match is None or factor is None:
            raise Unusable(f"`{text}` is no size", "Write it like `64MiB`, `1GB` or `65536` (bytes)")
        size = int(Decimal(match.group(1)) * factor)
        if not self.minimum <= size <= self.maximum:
            raise Unusable(f"`{text}` is out of range", f"Write a size from {self.accepts}")
        return size

    def show(self, value: int) -> str:
        """In the largest binary unit that divides it."""
        for unit, factor in _BINARY:
            if value and value % factor == 0:
                return f"{value // factor}{unit}"
        return str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a number of bytes or a text."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.minimum, "maximum": self.maximum},
                {
                    "type": "string",
                    "pattern": r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*([KkMmGgTt][Ii]?)?[Bb]?\s*$",
                },
                FILLED_IN,
            ]
        }


@dataclass(frozen=True, slots=True)
class Count:
    """A whole number."""

    minimum: int
    maximum: int
    placeholder: str = "NUMBER"

    @property
    def accepts(self) -> str:
        """The range, for people."""
        return f"{self.minimum} to {self.maximum}"

    def parse(self, text: str) -> int:
        """The number; raises Unusable where it is none or out of range."""
        text = text.strip()
        if not (text.isascii() and text.isdigit()):
            raise Unusable(f"`{text}` is no whole number", f"Write a number from {self.accepts}")
        number = int(text) if len(text) <= _MOST_DIGITS else -1
        if not self.minimum <= number <= self.maximum:
            raise Unusable(f"`{text}` is out of range", f"Write a number from {self.accepts}")
        return number

    def show(self, value: int) -> str:
        """In digits."""
        return str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a number."""
        number = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [number, {"type": "string", "pattern": r"^\s*[0-9]+\s*$"}, FILLED_IN]}


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false, in the forms that Go's flags take."""

    placeholder: str = "BOOL"
    accepts: str = "true or false"

    def parse(self, text: str) -> bool:
        """Read either; raises Unusable where it is neither."""
        text = text.strip()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise Unusable(f"`{text}` is neither true nor false", "Write `true` or `false`")

    def show(self, value: bool) -> str:
        """As YAML writes it."""
        return "true" if value else "false"

    def schema(self) -> Mapping[str, object]:
        """Describe a boolean, or a variable that holds one."""
        return {"anyOf": [{"type": "boolean"}, FILLED_IN]}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One word of a few, in any case of its letters."""

    words: tuple[str, ...]
    synonyms: Mapping[str, str] = field(default_factory=dict)  # taken, too
    meant: Mapping[str, str] = field(default_factory=dict)  # not taken: what to write for it
    placeholder: str = "WORD"

    @property
    def accepts(self) -> str:
        """The words, for people."""
        return ", ".join(self.words)

    def parse(self, text: str) -> str:
        """Give the word in its own spelling; raises Unusable where it is none of them."""
        word = text.strip().lower()
        word = self.synonyms.get(word, word)
        if word in self.words:
            return word
        near = self.meant.get(word) or nearest(word, (*self.words, *self.synonyms))
        hint = f"Write `{near}`, or another of: {self.accepts}" if near else f"Write one of: {self.accepts}"
        raise Unusable(f"`{text.strip()}` is not known here", hint)

    def show(self, value: str) -> str:
        """Write the word."""
        return str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe the words and their synonyms."""
        return {"anyOf": [{"enum": [*self.words, *self.synonyms]}, FILLED_IN]}


@dataclass(frozen=True, slots=True)
class MemberOf(Generic[W]):
    """A member of a `StrEnum`, by its word."""

    members: type[W]
    meant: Mapping[str, str] = field(default_factory=dict)  # not taken: what to write for it
    placeholder: str = "WORD"

    @property
    def accepts(self) -> str:
        """The words, for people."""
        return ", ".join(self.members)

    def parse(self, text: str) -> W:
        """Give the member; raises Unusable where it is none of them."""
        return self.members(self._words.parse(text))

    def show(self, value: W) -> str:
        """Write the word."""
        return value.value

    def schema(self) -> Mapping[str, object]:
        """Describe the words."""
        return self._words.schema()

    @property
    def _words(self) -> OneOf:
        return OneOf(tuple(member.value for member in self.members), meant=self.meant)


@dataclass(frozen=True, slots=True)
class Listen:
    """HOST:PORT to listen on; `:PORT` is every address. With `may_be_off` also `off`, read as None."""

    may_be_off: bool = False
    usual: Address | None = None  # what to write for `on`
    placeholder: str = "ADDRESS"

    @property
    def accepts(self) -> str:
        """The forms, for people."""
        return "HOST:PORT, :PORT for every address" + (", or off" if self.may_be_off else "")

    def parse(self, text: str) -> Address | None:
        """Read the address; raises Unusable where it is none."""
        word = text.strip().lower()
        if self.may_be_off and word in {"off", "false"}:
            return None
        if self.may_be_off and word in _OFF:
            raise Unusable(f"`{text.strip()}` is no address", "Write `off`")
        if self.usual and word in _ON:
            raise Unusable(
                f"`{text.strip()}` is no address", f"Write `{self.usual}`, the default, or another"
            )
        return parse_listen(text.strip())

    def show(self, value: Address | None) -> str:
        """As HOST:PORT, or `off`."""
        return "off" if value is None else str(value)

    def schema(self) -> Mapping[str, object]:
        """Describe a text; `false` is taken for `off`."""
        text = {"type": "string", "examples": ["localhost:11434", ":11434", "0.0.0.0:11434"]}
        return {"anyOf": [text, {"const": False}]} if self.may_be_off else text


@dataclass(frozen=True, slots=True)
class FilePath:
    """The path of a file."""

    placeholder: str = "FILE"
    accepts: str = "a path"

    def parse(self, text: str) -> str:
        """Give the path; raises Unusable where it is empty."""
        if not text.strip():
            raise Unusable("the file's name is empty", "Write a path, like `gollamas.yaml`")
        return text

    def show(self, value: str) -> str:
        """Write the path."""
        return value

    def schema(self) -> Mapping[str, object]:
        """Describe a text."""
        return {"type": "string"}
