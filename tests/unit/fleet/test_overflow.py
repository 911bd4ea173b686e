"""A prompt that was cut is told by the count of its tokens, where that shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.overflow import context_of, is_cut
from gollamas.fleet.runner_options import PLAIN
from tests.unit.fleet.fleets import config, entry, found, view_of

LONG = 1_000_000


def test_before_0_30_what_is_left_of_a_prompt_fills_the_context() -> None:
    assert is_cut(64, 64, LONG, "0.24.0")
    assert not is_cut(63, 64, LONG, "0.24.0")
    assert not is_cut(34, 64, LONG, "0.24.0")


# As measured on 0.34.3, whose model begins a text with no token of its own.
@pytest.mark.parametrize(("context", "left"), [(64, 34), (256, 130), (300, 152), (512, 258), (4096, 2050)])
def test_since_0_30_there_is_room_for_an_answer(context: int, left: int) -> None:
    assert is_cut(left, context, LONG, "0.34.3")
    assert not is_cut(left - 1, context, LONG, "0.34.3")
    assert not is_cut(left + 2, context, LONG, "0.34.3")


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_a_prompt_that_fills_at_most_half_of_the_context_was_not_cut(tokens: int, more: int) -> None:
    assert not is_cut(tokens, tokens * 2 + max(more, 1), LONG * 10, "0.34.3")


def test_a_model_whose_texts_begin_with_a_token_keeps_one_more() -> None:
    assert is_cut(12291, 24576, LONG, "0.34.3")


def test_the_first_releases_of_0_30_leave_room_for_one_token() -> None:
    assert is_cut(4095, 4096, LONG, "0.30.1")


@pytest.mark.parametrize("release", [None, "", "somebody's own", "0.29.9"])
def test_without_a_release_that_leaves_room_only_a_full_context_counts(release: str | None) -> None:
    assert not is_cut(34, 64, LONG, release)
    assert is_cut(64, 64, LONG, release)


def test_a_body_that_is_too_small_for_a_long_prompt_was_not_cut() -> None:
    assert not is_cut(34, 64, 192, "0.34.3")
    assert is_cut(34, 64, 193, "0.34.3")


@given(st.integers(1, 1 << 20), st.integers(0, 1 << 21), st.integers(0, LONG))
def test_a_prompt_that_reaches_the_context_was_always_cut(context: int, more: int, size: int) -> None:
    assert is_cut(context + more, context, size, "0.34.3")


def test_the_context_is_the_one_that_is_shown_or_else_the_one_asked_for() -> None:
    view = view_of(config({"m": ["a"]}))
    lease = Admission(view).admit("m", found("m", "a"), ())
    assert isinstance(lease, Lease)
    assert context_of(lease) is None
    lease.wanted = PLAIN
    assert context_of(lease) is None
    lease.wanted = PLAIN.with_num_ctx(8192)
    assert context_of(lease) == 8192
    view.ran("a", [entry("m")])
    lease.instance = view.servers["a"].instances[lease.key]
    assert context_of(lease) == 8192
    lease.instance.context = 4096
    assert context_of(lease) == 4096
