"""What is wrong with a configuration: where, what, and what to write instead.

Owns the shape of a fault, the hiding of secrets in it and the search for the nearest name; knows no option.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# A quoted value or a word, up to its last `@`: what stands before that may be a password with any character.
_BEFORE_AT: Final = re.compile(r"`[^`\n]+@|[^\s`]+@")


def without_secrets(text: str) -> str:
    """Give the text with the user info of every URL in it replaced by `***`, on one line."""
    one_line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return _BEFORE_AT.sub(_hide, one_line)


def _hide(match: re.Match[str]) -> str:
    word = match.group()
    scheme = word.find("://")
    shown = scheme + 3 if scheme >= 0 else word.find("=") + 1 or int(word.startswith("`"))
    return f"{word[:shown]}***@"


class Unusable(ValueError):
    """A value that can't be read: what is wrong with it and what to write instead."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that keeps the proxy from starting."""

    place: str  # a flag, a variable or file:line
    what: str
    instead: str  # a sentence that says what to write

    def __str__(self) -> str:
        return without_secrets(f"{self.place}: {self.what}. {self.instead}.")


class Faults(Exception):
    """Every fault of a configuration at once, in the order in which they were found."""

    def __init__(self, faults: Iterable[Fault], warnings: Iterable[str] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, self.faults)))


class Findings:
    """Collects faults and warnings while a configuration is read, so that all are said at once."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def fault(self, place: str, what: str, instead: str) -> None:
        """Remember a fault; the same one is said once."""
        fault = Fault(place, what, instead)
        if fault not in self.faults:
            self.faults.append(fault)

    def unusable(self, place: str, why: Unusable) -> None:
        """Remember a value that could not be read."""
        self.fault(place, why.what, why.instead)

    def warn(self, place: str, text: str) -> None:
        """Remember what a person should mend although the proxy starts."""
        self.warnings.append(without_secrets(f"{place}: {text}"))

    def raise_faults(self) -> None:
        """Raise all of them, if there is any."""
        if self.faults:
            raise Faults(self.faults, self.warnings)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Find the name that a mistyped word most likely meant; None where nothing is near."""
    by_folded = {name.lower(): name for name in names}
    folded = word.lower()
    found = difflib.get_close_matches(folded, by_folded, n=5, cutoff=0.6)
    return by_folded[min(found, key=lambda name: _edits(folded, name))] if found else None


def _edits(left: str, right: str) -> int:
    """Count the letters to put in, take out or change, to make one word of the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(right, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != other))
    return row[-1]
