"""Models that were loaded anew though they were there: which, between which options, and what ends it.

Owns the rule of the warning: at once for the first reload of a model, then once a minute, each saying how
many there were since the last. Pure: it tells events, and takes the time as an argument.
"""

from collections import deque
from typing import Final, NamedTuple

from gollamas.events import Emit, Reloaded, Warned
from gollamas.fleet.runner_options import RunnerOptions

_BETWEEN: Final = 60.0  # seconds, of two warnings of one model
_MOST_MODELS: Final = 1000  # servers make up their names
_MOST_TIMES: Final = 1000  # reloads of a model that are counted
HOUR: Final = 3600.0


class _Tally:
    """Reloads of one model since the last warning."""

    __slots__ = ("count", "told_at")

    def __init__(self) -> None:
        self.count = 0
        self.told_at: float | None = None


class RecentReloads(NamedTuple):
    """Reloads of a model on a server in the last hour: how many, when the last was, and what ends them."""

    server_id: str
    model: str
    times: int
    last_at: float
    advice: str


class _Recent:
    """Reloads of one model on one server."""

    __slots__ = ("advice", "times")

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=_MOST_TIMES)
        self.advice = ""


class Reloads:
    """Those of all models. `emit` hears of each, and of what is to be mended."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._seen: dict[str, _Tally] = {}
        self._recent: dict[tuple[str, str], _Recent] = {}  # by server and model

    def noted(
        self, server_id: str, model: str, before: RunnerOptions | None, after: RunnerOptions, now: float
    ) -> None:
        """Note a reload. In: what the model had been asked for with, None where somebody else loaded it."""
        differs = differing(before, after)
        texts = ("unknown" if before is None else str(before)), str(after)
        self._emit(
            Reloaded(
                server=server_id, model=model, differs=", ".join(differs), before=texts[0], after=texts[1]
            )
        )
        advice = _advice(model, before, after, differs)
        if len(self._recent) >= _MOST_MODELS and (server_id, model) not in self._recent:
            self._recent.clear()
        recent = self._recent.setdefault((server_id, model), _Recent())
        recent.times.append(now)
        recent.advice = advice
        if len(self._seen) >= _MOST_MODELS and model not in self._seen:
            self._seen.clear()
        seen = self._seen.setdefault(model, _Tally())
        seen.count += 1
        if seen.told_at is None or now - seen.told_at >= _BETWEEN:
            count, seen.count, seen.told_at = seen.count, 0, now
            often = f"on {server_id}" if count == 1 else f"{count} times, last on {server_id}"
            self._emit(
                Warned(
                    f"{model} was reloaded {often}: its options changed "
                    f"from {_said(texts[0])} to {_said(texts[1])}; {advice}"
                )
            )

    def last_hour(self, now: float) -> list[RecentReloads]:
        """Give those of the last hour, by server and model; older ones are forgotten."""
        found = []
        for (server_id, model), recent in tuple(self._recent.items()):
            times = recent.times
            while times and times[0] <= now - HOUR:
                times.popleft()
            if times:
                found.append(RecentReloads(server_id, model, len(times), times[-1], recent.advice))
            else:
                del self._recent[server_id, model]
        return found


def differing(before: RunnerOptions | None, after: RunnerOptions) -> tuple[str, ...]:
    """Name the options that are not the same; `unknown` where nobody told us what they were."""
    if before is None:
        return ("unknown",)
    old, new = before.told, after.told
    return tuple(name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)) or (
        "unknown",
    )


def _said(options: str) -> str:
    return "none" if options == "-" else options


def _advice(model: str, before: RunnerOptions | None, after: RunnerOptions, differs: tuple[str, ...]) -> str:
    """Say which setting ends it."""
    if before is None:
        return (
            "it was loaded by somebody else, or before gollamas lost sight of the server: send all requests "
            f"through gollamas, or set --force-num-ctx {model}=N"
        )
    if differs != ("num_ctx",):
        return "have all clients send the same options"
    contexts = [context for context in (before.num_ctx, after.num_ctx) if context is not None]
    setting = f"set --force-num-ctx {model}={max(contexts)} to give all requests one context"
    if len(contexts) == 1:
        setting += f", or --num-ctx {model}=loaded to give those without num_ctx the one that is loaded"
    return setting
