"""What is next for a request, from what became of its attempts."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.config.model import Config, Expose
from gollamas.errors import BadRequest, NoServerLeft, ServerBroke, ServerTooSlow, ShuttingDown
from gollamas.events import End
from gollamas.fleet.admit import Admission
from gollamas.fleet.attempts import Attempts, Fail, LookUp, Outcome, Over, PassHeld, Step, Try, UnknownModel
from gollamas.fleet.routing import Routing
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

MODEL = "llama3.2"
EARLY = [Outcome.UNANSWERED, Outcome.BROKE_EARLY, Outcome.TOO_SLOW]
LATE = {
    Outcome.BROKE_LATE: End.SERVER_BROKE,
    Outcome.WENT_SILENT: End.TIMED_OUT,
    Outcome.SHUT_DOWN: End.SHUT_DOWN,
}


def attempts_of(made: Config, model: str = MODEL, *, replays: bool = True) -> tuple[Attempts, View]:
    """Begin a request for a model, with all servers seen up."""
    view = view_of(made)
    for server_id in view.servers:
        view.answered(server_id, "0.34.3", 1.0)
    return Attempts(Routing(made), view, Admission(view), model, replays=replays), view


def on(*servers: str) -> Config:
    """Configure one model on these servers."""
    return config({MODEL: servers})


def server_of(step: Step) -> str:
    """Give the server that a step is to try."""
    assert isinstance(step, Try)
    return step.lease.server


def error_of(step: Step) -> Exception:
    """Give the error that a step answers with."""
    assert isinstance(step, Fail)
    return step.error


def in_flight(view: View) -> int:
    """Count the leases that are out."""
    return sum(server.in_flight for server in view.servers.values())


def after(attempts: Attempts, outcome: Outcome, *, is_kept: bool = False, has_begun: bool = False) -> Step:
    """Tell how the attempt ended."""
    return attempts.after(outcome, "it closed", is_kept=is_kept, has_begun=has_begun)


def test_the_first_attempt_holds_a_lease_of_the_chosen_server() -> None:
    attempts, view = attempts_of(on("a", "b"))
    view.listed("b", [entry(MODEL)])
    view.ran("b", [entry(MODEL)])
    assert server_of(attempts.first()) == "b"
    assert in_flight(view) == 1
    lease = attempts.release()
    assert lease is not None
    assert (lease.server, attempts.release(), in_flight(view)) == ("b", None, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a/b/c/d/e", "invalid model name"),
        ("x:local:cloud", 'use either :local or :cloud, not both: "x:local:cloud"'),
    ],
)
def test_what_is_no_name_is_refused(name: str, text: str) -> None:
    attempts, _ = attempts_of(on("a"), name)
    error = error_of(attempts.first())
    assert isinstance(error, BadRequest)
    assert error.text == text


def test_a_name_that_is_not_configured_is_unknown() -> None:
    attempts, _ = attempts_of(on("a"), "nobody")
    assert isinstance(error_of(attempts.first()), UnknownModel)


def test_a_name_that_nobody_listed_is_looked_up_once() -> None:
    made = config({}, servers=["a"], expose=Expose.INSTALLED)
    attempts, view = attempts_of(made)
    step = attempts.first()
    assert isinstance(step, LookUp)
    assert step.key == key_of(MODEL)
    assert isinstance(error_of(attempts.looked_up(is_known=False)), UnknownModel)
    assert isinstance(error_of(attempts.looked_up(is_known=True)), UnknownModel)  # it has gone again
    view.listed("a", [entry(MODEL)])
    assert server_of(attempts.looked_up(is_known=True)) == "a"


def test_a_name_can_t_be_looked_up_where_no_server_is_up() -> None:
    made = config({}, servers=["a"], expose=Expose.INSTALLED)
    attempts, view = attempts_of(made)
    view.connect_failed("a", "refused", 1.0)
    assert isinstance(error_of(attempts.looked_up(is_known=False)), NoServerLeft)


def test_a_server_that_gives_no_connection_is_down_and_the_next_one_is_tried() -> None:
    attempts, view = attempts_of(on("a", "b"))
    assert server_of(attempts.first()) == "a"
    assert server_of(attempts.refused("connection refused", 1.0)) == "b"
    assert (view.servers["a"].is_down, in_flight(view)) == (True, 1)
    error = error_of(attempts.refused("connection refused", 1.0))
    assert isinstance(error, NoServerLeft)
    assert "a: connection refused; b: connection refused" in error.text
    assert in_flight(view) == 0


def test_a_kept_connection_that_ended_is_replayed_on_a_fresh_one() -> None:
    attempts, view = attempts_of(on("a"))
    first = attempts.first()
    step = after(attempts, Outcome.UNANSWERED, is_kept=True)
    assert isinstance(step, Try)
    assert isinstance(first, Try)
    assert (step.is_replay, step.lease) == (True, first.lease)
    assert in_flight(view) == 1


def test_a_fresh_connection_that_ended_leaves_the_request_to_another_server_once() -> None:
    attempts, _ = attempts_of(on("a", "b", "c"))
    attempts.first()
    assert server_of(after(attempts, Outcome.UNANSWERED)) == "b"
    assert isinstance(error_of(after(attempts, Outcome.UNANSWERED)), ServerBroke)


@pytest.mark.parametrize("is_kept", [True, False])
def test_where_replays_are_off_nothing_is_asked_twice(is_kept: bool) -> None:
    attempts, view = attempts_of(on("a", "b"), replays=False)
    attempts.first()
    error = error_of(after(attempts, Outcome.UNANSWERED, is_kept=is_kept))
    assert isinstance(error, ServerBroke)
    assert error.text == "server a gave no answer: it closed"
    assert in_flight(view) == 0


@pytest.mark.parametrize("outcome", [Outcome.BROKE_EARLY, Outcome.TOO_SLOW])
def test_a_server_that_had_the_request_is_the_only_one(outcome: Outcome) -> None:
    attempts, view = attempts_of(on("a", "b"))
    attempts.first()
    error = error_of(after(attempts, outcome, is_kept=True))
    assert isinstance(error, ServerTooSlow if outcome is Outcome.TOO_SLOW else ServerBroke)
    assert in_flight(view) == 0


@pytest.mark.parametrize("outcome", LATE)
def test_an_answer_that_had_begun_ends_the_request(outcome: Outcome) -> None:
    attempts, view = attempts_of(on("a", "b"))
    attempts.first()
    step = after(attempts, outcome, has_begun=True)
    assert isinstance(step, Over)
    assert (step.end, step.lease.server, in_flight(view)) == (LATE[outcome], "a", 0)


def test_a_request_without_an_answer_is_told_that_we_go() -> None:
    attempts, view = attempts_of(on("a", "b"))
    attempts.first()
    assert isinstance(error_of(after(attempts, Outcome.SHUT_DOWN)), ShuttingDown)
    attempts.first()
    assert isinstance(attempts.shut_down(), ShuttingDown)
    assert in_flight(view) == 0


def test_a_busy_server_leaves_the_request_to_another_and_its_words_for_the_end() -> None:
    attempts, _ = attempts_of(on("a", "b"))
    attempts.first()
    assert attempts.is_another_left()
    assert server_of(after(attempts, Outcome.BUSY)) == "b"
    assert not attempts.is_another_left()
    attempts.has_held = True
    assert isinstance(after(attempts, Outcome.BUSY), PassHeld)


def test_a_busy_answer_that_nobody_held_ends_in_an_error() -> None:
    attempts, _ = attempts_of(on("a"))
    attempts.first()
    assert isinstance(error_of(after(attempts, Outcome.BUSY)), NoServerLeft)


def test_nobody_is_left_before_the_model_is_found() -> None:
    attempts, _ = attempts_of(on("a", "b"))
    assert not attempts.is_another_left()


# -- any sequence -------------------------------------------------------------------------------------

IDS = ("a", "b", "c", "d")
outcomes = st.tuples(st.sampled_from(Outcome), st.booleans(), st.booleans())
changes = st.tuples(st.sampled_from(["up", "silent", "refuse", "list", "run"]), st.sampled_from(IDS))
# What the view learns, then what becomes of the attempt: None where no connection could be made.
happenings = st.lists(st.tuples(st.lists(changes, max_size=3), st.one_of(st.none(), outcomes)), max_size=15)


def change(view: View, what: str, server_id: str) -> None:
    """Have the view learn something, as probes and other requests would have it."""
    match what:
        case "up":
            view.answered(server_id, "0.34.3", 1.0)
        case "silent":
            view.silent(server_id, "no answer", 1.0)
        case "refuse":
            view.connect_failed(server_id, "refused", 1.0)
        case "list":
            view.listed(server_id, [entry(MODEL)])
        case _:
            view.ran(server_id, [entry(MODEL)])


@given(happenings, st.booleans(), st.booleans(), st.integers(1, 4))
def test_any_sequence_ends_holds_no_lease_and_tries_no_server_twice(
    happened: Sequence[tuple[list[tuple[str, str]], tuple[Outcome, bool, bool] | None]],
    replays: bool,
    is_exposed: bool,
    servers: int,
) -> None:
    made = config({}, servers=IDS, expose=Expose.INSTALLED) if is_exposed else on(*IDS[:servers])
    attempts, view = attempts_of(made, replays=replays)
    tried: list[str] = []
    step = attempts.first()
    queue = [*happened]
    while not isinstance(step, Fail | PassHeld | Over):
        learned, became = queue.pop(0) if queue else ([], (Outcome.BROKE_EARLY, False, False))
        for what, server_id in learned:
            change(view, what, server_id)
        if isinstance(step, LookUp):
            step = attempts.looked_up(is_known=became is not None)
            continue
        if not step.is_replay:
            tried.append(step.lease.server)
        assert in_flight(view) == 1
        assert attempts.lease is step.lease
        if became is None:
            step = attempts.refused("refused", 1.0)
            continue
        outcome, is_kept, is_held = became
        attempts.has_held = attempts.has_held or (is_held and outcome is Outcome.BUSY)
        # A connection that is made for a replay has served nobody before.
        step = after(attempts, outcome, is_kept=is_kept and not step.is_replay, has_begun=outcome in LATE)
    assert in_flight(view) == 0
    assert attempts.lease is None
    assert len(tried) == len(set(tried)) <= len(IDS)
