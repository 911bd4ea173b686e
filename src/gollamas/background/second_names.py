"""Second names for what a model is, made before a pull or create gives its name to other weights.

Owns how one is found or made, what it is used for, and that it is gone in the end. Ollama keeps a loaded
model whose name leads to other weights, with a keep_alive of -1 for ever, and no name reaches it any more
(0.24 to 0.34): by its second name it is unloaded.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from gollamas.background.loads import Loads
from gollamas.background.prober import Asker, Prober
from gollamas.background.variants import VariantMaker
from gollamas.config.model import Server
from gollamas.errors import ProxyError
from gollamas.events import Emit, Warned
from gollamas.fleet.entries import Entry
from gollamas.fleet.judging import PS, TAGS, ProbeReply
from gollamas.fleet.load_requests import (
    COPY,
    DELETE,
    GENERATE,
    copy_body,
    delete_body,
    failure,
    is_well,
    unload_body,
)
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.variants import copy_name_of

_TIMEOUT: Final = 30.0  # seconds for a copy of a name, which takes some milliseconds, and to delete it again


class JobReply(ProbeReply, Protocol):
    """An answer that may be passed on."""

    @property
    def content_type(self) -> bytes:
        """The value of Content-Type; empty where there is none."""


class AskForJobs(Asker, Protocol):
    """Asks servers for jobs, over connections of their own. Raises ProxyError."""

    async def once(
        self, server: Server, method: str, path: str, body: bytes, on_line: Callable[[bytes], None]
    ) -> JobReply:
        """Send what changes a server, give the lines of its answer as they come, and return the rest.

        Raises ServerRefused where nothing was sent.
        """


class SecondName(NamedTuple):
    """Another name for what a model is."""

    name: str
    is_copy: bool  # made for this, else a variant's


class SecondNames:
    """Makes and uses them. In: the duties that are needed for that, and who hears of what went wrong."""

    def __init__(
        self, loads: Loads, variants: VariantMaker, prober: Prober, ask: AskForJobs, emit: Emit
    ) -> None:
        self._loads = loads
        self._variants = variants
        self._prober = prober
        self._ask = ask
        self._emit = emit

    async def find(self, server: ServerView, entry: Entry) -> SecondName | None:
        """Find or make one; None where there can be none."""
        if entry.is_remote:
            return None
        for variant in server.variants.all():
            if variant.is_current and variant.model is not None and variant.model.key == entry.key:
                return SecondName(variant.name, is_copy=False)
        name = copy_name_of(entry.key, entry.digest or entry.key)
        self._variants.hold_copy(server.id, name)
        why = await self._ask_for(server, name, "POST", COPY, copy_body(entry.name, name))
        if why:
            self._variants.release_copy(server.id, name)
            self._emit(
                Warned(
                    f"if {entry.name} is loaded on {server.id}, what the pull replaces stays in memory until "
                    f"it expires: no copy of the name could be made: {why}"
                )
            )
            return None
        return SecondName(name, is_copy=True)

    async def use(self, server: ServerView, old: Entry, second: SecondName) -> None:
        """Unload what a model was, where its name leads elsewhere now, and remove what was made for that."""
        key, shown_at = old.key, server.shown_at
        await asyncio.gather(*(self._prober.look_anew(server.id, path) for path in (TAGS, PS)))
        new = server.installed.get(key)
        # What is shown by the name of a variant of old contents, nobody can tell whose that is.
        is_unsure = not second.is_copy or server.shown_at == shown_at
        try:
            if (new is None or new.digest != old.digest) and (is_unsure or _may_be_left(server, key)):
                async with self._loads.held_up(server, key):
                    why = await self._ask_for(server, second.name, "POST", GENERATE, unload_body(second.name))
                if why:
                    text = f"the old weights of {old.name} could not be unloaded from {server.id}: {why}"
                    self._emit(Warned(text))
            if second.is_copy:
                await self._remove_copy(server, second.name)
        finally:
            self._variants.release_copy(server.id, second.name)

    async def _remove_copy(self, server: ServerView, name: str) -> None:
        why = await self._ask_for(server, name, "DELETE", DELETE, delete_body(name))
        if not why:
            server.variants.removed(name, server.memory.changed())
        else:
            self._emit(
                Warned(
                    f"a hidden copy of a model is left over on {server.id} and can't be removed: {why}; "
                    "`gollamas variants --prune` removes it"
                )
            )

    async def _ask_for(self, server: ServerView, hidden: str, method: str, path: str, body: bytes) -> str:
        """Ask for something of our own, once; says why it was not done, nothing where it was.

        `hidden` is the name that it is about, which is not said.
        """
        try:
            async with asyncio.timeout(_TIMEOUT):
                reply = await self._ask.once(server.server, method, path, body, _unheard)
        except TimeoutError:
            return f"no answer within {_TIMEOUT:g} s"
        except ProxyError as error:
            return error.text
        is_gone = reply.status == 404 and method == "DELETE"
        if is_well(reply) or is_gone:
            return ""
        return failure(server.id, reply).text.replace(hidden, "the hidden name")


def _may_be_left(server: ServerView, key: str) -> bool:
    """Whether what a pull has replaced may be in memory: by this name, or by one that leads nowhere now.

    What another name has loaded over the same weights would leave with it, too.
    """
    return any(entry.key == key or entry.key not in server.installed for entry in server.loaded)


def _unheard(_: bytes) -> None:
    pass
