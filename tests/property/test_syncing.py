"""Whatever servers and clients do, each model gets where it is wanted, and nowhere else."""

from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from gollamas.events import JobEnd
from gollamas.fleet.syncing import LONGEST_PAUSE, SyncGiveUp, Syncing, SyncPull
from gollamas.fleet.wishes import sync_wishes_of
from tests.unit.fleet.fleets import config, entry, key_of, view_of

MODELS: Final = ("m", "n")
SERVERS: Final = ("a", "b", "c")
ROOM: Final = 2


class World:
    """Servers that pull as long as they are told to; whoever asks them notes what is under way."""

    def __init__(self) -> None:
        made = config(dict.fromkeys(MODELS, SERVERS))
        self.view = view_of(replace(made, sync={("", ""): True}))
        self.syncing = Syncing(sync_wishes_of(replace(made, sync={("", ""): True})), self.view)
        self.now = 0.0
        self.has: dict[str, set[str]] = {server: set() for server in SERVERS}
        self.is_down = dict.fromkeys(SERVERS, False)
        self.pulls: list[SyncPull] = []
        self.unwanted: set[tuple[str, str]] = set()
        for server in SERVERS:
            self.up(server)

    def up(self, server: str) -> None:
        self.is_down[server] = False
        self.view.answered(server, "0.34.3", self.now)
        self.view.listed(server, [entry(name) for name in sorted(self.has[server])])

    def down(self, server: str) -> None:
        self.is_down[server] = True
        for _ in range(3):
            self.view.connect_failed(server, "gone", self.now)
        for pull in [one for one in self.pulls if one.server_id == server]:
            self.end(pull, JobEnd.FAILED)

    def end(self, pull: SyncPull, end: JobEnd) -> None:
        self.pulls.remove(pull)
        if end is JobEnd.DONE:
            self.has[pull.server_id].add(pull.name)
            self.up(pull.server_id)
            assert self.syncing.due(self.now, 0, ()) == []  # a look between the list and the end
        self.syncing.ended(pull.server_id, pull.key, end, "why", self.now)

    def delete(self, name: str, servers: list[str]) -> None:
        for pull in [one for one in self.pulls if one.name == name]:
            self.end(pull, JobEnd.STOPPED)
        self.syncing.deleted(key_of(name), servers)
        for server in servers:
            self.unwanted.add((name, server))
            self.has[server].discard(name)
            if not self.is_down[server]:
                self.up(server)

    def brought(self, name: str) -> None:
        for pull in [one for one in self.pulls if one.name == name]:
            self.end(pull, JobEnd.STOPPED)
        self.syncing.brought(key_of(name), SERVERS)
        self.unwanted -= {(name, server) for server in SERVERS}

    def happens(self, step: tuple[object, ...]) -> None:
        match step:
            case ("up", str(server)):
                self.up(server)
            case ("down", str(server)):
                self.down(server)
            case ("delete", str(name), set(servers)):
                self.delete(name, sorted(servers))
            case ("brought", str(name)):
                self.brought(name)
            case ("passes", float(seconds)):
                self.now += seconds
            case (JobEnd() as end, int(number)) if self.pulls:
                self.end(self.pulls[number % len(self.pulls)], end)

    def look(self) -> None:
        for act in self.syncing.due(self.now, ROOM - len(self.pulls), ()):
            if isinstance(act, SyncGiveUp):
                pull = next(one for one in self.pulls if one[:2] == act)
                self.end(pull, JobEnd.FAILED)
                continue
            assert act not in self.pulls, "twice at once"
            assert not self.is_down[act.server_id]
            assert act.name not in self.has[act.server_id], "it is there"
            assert (act.name, act.server_id) not in self.unwanted
            self.pulls.append(act)
        assert len(self.pulls) <= ROOM
        assert self.syncing.next_at > self.now


STEPS: Final = st.one_of(
    st.tuples(st.sampled_from(["up", "down"]), st.sampled_from(SERVERS)),
    st.tuples(st.sampled_from([JobEnd.DONE, JobEnd.FAILED, JobEnd.STOPPED]), st.integers(0, ROOM - 1)),
    st.tuples(st.just("delete"), st.sampled_from(MODELS), st.sets(st.sampled_from(SERVERS), min_size=1)),
    st.tuples(st.just("brought"), st.sampled_from(MODELS)),
    st.tuples(st.just("passes"), st.sampled_from([1.0, 61.0, 1801.0, 4000.0])),
)


@given(st.lists(STEPS, max_size=40))
def test_each_model_gets_where_it_is_wanted(steps: list[tuple[object, ...]]) -> None:
    world = World()
    world.look()
    for step in steps:
        world.happens(step)
        world.look()
    for server in SERVERS:
        world.up(server)
    for _ in range(2 * len(MODELS) * len(SERVERS)):
        world.now += LONGEST_PAUSE
        world.look()
        for pull in list(world.pulls):
            world.end(pull, JobEnd.DONE)
    for server in SERVERS:
        wanted = {name for name in MODELS if (name, server) not in world.unwanted}
        assert wanted <= world.has[server]
