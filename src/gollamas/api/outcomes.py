"""What a client is told of a job: worked out of how it ended on each of its targets.

Owns which error is passed, whose name is in it, and what could not be done everywhere. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gollamas.events import JobEnd, JobKind
from gollamas.wire.message import Fields

WITH_PROGRESS: Final = (JobKind.PULL, JobKind.PUSH, JobKind.CREATE)
BRINGING: Final = (JobKind.PULL, JobKind.CREATE, JobKind.COPY)  # a model is there afterwards
_DOWN: Final[Mapping[JobKind, str]] = {
    JobKind.PULL: "is down and missed the pull",
    JobKind.PUSH: "is down",
    JobKind.CREATE: "is down: the model was not created there",
    JobKind.COPY: "is down and has not copied the model",
    JobKind.DELETE: "is down: whether it has the model is not known",
}
_OWED: Final[Mapping[JobKind, str]] = {
    JobKind.PULL: "is down: the model will be pulled there when it is back",
    JobKind.DELETE: "is down: the model will be deleted there when it is back",
}


class PartOutcome(NamedTuple):
    """How a job ended on one server.

    `status` and `error` are what is told of a failure; `is_said` tells that these are the server's own words,
    and `has_charset` that its Content-Type named one, as Ollama's does for what it refuses to begin.
    """

    server: str
    end: JobEnd
    status: int = 200
    error: str = ""
    is_said: bool = False
    has_charset: bool = False
    is_owed: bool = False


class JobOutcome(NamedTuple):
    """What the client is told. `error` is empty where all is well; `notes` name what was not done."""

    status: int
    error: str
    notes: Sequence[str]
    has_charset: bool = False  # in the words that are passed


def outcome_of(kind: JobKind, outcomes: Sequence[PartOutcome]) -> JobOutcome:
    """Work out what is told of a job that has ended on all of its targets."""
    notes = [note for one in outcomes if (note := note_of(kind, one))]
    failed = [one for one in outcomes if one.end in (JobEnd.FAILED, JobEnd.STOPPED)]
    done = [one for one in outcomes if one.end is JobEnd.DONE]
    if failed:
        first = failed[0]
        has_streamed = kind in WITH_PROGRESS
        is_plain = len(outcomes) == 1 or (has_streamed and not done)
        if is_plain and first.is_said:
            return JobOutcome(first.status, first.error, notes, first.has_charset)
        told = failed[:1] if is_plain else failed
        return JobOutcome(first.status, "; ".join(f"server {one.server}: {one.error}" for one in told), notes)
    if done or any(one.is_owed for one in outcomes):
        return JobOutcome(200, "", notes)
    missing = next((one for one in outcomes if one.end is JobEnd.MISSING), None)
    if missing is not None:
        return JobOutcome(404, missing.error, notes)
    text = "; ".join(f"{one.server}: {one.error}" for one in outcomes)
    return JobOutcome(503, f"no server can be reached ({text})", notes)


def note_of(kind: JobKind, outcome: PartOutcome) -> str:
    """Say what was not done on a server though the job is no failure; empty where there is nothing to say."""
    if outcome.end is JobEnd.DOWN:
        return f"{outcome.server} {(_OWED if outcome.is_owed else _DOWN)[kind]}"
    if outcome.end is JobEnd.MISSING and kind is JobKind.COPY:
        return f"{outcome.server} does not have the model"
    return ""


def not_exposed(model: str, servers: Iterable[str]) -> str:
    """Say that clients can't use a model that is there."""
    return (
        f"'{model}' is on {', '.join(servers)}, but clients can't use it: it is not configured; "
        "add it to `models`, or set `expose: installed`"
    )


def warning_fields(notes: Iterable[str]) -> Fields:
    """Write what was not done as fields (RFC 7234, section 5.5)."""
    return [(b"Warning", b'199 gollamas "%b"' % _quotable(note)) for note in notes]


def _quotable(text: str) -> bytes:
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", errors="replace")
