"""The view says once what changed, and keeps what is known over a new configuration."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from gollamas.config.model import Expose
from gollamas.events import (
    DigestsDiffer,
    Event,
    ModelFound,
    ModelMissing,
    ServerWentDown,
    ServerWentUp,
    Warned,
)
from gollamas.fleet.entries import Entry
from gollamas.fleet.facts import Facts
from gollamas.fleet.health import Health
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.variants import copy_name_of, name_of
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

KEY = key_of("m")


def test_up_and_down_are_said_once_each() -> None:
    """Only the probe that changes what we think makes an event."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.answered("a", "0.1.0", 1.0)
    view.answered("a", None, 2.0)
    view.silent("a", "slow", 1.0)
    assert view.any_up
    view.silent("a", "slower", 1.0)
    view.silent("a", "slowest", 1.0)
    view.connect_failed("a", "refused", 1.0)
    assert not view.any_up
    view.answered("a", None, 4.0)
    assert events == [
        ServerWentUp("a", "0.1.0"),
        ServerWentDown("a", "slower"),
        ServerWentUp("a", "0.1.0"),
    ]
    assert (view.servers["a"].version_at, view.servers["a"].why_down) == (4.0, "")


def test_since_when_a_server_is_what_it_is_changes_with_its_health_alone() -> None:
    view = view_of(config({"m": ["a"]}))
    a = view.servers["a"]
    began: object = a.since
    assert began is None
    steps: list[tuple[Callable[[float], None], float]] = [
        (lambda now: view.answered("a", "0.1.0", now), 1.0),
        (lambda now: view.answered("a", None, now), 2.0),
        (lambda now: view.silent("a", "slow", now), 3.0),
        (lambda now: view.silent("a", "slow", now), 4.0),
        (lambda now: view.answered_otherwise("a", "404", now), 5.0),
        (lambda now: view.connect_failed("a", "refused", now), 6.0),
        (lambda now: view.proved(a, now), 7.0),
        (lambda now: view.connect_failed("a", "refused", now), 8.0),
    ]
    seen = []
    for step, at in steps:
        step(at)
        seen.append((a.health.value, a.since))
    assert seen == [
        ("up", 1.0), ("up", 1.0), ("suspect", 3.0), ("down", 4.0), ("down", 4.0), ("down", 4.0),
        ("up", 7.0), ("down", 8.0),
    ]  # fmt: skip


def test_a_server_that_never_answered_is_down_since_its_first_silence() -> None:
    view = view_of(config({"m": ["a"]}))
    for now in (2.0, 3.0, 4.0):
        view.silent("a", "slow", now)
        assert view.servers["a"].since == 2.0


def test_each_loaded_instance_is_known_also_two_of_one_name() -> None:
    view = view_of(config({"m": ["a"]}))
    twins = [entry("m", "a" * 64), entry("M:latest", "b" * 64)]
    view.ran("a", twins)
    assert view.servers["a"].loaded == tuple(twins)
    assert list(view.servers["a"].running.values()) == twins[:1]


def test_a_server_that_is_down_at_the_start_is_said_to_be_down_once() -> None:
    """Its first failed probe is enough, and no other line speaks of it."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    for _ in range(3):
        view.silent("a", "connection refused", 1.0)
        assert events == [ServerWentDown("a", "connection refused")]
        assert not view.any_up
    assert view.servers["a"].is_down
    view.answered("a", "0.1.0", 1.0)
    assert events[1:] == [ServerWentUp("a", "0.1.0")]


def test_what_is_no_ollama_is_down_at_once_at_the_start() -> None:
    """No request is sent to it, and the reason is kept."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.answered_otherwise("a", "404", 1.0)
    view.answered_otherwise("a", "401", 1.0)
    assert events == [ServerWentDown("a", "404")]
    assert (view.servers["a"].is_down, view.troubles) == (True, "a: 401")


def test_an_answer_that_only_ollama_gives_counts_as_a_probes() -> None:
    """It puts a server up, also one that was suspected; one that has taken its place stays as it is."""
    events: list[Event] = []
    before = config({"m": ["a"]})
    view = view_of(before, events)
    server = view.servers["a"]
    view.proved(server, 1.0)
    assert (server.is_up, server.is_well) == (True, True)
    view.silent("a", "slow", 1.0)
    assert (server.is_up, server.is_well) == (True, False)
    view.proved(server, 2.0)
    view.silent("a", "slow", 1.0)
    assert server.is_up
    view.silent("a", "slow", 1.0)
    view.proved(server, 3.0)
    assert [type(event) for event in events] == [ServerWentUp, ServerWentDown, ServerWentUp]
    view.apply(replace(before, servers={"a": replace(before.servers["a"], port=1)}))
    view.proved(server, 4.0)
    assert view.servers["a"].health is Health.UNKNOWN


def missing_and_found(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, ModelMissing | ModelFound)]


def test_a_model_that_a_server_lacks_is_said_once_and_its_end_too() -> None:
    """Not before the server has listed, not for servers that need not have it, never for cloud models."""
    events: list[Event] = []
    view = view_of(config({"M": ["a", "b"], "c:cloud": ["a"], "n": ["b"]}), events)
    view.answered("a", "0.1.0", 1.0)
    assert missing_and_found(events) == []
    for _ in range(3):
        view.listed("a", [entry("n")])
        view.listed("b", [entry("m:latest"), entry("n")])
    assert missing_and_found(events) == [ModelMissing("M", "a")]
    assert view.servers["a"].missing == {KEY}
    view.listed("a", [entry("n"), entry("m:latest")])
    view.listed("b", [entry("m:latest")])
    view.listed("b", [entry("m:latest")])
    assert missing_and_found(events)[1:] == [ModelFound("M", "a"), ModelMissing("n", "b")]


def test_a_server_that_goes_and_comes_repeats_nothing_about_its_models() -> None:
    """What it lacks it still lacks; only a listing ends that."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.listed("a", [])
    view.connect_failed("a", "refused", 1.0)
    view.answered("a", "0.1.0", 2.0)
    view.listed("a", [])
    assert missing_and_found(events) == [ModelMissing("m", "a")]
    view.connect_failed("a", "refused", 1.0)
    view.listed("a", [entry("m")])
    assert missing_and_found(events)[1:] == [ModelFound("m", "a")]


def test_a_new_configuration_says_what_is_missing_by_it_and_forgets_the_rest() -> None:
    """At once where the server has listed; a model that it is not to run any more is neither."""
    events: list[Event] = []
    one = config({"m": ["a"]}, servers=["a", "b"])
    view = view_of(one, events)
    view.listed("a", [])
    view.listed("b", [])
    two = config({"n": ["a"], "m": ["b"]}, servers=["a", "b"])
    view.apply(two)
    view.apply(two)
    assert missing_and_found(events)[1:] == [ModelMissing("n", "a"), ModelMissing("m", "b")]
    assert view.servers["a"].missing == {key_of("n")}
    view.apply(one)
    assert missing_and_found(events)[3:] == [ModelMissing("m", "a")]
    view.apply(replace(one, servers={"a": replace(one.servers["a"], port=1)}))
    assert view.servers["a"].missing == frozenset()
    view.listed("a", [])
    assert missing_and_found(events)[4:] == [ModelMissing("m", "a")]


def test_an_empty_list_is_explained_once_while_no_server_was_reached() -> None:
    """With what is wrong with each; once one has answered, an empty list is what servers have."""
    events: list[Event] = []
    view = view_of(config({"m": ["a", "b"]}), events)
    view.silent("a", "connection refused", 1.0)
    view.explain_empty()
    view.explain_empty()
    assert events[1:] == [
        Warned(
            "a client was given an empty list: no server has been reached yet "
            "(a: connection refused; b: no answer yet)"
        )
    ]
    view = view_of(config({"m": ["a"]}), events)
    view.answered("a", "0.1.0", 1.0)
    view.connect_failed("a", "connection refused", 1.0)
    view.explain_empty()
    view = view_of(config({"m": ["a"]}), events)
    view.listed("a", [entry("m")])  # though its version is not known yet
    view.explain_empty()
    assert len([event for event in events if isinstance(event, Warned)]) == 1


def test_a_server_that_is_gone_changes_nothing() -> None:
    """Late answers of a server that was taken away are dropped."""
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.answered("b", "0.1.0", 1.0)
    view.silent("b", "slow", 1.0)
    view.answered_otherwise("b", "404", 1.0)
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
    assert ([server.id for server in started], [server.id for server in stopped]) == (["d", "b"], ["b", "c"])
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


def test_a_model_whose_contents_differ_is_called_as_configured() -> None:
    """So the log and `gollamas_digests_differ` have one name for it; else it is called as servers do."""
    for configured, name in (({"m": ["a", "b"]}, "m"), ({}, "M:latest")):
        events: list[Event] = []
        view = view_of(config(configured, servers=["a", "b"], expose=Expose.INSTALLED), events)
        view.listed("a", [entry("M:latest", "1" * 64)])
        view.listed("b", [entry("M:latest", "2" * 64)])
        assert [event.model for event in events if isinstance(event, DigestsDiffer)] == [name]


def test_only_servers_of_one_route_are_compared() -> None:
    """A server that is not to run a model may have other contents; under `installed` all are compared."""
    events: list[Event] = []
    assert told(view_of(config({"m": ["a"]}, servers=["b"]), events), events) == []
    assert told(view_of(config({}, servers=["a", "b"]), events), events) == []
    assert len(told(view_of(config({}, servers=["a", "b"], expose=Expose.INSTALLED), events), events)) == 1


def test_a_name_that_a_server_lists_twice_is_one_model_and_no_difference() -> None:
    """One entry per runner, in whatever order: servers differ only where they have no contents in common."""
    events: list[Event] = []
    view = view_of(config({"m": ["a", "b", "c"]}), events)
    twice = [entry("m", "1" * 64), entry("m", "2" * 64)]
    for _ in range(2):
        view.listed("a", twice)
    view.listed("b", [entry("m", "2" * 64), entry("m", "1" * 64)])
    assert view.servers["a"].installed == {KEY: twice[0]}
    assert list(view.differing()) == [(KEY, False)]
    assert view.servers["a"].installed[KEY].digest == "1" * 64
    view.listed("c", [entry("m", "2" * 64)])
    assert events == []
    view.listed("c", [entry("m", "3" * 64)])
    assert [event.servers for event in events if isinstance(event, DigestsDiffer)] == [("a", "c"), ("b", "c")]


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


# -- what is loaded --------------------------------------------------------------------------------------

DIGEST = "a" * 64
PUSH_OUT = (
    "run the same weights and push each other out of the memory of a: they are asked for, or were made, "
    "with unlike options"
)
SMALL = RunnerOptions((2048, *PLAIN.values[1:]))


def warnings(events: list[Event]) -> list[str]:
    """List what was warned of."""
    return [event.text for event in events if isinstance(event, Warned)]


def running(name: str, digest: str = DIGEST, **members: int) -> Entry:
    """Make an instance as a server lists it."""
    json_ = json.dumps({"name": name, "digest": digest, **members}).encode()
    return Entry(name, key_of(name), digest, json_, 0)


def load(view: View, name: str, digest: str, options: RunnerOptions, seconds: float = 1.0) -> bool:
    """Have a load of ours begin and end on server a; whether it changed nothing."""
    memory = view.memory_of("a")
    assert memory is not None
    memory.load_began(digest, key_of(name))
    is_same, _ = view.load_ended("a", digest, key_of(name), options, seconds)
    return is_same


def test_a_load_makes_a_model_loaded_at_once() -> None:
    view = view_of(config({"m": ["a"]}))
    view.listed("a", [entry("m")])
    assert not load(view, "m", DIGEST, SMALL)
    assert view.servers["a"].instances[KEY].options is SMALL
    assert load(view, "m", DIGEST, PLAIN, 0.01)


def test_a_list_that_was_asked_for_before_a_load_ended_says_nothing_about_it() -> None:
    view = view_of(config({"m": ["a"]}))
    view.listed("a", [entry("m")])
    asked = view.asking("a")
    load(view, "m", DIGEST, SMALL)
    view.ran("a", [], asked)
    assert KEY in view.servers["a"].instances
    view.ran("a", [], view.asking("a"))
    assert KEY not in view.servers["a"].instances


def test_what_a_server_has_loaded_is_known_since_it_came_up() -> None:
    view = view_of(config({"llama3.2": ["a"]}))
    server = view.servers["a"]
    view.answered("a", "0.34.3", 1.0)
    assert (server.has_shown, server.shown_at) == (False, -inf)
    view.ran("a", [], None, 2.0)
    assert (server.has_shown, server.shown_at) == (True, 2.0)
    view.ran("a", [])  # at no known time
    assert (server.has_shown, server.shown_at) == (True, 2.0)
    view.silent("a", "no answer", 3.0)
    assert server.has_shown  # one silence is forgiven
    view.silent("a", "no answer", 4.0)
    assert not server.has_shown
    view.answered("a", "0.34.3", 5.0)
    assert not server.has_shown
    view.ran("a", [], None, 6.0)
    assert (server.has_shown, server.shown_at) == (True, 6.0)


def test_a_list_is_known_by_the_changes_of_ours_that_were_before_it() -> None:
    view = view_of(config({"llama3.2": ["a"]}))
    server = view.servers["a"]
    asked = view.asking("a")
    server.memory.changed()
    view.ran("a", [], asked)
    assert server.shown_after == asked < server.memory.changes
    view.ran("a", [])
    assert server.shown_after == server.memory.changes


def test_of_a_server_that_is_gone_no_memory_is_known() -> None:
    view = view_of(config({"m": ["a"]}))
    assert (view.memory_of("b"), view.asking("b")) == (None, 0)
    assert view.load_ended("b", DIGEST, KEY, PLAIN, 1.0) == (False, None)


def test_a_server_that_goes_down_has_nothing_loaded() -> None:
    view = view_of(config({"m": ["a"]}))
    view.answered("a", "0.34.3", 1.0)
    view.listed("a", [entry("m")])
    load(view, "m", DIGEST, SMALL)
    view.silent("a", "slow", 2.0)
    assert KEY in view.servers["a"].instances
    view.silent("a", "slow", 3.0)
    assert KEY not in view.servers["a"].instances


def test_models_over_the_same_weights_that_push_each_other_out_are_told_once_with_both_names() -> None:
    """As they are configured, as the server calls them, or by their key where it has them no more."""
    events: list[Event] = []
    view = view_of(config({"M": ["a"]}), events)
    view.listed("a", [entry("m", "1" * 64), entry("Derived:latest", "2" * 64), entry("third", "3" * 64)])
    memory = view.servers["a"].memory
    for number in "123":
        memory.learned(number * 64, Facts("sha256-w", only_embeds=False))
    for _ in range(3):
        load(view, "m", "1" * 64, PLAIN)
        load(view, "derived", "2" * 64, SMALL)
    assert warnings(events) == [f"Derived:latest and M {PUSH_OUT}"]
    view.listed("a", [entry("m", "1" * 64), entry("third", "3" * 64)])
    load(view, "third", "3" * 64, PLAIN)
    assert warnings(events)[1:] == [f"{key_of('derived')} and third {PUSH_OUT}"]


def test_models_that_want_the_same_push_nobody_out() -> None:
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.listed("a", [entry("m", "1" * 64), entry("n", "2" * 64)])
    for number in "12":
        view.servers["a"].memory.learned(number * 64, Facts("sha256-w", only_embeds=False))
    load(view, "m", "1" * 64, PLAIN)
    load(view, "n", "2" * 64, PLAIN, 0.01)
    assert warnings(events) == []
    load(view, "n", "2" * 64, SMALL)
    assert warnings(events) == [f"m and n {PUSH_OUT}"]


def test_a_model_that_the_graphics_card_holds_in_part_is_told_once_for_each_context() -> None:
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.listed("a", [entry("m")])
    for context in (32768, 32768, 65536, 32768):
        load(view, "m", DIGEST, PLAIN)
        for _ in range(2):
            view.ran("a", [running("m", size=400, size_vram=300, context_length=context)])
    assert warnings(events) == [
        "m does not fit into the graphics memory of a: 25 % of it is on the CPU, "
        f"with a context of {context}; a smaller num_ctx may help"
        for context in (32768, 65536)
    ]


def test_a_context_that_no_list_shows_is_not_told() -> None:
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.ran("a", [running("m", size=400, size_vram=300)])
    assert warnings(events) == [
        "m does not fit into the graphics memory of a: 25 % of it is on the CPU; a smaller num_ctx may help"
    ]


def test_a_model_that_is_whole_in_one_memory_is_not_told() -> None:
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    sizes: list[dict[str, int]] = [
        {"size": 400, "size_vram": 400},
        {"size": 400, "size_vram": 0},
        {"size": 400, "size_vram": 500},
        {"size": 400},
        {"size_vram": 300},
        {},
    ]
    for number, members in enumerate(sizes):
        view.ran("a", [running("m", str(number) * 64, context_length=4096, **members)])
    assert warnings(events) == []


# -- variants ------------------------------------------------------------------------------------------

VARIANT = name_of(KEY, DIGEST, 4096)
STALE = name_of(KEY, "9" * 64, 4096)
FOREIGN = "gollamas/whatever:latest"


def with_variants(*more: str, expose: Expose = Expose.INSTALLED) -> View:
    """Make a view of a server that lists a model and what lies in our namespace."""
    view = view_of(config({}, servers=["a"], expose=expose))
    view.listed("a", [entry(name) for name in (VARIANT, "m", *more)])
    return view


def test_no_name_of_ours_is_listed_installed_or_run() -> None:
    view = with_variants(STALE, FOREIGN)
    a = view.servers["a"]
    assert list(a.installed) == [KEY]
    assert view.installed_on(KEY) == ("a",)
    for name in (VARIANT, STALE, FOREIGN):
        assert (view.installed_on(key_of(name)), view.offered_on(key_of(name))) == ((), ())
        assert a.memory.digest_of(key_of(name)) is None
        assert a.lacks(key_of(name))
    view.ran("a", [running(name) for name in (STALE, FOREIGN)])
    assert (a.loaded, a.running, a.instances) == ((), {}, {})
    assert view.running_on(key_of(STALE)) == ()


def test_a_runner_that_a_variant_loaded_is_the_model_s() -> None:
    view = with_variants(expose=Expose.RUNNING)
    a = view.servers["a"]
    view.ran("a", [running(VARIANT, "f" * 64, size=9, size_vram=9, context_length=4096)])
    (shown,) = a.loaded
    assert (shown.name, shown.key, shown.digest) == ("m", KEY, DIGEST)
    assert list(a.running) == [KEY]
    assert view.running_on(KEY) == view.offered_on(KEY) == ("a",)
    assert (a.instances[KEY].num_ctx, a.memory.shown_as(shown)) == (4096, a.instances[KEY])
    assert b"gollamas" not in shown.json


def test_a_hidden_copy_is_shown_nowhere_and_its_runner_is_the_model_s() -> None:
    mine, older = copy_name_of(KEY, DIGEST), copy_name_of(KEY, "9" * 64)
    view = with_variants(mine, older, expose=Expose.RUNNING)
    a = view.servers["a"]
    assert list(a.installed) == [KEY]
    view.ran("a", [running(older, "9" * 64), running(mine, DIGEST, context_length=4096)])
    assert [(shown.name, shown.key, shown.digest) for shown in a.loaded] == [("m", KEY, DIGEST)]
    assert b"gollamas" not in a.loaded[0].json
    assert (view.offered_on(KEY), view.offered_on(key_of(mine))) == (("a",), ())
    view.listed("a", [entry("m", "9" * 64), entry(mine), entry(older)])
    view.ran("a", [running(mine, DIGEST)])
    assert (a.loaded, a.running) == ((), {})


def test_a_variant_is_known_that_was_made_since_the_list_was_asked_for() -> None:
    view = view_of(config({"m": ["a"]}))
    view.listed("a", [entry("m")])
    a, asked = view.servers["a"], view.asking("a")
    a.variants.made(VARIANT, a.memory.changed())
    view.listed("a", [entry("m")], asked)
    assert a.variants.find(KEY, 4096) == VARIANT
    view.listed("a", [entry("m")], view.asking("a"))
    assert a.variants.find(KEY, 4096) is None


def test_variants_that_come_and_go_are_no_change_of_what_is_installed() -> None:
    events: list[Event] = []
    view = view_of(config({"m": ["a"]}), events)
    view.listed("a", [entry("m")])
    before = len(events)
    view.listed("a", [entry("m"), entry(VARIANT), entry(FOREIGN)])
    view.listed("a", [entry("m")])
    assert len(events) == before


@pytest.mark.parametrize(
    ("happens", "holds"),
    [
        (lambda view: view.answered("a", "0.5.0", 2.0), True),
        (lambda view: view.answered("a", None, 2.0), True),
        (lambda view: view.answered("a", "0.5.5", 2.0), False),
        (lambda view: view.silent("a", "slow", 2.0), True),
        (lambda view: [view.silent("a", "slow", 2.0), view.answered("a", None, 3.0)], True),
        (lambda view: [view.connect_failed("a", "refused", 2.0), view.answered("a", "0.5.0", 3.0)], False),
    ],
)
def test_a_refusal_is_forgotten_with_another_version_or_when_the_server_returns(
    happens: Callable[[View], object], holds: bool
) -> None:
    view = view_of(config({"m": ["a"]}))
    view.answered("a", "0.5.0", 1.0)
    view.listed("a", [entry("m")])
    view.servers["a"].variants.refused(DIGEST)
    happens(view)
    assert view.servers["a"].variants.is_refused(DIGEST) is holds


def test_a_load_tells_which_instance_had_to_leave() -> None:
    view = view_of(config({"m": ["a"]}))
    view.listed("a", [entry("m")])
    load(view, "m", DIGEST, SMALL)
    before = view.servers["a"].instances[KEY]
    view.servers["a"].memory.load_began(DIGEST, KEY)
    assert view.load_ended("a", DIGEST, KEY, PLAIN, 1.0) == (False, before)
