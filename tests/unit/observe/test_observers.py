"""Who hears of an event."""

from gollamas import events
from gollamas.observe.metrics import Metrics
from gollamas.observe.observers import Observers
from tests.happened import request_ended
from tests.unit.observe.test_metrics import told, value


def test_the_log_and_the_metrics_hear_of_every_event() -> None:
    heard: list[events.Event] = []
    counts = Metrics(lambda name: name)
    tell = Observers(counts, heard.append)
    ended = request_ended(request_id="r", client="c", method="POST", route="/api/chat", status=200)
    up = events.ServerWentUp("gpu-1", "0.34.3")
    for event in (up, ended):
        tell(event)
    assert heard == [up, ended]
    assert value(told(counts), "gollamas_requests_total", route="/api/chat", model="", server="",
                 status="200", end="done") == 1  # fmt: skip
