"""Answers to requests that change which models servers have: a job, told as one Ollama would.

Owns an answer's beginning and end; what comes between is the job's. A client that does not read holds up
nobody: of what it missed it gets the latest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from gollamas.api import dialects
from gollamas.api.dialects import Dialect
from gollamas.api.manage import Change, Rules, Unqualified, no_source
from gollamas.api.outcomes import WITH_PROGRESS, JobOutcome, warning_fields
from gollamas.api.routes import Route
from gollamas.errors import NoServerLeft
from gollamas.events import End, JobKind, RequestEnded
from gollamas.fleet.routing import Found, Routing, Unknown
from gollamas.fleet.view import View
from gollamas.proxy.turn import Turn
from gollamas.wire.message import Answer, Body

_SUCCESS: Final = b'{"status":"success"}'
# What Ollama says before it finds that a name is none (0.24 to 0.34).
_NOT_PUSHED: Final = ("retrieving manifest", "couldn't retrieve manifest")


class Watching(Protocol):
    """A job as one client sees it."""

    @property
    def outcome(self) -> JobOutcome | None:
        """What the client is told in the end; None until the job has ended and all before it was seen."""

    def lines(self) -> Sequence[bytes]:
        """Give the lines of progress that are due now."""

    async def news(self) -> None:
        """Wait until there may be something to see."""

    async def turn(self) -> None:
        """Wait until a copy or delete has its turn; raises ProxyError where that takes too long."""

    async def ended(self) -> JobOutcome:
        """Wait for the job's end."""

    def leave(self) -> None:
        """Watch no more."""


class _JobLines:
    """A job's progress as the body of an answer: lines as they come, then how it ended."""

    def __init__(self, job: Watching, event: RequestEnded) -> None:
        self._job = job
        self._event = event
        self._piece = b""
        self._is_over = False

    def __aiter__(self) -> "_JobLines":
        return self

    async def begun(self) -> JobOutcome | None:
        """Wait for the first line; where the job ends without one, give its end."""
        while not self._look():
            if (outcome := self._job.outcome) is not None:
                return outcome
            await self._job.news()
        return None

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        while not self._look():
            if (outcome := self._job.outcome) is not None:
                self._is_over = True
                return self._last_line(outcome)
            await self._job.news()
        piece, self._piece = self._piece, b""
        return piece

    def _look(self) -> bool:
        """Whether there is something to send."""
        self._piece = self._piece or b"".join(self._job.lines())
        return bool(self._piece)

    def _last_line(self, outcome: JobOutcome) -> bytes:
        if not outcome.error:
            return _SUCCESS + b"\n"
        self._event.error, self._event.end = outcome.error, End.REFUSED
        return dialects.error_object(Dialect.NATIVE, outcome.status, outcome.error, "") + b"\n"

    async def aclose(self) -> None:
        """Watch no more."""
        self._job.leave()


class JobAnswers:
    """Answers by jobs. In: `begin` has one done; `look_up` asks servers for a name that nobody knew of."""

    def __init__(
        self,
        view: View,
        begin: Callable[[Change], Awaitable[Watching]],
        look_up: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._view = view
        self._begin = begin
        self._look_up = look_up

    async def answer(self, turn: Turn[Route | None], route: Route, body: Body, only: str | None) -> Answer:
        """Answer one request; raises ProxyError for what can't be done, or may not.

        `only` is the id of the server that it is limited to.
        """
        event, snapshot = turn.event, turn.snapshot
        try:
            change = Rules(snapshot.config).read(route, body, only)
        except Unqualified as why:
            event.error = why.text
            return _not_pushed(why)
        event.model, event.model_used = change.name, change.model
        if change.kind is JobKind.COPY:
            await self._check_source(change, snapshot.routing)
        job = await self._begin(change)
        # What has yet to get its turn is withdrawn when its client ends its side. From then on it is as with
        # Ollama, which takes that for leaving, and stops what it would have to wait for.
        turn.client.fin_means_left = True
        try:
            await job.turn()
            turn.client.fin_means_left = change.kind in WITH_PROGRESS
            if turn.client.has_ended and turn.client.fin_means_left:  # it came while the job was begun
                raise asyncio.CancelledError  # noqa: TRY301 - as where it comes later
            if change.streams:
                progress = _JobLines(job, event)
                early = await progress.begun()
                if early is None or not early.error:
                    return Answer(200, [dialects.NDJSON], progress)
                outcome = early
            else:
                outcome = await job.ended()
        except BaseException:
            job.leave()
            raise
        job.leave()
        event.error = outcome.error or None
        return _whole(change, outcome)

    async def _check_source(self, change: Change, routing: Routing) -> None:
        """Whether what is to be copied is a model that is routed."""
        found = routing.find(change.source, self._view)
        if isinstance(found, Unknown) and found.may_look_up:
            await self._look_up(found.key)
            found = routing.find(change.source, self._view)
        if not isinstance(found, Found):
            away = (
                routing.cannot_tell(self._view) if isinstance(found, Unknown) and found.may_look_up else None
            )
            raise away or no_source(change.source_name)


def _whole(change: Change, outcome: JobOutcome) -> Answer:
    """Tell in one body how a job ended; copy and delete have none where all is well."""
    has_progress = change.kind in WITH_PROGRESS
    fields = warning_fields(outcome.notes)
    if not outcome.error:
        if not has_progress:
            return Answer(200, fields)
        return Answer(200, [dialects.JSON_PLAIN, *fields], _SUCCESS)
    if outcome.status == NoServerLeft.status:
        fields.append((b"Retry-After", b"%d" % (NoServerLeft.retry_after or 0)))
    body = dialects.error_object(Dialect.NATIVE, outcome.status, outcome.error, "")
    is_plain = has_progress and not outcome.has_charset
    return Answer(outcome.status, [dialects.JSON_PLAIN if is_plain else dialects.JSON, *fields], body)


def _not_pushed(why: Unqualified) -> Answer:
    """Answer a push of what is no name."""
    error = dialects.error_object(Dialect.NATIVE, 500, why.text, "")
    if not why.streams:
        return Answer(500, [dialects.JSON_PLAIN], error)
    words = [msgspec.json.encode({"status": word}) for word in _NOT_PUSHED]
    return Answer(200, [dialects.NDJSON], b"".join(line + b"\n" for line in (*words, error)))
