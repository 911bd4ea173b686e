"""What is told of models: who may serve them, and what is wanted of them."""

from dataclasses import replace

import msgspec

from gollamas.config.model import EVERYWHERE, LOADED, Config, Expose
from gollamas.fleet.policy import Policies
from gollamas.fleet.view import View
from gollamas.observe.models import RoutedModels, named
from tests.unit.fleet.fleets import config, entry, key_of, view_of

KEY = key_of("m")


def told(view: View, made: Config) -> list[dict[str, object]]:
    models = RoutedModels(made, Policies(made))
    return [msgspec.to_builtins(models.state(*one)) for one in models.routed(view)]


def test_a_model_of_which_nothing_is_said() -> None:
    made = config({"m": ["a", "b"]}, {"x": "m", "y": "m"})
    assert told(view_of(made), made) == [
        {
            "name": "m",
            "aliases": ["x", "y"],
            "servers": ["a", "b"],
            "is_configured": True,
            "policies": {},
            "preload": 0,
            "preloaded_on": [],
            "pings": {},
            "sync": False,
        }
    ]


def test_policies_are_told_by_server_where_there_are_any() -> None:
    made = replace(
        config({"m": ["a", "b", "c"]}),
        keep_alive={(KEY, "a"): -1.0},
        force_num_ctx={(KEY, "a"): 4096},
        num_ctx={(KEY, "b"): LOADED},
        limit_num_ctx={(KEY, "b"): 8192},
        on_limit={(KEY, "b"): "clamp"},
        on_overflow={(KEY, "b"): "error"},
    )
    (model,) = told(view_of(made), made)
    assert model["policies"] == {
        "a": {
            "keep_alive": -1.0,
            "forces_keep_alive": False,
            "num_ctx": 4096,
            "forces_num_ctx": True,
            "limit_num_ctx": None,
            "on_limit": "error",
            "on_overflow": "pass",
        },
        "b": {
            "keep_alive": None,
            "forces_keep_alive": False,
            "num_ctx": "loaded",
            "forces_num_ctx": False,
            "limit_num_ctx": 8192,
            "on_limit": "clamp",
            "on_overflow": "error",
        },
    }


def test_what_is_kept_in_memory_is_told_with_its_servers() -> None:
    made = replace(
        config({"m": ["b", "a"], "n": ["a"]}),
        preload={(KEY, ""): EVERYWHERE, (KEY, "a"): 1, (key_of("n"), ""): 1},
        ping={(KEY, "b"): 30.0},
    )
    m, n = told(view_of(made), made)
    assert (m["preload"], m["preloaded_on"], m["pings"]) == (EVERYWHERE, ["b", "a"], {"b": 30.0})
    assert (n["preload"], n["preloaded_on"], n["pings"]) == (1, ["a"], {})


def test_what_expose_opens_stands_behind_the_configured_models() -> None:
    for expose, names in (
        (Expose.CONFIGURED, ["m"]),
        (Expose.RUNNING, ["m", "Seen:7b"]),
        (Expose.INSTALLED, ["m", "Seen:7b", "Other:1b"]),
    ):
        made = config({"m": ["a"]}, servers=["a", "b"], expose=expose)
        view = view_of(made)
        view.listed("b", [entry("Other:1b"), entry("m"), entry("gpt:20b-cloud")])
        view.ran("a", [entry("Seen:7b")])
        found = told(view, made)
        assert [one["name"] for one in found] == names
        assert [one["is_configured"] for one in found] == [True] + [False] * (len(names) - 1)
        assert found[-1]["servers"] == (["b"] if expose is Expose.INSTALLED else ["a"])


def test_a_model_whose_server_has_just_said_otherwise_keeps_its_name() -> None:
    made = config({}, servers=["a"], expose=Expose.INSTALLED)
    view = view_of(made)
    view.listed("a", [entry("x:7b")])
    view.servers["a"].installed = {}
    assert [one["name"] for one in told(view, made)] == ["x:7b"]


def test_a_name_is_the_configured_one_else_that_of_the_server() -> None:
    made = config({"m": ["a"]}, servers=["a"])
    view = view_of(made)
    view.listed("a", [entry("M"), entry("N:7b")])
    server = view.servers["a"]
    assert [named(key_of(name), server, made) for name in ("m", "n:7b", "o")] == ["m", "N:7b", key_of("o")]
