"""One load for all who want the same, and one after another of the same weights."""

from collections.abc import Callable

from gollamas.errors import LoadFailed
from gollamas.events import LoadCause
from gollamas.fleet.loading import Loading, ModelLoad, Waiter
from gollamas.fleet.runner_options import PLAIN, RunnerOptions

SMALL = RunnerOptions((2048, *PLAIN.values[1:]))
LARGE = RunnerOptions((8192, *PLAIN.values[1:]))
WEIGHTS = "sha256-f"


class Doing:
    """Does as the tasks do that make the loads: writes down which begins, and who is rung."""

    def __init__(self) -> None:
        self.loading = Loading()
        self.began: list[ModelLoad] = []
        self.rung: list[str] = []

    def want(
        self, options: RunnerOptions = PLAIN, *, digest: str = "1", server: str = "a", weights: str = WEIGHTS
    ) -> ModelLoad:
        """Want a load that nobody wants yet, and put it in its line."""
        load = ModelLoad(server, f"key {digest}", f"name {digest}", digest, options, LoadCause.COLD)
        assert self.loading.find(server, digest, options) is None
        self.loading.want(load)
        self.enter(load, weights)
        return load

    def enter(self, load: ModelLoad, weights: str = WEIGHTS) -> None:
        """Put a load in a line."""
        if self.loading.enter(load, weights):
            self.began.append(load)
        else:
            load.start = lambda: self.began.append(load)

    def wait(self, load: ModelLoad, request_id: str) -> Waiter:
        """Have a request wait."""
        waiter = self.loading.wait(load, request_id)
        waiter.ring = self.ringing(request_id)
        return waiter

    def ringing(self, request_id: str) -> Callable[[], None]:
        """Make a bell."""
        return lambda: self.rung.append(request_id)

    def all(self) -> list[ModelLoad]:
        """List what has not ended."""
        return list(self.loading.all())


def test_all_who_want_the_same_wait_for_one_load() -> None:
    doing = Doing()
    load = doing.want(SMALL)
    assert doing.loading.find("a", "1", SMALL) is load
    assert doing.loading.find("a", "1", RunnerOptions(SMALL.values)) is load
    for other in (("b", "1", SMALL), ("a", "2", SMALL), ("a", "1", PLAIN)):
        assert doing.loading.find(*other) is None
    waiters = [doing.wait(load, str(number)) for number in range(3)]
    assert (doing.began, load.is_under_way, load.waiters) == ([load], True, waiters)
    doing.loading.ended(load, None)
    assert doing.rung == ["0", "1", "2"]
    assert [(waiter.has_ended, waiter.error) for waiter in waiters] == [(True, None)] * 3
    assert (doing.all(), doing.loading.find("a", "1", SMALL)) == ([], None)


def test_whoever_does_not_listen_yet_finds_the_end() -> None:
    doing = Doing()
    load = doing.want()
    waiter = doing.loading.wait(load, "1")
    doing.loading.ended(load, None)
    assert waiter.has_ended


def test_a_failure_is_told_to_all_who_wait() -> None:
    doing = Doing()
    load = doing.want()
    waiters = [doing.wait(load, str(number)) for number in range(2)]
    error = LoadFailed(500, "no memory")
    doing.loading.ended(load, error)
    assert doing.rung == ["0", "1"]
    assert [waiter.error for waiter in waiters] == [error, error]
    assert [doing.loading.release(waiter) for waiter in waiters] == [None, None]


def test_loads_of_the_same_weights_follow_one_another_once_those_who_waited_were_sent() -> None:
    doing = Doing()
    first, second = doing.want(SMALL), doing.want(LARGE)
    third = doing.want(SMALL, digest="2")  # a model made from it
    waiters = [doing.wait(first, str(number)) for number in range(2)]
    doing.wait(second, "2")
    assert doing.began == [first]
    doing.loading.ended(first, None)
    assert (doing.rung, doing.began) == (["0", "1"], [first])
    doing.loading.release(waiters[0])
    doing.loading.release(waiters[0])
    assert doing.began == [first]
    doing.loading.release(waiters[1])
    assert doing.began == [first, second]
    assert (second.is_under_way, third.is_under_way) == (True, False)
    assert doing.all() == [second, third]


def test_a_load_that_comes_while_those_who_waited_are_sent_waits_for_them() -> None:
    doing = Doing()
    first = doing.want(SMALL)
    waiter = doing.wait(first, "1")
    doing.loading.ended(first, None)
    second = doing.want(LARGE)
    assert doing.began == [first]
    doing.loading.release(waiter)
    assert doing.began == [first, second]


def test_after_a_failure_nobody_is_waited_for() -> None:
    doing = Doing()
    first, second = doing.want(SMALL), doing.want(LARGE)
    doing.wait(first, "1")
    doing.loading.ended(first, LoadFailed(500, "no memory"))
    assert doing.began == [first, second]


def test_loads_of_other_weights_or_on_another_server_go_out_at_once() -> None:
    doing = Doing()
    loads = [doing.want(), doing.want(weights="other", digest="3"), doing.want(server="b")]
    assert doing.began == loads


def test_a_load_whose_waiters_have_all_left_goes_on_and_is_told() -> None:
    doing = Doing()
    load = doing.want()
    waiters = [doing.wait(load, str(number)) for number in range(2)]
    assert doing.loading.release(waiters[0]) is None
    assert doing.loading.release(waiters[1]) is load
    assert doing.loading.release(waiters[1]) is None
    assert doing.loading.find("a", "1", PLAIN) is load
    later = doing.wait(load, "later")
    doing.loading.ended(load, None)
    assert (doing.rung, later.has_ended) == (["later"], True)


def test_a_load_that_is_given_up_in_the_line_lets_the_others_go_on() -> None:
    doing = Doing()
    first, second, third = doing.want(SMALL), doing.want(LARGE), doing.want(PLAIN)
    doing.loading.ended(second, None)
    assert doing.began == [first]
    doing.loading.ended(first, None)
    assert doing.began == [first, third]
    doing.loading.ended(third, None)
    fourth = doing.want(LARGE)
    assert doing.began == [first, third, fourth]


def test_nobody_finds_a_load_that_is_not_going_to_go_out() -> None:
    doing = Doing()
    first, second = doing.want(SMALL), doing.want(LARGE)
    doing.loading.give_up(second)
    assert (doing.loading.find("a", "1", LARGE), doing.all()) == (None, [first])
    third = doing.want(LARGE)
    doing.loading.ended(second, None)
    assert doing.loading.find("a", "1", LARGE) is third
    doing.loading.ended(first, None)
    assert doing.began == [first, third]


def test_a_load_that_ends_before_its_weights_are_known_is_in_no_line() -> None:
    doing = Doing()
    load = ModelLoad("a", "key", "name", "1", PLAIN, LoadCause.COLD)
    doing.loading.want(load)
    waiter = doing.wait(load, "1")
    error = LoadFailed(503, "going")
    doing.loading.ended(load, error)
    assert (doing.rung, waiter.error, doing.loading.release(waiter)) == (["1"], error, None)


def test_whose_turn_has_come_before_it_listens_is_under_way() -> None:
    doing = Doing()
    first = doing.want(SMALL)
    second = ModelLoad("a", "key", "name", "1", LARGE, LoadCause.OPTIONS)
    doing.loading.want(second)
    assert not doing.loading.enter(second, WEIGHTS)
    doing.loading.ended(first, None)
    assert second.is_under_way


def test_a_model_s_load_waits_also_where_its_weights_became_known_behind_the_first() -> None:
    """Else two of one model were under way at once."""
    doing = Doing()
    first = doing.want(SMALL, weights="1")
    second = doing.want(LARGE)
    assert doing.began == [first]
    doing.loading.ended(first, None)
    assert doing.began == [first, second]
    doing.loading.ended(second, None)
    third, fourth = doing.want(SMALL), doing.want(PLAIN, digest="2")
    assert doing.began == [first, second, third]
    doing.loading.ended(third, None)
    assert doing.began == [first, second, third, fourth]


def test_a_line_stays_that_of_its_model_though_others_of_these_weights_have_one() -> None:
    doing = Doing()
    first, other = doing.want(SMALL, weights="1"), doing.want(SMALL, digest="2")
    second = doing.want(LARGE)
    assert doing.began == [first, other]
    doing.loading.ended(other, None)
    third = doing.want(LARGE, digest="2")
    assert doing.began == [first, other, third]
    doing.loading.ended(first, None)
    assert doing.began == [first, other, third, second]
    for load in (second, third):
        doing.loading.ended(load, None)
    assert doing.want(PLAIN).is_under_way
    assert not doing.want(PLAIN, digest="2").is_under_way


def test_what_is_not_wanted_ends_no_other_load() -> None:
    """For a server that is not configured any more: there is nothing to be loaded."""
    doing = Doing()
    load = doing.want()
    gone = ModelLoad("a", load.key, load.name, load.digest, load.options, LoadCause.COLD)
    waiter = doing.wait(gone, "1")
    doing.loading.ended(gone, None)
    assert (doing.rung, waiter.has_ended) == (["1"], True)
    assert doing.loading.find("a", "1", PLAIN) is load
