"""Who hears of an event."""

from gollamas import events
from gollamas.observe.accesslog import AccessLog
from gollamas.observe.metrics import Metrics
from gollamas.observe.observers import MOST_ENDED, Observers
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


def test_the_last_requests_are_kept_and_how_many_there_were() -> None:
    observers = Observers(Metrics(lambda name: name), lambda _: None)
    for number in range(MOST_ENDED + 7):
        observers(events.ServerWentUp("gpu-1", "0.34.3"))
        observers(request_ended(request_id=str(number), client="c", method="POST", route="/api/chat"))
    assert [event.request_id for event in observers.ended] == [str(one) for one in range(7, MOST_ENDED + 7)]
    assert observers.ended_count == MOST_ENDED + 7


def test_of_a_name_that_fills_a_body_not_all_is_kept_and_its_line_is_the_same() -> None:
    """Nor of an error that quotes it."""
    lines: list[bytes] = []

    def write(line: bytes) -> bool:
        lines.append(line)
        return True

    log = AccessLog(write, lambda: 0.0, is_json=True)
    observers = Observers(Metrics(lambda name: name), log)
    known = {"request_id": "r", "client": "c", "method": "POST", "route": "/api/chat"}
    observers(request_ended(**known, model="x" * 10**6, error="model '" + "x" * 10**6))
    (kept,) = observers.ended
    assert kept.model is not None
    assert kept.error is not None
    assert len(kept.model) + len(kept.error) < 10_000
    log(kept)
    assert lines[0] == lines[1]
