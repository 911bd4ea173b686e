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
    force = "--force-num-ctx m:latest=8192 gives all requests one context"
    assert advice(SMALL, LARGE) == advice(LARGE, SMALL) == force
    loaded = ", --num-ctx m:latest=loaded gives those without num_ctx the one that is loaded"
    assert advice(PLAIN, LARGE) == advice(LARGE, PLAIN) == force + loaded
    for before, after in ((options(num_gpu=1), PLAIN), (options(2048, 1), options(8192, 2)), (SMALL, SMALL)):
        assert advice(before, after) == "have all clients send the same options"
    assert advice(None, PLAIN) == (
        "somebody else asks the server for it: send all requests here, or set --force-num-ctx m:latest=N"
    )
