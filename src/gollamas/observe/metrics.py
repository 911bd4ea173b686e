"""What the metrics count: requests, failed attempts, loads, jobs, tokens and spans, from events.

Owns the sums, the buckets and the rule that no label holds what a client made up, so that configuration
bounds the number of series. It is compiled, so it knows nothing of Prometheus: `exposition` tells the sums.
"""

from collections.abc import Callable
from typing import Final

from gollamas import events

OTHER: Final = "other"  # a model that is neither configured nor, under a wider `expose`, installed

FIRST_BYTE_BUCKETS: Final[tuple[float, ...]] = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
REQUEST_BUCKETS: Final[tuple[float, ...]] = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
)  # fmt: skip
WAIT_BUCKETS: Final[tuple[float, ...]] = (
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
LOAD_BUCKETS: Final[tuple[float, ...]] = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0,
)  # fmt: skip


class Spans:
    """One histogram's series: how many spans ended in each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, span: float, bounds: tuple[float, ...]) -> int:
        """Count one span; give the bucket."""
        at = 0
        for bound in bounds:  # HOT: few are passed, and a call of `bisect` takes longer than all of them
            if span <= bound:
                break
            at += 1
        self.counts[at] += 1
        self.total += span
        return at


class Times:
    """The three histograms of a route, model and server."""

    __slots__ = ("first_byte", "request", "wait")

    def __init__(self) -> None:
        self.first_byte = Spans(FIRST_BYTE_BUCKETS)
        self.request = Spans(REQUEST_BUCKETS)
        self.wait = Spans(WAIT_BUCKETS)


class Tokens:
    """What answers of one server for one model told; `cached` is None until one told of it."""

    __slots__ = ("cached", "generated", "read")

    def __init__(self) -> None:
        self.read = self.generated = 0
        self.cached: int | None = None


class Row:
    """What one request's labels lead to."""

    __slots__ = ("count", "is_error", "times", "tokens")

    def __init__(self, times: Times, tokens: Tokens, *, is_error: bool) -> None:
        self.count = 0
        self.is_error = is_error
        self.times = times
        self.tokens = tokens


_Key = tuple[str, str | None, str | None, int | None, str]  # route, model, server, status, end
_BROKEN: Final = frozenset((events.End.SERVER_BROKE, events.End.TIMED_OUT, events.End.SHUT_DOWN))
_MOST_SPELLINGS: Final = 4096
_MOST_PENDING: Final = 128


class Totals:
    """What all requests that have ended come to, whatever their labels."""

    __slots__ = ("errors", "first_byte", "generated", "requests")

    def __init__(self) -> None:
        self.requests = self.errors = self.generated = 0
        self.first_byte = [0] * (len(FIRST_BYTE_BUCKETS) + 1)  # by bucket


class Metrics:
    """Counts ended requests, failed attempts, loads and jobs. An `events.Emit`.

    In: `label` gives the one spelling under which a model is counted, None for a model that is not ours to
    know. Whoever reads the sums brings them up to date by `add_up`.
    """

    def __init__(self, label: Callable[[str], str | None]) -> None:
        self._label = label
        self._spelt: dict[_Key, Row] = {}  # as events name models: many spellings lead to one row
        self.rows: dict[_Key, Row] = {}
        self.totals = Totals()
        self.times: dict[tuple[str, str, str], Times] = {}  # by route, model, server
        self.tokens: dict[tuple[str, str], Tokens] = {}  # by model, server
        self.failed: dict[tuple[str, str], int] = {}  # attempts by server, cause
        self.loads: dict[tuple[str, str, str, str], int] = {}  # by model, server, cause, end
        self.load_times: dict[tuple[str, str], Spans] = {}  # by model, server; of those that loaded it
        self.reloads: dict[tuple[str, str, str], int] = {}  # by model, server, the options that differ
        self.jobs: dict[tuple[str, str], int] = {}  # parts of jobs on one server, by kind, end
        self.variants_refused: dict[str, int] = {}  # by server
        self.truncated: dict[str, int] = {}  # prompts by model
        self._pending: list[
            tuple[Row, float | None, float, float | None, int | None, int | None, int | None]
        ] = []

    def __call__(self, event: events.Event) -> None:
        """Count a request, a load or a job that has ended, or an attempt that failed: few others count."""
        if type(event) is not events.RequestEnded:
            if type(event) is events.AttemptFailed:
                cause = (event.server, event.cause.value)
                self.failed[cause] = self.failed.get(cause, 0) + 1
            elif type(event) is events.LoadEnded:
                self._count_load(event)
            elif type(event) is events.Reloaded:
                reload = (self._label(event.model) or OTHER, event.server, event.differs)
                self.reloads[reload] = self.reloads.get(reload, 0) + 1
            elif type(event) is events.JobEnded:
                job = (event.kind.value, event.end.value)
                self.jobs[job] = self.jobs.get(job, 0) + 1
            elif type(event) is events.VariantRefused:
                self.variants_refused[event.server] = self.variants_refused.get(event.server, 0) + 1
            return
        key = (event.route, event.model_used or event.model, event.server, event.status, event.end)
        row = self._spelt.get(key) or self._row(key)
        if event.truncated:
            model = self._label(event.model_used or event.model or "") or OTHER
            self.truncated[model] = self.truncated.get(model, 0) + 1
        # HOT: the sums are made for many requests at once, which takes half the time.
        pending = self._pending
        pending.append(
            (
                row,
                event.first_byte_s,
                event.total_s,
                event.wait_s,
                event.tokens_in,
                event.tokens_out,
                event.tokens_cached,
            )
        )
        if len(pending) >= _MOST_PENDING:
            self.add_up()

    def _count_load(self, event: events.LoadEnded) -> None:
        model = self._label(event.model) or OTHER
        labels = (model, event.server, event.why.value, event.end.value)
        self.loads[labels] = self.loads.get(labels, 0) + 1
        if event.end is events.LoadEnd.LOADED:
            spans = self.load_times.setdefault((model, event.server), Spans(LOAD_BUCKETS))
            spans.add(event.took_s, LOAD_BUCKETS)

    def add_up(self) -> None:
        """Bring the sums up to date."""
        totals = self.totals
        first_byte = totals.first_byte
        totals.requests += len(self._pending)
        for row, first, span, wait, tokens_in, tokens_out, tokens_cached in self._pending:
            row.count += 1
            times = row.times
            times.request.add(span, REQUEST_BUCKETS)
            if first is not None:
                first_byte[times.first_byte.add(first, FIRST_BYTE_BUCKETS)] += 1
            if wait is not None:
                times.wait.add(wait, WAIT_BUCKETS)
            tokens = row.tokens
            tokens.read += tokens_in or 0
            if tokens_out is not None:
                tokens.generated += tokens_out
                totals.generated += tokens_out
            if row.is_error:
                totals.errors += 1
            if tokens_cached is not None:
                tokens.cached = (tokens.cached or 0) + tokens_cached
        self._pending.clear()

    def _row(self, spelt: _Key) -> Row:
        """Find the row of a model in any spelling. One that is not known now may be later: not kept."""
        route, name, server, status, end = spelt
        label = None if name is None else self._label(name)
        model = OTHER if name is not None and label is None else label
        key = (route, model, server, status, end)
        row = self.rows.get(key)
        if row is None:
            times = self.times.setdefault((route, model or "", server or ""), Times())
            tokens = self.tokens.setdefault((model or "", server or ""), Tokens())
            is_error = (status is not None and status >= 500) or end in _BROKEN
            row = self.rows[key] = Row(times, tokens, is_error=is_error)
        if label is not None or name is None:
            if len(self._spelt) >= _MOST_SPELLINGS:
                self._spelt.clear()
            self._spelt[spelt] = row
        return row
