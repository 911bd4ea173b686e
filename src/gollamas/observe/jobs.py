"""What is told of jobs: those under way, and what servers are owed."""

from collections.abc import Sequence
from typing import NamedTuple

from gollamas.events import JobCause, JobKind


class OpenTarget(NamedTuple):
    """A job on one server: the last word of its progress, and how many bytes of those that it named."""

    server: str
    status: str
    completed: int | None
    total: int | None


class OpenJob(NamedTuple):
    """A job that has not ended."""

    kind: JobKind
    model: str  # as it was asked for; of a copy its destination
    why: JobCause
    age_s: float
    is_waiting: bool  # for jobs of the same model
    watchers: int  # clients that wait for it
    targets: Sequence[OpenTarget]


class OwedJob(NamedTuple):
    """A job that a server missed while it was down, done when it returns."""

    kind: JobKind
    model: str
    server: str
    age_s: float
    since: float = 0.0  # monotonic
