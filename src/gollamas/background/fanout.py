"""Jobs: one change on all its targets, for all who wait for it.

Owns who watches which, when one is stopped, and what a server is owed that was down. Whose turn it is is
`background/queues`, what a change means on one server `background/parts`, how many progresses become one
`fleet/progress`.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from gollamas.api.manage import Change
from gollamas.api.outcomes import (
    BRINGING,
    PartOutcome,
    not_exposed,
    note_of,
    outcome_of,
)
from gollamas.api.own_changes import owed_change
from gollamas.background.duty import Duty
from gollamas.background.job import Job
from gollamas.background.part import Part
from gollamas.background.parts import Parts
from gollamas.background.queues import Queues
from gollamas.background.slots import Slots
from gollamas.background.watcher import Watcher
from gollamas.config.model import Server
from gollamas.errors import NoServerLeft, ShuttingDown
from gollamas.events import Crashed, JobCause, JobEnd, JobEnded, JobKind, Warned
from gollamas.fleet.health import TOLD_DOWN
from gollamas.fleet.owed import Debt, Owed
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import NOT_YET
from gollamas.observe.jobs import OpenJob, OpenTarget, OwedJob

PATIENCE: Final = 30.0  # seconds that a delete or copy waits for other jobs of its model
_SHUTTING_DOWN: Final = "gollamas is shutting down"
_CLEANING: Final = 2.0  # seconds that the end of the process waits for what jobs clean up
_MOST_OWED: Final = 1000  # clients make up names
_DOING: Final[Mapping[JobKind, str]] = {
    JobKind.PULL: "pulled",
    JobKind.PUSH: "pushed",
    JobKind.CREATE: "created",
    JobKind.COPY: "copied",
    JobKind.DELETE: "deleted",
}


class Jobs:
    """Runs jobs on the servers of a view.

    In: `parts` does a job on one server, in one of these `slots`; `patience` is in seconds, see PATIENCE.
    `on_end` hears of each part of a job that has ended, `on_gone` when a job is over.
    """

    def __init__(
        self,
        duty: Duty,
        parts: Parts,
        slots: Slots,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._view, _, self._tasks, self._emit = duty
        self._parts = parts
        self._slots = slots
        slots.on_wanted = self._make_room
        self.patience = patience
        self.on_end: Callable[[Change, PartOutcome, JobCause], object] = _nothing
        self.on_gone: Callable[[], object] = _nothing
        self._queues = Queues()
        self._owed = Owed()
        self._is_draining = self._is_closed = False

    # -- what clients call ---------------------------------------------------------------------------

    async def begin(self, change: Change, why: JobCause = JobCause.CLIENT) -> Watcher:
        """Begin a job, or join a pull that is under way; who watches calls `leave` in the end.

        Raises ProxyError where no server of it can be reached.
        """
        servers = [one for id_ in change.servers if (one := self._view.servers.get(id_)) is not None]
        await asyncio.gather(*(self._parts.first_list(one) for one in servers))
        if all(_is_down(one) for one in servers):
            raise NoServerLeft(_unreachable(change, servers))
        if change.kind is JobKind.PUSH:
            servers = [_source(servers, change.key)]
        if change.kind is JobKind.CREATE:
            await self._parts.check(change, [one for one in servers if not _is_down(one)])
        job = self._queues.last(change.key)
        if job is None or not job.covers(change, servers):
            job = self._start(change, servers, why)
        watcher = Watcher(job, self.patience, self._why_busy)
        job.watchers.add(watcher)
        return watcher

    def _why_busy(self, job: Job) -> str:
        """Say what a job waits for."""
        ahead = self._queues.ahead_of(job)
        return f"model '{ahead.name}' is being {_DOING[ahead.kind]}: try again when that is done"

    # -- what the keeper calls -----------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many syncs may begin: no client waits for a slot."""
        return 0 if self._is_draining else self._slots.free

    @property
    def busy(self) -> Collection[str]:
        """The models that are being changed for clients, or wait for that."""
        return self._queues.busy

    def sync(self, change: Change) -> Job:
        """Begin to pull what a server lacks, in a slot that is free."""
        servers = [self._view.servers[id_] for id_ in change.servers]
        self._slots.take()
        return self._start(change, servers, JobCause.SYNC)

    # -- what the application calls ------------------------------------------------------------------

    def server_down(self, server_id: str) -> None:
        """End what a server is at that the probes find down."""
        server = self._view.servers.get(server_id)
        for job in self._queues.all():
            for part in job.parts:
                if part.server is server and part.is_asking:
                    part.stop(PartOutcome(server_id, JobEnd.FAILED, 502, f"it is down: {server.why_down}"))

    def listed(self, server_id: str) -> None:
        """Do what a server is owed, now that it has said what it has."""
        server = self._view.servers.get(server_id)
        if server is None or not server.is_up or self._is_draining:
            return
        waiting = [job for job in self._queues.all() if job.began_at is None and job.is_for(server)]
        later = {job.change.key for job in waiting}  # these may take the place of what it is owed
        returned = self._owed.returned(server.server, server.installed, later)
        for debt in returned.due:
            self._start(owed_change(debt), [server], JobCause.OWED)
        for debt, why in returned.dropped:
            outcome = PartOutcome(server_id, JobEnd.STOPPED, error=why)
            self._tell(debt.kind, debt.name, outcome, JobCause.OWED)

    def drain(self) -> None:
        """Go on with nothing but what clients wait for."""
        self._is_draining = True
        for job in self._queues.syncs:
            job.stop(_SHUTTING_DOWN)

    def retain(self, servers: Iterable[Server]) -> None:
        """Forget what servers are owed that are configured no more."""
        self._owed.retain(servers)

    async def close(self) -> None:
        """Stop all jobs, and wait until what they made for themselves is removed."""
        self._is_draining = self._is_closed = True
        jobs = self._queues.all()
        for job in jobs:
            job.stop(_SHUTTING_DOWN)
        tasks = [job.task for job in jobs if job.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLEANING)

    def under_way(self) -> list[OpenJob]:
        """Give the jobs that have not ended."""
        now = _now()
        return [
            OpenJob(
                kind=job.change.kind,
                model=job.change.name,
                why=job.why,
                age_s=now - job.made_at,
                is_waiting=job.began_at is None,
                watchers=0 if job.is_sync else len(job.watchers),
                targets=[_target(job, part) for part in job.parts],
            )
            for job in self._queues.all()
        ]

    def owed(self) -> list[OwedJob]:
        """Give what servers are owed."""
        now = _now()
        return [
            OwedJob(one.kind, one.name, one.server_id, now - one.since, one.since) for one in self._owed.all()
        ]

    # -- a job ---------------------------------------------------------------------------------------

    def _start(self, change: Change, servers: Sequence[ServerView], why: JobCause) -> Job:
        """Put a job behind those of its models."""
        if self._is_closed:
            raise ShuttingDown(f"{_SHUTTING_DOWN}: try again")
        job = Job(change, [Part(one) for one in servers], self._part_ended, why)
        name = f"{change.kind.value} {change.name}"
        job.task = self._tasks.create_task(self._run(job), name=name)
        # Not in the task itself: one that is cancelled before its first step does nothing at all.
        job.task.add_done_callback(lambda _: self._gone(job))
        self._queues.enter(job)
        return job

    def _make_room(self) -> None:
        """Stop the sync that began last, for a job of a client that waits for a slot."""
        for job in reversed(self._queues.syncs):
            if not job.is_stopped:
                job.stop("a client's pull or create goes first")
                break

    async def _run(self, job: Job) -> None:
        await job.turn
        if not job.is_stopped:  # else it did not get its turn, and changes nothing of what others are owed
            self._owed.replaced(job.change.key, [part.server.id for part in job.parts])
            job.began_at = _now()
        await asyncio.gather(*(self._on(job, part) for part in job.parts if part.outcome is None))

    async def _on(self, job: Job, part: Part) -> None:
        """Do a job on one server."""
        try:
            if part.stopped is not None:
                job.ended(part, part.stopped)
            elif _is_down(part.server):
                job.ended(part, _down(part))
            elif job.is_sync:
                await self._parts.pull_missing(job.change, part, job)
            else:
                await self._parts.do(job.change, part, job)
        except Exception as defect:  # noqa: BLE001 - the others go on, and whoever waits must hear of it
            self._emit(Crashed(f"a {job.change.kind.value} on {part.server.id}", defect))
            if part.outcome is None:
                text = "internal error: see the log of gollamas"
                job.ended(part, PartOutcome(part.server.id, JobEnd.FAILED, 500, text))

    def _part_ended(self, job: Job, part: Part, outcome: PartOutcome) -> None:
        """Write down how a job ended on one server, and what that server is owed."""
        change = job.change
        if outcome.end is JobEnd.DOWN:
            outcome = self._owe(job, part, outcome)
            job.merged.say(note_of(change.kind, outcome))
        part.outcome = outcome
        job.merged.ended(part.server.id, is_done=outcome.end is JobEnd.DONE)
        part.took_s = 0.0 if job.began_at is None else _now() - job.began_at
        self._tell(change.kind, change.name, outcome, job.why, part.took_s)
        self.on_end(change, outcome, job.why)
        outcomes = [one.outcome for one in job.parts if one.outcome is not None]
        if len(outcomes) == len(job.parts):
            self._conclude(job, outcomes)
        job.ring()

    def _owe(self, job: Job, part: Part, outcome: PartOutcome) -> PartOutcome:
        """Have a pull or delete done when its server is back; a delete where the model was seen. Once."""
        change, server = job.change, part.server
        entry = server.installed.get(change.key)
        is_owed = change.kind is JobKind.PULL or (change.kind is JobKind.DELETE and entry is not None)
        if not job.is_asked_for or not is_owed or len(self._owed.all()) >= _MOST_OWED:
            return outcome
        digest = None if entry is None else entry.digest
        was_seen = server.has_listed
        debt = Debt(change.kind, server.id, change.key, change.model, digest, _now(), change.body, was_seen)
        self._owed.owe(server.server, debt)
        return outcome._replace(is_owed=True)

    def _conclude(self, job: Job, outcomes: Sequence[PartOutcome]) -> None:
        """Work out what clients are told."""
        change = job.change
        outcome = outcome_of(change.kind, outcomes)
        if job.began_at is not None and any(one.end is JobEnd.STOPPED for one in outcomes):
            self._owed.replaced(change.key, [one.server for one in outcomes])  # nobody wants it any more
        there = [one.server for one in outcomes if one.end is JobEnd.DONE]
        if change.kind in BRINGING and there and not change.is_exposed:
            note = not_exposed(change.name, there)
            self._emit(Warned(note))
            job.merged.say(note)
            outcome = outcome._replace(notes=[*outcome.notes, note])
        job.outcome = outcome

    def _gone(self, job: Job) -> None:
        """Let the next begin; whoever waits for one that was cancelled hears of that."""
        for part in job.parts:
            if part.outcome is None:
                job.ended(part, PartOutcome(part.server.id, JobEnd.STOPPED, 503, _SHUTTING_DOWN))
        if job.is_sync:
            self._slots.release()
        self._queues.leave(job)
        self.on_gone()

    def _tell(
        self, kind: JobKind, model: str, outcome: PartOutcome, why: JobCause, took_s: float = 0.0
    ) -> None:
        self._emit(
            JobEnded(
                kind=kind,
                server=outcome.server,
                model=model,
                end=outcome.end,
                took_s=took_s,
                why=why,
                is_owed=outcome.is_owed,
                error=outcome.error or None,
            )
        )


def _nothing(*_: object) -> None:
    pass


def _source(servers: Sequence[ServerView], key: str) -> ServerView:
    """Choose who pushes a model: one that has it, else whoever can say so."""
    up = [one for one in servers if not _is_down(one)]
    return next((one for one in up if key in one.installed), up[0])


def _is_down(server: ServerView) -> bool:
    return server.health in TOLD_DOWN


def _down(part: Part) -> PartOutcome:
    return PartOutcome(part.server.id, JobEnd.DOWN, 502, part.server.why_down or NOT_YET)


def _unreachable(change: Change, servers: Iterable[ServerView]) -> str:
    troubles = "; ".join(f"{one.id}: {one.why_down or NOT_YET}" for one in servers)
    return f"model '{change.name}' can't be {_DOING[change.kind]}: no server can be reached ({troubles})"


def _target(job: Job, part: Part) -> OpenTarget:
    seen = job.merged.seen(part.server.id)
    status = seen.status if part.outcome is None else part.outcome.end.value
    return OpenTarget(part.server.id, status, seen.completed, seen.total)


def _now() -> float:
    return asyncio.get_running_loop().time()
