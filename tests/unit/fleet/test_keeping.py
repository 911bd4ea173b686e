"""Which load, touch or look is due, by a clock that each test holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final

import pytest

from gollamas.config.model import EVERYWHERE, Expose, Levels, V
from gollamas.events import Event, Warned
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.keeping import Keeping, KeepLoad, KeepLook, KeepTouch
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.wishes import wishes_of
from tests.unit.fleet.fleets import config, entry, found, key_of, view_of

ALL = ("", "")
START: Final = 1000.0
UNIX: Final = 5000.0  # what the other clock is ahead
UNFIT: Final = "do not both fit into the memory of a: from now on"
LONG: Final = 3600.0  # seconds that a model stays unless a test says otherwise


class Held:
    """Servers in whatever state a test brings them into. Names stand for digests, but for copies."""

    def __init__(
        self,
        models: Mapping[str, Sequence[str]],
        preload: Levels[int] | None = None,
        ping: Levels[float] | None = None,
        *,
        installed: Sequence[str] = (),
        expose: Expose = Expose.CONFIGURED,
    ) -> None:
        made = config(models, expose=expose, servers=("a",))
        made = replace(made, preload=_keyed(preload or {}), ping=_keyed(ping or {}))
        self.now = START
        self.installed = [entry(name, _digest(name)) for name in (*models, *installed)]
        self.events: list[Event] = []
        self.view = view_of(made, self.events)
        self.admission = Admission(self.view)
        self.keeping = Keeping(wishes_of(made), self.view, self.events.append)

    def up(self, *servers: str) -> None:
        """Have servers answer, with nothing loaded."""
        for server in servers:
            self.view.answered(server, "0.34.3", self.now)
            self.view.listed(server, self.installed)
            self.show(server)

    def down(self, server: str) -> None:
        self.view.connect_failed(server, "gone", self.now)

    def show(self, server: str, *names: str, leaves: float = LONG) -> None:
        """Have a server say what it has loaded, and in how many seconds that leaves."""
        time_ns = int((self.now + UNIX + leaves) * 1e9)
        self.view.ran(server, [entry(name, _digest(name), time_ns) for name in names], None, self.now)

    def due(self, after: float = 0.0) -> list[str]:
        """Let time pass, and give what is due then; loads begin."""
        self.now += after
        said = []
        for act in self.keeping.due(self.now, self.now + UNIX):
            match act:
                case KeepLoad(server_id=server, key=key, cause=cause):
                    said.append(f"{cause} {_name(key)} on {server}")
                    self._begin(server, key)
                case KeepTouch(server_id=server, key=key):
                    said.append(f"touch {_name(key)} on {server}")
                case KeepLook(server_id=server):
                    said.append(f"look at {server}")
        return said

    def _begin(self, server: str, key: str) -> None:
        memory = self.view.servers[server].memory
        digest = memory.digest_of(key) or ""
        memory.wanted(digest, key)
        memory.load_began(digest, key)

    def end(self, server: str, name: str, *shown: str) -> None:
        """End a load well: the server has it then, and what else it is said to show."""
        self.end_unseen(server, name)
        self.show(server, name, *shown)

    def end_unseen(self, server: str, name: str) -> None:
        """End a load well, before the server lists anything."""
        memory = self.view.servers[server].memory
        memory.load_ended(_digest(name), key_of(name), PLAIN, 1.0)
        self.keeping.ended(server, key_of(name), was_loaded=True, now=self.now)

    def fail(self, server: str, name: str) -> None:
        self.view.servers[server].memory.load_failed(_digest(name))
        self.keeping.ended(server, key_of(name), was_loaded=False, now=self.now)

    def request(self, server: str, name: str) -> Lease:
        """Begin a request of a client."""
        lease = self.admission.admit(name, found(name, server), ())
        assert isinstance(lease, Lease)
        self.view.servers[server].runs += 1
        return lease

    @property
    def rest(self) -> float:
        """How long nothing is due unless something changes."""
        return self.keeping.next_at - self.now

    @property
    def warnings(self) -> list[str]:
        return [one.text for one in self.events if isinstance(one, Warned)]


def _keyed(levels: Levels[V]) -> Levels[V]:
    return {(key_of(name) if name else "", server): value for (name, server), value in levels.items()}


def _name(key: str) -> str:
    return key.removeprefix("registry.ollama.ai/library/").removesuffix(":latest")


def _digest(name: str) -> str:
    """One digest for each first letter: `m2` is a copy of `m`."""
    return name[0] * 64


def held(*models: str) -> Held:
    """Give one server that is up and has all of these, which are to be preloaded."""
    made = Held(dict.fromkeys(models, ("a",)), {ALL: EVERYWHERE})
    made.up("a")
    return made


def pinging(ping: float, *models: str) -> Held:
    """Give one server that is up and whose models are pinged."""
    made = Held(dict.fromkeys(models, ("a",)), ping={ALL: ping})
    made.up("a")
    return made


# -- preload -------------------------------------------------------------------------------------------


def test_nothing_is_kept_without_a_wish() -> None:
    made = Held({"m": ["a"]})
    made.up("a")
    assert not made.keeping.keeps_any
    assert (made.due(), made.keeping.next_at, made.keeping.not_tried()) == ([], inf, [])


def test_one_after_the_other_in_the_order_of_the_configuration() -> None:
    made = held("n", "m", "b")
    assert made.keeping.keeps_any
    assert made.due() == ["preload n on a"]
    assert made.due(5) == []  # one load at a time
    made.end("a", "n")
    assert made.due() == ["preload m on a"]
    made.end("a", "m", "n")
    assert made.due() == ["preload b on a"]
    made.end("a", "b", "m", "n")
    assert (made.due(), made.keeping.next_at) == ([], inf)


def test_servers_load_side_by_side() -> None:
    made = Held({"m": ["a", "b"], "n": ["b"]}, {ALL: EVERYWHERE})
    made.up("a", "b")
    assert made.due() == ["preload m on a", "preload m on b"]


def test_a_model_is_loaded_on_one_server_where_only_that_is_wanted() -> None:
    made = Held({"m": ["a", "b"]}, {("m", "b"): EVERYWHERE})
    made.up("a", "b")
    assert made.due() == ["preload m on b"]


def test_the_next_waits_for_what_the_server_has_after_a_load() -> None:
    made = held("m", "n")
    made.due()
    made.end_unseen("a", "m")
    assert (made.due(), made.rest) == ([], 10.0)
    made.show("a", "m")
    assert made.due() == ["preload n on a"]


def test_a_server_that_does_not_list_what_it_has_is_not_waited_for_for_ever() -> None:
    made = held("m", "n")
    made.due()
    made.end_unseen("a", "m")
    assert made.due(9.9) == []
    assert made.due(0.1) == ["preload n on a"]
    assert made.warnings == []


def test_a_server_that_never_says_what_it_has_loaded_is_asked_to_load_all_the_same() -> None:
    made = Held({"m": ["a"]}, {ALL: EVERYWHERE})
    made.view.answered("a", "0.34.3", made.now)
    assert (made.due(), made.keeping.next_at) == ([], inf)  # nor does it say what it has installed
    made.view.listed("a", made.installed)
    assert (made.due(), made.rest) == ([], 10.0)
    assert (made.due(4), made.rest) == ([], 6.0)
    assert made.due(6) == ["preload m on a"]


def test_a_server_that_returns_is_given_the_time_to_say_what_it_has() -> None:
    made = held("m")
    made.due()
    made.end("a", "m")
    made.down("a")
    made.due()
    made.view.answered("a", "0.34.3", made.now)
    assert (made.due(), made.rest) == ([], 10.0)
    made.show("a", "m")
    assert made.due() == []
    made.down("a")
    made.due(60)
    made.view.answered("a", "0.34.3", made.now)
    assert (made.due(), made.rest) == ([], 10.0)


def test_what_is_gone_is_loaded_again() -> None:
    made = held("m")
    made.show("a", "m")
    assert made.due() == []
    made.show("a")
    assert made.due() == ["preload m on a"]


def test_a_load_that_fails_is_tried_again_after_one_second_and_twice_as_long_each_time_up_to_a_minute() -> (
    None
):
    made = held("m")
    assert made.due() == ["preload m on a"]
    for pause in (1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60):
        made.fail("a", "m")
        assert (made.due(), made.rest) == ([], pause)
        assert made.due(pause - 0.01) == []
        assert made.due(0.01) == ["preload m on a"]
    made.end("a", "m")
    made.due()
    made.show("a")
    made.due(60)
    made.fail("a", "m")
    assert (made.due(), made.rest) == ([], 1)  # it was there meanwhile


def test_the_next_model_does_not_wait_for_one_that_fails() -> None:
    made = held("m", "n")
    made.due()
    made.fail("a", "m")
    assert made.due() == ["preload n on a"]


def test_a_model_that_leaves_right_after_its_load_is_loaded_again_after_a_pause() -> None:
    """As with OLLAMA_KEEP_ALIVE=0."""
    made = held("m")
    made.due()
    for pause in (1, 2, 4):
        made.end_unseen("a", "m")
        assert made.due(0.1) == []
        made.show("a")
        assert (made.due(), made.rest) == ([], pause)
        assert made.due(pause) == ["preload m on a"]


def test_a_server_that_is_down_is_asked_for_nothing_until_it_returns() -> None:
    made = held("m")
    made.down("a")
    assert (made.due(), made.keeping.next_at) == ([], inf)
    made.up("a")
    assert made.due() == ["preload m on a"]


def test_a_server_that_goes_down_while_it_loads_is_asked_again_when_it_returns() -> None:
    made = held("m", "n")
    made.due()
    made.down("a")
    made.fail("a", "m")
    assert made.due() == []
    made.up("a")
    assert made.due(1) == ["preload m on a"]


def test_what_a_server_that_went_down_had_is_no_sign_that_two_do_not_fit() -> None:
    made = held("m", "n")
    made.show("a", "m")
    for _ in range(3):
        assert made.due() == ["preload n on a"]
        made.end_unseen("a", "n")
        made.down("a")
        assert made.due() == []
        made.up("a")
        made.show("a", "m")
    assert made.warnings == []


def test_a_server_that_is_configured_no_more_is_passed_over() -> None:
    made = held("m")
    made.due()
    made.view.apply(config({"n": ["b"]}))
    made.keeping.ended("a", key_of("m"), was_loaded=True, now=made.now)
    assert made.due() == []
    assert made.keeping.not_tried() == []


def test_a_model_that_is_pulled_later_is_loaded_then() -> None:
    made = held("m")
    made.view.listed("a", [])
    assert (made.due(), made.keeping.not_tried()) == ([], [])
    made.view.listed("a", made.installed)
    assert made.keeping.not_tried() == ["m"]
    assert made.due() == ["preload m on a"]


def test_a_model_that_another_host_runs_is_not_loaded() -> None:
    made = held("m")
    made.view.listed("a", [Entry("m", key_of("m"), _digest("m"), b"{}", 0, is_remote=True)])
    assert (made.due(), made.keeping.not_tried()) == ([], [])


def test_a_model_in_the_cloud_is_not_loaded() -> None:
    made = held("m:cloud", "n")
    assert made.due() == ["preload n on a"]


def test_a_model_that_is_not_configured_is_loaded_where_it_is_open() -> None:
    made = Held({}, {("x", "a"): EVERYWHERE}, installed=["x"], expose=Expose.INSTALLED)
    made.up("a")
    assert made.keeping.not_tried() == ["x:latest"]
    assert made.due() == ["preload x on a"]


def test_what_was_unloaded_by_hand_stays_so_until_a_client_asks_for_it() -> None:
    made = Held({"m": ["a"]}, {ALL: EVERYWHERE}, {ALL: 60.0})
    made.up("a")
    memory = made.view.servers["a"].memory
    memory.unloaded_by_hand(key_of("m"))
    assert made.keeping.not_tried() == []
    assert made.due() == []
    assert made.due(60) == ["look at a"]
    made.show("a")
    assert made.due() == []
    memory.hand_unloads.asked_for(key_of("m"))
    assert made.due() == ["ping m on a"]


# -- clients go first ----------------------------------------------------------------------------------


def test_a_preload_waits_for_a_second_without_a_request_for_another_model() -> None:
    made = held("m", "n")
    lease = made.request("a", "n")
    assert made.due() == []
    assert made.rest == pytest.approx(0.1)
    made.due(20)
    made.admission.release(lease)
    assert made.due(0.9) == []
    made.admission.release(made.request("a", "n"))  # it began and ended between two looks
    assert made.due(0.5) == []
    assert made.due(0.9) == []
    assert made.due(0.1) == ["preload m on a"]


def test_at_the_start_a_preload_waits_for_nothing() -> None:
    assert held("m").due() == ["preload m on a"]


def test_a_preload_waits_for_a_minute_at_most() -> None:
    made = held("m")
    made.request("a", "n")
    assert made.due() == []
    assert made.due(59.9) == []
    assert made.due(0.1) == ["preload m on a"]


def test_each_try_waits_for_quiet_anew() -> None:
    made = held("m")
    made.request("a", "n")
    made.due()
    assert made.due(60) == ["preload m on a"]
    made.fail("a", "m")
    assert made.due(1) == []
    assert made.due(59.9) == []
    assert made.due(0.1) == ["preload m on a"]


def test_the_time_before_a_server_was_down_does_not_count() -> None:
    made = held("m")
    made.request("a", "n")
    made.due()
    made.down("a")
    made.due(100)
    made.up("a")
    assert made.due() == []
    assert made.due(59.9) == []
    assert made.due(0.1) == ["preload m on a"]


def test_a_load_that_somebody_else_wants_is_waited_for_however_long_it_takes() -> None:
    made = held("m", "n")
    memory = made.view.servers["a"].memory
    memory.wanted(_digest("n"), key_of("n"))
    assert made.due() == []
    memory.load_began(_digest("n"), key_of("n"))
    assert made.due(500) == []
    memory.load_ended(_digest("n"), key_of("n"), PLAIN, 1.0)
    assert made.due() == ["preload m on a"]


def test_what_a_client_has_loaded_is_not_loaded_once_more() -> None:
    made = held("m")
    memory = made.view.servers["a"].memory
    memory.wanted(_digest("m"), key_of("m"))
    assert made.due() == []


# -- ping ----------------------------------------------------------------------------------------------


def test_a_ping_loads_what_is_gone_at_the_start_and_each_time_it_looks() -> None:
    made = pinging(10, "m", "n")
    assert made.due() == ["ping m on a"]
    made.end("a", "m")
    assert made.due() == ["ping n on a"]
    made.end("a", "n", "m")
    assert (made.due(3), made.rest) == ([], 7)
    made.show("a")
    assert made.due() == []  # it does not look yet
    made.now += 7
    made.show("a", "n")
    assert made.due() == ["ping m on a"]


def test_a_ping_asks_a_server_once_whose_answer_is_older_than_half_of_it() -> None:
    made = pinging(10, "m", "n")
    made.show("a", "m", "n")
    assert (made.due(), made.rest) == ([], 10)
    made.now += 5
    made.show("a", "m", "n")
    assert (made.due(5), made.rest) == ([], 10)  # half a ping is young enough
    assert (made.due(10), made.rest) == (["look at a"], 5)  # once for both
    assert (made.due(1), made.rest) == ([], 4)
    made.show("a", "n")
    assert made.due(1) == ["ping m on a"]


def test_where_no_answer_comes_a_ping_goes_by_what_is_known() -> None:
    made = pinging(10, "m", "n")
    made.show("a", "m")
    made.due(5)  # the last answer
    made.fail("a", "n")
    assert made.due(10) == ["look at a"]
    assert made.due(4.9) == []
    assert made.due(0.1) == ["ping n on a"]


def test_a_ping_extends_what_would_leave_before_the_look_after_next() -> None:
    made = pinging(10, "m", "n")
    made.show("a", "m", leaves=19.9)
    made.view.servers["a"].memory.unloaded_by_hand(key_of("n"))
    assert made.due() == ["touch m on a"]
    assert (made.due(), made.rest) == ([], 10)
    made.now += 10
    made.show("a", "m", leaves=20)
    assert made.due() == []


def test_a_ping_looks_again_at_what_may_have_left_by_now() -> None:
    """A touch of what is gone would be a load that gives way to nobody."""
    made = pinging(10, "m")
    made.show("a", "m", leaves=0.5)
    assert (made.due(), made.rest) == (["look at a"], 1)
    made.now += 1
    made.show("a")
    assert made.due() == ["ping m on a"]


def test_a_ping_leaves_alone_what_stays_for_ever_or_was_not_listed_yet() -> None:
    made = pinging(10, "m")
    made.show("a", "m", leaves=292 * 365 * 86400.0)  # as Ollama lists keep_alive -1
    assert made.due() == []
    made.now += 10
    made.show("a")
    assert made.due() == ["ping m on a"]
    made.end_unseen("a", "m")
    assert made.due(5) == []
    assert made.due(5) == ["look at a"]
    assert made.due(5) == []


def test_a_ping_starts_no_load_while_requests_run_on_other_models_and_looks_again_next_time() -> None:
    made = pinging(10, "m")
    made.admission.release(made.request("a", "n"))  # has ended
    lease = made.request("a", "n")
    assert (made.due(), made.rest) == ([], 10)
    made.admission.release(lease)
    assert made.due(1) == []
    made.now += 9
    made.show("a")
    assert made.due() == ["ping m on a"]


def test_a_request_for_the_same_model_does_not_keep_a_ping_from_loading_it() -> None:
    made = pinging(10, "m")
    made.request("a", "m")
    assert made.due() == ["ping m on a"]


def test_a_ping_that_found_it_missing_is_answered_by_whoever_loads_it() -> None:
    made = pinging(10, "m")
    made.view.listed("a", [])
    assert made.due() == []
    made.view.listed("a", made.installed)
    made.show("a", "m")
    assert made.due() == []
    made.show("a")
    assert made.due() == []


def test_what_is_preloaded_and_pinged_waits_for_quiet_after_a_ping_in_vain() -> None:
    made = Held({"m": ["a"]}, {ALL: EVERYWHERE}, {ALL: 100.0})
    made.up("a")
    lease = made.request("a", "n")
    assert made.due() == []
    made.admission.release(lease)
    assert made.due(1) == ["preload m on a"]


def test_a_ping_waits_for_the_pause_after_a_load_that_failed() -> None:
    made = pinging(10, "m")
    made.due()
    for pause in (1, 2, 4, 8):
        made.fail("a", "m")
        made.due()
        made.show("a")
        assert made.due(10) in (["ping m on a"], ["look at a"])
        made.show("a")
        made.due()
        assert pause < 10
    made.fail("a", "m")
    made.now += 10
    made.show("a")
    assert (made.due(), made.rest) == ([], 6)  # of sixteen seconds
    assert made.due(6) == ["ping m on a"]


# -- so many instances ---------------------------------------------------------------------------------


def spread(number: int, ping: float | None = None) -> Held:
    """Give three servers of a model of which so many are to have it."""
    pings = {} if ping is None else {ALL: ping}
    made = Held({"m": ["a", "b", "c"], "n": ["a", "b", "c"]}, {("m", ""): number}, pings)
    made.up("a", "b", "c")
    return made


def test_so_many_instances_are_loaded_where_requests_would_go() -> None:
    made = spread(2)
    made.request("a", "n")
    assert made.due() == ["preload m on b", "preload m on c"]
    assert made.due() == []


def test_an_instance_that_is_there_is_one_of_them() -> None:
    made = spread(1)
    made.show("c", "m")
    assert made.due() == []


def test_an_instance_moves_when_its_server_goes_down() -> None:
    made = spread(1)
    assert made.due() == ["preload m on a"]
    made.end("a", "m")
    assert made.due() == []
    made.down("a")
    assert made.due() == ["preload m on b"]
    made.end("b", "m")
    made.up("a")
    assert made.due() == []


def test_a_load_that_fails_is_tried_elsewhere_and_then_anywhere() -> None:
    made = spread(1)
    made.due()
    made.fail("a", "m")
    assert made.due() == ["preload m on b"]
    made.fail("b", "m")
    assert made.due() == ["preload m on c"]
    made.fail("c", "m")
    assert (made.due(), made.rest) == ([], 1)
    assert made.due(1) == ["preload m on a"]


def test_more_instances_than_servers_are_one_on_each() -> None:
    assert len(spread(5).due()) == 3


def test_servers_that_cannot_have_it_do_not_count() -> None:
    made = spread(1)
    made.view.listed("a", [])
    made.view.servers["b"].memory.unloaded_by_hand(key_of("m"))
    assert made.due() == ["preload m on c"]


def test_a_server_that_was_never_seen_does_not_count() -> None:
    made = Held({"m": ["a", "b"]}, {ALL: 1})
    made.up("b")
    assert made.due() == ["preload m on b"]
    made.view.apply(config({"m": ["b"]}))
    assert made.due() == []


def test_a_ping_makes_no_more_instances_than_are_wanted() -> None:
    made = spread(1, ping=10)
    made.view.servers["a"].memory.unloaded_by_hand(key_of("n"))
    assert [act for act in made.due() if " m " in act] == ["ping m on a"]
    made.end("a", "m")
    assert [act for act in made.due(1) if " m " in act] == []


# -- what does not fit ---------------------------------------------------------------------------------


def push(made: Held, name: str, *left: str) -> None:
    """Have a load begin that is due, and end with only these beside it."""
    assert made.due() == [f"preload {name} on a"]
    made.end("a", name, *left)


def test_of_two_that_do_not_fit_the_earlier_stays_and_one_warning_names_both() -> None:
    made = held("m", "n")
    push(made, "m")
    push(made, "n")
    push(made, "m")
    assert made.due() == []
    assert made.warnings == [f"m and n {UNFIT} n is loaded there only when a client asks for it"]
    assert made.keeping.unfit() == [("a", "m", "n")]
    made.show("a")
    assert made.due() == ["preload m on a"]
    made.end("a", "m")
    assert (made.due(), len(made.warnings)) == ([], 1)


def test_the_later_is_left_alone_while_it_is_there_for_a_client() -> None:
    made = Held({"m": ["a"], "n": ["a"], "o": ["a"]}, {ALL: EVERYWHERE}, {("n", ""): 10.0})
    made.up("a")
    for name in ("m", "n", "m"):
        made.due()
        made.end("a", name)
    made.due()
    made.end("a", "o", "m")
    assert (made.due(), len(made.warnings)) == ([], 1)
    made.show("a", "n", leaves=5)  # a client has loaded it
    assert made.due() == ["preload o on a"]  # which has no quarrel with it
    made.end("a", "o")
    made.now += 10
    made.show("a", "n", "o", leaves=5)
    assert made.due() == []  # nor is it extended
    made.show("a", "o")
    assert made.due() == ["preload m on a"]


def test_what_was_pushed_out_once_is_no_sign_if_both_are_there_next_time() -> None:
    made = held("m", "n")
    for _ in range(3):
        push(made, "m")
        push(made, "n")  # a client's model was there
        push(made, "m", "n")
        assert made.due() == []
        made.show("a", "m")
        push(made, "n", "m")
        assert made.due() == []
        made.show("a")
    assert made.warnings == []


def test_what_was_unloaded_by_hand_during_a_load_was_not_pushed_out() -> None:
    made = held("m", "n")
    push(made, "m")
    memory = made.view.servers["a"].memory
    for _ in range(3):
        assert made.due() == ["preload n on a"]
        memory.unloaded_by_hand(key_of("m"))
        memory.unloaded(key_of("m"))
        made.end("a", "n")
        assert made.due() == []
        memory.hand_unloads.asked_for(key_of("m"))
        made.show("a", "m")
    assert made.warnings == []


def test_of_three_of_which_any_two_fit_one_waits_after_one_warning() -> None:
    made = held("m", "n", "o")
    push(made, "m")
    push(made, "n", "m")
    push(made, "o", "n")
    push(made, "m", "o")
    push(made, "n", "m")
    push(made, "o", "n")
    push(made, "m", "n")
    assert made.due() == []
    assert made.warnings == [f"m and o {UNFIT} o is loaded there only when a client asks for it"]


def test_one_that_pushes_all_others_out_waits() -> None:
    made = held("m", "n", "o")
    push(made, "m")
    push(made, "n", "m")
    push(made, "o")
    push(made, "m")
    push(made, "n", "m")
    assert made.due() == []
    assert [text.split(" do not")[0] for text in made.warnings] == ["m and o"]


def test_names_of_one_digest_are_loaded_once() -> None:
    made = held("m", "m2")
    push(made, "m")
    assert made.due() == []


def test_models_over_the_same_weights_that_push_each_other_out_do_not_fit() -> None:
    made = held("m", "n")
    memory = made.view.servers["a"].memory
    for name in ("m", "n"):
        memory.learned(_digest(name), Facts("sha256-weights", only_embeds=False))
    push(made, "m")
    push(made, "n")
    push(made, "m")
    assert (made.due(), len(made.warnings)) == ([], 1)


# -- readiness -----------------------------------------------------------------------------------------


def test_a_model_is_tried_once_its_load_has_ended() -> None:
    made = held("m", "n")
    assert made.keeping.not_tried() == ["m", "n"]
    made.due()
    made.due()  # a look while it loads
    assert made.keeping.not_tried() == ["m", "n"]
    made.end("a", "m")
    assert made.keeping.not_tried() == ["n"]
    made.due()
    made.fail("a", "n")
    assert made.keeping.not_tried() == []


def test_what_is_there_needs_no_try() -> None:
    made = held("m")
    made.show("a", "m")
    made.due()
    assert made.keeping.not_tried() == []


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_server_that_has_not_answered_holds_it_up_until_it_is_down(failures: int) -> None:
    made = Held({"m": ["a"]}, {ALL: EVERYWHERE})
    for _ in range(failures):
        made.view.silent("a", "no answer", made.now)
    assert made.keeping.not_tried() == ([] if failures else ["m"])


def test_what_a_server_lacks_holds_nothing_up() -> None:
    made = Held({"m": ["a"]}, {ALL: EVERYWHERE})
    made.view.answered("a", "0.34.3", made.now)
    assert made.keeping.not_tried() == ["m"]
    made.view.listed("a", [])
    assert made.keeping.not_tried() == []


def test_a_ping_alone_holds_nothing_up() -> None:
    assert pinging(10, "m").keeping.not_tried() == []


def test_so_many_tries_are_enough_as_instances_are_wanted() -> None:
    made = spread(2)
    made.view.listed("a", [])  # which is no try
    made.due()
    made.end("b", "m")
    assert made.keeping.not_tried() == ["m"]
    made.fail("c", "m")
    assert made.keeping.not_tried() == []


def test_where_all_are_wanted_all_are_tried() -> None:
    made = Held({"m": ["a", "b"]}, {ALL: EVERYWHERE})
    made.up("a", "b")
    made.due()
    made.end("a", "m")
    assert made.keeping.not_tried() == ["m"]
    made.end("b", "m")
    assert made.keeping.not_tried() == []
