"""The choice never takes a server that is down or tried, and keeps the order of its criteria."""

from hypothesis import given
from hypothesis import strategies as st

from gollamas.fleet.choose import choose
from gollamas.fleet.view import FEWEST, INSTALLED, LOADED, ONLY, ORDER, UP, View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

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


def test_a_loaded_model_goes_before_fewest_in_flight() -> None:
    """A server that has the model loaded is taken though it is busier."""
    view = fleet("a", "b")
    view.ran("b", [entry(MODEL)])
    view.servers["b"].in_flight = 7
    assert choose(view, ("a", "b"), KEY, ()) == ("b", LOADED)


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


states = st.fixed_dictionaries(
    {
        server_id: st.tuples(
            st.sampled_from(["unknown", "up", "suspect", "down"]), st.booleans(), st.integers(0, 5)
        )
        for server_id in IDS
    }
)


@given(states, st.sets(st.sampled_from(IDS)), st.permutations(IDS), st.integers(1, 4))
def test_the_choice_is_the_first_by_all_criteria(
    state: dict[str, tuple[str, bool, int]], tried: set[str], order: list[str], count: int
) -> None:
    """Whatever the fleet looks like, the chosen server is the least by the order of the criteria."""
    view = view_of(config({MODEL: IDS}))
    for server_id, (health, loaded, in_flight) in state.items():
        if health != "unknown":
            view.answered(server_id, "0.1.0", 0.0)
        if health == "suspect":
            view.silent(server_id, "slow")
        if health == "down":
            view.connect_failed(server_id, "refused", 0.0)
        if loaded:
            view.ran(server_id, [entry(MODEL)])
        view.servers[server_id].in_flight = in_flight
    candidates = order[:count]
    usable = [one for one in candidates if one not in tried and state[one][0] != "down"]
    choice = choose(view, candidates, KEY, tried)
    if not usable:
        assert choice is None
        return
    assert choice is not None
    ranked = min(usable, key=lambda one: (state[one][0] == "unknown", not state[one][1], state[one][2]))
    assert choice.server_id == ranked
