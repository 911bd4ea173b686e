"""Tables on a terminal, drawn by rich: the one place that imports it.

Whether there are colours decides rich, by NO_COLOR and TERM.
"""

import shutil
from collections.abc import Iterable
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table as Drawing
from rich.text import Text

from gollamas.cli.state import StateTable

_OUR_ID_LENGTH: Final = 24
_STYLES: Final = {"up": "green", "suspect": "yellow", "unknown": "yellow", "down": "red"}


def drawn(heading: str, tables: Iterable[StateTable], terminal: TextIO) -> str:
    """Draw tables for a terminal, as wide as it is."""
    # Said here, since rich takes every terminal that is dumb for one of 80 columns.
    columns, lines = shutil.get_terminal_size()
    console = Console(file=terminal, highlight=False, width=columns, height=lines)
    with console.capture() as capture:
        console.print(Text(heading))
        for table in tables:
            console.print()
            console.print(_drawing(table) if table.rows else Text(f"{table.title}: {table.empty}"))
    return capture.get().rstrip("\n")


def _drawing(table: StateTable) -> Drawing:
    drawing = Drawing(
        title=Text(table.title, style="bold"),
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
                Text(cell, style=_STYLES.get(cell, "") if column == "HEALTH" else "")
                for column, cell in zip(table.columns, row, strict=True)
            )
        )
    return drawing
