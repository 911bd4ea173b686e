"""Reloads are counted each, and warned of once a minute per model, with what ends them."""

import pytest

from gollamas.events import Event, Reloaded, Warned
from gollamas.fleet import reloads as module
from gollamas.fleet.reloads import Reloads, differing
from gollamas.fleet.runner_options import PLAIN, RunnerOptions


def options(
    num_ctx: int | None = None, num_gpu: int | None = None, *, shift: bool | None = None
) -> RunnerOptions:
    """Make runner options."""
    return RunnerOptions((num_ctx, None, num_gpu, *PLAIN.values[3:-1], shift))


SMALL, LARGE = options(2048), options(8192)


def noting() -> tuple[Reloads, list[Event]]:
    """Make what counts, and the list of what it tells."""
    events: list[Event] = []
    return Reloads(events.append), events


def warnings(events: list[Event]) -> list[str]:
    """List what was warned of."""
    return [event.text for event in events if isinstance(event, Warned)]


def advice(before: RunnerOptions | None, after: RunnerOptions) -> str:
    """Say what ends a reload, as the first warning has it."""
    reloads, events = noting()
    reloads.noted("a", "m:latest", before, after, 1.0)
    return warnings(events)[0].partition("; ")[2]


def test_each_reload_is_told_with_what_differed() -> None:
    reloads, events = noting()
    for now in range(3):
        reloads.noted("a", "m:latest", SMALL, options(8192, 20), float(now))
    told = [event for event in events if isinstance(event, Reloaded)]
    assert (
        told
        == [
            Reloaded(
                server="a",
                model="m:latest",
                differs="num_ctx, num_gpu",
                before="num_ctx=2048",
                after="num_ctx=8192,num_gpu=20",
            )
        ]
        * 3
    )


def test_the_first_reload_is_warned_of_at_once_and_the_next_ones_once_a_minute() -> None:
    reloads, events = noting()
    for now in (0.0, 1.0, 30.0, 59.9, 60.0, 61.0, 119.0):
        reloads.noted("a", "m:latest", SMALL, LARGE, now)
    reloads.noted("b", "m:latest", LARGE, PLAIN, 400.0)
    first, second, third = warnings(events)
    assert first.startswith(
        "m:latest was reloaded on a: its options changed from num_ctx=2048 to num_ctx=8192; "
    )
    assert "reloaded 4 times, last on a" in second
    assert "reloaded 3 times, last on b: its options changed from num_ctx=8192 to none; " in third


def test_each_model_is_warned_of_apart() -> None:
    reloads, events = noting()
    for model in ("m", "other", "m", "other"):
        reloads.noted("a", model, SMALL, LARGE, 1.0)
    assert [text.split()[0] for text in warnings(events)] == ["m", "other"]


def test_the_models_that_are_remembered_are_bounded() -> None:
    reloads, events = noting()
    for number in range(module._MOST_MODELS):
        reloads.noted("a", f"m{number}", SMALL, LARGE, 1.0)
    reloads.noted("a", "m0", SMALL, LARGE, 1.0)
    assert len(warnings(events)) == module._MOST_MODELS
    reloads.noted("a", "one more", SMALL, LARGE, 1.0)
    reloads.noted("a", "m0", SMALL, LARGE, 1.0)
    assert len(warnings(events)) == module._MOST_MODELS + 2


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        (SMALL, LARGE, ("num_ctx",)),
        (PLAIN, LARGE, ("num_ctx",)),
        (SMALL, PLAIN, ("num_ctx",)),
        (options(2048, 20), options(8192, 20), ("num_ctx",)),
        (options(2048, 20), options(2048), ("num_gpu",)),
        (options(shift=True), options(2048, shift=False), ("shift", "num_ctx")),
        (None, PLAIN, ("unknown",)),
        (SMALL, RunnerOptions(SMALL.values), ("unknown",)),
    ],
)
def test_the_options_that_are_not_the_same_are_named(
    before: RunnerOptions | None, after: RunnerOptions, differs: tuple[str, ...]
) -> None:
    assert differing(before, after) == differs


def test_the_setting_that_ends_it_is_named() -> None:
    force = "set --force-num-ctx m:latest=8192 to give all requests one context"
    assert advice(SMALL, LARGE) == advice(LARGE, SMALL) == force
    loaded = ", or --num-ctx m:latest=loaded to give those without num_ctx the one that is loaded"
    assert advice(PLAIN, LARGE) == advice(LARGE, PLAIN) == force + loaded
    for before, after in ((options(num_gpu=1), PLAIN), (options(2048, 1), options(8192, 2)), (SMALL, SMALL)):
        assert advice(before, after) == "have all clients send the same options"
    assert advice(None, PLAIN) == (
        "it was loaded by somebody else, or before gollamas lost sight of the server: send all requests "
        "through gollamas, or set --force-num-ctx m:latest=N"
    )


def test_those_of_the_last_hour_are_told_by_server_with_what_ends_them() -> None:
    reloads, _ = noting()
    for at in (0.0, 10.0, 20.0):
        reloads.noted("a", "m:latest", SMALL, LARGE, at)
    reloads.noted("b", "m:latest", None, LARGE, 30.0)
    first, second = reloads.last_hour(100.0)
    assert (first.server_id, first.model, first.times, first.last_at) == ("a", "m:latest", 3, 20.0)
    assert first.advice == advice(SMALL, LARGE)
    assert (second.server_id, second.times, second.advice) == ("b", 1, advice(None, LARGE))
    assert [(one.server_id, one.times) for one in reloads.last_hour(3605.0)] == [("a", 2), ("b", 1)]
    assert [(one.server_id, one.times) for one in reloads.last_hour(3625.0)] == [("b", 1)]
    assert reloads.last_hour(3630.0) == []


def test_models_that_servers_make_up_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_MODELS", 3)
    reloads, _ = noting()
    for name in ("m", "n", "o", "o", "p"):
        reloads.noted("a", name, SMALL, LARGE, 1.0)
    assert [one.model for one in reloads.last_hour(2.0)] == ["p"]
