"""How busy the fleet is: a sample each five seconds, and those of the last ten minutes.

Owns what a sample says and how it comes of the metrics' sums; nothing of it grows with models or servers. Who
calls for a sample, and when, is decided in `app`. Pure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from gollamas.fleet.view import View
from gollamas.observe.metrics import FIRST_BYTE_BUCKETS, Metrics
from gollamas.observe.moment import Moment

EVERY_S: Final = 5.0
MOST_SAMPLES: Final = 120


class TrafficState(msgspec.Struct, frozen=True, kw_only=True):
    """One sample: rates of the seconds that led to it, and what was under way when it was made."""

    time: str
    requests_per_s: float
    tokens_per_s: float
    in_flight: int
    waiting: int
    first_byte_p50_s: float | None
    first_byte_p95_s: float | None
    errors_per_s: float


class HistoryState(msgspec.Struct, frozen=True, kw_only=True):
    """The last samples, the oldest first; null where there was none."""

    every_s: float
    until: str
    requests_per_s: list[float | None]
    tokens_per_s: list[float | None]
    in_flight: list[int | None]
    waiting: list[int | None]
    first_byte_p50_s: list[float | None]
    first_byte_p95_s: list[float | None]
    errors_per_s: list[float | None]


_COLUMNS: Final = HistoryState.__struct_fields__[2:]


class Open(Protocol):
    """An open request."""

    @property
    def waits(self) -> bool:
        """Whether no server works on it."""


class Traffic:
    """Samples of one proxy. In: the metrics, the view, what gives the open requests, the time."""

    def __init__(
        self,
        metrics: Metrics,
        view: View,
        requests: Callable[[], Iterable[Open]],
        now: Callable[[], Moment],
    ) -> None:
        self._metrics = metrics
        self._view = view
        self._open = requests
        self._now = now
        self._samples: deque[TrafficState | None] = deque(maxlen=MOST_SAMPLES)
        self._requests = self._generated = self._errors = 0
        self._first_byte: Sequence[int] = [0] * (len(FIRST_BYTE_BUCKETS) + 1)
        began = now()
        self._sampled_at = began.monotonic
        self.last = TrafficState(
            time=began.when(began.monotonic),
            requests_per_s=0.0,
            tokens_per_s=0.0,
            in_flight=0,
            waiting=0,
            first_byte_p50_s=None,
            first_byte_p95_s=None,
            errors_per_s=0.0,
        )
        self._samples.append(self.last)

    def begin(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Make a sample each five seconds from now on."""

        def again() -> None:
            call_later(EVERY_S, again)  # first: a defect below is not the end of it
            self.sample()

        call_later(EVERY_S, again)

    def sample(self) -> None:
        """Make a sample of what has happened since the last one."""
        now, totals = self._now(), self._metrics.totals
        self._metrics.add_up()
        span = max(now.monotonic - self._sampled_at, 1e-3)
        missed = min(round(span / EVERY_S) - 1, MOST_SAMPLES)  # the machine slept
        self._samples.extend([None] * missed)
        firsts = [new - old for new, old in zip(totals.first_byte, self._first_byte, strict=True)]
        self.last = TrafficState(
            time=now.when(now.monotonic),
            requests_per_s=_rate(totals.requests - self._requests, span),
            tokens_per_s=_rate(totals.generated - self._generated, span),
            in_flight=sum(server.in_flight for server in self._view.servers.values()),
            waiting=sum(one.waits for one in self._open()),
            first_byte_p50_s=quantile(0.5, firsts, FIRST_BYTE_BUCKETS),
            first_byte_p95_s=quantile(0.95, firsts, FIRST_BYTE_BUCKETS),
            errors_per_s=_rate(totals.errors - self._errors, span),
        )
        self._samples.append(self.last)
        self._sampled_at = now.monotonic
        self._requests, self._generated, self._errors = totals.requests, totals.generated, totals.errors
        self._first_byte = list(totals.first_byte)

    def history(self) -> HistoryState:
        """Give the last samples by what they say."""
        columns: dict[str, Any] = {
            name: [None if one is None else getattr(one, name) for one in self._samples] for name in _COLUMNS
        }
        return HistoryState(every_s=EVERY_S, until=self.last.time, **columns)


def quantile(share: float, counts: Sequence[int], bounds: Sequence[float]) -> float | None:
    """Where this share of spans ends, linear within a bucket as Prometheus has it; None where there is none.

    What lies beyond the last bound is told as that bound.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below, low = share * total, 0, 0.0
    for count, high in zip(counts, bounds, strict=False):
        if count and below + count >= rank:
            return round(low + (high - low) * (rank - below) / count, 6)
        below, low = below + count, high
    return bounds[-1]


def _rate(count: int, span: float) -> float:
    return round(count / span, 3)
