"""The metrics as Prometheus reads them: names, labels, help texts, the two text formats.

Counters are read from `metrics`, gauges are asked for when somebody scrapes. The lines of our own are
written here, in parts: prometheus_client takes 20 times as long and all of it at once, while every stream
waits. What it knows of the process and of formats is its own.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gollamas.observe.metrics import (
    FIRST_BYTE_BUCKETS,
    LOAD_BUCKETS,
    REQUEST_BUCKETS,
    WAIT_BUCKETS,
    Metrics,
    Spans,
)

NO_STATUS: Final = "none"  # the client left before an answer
_PART: Final = 200  # series written at once: some milliseconds
_OPENMETRICS: Final = "application/openmetrics-text"

Labels = tuple[str, ...]
_Series = Sequence[tuple[Labels, int]]
_Family = tuple["Described", _Series]


class Described(NamedTuple):
    """One metric as it is documented."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


REQUESTS: Final = Described(
    "gollamas_requests_total",
    "counter",
    ("route", "model", "server", "status", "end"),
    "Requests that have ended.",
)
FAILED: Final = Described(
    "gollamas_attempts_failed_total",
    "counter",
    ("server", "cause"),
    "Attempts that a server failed, whether another server was tried or not.",
)
LOADS: Final = Described(
    "gollamas_loads_total",
    "counter",
    ("model", "server", "cause", "end"),
    "Loads of a model into a server's memory that this proxy asked for.",
)
RELOADS: Final = Described(
    "gollamas_reloads_total",
    "counter",
    ("model", "server", "differs"),
    "Times that a loaded model was reloaded, by the options that differed.",
)
JOBS: Final = Described(
    "gollamas_jobs_total",
    "counter",
    ("kind", "end"),
    "Parts of jobs (pulls, pushes, copies, deletes) that have ended, one for each server of a job.",
)
VARIANTS_REFUSED: Final = Described(
    "gollamas_variants_refused_total",
    "counter",
    ("server",),
    "Variants of a model that a server has refused to make.",
)
TRUNCATED: Final = Described(
    "gollamas_prompts_truncated_total",
    "counter",
    ("model",),
    "Prompts that a server has cut to its context, as far as the count of their tokens shows it.",
)
LOAD: Final = Described(
    "gollamas_load_seconds",
    "histogram",
    ("model", "server"),
    "Time that a server took to load a model.",
)
FIRST_BYTE: Final = Described(
    "gollamas_first_byte_seconds",
    "histogram",
    ("route", "model", "server"),
    "Time from the complete request to the first byte of its answer.",
)
REQUEST: Final = Described(
    "gollamas_request_seconds",
    "histogram",
    ("route", "model", "server"),
    "Time from the complete request to the end of its answer.",
)
WAIT: Final = Described(
    "gollamas_wait_seconds",
    "histogram",
    ("route", "model", "server"),
    "Time that a request waited before the attempt that answered it.",
)
TOKENS: Final = Described(
    "gollamas_tokens_total",
    "counter",
    ("direction", "model", "server"),
    "Tokens of prompts (in), those of them that were cached (cached), generated ones (out), as answers say.",
)
IN_FLIGHT: Final = Described(
    "gollamas_in_flight", "gauge", ("model", "server"), "Requests that a server is working on for us."
)
CONNECTIONS: Final = Described("gollamas_connections", "gauge", ("side",), "Open connections.")
SERVER_UP: Final = Described(
    "gollamas_server_up", "gauge", ("server",), "Whether a server is used (1) or down (0)."
)
LOADED: Final = Described(
    "gollamas_model_loaded",
    "gauge",
    ("model", "server"),
    "Whether a server has a model in its memory (1) or not (0).",
)
DIFFER: Final = Described(
    "gollamas_digests_differ",
    "gauge",
    ("model",),
    "Whether servers of a model have unlike contents under its name (1) or not (0).",
)
BUILD_INFO: Final = Described(
    "gollamas_build_info", "gauge", ("version", "python"), "Always 1; its labels say what runs."
)

DESCRIBED: Final = (  # as the page has them
    REQUESTS,
    FAILED,
    LOADS,
    RELOADS,
    JOBS,
    VARIANTS_REFUSED,
    TOKENS,
    TRUNCATED,
    FIRST_BYTE,
    REQUEST,
    WAIT,
    LOAD,
    IN_FLIGHT,
    CONNECTIONS,
    SERVER_UP,
    LOADED,
    DIFFER,
    BUILD_INFO,
)


class Scraped(Protocol):
    """What is asked for at a scrape."""

    def in_flight(self) -> Iterable[tuple[str, str, int]]:
        """Give model, server and open requests; models as `label` names them."""

    def connections(self) -> Iterable[tuple[str, int]]:
        """Give `client` and `server` with their open connections."""

    def servers(self) -> Iterable[tuple[str, bool]]:
        """Give every server's id and whether it is up."""

    def loaded(self) -> Iterable[tuple[str, str, bool]]:
        """Give model, server and whether the server has it in its memory."""

    def differing(self) -> Iterable[tuple[str, bool]]:
        """Give each model and whether its servers have unlike contents under its name."""


class Exposition:
    """Tells all metrics. In: the counters; `source` is asked at a scrape; `version` is ours."""

    def __init__(self, counts: Metrics, source: Scraped, version: str) -> None:
        self._counts = counts
        self._source = source
        self._version = version
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    def page(self, accept: str) -> tuple[str, Iterator[bytes]]:
        """Give the content type that suits an Accept field, and the page in parts."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # its reading of `version=` trips over what is no number
            encode, content_type = choose_encoder("")
        return content_type, self._parts(encode, is_open=content_type.startswith(_OPENMETRICS))

    def _parts(self, encode: Callable[[Collector], bytes], *, is_open: bool) -> Iterator[bytes]:
        counts = self._counts
        counts.add_up()
        for described, series in self._counters():
            yield _about(described, is_open=is_open)
            yield from _lines(described, series)
        times = list(counts.times.items())
        for described, bounds, spans in (
            (FIRST_BYTE, FIRST_BYTE_BUCKETS, [(labels, of.first_byte) for labels, of in times]),
            (REQUEST, REQUEST_BUCKETS, [(labels, of.request) for labels, of in times]),
            (WAIT, WAIT_BUCKETS, [(labels, of.wait) for labels, of in times]),
            (LOAD, LOAD_BUCKETS, list(counts.load_times.items())),
        ):
            yield _about(described, is_open=is_open)
            yield from _histograms(described, bounds, spans)
        for described, series in self._gauges():
            yield _about(described, is_open=is_open)
            yield from _lines(described, series)
        yield encode(self._process)  # in OpenMetrics with the line that ends a page

    def _counters(self) -> Iterator[_Family]:
        counts = self._counts
        yield (
            REQUESTS,
            [
                (
                    (route, model or "", server or "", NO_STATUS if status is None else str(status), end),
                    row.count,
                )
                for (route, model, server, status, end), row in counts.rows.items()
            ],
        )
        yield FAILED, list(counts.failed.items())
        yield LOADS, list(counts.loads.items())
        yield RELOADS, list(counts.reloads.items())
        yield JOBS, list(counts.jobs.items())
        yield VARIANTS_REFUSED, [((server,), count) for server, count in counts.variants_refused.items()]
        yield (
            TOKENS,
            [
                ((direction, model, server), count)
                for (model, server), of in counts.tokens.items()
                for direction, count in (("in", of.read), ("cached", of.cached), ("out", of.generated))
                if server and count is not None
            ],
        )
        yield TRUNCATED, [((model,), count) for model, count in counts.truncated.items()]

    def _gauges(self) -> Iterator[_Family]:
        source = self._source
        yield IN_FLIGHT, [((model, server), count) for model, server, count in source.in_flight()]
        yield CONNECTIONS, [((side,), count) for side, count in source.connections()]
        yield SERVER_UP, [((server,), int(is_up)) for server, is_up in source.servers()]
        yield LOADED, [((model, server), int(is_loaded)) for model, server, is_loaded in source.loaded()]
        yield DIFFER, [((model,), int(differs)) for model, differs in source.differing()]
        yield BUILD_INFO, [((self._version, platform.python_version()), 1)]


def _about(described: Described, *, is_open: bool) -> bytes:
    name = described.name.removesuffix("_total") if is_open else described.name
    return f"# HELP {name} {described.text}\n# TYPE {name} {described.kind}\n".encode()


def _lines(described: Described, series: _Series) -> Iterator[bytes]:
    name = described.name
    for start in range(0, len(series), _PART):
        lines = [
            f"{name}{{{_pairs(described, labels)}}} {value}\n"
            for labels, value in series[start : start + _PART]
        ]
        yield "".join(lines).encode(errors="replace")


def _histograms(
    described: Described, bounds: tuple[float, ...], series: Sequence[tuple[Labels, Spans]]
) -> Iterator[bytes]:
    """Write histograms, without those in which nothing was counted."""
    name = described.name
    ends = [f'le="{bound}"}} ' for bound in (*bounds, "+Inf")]
    for start in range(0, len(series), _PART):
        lines: list[str] = []
        for labels, spans in series[start : start + _PART]:
            pairs = _pairs(described, labels)
            count = 0
            first = len(lines)
            for end, more in zip(ends, spans.counts, strict=True):
                count += more
                lines.append(f"{name}_bucket{{{pairs},{end}{count}\n")
            if count:
                lines.append(f"{name}_count{{{pairs}}} {count}\n{name}_sum{{{pairs}}} {spans.total}\n")
            else:
                del lines[first:]
        yield "".join(lines).encode(errors="replace")


def _pairs(described: Described, labels: Labels) -> str:
    return ",".join(
        [f'{name}="{_escaped(value)}"' for name, value in zip(described.labels, labels, strict=True)]
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
