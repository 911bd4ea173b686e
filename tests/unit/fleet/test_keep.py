"""When an instance has to be told anew how long it is to stay."""

import pytest

from gollamas.fleet.keep import FOR_EVER, Keep

UNIX = 1_795_509_415.0
DAY = 86400.0
IN_2318 = UNIX + 292 * 365 * DAY


def given(seconds: float | None, ago: float = 0.0) -> Keep:
    """Make what is known of an instance that was given this so long ago."""
    keep = Keep()
    keep.gave(seconds, 1, UNIX - ago)
    return keep


def is_due(keep: Keep, seconds: float, shown: float | None = None, now: float = 0.0) -> bool:
    """Ask at a time."""
    return keep.is_due(seconds, shown, now, UNIX + now)


@pytest.mark.parametrize("seconds", [FOR_EVER, 60.0, 600.0])
def test_an_instance_of_which_nothing_is_known_is_told(seconds: float) -> None:
    assert is_due(Keep(), seconds)
    assert is_due(given(None), seconds)
    assert is_due(given(None), seconds, UNIX + seconds)


@pytest.mark.parametrize("seconds", [FOR_EVER, 60.0, 600.0])
def test_an_instance_that_was_given_the_same_is_told_nothing(seconds: float) -> None:
    assert not is_due(given(seconds), seconds)
    assert not is_due(given(seconds, ago=1000.0), seconds)


@pytest.mark.parametrize(("old", "new"), [(60.0, 600.0), (600.0, 60.0), (FOR_EVER, 60.0), (60.0, FOR_EVER)])
def test_an_instance_that_was_given_another_time_is_told(old: float, new: float) -> None:
    assert is_due(given(old), new)


@pytest.mark.parametrize(
    ("seconds", "shown", "due"),
    [
        (600.0, 600.0, False),
        (600.0, 630.0, False),  # clocks differ
        (600.0, 631.0, True),
        (600.0, 570.0, False),
        (600.0, 569.0, True),
        (600.0, 300.0, True),  # Ollama's own five minutes
        (600.0, 292 * 365 * DAY, True),
        (60.0, 75.0, False),
        (60.0, 76.0, True),
        (60.0, 44.0, True),
        (FOR_EVER, 292 * 365 * DAY, False),
        (FOR_EVER, 366 * DAY, False),
        (FOR_EVER, 300.0, True),
        (FOR_EVER, 365 * DAY, True),
    ],
)
def test_an_expiry_that_the_time_can_t_give_has_it_told_again(
    seconds: float, shown: float, due: bool
) -> None:
    assert is_due(given(seconds), seconds, UNIX + shown) is due


def test_a_time_runs_from_any_request_since_it_was_given() -> None:
    """Which need not be ours: all that is shown between the two is right."""
    keep = given(600.0, ago=400.0)
    assert [is_due(keep, 600.0, UNIX + shown) for shown in (160.0, 170.0, 200.0, 600.0, 640.0)] == [
        True, False, False, False, True,
    ]  # fmt: skip


def touched(seconds: float, now: float = 0.0) -> Keep:
    """Make what is known of an instance that was touched."""
    keep = Keep()
    keep.touched(seconds, 3, now, UNIX + now)
    return keep


def test_what_a_touch_gave_is_what_the_instance_has() -> None:
    keep = touched(600.0)
    assert (keep.given, keep.change) == (600.0, 3)
    assert not is_due(keep, 600.0)


def test_a_touch_follows_another_at_most_once_in_half_its_time() -> None:
    keep = touched(600.0)
    keep.gave(None, 4, UNIX)  # a client's own
    assert [is_due(keep, 600.0, now=now) for now in (0.0, 299.0, 300.0, 1000.0)] == [False, False, True, True]
    keep = touched(600.0)
    assert [is_due(keep, 600.0, UNIX + 100.0, now=now) for now in (299.0, 300.0)] == [False, True]


def test_one_that_stays_for_ever_is_touched_once_unless_it_was_given_another_time() -> None:
    keep = touched(FOR_EVER)
    assert not is_due(keep, FOR_EVER, UNIX + 300.0, now=10_000.0)
    keep.gave(300.0, 4, UNIX)
    assert [is_due(keep, FOR_EVER, now=now) for now in (0.0, 59.0, 60.0)] == [False, False, True]
