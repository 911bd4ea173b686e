"""However the lines of many targets mix, and whenever a client looks, its bars only grow and end full."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import takewhile
from math import inf
from operator import ne
from typing import Any, Final, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gollamas.fleet.progress import Progress, Watch

FIRST: Final = "pulling manifest"
TARGETS: Final = ("a", "b", "c")
DIGESTS: Final = ("sha256:1", "sha256:2", "sha256:3")
WORDS: Final = ("verifying sha256 digest", "writing manifest", "removing unused layers")
SECOND: Final = 1.0 - 1e-9  # sums of tenths are no whole numbers


class Layer(NamedTuple):
    """A line with a digest."""

    digest: str
    total: int | None
    completed: int | None

    def line(self) -> bytes:
        members = {"status": f"pulling {self.digest[7:]}", **self._asdict()}
        return json.dumps({name: member for name, member in members.items() if member is not None}).encode()


class Word(NamedTuple):
    """A line without one."""

    status: str

    def line(self) -> bytes:
        return json.dumps({"status": self.status}).encode()


class Ends(NamedTuple):
    """A target says nothing more."""

    is_done: bool


class Says(NamedTuple):
    """We say something."""

    status: str


class Joins(NamedTuple):
    """One more client comes."""


class Looks(NamedTuple):
    """A client takes what is due, after so much time."""

    which: int
    after: float


Step = Layer | Word | Ends | Says | Joins | Looks
numbers = st.none() | st.integers(-1, 20)
layers = st.builds(Layer, st.sampled_from(DIGESTS), numbers, numbers)
words = st.builds(Word, st.sampled_from((FIRST, *WORDS)))
looks = st.builds(Looks, st.integers(0, 3), st.sampled_from((0.0, 0.01, 0.03, 0.06, 0.1, 0.25)))
others = looks | st.builds(Joins) | st.builds(Says, st.sampled_from(("gpu-3 is down", "gpu-4 is down")))
steps = st.tuples(
    st.sampled_from(TARGETS),
    layers | layers | words | looks | looks | others | st.builds(Ends, st.booleans()),
)


class Client:
    """A watch, and all that it gave and when."""

    def __init__(self, progress: Progress) -> None:
        self.watch = Watch(progress)
        self.told: list[tuple[float, dict[str, Any]]] = []

    def look(self, now: float) -> None:
        """Take what is due: `next_at` must have known whether there is something."""
        is_due = self.watch.next_at <= now
        lines = self.watch.lines(now)
        assert is_due == bool(lines)
        assert self.watch.next_at > now
        self.told += [(now, json.loads(line)) for line in lines]
        assert all(line.endswith(b"}\n") for line in lines)

    @property
    def statuses(self) -> Sequence[str]:
        """What it was told without a digest."""
        return [line["status"] for _, line in self.told if "digest" not in line]


class World:
    """A job under way, its clients, and the time."""

    def __init__(self, targets: Iterable[str] = TARGETS) -> None:
        self.now = 0.0
        self.progress = Progress(targets, FIRST)
        self.open = set(targets)
        self.clients = [Client(self.progress)]
        self.said: set[str] = set()
        self.named: set[str] = set()

    def step(self, target: str, step: Step) -> None:
        """Have one thing happen."""
        match step:
            case Layer() | Word():
                self.progress.take(target, step.line())
                if target in self.open and isinstance(step, Word):
                    self.said.add(step.status)
                elif target in self.open and isinstance(step, Layer):
                    self.named.add(step.digest)
            case Ends(is_done):
                self.progress.ended(target, is_done=is_done)
                self.open.discard(target)
            case Says(status):
                self.progress.say(status)
                self.said.add(status)
            case Joins():
                self.clients.append(Client(self.progress))
            case Looks(which, after):
                self.now += after
                self.clients[which % len(self.clients)].look(self.now)

    def end(self) -> None:
        """Have all targets end, and all clients take what is left."""
        for target in sorted(self.open):
            self.progress.ended(target, is_done=target < "b")
        self.clients.append(Client(self.progress))
        for client in self.clients:
            now = self.now
            while client.watch.next_at < inf:
                now = max(now, client.watch.next_at)
                client.look(now)
            assert client.watch.lines(now + 9.0) == []


def run(happened: Sequence[tuple[str, Step]], targets: Iterable[str] = TARGETS) -> World:
    world = World(targets)
    for target, step in happened:
        world.step(target, step)
    world.end()
    return world


def bars(client: Client) -> dict[str, list[tuple[float, int, int]]]:
    """Give what each digest's lines said: when, completed, total."""
    found: dict[str, list[tuple[float, int, int]]] = {}
    for at, line in client.told:
        if "digest" in line:
            assert list(line) == [
                name
                for name in ("status", "digest", "total", "completed")
                if line.get(name) != 0 and name in line
            ]
            found.setdefault(line["digest"], []).append((at, line.get("completed", 0), line.get("total", 0)))
    return found


@given(st.lists(steps, max_size=60))
@settings(max_examples=200)
def test_completed_never_falls_nor_passes_total_and_ends_at_it(happened: list[tuple[str, Step]]) -> None:
    world = run(happened)
    for client in world.clients:
        told = bars(client)
        assert told.keys() == world.named
        for lines in told.values():
            completed = [line[1] for line in lines]
            assert completed == sorted(completed)
            assert all(done <= total for _, done, total in lines)
            assert lines[-1][1] == lines[-1][2]


@given(st.lists(steps, max_size=60))
@settings(max_examples=200)
def test_a_digest_has_ten_lines_a_second_at_most(happened: list[tuple[str, Step]]) -> None:
    for client in run(happened).clients:
        for lines in bars(client).values():
            times = [line[0] for line in lines]
            assert all(later - earlier >= SECOND for earlier, later in zip(times, times[10:], strict=False))


@given(st.lists(st.sampled_from((0.0, 0.01, 0.06)), min_size=60, max_size=120))
@settings(max_examples=60)
def test_nor_has_it_in_a_flood_that_is_looked_at_all_the_time(pauses: list[float]) -> None:
    happened: list[tuple[str, Step]] = []
    for completed, pause in enumerate(pauses):
        happened += [("a", Layer(DIGESTS[0], 200, completed)), ("a", Looks(0, pause))]
    for client in run(happened).clients:
        (lines,) = bars(client).values()
        times = [line[0] for line in lines]
        assert all(later - earlier >= SECOND for earlier, later in zip(times, times[10:], strict=False))


@given(st.lists(steps, max_size=60))
@settings(max_examples=200)
def test_each_status_goes_out_once_and_the_first_is_first(happened: list[tuple[str, Step]]) -> None:
    world = run(happened)
    for client in world.clients:
        assert client.told[0][1] == {"status": FIRST}
        assert sorted(client.statuses) == sorted({FIRST, *world.said})
    first, *others = ([word for word in client.statuses if word in WORDS] for client in world.clients)
    assert all(words == first for words in others)


@given(st.lists(steps, max_size=60))
@example(
    [
        ("a", Word("writing manifest")),
        ("a", Word("verifying sha256 digest")),
        ("b", Word("verifying sha256 digest")),
        ("c", Word("verifying sha256 digest")),
        ("a", Looks(0, 0.01)),
    ]
)
@settings(max_examples=200)
def test_a_word_is_told_only_when_all_that_work_have_said_it(happened: list[tuple[str, Step]]) -> None:
    """And what one of them said before that, which is put in no other order."""
    world = World()
    said: dict[str, dict[str, None]] = {target: {} for target in TARGETS}  # words, in their order
    due: set[str] = set()
    for target, step in happened:
        if isinstance(step, Word) and step.status != FIRST and target in world.open:
            said[target].setdefault(step.status)
        world.step(target, step)
        for word in WORDS:
            by = {one for one in TARGETS if word in said[one]}
            if by and by >= world.open:
                due |= {word}.union(*(takewhile(partial(ne, word), said[of]) for of in by))
        for client in world.clients:
            assert set(client.statuses) & set(WORDS) <= due


def key_of(line: dict[str, Any]) -> str:
    return str(line.get("digest") or line["status"])


@given(st.lists(st.tuples(st.just("a"), layers | words | looks), max_size=60))
@settings(max_examples=200)
def test_of_one_target_nothing_is_put_in_another_order(happened: list[tuple[str, Step]]) -> None:
    """A layer may have one more line before a word and at the end, when it was not full yet."""
    came, named = [FIRST], dict[str, None]()
    for _, step in happened:
        if isinstance(step, Layer):
            named[step.digest] = None
            came.append(step.digest)
        elif isinstance(step, Word):
            came += [*named, step.status]
    rest = iter([*came, *named])
    client = run(happened, ["a"]).clients[0]
    assert all(key_of(line) in rest for _, line in client.told)


@st.composite
def pulls(draw: st.DrawFn) -> list[tuple[str, Step]]:
    """Mix pulls as Ollama makes them, layers before words, some of which fail on their way."""
    scripts: dict[str, list[Step]] = {}
    for target in TARGETS:
        named, said = draw(st.lists(layers, max_size=8)), draw(st.integers(0, len(WORDS)))
        scripts[target] = [*named, *(Word(word) for word in WORDS[:said]), Ends(draw(st.booleans()))]
    order = draw(st.permutations([target for target, script in scripts.items() for _ in script]))
    happened: list[tuple[str, Step]] = []
    for target in order:
        happened += [
            (target, scripts[target].pop(0)),
            *((target, look) for look in draw(st.lists(looks, max_size=2))),
        ]
    return happened


@given(pulls())
@settings(max_examples=200)
def test_bars_are_full_before_a_word(happened: list[tuple[str, Step]]) -> None:
    for client in run(happened).clients:
        bar: dict[str, bool] = {}
        for _, line in client.told:
            if "digest" in line:
                bar[line["digest"]] = line.get("completed", 0) == line.get("total", 0)
            elif line["status"] in WORDS:
                assert all(bar.values())
