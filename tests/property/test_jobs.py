"""Whoever asks for what and leaves when: jobs of one model never overlap, and come in the order of asking."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gollamas.api.manage import Change
from gollamas.api.outcomes import PartOutcome
from gollamas.background.duty import Duty
from gollamas.background.fanout import Jobs
from gollamas.background.part import Hears, Part
from gollamas.background.slots import Slots
from gollamas.background.watcher import Watcher
from gollamas.config.model import Config, Server
from gollamas.events import Crashed, Event, JobEnd, JobEnded, JobKind
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View
from gollamas.system.supervisor import Supervisor

_SERVERS = {id_: Server(id=id_, scheme="http", host="127.0.0.1", port=1) for id_ in "ab"}
_MODELS = st.sampled_from("xyz")


@dataclass
class Work:
    """Stands for servers: each part goes on until it is told to end; no two of one model may."""

    going_on: list[tuple[Change, asyncio.Future[None]]] = field(default_factory=list)
    begun: list[Change] = field(default_factory=list)

    async def first_list(self, _: ServerView) -> None:
        """Say nothing: what servers have is not of interest."""

    async def check(self, change: Change, servers: Sequence[ServerView]) -> None:
        """Find that servers have all that a create needs."""

    async def do(self, change: Change, part: Part, hears: Hears) -> None:
        """Do a part."""
        for other, _ in self.going_on:
            assert other is change or not keys(other) & keys(change), "two jobs of one model overlap"
        if change not in self.begun:
            self.begun.append(change)
        ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        going_on = change, ends
        self.going_on.append(going_on)

        async def send() -> None:
            await ends

        await part.unless_stopped(send)
        self.going_on.remove(going_on)
        hears.ended(part, part.stopped or PartOutcome(part.server.id, JobEnd.DONE))


def _targets(change: Change) -> tuple[str, ...]:
    return change.servers[:1] if change.kind is JobKind.PUSH else change.servers


def keys(change: Change) -> set[str]:
    """The models of a change."""
    return {change.key, change.source_key} - {""}


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Make a change of one of three models on one or two servers."""
    kind = draw(st.sampled_from(tuple(JobKind)))
    name = draw(_MODELS)
    source = draw(_MODELS) if kind is JobKind.COPY else ""
    servers = draw(st.sampled_from((("a",), ("b",), ("a", "b"))))
    return Change(
        kind=kind, method="POST", path="/", name=name, model=name, key=name, servers=servers, body=b"",
        source=source, source_key=source, insecure=draw(st.booleans()),
    )  # fmt: skip


# What happens next: a client comes, one leaves, a part ends.
_steps = st.lists(changes() | st.tuples(st.sampled_from(("leaves", "ends")), st.integers(0, 9)), max_size=25)


@given(_steps)
def test_jobs_of_one_model_never_overlap_and_keep_their_order(
    steps: list[Change | tuple[str, int]],
) -> None:
    asyncio.run(_happens(steps))


async def _happens(steps: list[Change | tuple[str, int]]) -> None:
    events: list[Event] = []
    tasks = Supervisor(events.append)
    view = View(events.append)
    view.apply(Config(servers=_SERVERS))
    work = Work()
    jobs = Jobs(Duty(view, None, tasks, events.append), work, Slots(4))  # type: ignore[arg-type]
    watchers: list[Watcher] = []
    asked: list[Change] = []
    for step in steps:
        if isinstance(step, Change):
            watchers.append(await jobs.begin(step))
            asked.append(step)
        elif step[0] == "leaves" and watchers:
            watchers.pop(step[1] % len(watchers)).leave()
        elif step[0] == "ends" and work.going_on:
            _end(work, step[1])
        await _turns()
    while jobs.under_way():
        assert work.going_on, "jobs wait for nothing"
        _end(work, 0)
        await _turns()
    assert all(watcher._job.outcome is not None for watcher in watchers)
    assert jobs._queues.all() == []
    assert not [event for event in events if isinstance(event, Crashed)]
    ids = [id(change) for change in asked]
    for key in "xyz":
        order = [ids.index(id(change)) for change in work.begun if key in keys(change)]
        assert order == sorted(order)
    told = [event for event in events if isinstance(event, JobEnded)]
    assert len(told) >= sum(len(_targets(change)) for change in work.begun)
    await tasks.close()


def _end(work: Work, number: int) -> None:
    ends = work.going_on[number % len(work.going_on)][1]
    if not ends.done():
        ends.set_result(None)


async def _turns() -> None:
    """Let all go on that can."""
    for _ in range(12):
        await asyncio.sleep(0)
