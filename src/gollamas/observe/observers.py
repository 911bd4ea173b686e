"""Who hears of every event: the metrics, then the log.

A defect of one of them is not met by whoever tells: a request, a probe or a sweep goes on whatever listens.
"""

from contextlib import suppress

from gollamas.events import Crashed, Emit, Event
from gollamas.observe.metrics import Metrics


class Observers:
    """Tells every event to both. An `events.Emit`; never raises."""

    __slots__ = ("_log", "_metrics")

    def __init__(self, metrics: Metrics, log: Emit) -> None:
        self._metrics = metrics
        self._log = log

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

    def _crashed(self, where: str, defect: Exception) -> None:
        with suppress(Exception):  # a log that can't be written to is told to nobody
            self._log(Crashed(where, defect))
