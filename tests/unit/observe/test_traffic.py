"""Samples of how busy the fleet is, and quantiles out of buckets."""

from collections.abc import Callable

import pytest

from gollamas.events import End
from gollamas.observe.metrics import FIRST_BYTE_BUCKETS, Metrics
from gollamas.observe.moment import Moment
from gollamas.observe.traffic import EVERY_S, MOST_SAMPLES, Traffic, quantile
from tests.happened import request_ended
from tests.unit.fleet.fleets import config, view_of

NOON = 1_796_040_000.0


class Open:
    def __init__(self, *, waits: bool) -> None:
        self.waits = waits


class Sampled:
    """Metrics, and samples of them by a clock that a test sets."""

    def __init__(self, *requests: Open) -> None:
        self.now = 100.0
        self.metrics = Metrics(lambda name: name)
        self.view = view_of(config({"m": ["a", "b"]}))
        self.traffic = Traffic(self.metrics, self.view, lambda: requests, self.moment)

    def moment(self) -> Moment:
        return Moment(self.now, NOON + self.now)

    def after(self, seconds: float = EVERY_S) -> None:
        self.now += seconds
        self.traffic.sample()

    def ended(self, **members: object) -> None:
        known = {"request_id": "1", "client": "c", "method": "POST", "route": "/api/chat", "model": "m"}
        self.metrics(request_ended(**{**known, "server": "a", "status": 200, **members}))


def test_before_the_first_sample_nothing_has_happened() -> None:
    last = Sampled().traffic.last
    assert (last.time, last.requests_per_s, last.first_byte_p50_s) == ("2026-11-30T12:01:40.000Z", 0.0, None)


def test_a_sample_tells_the_rates_of_its_seconds() -> None:
    sampled = Sampled(Open(waits=True), Open(waits=False))
    sampled.view.servers["a"].in_flight = 3
    sampled.view.servers["b"].in_flight = 1
    sampled.ended(tokens_out=100)
    sampled.ended(tokens_out=50)
    sampled.ended(status=404)
    sampled.after()
    last = sampled.traffic.last
    assert (last.requests_per_s, last.tokens_per_s, last.errors_per_s) == (0.6, 30.0, 0.0)
    assert (last.in_flight, last.waiting) == (4, 1)
    sampled.after()
    assert (sampled.traffic.last.requests_per_s, sampled.traffic.last.tokens_per_s) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("members", "is_error"),
    [
        ({"status": 500}, True),
        ({"status": 503, "end": End.REFUSED}, True),
        ({"end": End.SERVER_BROKE}, True),
        ({"end": End.TIMED_OUT}, True),
        ({"end": End.SHUT_DOWN}, True),
        ({"end": End.CLIENT_LEFT, "status": None}, False),
        ({"status": 404, "end": End.REFUSED}, False),
        ({"status": 499}, False),
    ],
)
def test_an_error_is_what_we_or_a_server_did(members: dict[str, object], is_error: bool) -> None:
    sampled = Sampled()
    sampled.ended(**members)
    sampled.after()
    assert sampled.traffic.last.errors_per_s == (0.2 if is_error else 0.0)


def test_the_first_bytes_of_a_sample_are_those_of_its_seconds() -> None:
    sampled = Sampled()
    sampled.ended(first_byte_s=100.0)
    sampled.after()
    for _ in range(10):
        sampled.ended(first_byte_s=0.2)
    sampled.after()
    last = sampled.traffic.last
    assert (last.first_byte_p50_s, last.first_byte_p95_s) == (0.175, 0.2425)


def test_rates_are_of_the_time_that_has_passed() -> None:
    sampled = Sampled()
    sampled.ended()
    sampled.after(6.0)
    assert sampled.traffic.last.requests_per_s == round(1 / 6, 3)


def test_the_history_ends_with_the_last_sample_and_has_at_most_ten_minutes() -> None:
    sampled = Sampled()
    for _ in range(MOST_SAMPLES + 5):
        sampled.ended()
        sampled.after()
    history = sampled.traffic.history()
    assert (history.every_s, history.until) == (5.0, sampled.traffic.last.time)
    assert history.requests_per_s == [0.2] * MOST_SAMPLES
    assert history.first_byte_p95_s == [None] * MOST_SAMPLES


@pytest.mark.parametrize(("slept", "gap"), [(10.0, 1), (22.0, 3), (1e6, 118), (7.0, 0)])
def test_where_no_sample_was_made_there_is_none(slept: float, gap: int) -> None:
    """The machine slept, or the loop was held up."""
    sampled = Sampled()
    sampled.after(slept)
    waiting = sampled.traffic.history().waiting
    assert waiting.count(None) == min(gap, MOST_SAMPLES - 1) or slept == 1e6
    assert waiting[-1] == 0
    assert len(waiting) <= MOST_SAMPLES


def test_samples_are_made_each_five_seconds_also_behind_one_that_failed() -> None:
    sampled = Sampled()
    calls: list[tuple[float, Callable[[], None]]] = []
    sampled.traffic.begin(lambda seconds, again: calls.append((seconds, again)))
    sampled.now += 5
    calls[0][1]()
    assert sampled.traffic.last.time == "2026-11-30T12:01:45.000Z"
    assert [seconds for seconds, _ in calls] == [5.0, 5.0]


@pytest.mark.parametrize(
    ("share", "counts", "value"),
    [
        (0.5, [0, 0, 0, 0], None),
        (0.5, [10, 0, 0, 0], 0.5),  # from 0 on
        (0.5, [0, 10, 0, 0], 1.5),
        (0.95, [0, 10, 0, 0], 1.95),
        (0.5, [5, 5, 0, 0], 1.0),
        (0.95, [5, 0, 5, 0], 3.8),
        (1.0, [1, 0, 0, 0], 1.0),
        (0.5, [0, 0, 0, 7], 4.0),  # beyond the last bound
        (0.5, [1, 0, 0, 9], 4.0),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(share: float, counts: list[int], value: float | None) -> None:
    assert quantile(share, counts, (1.0, 2.0, 4.0)) == value


def test_the_buckets_are_those_of_the_metrics() -> None:
    sampled = Sampled()
    for first in (0.005, 0.3, 0.3, 1000.0):
        sampled.ended(first_byte_s=first)
    sampled.metrics.add_up()
    (times,) = sampled.metrics.times.values()
    assert sampled.metrics.totals.first_byte == times.first_byte.counts
    assert len(sampled.metrics.totals.first_byte) == len(FIRST_BYTE_BUCKETS) + 1
