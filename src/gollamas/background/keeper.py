"""Keeps models in memory and on disk: acts on what is due, again and again as things change and time passes.

Owns the one task that does so, and the loads, touches and pulls that it asks for; `fleet/keeping` and
`fleet/syncing` decide what is due. It publishes nothing else.
"""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from gollamas.api.manage import Change
from gollamas.api.outcomes import BRINGING, PartOutcome
from gollamas.api.own_changes import pull_of
from gollamas.background.duty import Duty
from gollamas.background.fanout import Jobs
from gollamas.background.job import ASKED_FOR, Job
from gollamas.background.loads import Loads
from gollamas.background.touches import Touches
from gollamas.events import Crashed, JobCause, JobEnd, JobKind
from gollamas.fleet.keeping import Act, Keeping, KeepLoad, KeepLook, KeepTouch
from gollamas.fleet.policy import Policies
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.syncing import SILENCE, Lacking, SyncGiveUp, Syncing, SyncPull
from gollamas.proxy.waiting import ended

_SHORTEST_REST: Final = 0.001  # seconds; a loop's time may stand still as long
_LONGEST_REST: Final = 30.0  # seconds; whatever is missed is seen then


class Wishes(NamedTuple):
    """What is to be in memory and on disk, and with what the first are loaded."""

    keeping: Keeping
    syncing: Syncing
    policies: Policies


class Means(NamedTuple):
    """What a keeper acts by: loads, touches, jobs, looks at what is loaded, calls some seconds later."""

    loads: Loads
    touches: Touches
    jobs: Jobs
    look: Callable[[str], None]
    call_later: Callable[[float, Callable[[], None]], object]


class Keeper:
    """Acts on the wishes of one configuration at a time. Its task and its loads run under `duty.tasks`."""

    def __init__(self, duty: Duty, means: Means) -> None:
        self._view, _, self._tasks, self._emit = duty
        self._means = means
        self._wishes: Wishes | None = None
        self._pulls: dict[tuple[str, str], _Pull] = {}  # by server and model
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loads: set[asyncio.Task[None] | None] = set()
        self._called_at = math.inf  # when the next call comes

    def apply(self, wishes: Wishes) -> None:
        """Keep what these wishes name from now on."""
        self._wishes = wishes
        pulls, self._pulls = self._pulls, {}
        for pull in pulls.values():
            pull.stop()
        if (wishes.keeping.keeps_any or wishes.syncing.has_wishes) and self._task is None:
            self._task = self._tasks.create_task(self._run(), name="keeper")
        self.wake()

    def drain(self) -> None:
        """Keep nothing any more; loads that clients wait for go on."""
        for task in (self._task, *self._loads):
            if task is not None:
                task.cancel()

    def wake(self) -> None:
        """Note that something has changed."""
        self._news.set()

    def not_tried(self) -> list[str]:
        """Name the models that are to be loaded ahead and were not tried yet where they could be."""
        return [] if self._wishes is None else self._wishes.keeping.not_tried()

    def lacking(self) -> list[Lacking]:
        """Give the models that are to be on a server and are not there yet."""
        return [] if self._wishes is None else self._wishes.syncing.lacking(_now())

    def job_ended(self, change: Change, outcome: PartOutcome, why: JobCause) -> None:
        """Note what a job has changed on a server: what clients want there goes before what is configured."""
        if self._wishes is not None and why in ASKED_FOR:
            syncing = self._wishes.syncing
            if change.kind is JobKind.DELETE and outcome.end is not JobEnd.STOPPED:
                syncing.deleted(change.key, change.servers)
            elif change.kind in BRINGING and outcome.end is JobEnd.DONE:
                syncing.brought(change.key, change.servers)

    def unfit(self) -> list[tuple[str, str, str]]:
        """Name the pairs of kept models that do not fit together, each behind its server."""
        return [] if self._wishes is None else self._wishes.keeping.unfit()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            wishes = self._wishes
            if wishes is not None:
                try:
                    self._act_on(wishes)
                except Exception as defect:  # noqa: BLE001 - models are kept on
                    self._emit(Crashed("keeping models", defect))
                next_at = min(wishes.keeping.next_at, wishes.syncing.next_at)
                self._call_at(min(next_at, _now() + _LONGEST_REST))
            await self._news.wait()

    def _act_on(self, wishes: Wishes) -> None:
        for act in wishes.keeping.due(_now(), time.time()):
            self._act(wishes.keeping, act)
        jobs = self._means.jobs
        for sync in wishes.syncing.due(_now(), jobs.room, jobs.busy):
            match sync:
                case SyncPull(server_id=server_id, key=key, name=name):
                    job = jobs.sync(pull_of(server_id, key, name))
                    self._pulls[server_id, key] = _Pull(wishes.syncing, sync, job, self._pull_ended)
                case SyncGiveUp(server_id=server_id, key=key):
                    self._pulls[server_id, key].give_up()

    def _pull_ended(self, pull: "_Pull") -> None:
        if self._pulls.get(pull.place) is pull:  # else it is one of the configuration before
            del self._pulls[pull.place]
        self.wake()

    def _call_at(self, at: float) -> None:
        """Be called again at a time, unless a call comes before it."""
        now = _now()
        if now < self._called_at <= at:
            return
        self._called_at = at
        self._means.call_later(max(at - now, _SHORTEST_REST), partial(self._called, at))

    def _called(self, at: float) -> None:
        if at == self._called_at:  # else an earlier call took its place
            self._called_at = math.inf
            self.wake()

    def _act(self, keeping: Keeping, act: Act) -> None:
        match act:
            case KeepLook(server_id=server_id):
                self._means.look(server_id)
            case KeepTouch(server_id=server_id, key=key):
                _, keep_alive = self._wanted(server_id, key)
                self._means.touches.extend(server_id, key, keep_alive)
            case KeepLoad(server_id=server_id, key=key):
                task = self._tasks.create_task(self._load(keeping, act), name=f"keep {server_id} {key}")
                self._loads.add(task)

    def _wanted(self, server_id: str, key: str) -> tuple[RunnerOptions, float | None]:
        """With which options requests without any run a model, and how long it is to stay."""
        policies = None if self._wishes is None else self._wishes.policies.of(key)
        policy = None if policies is None else policies.get(server_id)
        return (PLAIN, None) if policy is None else (policy.load_options, policy.load_keep_alive)

    async def _load(self, keeping: Keeping, act: KeepLoad) -> None:
        server, waiter, was_loaded = self._view.servers.get(act.server_id), None, False
        try:
            if server is not None:
                options, keep_alive = self._wanted(act.server_id, act.key)
                waiter = self._means.loads.begin(server, act.key, options, keep_alive, act.cause)
                await ended(waiter)
                was_loaded = waiter.error is None
        finally:
            self._loads.discard(asyncio.current_task())
            if waiter is not None:
                self._means.loads.release(waiter)
            keeping.ended(act.server_id, act.key, was_loaded=was_loaded, now=_now())
            self.wake()


class _Pull:
    """A pull of a model that a server lacks. It watches its job, as clients do."""

    def __init__(self, syncing: Syncing, sync: SyncPull, job: Job, ended: Callable[["_Pull"], None]) -> None:
        self._syncing = syncing
        self.place = sync.server_id, sync.key
        self._job = job
        self._ended = ended
        self._seen = job.merged.seen(sync.server_id)
        job.watchers.add(self)

    def ring(self) -> None:
        """See what is new, or how it has ended. A line that says the same again is nothing new."""
        server_id, key = self.place
        seen = self._job.merged.seen(server_id)
        if seen != self._seen:
            self._seen = seen
            self._syncing.heard(server_id, key, _now())
        if self._job.outcome is None:
            return
        (outcome,) = (part.outcome for part in self._job.parts)
        assert outcome is not None  # noqa: S101 - the job has ended
        self._job.watchers.discard(self)
        self._syncing.ended(server_id, key, outcome.end, outcome.error, _now())
        self._ended(self)

    def stop(self) -> None:
        """End it: another configuration holds."""
        self._job.stop("the configuration has changed")

    def give_up(self) -> None:
        """End it as a failure."""
        self._job.stop(f"it reported nothing new for {SILENCE / 60:g} minutes", JobEnd.FAILED)


def _now() -> float:
    return asyncio.get_running_loop().time()
