"""Who applies all changes that `/events` tells to the state that came first knows what `/state` says."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gollamas.config.model import Expose
from gollamas.events import End, JobCause, JobKind, LoadCause
from gollamas.fleet.loading import ModelLoad
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.syncing import Lacking, SyncStatus
from gollamas.observe.jobs import OpenJob, OpenTarget, OwedJob
from gollamas.observe.state import OpenLoad
from tests.unit.fleet.fleets import config, entry
from tests.unit.observe.test_live import Fleet, a_request
from tests.unit.observe.test_state import running

SERVERS = ("a", "b", "c")
MODELS = ("m", "n", "o", "x:7b")

Happens = Callable[[Fleet], None]
servers = st.sampled_from(SERVERS)
models = st.lists(st.sampled_from(MODELS), unique=True)


def _goes_down(server: str, why: str) -> Happens:
    return lambda fleet: fleet.view.connect_failed(server, why, fleet.now)


def _is_silent(server: str) -> Happens:
    return lambda fleet: fleet.view.silent(server, "no answer in time", fleet.now)


def _answers(server: str) -> Happens:
    return lambda fleet: fleet.view.answered(server, "0.34.3", fleet.now)


def _lists(server: str, names: list[str], digest: str) -> Happens:
    return lambda fleet: fleet.view.listed(server, [entry(name, digest * 64) for name in names])


def _runs(server: str, names: list[str], size_vram: int) -> Happens:
    loaded = [running(name, 10**18, size=4, size_vram=size_vram) for name in names]
    return lambda fleet: fleet.view.ran(server, loaded)


def _has_in_flight(server: str, count: int) -> Happens:
    def happens(fleet: Fleet) -> None:
        fleet.view.servers[server].in_flight = count
        fleet.view.servers[server].truncated["m"] = count

    return happens


def _has_open(numbers: list[int], status: int | None) -> Happens:
    def happens(fleet: Fleet) -> None:
        known = {one.event.request_id: one for one in fleet.requests}
        fleet.requests = [known.get(f"id-{one}") or a_request(one) for one in numbers]
        for one in fleet.requests[:1]:
            one.event.status = status

    return happens


def _has_ended(count: int, status: int) -> Happens:
    def happens(fleet: Fleet) -> None:
        for number in range(count):
            event = a_request(number, status=status, end=End.DONE, first_byte_s=0.2).event
            event.ended_at = fleet.now
            fleet.observers(event)

    return happens


def _has_under_way(server: str, count: int) -> Happens:
    def happens(fleet: Fleet) -> None:
        targets = (OpenTarget(server, "pulling", count, 9),)
        fleet.jobs = [
            OpenJob(JobKind.PULL, f"m{one}", JobCause.SYNC, 1.0, False, 1, targets) for one in range(count)
        ]
        fleet.owed = [OwedJob(JobKind.DELETE, f"m{one}", server, 1.0, 50.0) for one in range(count)]
        fleet.lacking = [
            Lacking(f"m{one}", server, SyncStatus.FAILED, one, "full", 60.0 - one) for one in range(count)
        ]
        load = ModelLoad(server, "m", "m", "d", PLAIN, LoadCause.COLD)
        fleet.loads = [OpenLoad(load, 1.0)] * count

    return happens


def _passes(seconds: float) -> Happens:
    def happens(fleet: Fleet) -> None:
        fleet.now += seconds
        fleet.traffic.sample()

    return happens


def _is_configured(names: list[str], expose: Expose) -> Happens:
    def happens(fleet: Fleet) -> None:
        fleet.made = config(dict.fromkeys(names, SERVERS[:2]), servers=SERVERS, expose=expose)
        fleet.view.apply(fleet.made)

    return happens


def _hears(fleet: Fleet) -> None:
    fleet.hear()


happenings = st.one_of(
    st.just(_hears),
    st.builds(_goes_down, servers, st.sampled_from(["refused", "no route"])),
    st.builds(_is_silent, servers),
    st.builds(_answers, servers),
    st.builds(_lists, servers, models, st.sampled_from("ab")),
    st.builds(_runs, servers, models, st.sampled_from([1, 4])),
    st.builds(_has_in_flight, servers, st.integers(0, 2)),
    st.builds(_has_open, st.lists(st.integers(0, 3), unique=True), st.sampled_from([None, 200])),
    st.builds(_has_ended, st.sampled_from([0, 1, 120]), st.sampled_from([200, 503])),
    st.builds(_has_under_way, servers, st.integers(0, 2)),
    st.builds(_passes, st.sampled_from([1.0, 5.0, 30.0])),
    st.builds(_is_configured, models, st.sampled_from(list(Expose))),
)


@given(st.lists(happenings, max_size=20), st.lists(happenings, max_size=20))
def test_all_changes_lead_from_the_first_state_to_that_of_now(
    before: list[Happens], after: list[Happens]
) -> None:
    fleet = Fleet(config({"m": SERVERS, "n": ["a"]}, servers=SERVERS))
    for happens in before:
        if happens is not _hears:
            happens(fleet)
    fleet.begin()
    assert fleet.is_known()
    for happens in after:
        happens(fleet)
    fleet.hear()
    assert fleet.is_known()
    assert fleet.hear() == {}
