"""The table of health is total, and says what was promised."""

import pytest

from gollamas.fleet.health import (
    _NEXT,
    STANDING,
    TOLD_DOWN,
    UNSEEN_STANDING,
    UP_STANDING,
    Health,
    Saw,
    after,
)


def test_every_state_hears_every_signal() -> None:
    """No pair of state and signal is without an answer, and every state has a standing."""
    assert set(_NEXT) == {(health, saw) for health in Health for saw in Saw}
    assert set(STANDING) == set(Health)


@pytest.mark.parametrize("health", Health)
def test_one_answer_is_enough(health: Health) -> None:
    """One answered probe puts any server up."""
    assert after(health, Saw.ANSWER) is Health.UP


@pytest.mark.parametrize("health", Health)
def test_two_silences_in_a_row_are_enough(health: Health) -> None:
    """Two failed probes put any server down, one never does from up."""
    assert after(after(health, Saw.SILENCE), Saw.SILENCE) is Health.DOWN
    assert after(Health.UP, Saw.SILENCE) is Health.SUSPECT


def test_what_never_answered_is_told_of_as_down_at_once_and_is_the_last_resort_until_asked_again() -> None:
    """So a server that starts a moment after us is tried by the first request."""
    assert after(Health.UNKNOWN, Saw.SILENCE) in TOLD_DOWN
    assert STANDING[after(Health.UNKNOWN, Saw.SILENCE)] == UNSEEN_STANDING


@pytest.mark.parametrize("health", Health)
def test_what_answers_as_no_ollama_does_is_not_used(health: Health) -> None:
    """At once where it never did otherwise; a server that was up is forgiven one answer of a broken proxy."""
    if health is Health.UP:
        health = after(health, Saw.OTHER)
        assert STANDING[health] == UP_STANDING
    assert after(health, Saw.OTHER) is Health.DOWN


@pytest.mark.parametrize("health", Health)
def test_a_refused_request_is_enough(health: Health) -> None:
    """A request that cannot connect puts any server down at once."""
    assert after(health, Saw.REFUSAL) is Health.DOWN
