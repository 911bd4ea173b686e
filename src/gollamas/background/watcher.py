"""A job as one client sees it.

Owns what it is told and when, and that a job nobody waits for any more is stopped where Ollama would stop it.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from gollamas.api.outcomes import WITH_PROGRESS, JobOutcome
from gollamas.background.job import Job, ring
from gollamas.background.part import Part
from gollamas.errors import ModelBusy
from gollamas.fleet.progress import Watch


class Watcher:
    """A client that waits for a job: what it has not seen yet, and a bell.

    In: how many seconds a copy or delete waits for its turn, and what says what it waits for.
    """

    def __init__(self, job: Job, patience: float, why_busy: Callable[[Job], str]) -> None:
        self._job = job
        self._patience = patience
        self._why_busy = why_busy
        self._watch = Watch(job.merged)
        self._rung: asyncio.Future[None] | None = None

    @property
    def outcome(self) -> JobOutcome | None:
        """What the client is told in the end; None until the job has ended and all before it was seen."""
        return self._job.outcome if self._watch.next_at == inf else None

    @property
    def parts(self) -> Sequence[Part]:
        """The job on each server, as it stands."""
        return self._job.parts

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
        if job.change.kind in WITH_PROGRESS or job.turn.done():
            return
        await asyncio.wait([job.turn], timeout=self._patience)
        if not job.turn.done():
            raise ModelBusy(self._why_busy(job))

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
        if (
            not job.watchers
            and job.is_asked_for
            and (job.change.kind in WITH_PROGRESS or job.began_at is None)
        ):
            job.stop("its client left")


def _now() -> float:
    return asyncio.get_running_loop().time()
