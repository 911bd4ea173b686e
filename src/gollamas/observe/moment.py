"""One moment by two clocks, and how times are written.

Owns RFC 3339 as `/state` has it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SET: Final = 0.1  # seconds by which a clock that was set is off


class Moment(NamedTuple):
    """One moment by two clocks: seconds of the monotonic one, and since 1970."""

    monotonic: float
    since_epoch: float

    def when(self, monotonic: float) -> str:
        """Write another moment of the monotonic clock as a time."""
        return written(round((self.since_epoch - self.monotonic + monotonic) * 1000)) or ""


def written(milliseconds: int) -> str | None:
    """Write a Unix time as RFC 3339 in UTC; None where no calendar has it."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SteadyClock:
    """The time by both clocks, so that one moment is written alike whenever it is.

    What lies between the two clocks is kept until one of them is set: read one after the other, they differ
    by some microseconds each time.
    """

    def __init__(self, now: Callable[[], Moment]) -> None:
        self._now = now
        self._between = 0.0

    def __call__(self) -> Moment:
        """Tell the time."""
        now = self._now()
        between = now.since_epoch - now.monotonic
        if abs(between - self._between) > _SET:
            self._between = between
        return Moment(now.monotonic, now.monotonic + self._between)
