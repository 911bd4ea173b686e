"""The state of a running proxy as tables.

Owns what a person reads of it and in which words.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from gollamas import names
from gollamas.cli.fleet_page import ServersState
from gollamas.cli.plain import StateTable, cells, expiry_text, seconds_between, size_text, span
from gollamas.events import JobCause
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
from gollamas.observe.wrong import WrongState

_MOST_IDS: Final = 3  # of requests that wait for one load


def tables_of(state: FleetState) -> list[StateTable]:
    """Say in tables how servers are, who has which model, what is loaded, what goes on.

    What is wrong comes first. That, jobs, what servers are owed and what is to be pulled have no table where
    there are none.
    """
    on: dict[str, list[str]] = {}
    for server in state.servers:
        for model in dict.fromkeys(server.models or ()):
            on.setdefault(model, []).append(server.id + (" (down)" if server.health == "down" else ""))
    return [
        *(table for table in (_wrong(state.wrong, state.time),) if table.rows),
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
        loaded_table(state),
        loading_table(state),
        *(table for table in (_jobs(state.jobs), _owed(state.owed), _sync(state.sync)) if table.rows),
        StateTable(
            "REQUESTS",
            ("AGE", "MODEL", "SERVER", "ROUTE", "STATUS", "CLIENT", "ID"),
            [cells(_request(one)) for one in state.requests],
            "nothing is being answered",
        ),
    ]


def loaded_table(state: FleetState | ServersState) -> StateTable:
    """Say what is loaded."""
    return StateTable(
        "LOADED",
        ("MODEL", "SERVER", "CONTEXT", "OPTIONS", "SIZE", "CPU", "EXPIRES"),
        [cells(_loaded(server.id, one, state.time)) for server in state.servers for one in server.loaded],
        "no model is loaded",
    )


def loading_table(state: FleetState | ServersState) -> StateTable:
    """Say what is being loaded."""
    return StateTable(
        "LOADING",
        ("MODEL", "SERVER", "OPTIONS", "WHY", "AGE", "WAITING"),
        [cells(_loading(server.id, one)) for server in state.servers for one in server.loading],
        "no model is being loaded",
    )


def heading_of(state: FleetState) -> str:
    """Say which proxy it is, and whether it can be of use."""
    text = f"gollamas {state.gollamas}, up for {span(seconds_between(state.started_at, state.time))}"
    return escaped(f"{text}: {state.not_ready}" if state.not_ready else text)


def _server(server: ServerState, now: str) -> Sequence[object]:
    why = [server.why] if server.why else []
    if server.missing:
        why.append(f"lacks {', '.join(server.missing)}")
    why += [f"prompts of {model} cut: {count}" for model, count in server.truncated.items()]
    return (
        server.id,
        server.health,
        None if server.since is None else span(seconds_between(server.since, now)),
        server.version,
        None if server.models is None else len(server.models),
        len(server.loaded),
        server.in_flight,
        "; ".join(why),
    )


def _wrong(wrong: Iterable[WrongState], now: str) -> StateTable:
    rows = [
        cells((None if one.since is None else span(seconds_between(one.since, now)), one.text, one.advice))
        for one in wrong
    ]
    return StateTable("WRONG NOW", ("SINCE", "WHAT", "WHAT TO DO"), rows, "")


def _loaded(server: str, one: LoadedModel, now: str) -> Sequence[object]:
    cpu = None if one.cpu_share is None else f"{one.cpu_share:.0%}"
    options = None if one.runner_options is None else _options(one.runner_options)
    expiry = expiry_text(one.expires_at, now)
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
    kind = job.kind if job.why == JobCause.CLIENT else f"{job.kind} ({job.why})"
    return kind, job.model, target.server, status, _share(target), span(job.age_s), job.watchers


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
