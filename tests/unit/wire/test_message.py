"""What is held of a request, and how much of it may be."""

import pytest

from gollamas.wire.message import Budget
from tests.recorded import make_head


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_budget_takes_what_fits_beside_what_it_holds(more: int) -> None:
    budget = Budget(10)
    assert budget.take(4)
    assert budget.take(6 + more) is (more <= 0)


def test_what_does_not_fit_takes_nothing() -> None:
    budget = Budget(10)
    assert not budget.take(11)
    assert budget.take(10)
    assert not budget.take(1)
    budget.give(10)
    assert budget.take(10)


def test_a_head_that_is_let_go_holds_no_field() -> None:
    head = make_head(b"GET", b"/", [(b"Host", b"a"), (b"X", b"1")])
    assert head.get(b"x") == b"1"
    head.let_go()
    assert (head.raw, head.lines, head.get(b"x"), head.path) == (b"", b"", None, b"/")
