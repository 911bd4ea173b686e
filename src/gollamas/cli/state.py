"""The state of a running proxy as tables, and these as plain text.

Owns what a person reads of it and in which words. Text of others is made fit for a terminal here.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gollamas import names
from gollamas.observe.safe import escaped
from gollamas.observe.state import (
    FleetState,
    JobState,
    LoadedModel,
    LoadingModel,
    OwedState,
    RequestState,
    ServerState,
    SyncState,
    TargetState,
)

_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))
_FOREVER: Final = 20 * 365 * 86400  # what `ollama ps` calls so
_NOTHING: Final = "-"
_MOST_IDS: Final = 3  # of requests that wait for one load


class StateTable(NamedTuple):
    """A titled table; `empty` is said where it has no rows."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    empty: str


def tables_of(state: FleetState) -> list[StateTable]:
    """Say in tables how servers are, who has which model, what is loaded, what goes on.

    Jobs, what servers are owed and what is to be pulled are rare: where there are none they have no table.
    """
    on: dict[str, list[str]] = {}
    for server in state.servers:
        for model in dict.fromkeys(server.models or ()):
            on.setdefault(model, []).append(server.id + (" (down)" if server.health == "down" else ""))
    return [
        StateTable(
            "SERVERS",
            ("SERVER", "HEALTH", "SINCE", "VERSION", "MODELS", "LOADED", "REQUESTS", "WHY"),
            [cells(_server(server, state.time)) for server in state.servers],
            "no server is configured",
        ),
        StateTable(
            "INSTALLED",
            ("MODEL", "SERVERS"),
            [cells((model, ", ".join(servers))) for model, servers in sorted(on.items())],
            "no server has said that it has a model",
        ),
        StateTable(
            "LOADED",
            ("MODEL", "SERVER", "CONTEXT", "OPTIONS", "SIZE", "CPU", "EXPIRES"),
            [cells(_loaded(server.id, one, state.time)) for server in state.servers for one in server.loaded],
            "no model is loaded",
        ),
        StateTable(
            "LOADING",
            ("MODEL", "SERVER", "OPTIONS", "WHY", "AGE", "WAITING"),
            [cells(_loading(server.id, one)) for server in state.servers for one in server.loading],
            "no model is being loaded",
        ),
        *(table for table in (_jobs(state.jobs), _owed(state.owed), _sync(state.sync)) if table.rows),
        StateTable(
            "REQUESTS",
            ("AGE", "MODEL", "SERVER", "ROUTE", "STATUS", "CLIENT", "ID"),
            [cells(_request(one)) for one in state.requests],
            "nothing is being answered",
        ),
    ]


def heading_of(state: FleetState) -> str:
    """Say which proxy it is, and whether it can be of use."""
    text = f"gollamas {state.gollamas}, up for {span(_seconds(state.started_at, state.time))}"
    return escaped(f"{text}: {state.not_ready}" if state.not_ready else text)


def as_text(heading: str, tables: Iterable[StateTable]) -> str:
    """Write tables for a pipe or a file: columns as wide as they must be, no colour, no lines."""
    return "\n\n".join([heading, *("\n".join(_lines(table)) for table in tables)])


def _lines(table: StateTable) -> Iterable[str]:
    yield table.title
    if not table.rows:
        yield table.empty
        return
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def span(seconds: float) -> str:
    """Write a time span by its two largest units."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f}s"
    for size, unit, below, name in _UNITS:
        if seconds >= size:
            rest = int(seconds % size) // below
            return f"{int(seconds) // size}{unit}{rest}{name}" if rest else f"{int(seconds) // size}{unit}"
    return f"{int(seconds)}s"


def _server(server: ServerState, now: str) -> Sequence[object]:
    why = [server.why] if server.why else []
    if server.missing:
        why.append(f"lacks {', '.join(server.missing)}")
    why += [f"prompts of {model} cut: {count}" for model, count in server.truncated.items()]
    return (
        server.id,
        server.health,
        None if server.since is None else span(_seconds(server.since, now)),
        server.version,
        None if server.models is None else len(server.models),
        len(server.loaded),
        server.in_flight,
        "; ".join(why),
    )


def _loaded(server: str, one: LoadedModel, now: str) -> Sequence[object]:
    cpu = None if one.cpu_share is None else f"{one.cpu_share:.0%}"
    options = None if one.runner_options is None else _options(one.runner_options)
    expiry = _expiry(one.expires_at, now)
    return one.model, server, one.context_length, options, size_text(one.size), cpu, expiry


def _loading(server: str, one: LoadingModel) -> Sequence[object]:
    more = len(one.waiting) - _MOST_IDS
    waiting = ", ".join(one.waiting[:_MOST_IDS]) + (f" and {more} more" if more > 0 else "")
    why = one.why if one.has_begun else f"{one.why}, not sent yet"
    return one.model, server, _options(one.runner_options), why, span(one.age_s), waiting


def _jobs(jobs: Iterable[JobState]) -> StateTable:
    columns = ("JOB", "MODEL", "SERVER", "STATUS", "DONE", "AGE", "CLIENTS")
    rows = [cells(_target(job, target)) for job in jobs for target in job.targets]
    return StateTable("JOBS", columns, rows, "")


def _target(job: JobState, target: TargetState) -> Sequence[object]:
    status = "waits for another job of this model" if job.is_waiting else target.status
    return job.kind, job.model, target.server, status, _share(target), span(job.age_s), job.watchers


def _share(target: TargetState) -> str | None:
    if not target.total:
        return None
    return f"{100 * (target.completed or 0) // target.total}% of {size_text(target.total)}"


def _owed(owed: Iterable[OwedState]) -> StateTable:
    rows = [cells((one.kind, one.model, one.server, span(one.age_s))) for one in owed]
    return StateTable("OWED", ("JOB", "MODEL", "SERVER", "AGE"), rows, "")


def _sync(sync: Iterable[SyncState]) -> StateTable:
    columns = ("TO BE PULLED", "SERVER", "STATUS", "RETRY", "FAILED", "WHY")
    return StateTable("SYNC", columns, [cells(_lacking(one)) for one in sync], "")


def _lacking(one: SyncState) -> Sequence[object]:
    retry = None if one.retry_in_s is None else f"in {span(one.retry_in_s)}"
    return one.model, one.server, one.status, retry, one.failures or None, one.error


def _options(options: dict[str, object]) -> str:
    return " ".join(f"{name}={str(value).lower()}" for name, value in options.items()) or "default"


def _request(one: RequestState) -> Sequence[object]:
    model = one.model
    if model and one.model_used and names.key_of(model) != names.key_of(one.model_used):
        model = f"{model}->{one.model_used}"  # an alias, as in the log
    return span(one.age_s), model, one.server, one.route, one.status, one.client, one.id


def size_text(number: int | None) -> str | None:
    """Write bytes by the larger of two units; None where nobody said how many."""
    if number is None:
        return None
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"  # as Ollama counts them


def _expiry(time: str | None, now: str) -> str | None:
    if time is None:
        return None
    left = _seconds(now, time)
    if left > _FOREVER:
        return "never"
    return f"in {span(left)}" if left > 0 else "now, or after its request"


def _seconds(begin: str, end: str) -> float:
    """Say how long it is from one time to another; raises ValueError where one is none."""
    first, last = (datetime.fromisoformat(time).astimezone(UTC) for time in (begin, end))
    return (last - first).total_seconds()


def cells(values: Sequence[object]) -> tuple[str, ...]:
    """Write a row, fit for a terminal."""
    return tuple(_NOTHING if value in (None, "") else escaped(str(value)) for value in values)
