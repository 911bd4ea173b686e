"""The states of a client's connection: every one hears every signal, and none comes back from its end."""

from itertools import product

import pytest

from gollamas.net import states
from gollamas.net.states import ANSWERING, BEHIND, BODY, ENDING, GONE, HEAD, IDLE, STALLED

STATES = (IDLE, HEAD, BODY, ANSWERING, BEHIND, ENDING, STALLED, GONE)
SIGNALS = {name: row for name, row in vars(states).items() if isinstance(row, tuple)}


def test_every_state_hears_every_signal() -> None:
    assert tuple(range(len(STATES))) == STATES
    assert len(SIGNALS) == 9
    for row in SIGNALS.values():
        assert len(row) == len(STATES)
        assert set(row) <= set(STATES)


@pytest.mark.parametrize(("signal", "state"), list(product(SIGNALS, (ENDING, STALLED, GONE))))
def test_a_connection_at_its_end_goes_only_further(signal: str, state: int) -> None:
    assert SIGNALS[signal][state] >= state


def test_only_a_whole_request_is_answered_and_only_an_answer_ends_it() -> None:
    for name, row in SIGNALS.items():
        to_answering = {state for state in STATES if row[state] == ANSWERING} - {ANSWERING}
        assert to_answering == ({IDLE, HEAD, BODY} if name == "WAS_WHOLE" else set())
    left_by = {name for name, row in SIGNALS.items() if row[ANSWERING] != ANSWERING}
    assert left_by == {"WAS_ANSWERED", "WAS_LAST", "WAS_CUT", "WAS_LOST"}


def test_a_client_that_took_nothing_is_told_from_one_that_left() -> None:
    assert [states.WAS_LOST[states.WAS_CUT[state]] for state in STATES[:STALLED]] == [STALLED] * STALLED
    assert [states.WAS_LOST[state] for state in STATES[:STALLED]] == [GONE] * STALLED


def test_what_came_behind_an_answer_is_read_as_if_it_came_now() -> None:
    assert states.READS_ON[states.HAS_MORE[states.WAS_ANSWERED[ANSWERING]]] == IDLE
