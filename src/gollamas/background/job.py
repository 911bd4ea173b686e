"""One change on all its targets, and what is known of it while it goes on.

Owns what its parts tell and who watches; when it begins and what follows from its end is `fanout`'s.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gollamas.api.manage import Change
from gollamas.api.outcomes import JobOutcome, PartOutcome
from gollamas.background.part import Part
from gollamas.events import JobCause, JobEnd, JobKind
from gollamas.fleet.progress import Progress
from gollamas.fleet.server_view import ServerView

ASKED_FOR: Final = (JobCause.CLIENT, JobCause.HAND)
_FIRST_WORD: Final = "pulling manifest"


class Bell(Protocol):
    """Who watches a job."""

    def ring(self) -> None:
        """Look again."""


class Job:
    """One change on all its targets, on its way or over; its parts tell it how they fare."""

    def __init__(
        self,
        change: Change,
        parts: Sequence[Part],
        part_ended: Callable[["Job", Part, PartOutcome], None],
        why: JobCause,
    ) -> None:
        self.change = change
        self.parts = parts
        self.why = why
        self._part_ended = part_ended
        self.made_at = _now()
        self.began_at: float | None = None
        first = _FIRST_WORD if change.kind is JobKind.PULL else ""
        self.merged = Progress([part.server.id for part in parts], first)
        self.watchers: set[Bell] = set()
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.outcome: JobOutcome | None = None  # once it has ended

    @property
    def keys(self) -> Sequence[str]:
        """The models that it changes or reads."""
        change = self.change
        return [change.key] if change.source_key in ("", change.key) else [change.source_key, change.key]

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits for it now, or has left."""
        return self.why in ASKED_FOR

    @property
    def is_sync(self) -> bool:
        """Whether it is done beside those of clients, and behind them."""
        return self.why is JobCause.SYNC

    @property
    def is_stopped(self) -> bool:
        """Whether some of its servers, or all, are asked no more."""
        return any(part.stopped for part in self.parts)

    def is_for(self, server: ServerView) -> bool:
        """Whether it goes to this server, too."""
        return any(part.server is server for part in self.parts)

    def covers(self, change: Change, servers: Sequence[ServerView]) -> bool:
        """Whether a pull that is asked for is part of this one."""
        mine, there = self.change, [part.server for part in self.parts]
        return (
            change.kind is mine.kind is JobKind.PULL
            and change.insecure == mine.insecure
            and self.outcome is None
            and not self.is_stopped
            and all(server in there for server in servers)
        )

    def stop(self, why: str, end: JobEnd = JobEnd.STOPPED) -> None:
        """Ask servers no more, and wait for nothing."""
        for part in self.parts:
            if part.outcome is None:
                part.stop(PartOutcome(part.server.id, end, 503, why))
        ring(self.turn)

    def progress(self, part: Part, line: bytes) -> None:
        """Hear a line of a server's progress."""
        self.merged.take(part.server.id, line)
        self.ring()

    def ended(self, part: Part, outcome: PartOutcome) -> None:
        """Hear how a part ended."""
        self._part_ended(self, part, outcome)

    def ring(self) -> None:
        """Have all who watch look again."""
        for watcher in tuple(self.watchers):
            watcher.ring()


def ring(future: "asyncio.Future[None]") -> None:
    """Let whoever waits go on."""
    if not future.done():
        future.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
