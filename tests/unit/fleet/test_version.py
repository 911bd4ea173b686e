"""Versions are compared as versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.fleet.version import key, lowest

ASCENDING = [
    "0.5.4-0-gdeadbeef",
    "0.9.6",
    "0.10.0-rc2",
    "0.10.0-rc10",
    "v0.10.0",
    "0.10.0-5-g1a2b3c4",
    "0.10.1",
    "1.0",
]


@given(st.permutations(ASCENDING))
def test_the_lowest_is_the_lowest_in_any_order(order: list[str]) -> None:
    """Numbers count as numbers, a release comes after its candidates, commits after a release."""
    assert lowest(order) == ASCENDING[0]
    assert sorted(order, key=lambda text: key(text) or ()) == ASCENDING


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([], None),
        ([""], None),
        (["0.0.0"], "0.0.0"),
        (["0.0.0", "0.32.15"], "0.32.15"),
        (["garbage", "0.32.15", "1." + "9" * 5000], "0.32.15"),
        (["garbage", "0.0.0"], "0.0.0"),
        (["garbage"], "garbage"),
        (["0.33.0-rc2", "0.33.0"], "0.33.0-rc2"),
        (["0.9.6", "0.10.0"], "0.9.6"),
    ],
)
def test_what_says_nothing_counts_only_alone(said: list[str], answer: str | None) -> None:
    """A source build's 0.0.0 and what is no version are passed over where something better was said."""
    assert lowest(said) == answer


@given(st.lists(st.text(max_size=20)))
def test_no_text_is_a_crash(said: list[str]) -> None:
    """Whatever servers call themselves, the answer is one of their words or none."""
    assert lowest(said) in [*said, None]
