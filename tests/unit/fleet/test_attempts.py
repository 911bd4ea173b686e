"""What is next for a request, from what became of its attempts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.config.model import LOADED, Config, Expose, Levels
from gollamas.errors import (
    BadRequest,
    LoadFailed,
    NoServerLeft,
    ProxyError,
    ServerBroke,
    ServerRefused,
    ServerTooSlow,
    ShuttingDown,
)
from gollamas.events import End, LoadCause
from gollamas.fleet.admit import Admission
from gollamas.fleet.attempts import (
    Attempts,
    AwaitList,
    Fail,
    Load,
    LookUp,
    MakeVariant,
    Outcome,
    Over,
    PassHeld,
    Step,
    Try,
    UnknownModel,
)
from gollamas.fleet.entries import Entry
from gollamas.fleet.policy import Asked
from gollamas.fleet.routing import OneServer, Routing
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.variants import name_of
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of, view_of

MODEL = "llama3.2"
EARLY = [Outcome.UNANSWERED, Outcome.BROKE_EARLY, Outcome.TOO_SLOW]
LATE = {
    Outcome.BROKE_LATE: End.SERVER_BROKE,
    Outcome.WENT_SILENT: End.TIMED_OUT,
    Outcome.SHUT_DOWN: End.SHUT_DOWN,
}


def attempts_of(
    made: Config, model: str = MODEL, wanted: RunnerOptions | None = None, *, replays: bool = True
) -> tuple[Attempts, View]:
    """Begin a request for a model, with all servers seen up."""
    view = view_of(made)
    for server_id in view.servers:
        view.answered(server_id, "0.34.3", 1.0)
    return Attempts(Routing(made), view, Admission(view), model, wanted, replays=replays), view


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


# -- loads -------------------------------------------------------------------------------------------

KEY = key_of(MODEL)
DIGEST = "a" * 64
SMALL = RunnerOptions((2048, *PLAIN.values[1:]))
FAILED = LoadFailed(500, "no memory")


def wanting(
    wanted: RunnerOptions | None, *servers: str, model: str = MODEL, lists: bool = True
) -> tuple[Attempts, View]:
    """Begin a request with these runner options for a model that all servers have on disk."""
    attempts, view = attempts_of(config({model: servers}), model, wanted)
    for server_id in servers:
        view.listed(server_id, [entry(MODEL)] if lists else [])
    return attempts, view


def load_on(view: View, server_id: str, options: RunnerOptions, seconds: float = 1.0) -> None:
    """Have the model loaded on a server."""
    view.servers[server_id].memory.load_began(DIGEST, KEY)
    view.load_ended(server_id, DIGEST, KEY, options, seconds)


def told(step: Step) -> tuple[str, RunnerOptions, LoadCause]:
    """Say what a step wants to be loaded, and where."""
    assert isinstance(step, Load)
    return step.lease.server, step.options, step.cause


@pytest.mark.parametrize("wanted", [PLAIN, SMALL])
def test_a_model_that_is_not_loaded_is_loaded_first(wanted: RunnerOptions) -> None:
    attempts, view = wanting(wanted, "a")
    step = attempts.first()
    assert told(step) == ("a", wanted, LoadCause.COLD)
    assert in_flight(view) == 1
    load_on(view, "a", wanted)
    sent = attempts.loaded(None, 1.0)
    assert isinstance(sent, Try)
    assert isinstance(step, Load)
    assert (sent.lease, sent.is_replay) == (step.lease, False)
    assert sent.lease.instance is view.servers["a"].instances[KEY]
    assert in_flight(view) == 1


def test_a_request_goes_at_once_where_its_model_was_asked_for_with_the_same() -> None:
    for options in (PLAIN, SMALL, RunnerOptions(SMALL.values)):
        attempts, view = wanting(options, "a")
        load_on(view, "a", SMALL if options is not PLAIN else PLAIN)
        assert server_of(attempts.first()) == "a"


def test_a_model_that_was_asked_for_with_others_is_loaded_first() -> None:
    attempts, view = wanting(SMALL, "a")
    load_on(view, "a", PLAIN)
    assert told(attempts.first()) == ("a", SMALL, LoadCause.OPTIONS)
    attempts, view = wanting(PLAIN, "a")
    load_on(view, "a", SMALL)
    assert told(attempts.first()) == ("a", PLAIN, LoadCause.OPTIONS)
    load_on(view, "a", PLAIN, 0.01)
    attempts.release()
    assert server_of(attempts.first()) == "a"


def test_a_model_that_is_being_loaded_is_waited_for() -> None:
    for options in (PLAIN, SMALL):
        attempts, view = wanting(options, "a")
        view.servers["a"].memory.load_began(DIGEST, KEY)
        assert told(attempts.first()) == ("a", options, LoadCause.OPTIONS)


@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        (PLAIN, None),
        (RunnerOptions((4096, *PLAIN.values[1:])), None),
        (SMALL, LoadCause.OPTIONS),
        (RunnerOptions((4096, 512, *PLAIN.values[2:])), LoadCause.OPTIONS),
    ],
)
def test_somebody_else_s_instance_takes_plain_requests_and_its_own_context(
    wanted: RunnerOptions, cause: LoadCause | None
) -> None:
    attempts, view = wanting(wanted, "a")
    json = b'{"context_length":4096}'
    view.ran("a", [Entry(MODEL, KEY, DIGEST, json, 0)])
    step = attempts.first()
    assert (step.cause if isinstance(step, Load) else None) is cause


def test_a_request_that_loads_nothing_or_is_wrong_is_sent_at_once() -> None:
    attempts, _ = wanting(None, "a")
    assert server_of(attempts.first()) == "a"


def test_a_model_that_its_server_does_not_list_is_sent_at_once() -> None:
    """Ollama's own 404 is the answer."""
    attempts, _ = wanting(SMALL, "a", lists=False)
    assert server_of(attempts.first()) == "a"


def test_a_cloud_model_is_sent_at_once() -> None:
    for name in ("gpt-oss:20b-cloud", "llama3.2:cloud"):
        attempts, view = wanting(SMALL, "a", model=name)
        view.listed("a", [entry(name)])
        assert server_of(attempts.first()) == "a"


def test_a_model_that_another_host_runs_is_sent_at_once() -> None:
    attempts, view = wanting(SMALL, "a")
    view.listed("a", [Entry(MODEL, KEY, DIGEST, b"{}", 0, is_remote=True)])
    assert server_of(attempts.first()) == "a"


def test_two_requests_at_a_cold_model_load_it_once_and_a_burst_on_a_second_server() -> None:
    made = on("a", "b")
    first, view = attempts_of(made, wanted=PLAIN)
    others = [Attempts(Routing(made), view, Admission(view), MODEL, PLAIN, replays=True) for _ in range(2)]
    for server_id in "ab":
        view.listed(server_id, [entry(MODEL)])
    assert told(first.first())[0] == "a"
    view.servers["a"].memory.wanted(DIGEST, KEY)
    assert [told(one.first())[0] for one in others] == ["a", "b"]


def test_after_a_load_that_failed_another_server_that_is_up_is_tried() -> None:
    attempts, view = wanting(PLAIN, "a", "b")
    load_on(view, "b", PLAIN)
    view.servers["b"].in_flight = 5
    assert told(attempts.first())[0] == "a"
    assert server_of(attempts.loaded(FAILED, 1.0)) == "b"
    assert (view.servers["a"].in_flight, view.servers["a"].is_up) == (0, True)


def test_the_other_server_may_have_to_load_it_too_and_its_own_words_are_the_last() -> None:
    attempts, view = wanting(SMALL, "a", "b")
    assert told(attempts.first())[0] == "a"
    assert told(attempts.loaded(FAILED, 1.0)) == ("b", SMALL, LoadCause.COLD)
    last = LoadFailed(503, "server busy")
    assert error_of(attempts.loaded(last, 1.0)) is last
    assert (in_flight(view), attempts.lease) == (0, None)


@pytest.mark.parametrize(
    "error",
    [FAILED, LoadFailed(400, "bad"), ServerTooSlow("too slow"), ServerBroke("broke"), ShuttingDown("going")],
)
def test_where_no_server_is_left_the_load_s_own_error_is_the_answer(error: ProxyError) -> None:
    attempts, view = wanting(PLAIN, "a", "b")
    view.connect_failed("b", "refused", 1.0)
    attempts.first()
    assert error_of(attempts.loaded(error, 1.0)) is error
    assert in_flight(view) == 0


def test_a_load_that_failed_is_told_also_where_the_last_server_can_t_be_reached() -> None:
    attempts, _ = wanting(PLAIN, "a", "b")
    attempts.first()
    assert told(attempts.loaded(FAILED, 1.0))[0] == "b"
    assert error_of(attempts.loaded(ServerRefused("refused"), 1.0)) is FAILED


def test_a_server_that_refuses_the_load_s_connection_is_down() -> None:
    attempts, view = wanting(PLAIN, "a", "b")
    attempts.first()
    assert told(attempts.loaded(ServerRefused("connection refused"), 1.0))[0] == "b"
    assert view.servers["a"].is_down
    error = error_of(attempts.loaded(ServerRefused("connection refused"), 1.0))
    assert isinstance(error, NoServerLeft)
    assert "a: connection refused; b: connection refused" in error.text


def test_a_model_that_turned_out_to_be_missing_is_tried_elsewhere_and_at_last_sent_anyway() -> None:
    """The server's own 404 says it best."""
    missing = LoadFailed(404, "model 'llama3.2' not found")
    attempts, view = wanting(PLAIN, "a", "b")
    attempts.first()
    assert told(attempts.loaded(missing, 1.0))[0] == "b"
    assert server_of(attempts.loaded(missing, 1.0)) == "b"
    assert in_flight(view) == 1


def test_a_load_for_a_server_that_is_gone_sends_the_request_where_it_was_bound() -> None:
    attempts, view = wanting(PLAIN, "a")
    attempts.first()
    view.apply(on("b"))
    assert server_of(attempts.loaded(None, 1.0)) == "a"


def test_a_server_that_has_not_said_what_it_has_is_waited_for_once() -> None:
    made = on("a", "b")
    attempts, view = attempts_of(made, wanted=SMALL)
    step = attempts.first()
    assert isinstance(step, AwaitList)
    assert (step.lease.server, attempts.lease, in_flight(view)) == ("a", step.lease, 1)
    view.listed("a", [entry(MODEL)])
    assert told(attempts.listed()) == ("a", SMALL, LoadCause.COLD)
    silent, _ = attempts_of(made, wanted=SMALL)
    assert isinstance(silent.first(), AwaitList)
    assert server_of(silent.listed()) == "a"  # it says nothing: Ollama itself loads what it has
    view.apply(on("b"))
    gone, gone_from = attempts_of(made, wanted=SMALL)
    assert isinstance(gone.first(), AwaitList)
    gone_from.apply(on("b"))
    assert server_of(gone.listed()) == "a"


def test_a_server_that_took_over_loads_the_model_first() -> None:
    attempts, view = wanting(SMALL, "a", "b")
    load_on(view, "a", SMALL)
    assert server_of(attempts.first()) == "a"
    assert told(attempts.refused("refused", 1.0)) == ("b", SMALL, LoadCause.COLD)
    assert in_flight(view) == 1


def test_a_client_that_waits_for_a_load_is_told_that_we_go() -> None:
    attempts, view = wanting(SMALL, "a")
    attempts.first()
    assert isinstance(attempts.shut_down(), ShuttingDown)
    assert in_flight(view) == 0


# -- any sequence -------------------------------------------------------------------------------------

IDS = ("a", "b", "c", "d")
outcomes = st.tuples(st.sampled_from(Outcome), st.booleans(), st.booleans())
changes = st.tuples(
    st.sampled_from(["up", "silent", "refuse", "list", "load", "begin", "run", "make", "remake", "decline"]),
    st.sampled_from(IDS),
)
wishes = st.sampled_from([None, PLAIN, SMALL])
load_errors = st.sampled_from(
    [None, FAILED, LoadFailed(404, "missing"), ServerRefused("refused"), ServerTooSlow("late")]
)
# What the view learns, then what becomes of the attempt: None where no connection could be made.
happenings = st.lists(
    st.tuples(st.lists(changes, max_size=3), st.one_of(st.none(), outcomes), load_errors), max_size=15
)
Happened = Sequence[tuple[list[tuple[str, str]], tuple[Outcome, bool, bool] | None, ProxyError | None]]
places = st.sampled_from([("", ""), ("", "a"), (KEY, ""), (KEY, "b")])
levels = st.dictionaries(places, st.sampled_from([None, LOADED, 2048, 4096]), max_size=2)
forced = st.dictionaries(places, st.sampled_from([None, 2048, 4096]), max_size=2)
askeds = st.one_of(st.none(), st.tuples(st.booleans(), st.booleans(), st.booleans()))


def change(view: View, what: str, server_id: str) -> None:
    """Have the view learn something, as probes and other requests would have it."""
    server = view.servers.get(server_id)
    match what:
        case "up":
            view.answered(server_id, "0.34.3", 1.0)
        case "silent":
            view.silent(server_id, "no answer", 1.0)
        case "refuse":
            view.connect_failed(server_id, "refused", 1.0)
        case "list":
            view.listed(server_id, [entry(MODEL)])
        case "remake":
            view.listed(server_id, [entry(MODEL, "b" * 64)])
        case "load" if server is not None:
            load_on(view, server_id, SMALL)
        case "begin" if server is not None:
            server.memory.load_began(DIGEST, KEY)
        case "make" if server is not None:
            server.variants.made(name_of(KEY, DIGEST, 4096), server.memory.changed())
        case "decline" if server is not None:
            server.variants.refused(DIGEST)
        case _:
            view.ran(server_id, [entry(MODEL)])


class Played:
    """One request, and what became of it."""

    def __init__(self, attempts: Attempts, view: View, wanted: RunnerOptions | None) -> None:
        self.attempts = attempts
        self.view = view
        self.wanted = wanted
        self.tried: list[str] = []
        self.loaded: list[str] = []
        self.awaited = 0
        self.made: list[str] = []
        self.remade = 0

    def play(self, happened: Happened) -> None:
        """Take steps to the end; behind what happens each attempt breaks."""
        queue = [*happened]
        step = self.attempts.first()
        while not isinstance(step, Fail | PassHeld | Over):
            learned, became, failed = (
                queue.pop(0) if queue else ([], (Outcome.BROKE_EARLY, False, False), None)
            )
            for what, server_id in learned:
                change(self.view, what, server_id)
            if isinstance(step, LookUp):
                step = self.attempts.looked_up(is_known=became is not None)
                continue
            assert in_flight(self.view) == 1
            assert self.attempts.lease is step.lease
            step = self.tries(step, became) if isinstance(step, Try) else self.waits(step, failed)

    def waits(self, step: Load | MakeVariant | AwaitList, failed: ProxyError | None) -> Step:
        """Do what comes before a request."""
        lease = step.lease
        if isinstance(step, AwaitList):
            self.awaited += 1
            return self.attempts.listed()
        if isinstance(step, MakeVariant):
            plan, server = lease.plan, lease.held
            assert plan is not None
            assert server is not None
            assert step.num_ctx == plan.variant_ctx
            assert server.installed  # else it would pull
            self.made.append(lease.server)
            return self.attempts.variant_made(failed, 1.0)
        assert step.options is lease.wanted
        assert step.options is (self.wanted if lease.plan is None else lease.wanted)
        self.loaded.append(lease.server)
        return self.attempts.loaded(failed, 1.0)

    def tries(self, step: Try, became: tuple[Outcome, bool, bool] | None) -> Step:
        """Send a request."""
        lease, attempts = step.lease, self.attempts
        if lease.variant is not None:
            assert lease.plan is not None
            assert lease.plan.num_ctx is not None
            assert lease.variant.endswith(f":ctx{lease.plan.num_ctx}")
        elif lease.plan is not None and lease.plan.variant_ctx is not None:
            assert lease.plan.num_ctx is None  # nothing is told that the model does not get
            assert lease.wanted is self.wanted
        if became is None:
            if not step.is_replay:
                self.tried.append(lease.server)
            return attempts.refused("refused", 1.0)
        outcome, is_kept, is_held = became
        if outcome is Outcome.VARIANT_GONE and not attempts.may_remake():
            outcome = Outcome.BROKE_EARLY
        if outcome is Outcome.VARIANT_GONE:
            self.remade += 1
        elif not step.is_replay:
            self.tried.append(lease.server)
        attempts.has_held = attempts.has_held or (is_held and outcome is Outcome.BUSY)
        # A connection that is made for a replay has served nobody before.
        return after(attempts, outcome, is_kept=is_kept and not step.is_replay, has_begun=outcome in LATE)


@given(happenings, st.booleans(), st.integers(0, 4), wishes, st.tuples(levels, forced), askeds)
def test_any_sequence_ends_holds_no_lease_and_tries_no_server_twice(
    happened: Happened,
    replays: bool,
    servers: int,
    wanted: RunnerOptions | None,
    policies: tuple[Levels[int], Levels[int]],
    asked: tuple[bool, bool, bool] | None,
) -> None:
    made = config({}, servers=IDS, expose=Expose.INSTALLED) if servers == 0 else on(*IDS[:servers])
    made = replace(made, num_ctx=policies[0], force_num_ctx=policies[1])
    attempts, view = attempts_of(made, wanted=wanted, replays=replays)
    if asked is not None:
        takes_options, takes_keep_alive, has_keep_alive = asked
        attempts.asked = Asked(
            wanted,
            takes_options=takes_options,
            takes_keep_alive=takes_keep_alive,
            has_keep_alive=has_keep_alive,
        )
    played = Played(attempts, view, wanted)
    played.play(happened)
    assert in_flight(view) == 0
    assert attempts.lease is None
    assert played.remade <= 1
    assert len(played.tried) == len(set(played.tried)) <= len(IDS)
    assert len(played.loaded) - played.remade <= len(set(played.loaded)) <= len(IDS)
    assert len(played.made) - played.remade <= len(set(played.made)) <= len(IDS)
    assert played.awaited <= len(IDS)


# -- one server ----------------------------------------------------------------------------------------


def attempts_on(server_id: str, made: Config, wanted: RunnerOptions | None = None) -> tuple[Attempts, View]:
    """Begin a request that is limited to one server, with all servers seen up."""
    _, view = attempts_of(made)
    routing = OneServer(Routing(made), server_id)
    return Attempts(routing, view, Admission(view), MODEL, wanted, replays=True), view


def test_a_request_for_one_server_is_tried_there_whatever_speaks_for_another() -> None:
    attempts, view = attempts_on("b", on("a", "b", "c"))
    view.listed("a", [entry(MODEL)])
    view.ran("a", [entry(MODEL)])
    step = attempts.first()
    assert server_of(step) == "b"
    assert isinstance(step, Try)
    assert step.lease.why == "only server"
    assert not attempts.is_another_left()


@pytest.mark.parametrize("outcome", [Outcome.UNANSWERED, Outcome.BROKE_EARLY, Outcome.TOO_SLOW])
def test_a_request_for_one_server_fails_with_it(outcome: Outcome) -> None:
    """A connection that was kept is made anew, as always; no other server is asked."""
    attempts, view = attempts_on("b", on("a", "b"))
    attempts.first()
    if outcome is Outcome.UNANSWERED:
        assert server_of(after(attempts, outcome, is_kept=True)) == "b"
    error = error_of(after(attempts, outcome))
    assert isinstance(error, ServerBroke | ServerTooSlow)
    assert error.text == "server b gave no answer: it closed"
    assert in_flight(view) == 0


def test_a_request_for_one_server_that_is_down_is_told_of_that_one_only() -> None:
    attempts, view = attempts_on("b", on("a", "b"))
    view.connect_failed("a", "broken", 1.0)
    assert server_of(attempts.first()) == "b"
    for step in (attempts.refused("connection refused", 1.0), attempts.first()):
        error = error_of(step)
        assert isinstance(error, NoServerLeft)
        assert error.text.endswith("no server can be reached (b: connection refused)")


def test_a_busy_answer_of_the_one_server_that_was_asked_for_passes() -> None:
    attempts, _ = attempts_on("b", on("a", "b"))
    attempts.first()
    attempts.has_held = True
    assert isinstance(after(attempts, Outcome.BUSY), PassHeld)


def test_a_load_that_fails_on_the_one_server_that_was_asked_for_is_the_answer() -> None:
    attempts, view = attempts_on("b", on("a", "b"), PLAIN)
    for server_id in ("a", "b"):
        view.listed(server_id, [entry(MODEL)])
    step = attempts.first()
    assert isinstance(step, Load)
    assert step.lease.server == "b"
    error = LoadFailed(500, "out of memory")
    assert error_of(attempts.loaded(error, 1.0)) is error


def test_a_look_up_for_one_server_is_of_all_and_counts_for_that_one() -> None:
    """Found there, found elsewhere, found nowhere: the last is a 503 where it could not be asked."""
    made = config({}, servers=["a", "b"], expose=Expose.INSTALLED)
    attempts, view = attempts_on("b", made)
    assert isinstance(attempts.first(), LookUp)
    assert isinstance(error_of(attempts.looked_up(is_known=False)), UnknownModel)
    view.listed("b", [])
    view.listed("a", [entry(MODEL)])
    with pytest.raises(BadRequest):
        attempts.looked_up(is_known=True)
    view.listed("b", [entry(MODEL)])
    assert server_of(attempts.looked_up(is_known=True)) == "b"
    other, view = attempts_on("b", made)
    other.first()
    view.connect_failed("b", "refused", 1.0)
    error = error_of(other.looked_up(is_known=False))
    assert isinstance(error, NoServerLeft)
    assert "b: refused" in error.text
    assert "a:" not in error.text
