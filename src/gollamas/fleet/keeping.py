"""What keeps models in memory: which load, touch or look is due now, by wishes, view and time.

Owns the order (that of the configuration, one load at a time on a server), who goes first (clients), when
it is tried again, and that models which do not fit together are not fought over. Pure: whoever asks it acts,
and says what became of the loads.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gollamas.config.model import EVERYWHERE
from gollamas.events import Emit, LoadCause, Warned
from gollamas.fleet.choose import choose
from gollamas.fleet.health import TOLD_DOWN
from gollamas.fleet.instance import Instance
from gollamas.fleet.kept import KeptModel, ServerWishes
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View
from gollamas.fleet.wishes import Wish

QUIET: Final = 1.0  # seconds without a request of ours for another model, before a preload
PATIENCE: Final = 60.0  # seconds that a preload waits for that at most
_FIRST_PAUSE: Final = 1.0  # seconds, after a load that failed; doubled after each further one
_LONGEST_PAUSE: Final = 60.0
_OFTEN: Final = 0.1  # seconds between two looks at whether a server is quiet
_LIST_WAIT: Final = 10.0  # seconds for a list of what is loaded; then it goes on without
_CLOSE: Final = 1.0  # seconds: what is to leave so soon may have left
_IN_A_ROW: Final = 2  # loads that push another kept model out, before the two count as not fitting


class KeepLoad(NamedTuple):
    """Load this model on this server; then `Keeping.ended`."""

    server_id: str
    key: str
    cause: LoadCause


class KeepTouch(NamedTuple):
    """Have this instance stay longer: it would leave before the look after next."""

    server_id: str
    key: str


class KeepLook(NamedTuple):
    """Ask this server anew what it has in memory; what it answers is decided upon then."""

    server_id: str


Act = KeepLoad | KeepTouch | KeepLook


class Keeping:
    """All wishes of one configuration. `emit` hears which models do not fit together."""

    def __init__(
        self,
        wishes: Sequence[Wish],
        view: View,
        emit: Emit,
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
    ) -> None:
        self._wishes = wishes
        self._view = view
        self._emit = emit
        self._quiet = quiet
        self._patience = patience
        self._next_at = math.inf
        self._now = -math.inf  # of the last look
        self._assigned_now: dict[str, frozenset[str]] = {}  # by key, as worked out in this look
        self._places: dict[str, ServerWishes] = {}
        self._unfit: dict[tuple[str, frozenset[str]], int] = {}  # how often in a row, by server and pair
        for order, wish in enumerate(wishes):
            for server_id in wish.servers:
                if server_id in wish.preloaded or server_id in wish.pings:
                    place = self._places.setdefault(server_id, ServerWishes())
                    place.kept[wish.key] = KeptModel(wish, server_id, order)

    @property
    def keeps_any(self) -> bool:
        """Whether anything is to be kept."""
        return bool(self._places)

    # -- what the keeper calls -----------------------------------------------------------------------

    def due(self, now: float, unix: float) -> list[Act]:
        """Give what is to be done now, by both clocks; a load is under way until `ended` says otherwise."""
        self._next_at, self._now = math.inf, now
        self._assigned_now.clear()
        acts: list[Act] = []
        for server_id, place in self._places.items():
            server = self._view.servers.get(server_id)
            if server is None or not server.is_up:
                _forget(place)
            elif server.has_listed and self._is_known(place, server, now):
                self._note(place, server, now)
                acts += self._acts(place, server, now, unix)
        return acts

    @property
    def next_at(self) -> float:
        """When to ask again if nothing changes before; infinity for never."""
        return self._next_at

    def ended(self, server_id: str, key: str, *, was_loaded: bool, now: float) -> None:
        """Note that a load has ended."""
        place = self._places[server_id]
        server, kept = self._view.servers.get(server_id), place.kept[key]
        place.loading, kept.was_tried, kept.waits_since = None, True, None
        if was_loaded:
            place.loaded, place.loaded_at = key, now
            place.check_after = 0 if server is None else server.memory.changes
        else:
            _back_off(kept, now)

    def not_tried(self) -> list[str]:
        """Name the models that are to be loaded ahead and were not tried yet where they could be."""
        return [wish.name for wish in self._wishes if wish.instances and not self._is_settled(wish)]

    def unfit(self) -> list[tuple[str, str, str]]:
        """Name the pairs that do not fit together, each behind its server, the earlier model first."""
        names = {wish.key: wish.name for wish in self._wishes}  # in the order of the configuration
        pairs = [(server_id, pair) for (server_id, pair), count in self._unfit.items() if count >= _IN_A_ROW]
        found = []
        for server_id, pair in pairs:
            earlier, later = (name for key, name in names.items() if key in pair)
            found.append((server_id, earlier, later))
        return found

    # -- one server ----------------------------------------------------------------------------------

    def _is_known(self, place: ServerWishes, server: ServerView, now: float) -> bool:
        """Whether a server has said what it has loaded, or has had its time for that."""
        if server.has_shown:
            place.unlisted_since = None
            return True
        if place.unlisted_since is None:
            place.unlisted_since = now
        until = place.unlisted_since + _LIST_WAIT
        if now < until:
            self._again(until)
        return now >= until

    def _note(self, place: ServerWishes, server: ServerView, now: float) -> None:
        """Note what has changed since the last look: requests, what is there, what left for a load."""
        if server.runs != place.runs or server.in_flight:
            place.runs, place.quiet_since = server.runs, now
        for kept in place.kept.values():
            instance = server.instances.get(kept.key)
            if instance is not None:
                kept.waits_since, kept.is_pinged = None, False
                if not instance.is_loading and place.loaded != kept.key:
                    kept.was_tried, kept.failures = True, 0
            elif kept.yields:
                kept.was_gone = True
        if place.loaded is None:
            return
        if server.shown_after >= place.check_after:
            loaded = place.kept[place.loaded]
            if loaded.key in server.instances:
                loaded.failures = 0
            else:
                _back_off(loaded, now)  # it left at once, and would do so again
            self._judge(place, server, loaded)
        elif now < place.loaded_at + _LIST_WAIT:
            self._again(place.loaded_at + _LIST_WAIT)
            return
        place.loaded = None

    def _judge(self, place: ServerWishes, server: ServerView, loaded: KeptModel) -> None:
        """See which kept models had to leave for the last load, and whether that is once too often."""
        memory = server.memory
        gone = [
            key for key in place.before if key not in server.instances and not memory.is_unloaded_by_hand(key)
        ]
        loaded.pushes = loaded.pushes + 1 if gone else 0
        for key in place.before:
            pair = (server.id, frozenset((loaded.key, key)))
            if key not in gone:
                self._unfit.pop(pair, None)
                continue
            self._unfit[pair] = self._unfit.get(pair, 0) + 1
            # Three can push each other out in turn though any two of them fit.
            if self._unfit[pair] >= _IN_A_ROW or loaded.pushes >= _IN_A_ROW:
                self._unfit[pair] = _IN_A_ROW
                for kept in place.kept.values():
                    kept.pushes = 0
                self._yield(place, server, loaded, place.kept[key])
                return

    def _yield(self, place: ServerWishes, server: ServerView, one: KeptModel, other: KeptModel) -> None:
        """Have the later one of two that do not fit together wait for a client."""
        earlier, later = sorted((one, other), key=lambda kept: kept.order)
        later.yields, later.was_gone = True, later.key not in server.instances
        place.yielding.append(later)
        self._emit(
            Warned(
                f"{earlier.wish.name} and {later.wish.name} do not both fit into the memory of {server.id}: "
                f"from now on {later.wish.name} is loaded there only when a client asks for it"
            )
        )

    def _acts(self, place: ServerWishes, server: ServerView, now: float, unix: float) -> Iterator[Act]:
        # Whoever ends what is under way has us asked again.
        may_load = place.loading is None and place.loaded is None and not _is_loading(server)
        for kept in place.kept.values():
            if kept.ping is not None:
                yield from self._ping(kept, kept.ping, place, server, now, unix)
            if may_load and kept.key not in server.instances and self._is_wanted(kept, place, server):
                cause = self._cause(kept, place, server, now)
                if cause is not None:
                    may_load = False
                    place.loading, kept.is_pinged = kept.key, False
                    place.before = tuple(one.key for one in place.kept.values() if _is_there(server, one))
                    yield KeepLoad(server.id, kept.key, cause)

    def _is_wanted(self, kept: KeptModel, place: ServerWishes, server: ServerView) -> bool:
        """Whether the server is to have a model that it has not: nothing speaks against it but the time."""
        if kept.yields or not _may_have(server, kept.key):
            return False
        # Of so many instances as are wanted no ping makes more.
        if not (server.id in self._assigned(kept.wish) if kept.is_preloaded else kept.is_pinged):
            return False
        # A client has the other one loaded: what does not fit beside it waits until it has left.
        return not any(
            other.was_gone and other.key in server.instances and self._is_unfit(server, kept, other)
            for other in place.yielding
        )

    def _cause(
        self, kept: KeptModel, place: ServerWishes, server: ServerView, now: float
    ) -> LoadCause | None:
        """Why a load begins now; None where it has to wait."""
        if now < kept.retry_at:
            self._again(kept.retry_at)
            return None
        is_busy = any(key != kept.key for key in server.in_flight_by_model)
        if kept.is_pinged and not is_busy:
            return LoadCause.PING
        kept.is_pinged = False  # it looks again next time
        if not kept.is_preloaded:
            return None
        if kept.waits_since is None:
            kept.waits_since = now
        is_quiet = not is_busy and now - place.quiet_since >= self._quiet
        if is_quiet or now - kept.waits_since >= self._patience:
            return LoadCause.PRELOAD
        self._again(now + min(_OFTEN, self._quiet / 4))
        return None

    def _ping(
        self, kept: KeptModel, ping: float, place: ServerWishes, server: ServerView, now: float, unix: float
    ) -> Iterator[Act]:
        """Look whether an instance is there, and for how long yet, once its time has come."""
        if now >= kept.look_at:
            if server.shown_at < now - ping / 2:
                if kept.asked_at is None:
                    kept.asked_at = now
                    if place.asked_at < now:  # not for another model
                        place.asked_at = now
                        yield KeepLook(server.id)
                if now < kept.asked_at + ping / 2:
                    self._again(kept.asked_at + ping / 2)
                    return
            kept.look_at, kept.asked_at = now + ping, None
            instance = server.instances.get(kept.key)
            if instance is None:
                kept.is_pinged = True
            elif _leaves_before(instance, unix + (close := min(_CLOSE, ping / 8))):
                kept.look_at = now + close  # it may have left: a touch would be a load
                yield KeepLook(server.id)
            elif not kept.yields and _leaves_before(instance, unix + 2 * ping):
                yield KeepTouch(server.id, kept.key)
        self._again(kept.look_at)

    def _again(self, at: float) -> None:
        self._next_at = min(self._next_at, at)

    # -- where ---------------------------------------------------------------------------------------

    def _assigned(self, wish: Wish) -> frozenset[str]:
        """On which servers a model is to be: all, or as many as are wanted, those first that have it."""
        if wish.instances == EVERYWHERE:
            return wish.preloaded
        known = self._assigned_now.get(wish.key)
        if known is None:
            known = self._assigned_now[wish.key] = self._chosen(wish)
        return known

    def _chosen(self, wish: Wish) -> frozenset[str]:
        candidates = [server for server in wish.servers if server in wish.preloaded]
        found = {one for one in candidates if self._has(one, wish.key)}
        if len(found) >= wish.instances:
            return frozenset(found)
        tried = found | {one for one in candidates if not self._could(one, wish.key)}
        while len(found) < wish.instances:
            choice = choose(self._view, candidates, wish.key, tried)
            if choice is None:
                break
            found.add(choice.server_id)
            tried.add(choice.server_id)
        return frozenset(found)

    def _has(self, server_id: str, key: str) -> bool:
        """Whether a server has a model in memory, or is loading it for us."""
        server = self._view.servers.get(server_id)
        if server is None or not server.is_up:
            return False
        return key in server.instances or self._places[server_id].loading == key

    def _could(self, server_id: str, key: str) -> bool:
        """Whether a server could be asked to load a model: it is not one that failed a moment ago."""
        server, kept = self._view.servers.get(server_id), self._places[server_id].kept[key]
        if server is None or not server.is_up or kept.yields or not _may_have(server, key):
            return False
        if self._now < kept.retry_at:
            self._again(kept.retry_at)
            return False
        return True

    def _is_settled(self, wish: Wish) -> bool:
        """Whether all was tried that can be, for a model that is to be loaded ahead."""
        tried, may_come = 0, False
        for server_id in wish.preloaded:
            server = self._view.servers.get(server_id)
            if self._places[server_id].kept[wish.key].was_tried:
                tried += 1
            elif server is not None and server.health not in TOLD_DOWN:
                may_come = may_come or not server.has_listed or _may_have(server, wish.key)
        return not may_come or 0 < wish.instances <= tried

    def _is_unfit(self, server: ServerView, one: KeptModel, other: KeptModel) -> bool:
        return self._unfit.get((server.id, frozenset((one.key, other.key))), 0) >= _IN_A_ROW


def _forget(place: ServerWishes) -> None:
    """Forget what a server that is down was about: what is there when it returns is another matter."""
    place.loaded = place.unlisted_since = None
    for kept in place.kept.values():
        kept.waits_since = kept.asked_at = None


def _back_off(kept: KeptModel, now: float) -> None:
    """Let a while pass before the next load of a model: longer after each that was in vain."""
    kept.retry_at = now + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(kept.failures, 10))
    kept.failures += 1


def _may_have(server: ServerView, key: str) -> bool:
    """Whether a server has a model on disk that it runs itself, and nobody has unloaded it by hand."""
    entry = server.installed.get(key)
    return entry is not None and not entry.is_remote and not server.memory.is_unloaded_by_hand(key)


def _is_there(server: ServerView, kept: KeptModel) -> bool:
    """Whether a model is there that a load of another may push out, and that would be loaded again."""
    instance = server.instances.get(kept.key)
    return instance is not None and not instance.is_loading and not kept.yields


def _is_loading(server: ServerView) -> bool:
    """Whether a load is under way, or waits for its turn: those that clients wait for go first."""
    return any(instance.is_loading for instance in server.instances.values())


def _leaves_before(instance: Instance, unix: float) -> bool:
    """Whether a server's list says that a model leaves before a time."""
    return instance.entry is not None and instance.entry.time_ns / 1e9 < unix
