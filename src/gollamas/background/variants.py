"""Makes variants of models on servers, for all who need one, and removes those that nobody can need any more.

Hidden copies are made by whoever pulls, and only removed here when an operator asks for it.

Owns the requests; names, and which are left over, are `fleet/variants`. By itself it removes only what was
made of a model that is gone, or of contents that the model has no more, once their successor is there: other
proxies may use the rest.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gollamas import names
from gollamas.background.duty import Duty
from gollamas.background.prober import ASK_TIMEOUT
from gollamas.config.model import Server
from gollamas.errors import LoadFailed, ProxyError, ServerBroke, ServerRefused, ServerTooSlow, ShuttingDown
from gollamas.events import Crashed, VariantMade, VariantRefused, VariantRemoved, Warned
from gollamas.fleet import judging
from gollamas.fleet.admit import Lease
from gollamas.fleet.entries import Entry, numbers
from gollamas.fleet.judging import TAGS, NotOllama
from gollamas.fleet.load_requests import CREATE, DELETE, create_body, delete_body, failure, is_well
from gollamas.fleet.policy import Policies
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.variants import HiddenCopy, Variant, name_of
from gollamas.observe.variants import Pruned, VariantFailure, VariantState

_CREATE_TIMEOUT: Final = 30.0  # seconds; it takes some milliseconds, no weights are copied
_DELETE_TIMEOUT: Final = 30.0
_PAUSE: Final = 60.0  # seconds until what failed is tried again


class _Making:
    """A variant that is being made. `error` is set where its server could not be asked."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.error: ProxyError | None = ShuttingDown("gollamas is shutting down: try again")


class HeldVariant(NamedTuple):
    """A variant or a hidden copy, the server that has it, and whether a policy or a pull needs it."""

    server_id: str
    variant: Variant | HiddenCopy
    is_needed: bool


class VariantMaker:
    """Makes and removes variants on the servers of a view.

    In: `changed` has what a server has installed looked at anew; `policies` gives those that hold now.
    """

    def __init__(
        self, duty: Duty, *, changed: Callable[[str, str], None], policies: Callable[[], Policies]
    ) -> None:
        self._view, self._ask, self._tasks, self._emit = duty
        self._changed = changed
        self._policies = policies
        self._making: dict[tuple[Server, str, int], _Making] = {}
        self._removing: set[tuple[Server, str]] = set()
        self._failed_at: dict[tuple[Server, str], float] = {}
        self._copies_in_use: set[tuple[str, str]] = set()  # by server and key
        self._ask_again_at: dict[tuple[Server, str], float] = {}  # by server and digest

    # -- what requests call --------------------------------------------------------------------------

    async def make(self, lease: Lease, num_ctx: int) -> ProxyError | None:
        """Have the variant made that a request needs; returns why its server could not be asked for it.

        All who need one wait for the same task, which no client's leaving can end. Where it is not there then
        the server has refused it.
        """
        server = lease.held
        if server is None or self._view.servers.get(lease.server) is not server:
            return None  # the request finds out by itself
        place = server.server, lease.key, num_ctx
        making = self._making.get(place)
        if making is None:
            making = self._making[place] = _Making()
            run = self._make(server, lease.key, num_ctx, making)
            making.task = self._tasks.create_task(run, name=f"create {server.id} {lease.key} {num_ctx}")
            making.task.add_done_callback(lambda _: self._making.pop(place, None))
        if making.task is not None:
            await asyncio.wait([making.task])
        return making.error

    # -- what jobs call ------------------------------------------------------------------------------

    def hold_copy(self, server_id: str, name: str) -> None:
        """Note that a pull needs a hidden copy, from before it is made on."""
        self._copies_in_use.add(_place(server_id, name))

    def release_copy(self, server_id: str, name: str) -> None:
        """Note that no pull needs it any more: if it is still there, it was left."""
        self._copies_in_use.discard(_place(server_id, name))

    async def remove_of(self, server: ServerView, key: str) -> list[str]:
        """Remove all variants of a model that was deleted on a server; why some could not be removed."""
        failed: list[str] = []
        for variant in server.variants.of(key):
            place = server.server, variant.name
            if place in self._removing:
                continue  # a list that lacks the model came first
            self._removing.add(place)
            try:
                why = await self._remove(server, variant, "its model was deleted")
            finally:
                self._removing.discard(place)
            if why is not None:
                failed.append(f"its variant with num_ctx {variant.num_ctx} can't be removed: {why}")
        return failed

    # -- what the application calls ------------------------------------------------------------------

    def listed(self, server_id: str) -> None:
        """Remove what is left over on a server, now that it has said what it has."""
        server = self._view.servers.get(server_id)
        if server is None:
            return
        for place, at in tuple(self._ask_again_at.items()):
            if place[0] == server.server and _now() >= at:
                del self._ask_again_at[place]
                server.variants.may_ask_again(place[1])
        left_over = server.variants.left_over()
        gone = {variant.name for variant in left_over}
        self._failed_at = {
            place: at
            for place, at in self._failed_at.items()
            if place[0] != server.server or place[1] in gone
        }
        for variant in left_over:
            place = server.server, variant.name
            failed_at = self._failed_at.get(place)
            if place in self._removing or (failed_at is not None and _now() - failed_at < _PAUSE):
                continue
            why = "its model is gone" if variant.model is None else "its model has other contents"
            self._removing.add(place)
            run = self._remove_in_background(server, variant, why)
            self._tasks.create_task(run, name=f"delete a variant {server.id} {variant.num_ctx}")

    def all(self) -> Sequence[HeldVariant]:
        """Give the variants and hidden copies of all servers, as they were listed last."""
        held: list[HeldVariant] = []
        for server in self._view.servers.values():
            there: list[Variant | HiddenCopy] = [*server.variants.all(), *server.variants.copies()]
            held += [HeldVariant(server.id, one, self._is_needed(server, one)) for one in there]
        return held

    def states(self) -> list[VariantState]:
        """Give them for the admin port."""
        return [_state(held) for held in self.all()]

    async def prune(self) -> Pruned:
        """Remove those that no policy and no pull needs, whether whoever asked for it waits or not."""
        removed: list[VariantState] = []
        failed: list[VariantFailure] = []
        run = self._prune(removed, failed)
        await asyncio.wait([self._tasks.create_task(run, name="delete variants that no policy needs")])
        return Pruned(removed=removed, failed=failed)

    async def _prune(self, removed: list[VariantState], failed: list[VariantFailure]) -> None:
        for held in self.all():
            server = self._view.servers.get(held.server_id)
            if server is None or self._is_needed(server, held.variant):  # now: a pull may have begun
                continue
            needs = "pull" if held.variant.num_ctx is None else "policy"
            why = await self._remove(server, held.variant, f"no {needs} needs it")
            if why is None:
                removed.append(_state(held))
            else:
                failed.append(VariantFailure(variant=_state(held), why=why))

    # ------------------------------------------------------------------------------------------------

    def _is_needed(self, server: ServerView, variant: Variant | HiddenCopy) -> bool:
        if variant.num_ctx is None:
            return _place(server.id, variant.name) in self._copies_in_use
        if variant.model is None or not variant.is_current:
            return False
        policies = self._policies().of(variant.model.key)
        policy = None if policies is None else policies.get(server.id)
        return policy is not None and policy.num_ctx == variant.num_ctx

    async def _make(self, server: ServerView, key: str, num_ctx: int, making: _Making) -> None:
        try:
            await self._look(server)
            entry = server.installed.get(key)
            if entry is not None and server.variants.find(key, num_ctx) is None:
                await self._create(server, entry, num_ctx)
            making.error = None  # what is not there now is not to be had
        except ServerRefused as refused:
            making.error = refused
        except ProxyError as broke:
            model = self._named(server, key)
            making.error = ServerBroke(
                f"server {server.id} did not make {model} ready for num_ctx {num_ctx}: {broke.text}"
            )
        except Exception as defect:  # noqa: BLE001 - whoever waits must hear of it
            self._emit(Crashed(f"making {self._named(server, key)} ready on {server.id}", defect))
            making.error = LoadFailed(500, "internal error: see the log of gollamas")

    async def _look(self, server: ServerView) -> None:
        """Have the server say what it has: of a model that is gone a variant would be pulled."""
        asked = self._view.asking(server.id)
        reply = await self._ask(server.server, "GET", TAGS, timeout=ASK_TIMEOUT)
        try:
            listed = judging.listing_in(server.server, TAGS, reply)
        except NotOllama as why:
            raise ServerBroke(why.text) from why
        if self._view.servers.get(server.id) is server:
            self._view.listed(server.id, listed, asked)

    async def _create(self, server: ServerView, entry: Entry, num_ctx: int) -> None:
        digest = entry.digest or entry.key
        name = name_of(entry.key, digest, num_ctx)
        began_at = _now()
        try:
            body = create_body(name, entry.name, num_ctx)
            reply = await self._ask(server.server, "POST", CREATE, body, timeout=_CREATE_TIMEOUT)
            why = "" if is_well(reply) else failure(server.id, reply).text.replace(name, "the variant")
            may_pass = reply.status >= 500 and reply.status != 501
        except ServerTooSlow as slow:
            why, may_pass = slow.text, True
        if why:
            if may_pass:
                self._ask_again_at[server.server, digest] = _now() + _PAUSE
            self._refuse(server, entry.name, digest, num_ctx, why)
            return
        server.variants.made(name, server.memory.changed())
        self._emit(VariantMade(server.id, entry.name, num_ctx, _now() - began_at))
        self._changed(server.id, TAGS)

    def _named(self, server: ServerView, key: str) -> str:
        entry = server.installed.get(key)
        return key if entry is None else entry.name

    def _refuse(self, server: ServerView, model: str, digest: str, num_ctx: int, why: str) -> None:
        """Note that a server makes none: its requests go to the model itself."""
        is_first = server.variants.refused(digest)
        self._emit(VariantRefused(server.id, model, num_ctx, why))
        if is_first:
            self._emit(
                Warned(
                    f"{server.id} makes no variant of {model} with num_ctx {num_ctx} ({why}): there, "
                    "requests to /v1 run the model itself, with the server's own context"
                )
            )

    async def _remove_in_background(self, server: ServerView, variant: Variant, why: str) -> None:
        place = server.server, variant.name
        try:
            failure_text = await self._remove(server, variant, why)
        finally:
            self._removing.discard(place)
        if failure_text is None:
            self._failed_at.pop(place, None)
            return
        if place not in self._failed_at:
            self._emit(
                Warned(
                    f"a variant with num_ctx {variant.num_ctx} is left over on {server.id} ({why}) and "
                    f"can't be removed: {failure_text}; it keeps weights on the disk, and `gollamas "
                    "variants` names it"
                )
            )
        self._failed_at[place] = _now()

    async def _remove(self, server: ServerView, variant: Variant | HiddenCopy, why: str) -> str | None:
        try:
            body = delete_body(variant.name)
            reply = await self._ask(server.server, "DELETE", DELETE, body, timeout=_DELETE_TIMEOUT)
        except ProxyError as error:
            return error.text
        if not is_well(reply) and reply.status != 404:
            told_as = "the hidden copy" if variant.num_ctx is None else "the variant"
            return failure(server.id, reply).text.replace(variant.name, told_as)
        server.variants.removed(variant.name, server.memory.changed())
        model = None if variant.model is None else variant.model.name
        self._emit(VariantRemoved(server.id, model, variant.num_ctx, why))
        self._changed(server.id, TAGS)
        return None


def _state(held: HeldVariant) -> VariantState:
    variant = held.variant
    size = None if variant.entry is None else numbers(variant.entry, "size")[0]
    return VariantState(
        server=held.server_id,
        model=None if variant.model is None else variant.model.name,
        num_ctx=variant.num_ctx,
        is_needed=held.is_needed,
        is_current=variant.is_current,
        size=size,
        name=variant.name,
    )


def _place(server_id: str, name: str) -> tuple[str, str]:
    return server_id, names.key_of(name) or name


def _now() -> float:
    return asyncio.get_running_loop().time()
