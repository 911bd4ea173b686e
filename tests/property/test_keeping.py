"""Models are kept in memory whatever happens to servers: no wish is forgotten, nothing is loaded for ever."""

from dataclasses import replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from gollamas.config.model import EVERYWHERE
from gollamas.events import Event, Warned
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.instances import Memory
from gollamas.fleet.keeping import Keeping, KeepLoad, KeepLook, KeepTouch
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.wishes import wishes_of
from tests.unit.fleet.fleets import config, entry, key_of, view_of

MODELS: Final = ("m", "n", "o", "p")
SERVERS: Final = ("a", "b", "c")
LONG: Final = 150.0  # seconds, in which all that waits comes
STEP: Final = 1.0


class World:
    """Servers that hold so many models each, the oldest leaving for a new one; time passes in steps."""

    def __init__(self, kept: dict[str, int], pings: dict[str, float], room: dict[str, int]) -> None:
        made = config(dict.fromkeys(MODELS, SERVERS))
        levels = {(key_of(name), ""): instances for name, instances in kept.items()}
        made = replace(made, preload=levels, ping={(key_of(name), ""): ping for name, ping in pings.items()})
        self.events: list[Event] = []
        self.view = view_of(made, self.events)
        self.admission = Admission(self.view)
        self.keeping = Keeping(wishes_of(made), self.view, self.events.append)
        self.room = room
        self.memory: dict[str, list[str]] = {server: [] for server in SERVERS}  # the oldest first
        self.loading: dict[str, str] = {}
        self.is_down: dict[str, bool] = dict.fromkeys(SERVERS, False)
        self.hangs: set[str] = set()  # servers that do not answer what they have loaded
        self.fails: set[str] = set()
        self.loads: dict[str, list[str]] = {server: [] for server in SERVERS}
        self.now = 1000.0
        self.leases: list[Lease] = []
        for server in SERVERS:
            self.up(server)

    def up(self, server: str) -> None:
        self.is_down[server] = False
        self.view.answered(server, "0.34.3", self.now)
        self.view.listed(server, [entry(name, _digest(name)) for name in MODELS])
        self.show(server)

    def show(self, server: str) -> None:
        """Have a server say what it has loaded."""
        if not self.is_down[server] and server not in self.hangs:
            shown = [entry(name, _digest(name), _soon(self.now)) for name in self.memory[server]]
            self.view.ran(server, shown, None, self.now)

    def down(self, server: str) -> None:
        self.is_down[server], self.memory[server] = True, []
        self.end(server, was_loaded=False)
        for _ in range(3):
            self.view.connect_failed(server, "gone", self.now)

    def ask(self) -> None:
        """Do what is due."""
        for act in self.keeping.due(self.now, self.now):
            match act:
                case KeepLoad(server_id=server, key=key):
                    assert server not in self.loading, "two loads at once on a server"
                    assert not self.is_down[server]
                    name = next(name for name in MODELS if key_of(name) == key)
                    assert name not in self.memory[server] or server in self.hangs, "it is there"
                    assert not self.memory_of(server).is_unloaded_by_hand(key)
                    self.loading[server] = name
                    self.loads[server].append(name)
                    memory = self.memory_of(server)
                    memory.wanted(_digest(name), key)
                    memory.load_began(_digest(name), key)
                case KeepLook(server_id=server):
                    self.show(server)
                case KeepTouch():
                    pass

    def end(self, server: str, *, was_loaded: bool) -> None:
        """End the load of a server."""
        name = self.loading.pop(server, None)
        if name is None:
            return
        memory = self.memory_of(server)
        if was_loaded and not self.is_down[server]:
            self.put(server, name)
            memory.load_ended(_digest(name), key_of(name), PLAIN, 1.0)
        else:
            memory.load_failed(_digest(name))
        self.keeping.ended(server, key_of(name), was_loaded=was_loaded, now=self.now)
        self.show(server)

    def put(self, server: str, name: str) -> None:
        held = self.memory[server]
        if name in held:
            held.remove(name)
        held.append(name)
        del held[: -self.room[server]]

    def request(self, server: str, name: str) -> None:
        """Have a client of another proxy load a model there, and one of ours begin a request for it."""
        if not self.is_down[server] and server not in self.loading:
            self.memory_of(server).hand_unloads.asked_for(key_of(name))
            self.put(server, name)
            self.show(server)
        lease = self.admission.admit(name, Found(key_of(name), name, (server,)), ())
        if isinstance(lease, Lease):
            self.view.servers[server].runs += 1
            self.leases.append(lease)

    def unload_by_hand(self, server: str, name: str) -> None:
        if self.loading.get(server) != name:  # else it would wait for that
            self.memory_of(server).unloaded_by_hand(key_of(name))
            self.memory_of(server).unloaded(key_of(name))
            self.memory[server] = [other for other in self.memory[server] if other != name]
            self.show(server)

    def memory_of(self, server: str) -> Memory:
        return self.view.servers[server].memory

    def mend(self) -> None:
        """End all that keeps models away, but for what was unloaded by hand."""
        for lease in self.leases:
            self.admission.release(lease)
        self.fails.clear()
        self.hangs.clear()
        for server in SERVERS:
            self.up(server)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            for server in tuple(self.loading):
                self.end(server, was_loaded=self.loading[server] not in self.fails)
            for server in SERVERS:
                self.show(server)
            self.ask()


def _digest(name: str) -> str:
    return name * 64


def _soon(now: float) -> int:
    return int((now + 60) * 1e9)


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.sampled_from(SERVERS), st.sampled_from(MODELS)),
        st.tuples(st.just("release"), st.just(""), st.just("")),
        st.tuples(st.just("down"), st.sampled_from(SERVERS), st.just("")),
        st.tuples(st.just("up"), st.sampled_from(SERVERS), st.just("")),
        st.tuples(st.just("expire"), st.sampled_from(SERVERS), st.sampled_from(MODELS)),
        st.tuples(st.just("fails"), st.just(""), st.sampled_from(MODELS)),
        st.tuples(st.just("hand"), st.sampled_from(SERVERS), st.sampled_from(MODELS)),
        st.tuples(st.just("hangs"), st.sampled_from(SERVERS), st.just("")),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from(["1", "20"])),
    ),
    max_size=16,
)
KEPT: Final = st.dictionaries(st.sampled_from(MODELS), st.sampled_from([EVERYWHERE, 1, 2]))
PINGS: Final = st.dictionaries(st.sampled_from(MODELS), st.sampled_from([4.0, 60.0]))


def _play(world: World, steps: list[tuple[str, str, str]]) -> None:
    for what, server, name in steps:
        match what:
            case "request":
                world.request(server, name)
            case "release" if world.leases:
                world.admission.release(world.leases.pop())
            case "down":
                world.down(server)
            case "up":
                world.up(server)
            case "expire" if name in world.memory[server]:
                world.memory[server].remove(name)
                world.show(server)
            case "fails":
                world.fails ^= {name}
            case "hand":
                world.unload_by_hand(server, name)
            case "hangs":
                world.hangs ^= {server}
                world.show(server)
            case "wait":
                world.pass_time(float(name))
        world.ask()


@given(kept=KEPT, pings=PINGS, steps=STEPS)
@settings(max_examples=40)
def test_where_there_is_room_every_wish_comes_true(
    kept: dict[str, int], pings: dict[str, float], steps: list[tuple[str, str, str]]
) -> None:
    world = World(kept, pings, dict.fromkeys(SERVERS, len(MODELS)))
    _play(world, steps)
    world.mend()
    world.pass_time(LONG)
    for name in MODELS:
        there = [server for server in SERVERS if name in world.memory[server]]
        by_hand = [one for one in SERVERS if world.memory_of(one).is_unloaded_by_hand(key_of(name))]
        assert not set(there) & set(by_hand)
        wanted = kept.get(name, EVERYWHERE if name in pings else 0)
        room = len(SERVERS) - len(by_hand)
        assert len(there) >= (room if wanted == EVERYWHERE else min(wanted, room)), name
    assert not world.keeping.not_tried()
    assert not world.loading
    assert [one.text for one in world.events if isinstance(one, Warned)] == []


@given(kept=KEPT, pings=PINGS, steps=STEPS, room=st.integers(1, 3))
@settings(max_examples=40)
def test_where_there_is_none_the_loads_come_to_an_end(
    kept: dict[str, int], pings: dict[str, float], steps: list[tuple[str, str, str]], room: int
) -> None:
    world = World(kept, pings, dict.fromkeys(SERVERS, room))
    _play(world, steps)
    world.mend()
    world.pass_time(6 * LONG)  # a ping looks once a minute
    loads = {server: len(of) for server, of in world.loads.items()}
    world.pass_time(LONG)
    assert {server: len(of) for server, of in world.loads.items()} == loads


def test_two_that_do_not_fit_end_in_one_warning_and_no_third_load() -> None:
    world = World({"m": EVERYWHERE, "n": EVERYWHERE}, {}, {"a": 1, "b": 2, "c": 3})
    world.pass_time(LONG)
    assert world.loads == {"a": ["m", "n", "m"], "b": ["m", "n"], "c": ["m", "n"]}
    assert world.memory == {"a": ["m"], "b": ["m", "n"], "c": ["m", "n"]}
    (warned,) = [one.text for one in world.events if isinstance(one, Warned)]
    assert warned == (
        "m and n do not both fit into the memory of a: from now on n is loaded there only when a client "
        "asks for it"
    )
    world.request("a", "n")  # a client has it now
    world.pass_time(LONG)
    assert (world.memory["a"], len(world.loads["a"])) == (["n"], 3)
    world.memory["a"].clear()  # and it has left
    world.pass_time(LONG)
    assert world.memory["a"] == ["m"]
