"""When an instance is to leave a server's memory, as far as we know, and whether it has to be told anew.

Owns the rule of touches: an empty request of ours gives an instance the time that an answer could not carry,
where it was given another or shows another, at most once in half of it. Pure.
"""

from typing import Final

FOR_EVER: Final = -1.0
_A_YEAR: Final = 365 * 86400.0  # what expires later stays for ever: Ollama writes a date of the year 2318
_MOST_SLACK: Final = 30.0  # seconds between two machines' clocks, and between an answer and its list
_BETWEEN: Final = 60.0  # seconds, of touches that tell it to stay for ever
_SLACK: Final = 0.25  # of a short time


class Keep:
    """Of one instance. `given` is the time in seconds that it was last given, None where we don't know.

    `change` is the number of the change with which it was: a list that was asked for later tells of it.
    """

    __slots__ = ("_given_at", "_touched_at", "change", "given")

    def __init__(self) -> None:
        self.given: float | None = None
        self.change = 0
        self._given_at = 0.0
        self._touched_at: float | None = None

    def gave(self, seconds: float | None, change: int, unix: float) -> None:
        """Note what it was given at this Unix time; None for what a client said."""
        self.given, self.change, self._given_at = seconds, change, unix

    def touched(self, seconds: float, change: int, now: float, unix: float) -> None:
        """Note that a touch goes out: nobody else sends another meanwhile."""
        self._touched_at = now
        self.gave(seconds, change, unix)

    def is_due(self, seconds: float, shown: float | None, now: float, unix: float) -> bool:
        """Whether it has to be given this time by a touch.

        In: the Unix time at which its server says that it expires, None where it has not said so since.
        """
        is_other = self.given != seconds
        if not is_other and (shown is None or self._can_come_of(seconds, shown, unix)):
            return False
        if self._touched_at is None:
            return True
        if seconds < 0:
            return is_other and now - self._touched_at >= _BETWEEN
        return now - self._touched_at >= seconds / 2

    def _can_come_of(self, seconds: float, shown: float, unix: float) -> bool:
        """Whether a time can have led to what is shown: it runs from the end of the last request."""
        if seconds < 0:
            return shown > unix + _A_YEAR
        slack = min(_MOST_SLACK, seconds * _SLACK)
        return self._given_at + seconds - slack <= shown <= unix + seconds + slack
