"""What is wrong with a configuration: where, what, and what to write instead.

Owns the shape of a fault, the hiding of secrets in it and the search for the nearest name; knows no option.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

# A URL, a quoted value or a word. What stands before its last `@` may be a password with any character.
_PIECE: Final = re.compile(r"`?[^\s`]*://\S*@\S*|`[^`\n]*`|[^\s`]+")
_ENDS_A_WORD: Final = "`.,;:()"


def on_one_line(text: str) -> str:
    """Spell out line ends and control characters."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def without_secrets(text: str, names: Collection[str] = ()) -> str:
    """Give the text with the user info of every URL in it replaced by `***`, on one line.

    An `@` in one of `names` is part of the name.
    """
    known = {on_one_line(name).strip(_ENDS_A_WORD) for name in names}

    def hide(match: re.Match[str]) -> str:
        piece = match.group()
        return piece if piece.strip(_ENDS_A_WORD) in known else _hidden(piece)

    return _PIECE.sub(hide, on_one_line(text))


def _hidden(piece: str) -> str:
    at = piece.rfind("@")
    scheme = piece.find("://", 0, at)
    shown = scheme + 3 if scheme >= 0 else piece.find("=", 0, at) + 1 or int(piece.startswith("`"))
    return piece if at <= shown else f"{piece[:shown]}***{piece[at:]}"


class Unusable(ValueError):
    """A value that can't be read: what is wrong with it and what to write instead."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what)
        self.what = what
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that keeps the proxy from starting."""

    place: str  # a flag, a variable or file:line; holds no secret
    what: str
    instead: str  # a sentence that says what to write
    names: tuple[str, ...] = ()  # what it quotes that is no URL: an `@` there hides nothing

    def __str__(self) -> str:
        said = without_secrets(f"{self.what}. {self.instead}.", self.names)
        return f"{on_one_line(self.place)}: {said}"


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
        self._lost: set[tuple[str, str]] = set()

    def fault(self, place: str, what: str, instead: str, names: tuple[str, ...] = ()) -> None:
        """Remember a fault; the same one is said once."""
        fault = Fault(place, what, instead, names)
        if fault not in self.faults:
            self.faults.append(fault)

    def unusable(self, place: str, why: Unusable, entry: str = "", names: tuple[str, ...] = ()) -> None:
        """Remember a value that could not be read, and which entry of a list it is in."""
        is_named = not entry or f"`{entry}`" in f"{place}{why.what}"
        what = why.what if is_named else f"{why.what} (in the entry `{entry}`)"
        self.fault(place, what, why.instead, names)

    def lose(self, option: str, name: str = "") -> None:
        """Note that an entry of this option, or an unknown number of them, could not be read."""
        self._lost.add((option, name))

    def has_lost(self, option: str, name: str | None = None) -> bool:
        """Whether an entry, or the one of this name, may be missing only since it has a fault itself."""
        return any(lost == option and (name is None or which in {"", name}) for lost, which in self._lost)

    def warn(self, place: str, text: str) -> None:
        """Remember what a person should mend although the proxy starts; the same is said once."""
        warning = f"{on_one_line(place)}: {without_secrets(text)}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def raise_faults(self) -> None:
        """Raise all of them, if there is any."""
        if self.faults:
            raise Faults(self.faults, self.warnings)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Find the name that a mistyped word most likely meant; None where nothing is near."""
    by_folded = {name.lower(): name for name in names}
    folded = word.lower()
    found = difflib.get_close_matches(folded, by_folded, n=5, cutoff=0.6)
    near = min(found, key=lambda name: _edits(folded, name), default=None)
    # More than a third of its letters changed is another word, and to name it would mislead.
    return by_folded[near] if near is not None and _edits(folded, near) <= max(2, len(folded) // 3) else None


def _edits(left: str, right: str) -> int:
    """Count the letters to put in, take out or change, to make one word of the other (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(right, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != other))
    return row[-1]
