"""The log: takes events, decides which are written, gives finished lines to whoever writes them.

Owns the threshold and the time stamp; how a line looks is in `textlines` and `jsonlines`, where it goes is
a callable's business. Lines that nobody took are counted and told of in the next one that somebody takes.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from gollamas import events
from gollamas.observe import jsonlines, textlines
from gollamas.observe.kinds import KINDS, Level

Write = Callable[[bytes], bool]  # takes a finished line with its line end; whether it could; raises nothing

_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


class AccessLog:
    """Writes each event that matters enough as one line. An `events.Emit`.

    In: where lines go, the wall clock in seconds since 1970, the least level, JSON or text, colour.
    """

    __slots__ = (
        "_colour", "_is_json", "_lost", "_millisecond", "_now", "_second", "_stamp", "_time_text", "_wanted",
        "_write",
    )  # fmt: skip

    def __init__(
        self,
        write: Write,
        now: Callable[[], float],
        *,
        level: Level = Level.INFO,
        is_json: bool = False,
        colour: bool = False,
    ) -> None:
        self._write = write
        self._now = now
        self._wanted = frozenset(kind for kind in KINDS if KINDS[kind].level >= level)
        self._is_json = is_json
        self._colour = colour
        self._lost = 0
        self._millisecond = self._second = -1
        self._stamp = self._time_text = ""

    def wants(self, event_type: type[events.Event]) -> bool:
        """Whether events of this type are written; who asks first need not make them."""
        return event_type in self._wanted

    def __call__(self, event: events.Event) -> None:
        """Write an event, or pass it over."""
        if type(event) not in self._wanted:
            return
        time = self._time()
        if self._lost:
            lost = events.Warned(f"{self._lost} log lines were lost: nobody took them fast enough")
            if not self._write(self._line(lost, time)):
                self._lost += 1
                return
            self._lost = 0
        if not self._write(self._line(event, time)):
            self._lost += 1

    def _line(self, event: events.Event, time: str) -> bytes:
        if self._is_json:
            return jsonlines.line(event, time) + b"\n"
        text = textlines.line(event, time, colour=self._colour) + "\n"
        return text.encode() if text.isascii() else text.encode(errors="backslashreplace")

    def _time(self) -> str:
        """Write the time as RFC 3339 in UTC with milliseconds, once in each of them."""
        now = int(self._now() * 1000)
        if now != self._millisecond:
            second, rest = divmod(now, 1000)
            if second != self._second:
                self._second = second
                self._stamp = datetime.fromtimestamp(second, UTC).strftime(_FORMAT)
            self._millisecond = now
            self._time_text = f"{self._stamp}.{rest:03d}Z"
        return self._time_text
