"""Who hears of every event: the metrics, then the log."""

from gollamas.events import Emit, Event
from gollamas.observe.metrics import Metrics


class Observers:
    """Tells every event to both. An `events.Emit`."""

    __slots__ = ("_log", "_metrics")

    def __init__(self, metrics: Metrics, log: Emit) -> None:
        self._metrics = metrics
        self._log = log

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        self._metrics(event)
        self._log(event)
