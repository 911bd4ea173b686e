"""Tables and moving bars on a terminal, drawn by rich: the one place that imports it.

Whether there are colours decides rich, by NO_COLOR and TERM.
"""

import os
import shutil
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Self, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.table import Table as Drawing
from rich.text import Text

from gollamas.cli.plain import PageRead, StateTable, size_text

_OUR_ID_LENGTH: Final = 24
_STYLES: Final = {
    "up": "green",
    "newest": "green",
    "older": "yellow",
    "missing": "red",
    "suspect": "yellow",
    "unknown": "yellow",
    "down": "red",
}
_STYLED: Final = ("HEALTH", "NOTE")
_BAR, _SHORT_BAR, _WIDE = 24, 8, 80  # columns of a bar, and of a terminal that has room for it


def drawn(page: PageRead, terminal: TextIO) -> str:
    """Draw tables for a terminal, as wide as it is."""
    # Said here, since rich takes every terminal that is dumb for one of 80 columns.
    columns, lines = shutil.get_terminal_size()
    console = Console(
        file=terminal, highlight=False, width=columns, height=lines, color_system=_color_system()
    )
    with console.capture() as capture:
        if page.heading:
            console.print(Text(page.heading))
        for number, table in enumerate(page.tables):
            if page.heading or number:
                console.print()
            console.print(_drawing(table) if table.rows else Text(_nothing_in(table)))
        if page.notes:
            console.print()
            console.print(Text("\n".join(page.notes)), soft_wrap=True)
    return capture.get().rstrip("\n")


def _color_system() -> Literal["auto"] | None:
    """Leave it to rich, but for a terminal that has not said what it is: that may be an editor's."""
    return "auto" if os.environ.get("TERM") else None


def _nothing_in(table: StateTable) -> str:
    return f"{table.title}: {table.empty}" if table.title else table.empty


def _drawing(table: StateTable) -> Drawing:
    drawing = Drawing(
        title=Text(table.title, style="bold") if table.title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column, *cells in zip(table.columns, *table.rows, strict=True):
        # An id of ours stays whole, to be looked for in the log; one that a client made up may be long.
        stays_whole = column == "ID" and max(map(len, cells)) <= _OUR_ID_LENGTH
        drawing.add_column(column, overflow="fold", no_wrap=stays_whole)
    for row in table.rows:
        # Text, not str: in that rich would read markup.
        drawing.add_row(
            *(
                Text(cell, style=_STYLES.get(cell, "") if column in _STYLED else "")
                for column, cell in zip(table.columns, row, strict=True)
            )
        )
    return drawing


class PullBar(NamedTuple):
    """How far a pull is on one server; `total` is 0 where nobody has said how many bytes there are."""

    server: str
    text: str
    completed: int
    total: int

    def filled(self, text: str) -> Self:
        """Give it at its end."""
        total = max(self.total, 1)
        return self._replace(text=text, completed=total, total=total)


class PullDrawing:
    """Bars that move, below a heading."""

    def __init__(self, heading: str, terminal: TextIO) -> None:
        self._heading = Text(heading)
        self._console = Console(file=terminal, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[server]}", markup=False, table_column=_column()),
            BarColumn(bar_width=_BAR if self._console.width >= _WIDE else _SHORT_BAR),
            TextColumn("{task.fields[share]}", markup=False, justify="right", table_column=_column()),
            TextColumn("{task.fields[size]}", markup=False, table_column=_column()),
            TimeRemainingColumn(compact=True, table_column=_column()),
            TextColumn("{task.description}", markup=False, table_column=_column(ratio=1)),
            console=self._console,
            redirect_stdout=False,
            redirect_stderr=False,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        """Draw from now on, without a cursor."""
        self._console.print(self._heading)
        self._progress.start()

    def stop(self) -> None:
        """Leave what was drawn last, and give the cursor back."""
        self._progress.stop()

    def draw(self, bars: Iterable[PullBar]) -> None:
        """Draw these; that of no server makes room for those of servers."""
        shown = {bar.server: bar for bar in bars}
        for server in self._tasks.keys() - shown.keys():
            self._progress.remove_task(self._tasks.pop(server))
        for server, bar in shown.items():
            if server not in self._tasks:
                self._tasks[server] = self._progress.add_task(
                    "", total=None, server=server, share="", size=""
                )
            self._progress.update(
                self._tasks[server],
                description=bar.text,
                completed=bar.completed,
                total=bar.total or None,
                share=f"{100 * bar.completed // bar.total}%" if bar.total else "",
                size=size_text(bar.total) or "" if bar.total > 1 else "",
            )
        self._progress.refresh()


def _column(ratio: int | None = None) -> Column:
    """Have a text on one line, cut where the terminal is too narrow."""
    return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)
