"""Models that push each other out of a server's memory: what counts, and what is told of."""

import msgspec
import pytest

from gollamas.events import LoadCause
from gollamas.fleet.crowding import Crowded, Crowding
from gollamas.fleet.entries import Entry
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

UNIX = 1_800_000_000.0
A, B = key_of("a"), key_of("b")


def shown(name: str, left_s: float) -> Entry:
    """Make an instance that leaves by itself so many seconds from UNIX on."""
    json = msgspec.json.encode({"name": name})
    return Entry(name, key_of(name), f"{name}" * 8, json, int((UNIX + left_s) * 1e9))


class Server:
    """A server whose memory has room for one model; time goes on by ten seconds with each load."""

    def __init__(self) -> None:
        self.crowding = Crowding()
        self.view: View = view_of(config({"a": ["s"], "b": ["s"]}))
        self.view.answered("s", "0.34.3", 0.0)
        self.view.listed("s", [entry("a", "a" * 8), entry("b", "b" * 8)])
        self.now = 1000.0

    def lists(self, *names: str, left_s: float = 1e6) -> None:
        self.view.ran("s", [shown(name, left_s) for name in names])
        self.crowding.listed(self.view.servers["s"], self.now, UNIX)

    def loads(self, name: str, cause: LoadCause = LoadCause.COLD, *, shows_middle: bool = False) -> None:
        if shows_middle:
            self.now += 7
            self.lists()  # the other one has left, and this one is not there yet
            self.now -= 7
        self.now += 10
        self.crowding.loaded("s", key_of(name), cause, 5.0, self.now)
        self.lists(name)
        self.now += 10

    def pairs(self) -> list[Crowded]:
        return self.crowding.pairs(self.now)


def test_two_that_leave_for_each_other_again_and_again_are_told_of() -> None:
    server = Server()
    for name in "abab":
        server.loads(name)
        assert server.pairs() == []  # one may leave once, or twice, as it should
    server.loads("a")
    (pair,) = server.pairs()
    assert (pair.server_id, pair.models, pair.times) == ("s", (A, B), 4)
    assert pair.last_at == server.now - 10


def test_it_counts_where_the_list_of_the_middle_of_a_load_shows_it() -> None:
    server = Server()
    for name in "ababa":
        server.loads(name, shows_middle=True)
    assert len(server.pairs()) == 1


def test_of_two_loads_it_left_for_the_one_that_was_under_way() -> None:
    server = Server()
    server.loads("a")
    for name in "baba":
        server.crowding.loaded("s", key_of("c"), LoadCause.COLD, 1.0, server.now - 12)
        server.loads(name, shows_middle=True)
    assert [pair.models for pair in server.pairs()] == [(A, B)]


def test_what_happened_an_hour_ago_is_forgotten() -> None:
    server = Server()
    for name in "ababa":
        server.loads(name)
    server.now += 3500
    assert server.pairs()
    server.now += 100
    assert server.pairs() == []


@pytest.mark.parametrize("cause", [LoadCause.HAND, LoadCause.OPTIONS])
def test_what_an_operator_or_other_options_load_is_no_need(cause: LoadCause) -> None:
    server = Server()
    for name in "ababa":
        server.loads(name, cause)
    assert server.pairs() == []


def test_one_whose_time_was_over_did_not_leave_for_another() -> None:
    server = Server()
    for name in "ababab":
        server.now += 10
        server.crowding.loaded("s", key_of(name), LoadCause.COLD, 5.0, server.now)
        server.lists(name, left_s=0.5)
    assert server.pairs() == []


def test_one_that_was_told_to_leave_did_not_leave_for_another() -> None:
    server = Server()
    memory = server.view.servers["s"].memory
    for name, other in zip("ababab", "bababa", strict=True):
        memory.unloaded(key_of(other))
        server.loads(name)
    assert server.pairs() == []
    assert memory.sent_away == set()


def test_one_that_an_operator_unloaded_did_not_leave_for_another() -> None:
    server = Server()
    for name, other in zip("ababab", "bababa", strict=True):
        server.view.servers["s"].memory.unloaded_by_hand(key_of(other))
        server.loads(name)
    assert server.pairs() == []


def test_one_that_was_gone_before_a_load_began_did_not_leave_for_it() -> None:
    server = Server()
    for name in "ababab":
        server.loads(name)
        server.lists()
        server.now += 60
    assert server.pairs() == []


def test_a_server_that_was_down_may_have_started_anew() -> None:
    server = Server()
    for name in "ababab":
        server.view.connect_failed("s", "refused", server.now)
        server.view.answered("s", "0.34.3", server.now + 1)
        server.loads(name)
    assert server.pairs() == []


def test_another_server_by_the_same_name_has_a_memory_of_its_own() -> None:
    server = Server()
    for name in "ababab":
        server.view = view_of(config({"a": ["s"], "b": ["s"]}))
        server.loads(name)
    assert server.pairs() == []
