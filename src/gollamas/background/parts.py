"""A job's part on one server: what is asked of it, and what has to be done before and after.

Owns the requests. Ollama keeps a loaded model whose name is gone or leads to other weights, with a keep_alive
of -1 for ever, and no name reaches it any more (0.24 to 0.34); so what is deleted or replaced leaves the
memory first, or, where it is only known afterwards whether it was replaced, by another name that was made
before. Each request that changes a server is sent once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gollamas.api.manage import Change, no_source, with_source
from gollamas.api.outcomes import WITH_PROGRESS, PartOutcome
from gollamas.background import needs
from gollamas.background.duty import Duty
from gollamas.background.loads import Loads
from gollamas.background.part import Hears, Part
from gollamas.background.prober import Prober
from gollamas.background.second_names import AskForJobs, JobReply, SecondName, SecondNames
from gollamas.background.slots import Slots
from gollamas.background.touches import Touches
from gollamas.background.variants import VariantMaker
from gollamas.errors import ProxyError, ServerRefused
from gollamas.events import JobEnd, JobKind
from gollamas.fleet.entries import Entry
from gollamas.fleet.judging import PS, TAGS
from gollamas.fleet.load_requests import failure, is_well
from gollamas.fleet.server_view import ServerView

_LOOK: Final = 1.0  # seconds that the end of an answer waits for what is known to be up to date
_SUCCESS: Final = "success"


class OtherDuties(NamedTuple):
    """The other duties that a part needs."""

    loads: Loads
    touches: Touches
    variants: VariantMaker
    prober: Prober


class _Reported(msgspec.Struct):
    """What counts in a line of progress."""

    status: str = ""
    error: str | None = None


class Parts:
    """Does the parts of jobs on the servers of a view.

    In: `slots` say how many pulls and creates go on at a time.
    """

    def __init__(self, duty: Duty, others: OtherDuties, ask: AskForJobs, slots: Slots) -> None:
        self._view = duty.view
        self._ask = ask
        self._loads, self._touches, self._variants, self._prober = others
        self._second_names = SecondNames(self._loads, self._variants, self._prober, ask, duty.emit)
        self._slots = slots

    async def first_list(self, server: ServerView) -> None:
        """Wait for a server's first list, if it has not said what it has."""
        if not server.has_listed:
            await self._prober.first_list(server.id)

    async def check(self, change: Change, servers: Sequence[ServerView]) -> None:
        """Raise ProxyError for what a create needs and a server lacks, before anything is changed."""
        if change.source_key:
            await asyncio.gather(*(self._look(server, TAGS) for server in servers))
        await needs.check(change, servers, self._view, self._ask)

    async def do(self, change: Change, part: Part, hears: Hears) -> None:
        """Do a job on one server, and all that belongs to it."""
        match change.kind:
            case JobKind.PULL:
                await self._pull(change, part, hears)
            case JobKind.PUSH:
                hears.ended(part, await self._send(change, part, hears))
            case JobKind.CREATE:
                await self._create(change, part, hears)
            case JobKind.COPY:
                await self._copy(change, part, hears)
            case JobKind.DELETE:
                await self._delete(change, part, hears)

    # -- each kind -----------------------------------------------------------------------------------

    async def _pull(self, change: Change, part: Part, hears: Hears) -> None:
        server, key = part.server, change.key
        await self._look(server, TAGS)
        old, second = server.installed.get(key), None
        has_slot = await part.unless_stopped(self._slots.acquire)
        try:
            if has_slot and old is not None:
                second = await self._second_names.find(server, old)
            outcome = await self._send(change, part, hears)
        finally:
            if has_slot:
                self._slots.release()
        await _tell_after(self._tidy(server, old, second), lambda: hears.ended(part, outcome))

    async def pull_missing(self, change: Change, part: Part, hears: Hears) -> None:
        """Pull a model that a server lacks, and do nothing where it has it by now; its slot is taken."""
        server = part.server
        await part.unless_stopped(lambda: self._look(server, TAGS))
        if change.key in server.installed:
            hears.ended(part, PartOutcome(server.id, JobEnd.DONE))
            return
        outcome = await self._send(change, part, hears)
        if outcome is part.stopped:  # a client waits for this
            hears.ended(part, outcome)
        else:
            await _tell_after(self._look(server, TAGS, PS), lambda: hears.ended(part, outcome))

    async def _create(self, change: Change, part: Part, hears: Hears) -> None:
        """Unload what is replaced before; what is loaded meanwhile, since it may take long, behind it."""
        server, key = part.server, change.key
        await self._look(server, TAGS, PS)
        source, old, second = server.installed.get(change.source_key), server.installed.get(key), None
        if source is not None:
            change = with_source(change, source.name)
        has_slot = await part.unless_stopped(self._slots.acquire)
        try:
            why = ""
            if has_slot and old is not None:
                async with self._loads.held_up(server, key):
                    why = await self._unload(server, key)
                second = None if why else await self._second_names.find(server, old)
            outcome = _not_unloaded(part, why) if why else await self._send(change, part, hears)
        finally:
            if has_slot:
                self._slots.release()
        await _tell_after(self._tidy(server, old, second), lambda: hears.ended(part, outcome))

    async def _copy(self, change: Change, part: Part, hears: Hears) -> None:
        server, key = part.server, change.key
        await self._look(server, TAGS, PS)
        source, old = server.installed.get(change.source_key), server.installed.get(key)
        if source is None:
            hears.ended(part, _missing(change, part))
            return
        if old is None or old.digest == source.digest:
            outcome = await self._send(change, part, hears)
        else:
            outcome = await self._send_unloaded(change, part, hears)
        await _tell_after(self._look(server, TAGS, PS), lambda: hears.ended(part, outcome))

    async def _delete(self, change: Change, part: Part, hears: Hears) -> None:
        server = part.server
        await self._look(server, TAGS, PS)
        outcome = await self._send_unloaded(change, part, hears)
        is_gone = outcome.end in (JobEnd.DONE, JobEnd.MISSING)
        await _tell_after(
            self._remove_variants(server, change.key, is_gone=is_gone), lambda: hears.ended(part, outcome)
        )

    # -- before and after ----------------------------------------------------------------------------

    async def _look(self, server: ServerView, *paths: str) -> None:
        await asyncio.gather(*(self._prober.look_anew(server.id, path) for path in paths))

    async def _send_unloaded(self, change: Change, part: Part, hears: Hears) -> PartOutcome:
        """Send what takes a model's name away, once the model has left the memory; no load comes between."""
        async with self._loads.held_up(part.server, change.key):
            why = "" if part.stopped is not None else await self._unload(part.server, change.key)
            return _not_unloaded(part, why) if why else await self._send(change, part, hears)

    async def _unload(self, server: ServerView, key: str) -> str:
        """Have a model leave the memory that is there by this name; says why it did not."""
        if key not in server.installed or not _is_loaded(server, key):
            return ""
        return await self._touches.leave(server, key)

    async def _remove_variants(self, server: ServerView, key: str, *, is_gone: bool) -> None:
        """Remove what was made of a model that is gone."""
        if is_gone:
            await self._variants.remove_of(server, key)
        await self._look(server, TAGS, PS)

    async def _tidy(self, server: ServerView, old: Entry | None, second: SecondName | None) -> None:
        """Unload what a pull or create has replaced, and look at the result."""
        if old is not None and second is not None:
            await self._second_names.use(server, old, second)
        await self._look(server, TAGS, PS)

    # -- the request itself --------------------------------------------------------------------------

    async def _send(self, change: Change, part: Part, hears: Hears) -> PartOutcome:
        """Send what was asked for; says how that ended."""
        server, said = part.server, _Reported()

        def heard(line: bytes) -> None:
            found = _read(line)
            if found is None:
                return
            if found.error is not None:
                said.error = found.error
            elif found.status == _SUCCESS:
                said.status = _SUCCESS
            else:
                hears.progress(part, line)

        try:
            part.is_asking = True
            reply = await part.unless_stopped(
                lambda: self._ask.once(server.server, change.method, change.path, change.body, heard)
            )
        except ServerRefused as why:
            self._view.connect_failed(server.id, why.text, asyncio.get_running_loop().time())
            return PartOutcome(server.id, JobEnd.DOWN, 502, why.text)
        except ProxyError as why:
            return PartOutcome(server.id, JobEnd.FAILED, why.status, why.text)
        finally:
            part.is_asking = False
        if reply is None:
            return part.stopped or PartOutcome(server.id, JobEnd.STOPPED, 503, "it was stopped")
        if reply.status == 200 and reply.body:
            heard(reply.body)
        return _outcome(change, part, reply, said)


def _outcome(change: Change, part: Part, reply: JobReply, said: _Reported) -> PartOutcome:
    server_id = part.server.id
    has_lines = change.kind in WITH_PROGRESS
    if reply.status == 404 and not has_lines:
        return _missing(change, part)
    if not is_well(reply):
        error = failure(server_id, reply)
        return PartOutcome(
            server_id,
            JobEnd.FAILED,
            error.status,
            error.text,
            is_said=True,
            has_charset=b"charset" in reply.content_type,
        )
    if said.error is not None:
        return PartOutcome(server_id, JobEnd.FAILED, 500, said.error, is_said=True)
    if has_lines and said.status != _SUCCESS:
        return PartOutcome(server_id, JobEnd.FAILED, 502, "its answer ended without reporting success")
    return PartOutcome(server_id, JobEnd.DONE)


def _not_unloaded(part: Part, why: str) -> PartOutcome:
    text = f"the model could not be unloaded: {why}"
    return PartOutcome(part.server.id, JobEnd.FAILED, 502, text)


def _missing(change: Change, part: Part) -> PartOutcome:
    """Say as Ollama does that the model is not there, by the name that the client used."""
    if change.kind is JobKind.COPY:
        error = no_source(change.source_name).text
    else:
        error = f"model '{change.name}' not found"
    return PartOutcome(part.server.id, JobEnd.MISSING, 404, error, is_said=True)


def _is_loaded(server: ServerView, key: str) -> bool:
    """Whether a model is in memory by this name, or by one that is there no more."""
    if key in server.running:
        return True
    instance = server.instances.get(key)
    if instance is None or instance.is_loading:
        return False
    name = instance.asked_as if instance.entry is None else instance.entry.key
    return name == key or name not in server.installed


def _read(line: bytes) -> _Reported | None:
    try:
        return msgspec.json.decode(line, type=_Reported)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def _tell_after(tidying: Coroutine[Any, Any, None], tell: Callable[[], None]) -> None:
    """Tell how a part ended once all is tidy, a second later at most."""
    task = asyncio.ensure_future(tidying)
    try:
        await asyncio.wait([task], timeout=_LOOK)
        tell()
        await task
    finally:
        task.cancel()
