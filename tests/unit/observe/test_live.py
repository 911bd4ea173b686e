"""What `/events` tells: the whole, then what changed; what is written anew for it, and what is not."""

import json
from typing import Any

import pytest

from gollamas.config.model import Config, Expose
from gollamas.events import JobCause, JobKind, LoadCause
from gollamas.fleet.loading import ModelLoad
from gollamas.fleet.policy import Policies
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.syncing import Lacking, SyncStatus
from gollamas.fleet.view import View
from gollamas.observe.jobs import OpenJob, OpenTarget, OwedJob
from gollamas.observe.live import LiveState
from gollamas.observe.metrics import Metrics
from gollamas.observe.moment import Moment
from gollamas.observe.observers import MOST_ENDED, Observers
from gollamas.observe.page import Known, StatePage
from gollamas.observe.state import OpenLoad, OpenRequest, UnderWay
from gollamas.observe.traffic import Traffic
from gollamas.observe.wrong import Happened
from tests.happened import request_ended
from tests.told import Told, applied
from tests.unit.fleet.fleets import config, entry, view_of
from tests.unit.observe.test_state import running

NOON = 1_796_040_000.0


class Fleet:
    """A fleet that a test changes, what is told of it, and what somebody knows who has heard all of it."""

    def __init__(self, made: Config) -> None:
        self.made = made
        self.view: View = view_of(made)
        self.now = 100.0
        self.not_ready: str | None = None
        self.requests: list[OpenRequest] = []
        self.loads: list[OpenLoad] = []
        self.jobs: list[OpenJob] = []
        self.owed: list[OwedJob] = []
        self.lacking: list[Lacking] = []
        self.metrics = Metrics(lambda name: name)
        self.observers = Observers(self.metrics, lambda _: None)
        self.traffic = Traffic(self.metrics, self.view, lambda: self.requests, self.moment)
        under_way = UnderWay(
            lambda: self.requests,
            lambda: self.loads,
            lambda: self.jobs,
            lambda: self.owed,
            lambda: self.lacking,
        )
        self.page = StatePage(
            Known(
                "9.9.9", self.view, lambda: self.made, lambda: Policies(self.made), under_way,
                lambda: self.not_ready, self.traffic,
                self.observers, lambda _: Happened(owed=self.owed),
            ),
            self.moment,
        )  # fmt: skip
        self.live = LiveState(self.page)
        self.known: Told = {}

    def moment(self) -> Moment:
        return Moment(self.now, NOON + self.now)

    def look(self, *, with_ages: bool = False) -> int:
        """Bring what is told up to date; how much was written."""
        before = self.live.encodings
        list(self.live.look(with_ages=with_ages))
        return self.live.encodings - before

    def begin(self) -> Told:
        """Hear everything."""
        self.look(with_ages=True)
        self.live.change()
        self.known = event_in(b"".join(self.live.whole()), "state")
        return self.known

    def hear(self) -> Told:
        """Hear what has changed, empty where that is nothing."""
        self.look()
        if self.live.is_anew:
            self.live.change()
            self.known = event_in(b"".join(self.live.whole()), "state")
            return self.known
        said = self.live.change()
        if said is None:
            return {}
        told = event_in(said, "change")
        self.known = applied(self.known, told)
        return told

    def is_known(self) -> bool:
        """Whether who has heard all knows what the page says, but for times and ages."""
        return without_ages(json.loads(b"".join(self.page.parts()))) == without_ages(self.known)

    def up(self, *names: str) -> None:
        for server in self.made.servers:
            self.view.answered(server, "0.34.3", 40.0)
            self.view.listed(server, [entry(name) for name in names])


def event_in(said: bytes, kind: str) -> Told:
    """Read an event."""
    first, data, end = said.split(b"\n", 2)
    assert (first, end) == (b"event: %b" % kind.encode(), b"\n")
    told: Told = json.loads(data.removeprefix(b"data: "))
    return told


def without_ages(state: Told) -> Told:
    found: Told = json.loads(json.dumps(state))
    found.pop("time")
    found.pop("history")
    lists = (found["requests"], found["jobs"], found["owed"], *(one["loading"] for one in found["servers"]))
    for ones in lists:
        for one in ones:
            del one["age_s"]
    return found


def a_request(number: int, age_s: float = 1.0, **members: object) -> OpenRequest:
    known = {"request_id": f"id-{number}", "client": "c", "method": "POST", "route": "/api/chat"}
    return OpenRequest(request_ended(**{**known, "model": "m", **members}), "a", age_s)


def small() -> Fleet:
    fleet = Fleet(config({"m": ["a", "b"]}))
    fleet.up("m")
    fleet.begin()
    return fleet


def test_the_whole_is_what_the_page_says() -> None:
    fleet = small()
    page = json.loads(b"".join(fleet.page.parts()))
    assert (list(fleet.known), fleet.known) == (list(page), page)


def test_where_nothing_changes_nothing_is_told_or_written() -> None:
    fleet = small()
    fleet.now += 100
    assert (fleet.look(), fleet.live.change()) == (0, None)


def test_of_a_server_the_members_that_changed_are_told_and_written() -> None:
    fleet = small()
    fleet.view.servers["b"].in_flight = 3
    assert fleet.hear() == {"time": "2026-11-30T12:01:40.000Z", "servers": [{"id": "b", "in_flight": 3}]}
    fleet.view.servers["b"].in_flight = 4
    assert fleet.look() == 1


def test_a_server_that_goes_down_is_told_with_what_is_wrong() -> None:
    fleet = small()
    fleet.view.connect_failed("b", "refused", 90.0)
    told = fleet.hear()
    (server,) = told["servers"]
    assert server == {
        "id": "b", "health": "down", "why": "refused", "since": "2026-11-30T12:01:30.000Z",
    }  # fmt: skip
    assert [one["kind"] for one in told["wrong"]] == ["server_down"]
    fleet.view.answered("b", "0.34.3", 95.0)
    assert fleet.hear()["wrong"] == []
    assert fleet.is_known()


def test_a_listing_that_says_the_same_is_not_written_anew() -> None:
    fleet = small()
    server = fleet.view.servers["a"]
    fleet.view.listed("a", list(server.installed.values()))
    assert fleet.look() == 0
    fleet.view.listed("a", [entry("m"), entry("other")])
    told = fleet.hear()
    (changed,) = told["servers"]
    assert changed["models"] == ["m", "other"]
    assert sorted(changed) == ["id", "installed", "models"]
    fleet.view.listed("a", [entry("m"), entry("other")])  # others, which say the same
    assert (fleet.look(), fleet.live.change()) == (2, None)


def test_what_is_loaded_is_told_with_the_options_that_it_turns_out_to_have() -> None:
    fleet = small()
    fleet.view.ran("a", [running("m", 10**18)])
    (server,) = fleet.hear()["servers"]
    assert (sorted(server), server["loaded"][0]["runner_options"]) == (["id", "loaded"], None)
    memory = fleet.view.servers["a"].memory
    memory.answered(memory.by_key[next(iter(memory.by_key))], next(iter(memory.by_key)), PLAIN)
    (server,) = fleet.hear()["servers"]
    assert server["loaded"][0]["runner_options"] == {}


def test_a_load_is_told_of_and_its_age_is_no_change() -> None:
    fleet = small()
    load = ModelLoad("a", "m", "m", "d", PLAIN, LoadCause.COLD)
    fleet.loads = [OpenLoad(load, 1.0)]
    (server,) = fleet.hear()["servers"]
    assert (server["loading"][0]["age_s"], server["loading"][0]["has_begun"]) == (1.0, False)
    fleet.loads = [OpenLoad(load, 2.0)]
    assert fleet.hear() == {}
    load.is_under_way = True
    fleet.loads = [OpenLoad(load, 3.0)]
    assert fleet.hear()["servers"][0]["loading"][0]["has_begun"]
    fleet.loads = [OpenLoad(load, 4.0)]
    assert fleet.begin()["servers"][0]["loading"][0]["age_s"] == 4.0  # for who comes later
    fleet.loads = []
    assert fleet.hear()["servers"] == [{"id": "a", "loading": []}]


def test_requests_are_told_whole_where_one_has_changed_and_their_ages_are_none() -> None:
    fleet = small()
    first, second = a_request(1), a_request(2)
    fleet.requests = [first, second]
    assert [one["id"] for one in fleet.hear()["requests"]] == ["id-1", "id-2"]
    fleet.requests = [one._replace(age_s=5.0) for one in (first, second)]
    assert fleet.hear() == {}
    assert [one["age_s"] for one in fleet.begin()["requests"]] == [5.0, 5.0]
    second.event.status = 200
    assert [one["status"] for one in fleet.hear()["requests"]] == [None, 200]
    fleet.requests = [a_request(1), second]  # another one by the same id
    assert [one["age_s"] for one in fleet.hear()["requests"]] == [1.0, 1.0]
    fleet.requests = []
    assert fleet.hear()["requests"] == []


def test_jobs_and_debts_are_told_whole_where_one_has_changed() -> None:
    fleet = small()

    def job(age_s: float, completed: int) -> OpenJob:
        return OpenJob(
            JobKind.PULL, "m", JobCause.CLIENT, age_s, False, 1, (OpenTarget("a", "pulling", completed, 9),)
        )

    fleet.jobs = [job(1.0, 3)]
    assert fleet.hear()["jobs"][0]["targets"][0]["completed"] == 3
    fleet.jobs = [job(2.0, 3)]
    assert fleet.hear() == {}
    fleet.jobs = [job(3.0, 4)]
    assert fleet.hear()["jobs"][0]["age_s"] == 3.0
    fleet.owed = [OwedJob(JobKind.DELETE, "m", "b", 1.0, 99.0)]
    told = fleet.hear()
    assert (told["owed"][0]["server"], told["wrong"][0]["kind"]) == ("b", "owed")
    fleet.owed = [OwedJob(JobKind.DELETE, "m", "b", 2.0, 99.0)]
    assert fleet.hear() == {}
    fleet.lacking = [Lacking("m", "b", SyncStatus.FAILED, 1, "full", 60.0)]
    assert fleet.hear()["sync"][0]["retry_in_s"] == 60.0
    fleet.lacking = [Lacking("m", "b", SyncStatus.FAILED, 1, "full", 59.0)]
    assert fleet.hear() == {}


def test_samples_and_whether_we_are_ready_are_told() -> None:
    fleet = small()
    fleet.now += 5
    fleet.traffic.sample()
    fleet.not_ready = "gollamas is shutting down"
    told = fleet.hear()
    assert (told["traffic"]["time"], told["not_ready"]) == (
        "2026-11-30T12:01:45.000Z", "gollamas is shutting down",
    )  # fmt: skip
    assert "history" not in told


def test_only_requests_that_ended_since_are_told_and_never_more_than_are_kept() -> None:
    fleet = small()
    for count, expected in ((2, 2), (0, 0), (MOST_ENDED + 30, MOST_ENDED), (1, 1)):
        for number in range(count):
            event = a_request(number).event
            event.ended_at = fleet.now
            fleet.observers(event)
        told = fleet.hear()
        assert len(told.get("ended", ())) == expected
        assert len(fleet.known["ended"]) == min(len(fleet.known["ended"]), MOST_ENDED)
    assert fleet.known["ended"][-1]["time"] == "2026-11-30T12:01:40.000Z"
    assert fleet.is_known()


def test_models_that_servers_turn_out_to_have_are_told_of_and_others_are_not_written_anew() -> None:
    made = config({f"m{number}": ["a"] for number in range(9)}, {"x": "m1"}, expose=Expose.INSTALLED)
    fleet = Fleet(made)
    fleet.up("m1")
    fleet.begin()
    fleet.view.listed("a", [*fleet.view.servers["a"].installed.values(), entry("new:7b")])
    assert fleet.look() == 3  # `models` and `installed` of the server, and one model
    told = event_in(fleet.live.change() or b"", "change")
    assert [one["name"] for one in told["models"]] == [*(f"m{number}" for number in range(9)), "new:7b"]
    assert not told["models"][-1]["is_configured"]
    assert told["models"][1]["aliases"] == ["x"]


def test_another_configuration_is_told_whole() -> None:
    fleet = small()
    fleet.made = config({"m": ["a"], "n": ["a"]})
    fleet.view.apply(fleet.made)
    assert [one["name"] for one in fleet.hear()["models"]] == ["m", "n"]
    assert fleet.is_known()


def test_a_server_in_the_place_of_another_is_told_of() -> None:
    fleet = small()
    fleet.made = config({"m": ["a", "b"]})
    servers = dict(fleet.made.servers)
    servers["a"] = type(servers["a"])(id="a", scheme="http", host="elsewhere", port=1)
    fleet.made = Config(servers=servers, models=fleet.made.models)
    fleet.view.apply(fleet.made)
    assert fleet.hear()["servers"][0]["url"] == "http://elsewhere:1"


def test_what_is_forgotten_is_told_whole_again() -> None:
    fleet = small()
    fleet.live.forget()
    assert fleet.hear()["gollamas"] == "9.9.9"


def test_names_that_command_something_stay_on_their_line() -> None:
    fleet = small()
    fleet.requests = [a_request(1, model="a\n\ndata: b\r\u2028\udcff")]
    assert fleet.hear()["requests"][0]["model"].startswith("a\n\ndata: b\r\u2028")


@pytest.mark.parametrize(("servers", "models"), [(60, 40)])
def test_a_large_fleet_is_written_in_steps_and_pieces_and_a_second_costs_what_changed(
    servers: int, models: int
) -> None:
    names = [f"s{number}" for number in range(servers)]
    fleet = Fleet(config({f"m{number}": names for number in range(models)}))
    fleet.up(*(f"m{number}" for number in range(models)))
    steps = list(fleet.live.look(with_ages=True))
    assert len(steps) >= servers + models
    fleet.live.change()
    pieces = fleet.live.whole()
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 256 * 1024
    assert len(event_in(b"".join(pieces), "state")["servers"]) == servers
    for server in fleet.view.servers.values():  # as after five seconds, without news
        fleet.view.listed(server.id, list(server.installed.values()))
    assert (fleet.look(), fleet.live.change()) == (0, None)
    for server in list(fleet.view.servers.values())[:25]:
        server.in_flight += 1
    fleet.requests = [a_request(number) for number in range(100)]
    assert fleet.look() == 125
    said: Any = fleet.live.change()
    assert len(said) < 50_000
