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


def test_a_defect_of_one_who_hears_is_told_and_met_by_nobody_else() -> None:
    heard: list[events.Event] = []

    def log(event: events.Event) -> None:
        heard.append(event)
        if isinstance(event, events.RequestEnded):
            raise OSError("log")

    def label(name: str) -> str:
        raise ValueError(name)

    ended = request_ended(request_id="r", client="c", method="POST", route="/api/chat", model="m")
    Observers(Metrics(label), log)(ended)
    crashed = [event for event in heard if isinstance(event, events.Crashed)]
    assert [(event.where, str(event.error)) for event in crashed] == [
        ("counting an event", "m"),
        ("logging an event", "log"),
    ]


def test_a_log_that_can_t_be_written_to_is_told_to_nobody() -> None:
    def log(event: events.Event) -> None:
        raise OSError(event)

    Observers(Metrics(lambda name: name), log)(events.ServerWentUp("gpu-1", "0.34.3"))
