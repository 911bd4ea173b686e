"""The progress of a pull as lines, for pipes, files and where there is no admin port.

Owns how often a layer is told of, and which of the lines are no progress but a note.
"""

from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from gollamas.cli.plain import size_text
from gollamas.cli.say import say, say_bytes, warn
from gollamas.cli.wanted import Named
from gollamas.observe.safe import escaped

_STEP: Final = 10  # percent between two lines of a layer
_SUCCESS: Final = "success"


class PullLine(msgspec.Struct, frozen=True):
    """A line of the answer to a pull."""

    status: str = ""
    error: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0

    @property
    def is_note(self) -> bool:
        """Whether it says what was not done, as that a server is down: all else is going on, or success."""
        return (
            not self.digest and self.status != _SUCCESS and not self.status.partition(" ")[0].endswith("ing")
        )


class PullShown(Protocol):
    """Where the lines of an answer go."""

    def hear(self, line: bytes, said: PullLine) -> None:
        """Show a line; of one that is an error, what it says is told elsewhere."""

    def succeed(self) -> None:
        """Show that all of it is done."""


class _Undrawn:
    """What is shown in lines needs no end."""

    def __init__(self, named: Named) -> None:
        self._named = named

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def succeed(self) -> None:
        """The last line has said so."""


class JsonLines(_Undrawn):
    """The lines as they come."""

    def hear(self, line: bytes, said: PullLine) -> None:
        """Print it."""
        del said
        say_bytes(line + b"\n")


class PlainLines(_Undrawn):
    """A line for each step, and some for each layer, so that no log is flooded."""

    def __init__(self, named: Named) -> None:
        super().__init__(named)
        self._steps: dict[str, int] = {}  # by digest, the last that was told

    def hear(self, line: bytes, said: PullLine) -> None:
        """Print it, or not; a note goes to standard error."""
        del line
        if said.error:
            return
        text = f"{self._named}: {escaped(said.status)}"
        if not said.digest:
            warn([text]) if said.is_note else say(text)
            return
        step = 100 * min(said.completed, said.total) // said.total // _STEP if said.total > 0 else 0
        if step > self._steps.get(said.digest, -1):
            self._steps[said.digest] = step
            of = f": {step * _STEP}% of {size_text(said.total)}" if said.total else ""
            say(text + of)
