"""Who hears of every event: the metrics, then the log. Owns the last requests that have ended, too.

A defect of one of them is not met by whoever tells: a request, a probe or a sweep goes on whatever listens.
"""

from collections import deque
from contextlib import suppress
from typing import Final

from gollamas.events import Crashed, Emit, Event, RequestEnded
from gollamas.observe.metrics import Metrics
from gollamas.observe.safe import cut

MOST_ENDED: Final = 100  # requests that are kept
_LONGEST_KEPT: Final = 4096  # characters; a log line has fewer


class Observers:
    """Tells every event to both. An `events.Emit`; never raises.

    `ended` are the last requests that have ended, the oldest first, of `ended_count` in all.
    """

    __slots__ = ("_log", "_metrics", "ended", "ended_count")

    def __init__(self, metrics: Metrics, log: Emit) -> None:
        self._metrics = metrics
        self._log = log
        self.ended: deque[RequestEnded] = deque(maxlen=MOST_ENDED)
        self.ended_count = 0

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        try:
            self._metrics(event)
        except Exception as defect:  # noqa: BLE001 - see above
            self._crashed("counting an event", defect)
        try:
            self._log(event)
        except Exception as defect:  # noqa: BLE001 - see above
            self._crashed("logging an event", defect)
        if type(event) is RequestEnded:
            self._keep(event)

    def _keep(self, event: RequestEnded) -> None:
        """Keep a request; not all of a name that may fill a whole body."""
        model, error = event.model, event.error
        if model is not None and len(model) > _LONGEST_KEPT:
            event.model = cut(model, _LONGEST_KEPT)
        if error is not None and len(error) > _LONGEST_KEPT:
            event.error = cut(error, _LONGEST_KEPT)
        self.ended.append(event)
        self.ended_count += 1

    def _crashed(self, where: str, defect: Exception) -> None:
        with suppress(Exception):  # a log that can't be written to is told to nobody
            self._log(Crashed(where, defect))
