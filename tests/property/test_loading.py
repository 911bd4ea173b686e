"""Loads in any interleaving with requests, leavings, answers, failures and listings.

`Doing` does what the tasks of `background/loads` do, one step at a time: which is next is drawn.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Final

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from gollamas.errors import LoadFailed, ProxyError, ShuttingDown
from gollamas.events import LoadCause
from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.instance import Instance
from gollamas.fleet.instances import Memory
from gollamas.fleet.loading import Loading, ModelLoad, Waiter
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from tests.unit.fleet.fleets import key_of

SERVERS: Final = ("a", "b")
# By name: what it has under it, and what that runs. A copy, two models made from it, another model.
MODELS: Final = {
    "m": ("1", "w"),
    "copy": ("1", "w"),
    "derived": ("2", "w"),
    "made": ("3", "w"),
    "x": ("4", "v"),
}
USUAL: Final = ("m", "m", "derived", "m", "copy", "derived", "made", "x")  # most are over the same weights
WEIGHTS: Final = dict(MODELS.values())
OPTIONS: Final = (PLAIN, *(RunnerOptions((size, *PLAIN.values[1:])) for size in (1024, 2048)))


def listing(name: str, context: int = 4096) -> Entry:
    """Make an entry of a server's list."""
    digest, _ = MODELS[name]
    json = f'{{"name":"{name}","digest":"{digest}","context_length":{context}}}'
    return Entry(name, key_of(name), digest, json.encode(), 0)


def place(number: int) -> tuple[str, str]:
    """Give the server and the model that a number stands for."""
    return SERVERS[number % 4 == 0], USUAL[number // 4 % len(USUAL)]


class Phase(Enum):
    """How far the task of a load is."""

    LEARNS = "it asks what the model is"
    WAITS = "it is not its turn"
    MAY_GO = "its turn has come"
    RUNS = "the server was asked"
    IS_OVER = "it is known how it ended"


class Task:
    """One load's task, and what has become of it."""

    def __init__(self, load: ModelLoad) -> None:
        self.load = load
        self.phase = Phase.LEARNS
        self.took: float | None = None  # None: it never went out
        self.is_given_up = False  # since nobody wanted it when its turn came
        self.is_cancelled = False
        self.error: ProxyError | None = ShuttingDown("going")

    def may_go(self) -> None:
        """Hear that its turn has come."""
        if self.phase is Phase.WAITS:
            self.phase = Phase.MAY_GO


class Request:
    """One request: what it waits for, and what became of that."""

    def __init__(self, server: str, name: str, options: RunnerOptions) -> None:
        self.server = server
        self.key = key_of(name)
        self.options = options
        self.waiter: Waiter | None = None
        self.load: ModelLoad | None = None
        self.rings = 0
        self.has_left = self.is_released = False
        self.seen: Instance | None = None  # when it was sent

    def ring(self) -> None:
        """Hear that the load has ended."""
        self.rings += 1


class Doing:
    """All loads and requests of two servers. `is_told` says whether every `/api/show` is answered."""

    def __init__(self, *, is_told: bool) -> None:
        self.is_told = is_told
        self.loading = Loading()
        self.memories = {server: Memory() for server in SERVERS}
        self.tasks: list[Task] = []
        self.requests: list[Request] = []
        self.sent: list[Request] = []
        self.asked: list[tuple[str, int]] = []  # lists that are not answered yet, the server's changes then
        self.wanted: dict[tuple[str, str], set[RunnerOptions]] = {}  # by server and digest
        self.ended: dict[tuple[str, str], int] = {}  # by server and digest, the server's changes by then
        self.is_draining = False
        for server in SERVERS:
            self.has_on_disk(server, list(MODELS))

    def has_on_disk(self, server: str, some: Sequence[str]) -> None:
        """Have a server say which models it has."""
        self.memories[server].installed({key_of(name): listing(name) for name in some})

    # -- requests ----------------------------------------------------------------------------------

    def come(self, server: str, name: str, options: RunnerOptions) -> None:
        """Have a request come, as `Attempts` and `Loads.load` treat it."""
        request, memory = Request(server, name, options), self.memories[server]
        digest = memory.digest_of(request.key)
        if digest is None:
            return  # not there: it is sent, and its answer says so
        self.wanted.setdefault((server, digest), set()).add(options)
        instance = memory.by_key.get(request.key)
        if instance is not None and instance.takes(options):
            self.send(request)
            return
        load = self.loading.find(server, digest, options)
        if load is None:
            load = ModelLoad(server, request.key, name, digest, options, LoadCause.COLD)
            self.loading.want(load)
            memory.wanted(digest, request.key)
            self.tasks.append(Task(load))
        request.load = load
        request.waiter = self.loading.wait(load, str(len(self.requests)))
        request.waiter.ring = request.ring
        self.requests.append(request)

    def send(self, request: Request) -> None:
        """Have a request sent."""
        request.seen = self.memories[request.server].by_key.get(request.key)
        self.sent.append(request)

    def go_on(self, request: Request) -> None:
        """Have a request go on that was rung, as a request's task does."""
        waiter = request.waiter
        assert waiter is not None
        assert waiter.has_ended
        if waiter.error is None:
            self.send(request)
        self.release(request)

    def leave(self, request: Request) -> None:
        """Have a request's client leave."""
        request.has_left = request.rings == 0
        self.release(request)

    def release(self, request: Request) -> None:
        assert request.waiter is not None
        request.is_released = True
        load = self.loading.release(request.waiter)
        assert self.loading.release(request.waiter) is None
        if load is not None and self.is_draining:
            self.cancel(next(task for task in self.tasks if task.load is load))

    # -- the task of a load ------------------------------------------------------------------------

    def step(self, task: Task, how: int) -> None:
        """Have a task go one step further; `how` says what the server answers. WAITS waits."""
        load = task.load
        memory = self.memories[load.server_id]
        match task.phase:
            case Phase.LEARNS:
                if memory.facts_of(load.digest) is None and (self.is_told or how % 3):
                    memory.learned(load.digest, Facts(WEIGHTS[load.digest], only_embeds=False))
                if self.loading.enter(load, memory.weights_of(load.digest)):
                    self.go_out(task)
                else:
                    task.phase, load.start = Phase.WAITS, task.may_go
            case Phase.MAY_GO:
                if load.waiters:
                    self.go_out(task)
                else:
                    self.loading.give_up(load)
                    task.phase, task.is_given_up = Phase.IS_OVER, True
            case Phase.RUNS:
                task.took = (0.01, 1.0, 2.0)[how % 3]
                task.error = LoadFailed(500, "no memory") if how % 4 == 0 else None
                task.phase = Phase.IS_OVER
            case Phase.IS_OVER:
                self.settle(task)
            case _:
                pass

    def go_out(self, task: Task) -> None:
        """Ask the server, now that nothing of these weights is before it."""
        load = task.load
        line = load.line
        assert line is not None
        assert load.is_under_way
        for other in self.tasks:
            if other.phase is Phase.RUNS and other.load.server_id == load.server_id:
                assert other.load.line is not line
                assert other.load.digest != load.digest
                assert not self.is_told or WEIGHTS[other.load.digest] != WEIGHTS[load.digest]
        for request in self.requests:
            before = request.load
            if before is not None and before.line is line and request.waiter is not None:
                # Those who waited for the last one are sent before this one begins.
                is_owed = request.waiter.has_ended and request.waiter.error is None
                assert request.is_released or not is_owed
        task.phase, task.took = Phase.RUNS, 0.5
        self.memories[load.server_id].load_began(load.digest, load.key)

    def settle(self, task: Task) -> None:
        """Write down what became of a load, as the callback of its task does."""
        self.tasks.remove(task)
        load, memory = task.load, self.memories[task.load.server_id]
        if task.took is None:
            memory.not_loaded(load.digest)
        elif task.error is not None:
            memory.load_failed(load.digest)
        else:
            memory.load_ended(load.digest, load.key, load.options, task.took)
            assert load.key not in memory.by_key or memory.by_key[load.key].takes(load.options)
        if task.took is not None:
            self.ended[load.server_id, load.digest] = memory.changes
        # Nobody is told that the proxy stops who did not see it stop.
        assert task.is_cancelled or not load.waiters or not isinstance(task.error, ShuttingDown)
        self.loading.ended(load, task.error)

    def cancel(self, task: Task) -> None:
        """Stop a task: what it has done so far counts."""
        if task.phase is not Phase.IS_OVER:
            task.phase, task.is_cancelled = Phase.IS_OVER, True

    def drain(self) -> None:
        """Begin to stop: loads that nobody waits for end."""
        self.is_draining = True
        for task in self.tasks:
            if not task.load.waiters:
                self.cancel(task)

    # -- what else happens -------------------------------------------------------------------------

    def do(self, what: str, one: int, other: int) -> None:
        """Have one thing happen, to what the numbers point at."""
        waiting = [request for request in self.requests if not request.is_released]
        rung = [request for request in waiting if request.rings]
        match what:
            case "come":
                self.come(*place(one), OPTIONS[other % len(OPTIONS)])
            case "leave" if waiting:
                self.leave(waiting[one % len(waiting)])
            case "go on" if rung:
                self.go_on(rung[one % len(rung)])
            case "step" if self.tasks:
                self.step(self.tasks[one % len(self.tasks)], other)
            case "cancel" if self.tasks:
                self.cancel(self.tasks[one % len(self.tasks)])
            case "drain":
                self.drain()
            case _:
                self.hear(what, one, other)

    def hear(self, what: str, one: int, other: int) -> None:
        """Have a server say something."""
        server, name = place(one)
        memory = self.memories[server]
        some = [name for at, name in enumerate(MODELS) if other >> at & 1]
        match what:
            case "answer" if self.sent:
                request = self.sent.pop(one % len(self.sent))
                options = None if other % 5 == 0 else request.options
                self.memories[request.server].answered(request.seen, request.key, options)
            case "ask":
                self.asked.append((server, memory.changes))
            case "list" if self.asked:
                server, asked = self.asked.pop(one % len(self.asked))
                self.listed(server, [listing(name, 1024 * (1 + other % 3)) for name in some], asked)
            case "unload":
                memory.unloaded(key_of(name))
            case "lose":
                memory.lost()
            case "disk" if not self.is_told:
                self.has_on_disk(server, some)
            case _:
                pass

    def listed(self, server: str, entries: Sequence[Entry], asked: int) -> None:
        """Have a list answered: it says nothing about a load that ended behind the question.

        But for a model that was deleted meanwhile, of which nothing is known any more.
        """
        memory = self.memories[server]
        on_disk = {memory.digest_of(key_of(name)) for name in MODELS}
        known = on_disk if self.is_told else set()
        newer = [at[1] for at, ended in self.ended.items() if at[0] == server and ended > asked]
        newer = [digest for digest in newer if digest in known]
        before = [memory._by_digest.get(digest) for digest in newer]
        memory.listed(entries, asked)
        assert [memory._by_digest.get(digest) for digest in newer] == before

    def finish(self) -> None:
        """Have all go on until nothing is left to be done; it is if this ends."""
        for _ in range(10 * (len(self.tasks) + len(self.requests)) + 10):
            for task in tuple(self.tasks):
                self.step(task, 1)
                self.check()
            for request in self.requests:
                if request.rings and not request.is_released:
                    self.go_on(request)
                    self.check()
            if not self.tasks and all(request.is_released for request in self.requests):
                return
        raise AssertionError("something waits for ever")

    def check(self) -> None:
        """What holds at any moment."""
        under_way = [task.load for task in self.tasks if not task.is_given_up]
        assert list(self.loading.all()) == under_way
        wanted = Counter((load.server_id, load.digest, load.options.values) for load in under_way)
        assert all(count == 1 for count in wanted.values())
        for request in self.requests:
            assert request.rings <= 1
            assert not (request.has_left and request.rings)
        for server, memory in self.memories.items():
            for key, instance in memory.by_key.items():
                assert instance.digest == memory.digest_of(key)
            for instance in memory._by_digest.values():
                self.check_options(server, instance)

    def check_options(self, server: str, instance: Instance) -> None:
        """Nobody is told what was not asked for."""
        if instance.is_loading:
            assert not any(instance.takes(options) for options in OPTIONS)
        elif instance.is_foreign:
            assert instance.same == (PLAIN,)
        else:
            assert instance.options in instance.same
            assert {*instance.same} <= self.wanted[server, instance.digest]


WHAT: Final = (
    *("come", "step") * 4, *("go on",) * 3, "leave", "answer", "ask", "list", "unload", "lose", "disk",
    "cancel",
)  # fmt: skip
# Two loads are under way over the same weights, since the server said of one model too late what it runs.
WEIGHTS_LEARNED_LATE: Final = [
    *[("come", 0, 0)] * 5, ("come", 9, 0), ("come", 1, 0), ("come", 1, 1), ("come", 0, 1), ("come", 0, 8),
    ("come", 25, 0), ("step", 1, 1), ("step", 45, 0), ("step", 59, 0), ("come", 1, 2),
]  # fmt: skip
steps = st.tuples(st.sampled_from(WHAT), st.integers(0, 59), st.integers(0, 59))


@settings(max_examples=250)
@given(st.booleans(), st.lists(steps, min_size=15, max_size=70), st.booleans())
@example(False, WEIGHTS_LEARNED_LATE, False)
def test_no_waiter_is_lost_no_load_asked_for_twice_and_none_wedges(
    is_told: bool, happened: Sequence[tuple[str, int, int]], drains: bool
) -> None:
    doing = Doing(is_told=is_told)
    for what, one, other in happened:
        doing.do(what, one, other)
        doing.check()
    if drains:
        doing.drain()
        doing.check()
    doing.finish()
    for request in doing.requests:
        assert request.rings == (0 if request.has_left else 1)
    assert (doing.loading._wanted, doing.loading._lines) == ({}, {})
    for memory in doing.memories.values():
        assert (memory._suspended, memory._under_way) == ({}, set())
        assert not any(instance.is_loading for instance in memory._by_digest.values())
        event("something is loaded at the end" if memory.by_key else "nothing is")
    # What was ever asked for can be loaded still.
    doing.is_draining = False
    doing.come("a", "x", OPTIONS[1])
    doing.finish()
