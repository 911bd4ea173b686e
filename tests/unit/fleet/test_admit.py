"""Admission counts what is in flight and loses no lease."""

from hypothesis import given
from hypothesis import strategies as st

from gollamas.errors import NoServerLeft
from gollamas.fleet.admit import Admission, Lease
from tests.unit.fleet.fleets import config, entry, found, key_of, view_of

KEY = key_of("llama3.2")


def test_a_lease_counts_until_it_is_given_back() -> None:
    """A request in flight is counted for its server and model, and a second leave changes nothing."""
    view = view_of(config({"llama3.2": ["a"]}))
    admission = Admission(view)
    went = admission.admit("llama3.2", found("llama3.2", "a"), ())
    assert isinstance(went, Lease)
    assert (went.server, went.why, went.key) == ("a", "only server", KEY)
    assert (view.servers["a"].in_flight, view.servers["a"].in_flight_by_model) == (1, {KEY: 1})
    admission.release(went)
    admission.release(went)
    assert (view.servers["a"].in_flight, view.servers["a"].in_flight_by_model) == (0, {})


def test_a_lease_shows_the_model_in_its_server_s_memory() -> None:
    view = view_of(config({"llama3.2": ["a"]}))
    admission = Admission(view)
    cold = admission.admit("llama3.2", found("llama3.2", "a"), ())
    view.ran("a", [entry("llama3.2")])
    warm = admission.admit("llama3.2", found("llama3.2", "a"), ())
    assert isinstance(cold, Lease)
    assert isinstance(warm, Lease)
    assert (cold.instance, warm.instance) == (None, view.servers["a"].instances[KEY])


def test_a_refusal_names_the_model_the_server_and_the_reason() -> None:
    """When every server is down the client reads which model, which server and why."""
    view = view_of(config({"llama3.2": ["gpu-1"]}))
    view.connect_failed("gpu-1", "connection refused", 1.0)
    went = Admission(view).admit("Llama3.2", found("llama3.2", "gpu-1"), ())
    assert isinstance(went, NoServerLeft)
    for word in ("Llama3.2", "gpu-1", "connection refused"):
        assert word in went.text


def test_a_server_that_is_up_and_was_tried_gave_no_answer() -> None:
    """It is reachable, so nothing else is said of it."""
    view = view_of(config({"llama3.2": ["a", "b"]}))
    view.answered("a", "0.34.3", 0.0)
    view.connect_failed("b", "connection refused", 1.0)
    went = Admission(view).admit("llama3.2", found("llama3.2", "a", "b"), {"a", "b"})
    assert isinstance(went, NoServerLeft)
    assert went.text.endswith("(a: it gave no answer; b: connection refused)")


def test_a_server_taken_away_still_gets_its_lease_back() -> None:
    """A request that outlives its server's configuration leaves without a trace."""
    view = view_of(config({"llama3.2": ["a"]}))
    admission = Admission(view)
    went = admission.admit("llama3.2", found("llama3.2", "a"), ())
    assert isinstance(went, Lease)
    view.apply(config({"llama3.2": ["b"]}))
    admission.release(went)
    assert view.servers["b"].in_flight == 0


@given(st.lists(st.one_of(st.sampled_from(["x", "y", "z"]), st.integers(0, 9)), max_size=60))
def test_no_order_of_entering_and_leaving_loses_a_lease(steps: list[str | int]) -> None:
    """The counts are those of the leases that are out, whatever enters and leaves (even twice)."""
    models = {"x": ["a"], "y": ["a", "b"], "z": ["b"]}
    view = view_of(config(models))
    admission = Admission(view)
    seen: list[Lease] = []
    out: list[Lease] = []
    for step in steps:
        if isinstance(step, str):
            went = admission.admit(step, found(step, *models[step]), ())
            assert isinstance(went, Lease)
            seen.append(went)
            out.append(went)
        elif step < len(seen):
            lease = seen[step]
            admission.release(lease)
            out = [other for other in out if other is not lease]
    for server_id, server in view.servers.items():
        here = [lease.key for lease in out if lease.server == server_id]
        assert server.in_flight == len(here)
        assert server.in_flight_by_model == {key: here.count(key) for key in here}
