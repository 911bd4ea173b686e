"""Jobs: one change on all its targets, for all who wait for it.

Owns the order of jobs of one model, who watches which, when one is stopped, and what a server is owed that
was down. What a change means on one server is `background/parts`; how many progresses become one is
`fleet/progress`.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from gollamas.api.manage import Change, owed_change
from gollamas.api.outcomes import WITH_PROGRESS, JobOutcome, PartOutcome, not_exposed, note_of, outcome_of
from gollamas.background.duty import Duty
from gollamas.background.job import Job, ring
from gollamas.background.part import Part
from gollamas.background.parts import Parts
from gollamas.config.model import Server
from gollamas.errors import ModelBusy, NoServerLeft, ShuttingDown
from gollamas.events import Crashed, JobEnd, JobEnded, JobKind, Warned
from gollamas.fleet.health import TOLD_DOWN
from gollamas.fleet.owed import Debt, Owed
from gollamas.fleet.progress import Watch
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import NOT_YET
from gollamas.observe.jobs import OpenJob, OpenTarget, OwedJob

PATIENCE: Final = 30.0  # seconds that a delete or copy waits for other jobs of its model
_CLEANING: Final = 2.0  # seconds that the end of the process waits for what jobs clean up
_MOST_OWED: Final = 1000  # clients make up names
_LONG: Final = WITH_PROGRESS  # they end with their clients, and wait for as long as these do
_BRINGING: Final = (JobKind.PULL, JobKind.CREATE, JobKind.COPY)
_DOING: Final[Mapping[JobKind, str]] = {
    JobKind.PULL: "pulled",
    JobKind.PUSH: "pushed",
    JobKind.CREATE: "created",
    JobKind.COPY: "copied",
    JobKind.DELETE: "deleted",
}


class Watcher:
    """A client that waits for a job: what it has not seen yet, and a bell."""

    def __init__(self, jobs: "Jobs", job: Job) -> None:
        self._jobs = jobs
        self._job = job
        self._watch = Watch(job.merged)
        self._rung: asyncio.Future[None] | None = None

    @property
    def outcome(self) -> JobOutcome | None:
        """What the client is told in the end; None until the job has ended and all before it was seen."""
        return self._job.outcome if self._watch.next_at == inf else None

    def lines(self) -> list[bytes]:
        """Give the lines of progress that are due now."""
        return self._watch.lines(_now())

    def ring(self) -> None:
        """Have it look again."""
        if self._rung is not None:
            ring(self._rung)

    async def news(self) -> None:
        """Wait until there may be something to see."""
        next_at = self._watch.next_at
        timer = None if next_at == inf else asyncio.get_running_loop().call_at(next_at, self.ring)
        try:
            await self._until_rung()
        finally:
            if timer is not None:
                timer.cancel()

    async def turn(self) -> None:
        """Wait until a copy or delete has its turn; raises ModelBusy where that takes too long."""
        job = self._job
        if job.change.kind in _LONG or job.turn.done():
            return
        await asyncio.wait([job.turn], timeout=self._jobs.patience)
        if not job.turn.done():
            raise ModelBusy(self._jobs.why_busy(job))

    async def ended(self) -> JobOutcome:
        """Wait for the job's end."""
        job = self._job
        while job.outcome is None:  # what is due meanwhile is not looked at, and must not ring
            await self._until_rung()
        return job.outcome

    async def _until_rung(self) -> None:
        self._rung = asyncio.get_running_loop().create_future()
        try:
            await self._rung
        finally:
            self._rung = None

    def leave(self) -> None:
        """Let the client go: what nobody watches any more stops where Ollama would stop it."""
        job = self._job
        job.watchers.discard(self)
        if not job.watchers and not job.was_owed and (job.change.kind in _LONG or job.began_at is None):
            job.stop("its client left")


class Jobs:
    """Runs jobs on the servers of a view.

    In: `parts` does a job on one server; `patience` is in seconds, see PATIENCE.
    """

    def __init__(self, duty: Duty, parts: Parts, *, patience: float = PATIENCE) -> None:
        self._view, _, self._tasks, self._emit = duty
        self._parts = parts
        self.patience = patience
        self._lines: dict[str, deque[Job]] = {}  # by model; the first is the one whose turn it is
        self._owed = Owed()
        self._is_draining = self._is_closed = False

    # -- what clients call ---------------------------------------------------------------------------

    async def begin(self, change: Change) -> Watcher:
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
        line = self._lines.get(change.key)
        job = line[-1] if line and line[-1].covers(change, servers) else self._start(change, servers)
        watcher = Watcher(self, job)
        job.watchers.add(watcher)
        return watcher

    def why_busy(self, job: Job) -> str:
        """Say what a job waits for."""
        ahead = next(line[0] for key in job.keys if (line := self._lines[key])[0] is not job).change
        return f"model '{ahead.name}' is being {_DOING[ahead.kind]}: try again when that is done"

    # -- what the application calls ------------------------------------------------------------------

    def server_down(self, server_id: str) -> None:
        """End what a server is at that the probes find down."""
        server = self._view.servers.get(server_id)
        for job in self._all():
            for part in job.parts:
                if part.server is server and part.is_asking:
                    part.stop(PartOutcome(server_id, JobEnd.FAILED, 502, f"it is down: {server.why_down}"))

    def listed(self, server_id: str) -> None:
        """Do what a server is owed, now that it has said what it has."""
        server = self._view.servers.get(server_id)
        if server is None or not server.is_up or self._is_draining:
            return
        waiting = [job for job in self._all() if job.began_at is None and job.is_for(server)]
        later = {job.change.key for job in waiting}  # these may take the place of what it is owed
        returned = self._owed.returned(server.server, server.installed, later)
        for debt in returned.due:
            self._start(owed_change(debt), [server], was_owed=True)
        for debt, why in returned.dropped:
            outcome = PartOutcome(server_id, JobEnd.STOPPED, error=why)
            self._tell(debt.kind, debt.name, outcome, was_owed=True)

    def drain(self) -> None:
        """Begin nothing more of what servers are owed: only what clients wait for."""
        self._is_draining = True

    def retain(self, servers: Iterable[Server]) -> None:
        """Forget what servers are owed that are configured no more."""
        self._owed.retain(servers)

    async def close(self) -> None:
        """Stop all jobs, and wait until what they made for themselves is removed."""
        self._is_draining = self._is_closed = True
        jobs = self._all()
        for job in jobs:
            job.stop("gollamas is shutting down")
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
                age_s=now - job.made_at,
                is_waiting=job.began_at is None,
                watchers=len(job.watchers),
                targets=[_target(job, part) for part in job.parts],
            )
            for job in self._all()
        ]

    def owed(self) -> list[OwedJob]:
        """Give what servers are owed."""
        now = _now()
        return [OwedJob(one.kind, one.name, one.server_id, now - one.since) for one in self._owed.all()]

    # -- a job ---------------------------------------------------------------------------------------

    def _all(self) -> Sequence[Job]:
        return list(dict.fromkeys(job for line in self._lines.values() for job in line))

    def _start(self, change: Change, servers: Sequence[ServerView], *, was_owed: bool = False) -> Job:
        """Put a job into the lines of its models."""
        if self._is_closed:
            raise ShuttingDown("gollamas is shutting down: try again")
        job = Job(change, [Part(one) for one in servers], self._part_ended, was_owed=was_owed)
        for key in job.keys:
            self._lines.setdefault(key, deque()).append(job)
        name = f"{change.kind.value} {change.name}"
        job.task = self._tasks.create_task(self._run(job), name=name)
        # Not in the task itself: one that is cancelled before its first step does nothing at all.
        job.task.add_done_callback(lambda _: self._gone(job))
        self._go_on(job.keys)
        return job

    def _go_on(self, keys: Iterable[str]) -> None:
        """Let a job begin that is the first in all of its lines."""
        for key in keys:
            line = self._lines.get(key)
            if line and all(self._lines[other][0] is line[0] for other in line[0].keys):
                ring(line[0].turn)

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
        took_s = 0.0 if job.began_at is None else _now() - job.began_at
        self._tell(change.kind, change.name, outcome, took_s, was_owed=job.was_owed)
        outcomes = [one.outcome for one in job.parts if one.outcome is not None]
        if len(outcomes) == len(job.parts):
            self._conclude(job, outcomes)
        job.ring()

    def _owe(self, job: Job, part: Part, outcome: PartOutcome) -> PartOutcome:
        """Have a pull or delete done when its server is back; a delete where the model was seen. Once."""
        change, server = job.change, part.server
        entry = server.installed.get(change.key)
        is_owed = change.kind is JobKind.PULL or (change.kind is JobKind.DELETE and entry is not None)
        if job.was_owed or not is_owed or len(self._owed.all()) >= _MOST_OWED:
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
        if change.kind in _BRINGING and there and not change.is_exposed:
            note = not_exposed(change.name, there)
            self._emit(Warned(note))
            job.merged.say(note)
            outcome = outcome._replace(notes=[*outcome.notes, note])
        job.outcome = outcome

    def _gone(self, job: Job) -> None:
        """Let the next begin; whoever waits for one that was cancelled hears of that."""
        for part in job.parts:
            if part.outcome is None:
                job.ended(part, PartOutcome(part.server.id, JobEnd.STOPPED, 503, "gollamas is shutting down"))
        for key in job.keys:
            line = self._lines[key]
            line.remove(job)
            if not line:
                del self._lines[key]
        self._go_on(job.keys)

    def _tell(
        self, kind: JobKind, model: str, outcome: PartOutcome, took_s: float = 0.0, *, was_owed: bool
    ) -> None:
        self._emit(
            JobEnded(
                kind=kind,
                server=outcome.server,
                model=model,
                end=outcome.end,
                took_s=took_s,
                was_owed=was_owed,
                is_owed=outcome.is_owed,
                error=outcome.error or None,
            )
        )


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
