"""The lines of one turn of the event loop, written together.

A write costs as much as half of the line that it takes. Owns how many lines wait, and that those which were
not taken wait for the next turn; where they go is a callable's business.
"""

from collections.abc import Callable
from typing import Final

_MOST_BYTES: Final = 65536  # that wait; what comes then is not taken


class GatheredLines:
    """Takes lines, and writes them when the turn is over. An `accesslog.Write` in front of another.

    In: who writes, all of it or nothing where it is no more than `at_once` bytes; who calls a function soon.
    """

    __slots__ = ("_at_once", "_bytes", "_is_due", "_lines", "_soon", "_write")

    def __init__(
        self, write: Callable[[bytes], bool], at_once: int, soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._write = write
        self._at_once = at_once
        self._soon = soon
        self._lines: list[bytes] = []
        self._bytes = 0
        self._is_due = False

    def __call__(self, line: bytes) -> bool:
        """Take a line; whether there was room for it."""
        size = len(line)
        if self._bytes + size > _MOST_BYTES or size > self._at_once:
            self.flush()
            if self._bytes:
                return False
            if size > self._at_once:  # it may be cut, and what is left of it is nobody's
                return self._write(line)
        self._lines.append(line)
        self._bytes += size
        if not self._is_due:
            self._is_due = True
            self._soon(self.flush)
        return True

    def flush(self) -> None:
        """Write what waits, whole lines at once; what is not taken waits on."""
        self._is_due = False
        data = b"".join(self._lines)
        here, end = 0, len(data)
        while here < end:
            until = end if end - here <= self._at_once else data.rindex(b"\n", here, here + self._at_once) + 1
            if not self._write(data[here:until]):
                break
            here = until
        self._lines = [data[here:]] if here < end else []
        self._bytes = end - here
