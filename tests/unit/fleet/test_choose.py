"""The choice never takes a server that is down or tried, and keeps the order of its criteria."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.choose import choose
from gollamas.fleet.server_view import FEWEST, INSTALLED, LOADED, ONLY, ORDER, UP
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, found, key_of, view_of

MODEL = "llama3.2"
KEY = key_of(MODEL)
IDS = ["a", "b", "c", "d"]


def fleet(*ids: str) -> View:
    """Return a view in which these servers are up and have nothing."""
    view = view_of(config({MODEL: ids}))
    for server_id in ids:
        view.answered(server_id, "0.32.15", 0.0)
    return view


def test_the_only_server_is_taken_while_it_is_not_down() -> None:
    """One candidate is taken unknown or up, never down or tried."""
    view = view_of(config({MODEL: ["a"]}))
    assert choose(view, ("a",), KEY, ()) == ("a", ONLY)
    assert choose(view, ("a",), KEY, {"a"}) is None
    view.connect_failed("a", "refused", 1.0)
    assert choose(view, ("a",), KEY, ()) is None
    assert choose(view, ("gone",), KEY, ()) is None


def test_configuration_order_decides_between_equals() -> None:
    """Of two equal servers the first configured one is taken."""
    assert choose(fleet("a", "b"), ("a", "b"), KEY, ()) == ("a", ORDER)
    assert choose(fleet("a", "b", "c"), ("c", "a", "b"), KEY, ()) == ("c", ORDER)


def test_fewest_in_flight_goes_before_order() -> None:
    """A server with fewer requests of ours is taken before an earlier one."""
    view = fleet("a", "b")
    view.servers["a"].in_flight = 1
    assert choose(view, ("a", "b"), KEY, ()) == ("b", FEWEST)


def test_a_loaded_model_goes_first_while_fewer_than_two_requests_are_in_flight_there() -> None:
    """A server that has the model loaded is taken though it has one, not though it has two."""
    view = fleet("a", "b")
    view.ran("b", [entry(MODEL)])
    view.servers["b"].in_flight = 1
    assert choose(view, ("a", "b"), KEY, ()) == ("b", LOADED)
    view.servers["b"].in_flight = 2
    assert choose(view, ("a", "b"), KEY, ()) == ("a", FEWEST)


def test_a_model_that_is_being_loaded_goes_first_like_one_that_is_loaded() -> None:
    """Two requests load it once, a third one may load it on another server."""
    view = fleet("a", "b")
    view.listed("b", [entry(MODEL)])
    view.listed("a", [entry(MODEL)])
    view.servers["b"].memory.wanted("a" * 64, KEY)
    view.servers["b"].in_flight = 1
    assert choose(view, ("a", "b"), KEY, ()) == ("b", LOADED)
    view.servers["b"].memory.load_began("a" * 64, KEY)
    view.ran("b", [])
    assert choose(view, ("a", "b"), KEY, ()) == ("b", LOADED)
    view.servers["b"].in_flight = 2
    assert choose(view, ("a", "b"), KEY, ()) == ("a", FEWEST)


def test_of_several_with_the_model_loaded_the_one_with_the_fewest_in_flight_goes_first() -> None:
    """Among those that have it loaded and are not busy, requests in flight decide, then the order."""
    view = fleet("a", "b", "c")
    view.ran("b", [entry(MODEL)])
    view.ran("c", [entry(MODEL)])
    assert choose(view, ("a", "b", "c"), KEY, ()) == ("b", ORDER)
    view.servers["b"].in_flight = 1
    assert choose(view, ("a", "b", "c"), KEY, ()) == ("c", FEWEST)


def test_where_all_are_busy_a_loaded_model_decides_between_equals() -> None:
    """Of servers with as many in flight the one that has the model loaded is taken."""
    view = fleet("a", "b")
    view.ran("b", [entry(MODEL)])
    view.servers["a"].in_flight = view.servers["b"].in_flight = 2
    assert choose(view, ("a", "b"), KEY, ()) == ("b", LOADED)
    view.servers["b"].in_flight = 3
    assert choose(view, ("a", "b"), KEY, ()) == ("a", FEWEST)


def test_what_counts_is_in_flight_of_any_model() -> None:
    """A request of another model makes a server as busy as one of this model."""
    view = fleet("a", "b")
    view.ran("a", [entry(MODEL)])
    admission = Admission(view)
    for _ in range(2):
        admission.admit("other", found("other", "a"), ())
    lease = admission.admit(MODEL, found(MODEL, "a", "b"), ())
    assert isinstance(lease, Lease)
    assert (lease.server, lease.why) == ("b", FEWEST)


def test_a_server_known_to_lack_the_model_goes_last() -> None:
    """A server that listed its models without this one is taken after one that has it."""
    view = fleet("a", "b")
    view.listed("a", [entry("other")])
    view.listed("b", [entry(MODEL)])
    assert choose(view, ("a", "b"), KEY, ()) == ("b", INSTALLED)
    assert choose(view, ("a", "b"), KEY, {"b"}) == ("a", ONLY)


def test_a_cloud_model_is_lacked_by_nobody() -> None:
    """A server does not list cloud names, so that it lists none says nothing."""
    view = fleet("a", "b")
    view.listed("a", [])
    assert choose(view, ("a", "b"), key_of("gpt-oss:120b-cloud"), ()) == ("a", ORDER)


def test_a_server_never_seen_goes_after_one_that_is_up() -> None:
    """A server that no probe has reached yet is usable, and only after the others."""
    view = view_of(config({MODEL: ["a", "b"]}))
    view.answered("b", "0.32.15", 0.0)
    view.servers["b"].in_flight = 9
    assert choose(view, ("a", "b"), KEY, ()) == ("b", UP)
    assert choose(view, ("a", "b"), KEY, ("b",)) == ("a", ONLY)


class Known(NamedTuple):
    """What is known of one server."""

    health: str
    has: str
    in_flight: int


states = st.fixed_dictionaries(
    {
        server_id: st.builds(
            Known,
            st.sampled_from(["unknown", "up", "suspect", "down"]),
            st.sampled_from(["unlisted", "lacks", "installed", "loaded"]),
            st.integers(0, 4),
        )
        for server_id in IDS
    }
)


def group_of(known: Known) -> int:
    """Say what the rule says of a server: it goes first, may be taken, or lacks the model."""
    if known.has == "lacks":
        return 2
    return 0 if known.has == "loaded" and known.in_flight < 2 else 1


def rank(known: Known) -> tuple[tuple[str, int], ...]:
    """Give the criteria in their order, each by its name."""
    return (
        (UP, known.health == "unknown"),
        ("group", group_of(known)),
        (FEWEST, known.in_flight),
        (LOADED, known.has != "loaded"),
    )


def reason(best: Known, second: Known) -> str:
    """Name the first criterion in which two servers differ."""
    for (name, one), (_, other) in zip(rank(best), rank(second), strict=True):
        if one != other and name == "group":
            return LOADED if one == 0 else INSTALLED
        if one != other:
            return name
    return ORDER


@given(states, st.sets(st.sampled_from(IDS)), st.permutations(IDS), st.integers(1, 4))
def test_the_choice_is_the_first_by_all_criteria(
    state: dict[str, Known], tried: set[str], order: list[str], count: int
) -> None:
    """Whatever the fleet looks like, the chosen server is the least by the order of the criteria."""
    view = view_of(config({MODEL: IDS}))
    for server_id, known in state.items():
        if known.health != "unknown":
            view.answered(server_id, "0.1.0", 0.0)
        if known.health == "suspect":
            view.silent(server_id, "slow", 1.0)
        if known.health == "down":
            view.connect_failed(server_id, "refused", 1.0)
        if known.has != "unlisted":
            view.listed(server_id, [entry("other" if known.has == "lacks" else MODEL)])
        if known.has == "loaded":
            view.ran(server_id, [entry(MODEL)])
        view.servers[server_id].in_flight = known.in_flight
    candidates = order[:count]
    usable = [state[one] for one in candidates if one not in tried and state[one].health != "down"]
    choice = choose(view, candidates, KEY, tried)
    if not usable:
        assert choice is None
        return
    best, *others = sorted(usable, key=lambda known: [value for _, value in rank(known)])
    assert choice is not None
    assert state[choice.server_id] is best
    assert choice.why == (reason(best, others[0]) if others else ONLY)
