"""The metrics as Prometheus reads them: names, labels, help texts and the registry.

Counters are read from `metrics`, gauges are asked for when somebody scrapes. It stays Python: its class
inherits from one of prometheus_client's, and a compiled class can't (it is laid out for the base that the
build has found).
"""

import platform
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gollamas.observe.metrics import FIRST_BYTE_BUCKETS, REQUEST_BUCKETS, WAIT_BUCKETS, Metrics, Spans

NO_STATUS: Final = "none"  # the client left before an answer


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


class Exposition(Collector):
    """Tells all metrics.

    In: the counters; `source` is asked at a scrape; `version` is ours. Its registry is its own.
    """

    def __init__(self, counts: Metrics, source: Source, version: str) -> None:
        self._counts = counts
        self._source = source
        self._version = version
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def collect(self) -> Iterable[Metric]:
        """Tell all metrics as they stand."""
        self._counts.add_up()
        yield from self._counters()
        times = self._counts.times.items()
        yield _histogram(FIRST_BYTE, FIRST_BYTE_BUCKETS, ((key, of.first_byte) for key, of in times))
        yield _histogram(REQUEST, REQUEST_BUCKETS, ((key, of.request) for key, of in times))
        yield _histogram(WAIT, WAIT_BUCKETS, ((key, of.wait) for key, of in times))
        yield from self._gauges()

    def _counters(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(REQUESTS.name, REQUESTS.text, labels=REQUESTS.labels)
        for (route, model, server, status), row in self._counts.rows.items():
            said = NO_STATUS if status is None else str(status)
            requests.add_metric((route, model or "", server or "", said), row.count)
        yield requests
        tokens = CounterMetricFamily(TOKENS.name, TOKENS.text, labels=TOKENS.labels)
        for (model, server), both in self._counts.tokens.items():
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
    series: Iterable[tuple[tuple[str, str], Spans]],
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
