"""What is to be kept in memory is read off the levels, in the order of the configuration."""

from dataclasses import replace

from gollamas.config.model import EVERYWHERE, Config, Expose, Levels
from gollamas.fleet.wishes import Wish, wishes_of
from tests.unit.fleet.fleets import config, key_of

M, N = key_of("m"), key_of("n")
ALL = ("", "")


def made(preload: Levels[int] | None = None, ping: Levels[float] | None = None) -> Config:
    """Return a configuration of two models, of which only the second is on both servers."""
    base = config({"m": ["a"], "n": ["a", "b"]}, expose=Expose.INSTALLED)
    return replace(base, preload=preload or {}, ping=ping or {})


def of(wishes: list[Wish]) -> dict[str, tuple[int, list[str], dict[str, float]]]:
    """Give what is wished by the models' names: how many, where, and how often one looks."""
    return {one.name: (one.instances, sorted(one.preloaded), dict(one.pings)) for one in wishes}


def test_nothing_is_wished_where_nothing_is_said() -> None:
    assert wishes_of(made()) == []
    assert wishes_of(made(preload={ALL: None}, ping={ALL: None})) == []


def test_what_is_said_of_all_holds_for_configured_models_in_their_order() -> None:
    found = wishes_of(made(preload={ALL: EVERYWHERE}, ping={ALL: 240.0}))
    assert found == [
        Wish(M, "m", ("a",), EVERYWHERE, frozenset("a"), {"a": 240.0}),
        Wish(N, "n", ("a", "b"), EVERYWHERE, frozenset("ab"), {"a": 240.0, "b": 240.0}),
    ]


def test_the_nearest_level_holds_and_off_lifts_it() -> None:
    found = wishes_of(
        made(
            preload={ALL: EVERYWHERE, (N, "a"): None, (M, ""): None},
            ping={ALL: 240.0, (N, ""): 60.0, (N, "b"): None, (M, ""): None},
        )
    )
    assert of(found) == {"n": (EVERYWHERE, ["b"], {"a": 60.0})}


def test_so_many_instances_are_counted_where_the_model_may_be() -> None:
    found = wishes_of(made(preload={ALL: 2, (N, ""): 1, (N, "b"): None}))
    assert of(found) == {"m": (2, ["a"], {}), "n": (1, ["a"], {})}


def test_one_server_of_a_model_that_is_off_elsewhere_is_all_there_is() -> None:
    found = wishes_of(made(preload={(N, ""): None, (N, "b"): EVERYWHERE}))
    assert of(found) == {"n": (EVERYWHERE, ["b"], {})}


def test_models_that_are_not_configured_come_last_and_may_be_on_every_server() -> None:
    library, own = key_of("other"), key_of("hf.co/me/mine:q4")
    found = wishes_of(made(preload={(library, "b"): EVERYWHERE, (M, ""): 1}, ping={(own, ""): 30.0}))
    assert of(found) == {
        "m": (1, ["a"], {}),
        "other:latest": (EVERYWHERE, ["b"], {}),
        "hf.co/me/mine:q4": (0, [], {"a": 30.0, "b": 30.0}),
    }
    assert [one.servers for one in found] == [("a",), ("a", "b"), ("a", "b")]


def test_what_runs_in_the_cloud_is_kept_nowhere() -> None:
    base = config({"m": ["a"], "big:cloud": ["a"], "gpt-oss:120b-cloud": ["a"]})
    found = wishes_of(replace(base, preload={ALL: EVERYWHERE}, ping={ALL: 60.0}))
    assert [one.name for one in found] == ["m"]
