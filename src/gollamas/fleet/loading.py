"""Which load goes out when: one for all who want the same, those of one model's weights one after another.

Owns the order of loads on each server, and who waits for which. Those who waited for one are sent before the
next of these weights begins, since each load makes the last one's instance leave. Pure: whoever asks it makes
the loads, and says what became of them.
"""

from collections.abc import Callable, Iterator

from gollamas.errors import ProxyError
from gollamas.events import LoadCause, LoadEnd
from gollamas.fleet.runner_options import RunnerOptions


class Waiter:
    """A request that waits for a load. `ring` is called once, when `load` has ended.

    `error` is set by then where it failed. Whoever waited calls `Loading.release` once its request was sent,
    or is not going to be.
    """

    __slots__ = ("error", "has_ended", "id", "load", "ring")

    def __init__(self, load: "ModelLoad", request_id: str) -> None:
        self.load: ModelLoad | None = load
        self.id = request_id
        self.has_ended = False
        self.error: ProxyError | None = None
        self.ring: Callable[[], None] | None = None


class ModelLoad:
    """A model that is to be loaded on a server, with these runner options; `waiters` are those who want it.

    `name` is the server's own name of the model, `digest` what it has under it, `weights` what is known by
    then of what it runs. `embeds` says that a request on a route for embeddings wanted it first. `home` tells
    servers apart: under the same id at another address it is another one. `end` is set once it has ended, and
    `took` then says how many seconds it was under way.
    """

    __slots__ = (
        "asked_at", "cause", "digest", "embeds", "end", "home", "is_under_way", "keep_alive", "key", "line",
        "name", "options", "server_id", "start", "took", "waiters",
    )  # fmt: skip

    def __init__(
        self, server_id: str, key: str, name: str, digest: str, options: RunnerOptions, cause: LoadCause
    ) -> None:
        self.server_id = server_id
        self.home: object = server_id
        self.key = key
        self.name = name
        self.digest = digest
        self.options = options
        self.cause = cause
        self.embeds = False
        self.keep_alive: float | None = None  # seconds that it carries
        self.asked_at = 0.0
        self.is_under_way = False
        self.waiters: list[Waiter] = []
        self.line: _Line | None = None  # None until its weights are known
        self.start: Callable[[], None] | None = None  # called when its turn in the line comes
        self.end: LoadEnd | None = None
        self.took = 0.0


class _Line:
    """The loads of one model's weights on one server; the first has begun, or those who waited for it go.

    `places` are where it is found: by the server and the weights, and by the server and each model in it.
    """

    __slots__ = ("going", "loads", "places")

    def __init__(self) -> None:
        self.places: set[tuple[object, str]] = set()
        self.loads: list[ModelLoad] = []
        self.going: list[Waiter] = []  # their load has ended, their requests are not sent yet


class Loading:
    """All loads that are wanted, on all servers."""

    def __init__(self) -> None:
        self._wanted: dict[tuple[object, str, object], ModelLoad] = {}
        self._lines: dict[tuple[object, str], _Line] = {}  # by server, and weights or digest

    def find(self, home: object, digest: str, options: RunnerOptions) -> ModelLoad | None:
        """The load that is wanted already."""
        return self._wanted.get((home, digest, options.values))

    def want(self, load: ModelLoad) -> None:
        """Take a load that nobody wanted yet; it goes on with `enter` once its weights are known."""
        self._wanted[load.home, load.digest, load.options.values] = load

    def give_up(self, load: ModelLoad) -> None:
        """Have nobody find a load that is not going to go out; `ended` follows."""
        del self._wanted[load.home, load.digest, load.options.values]

    def wait(self, load: ModelLoad, request_id: str) -> Waiter:
        """Have a request wait for a load."""
        waiter = Waiter(load, request_id)
        load.waiters.append(waiter)
        return waiter

    def enter(self, load: ModelLoad, weights: str) -> bool:
        """Put a load in the line of its weights; whether it begins at once, else `load.start` is called."""
        places = (load.home, load.digest), (load.home, weights)
        # First by the model itself: its other loads may have begun before its weights were known.
        line = load.line = self._lines.get(places[0]) or self._lines.get(places[1]) or _Line()
        for place in places:
            if self._lines.setdefault(place, line) is line:
                line.places.add(place)
        line.loads.append(load)
        load.is_under_way = line.loads[0] is load and not line.going
        return load.is_under_way

    def ended(self, load: ModelLoad, error: ProxyError | None) -> None:
        """Note that a load has ended, for all who wait."""
        wanted = load.home, load.digest, load.options.values
        if self._wanted.get(wanted) is load:
            del self._wanted[wanted]
        line, load.is_under_way = load.line, False
        waiters, load.waiters = load.waiters, []
        for waiter in waiters:
            waiter.has_ended, waiter.error = True, error
        if line is not None:
            line.loads.remove(load)
            if error is None:
                line.going += waiters
        for waiter in waiters:
            if waiter.ring is not None:
                waiter.ring()
        self._go_on(load)

    def release(self, waiter: Waiter) -> ModelLoad | None:
        """Note that a waiter's request was sent, or that it waits no more; once however often it is called.

        Returns the load where nobody waits for it any more.
        """
        load, waiter.load = waiter.load, None
        if load is None:
            return None
        if not waiter.has_ended:
            load.waiters.remove(waiter)
            return None if load.waiters else load
        line = load.line
        if line is not None and waiter in line.going:
            line.going.remove(waiter)
            self._go_on(load)
        return None

    def all(self) -> Iterator[ModelLoad]:
        """Give the loads that have not ended, in the order in which they were asked for."""
        yield from self._wanted.values()

    def _go_on(self, load: ModelLoad) -> None:
        """Let the next load of these weights begin, once all who waited for the last one were sent."""
        line = load.line
        if line is None or line.going:
            return
        if not line.loads:
            for place in line.places:
                del self._lines[place]
            line.places.clear()
            return
        following = line.loads[0]
        if not following.is_under_way:
            following.is_under_way = True
            if following.start is not None:
                following.start()
