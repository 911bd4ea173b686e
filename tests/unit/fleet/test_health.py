"""The table of health is total, and says what was promised."""

import pytest

from gollamas.fleet.health import _NEXT, STANDING, Health, Saw, after


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


@pytest.mark.parametrize("health", Health)
def test_a_refused_request_is_enough(health: Health) -> None:
    """A request that cannot connect puts any server down at once."""
    assert after(health, Saw.REFUSAL) is Health.DOWN
