"""What the metrics tell of the present: by the view, each series once, none that clients think up."""

import pytest

from gollamas.config.model import Config, Expose
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.view import View
from gollamas.observe.gauges import Gauges
from tests.unit.fleet.fleets import config, entry, view_of
from tests.unit.fleet.fleets import found as found_of


def gauges(made: Config) -> tuple[View, Gauges]:
    """Make the gauges of servers that are all up."""
    view = view_of(made)
    for server_id in view.servers:
        view.answered(server_id, "0.34.3", 1.0)
    return view, Gauges(view, made, lambda: [("client", 1)])


def test_a_configured_model_is_loaded_or_not_on_each_server_of_its_route() -> None:
    view, found = gauges(config({"m": ["a", "b"], "n": ["b"]}))
    view.ran("a", [entry("M:latest")])
    assert list(found.loaded()) == [("m", "a", True), ("m", "b", False), ("n", "b", False)]


def test_on_a_server_that_is_down_nothing_is_loaded() -> None:
    view, found = gauges(config({"m": ["a"]}))
    view.ran("a", [entry("m")])
    view.connect_failed("a", "refused", 1.0)
    assert list(found.loaded()) == [("m", "a", False)]


def test_what_is_loaded_and_not_routed_is_one_series() -> None:
    view, found = gauges(config({"m": ["a"]}))
    view.ran("a", [entry("x"), entry("y")])
    assert list(found.loaded()) == [("m", "a", False), ("other", "a", True)]


@pytest.mark.parametrize("expose", [Expose.RUNNING, Expose.INSTALLED])
def test_under_a_wider_expose_what_is_loaded_has_its_name(expose: Expose) -> None:
    view, found = gauges(config({}, servers=["a", "b"], expose=expose))
    view.ran("b", [entry("x:1b")])
    assert list(found.loaded()) == [("x:1b", "b", True)]
    assert found.label("X:1B") == "x:1b"
    assert found.label("y") is None


def test_servers_of_a_route_differ_until_their_contents_are_the_same_again() -> None:
    view, found = gauges(config({"m": ["a", "b"], "n": ["a"]}, servers=["c"]))
    assert list(found.differing()) == [("m", False), ("n", False)]
    for server_id, digest in (("a", "1"), ("b", "2"), ("c", "3")):
        view.listed(server_id, [entry("m", digest * 64), entry("n", digest * 64)])
    assert list(found.differing()) == [("m", True), ("n", False)]
    view.listed("b", [entry("m", "1" * 64)])
    assert list(found.differing()) == [("m", False), ("n", False)]


def test_a_name_that_one_server_lists_twice_is_no_difference() -> None:
    view, found = gauges(config({"m": ["a", "b"]}))
    view.listed("a", [entry("m", "1" * 64), entry("m", "2" * 64)])
    view.listed("b", [entry("m", "1" * 64)])
    assert list(found.differing()) == [("m", False)]


def test_under_installed_any_model_of_two_servers_is_compared() -> None:
    view, found = gauges(config({}, servers=["a", "b"], expose=Expose.INSTALLED))
    view.listed("a", [entry("m", "1" * 64), entry("n")])
    view.listed("b", [entry("m", "2" * 64)])
    assert dict(found.differing()) == {"m": True, "n": False}


def test_what_is_no_name_is_no_label() -> None:
    _, found = gauges(config({"m": ["a"]}, expose=Expose.INSTALLED))
    for text in ("", "a b", "m:local:cloud"):
        assert found.label(text) is None


def test_no_series_stands_twice() -> None:
    """An alias may bear the name of an installed model; models that are not ours to know are one."""
    made = config({"m": ["a"]}, aliases={"gpt-4o": "m"}, expose=Expose.INSTALLED)
    view, found = gauges(made)
    view.listed("a", [entry("m"), entry("gpt-4o")])
    view.ran("a", [entry("m"), entry("gpt-4o")])
    assert list(found.loaded()) == [("m", "a", True)]
    assert list(found.differing()) == [("m", False)]
    admission = Admission(view)
    for name in ("x", "y", "m"):
        assert isinstance(admission.admit(name, found_of(name, "a"), ()), Lease)
    assert list(found.in_flight()) == [("other", "a", 2), ("m", "a", 1)]


def test_servers_are_up_or_not() -> None:
    view, found = gauges(config({"m": ["a", "b"]}))
    view.connect_failed("b", "refused", 1.0)
    assert list(found.servers()) == [("a", True), ("b", False)]
    assert list(found.connections()) == [("client", 1)]
