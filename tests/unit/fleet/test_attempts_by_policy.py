"""What is next where the model has a policy: with what it is loaded, and by which name it is asked for."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gollamas.config.model import LOADED, Config
from gollamas.errors import LoadFailed, NoServerLeft, ProxyError, ServerBroke, ServerRefused
from gollamas.events import LoadCause
from gollamas.fleet.attempts import Attempts, AwaitList, Load, MakeVariant, Outcome, Step, Try
from gollamas.fleet.entries import Entry
from gollamas.fleet.policy import Asked
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.variants import name_of
from gollamas.fleet.view import View
from tests.unit.fleet.fleets import config, entry, key_of
from tests.unit.fleet.test_attempts import after, attempts_of, error_of, in_flight, load_on, told

MODEL = "llama3.2"
KEY, DIGEST = key_of(MODEL), "a" * 64
CTX = RunnerOptions((4096, *PLAIN.values[1:]))
SMALL = RunnerOptions((2048, *PLAIN.values[1:]))
VARIANT = name_of(KEY, DIGEST, 4096)


def forcing(num_ctx: int = 4096, *servers: str, **levels: Mapping[tuple[str, str], float | None]) -> Config:
    """Configure a model on these servers under a forced context."""
    made = config({MODEL: servers or ("a",)})
    return replace(made, force_num_ctx={("", ""): num_ctx}, **levels)  # type: ignore[arg-type]


def begin(
    made: Config,
    wanted: RunnerOptions | None = PLAIN,
    *,
    native: bool = False,
    variants: tuple[str, ...] = (),
    lists: bool = True,
) -> tuple[Attempts, View]:
    """Begin a request; its servers list its model and these variants."""
    attempts, view = attempts_of(made, MODEL, wanted)
    attempts.asked = Asked(wanted, takes_options=native, takes_keep_alive=native, has_keep_alive=False)
    if lists:
        for server_id in made.servers:
            view.listed(server_id, [entry(name) for name in (MODEL, *variants)])
    return attempts, view


def make(view: View, server_id: str, digest: str = DIGEST, num_ctx: int = 4096) -> None:
    """Have a server make a variant."""
    server = view.servers[server_id]
    server.variants.made(name_of(KEY, digest, num_ctx), server.memory.changed())


def making(step: Step) -> tuple[str, int]:
    """Say where a variant is to be made, and with which context."""
    assert isinstance(step, MakeVariant)
    return step.lease.server, step.num_ctx


def sent(step: Step) -> tuple[str, str | None, int | None]:
    """Say where a request goes, to which variant, and what context is told of it."""
    assert isinstance(step, Try)
    plan = step.lease.plan
    return step.lease.server, step.lease.variant, None if plan is None else plan.num_ctx


def wanted_of(step: Step) -> tuple[object, ...] | None:
    """Give the runner options that a request was planned with."""
    assert isinstance(step, Try)
    wanted = step.lease.wanted
    return None if wanted is None else wanted.values


# -- native requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [PLAIN, SMALL, CTX])
def test_a_native_request_has_its_model_loaded_with_the_policy_s_context(wanted: RunnerOptions) -> None:
    attempts, view = begin(forcing(), wanted, native=True)
    server, options, cause = told(attempts.first())
    assert (server, options.values, cause) == ("a", CTX.values, LoadCause.COLD)
    load_on(view, "a", options)
    step = attempts.loaded(None, 1.0)
    assert (sent(step), wanted_of(step)) == (("a", None, 4096), CTX.values)
    again, _ = begin(forcing(), wanted, native=True)
    assert isinstance(again.first(), Load)


def test_a_native_request_goes_at_once_where_its_model_is_loaded_so() -> None:
    attempts, view = begin(forcing(), SMALL, native=True)
    load_on(view, "a", CTX)
    assert sent(attempts.first()) == ("a", None, 4096)


def test_a_request_that_loads_nothing_is_planned_and_sent_at_once() -> None:
    attempts, _ = begin(forcing(keep_alive={("", ""): 60.0}), None, native=True)
    step = attempts.first()
    assert (sent(step), wanted_of(step)) == (("a", None, None), None)
    assert isinstance(step, Try)
    assert step.lease.plan is not None
    assert step.lease.plan.keep_alive == 60.0


def test_a_request_of_which_no_policy_is_asked_has_no_plan() -> None:
    """On a route that loads nothing."""
    attempts, view = begin(forcing(), None)
    attempts.asked = None
    assert sent(attempts.first()) == ("a", None, None)
    attempts.release()
    plain, _ = begin(config({MODEL: ["a"]}), PLAIN)
    assert told(plain.first())[1] is PLAIN
    assert in_flight(view) == 0


def test_the_context_that_is_loaded_is_the_one_that_is_waited_for() -> None:
    made = replace(config({MODEL: ["a"]}), num_ctx={("", ""): LOADED})
    attempts, view = begin(made, PLAIN, native=True)
    view.servers["a"].memory.wanted(DIGEST, KEY, CTX)
    server, options, cause = told(attempts.first())
    assert (server, options.values, cause) == ("a", CTX.values, LoadCause.OPTIONS)
    cold, _ = begin(made, PLAIN, native=True)
    assert told(cold.first()) == ("a", PLAIN, LoadCause.COLD)


# -- several servers ---------------------------------------------------------------------------------


def test_the_policy_of_the_server_that_is_chosen_holds_also_after_another_failed() -> None:
    made = replace(config({MODEL: ["a", "b", "c"]}), num_ctx={("", "a"): 4096, ("", "b"): 2048})
    attempts, view = begin(made, PLAIN, native=True)
    assert told(attempts.first())[1].values == CTX.values
    server, options, _ = told(attempts.loaded(LoadFailed(500, "no memory"), 1.0))
    assert (server, options.values) == ("b", SMALL.values)
    server, options, _ = told(attempts.refused("refused", 1.0))
    assert (server, options) == ("c", PLAIN)
    load_on(view, "c", PLAIN)
    assert sent(attempts.loaded(None, 1.0)) == ("c", None, None)


def test_a_variant_is_made_on_each_server_that_is_tried() -> None:
    attempts, view = begin(forcing(4096, "a", "b"))
    assert making(attempts.first()) == ("a", 4096)
    make(view, "a")
    assert told(attempts.variant_made(None, 1.0))[0] == "a"
    assert making(attempts.loaded(LoadFailed(500, "no memory"), 1.0)) == ("b", 4096)
    make(view, "b")
    server, options, _ = told(attempts.variant_made(None, 1.0))
    assert (server, options.values) == ("b", CTX.values)
    load_on(view, "b", options)
    assert sent(attempts.loaded(None, 1.0)) == ("b", VARIANT, 4096)


# -- variants ----------------------------------------------------------------------------------------


def test_a_request_that_can_carry_no_context_goes_to_a_variant_once_it_is_made_and_loaded() -> None:
    """The load is of the model itself: the server shows that."""
    attempts, view = begin(forcing())
    assert making(attempts.first()) == ("a", 4096)
    assert in_flight(view) == 1
    make(view, "a")
    step = attempts.variant_made(None, 1.0)
    assert isinstance(step, Load)
    assert (step.lease.key, step.options.values, step.cause) == (KEY, CTX.values, LoadCause.COLD)
    load_on(view, "a", step.options)
    assert sent(attempts.loaded(None, 1.0)) == ("a", VARIANT, 4096)


def test_a_variant_that_is_there_is_asked_for_at_once() -> None:
    attempts, view = begin(forcing(), variants=(VARIANT,))
    load_on(view, "a", CTX)
    step = attempts.first()
    assert (sent(step), wanted_of(step)) == (("a", VARIANT, 4096), CTX.values)


def test_a_variant_of_other_contents_is_not_asked_for() -> None:
    attempts, _ = begin(forcing(), variants=(name_of(KEY, "b" * 64, 4096), name_of(KEY, DIGEST, 8192)))
    assert making(attempts.first()) == ("a", 4096)


def test_where_the_server_makes_none_the_model_itself_runs_as_the_client_asked() -> None:
    """With the runner options that it really has, and without a context in the log."""
    attempts, view = begin(forcing())
    attempts.first()
    view.servers["a"].variants.refused(DIGEST)
    assert told(attempts.variant_made(None, 1.0)) == ("a", PLAIN, LoadCause.COLD)
    load_on(view, "a", PLAIN)
    step = attempts.loaded(None, 1.0)
    assert (sent(step), wanted_of(step)) == (("a", None, None), PLAIN.values)


def test_a_variant_that_is_not_there_though_it_was_made_is_not_made_for_ever() -> None:
    """The server may be configured no more, or lists another model under the name."""
    attempts, view = begin(forcing())
    making(attempts.first())
    view.apply(forcing(4096, "b"))
    assert told(attempts.variant_made(None, 1.0)) == ("a", PLAIN, LoadCause.COLD)


@pytest.mark.parametrize("error", [ServerBroke("it closed"), ServerRefused("refused")])
def test_where_the_server_could_not_be_asked_for_a_variant_another_one_is_tried(error: ProxyError) -> None:
    attempts, view = begin(forcing(4096, "a", "b"))
    making(attempts.first())
    assert making(attempts.variant_made(error, 1.0)) == ("b", 4096)
    assert view.servers["a"].is_down is isinstance(error, ServerRefused)
    last = error_of(attempts.variant_made(error, 1.0))
    assert last is error if isinstance(error, ServerBroke) else isinstance(last, NoServerLeft)
    assert in_flight(view) == 0


def test_the_server_s_first_list_is_waited_for_before_a_variant_is_made() -> None:
    attempts, view = begin(forcing(), lists=False)
    assert isinstance(attempts.first(), AwaitList)
    view.listed("a", [entry(MODEL)])
    assert making(attempts.listed()) == ("a", 4096)


@pytest.mark.parametrize("says", [True, False])
def test_no_variant_is_made_of_a_model_that_the_server_does_not_list(says: bool) -> None:
    """Ollama would pull it. Nothing is said of a context that it does not get."""
    attempts, view = begin(forcing(), lists=False)
    assert isinstance(attempts.first(), AwaitList)
    if says:
        view.listed("a", [entry("other")])
    step = attempts.listed()
    assert (sent(step), wanted_of(step)) == (("a", None, None), PLAIN.values)


def test_of_a_model_that_another_host_runs_no_variant_is_made_and_no_policy_asked() -> None:
    for native in (True, False):
        attempts, view = begin(forcing(), native=native)
        view.listed("a", [Entry(MODEL, KEY, DIGEST, b"{}", 0, is_remote=True)])
        step = attempts.first()
        assert (sent(step), wanted_of(step)) == (("a", None, None), PLAIN.values)


# -- a variant that is gone --------------------------------------------------------------------------


def test_a_variant_that_has_gone_is_made_again_once() -> None:
    attempts, view = begin(forcing(), variants=(VARIANT,))
    load_on(view, "a", CTX)
    assert sent(attempts.first()) == ("a", VARIANT, 4096)
    assert attempts.may_remake()
    assert making(after(attempts, Outcome.VARIANT_GONE)) == ("a", 4096)
    assert view.servers["a"].variants.find(KEY, 4096) is None
    make(view, "a")
    assert sent(attempts.variant_made(None, 1.0)) == ("a", VARIANT, 4096)
    assert not attempts.may_remake()
    assert in_flight(view) == 1


def test_what_was_made_and_has_gone_at_once_is_made_again_too() -> None:
    attempts, view = begin(forcing())
    load_on(view, "a", CTX)
    making(attempts.first())
    make(view, "a")
    sent(attempts.variant_made(None, 1.0))
    assert making(after(attempts, Outcome.VARIANT_GONE)) == ("a", 4096)


def test_only_a_variant_can_be_made_again() -> None:
    attempts, view = begin(forcing(), native=True)
    assert not attempts.may_remake()
    load_on(view, "a", CTX)
    sent(attempts.first())
    assert not attempts.may_remake()
    attempts.release()
    assert not attempts.may_remake()
