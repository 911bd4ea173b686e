"""What we know of all servers at one moment.

Owns the facts (health, version, contents, requests of ours in flight) and says once when they change.
Only duties write it (the prober, admission, a connect that failed); the way of a request reads it. It
refuses to know how a fact is learned, and what is decided from it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from gollamas import names
from gollamas.config.model import Config, Expose, Model, Server
from gollamas.events import (
    DigestsDiffer,
    Emit,
    ModelFound,
    ModelMissing,
    ServerWentDown,
    ServerWentUp,
    Warned,
)
from gollamas.fleet.entries import Entry, numbers
from gollamas.fleet.health import STANDING, TOLD_AS, TOLD_DOWN, Health, Saw, after
from gollamas.fleet.instance import Instance
from gollamas.fleet.instances import Memory
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.server_view import ServerView

NOT_YET: Final = "no answer yet"  # what is wrong with a server whose first probe is out


class View:
    """All servers, in configuration order. `emit` hears of each change once."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.on_failed: Callable[[str], object] = _nothing  # hears of each probe in vain of one that is down
        self.servers: dict[str, ServerView] = {}
        self._models: Mapping[str, Model] = {}
        self._expose = Expose.CONFIGURED
        self._installed_on: dict[str, tuple[str, ...]] = {}
        self._running_on: dict[str, tuple[str, ...]] = {}
        self.contents = 0  # counts the changes of what servers have installed, and of who is to have what
        self._has_said_why_empty = False
        # A model and two digests; a server and two models; a server, a model and its context.
        self._told: set[tuple[str, ...]] = set()

    def apply(self, config: Config) -> tuple[list[Server], list[Server]]:
        """Take another configuration; return the servers to be watched from now on and those no longer.

        A server that stays as it was keeps all that is known of it; one whose address or fields changed
        is a new one and stands in both lists.
        """
        old, self.servers = self.servers, {}
        started: list[Server] = []
        for server in config.servers.values():
            known = old.get(server.id)
            if known is None or known.server != server:
                known = ServerView(server)
                started.append(server)
            self.servers[server.id] = known
        stopped = [known.server for known in old.values() if self.servers.get(known.id) is not known]
        self._models, self._expose = config.models, config.expose
        self._told.clear()
        self.contents += 1
        self._index(self._installed_on, _installed, {*self._installed_on, *_keys(self.servers, _installed)})
        self._index(self._running_on, _running, {*self._running_on, *_keys(self.servers, _running)})
        for held in self.servers.values():
            self._look_for_models(held)
        return started, stopped

    def answered(self, server_id: str, version: str | None, now: float) -> None:
        """Note that a probe was answered with this version, or a request as only Ollama does: with None."""
        server = self.servers.get(server_id)
        if server is None:
            return
        was_up = server.is_up
        if not was_up or version not in (None, server.version):
            server.variants.returned()
        server.version, server.version_at, server.why_down = version or server.version, now, ""
        self._saw(server, Saw.ANSWER, now)
        if not was_up:
            self._emit(ServerWentUp(server_id, server.version or "unknown"))

    def proved(self, server: ServerView, now: float) -> None:
        """Note that a server answered a request as only Ollama does, unless another one has its place now."""
        if self.servers.get(server.id) is server:
            self.answered(server.id, None, now)

    def silent(self, server_id: str, why: str, now: float) -> None:
        """Note that a probe of `/api/version` failed; `why` is for people and holds no secret."""
        self._failed(server_id, why, Saw.SILENCE, now)

    def answered_otherwise(self, server_id: str, why: str, now: float) -> None:
        """Note that a probe was answered, but not as Ollama does."""
        self._failed(server_id, why, Saw.OTHER, now)

    def connect_failed(self, server_id: str, why: str, now: float) -> None:
        """Note that a request could not connect: the server is not used until a probe succeeds."""
        self._failed(server_id, why, Saw.REFUSAL, now)

    def listed(self, server_id: str, entries: Iterable[Entry], asked: int | None = None) -> None:
        """Note that `/api/tags` was answered; `asked` is what `asking` said at the question, None for now."""
        server = self.servers.get(server_id)
        if server is None:
            return
        before, is_first = server.installed, not server.has_listed
        listed = _by_key(entries)
        ours = {key: listed.pop(key) for key in tuple(listed) if names.is_ours(key)}
        server.installed, server.has_listed = listed, True
        server.memory.installed(listed)
        server.variants.listed(ours, listed, server.memory.changes if asked is None else asked)
        changed = before.keys() ^ server.installed.keys()
        self._index(self._installed_on, _installed, changed)
        if changed or is_first:
            self.contents += 1
            self._look_for_models(server)
        for key, entry in server.installed.items():
            known = before.get(key)
            if known is None or known.digests != entry.digests:
                self.contents += 1
                self._compare(server, entry)

    def asking(self, server_id: str) -> int:
        """Note that a list is about to be asked for; what is answered goes to `listed` or `ran` with it."""
        server = self.servers.get(server_id)
        return 0 if server is None else server.memory.changes

    def ran(
        self, server_id: str, entries: Sequence[Entry], asked: int | None = None, now: float | None = None
    ) -> None:
        """Note that `/api/ps` was answered; `asked` is what `asking` said at the question, None for now."""
        server = self.servers.get(server_id)
        if server is None:
            return
        before = server.running
        server.loaded = tuple(_under_models(server, entries))
        server.running = _by_key(server.loaded)
        self._index(self._running_on, _running, before.keys() ^ server.running.keys())
        if asked is None:
            asked = server.memory.changes
        server.has_shown, server.shown_after = True, asked
        server.shown_at = server.shown_at if now is None else now
        for instance in server.memory.listed(server.loaded, asked):
            self._look_at_size(server, instance)

    # -- loads and answers of ours -------------------------------------------------------------------

    def memory_of(self, server_id: str) -> Memory | None:
        """What we know of a server's memory; None where it is not configured any more."""
        server = self.servers.get(server_id)
        return None if server is None else server.memory

    def load_ended(
        self, server_id: str, digest: str, key: str, options: RunnerOptions, seconds: float
    ) -> tuple[bool, Instance | None]:
        """Note that a load was answered; whether the server had nothing to do, else what had to leave."""
        server = self.servers.get(server_id)
        if server is None:
            return False, None
        is_same, pushed_out, replaced = server.memory.load_ended(digest, key, options, seconds)
        for other in pushed_out:
            pair = (server_id, *sorted((self._named(server, key), self._named(server, other))))
            if pair not in self._told:
                self._told.add(pair)
                self._emit(
                    Warned(
                        f"{pair[1]} and {pair[2]} run the same weights and push each other out of the memory "
                        f"of {server_id}: they are asked for, or were made, with unlike options"
                    )
                )
        return is_same, replaced

    def installed_on(self, key: str) -> tuple[str, ...]:
        """Name the servers that said last that they have this model, in configuration order."""
        return self._installed_on.get(key, ())

    def running_on(self, key: str) -> tuple[str, ...]:
        """Name the servers that said last that they have this model loaded."""
        return self._running_on.get(key, ())

    def offered_on(self, key: str) -> tuple[str, ...]:
        """Name the servers that `expose` opens for a model that is not configured."""
        if self._expose is Expose.CONFIGURED:
            return ()
        loaded = self.running_on(key)
        return loaded if self._expose is Expose.RUNNING else self.installed_on(key) or loaded

    def offered(self) -> dict[str, tuple[str, ...]]:
        """Give the models that `expose` opens beside those that are configured, and their servers."""
        if self._expose is Expose.CONFIGURED:
            return {}
        offered = dict(self._running_on)
        if self._expose is Expose.INSTALLED:
            offered.update(self._installed_on)
        return {
            key: servers
            for key, servers in offered.items()
            if key not in self._models and not names.is_cloud(key) and not names.is_ours(key)
        }

    def differing(self) -> list[tuple[str, bool]]:
        """Say of each model that is routed whether its servers have unlike contents under its name."""
        return [(key, self.differing_on(key) is not None) for key in self.routed()]

    def routed(self) -> list[str]:
        """Give the keys of the models that are configured, and of those that servers have under `expose`."""
        is_wide = self._expose is not Expose.CONFIGURED
        return list(dict.fromkeys((*self._models, *self._installed_on) if is_wide else self._models))

    @property
    def troubles(self) -> str:
        """What is wrong with each server, in one text."""
        return "; ".join(map(self.trouble_of, self.servers))

    def trouble_of(self, server_id: str) -> str:
        """Say what is wrong with one server."""
        server = self.servers.get(server_id)
        return f"{server_id}: {(server.why_down if server is not None else '') or NOT_YET}"

    def explain_empty(self) -> None:
        """Say once why a list of models is empty, where no server has been reached yet."""
        servers = self.servers.values()
        if self._has_said_why_empty or any(
            server.version_at is not None or server.has_listed for server in servers
        ):
            return
        self._has_said_why_empty = True
        self._emit(
            Warned(f"a client was given an empty list: no server has been reached yet ({self.troubles})")
        )

    @property
    def any_up(self) -> bool:
        """Whether a request could be answered at all."""
        return any(server.is_up for server in self.servers.values())

    def _failed(self, server_id: str, why: str, saw: Saw, now: float) -> None:
        server = self.servers.get(server_id)
        if server is None:
            return
        was_told = server.health in TOLD_DOWN
        server.why_down = why
        self._saw(server, saw, now)
        if server.health in TOLD_DOWN and not was_told:
            server.memory.lost()
            server.has_shown = False
            self._emit(ServerWentDown(server_id, why))
        if server.health in TOLD_DOWN and saw is not Saw.REFUSAL:
            self.on_failed(server_id)

    def _saw(self, server: ServerView, saw: Saw, now: float) -> None:
        before = server.health
        server.health = after(before, saw)
        if TOLD_AS[server.health] != TOLD_AS[before]:
            server.since = now
        server.standing = STANDING[server.health]
        server.is_well = server.health is Health.UP

    def _index(
        self, index: dict[str, tuple[str, ...]], contents: "_Contents", changed: Iterable[str]
    ) -> None:
        """Bring an index of models up to date for the keys that may have changed."""
        for key in changed:
            holders = tuple(server.id for server in self.servers.values() if key in contents(server))
            if holders:
                index[key] = holders
            else:
                index.pop(key, None)

    def _look_for_models(self, server: ServerView) -> None:
        """Say which configured models a server turned out to lack, and which it has got.

        One that it is not to run any more is neither.
        """
        if not server.has_listed:
            return
        before = server.missing
        models = [model for model in self._models.values() if server.id in model.servers]
        server.missing = frozenset(model.key for model in models if server.lacks(model.key))
        for model in models:
            if model.key in server.missing and model.key not in before:
                self._emit(ModelMissing(model.name, server.id))
            elif model.key in before and model.key not in server.missing:
                self._emit(ModelFound(model.name, server.id))

    def _compare(self, server: ServerView, entry: Entry) -> None:
        """Warn once when another server of the same route has other contents under this name."""
        peers = self._peers(entry.key)
        model = self._models.get(entry.key)
        name = entry.name if model is None else model.name  # as the metrics call it
        for other_id in peers if server.id in peers else ():
            other = self.servers.get(other_id)
            twin = other.installed.get(entry.key) if other is not None else None
            if other is None or other is server or twin is None or not twin.digests.isdisjoint(entry.digests):
                continue
            low, high = sorted((twin.digest, entry.digest))
            if (entry.key, low, high) not in self._told:
                self._told.add((entry.key, low, high))
                self._emit(DigestsDiffer(name, (other.id, server.id)))

    def _look_at_size(self, server: ServerView, instance: Instance) -> None:
        """Warn once of an instance that the graphics card holds in part: it is many times slower."""
        entry = instance.entry
        size, size_vram = (None, None) if entry is None else numbers(entry, "size", "size_vram")
        if entry is None or size is None or size_vram is None or not 0 < size_vram < size:
            return
        told = (server.id, entry.key, "context", str(instance.context))
        if told not in self._told:
            self._told.add(told)
            share = round(100 * (1 - size_vram / size))
            context = "" if instance.context is None else f", with a context of {instance.context}"
            self._emit(
                Warned(
                    f"{entry.name} does not fit into the graphics memory of {server.id}: {share} % of it is "
                    f"on the CPU{context}; a smaller num_ctx may help"
                )
            )

    def _named(self, server: ServerView, key: str) -> str:
        """A model as people know it."""
        model = self._models.get(key)
        entry = server.installed.get(key)
        return model.name if model is not None else key if entry is None else entry.name

    def differing_on(self, key: str) -> tuple[str, str] | None:
        """Name two servers of a model that have no contents in common under its name; None where none do."""
        held: dict[frozenset[str], str] = {}
        for server_id in self._peers(key):
            server = self.servers.get(server_id)
            entry = None if server is None else server.installed.get(key)
            if entry is not None:
                held.setdefault(entry.digests, server_id)
        for (one, first), (other, second) in combinations(held.items(), 2):
            if one.isdisjoint(other):
                return first, second
        return None

    def _peers(self, key: str) -> Sequence[str]:
        model = self._models.get(key)
        if model is not None:
            return model.servers
        return () if self._expose is Expose.CONFIGURED else self.installed_on(key)


def _nothing(_: str) -> None:
    pass


_Contents = Callable[[ServerView], dict[str, Entry]]


def _installed(server: ServerView) -> dict[str, Entry]:
    return server.installed


def _running(server: ServerView) -> dict[str, Entry]:
    return server.running


def _keys(servers: Mapping[str, ServerView], contents: _Contents) -> set[str]:
    return {key for server in servers.values() for key in contents(server)}


def _under_models(server: ServerView, entries: Iterable[Entry]) -> Iterable[Entry]:
    """Give what a server has loaded, each by the name of its model; one that is ours and not known, not."""
    for entry in entries:
        if not names.is_ours(entry.key):
            yield entry
        elif (model := server.variants.model_of(entry.key)) is not None:
            yield entry.of(model)


def _by_key(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by model; of two that have one name, or two spellings of it, the first counts."""
    by_key: dict[str, Entry] = {}
    for entry in entries:
        first = by_key.setdefault(entry.key, entry)
        if first is not entry:
            first.digests |= entry.digests
    return by_key
