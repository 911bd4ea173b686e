"""The view says once what changed, and keeps what is known over a new configuration."""

from dataclasses import replace

from gollamas.config.model import Expose
from gollamas.events import DigestsDiffer, Event, ServerWentDown, ServerWentUp
from gollamas.fleet.health import Health
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

KEY = key_of("m")


def test_up_and_down_are_said_once_each() -> None:
    """Only the probe that changes what we think makes an event."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.answered("a", "0.1.0", 1.0)
    view.answered("a", None, 2.0)
    view.silent("a", "slow")
    assert view.any_up
    view.silent("a", "slower")
    view.silent("a", "slowest")
    view.connect_failed("a", "refused", 3.0)
    assert not view.any_up
    view.answered("a", None, 4.0)
    assert events == [
        ServerWentUp("a", "0.1.0"),
        ServerWentDown("a", "slower"),
        ServerWentUp("a", "0.1.0"),
    ]
    assert (view.servers["a"].version_at, view.servers["a"].why_down) == (4.0, "")


def test_a_server_that_is_gone_changes_nothing() -> None:
    """Late answers of a server that was taken away are dropped."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.answered("b", "0.1.0", 1.0)
    view.silent("b", "slow")
    view.connect_failed("b", "refused", 1.0)
    view.listed("b", [entry("m")])
    view.ran("b", [entry("m")])
    assert (events, view.installed_on(KEY), view.running_on(KEY)) == ([], (), ())


def test_who_has_a_model_follows_what_servers_say() -> None:
    """Holders stand in configuration order, come and go with each answer."""
    view = view_of(config({"m": ["b", "a"]}))
    view.listed("a", [entry("m"), entry("M:latest", "b" * 64)])
    view.listed("b", [entry("m"), entry("n")])
    view.ran("a", [entry("m")])
    assert view.installed_on(KEY) == ("b", "a")
    assert view.servers["a"].installed[KEY].name == "m"
    assert view.running_on(KEY) == ("a",)
    view.listed("b", [])
    view.ran("a", [])
    assert (view.installed_on(KEY), view.installed_on(key_of("n")), view.running_on(KEY)) == (("a",), (), ())


def test_a_new_configuration_keeps_the_servers_that_stayed() -> None:
    """A server with another address is a new one, one that stayed keeps health and contents."""
    before = config({"m": ["a", "b", "c"]})
    view = view_of(before)
    for server_id in "abc":
        view.answered(server_id, "0.1.0", 1.0)
        view.listed(server_id, [entry("m")])
    servers = {
        "d": replace(before.servers["a"], id="d"),
        "b": replace(before.servers["b"], port=1),
        "a": before.servers["a"],
    }
    started, stopped = view.apply(replace(before, servers=servers))
    assert ([server.id for server in started], sorted(stopped)) == (["d", "b"], ["b", "c"])
    assert (view.servers["a"].health, view.servers["b"].health) == (Health.UP, Health.UNKNOWN)
    assert view.installed_on(KEY) == ("a",)


def told(view: View, events: list[Event]) -> list[DigestsDiffer]:
    for server_id, digest in (("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")):
        view.listed(server_id, [])
        view.listed(server_id, [entry("m", digest * 64)])
    return [event for event in events if isinstance(event, DigestsDiffer)]


def test_differing_contents_are_said_once_per_pair() -> None:
    """Two digests of one model warn once, a third one warns again."""
    events: list[Event] = []
    view = view_of(config({"m": ["a", "b"]}), events)
    assert told(view, events) == [DigestsDiffer("m", ("a", "b"))]
    view.listed("a", [entry("m", "3" * 64)])
    assert [event.servers for event in events if isinstance(event, DigestsDiffer)] == [("a", "b"), ("b", "a")]


def test_only_servers_of_one_route_are_compared() -> None:
    """A server that is not to run a model may have other contents; under `installed` all are compared."""
    events: list[Event] = []
    assert told(view_of(config({"m": ["a"]}, servers=["b"]), events), events) == []
    assert told(view_of(config({}, servers=["a", "b"]), events), events) == []
    assert len(told(view_of(config({}, servers=["a", "b"], expose=Expose.INSTALLED), events), events)) == 1


def test_what_is_offered_follows_expose() -> None:
    """Configured offers nothing more, running what is loaded, installed all that servers have."""
    for expose, loaded, there in (
        (Expose.CONFIGURED, (), ()),
        (Expose.RUNNING, ("b",), ()),
        (Expose.INSTALLED, ("a", "b"), ("a",)),
    ):
        view = view_of(config({}, servers=["a", "b"], expose=expose))
        view.listed("a", [entry("m"), entry("n")])
        view.listed("b", [entry("m")])
        view.ran("b", [entry("m")])
        assert (view.offered_on(KEY), view.offered_on(key_of("n"))) == (loaded, there)
