"""Models that push each other out of a server's memory: each is loaded anew since it left for the other.

Owns the rule: a model has left for another one where a server's list lacks it though its time was not over
and nobody told it to leave, while a load of the other was under way. Two that did so to each other twice in
an hour are told of: one that leaves once makes room as it should. What is kept in memory is not fought over
anyway (`fleet/keeping`). Pure.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from gollamas.events import LoadCause
from gollamas.fleet.server_view import ServerView

_HOUR: Final = 3600.0
_TURNS: Final = 2  # of each of the two
_CLOSE: Final = 1.0  # seconds: what was to leave so soon has left by itself
_MOST_KEPT: Final = 16  # loads and departures of one server that may belong together
_MOST_PUSHES: Final = 512  # of one server
_OF_NEED: Final = frozenset((LoadCause.COLD, LoadCause.PRELOAD, LoadCause.PING))


class Crowded(NamedTuple):
    """Two models that push each other out, by their keys in order, how often, and when they did so last."""

    server_id: str
    models: tuple[str, str]
    times: int
    last_at: float


class _Span(NamedTuple):
    """What happened to a model on a server between two moments: it was loaded, or it left."""

    key: str
    since: float
    until: float


class _Turns:
    """What is known of one server's memory. `shown` is when each model leaves by itself, a Unix time."""

    def __init__(self) -> None:
        self.home: ServerView | None = None
        self.since: float | None = None
        self.shown: Mapping[str, float] = {}
        self.shown_at = 0.0
        self.loads: deque[_Span] = deque(maxlen=_MOST_KEPT)
        self.left: deque[_Span] = deque(maxlen=_MOST_KEPT)
        self.pushes: deque[tuple[float, str, str]] = deque(maxlen=_MOST_PUSHES)  # when, who left, for whom


class Crowding:
    """Those of all servers. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._servers: dict[str, _Turns] = {}

    def loaded(self, server_id: str, key: str, cause: LoadCause, took: float, now: float) -> None:
        """Note that a load has ended well which took so many seconds."""
        if cause not in _OF_NEED:
            return
        known = self._servers.setdefault(server_id, _Turns())
        load = _Span(key, now - took, now)
        known.loads.append(load)
        for gone in tuple(known.left):
            if _left_for(known, gone, load):
                known.left.remove(gone)

    def listed(self, server: ServerView, now: float, unix: float) -> None:
        """Note what a server's list of its memory shows."""
        known = self._servers.setdefault(server.id, _Turns())
        if known.home not in (None, server):  # another server has its name
            known = self._servers[server.id] = _Turns()
        known.home = server
        if known.since != server.since:  # it was down, and may have started anew
            known.since, known.shown = server.since, {}
        memory, shown = server.memory, {key: one.time_ns / 1e9 for key, one in server.running.items()}
        for key, until in known.shown.items():
            if key in shown or key in memory.sent_away or memory.is_unloaded_by_hand(key):
                continue
            if until > unix + _CLOSE:
                gone = _Span(key, known.shown_at, now)
                if not any(_left_for(known, gone, load) for load in known.loads):
                    known.left.append(gone)
        memory.sent_away &= shown.keys()
        known.shown, known.shown_at = shown, now

    def pairs(self, now: float) -> list[Crowded]:
        """Give the models that pushed each other out in the last hour."""
        found = []
        for server_id, known in self._servers.items():
            pushes = known.pushes
            while pushes and pushes[0][0] <= now - _HOUR:
                pushes.popleft()
            turns: dict[tuple[str, str], list[float]] = {}
            for at, left, came in pushes:
                turns.setdefault((left, came), []).append(at)
            for (one, other), times in turns.items():
                back = turns.get((other, one), ())
                if one < other and len(times) >= _TURNS and len(back) >= _TURNS:
                    found.append(
                        Crowded(server_id, (one, other), len(times) + len(back), max(times[-1], back[-1]))
                    )
        return found


def _left_for(known: _Turns, gone: _Span, load: _Span) -> bool:
    """Whether a model left while another one was loaded, which is then counted."""
    is_so = gone.key != load.key and load.since <= gone.until and gone.since <= load.until
    if is_so:
        known.pushes.append((load.until, gone.key, load.key))
    return is_so
