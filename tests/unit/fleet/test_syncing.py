"""Which pull is due, by a clock that each test holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final

import pytest

from gollamas.config.model import Config, Expose
from gollamas.events import JobEnd
from gollamas.fleet.syncing import SyncGiveUp, Syncing, SyncPull
from gollamas.fleet.wishes import sync_wishes_of
from tests.unit.fleet.fleets import config, entry, key_of, view_of

MANY: Final = 100
NEVER: Final = inf


class Synced:
    """Servers in whatever state a test brings them into."""

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        made = replace(config(models), sync={(key_of(name), ""): True for name in models})
        self.now = 1000.0
        self.view = view_of(made)
        self.syncing = Syncing(sync_wishes_of(made), self.view)

    def up(self, server: str, *has: str) -> None:
        self.view.answered(server, "0.34.3", self.now)
        self.view.listed(server, [entry(name) for name in has])

    def down(self, server: str) -> None:
        for _ in range(3):
            self.view.connect_failed(server, "gone", self.now)

    def due(self, after: float = 0.0, room: int = MANY, busy: Sequence[str] = ()) -> list[str]:
        """Let time pass, and give what is due then; pulls begin."""
        self.now += after
        said = []
        for act in self.syncing.due(self.now, room, [key_of(name) for name in busy]):
            match act:
                case SyncPull(server_id=server, name=name):
                    said.append(f"{name} on {server}")
                case SyncGiveUp(server_id=server, key=key):
                    said.append(f"give up {_name(key)} on {server}")
        return said

    def ended(self, name: str, server: str, end: JobEnd = JobEnd.DONE, error: str = "") -> None:
        self.syncing.ended(server, key_of(name), end, error, self.now)

    def failed(self, name: str, server: str) -> None:
        self.ended(name, server, JobEnd.FAILED, "no space left on device")

    def deleted(self, name: str, *servers: str) -> None:
        """Have a client delete a model, of which these servers are rid."""
        self.syncing.deleted(key_of(name), servers)
        for server in servers:
            self.up(server)

    def told(self) -> list[tuple[str, str, str]]:
        return [(one.name, one.server_id, one.status.value) for one in self.syncing.lacking(self.now)]

    @property
    def next_in(self) -> float:
        return self.syncing.next_at - self.now


def _name(key: str) -> str:
    return key.rpartition("/")[2].partition(":")[0]


def test_a_server_that_lacks_the_model_pulls_it_once() -> None:
    held = Synced({"m": ["a", "b"]})
    held.up("a", "m")
    held.up("b")
    assert held.due() == ["m on b"]
    assert held.due(after=60.0) == []
    assert held.told() == [("m", "b", "pulling")]
    held.up("b", "m")
    held.ended("m", "b")
    assert (held.due(), held.told(), held.next_in) == ([], [], NEVER)


def test_a_model_that_was_listed_before_its_pull_had_ended_is_not_pulled_again() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    held.due()
    held.up("a", "m")
    assert (held.due(), held.told()) == ([], [("m", "a", "pulling")])
    held.ended("m", "a")
    assert (held.due(), held.told(), held.next_in) == ([], [], NEVER)


def test_one_that_is_said_to_be_pulled_and_is_not_listed_has_failed() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    for pause in (60, 120):
        assert held.due() == ["m on a"]
        held.ended("m", "a")
        assert (held.due(), held.next_in) == ([], pause)
        held.now += pause
    (one,) = held.syncing.lacking(held.now - 1.0)
    assert (one.failures, one.error) == (2, "the server said that it is pulled, and does not list it")
    held.up("a", "m")
    assert held.told() == []
    held.up("a")  # the list was late, and the model is gone since
    assert (held.due(), held.told()) == (["m on a"], [("m", "a", "pulling")])
    held.failed("m", "a")
    assert (held.due(), held.next_in) == ([], 60)


def test_nothing_is_pulled_before_a_server_has_said_what_it_has() -> None:
    held = Synced({"m": ["a"]})
    assert (held.due(), held.told()) == ([], [("m", "a", "waiting")])
    held.view.answered("a", "0.34.3", held.now)
    assert (held.due(), held.told()) == ([], [("m", "a", "waiting")])
    held.view.listed("a", [])
    assert held.due() == ["m on a"]


def test_what_differs_is_left_as_it_is() -> None:
    held = Synced({"m": ["a", "b"]})
    for server, digest in (("a", "1" * 64), ("b", "2" * 64)):
        held.view.answered(server, "0.34.3", held.now)
        held.view.listed(server, [entry("m", digest)])
    assert (held.due(), held.told()) == ([], [])


def test_pulls_begin_in_the_order_of_the_configuration_as_far_as_there_is_room() -> None:
    held = Synced({"m": ["a", "b"], "n": ["b", "a"]})
    held.up("a")
    held.up("b")
    assert held.due(room=3) == ["m on a", "m on b", "n on b"]
    assert held.due(room=0) == []
    assert held.told()[-1] == ("n", "a", "waiting")
    assert held.due(room=1) == ["n on a"]


def test_one_that_gives_way_again_and_again_holds_up_no_other() -> None:
    held = Synced({"m": ["a", "b"]})
    held.up("a")
    held.up("b")
    assert held.due(room=1) == ["m on a"]
    held.ended("m", "a", JobEnd.STOPPED, "a client's pull or create goes first")
    assert held.due(after=1.0, room=1) == ["m on b"]
    held.ended("m", "b", JobEnd.STOPPED, "a client's pull or create goes first")
    assert held.due(after=1.0, room=1) == ["m on a"]


def test_a_model_that_a_client_changes_waits() -> None:
    held = Synced({"m": ["a"], "n": ["a"]})
    held.up("a")
    assert held.due(busy=["m"]) == ["n on a"]
    assert held.due() == ["m on a"]


def test_a_pull_that_fails_is_tried_again_ever_later() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    pauses = [60, 120, 240, 480, 960, 1920, 3600, 3600, *[3600] * 10]
    assert held.due() == ["m on a"]
    for number, pause in enumerate(pauses, 1):
        held.failed("m", "a")
        assert held.due() == []
        assert held.next_in == pause
        (one,) = held.syncing.lacking(held.now)
        assert (one.status.value, one.failures, one.retry_s) == ("failed", number, pause)
        assert one.error == "no space left on device"
        assert held.due(after=pause - 1.0) == []
        assert held.due(after=1.0) == ["m on a"]


def test_one_that_has_pulled_it_begins_anew_with_the_shortest_pause() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    for pause in (60, 120):
        held.due()
        held.failed("m", "a")
        held.now += pause
    held.due()
    held.up("a", "m")
    held.ended("m", "a")
    held.up("a")  # somebody has removed it past the proxy
    assert held.due() == ["m on a"]
    held.failed("m", "a")
    held.due()
    assert held.next_in == 60


@pytest.mark.parametrize("end", [JobEnd.STOPPED, JobEnd.DOWN])
def test_one_that_gave_way_or_could_not_be_asked_has_not_failed(end: JobEnd) -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    held.due()
    held.ended("m", "a", end, "a client changes the model")
    assert held.due() == ["m on a"]


def test_a_server_that_returns_is_asked_at_once() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    held.due()
    held.failed("m", "a")
    held.down("a")
    assert held.due(after=1.0) == []
    assert held.told() == [("m", "a", "waiting")]
    held.up("a")
    assert held.due() == ["m on a"]


def test_one_that_returns_with_the_model_has_nothing_to_do() -> None:
    held = Synced({"m": ["a"]})
    held.down("a")
    held.due()
    held.up("a", "m")
    assert (held.due(), held.told()) == ([], [])


def test_one_that_says_nothing_new_for_half_an_hour_is_given_up_and_tried_again() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    held.due()
    assert (held.due(after=1000.0), held.next_in) == ([], 800.0)
    held.syncing.heard("a", key_of("m"), held.now)
    assert (held.due(), held.next_in) == ([], 1800.0)
    assert held.due(after=1799.0) == []
    assert held.due(after=1.0) == ["give up m on a"]
    assert held.due(after=1.0) == []  # it has yet to end
    held.failed("m", "a")
    assert held.due(after=59.0) == []
    assert held.due(after=1.0) == ["m on a"]
    assert held.due(after=1800.0) == ["give up m on a"]


def test_a_delete_by_a_client_ends_it_until_the_model_is_pulled_again() -> None:
    held = Synced({"m": ["a", "b"]})
    held.up("a", "m")
    held.up("b", "m")
    held.deleted("m", "a", "b")
    assert (held.due(after=7200.0), held.next_in) == ([], NEVER)
    assert held.told() == [("m", "a", "deleted"), ("m", "b", "deleted")]
    held.syncing.brought(key_of("m"), ["a"])  # on one server alone: it is wanted again
    held.up("a", "m")
    assert held.due() == ["m on b"]


def test_a_delete_on_one_server_ends_it_there_alone() -> None:
    held = Synced({"m": ["a", "b", "c"]})
    held.up("a", "m")
    held.up("b", "m")
    held.deleted("m", "b")
    held.up("c")
    assert held.due() == ["m on c"]
    held.syncing.brought(key_of("m"), ["a", "c"])
    assert held.due() == []
    held.syncing.brought(key_of("m"), ["b"])
    assert held.due() == ["m on b"]


def test_what_becomes_of_models_without_sync_is_nothing_to_it() -> None:
    held = Synced({"m": ["a"]})
    held.up("a")
    held.deleted("other", "a")
    held.syncing.brought(key_of("other"), ["a"])
    held.deleted("m", "somewhere")  # a job of another configuration
    assert held.due() == ["m on a"]


def test_a_server_that_is_configured_no_more_is_passed_over() -> None:
    held = Synced({"m": ["a", "b"]})
    held.up("a")
    held.up("b")
    del held.view.servers["b"]
    assert held.due() == ["m on a"]
    assert held.told() == [("m", "a", "pulling")]


def test_without_wishes_nothing_is_ever_due() -> None:
    held = Synced({})
    assert (held.syncing.has_wishes, held.due(), held.told()) == (False, [], [])
    assert Synced({"m": ["a"]}).syncing.has_wishes


def wishes(made: Config) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.name, one.servers) for one in sync_wishes_of(made)]


def test_a_model_is_wanted_on_those_of_its_servers_that_the_nearest_level_names() -> None:
    made = config({"m": ["a", "b"], "n": ["c"], "o": ["a"], "x:cloud": ["a"]})
    made = replace(made, sync={("", ""): True, (key_of("m"), "b"): False, (key_of("o"), ""): False})
    assert wishes(made) == [("m", ("a",)), ("n", ("c",))]
    made = replace(made, sync={(key_of("m"), "b"): True})
    assert wishes(made) == [("m", ("b",))]


def test_a_model_that_is_not_configured_goes_where_clients_would_have_it_pulled() -> None:
    made = replace(
        config({"m": ["a"]}, servers=["b", "c"], expose=Expose.INSTALLED),
        sync={(key_of("n:7b"), ""): True, (key_of("o:cloud"), ""): True},
    )
    assert wishes(made) == [("n:7b", ("b", "c", "a"))]
    assert wishes(replace(made, manage_servers=("c",))) == [("n:7b", ("c",))]
