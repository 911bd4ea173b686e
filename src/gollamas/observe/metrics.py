"""Prometheus metrics: counters of our own behind prometheus-client's collector interface.

Owns names, labels and buckets. Counts come from events, gauges are asked for when somebody scrapes. The
number of series is bounded by configuration: no label holds what a client made up.
"""

import platform
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gollamas import events

OTHER: Final = "other"  # a model that is neither configured nor, under a wider `expose`, installed
NO_STATUS: Final = "none"  # the client left before an answer

FIRST_BYTE_BUCKETS: Final[tuple[float, ...]] = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
REQUEST_BUCKETS: Final[tuple[float, ...]] = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
)  # fmt: skip
WAIT_BUCKETS: Final[tuple[float, ...]] = (
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip


class Described(NamedTuple):
    """One metric as it is documented."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


REQUESTS: Final = Described(
    "gollamas_requests_total", "counter", ("route", "model", "server", "status"), "Requests that have ended."
)
FIRST_BYTE: Final = Described(
    "gollamas_first_byte_seconds",
    "histogram",
    ("route", "model"),
    "Time from the complete request to the first byte of its answer.",
)
REQUEST: Final = Described(
    "gollamas_request_seconds",
    "histogram",
    ("route", "model"),
    "Time from the complete request to the end of its answer.",
)
WAIT: Final = Described(
    "gollamas_wait_seconds",
    "histogram",
    ("route", "model"),
    "Time that a request waited before the attempt that answered it.",
)
TOKENS: Final = Described(
    "gollamas_tokens_total",
    "counter",
    ("direction", "model", "server"),
    "Tokens read (in) and generated (out), where answers say so.",
)
IN_FLIGHT: Final = Described(
    "gollamas_in_flight", "gauge", ("model", "server"), "Requests that a server is working on for us."
)
CONNECTIONS: Final = Described("gollamas_connections", "gauge", ("side",), "Open connections.")
SERVER_UP: Final = Described(
    "gollamas_server_up", "gauge", ("server",), "Whether a server is used (1) or down (0)."
)
BUILD_INFO: Final = Described(
    "gollamas_build_info", "gauge", ("version", "python"), "Always 1; its labels say what runs."
)

DESCRIBED: Final = (
    REQUESTS,
    FIRST_BYTE,
    REQUEST,
    WAIT,
    TOKENS,
    IN_FLIGHT,
    CONNECTIONS,
    SERVER_UP,
    BUILD_INFO,
)


class Source(Protocol):
    """What is asked for at a scrape."""

    def in_flight(self) -> Iterable[tuple[str, str, int]]:
        """Give model, server and open requests; models as `label` names them."""

    def connections(self) -> Iterable[tuple[str, int]]:
        """Give `client` and `server` with their open connections."""

    def servers(self) -> Iterable[tuple[str, bool]]:
        """Give every server's id and whether it is up."""


class _Spans:
    """One histogram's series: how many spans ended in each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, span: float, bounds: tuple[float, ...]) -> None:
        """Count one span."""
        at = 0
        for bound in bounds:  # HOT: few are passed, and a call of `bisect` takes longer than all of them
            if span <= bound:
                break
            at += 1
        self.counts[at] += 1
        self.total += span


class _Times:
    """The three histograms of a route and model."""

    __slots__ = ("first_byte", "request", "wait")

    def __init__(self) -> None:
        self.first_byte = _Spans(FIRST_BYTE_BUCKETS)
        self.request = _Spans(REQUEST_BUCKETS)
        self.wait = _Spans(WAIT_BUCKETS)


class _Row:
    """What one request's labels lead to."""

    __slots__ = ("count", "times", "tokens")

    def __init__(self, times: _Times, tokens: list[int]) -> None:
        self.count = 0
        self.times = times
        self.tokens = tokens  # in, out


_Key = tuple[str, str | None, str | None, int | None]
_MOST_SPELLINGS: Final = 4096
_MOST_PENDING: Final = 128


class Metrics(Collector):
    """Counts ended requests (an `events.Emit`) and tells all metrics.

    In: `label` gives the one spelling under which a model is counted, None for a model that is not ours to
    know; `source` is asked at a scrape; `version` is ours. Its registry is its own.
    """

    def __init__(self, source: Source, label: Callable[[str], str | None], version: str) -> None:
        self._source = source
        self._label = label
        self._version = version
        self._spelt: dict[_Key, _Row] = {}  # as events name models: many spellings lead to one row
        self._rows: dict[_Key, _Row] = {}
        self._times: dict[tuple[str, str], _Times] = {}
        self._tokens: dict[tuple[str, str], list[int]] = {}
        self._pending: list[tuple[_Row, float | None, float, float | None, int | None, int | None]] = []
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def __call__(self, event: events.Event) -> None:
        """Count a request that has ended; other events have no counter."""
        if type(event) is not events.RequestEnded:
            return
        key = (event.route, event.model_used or event.model, event.server, event.status)
        row = self._spelt.get(key) or self._row(key)
        # HOT: the sums are made for many requests at once, which takes half the time.
        pending = self._pending
        pending.append(
            (row, event.first_byte_s, event.total_s, event.wait_s, event.tokens_in, event.tokens_out)
        )
        if len(pending) >= _MOST_PENDING:
            self._add_up()

    def _add_up(self) -> None:
        """Bring the sums up to date."""
        for row, first, span, wait, tokens_in, tokens_out in self._pending:
            row.count += 1
            times = row.times
            times.request.add(span, REQUEST_BUCKETS)
            if first is not None:
                times.first_byte.add(first, FIRST_BYTE_BUCKETS)
            if wait is not None:
                times.wait.add(wait, WAIT_BUCKETS)
            row.tokens[0] += tokens_in or 0
            row.tokens[1] += tokens_out or 0
        self._pending.clear()

    def _row(self, spelt: _Key) -> _Row:
        """Find the row of a model in any spelling. One that is not known now may be later: not kept."""
        route, name, server, status = spelt
        label = None if name is None else self._label(name)
        model = OTHER if name is not None and label is None else label
        key = (route, model, server, status)
        row = self._rows.get(key)
        if row is None:
            times = self._times.setdefault((route, model or ""), _Times())
            tokens = self._tokens.setdefault((model or "", server or ""), [0, 0])
            row = self._rows[key] = _Row(times, tokens)
        if label is not None or name is None:
            if len(self._spelt) >= _MOST_SPELLINGS:
                self._spelt.clear()
            self._spelt[spelt] = row
        return row

    def collect(self) -> Iterable[Metric]:
        """Tell all metrics as they stand."""
        self._add_up()
        yield from self._counters()
        times = self._times.items()
        yield _histogram(FIRST_BYTE, FIRST_BYTE_BUCKETS, ((key, of.first_byte) for key, of in times))
        yield _histogram(REQUEST, REQUEST_BUCKETS, ((key, of.request) for key, of in times))
        yield _histogram(WAIT, WAIT_BUCKETS, ((key, of.wait) for key, of in times))
        yield from self._gauges()

    def _counters(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(REQUESTS.name, REQUESTS.text, labels=REQUESTS.labels)
        for (route, model, server, status), row in self._rows.items():
            said = NO_STATUS if status is None else str(status)
            requests.add_metric((route, model or "", server or "", said), row.count)
        yield requests
        tokens = CounterMetricFamily(TOKENS.name, TOKENS.text, labels=TOKENS.labels)
        for (model, server), both in self._tokens.items():
            for direction, count in zip(("in", "out"), both, strict=True):
                if server:
                    tokens.add_metric((direction, model, server), count)
        yield tokens

    def _gauges(self) -> Iterable[Metric]:
        in_flight = _gauge(IN_FLIGHT)
        for model, server, count in self._source.in_flight():
            in_flight.add_metric((model, server), count)
        yield in_flight
        connections = _gauge(CONNECTIONS)
        for side, count in self._source.connections():
            connections.add_metric((side,), count)
        yield connections
        up = _gauge(SERVER_UP)
        for server, is_up in self._source.servers():
            up.add_metric((server,), int(is_up))
        yield up
        build = _gauge(BUILD_INFO)
        build.add_metric((self._version, platform.python_version()), 1)
        yield build


def _gauge(described: Described) -> GaugeMetricFamily:
    return GaugeMetricFamily(described.name, described.text, labels=described.labels)


def _histogram(
    described: Described,
    bounds: tuple[float, ...],
    series: Iterable[tuple[tuple[str, str], _Spans]],
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(described.name, described.text, labels=described.labels)
    for labels, spans in series:
        buckets = []
        seen = 0
        for bound, count in zip((*bounds, "+Inf"), spans.counts, strict=True):
            seen += count
            buckets.append((str(bound), seen))
        if seen:
            family.add_metric(labels, buckets, spans.total)
    return family
