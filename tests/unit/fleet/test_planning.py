"""A request that can carry no context runs a variant of its model, once the server has made it."""

from gollamas.errors import ServerBroke
from gollamas.fleet.attempts import AwaitList, Fail, Load, MakeVariant, Outcome, Try
from gollamas.fleet.runner_options import PLAIN
from gollamas.fleet.variants import name_of
from tests.unit.fleet.fleets import entry, key_of
from tests.unit.fleet.test_num_ctx_limits import ALL, MODEL, Asking

KEY = key_of(MODEL)
DIGEST = "a" * 64
VARIANT = name_of(KEY, DIGEST, 2048)


def asking() -> Asking:
    return Asking(path="/v1/chat/completions", servers="a", force_num_ctx={ALL: 2048})


def test_the_variant_is_made_then_the_model_is_loaded_then_it_is_asked() -> None:
    one = asking()
    step = one.attempts.first()
    assert isinstance(step, MakeVariant)
    assert step.num_ctx == 2048
    one.view.servers["a"].variants.made(VARIANT, 1)
    step = one.attempts.variant_made(None, 1.0)
    assert isinstance(step, Load)
    assert step.options is PLAIN.with_num_ctx(2048)
    assert (one.lease.variant, one.lease.plan is not None) == (VARIANT, True)
    assert isinstance(one.attempts.loaded(None, 1.0), Try)


def test_where_the_server_makes_none_it_is_the_model_itself() -> None:
    one = asking()
    one.attempts.first()
    one.view.servers["a"].variants.refused(DIGEST)
    step = one.attempts.variant_made(None, 1.0)
    assert isinstance(step, Load)
    assert (step.options, one.lease.variant) == (PLAIN, None)
    assert one.lease.plan is not None
    assert one.lease.plan.num_ctx is None


def test_a_variant_that_is_gone_is_made_again_once() -> None:
    one = asking()
    one.view.servers["a"].variants.made(VARIANT, 1)
    assert isinstance(one.attempts.first(), Load)
    assert one.attempts.may_remake()
    step = one.attempts.after(Outcome.VARIANT_GONE, "", is_kept=False, has_begun=False)
    assert isinstance(step, MakeVariant)
    one.view.servers["a"].variants.made(VARIANT, 2)
    assert isinstance(one.attempts.variant_made(None, 1.0), Load)
    assert not one.attempts.may_remake()


def test_another_server_is_tried_where_one_made_none_for_a_reason_of_its_own() -> None:
    one = asking()
    one.attempts.first()
    step = one.attempts.variant_made(ServerBroke("no space"), 1.0)
    assert isinstance(step, Fail)
    assert str(step.error) == "no space"  # there is none


def test_what_is_not_listed_yet_is_waited_for_and_what_never_is_makes_no_variant() -> None:
    one = asking()
    server = one.view.servers["a"]
    server.has_listed = False
    assert isinstance(one.attempts.first(), AwaitList)
    one.view.listed("a", [entry("other")])
    assert isinstance(one.attempts.listed(), Try)
    assert one.lease.variant is None


def test_a_server_that_was_taken_away_makes_none() -> None:
    one = asking()
    one.attempts.first()
    one.lease.held = None
    assert isinstance(one.attempts.variant_made(None, 1.0), Try)
