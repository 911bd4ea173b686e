"""Pulls and deletes models because an operator says so: on one server, or on all that the model goes to.

Owns which servers are meant, and what is told of each. The jobs are as those of clients: shared, in turn,
seen in the state and the log, owed to a server that is down. A pull ends with whoever asked for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from gollamas import names
from gollamas.api.by_hand import change_by_hand
from gollamas.api.manage import Change
from gollamas.api.outcomes import PartOutcome, note_of
from gollamas.background.fanout import Jobs
from gollamas.background.part import Part
from gollamas.config.model import Config
from gollamas.errors import BadRequest, ServerNotFound
from gollamas.events import JobCause, JobEnd, JobKind
from gollamas.fleet.view import View
from gollamas.observe.by_hand import ByHand, OnServer, Wanted
from gollamas.observe.safe import cut


class HandJobs:
    """What an operator has pulled and deleted on the servers of a view.

    In: `config` gives the configuration that holds now.
    """

    def __init__(self, view: View, jobs: Jobs, config: Callable[[], Config]) -> None:
        self._view = view
        self._jobs = jobs
        self._config = config

    async def pull(self, wanted: Wanted) -> ByHand:
        """Have a model pulled, and wait until that has ended; raises ProxyError for what can't be begun."""
        return await self._change(JobKind.PULL, wanted)

    async def delete(self, wanted: Wanted) -> ByHand:
        """Have a model deleted; raises ProxyError for what can't be begun."""
        return await self._change(JobKind.DELETE, wanted)

    async def _change(self, kind: JobKind, wanted: Wanted) -> ByHand:
        if names.parse(wanted.model) is None:
            raise BadRequest(f"'{cut(wanted.model)}' is no name of a model")
        change = change_by_hand(self._config(), kind, wanted.model)
        if wanted.server is not None:
            change = self._on_one(change, wanted.server)
        watcher = await self._jobs.begin(change, JobCause.HAND)
        before = {part.server.id: _own_name(part, change) for part in watcher.parts}
        try:
            await watcher.turn()
            await watcher.ended()
            return ByHand(servers=_told(change, watcher.parts, before))
        finally:
            watcher.leave()

    def _on_one(self, change: Change, server_id: str) -> Change:
        """Limit a change to one server: one of the model's, or for a delete one that has it all the same."""
        server = self._view.servers.get(server_id)
        if server is None:
            known = ", ".join(self._view.servers)
            raise ServerNotFound(f"no server '{cut(server_id)}' is configured; there are {known}")
        is_left_there = change.kind is JobKind.DELETE and change.key in server.installed
        if server_id not in change.servers and not is_left_there:
            its = ", ".join(change.servers)
            raise BadRequest(f"model '{change.name}' does not run on server '{server_id}'; it does on {its}")
        return replace(change, servers=(server_id,))


def _told(change: Change, parts: Iterable[Part], before: Mapping[str, str | None]) -> list[OnServer]:
    """Tell what became of it on each server; a shared pull may go to more than are meant.

    `before` are the names that servers had for the model.
    """
    ended = [(part, part.outcome) for part in parts if part.outcome and part.server.id in change.servers]
    is_done = any(outcome.end is JobEnd.DONE for _, outcome in ended)
    return [
        OnServer(
            server=part.server.id,
            model=_own_name(part, change) or before[part.server.id] or change.model,
            end=outcome.end,
            took_s=part.took_s,
            error=_error(change.kind, outcome, is_done=is_done),
        )
        for part, outcome in ended
    ]


def _own_name(part: Part, change: Change) -> str | None:
    entry = part.server.installed.get(change.key)
    return None if entry is None else entry.name


def _error(kind: JobKind, outcome: PartOutcome, *, is_done: bool) -> str | None:
    """Say why a server is not as it was wanted; one that had nothing to delete is, where another one had."""
    if outcome.end is JobEnd.DONE or (outcome.end is JobEnd.MISSING and is_done):
        return None
    if outcome.end is JobEnd.DOWN:
        return f"server {note_of(kind, outcome)}"
    return outcome.error
