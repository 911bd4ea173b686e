"""Tables, sizes and time spans as plain text.

Owns how they are written, and that text of others is made fit for a terminal.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gollamas.observe.safe import escaped

_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))
_FOREVER: Final = 20 * 365 * 86400  # what `ollama ps` calls so
_NOTHING: Final = "-"


class StateTable(NamedTuple):
    """A table; `empty` is said where it has no rows."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    empty: str


class PageRead(NamedTuple):
    """What people read of a page, and what the verb exits with."""

    heading: str
    tables: list[StateTable]
    code: int = 0
    notes: Sequence[str] = ()


def as_text(page: PageRead) -> str:
    """Write tables for a pipe or a file: columns as wide as they must be, no colour, no lines."""
    tables = ["\n".join(_lines(table)) for table in page.tables]
    return "\n\n".join(text for text in (page.heading, *tables, "\n".join(page.notes)) if text)


def _lines(table: StateTable) -> Iterable[str]:
    if table.title:
        yield table.title
    if not table.rows:
        yield table.empty
        return
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def span(seconds: float) -> str:
    """Write a time span by its two largest units."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f}s"
    for size, unit, below, name in _UNITS:
        if seconds >= size:
            rest = int(seconds % size) // below
            return f"{int(seconds) // size}{unit}{rest}{name}" if rest else f"{int(seconds) // size}{unit}"
    return f"{int(seconds)}s"


def size_text(number: int | None) -> str | None:
    """Write bytes as Ollama does; None where nobody said how many."""
    if number is None:
        return None
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if number >= size:
            return f"{number / size:.1f} GB" if unit == "GB" else f"{number / size:.0f} {unit}"
    return f"{number} B"


def expiry_text(time: str | None, now: str) -> str | None:
    """Write when a model leaves the memory; None where nobody said so."""
    if time is None:
        return None
    left = seconds_between(now, time)
    if left > _FOREVER:
        return "never"
    return f"in {span(left)}" if left > 0 else "now, or after its request"


def seconds_between(begin: str, end: str) -> float:
    """Say how long it is from one time to another; raises ValueError where one is none."""
    first, last = (datetime.fromisoformat(time).astimezone(UTC) for time in (begin, end))
    return (last - first).total_seconds()


def cells(values: Sequence[object]) -> tuple[str, ...]:
    """Write a row, fit for a terminal."""
    return tuple(_NOTHING if value in (None, "") else escaped(str(value)) for value in values)
