"""The order of jobs: those of one model are done one after another, as they came.

Owns whose turn it is. Jobs of a sync stand beside that: side by side, only while no other job of their model
is there, and one that comes stops them. Servers go on from what they have when they pull again.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from gollamas.api.manage import Change
from gollamas.background.job import Job, ring

_GAVE_WAY = "a client changes the model"


class Queues:
    """All jobs that are not over."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Job]] = {}  # by model; the first is the one whose turn it is
        self.syncs: list[Job] = []  # the oldest first

    @property
    def busy(self) -> Collection[str]:
        """The models that are being changed, or wait for that; syncs apart."""
        return self._queues.keys()

    def all(self) -> Sequence[Job]:
        """Give each job once."""
        return [*dict.fromkeys(job for queue in self._queues.values() for job in queue), *self.syncs]

    def last(self, key: str) -> Job | None:
        """Give the last job of a model, if it has one that is no sync."""
        queue = self._queues.get(key)
        return queue[-1] if queue else None

    def ahead_of(self, job: Job) -> Change:
        """Give a change that a job waits for."""
        first = (self._queues[key][0] for key in job.keys)
        syncs = (one for one in self.syncs if one.change.key in job.keys)
        return next((one for one in (*first, *syncs) if one is not job), job).change

    def enter(self, job: Job) -> None:
        """Put a job behind those of its models, or let it begin."""
        if job.is_sync:
            self.syncs.append(job)
            ring(job.turn)
            return
        for key in job.keys:
            self._queues.setdefault(key, deque()).append(job)
        for sync in self.syncs:
            if sync.change.key in job.keys:
                sync.stop(_GAVE_WAY)
        self._go_on(job.keys)

    def leave(self, job: Job) -> None:
        """Take a job out that is over, and let the next begin."""
        if job.is_sync:
            self.syncs.remove(job)
        else:
            for key in job.keys:
                queue = self._queues[key]
                queue.remove(job)
                if not queue:
                    del self._queues[key]
        self._go_on(job.keys)

    def _go_on(self, keys: Iterable[str]) -> None:
        """Let a job begin that is the first in all of its queues, once the syncs of its models are over."""
        syncing = {sync.change.key for sync in self.syncs}
        for key in keys:
            queue = self._queues.get(key)
            if not queue or not syncing.isdisjoint(queue[0].keys):
                continue
            if all(self._queues[other][0] is queue[0] for other in queue[0].keys):
                ring(queue[0].turn)
