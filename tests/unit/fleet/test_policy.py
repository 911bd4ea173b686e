"""Which of four levels speaks, and what one attempt makes of it."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest

from gollamas.config.model import LOADED, Config, Expose
from gollamas.fleet import policy as policies
from gollamas.fleet.instance import Instance
from gollamas.fleet.policy import Asked, Plan, Policies, Policy, written
from gollamas.fleet.runner_options import NOT_YET, PLAIN, RunnerOptions
from tests.unit.fleet.fleets import config, key_of

KEY, OTHER = key_of("m"), key_of("other")
# The nearest first: a model on a server, the model, the server, all.
PLACES = ((KEY, "a"), (KEY, ""), ("", "a"), ("", ""))
NAMES = ("model on server", "model", "server", "global")
OFF = None
Said = Mapping[str, Mapping[tuple[str, str], float | None]]


def ctx(num_ctx: int, *others: int | None) -> RunnerOptions:
    """Make runner options with this context, and `num_batch` behind it."""
    return RunnerOptions((num_ctx, *others, *PLAIN.values[1 + len(others) :]))


def having(levels: Said, expose: Expose = Expose.CONFIGURED) -> Config:
    """Make a configuration of two models on two servers with these levels."""
    made = config({"m": ["a", "b"], "other": ["a"]}, servers=["a", "b"], expose=expose)
    return replace(made, **levels)  # type: ignore[arg-type]


def policy_of(**levels: Mapping[tuple[str, str], float | None]) -> Policy:
    """Give the policy of a model on a server, which has to have one."""
    found = Policies(having(levels)).of(KEY)
    assert found is not None
    return found["a"]


def values_of(one: Policy) -> tuple[float | None, int | None]:
    """Give both values of a policy."""
    return one.keep_alive, one.num_ctx


# -- levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forces", [False, True], ids=["default", "force"])
@pytest.mark.parametrize("near", range(4), ids=NAMES)
def test_the_nearest_level_of_a_kind_speaks(near: int, forces: bool) -> None:
    """Each level beside all that are farther off."""
    prefix = "force_" if forces else ""
    levels = {place: 100 + number for number, place in enumerate(PLACES) if number >= near}
    found = policy_of(**{prefix + "keep_alive": levels, prefix + "num_ctx": levels})
    assert values_of(found) == (100 + near, 100 + near)
    assert (found.forces_keep_alive, found.forces_num_ctx) == (forces, forces)


@pytest.mark.parametrize("default", range(4), ids=NAMES)
@pytest.mark.parametrize("force", range(4), ids=NAMES)
def test_any_force_beats_any_default(force: int, default: int) -> None:
    found = policy_of(num_ctx={PLACES[default]: 8192}, force_num_ctx={PLACES[force]: 4096})
    assert (found.num_ctx, found.forces_num_ctx) == (4096, True)
    found = policy_of(keep_alive={PLACES[default]: 60.0}, force_keep_alive={PLACES[force]: 0.0})
    assert (found.keep_alive, found.forces_keep_alive) == (0.0, True)


@pytest.mark.parametrize(("said", "off"), list(permutations(range(4), 2)), ids=lambda number: NAMES[number])
@pytest.mark.parametrize("forces", [False, True], ids=["default", "force"])
def test_off_lifts_what_was_said_farther_off_of_its_own_kind(said: int, off: int, forces: bool) -> None:
    kind, other = ("force_num_ctx", "num_ctx") if forces else ("num_ctx", "force_num_ctx")
    levels: dict[str, Mapping[tuple[str, str], float | None]] = {kind: {PLACES[said]: 4096, PLACES[off]: OFF}}
    is_lifted = off < said
    found = Policies(having(levels)).of(KEY)
    assert (found is None or "a" not in found) is is_lifted
    levels[other] = {("", ""): 2048}
    assert policy_of(**levels).num_ctx == (2048 if is_lifted or not forces else 4096)


def test_where_a_force_is_lifted_the_default_holds() -> None:
    found = policy_of(
        num_ctx={("", ""): 8192}, force_num_ctx={(KEY, ""): OFF, ("", ""): 4096}, keep_alive={("", ""): 60.0}
    )
    assert (values_of(found), found.forces_num_ctx) == ((60.0, 8192), False)


def test_the_levels_of_another_model_and_another_server_say_nothing() -> None:
    places: dict[tuple[str, str], float | None] = {
        (OTHER, "a"): 1,
        (OTHER, ""): 2,
        ("", "b"): 3,
        (KEY, "b"): 4,
    }
    found = Policies(having({"num_ctx": places})).of(KEY)
    assert found is not None
    assert {server: one.num_ctx for server, one in found.items()} == {"b": 4}


def test_a_model_has_a_policy_on_each_of_its_servers() -> None:
    made = Policies(having({"num_ctx": {("", ""): 4096, ("", "b"): 2048, (KEY, "a"): LOADED}}))
    found, other = made.of(KEY), made.of(OTHER)
    assert found is not None
    assert other is not None
    assert {server: one.num_ctx for server, one in found.items()} == {"a": LOADED, "b": 2048}
    assert {server: one.num_ctx for server, one in other.items()} == {"a": 4096}


def test_without_levels_nobody_has_a_policy() -> None:
    made = Policies(having({}))
    assert (made.are_any, made.of(KEY), made.of("anybody")) == (False, None, None)


def test_a_cloud_model_has_no_policy() -> None:
    made = Policies(replace(config({"gpt-oss:20b-cloud": ["a"]}), num_ctx={("", ""): 4096}))
    assert made.are_any
    assert made.of(key_of("gpt-oss:20b-cloud")) is None
    assert made.of(key_of("x:cloud")) is None


def test_a_model_that_turns_up_has_a_policy_on_all_servers() -> None:
    """Under the wider `expose`; worked out once."""
    key = key_of("found")
    made = Policies(having({"keep_alive": {("", ""): 60.0, (key, "b"): 5.0}}, Expose.INSTALLED))
    found = made.of(key)
    assert found is not None
    assert {server: one.keep_alive for server, one in found.items()} == {"a": 60.0, "b": 5.0}
    assert made.of(key) is found
    only_m = Policies(having({"keep_alive": {(KEY, ""): 60.0}}, Expose.INSTALLED))
    assert only_m.of(key) is None
    assert only_m.of(key) is None


def test_the_policies_of_models_that_turn_up_are_bounded() -> None:
    made = Policies(having({"num_ctx": {("", ""): 4096}}, Expose.INSTALLED))
    first = made.of("model-0")
    for number in range(1, policies._MOST_KEPT):
        made.of(f"model-{number}")
    assert made.of("model-0") is first
    made.of("one more")
    again = made.of("model-0")
    assert again is not first
    assert again is not None
    assert again["a"].num_ctx == 4096


# -- one attempt ---------------------------------------------------------------------------------------


def native(options: RunnerOptions | None = PLAIN, *, has_keep_alive: bool = False) -> Asked:
    """Say what a native request asks for."""
    return Asked(options, takes_options=True, takes_keep_alive=True, has_keep_alive=has_keep_alive)


V1 = Asked(PLAIN, takes_options=False, takes_keep_alive=False, has_keep_alive=False)
V1_WITH_KEEP_ALIVE = Asked(PLAIN, takes_options=False, takes_keep_alive=True, has_keep_alive=False)


def plan_of(made: Policy, asked: Asked, instance: Instance | None = None) -> Plan:
    """Plan an attempt."""
    return made.plan(asked, instance)


def policy(keep_alive: float | None = None, num_ctx: int | None = None, *, forces: bool = False) -> Policy:
    """Make a policy."""
    return Policy(keep_alive, num_ctx, forces_keep_alive=forces, forces_num_ctx=forces)


@pytest.mark.parametrize(
    ("forces", "asked", "loaded", "said"),
    [
        (False, PLAIN, ctx(4096), 4096),
        (False, ctx(2048), ctx(2048), None),
        (False, ctx(4096), ctx(4096), None),
        (True, PLAIN, ctx(4096), 4096),
        (True, ctx(2048), ctx(4096), 4096),
        (True, ctx(2048, 64), ctx(4096, 64), 4096),
        (True, None, None, None),
        (False, None, None, None),
    ],
)
def test_a_native_request_is_loaded_with_what_it_carries_then(
    forces: bool, asked: RunnerOptions | None, loaded: RunnerOptions | None, said: int | None
) -> None:
    plan = plan_of(policy(num_ctx=4096, forces=forces), native(asked))
    assert (plan.options and plan.options.values) == (loaded and loaded.values)
    assert (plan.num_ctx, plan.variant_ctx, plan.keep_alive, plan.touches) == (said, None, None, False)
    fill = plan.fill
    assert fill is not None
    assert (fill.keep_alive, fill.forces_num_ctx) == (None, forces)
    assert (bytes(fill.num_ctx or b""), bytes(fill.options or b"")) == (b"4096", b'{"num_ctx":4096}')


def test_options_without_a_context_get_it_and_keep_the_rest() -> None:
    options = RunnerOptions((None, 64, *PLAIN.values[2:]))
    plan = plan_of(policy(num_ctx=4096), native(options))
    assert plan.options is not None
    assert (plan.options.values, plan.num_ctx) == (ctx(4096, 64).values, 4096)


@pytest.mark.parametrize("forces", [False, True])
def test_a_request_that_can_carry_no_context_needs_a_variant(forces: bool) -> None:
    """A default and a force are one here."""
    plan = plan_of(policy(num_ctx=4096, forces=forces), V1)
    assert plan.options is not None
    assert (plan.options.values, plan.num_ctx, plan.variant_ctx) == (ctx(4096).values, 4096, 4096)


def test_a_request_that_can_carry_no_context_and_loads_nothing_loads_nothing() -> None:
    asked = Asked(None, takes_options=False, takes_keep_alive=False, has_keep_alive=False)
    assert plan_of(policy(num_ctx=4096), asked).options is None


def test_without_a_context_a_request_stays_as_it_is() -> None:
    for asked in (V1, native(), native(ctx(2048)), native(None)):
        for num_ctx in (None, LOADED):
            plan = plan_of(policy(60.0, num_ctx), asked)
            assert plan.options is asked.options
            assert (plan.num_ctx, plan.variant_ctx) == (None, None)
            assert plan.fill is not None
            assert plan.fill.options is None


@pytest.mark.parametrize("keep_alive", [-1.0, 0.0, 600.0])
@pytest.mark.parametrize(
    ("forces", "asked", "holds", "touches"),
    [
        (False, native(), True, False),
        (False, native(has_keep_alive=True), False, False),
        (True, native(has_keep_alive=True), True, False),
        (False, V1, True, True),
        (True, V1, True, True),
        (False, V1_WITH_KEEP_ALIVE, True, False),
    ],
)
def test_how_long_a_model_stays_is_the_policy_s_unless_a_default_meets_a_client_s(
    keep_alive: float, forces: bool, asked: Asked, holds: bool, touches: bool
) -> None:
    plan = plan_of(policy(keep_alive, forces=forces), asked)
    assert plan.keep_alive == (keep_alive if holds else None)
    assert plan.touches is touches
    assert plan.fill is not None
    assert bytes(plan.fill.keep_alive or b"") == written(keep_alive)
    assert plan.fill.forces_keep_alive is forces


def test_what_stays_for_no_time_is_loaded_without_one() -> None:
    """A load that carried 0 would be an unload."""
    keeps = [policy(keep_alive, forces=True) for keep_alive in (None, 0.0, 60.0, -1.0)]
    assert [one.load_keep_alive for one in keeps] == [None, None, 60.0, -1.0]


def test_a_model_stays_though_it_is_unloaded_only_where_it_is_forced_to() -> None:
    assert [policy(keep, forces=True).keeps_on_unload for keep in (None, 0.0, 60.0, -1.0)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert not policy(-1.0).keeps_on_unload


# -- `loaded` ------------------------------------------------------------------------------------------


def loaded(
    options: RunnerOptions = PLAIN, *, context: int | None = None, is_foreign: bool = False
) -> Instance:
    """Make an instance that is there."""
    made = Instance("d", options, KEY, is_loading=False)
    made.is_foreign, made.context = is_foreign, context
    return made


def coming(options: RunnerOptions | None) -> Instance:
    """Make an instance that is being loaded."""
    made = Instance("d", NOT_YET, KEY, is_loading=True)
    made.coming = options
    return made


@pytest.mark.parametrize(
    ("instance", "num_ctx"),
    [
        (None, None),
        (loaded(), None),
        (loaded(ctx(8192)), 8192),
        (loaded(ctx(8192), context=4096), 8192),  # as it was asked for, not as 0.24 shows it
        (loaded(is_foreign=True), None),
        (loaded(context=2048, is_foreign=True), 2048),
        (coming(None), None),
        (coming(PLAIN), None),
        (coming(ctx(16384)), 16384),
    ],
)
def test_a_request_without_a_context_gets_the_one_that_is_loaded(
    instance: Instance | None, num_ctx: int | None
) -> None:
    made = policy(num_ctx=LOADED)
    plan = plan_of(made, native(), instance)
    assert plan.options is not None
    assert (plan.options.num_ctx, plan.num_ctx, plan.variant_ctx) == (num_ctx, num_ctx, None)
    filled = None if plan.fill is None or plan.fill.options is None else bytes(plan.fill.options)
    assert filled == (None if num_ctx is None else b'{"num_ctx":%d}' % num_ctx)
    assert plan_of(made, V1, instance).variant_ctx is None
    assert plan_of(made, V1, instance).options is PLAIN


def test_a_request_with_a_context_keeps_it_beside_the_one_that_is_loaded() -> None:
    plan = plan_of(policy(num_ctx=LOADED), native(ctx(2048)), loaded(ctx(8192)))
    assert plan.options is not None
    assert (plan.options.num_ctx, plan.num_ctx) == (2048, None)
    assert plan.fill is not None
    assert not plan.fill.forces_num_ctx


def test_what_is_loaded_is_filled_in_beside_a_keep_alive() -> None:
    plan = plan_of(policy(60.0, LOADED), native(), loaded(ctx(8192)))
    assert plan.fill is not None
    assert (bytes(plan.fill.keep_alive or b""), bytes(plan.fill.num_ctx or b"")) == (b"60", b"8192")


# -- what is written -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, b"-1"),
        (-0.5, b"-1"),
        (0.0, b"0"),
        (300.0, b"300"),
        (5400.0, b"5400"),
        (1.5, b'"1500000000ns"'),
        (0.1, b'"100000000ns"'),
        (1e-9, b'"1ns"'),
        (3e8, b"300000000"),
    ],
)
def test_a_time_is_written_as_every_version_reads_it(seconds: float, text: bytes) -> None:
    """Whole seconds as a number, which is never a fraction of one; else as Go writes a duration."""
    assert written(seconds) == text
