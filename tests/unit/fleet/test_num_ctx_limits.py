"""A request is judged by the context that a server would be asked for, and goes where that is allowed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.api.inference import NamedModel, prepare
from gollamas.config.model import LOADED, Expose
from gollamas.errors import BadRequest, NoServerLeft
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.attempts import Attempts, Fail, Load, LookUp, MakeVariant, Outcome, PassHeld, Step, Try
from gollamas.fleet.entries import Entry
from gollamas.fleet.policy import Policies
from gollamas.fleet.routing import Routing
from gollamas.fleet.runner_options import MOST, PLAIN
from gollamas.fleet.view import View
from tests.unit.api.test_inference import named_by
from tests.unit.fleet.fleets import config, entry, key_of, view_of

ALL = ("", "")
MODEL = "llama3.2"
KEY = key_of(MODEL)
CHAT = "/api/chat"
SMALL_AND_LARGE = {("", "a"): 8192, ("", "b"): 65536}


class Asking:
    """One request to servers that have the model: `{"num_ctx": …}` or whatever stands in its `options`."""

    def __init__(
        self, options: str = "{}", path: str = CHAT, *, servers: str = "ab", whole: str = "", **config_: Any
    ) -> None:
        made = replace(config({MODEL: list(servers)}), **config_)
        self.view: View = view_of(made)
        for server_id in servers:
            self.view.answered(server_id, "0.34.3", 1.0)
            self.view.listed(server_id, [entry(MODEL)])
        body = whole or f'{{"model":"{MODEL}","options":{options}}}'
        self.named: NamedModel = named_by(body.encode(), path)
        wanted = None if self.named.only_unloads else self.named.runner_options
        admission = Admission(self.view)
        self.attempts = Attempts(Routing(made), self.view, admission, MODEL, wanted, replays=False)
        self.attempts.asked = self.named.asked(wanted)

    @property
    def lease(self) -> Lease:
        """The lease that is held."""
        assert self.attempts.lease is not None
        return self.attempts.lease

    @property
    def sent(self) -> dict[str, Any]:
        """What the server that is bound is sent."""
        plan = self.lease.plan
        found: dict[str, Any] = json.loads(prepare(self.named, MODEL, None if plan is None else plan.fill))
        return found

    def refusal(self) -> str:
        """The 400 that the first step is."""
        step = self.attempts.first()
        assert isinstance(step, Fail)
        assert isinstance(step.error, BadRequest)
        return step.error.text


def server_of(step: Step) -> str:
    """Which server a step is about."""
    assert isinstance(step, Try | Load | MakeVariant), step
    return step.lease.server


# -- the level, the number ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({}, (None, None)),
        ({ALL: 1}, (1, 1)),
        ({ALL: 1, ("", "b"): 2}, (1, 2)),
        ({ALL: 1, (KEY, ""): 3, ("", "b"): 2}, (3, 3)),
        ({ALL: 1, (KEY, ""): 3, (KEY, "b"): 4}, (3, 4)),
        ({ALL: 1, (KEY, ""): None}, (None, None)),
        ({("", "a"): 1, (KEY, "a"): None}, (None, None)),
    ],
)
def test_the_nearest_level_speaks_and_off_lifts_it(
    levels: dict[tuple[str, str], int | None], expected: tuple[int | None, int | None]
) -> None:
    found = Policies(replace(config({MODEL: ["a", "b"]}), limit_num_ctx=levels)).of(KEY) or {}
    policies = [found.get(server) for server in "ab"]
    assert tuple(one.limit.num_ctx if one and one.limit else None for one in policies) == expected


@pytest.mark.parametrize("number", ["8193", "8193.9", "9e3", "1e5", "99999999999", "1e30", "1" * 30])
def test_a_number_above_the_limit_is_refused_however_it_is_written(number: str) -> None:
    asking = Asking(f'{{"num_ctx":{number}}}', limit_num_ctx={ALL: 8192})
    told = min(int(float(number)), MOST)
    assert asking.refusal() == (
        f"model '{MODEL}' allows a num_ctx of at most 8192,"
        f" but {told} was requested (limit: {{num_ctx: 8192}})"
    )


@pytest.mark.parametrize(
    "options",
    [
        "null",
        "{}",
        '{"num_ctx":null}',
        '{"num_ctx":8192}',
        '{"num_ctx":8192.9}',
        '{"num_ctx":-1}',
        '{"seed":9}',
        '{"NUM_CTX":9999}',  # Ollama minds the case of these names
        # and these are for it to refuse
        '{"num_ctx":"9999"}',
        '{"num_ctx":1e400}',
        '{"num_gpu":1e30}',
        '{"num_gpu":1e30,"num_ctx":-1e30}',
        "[]",
        "7",
    ],
)
def test_what_is_within_the_limit_or_no_number_passes(options: str) -> None:
    assert isinstance(Asking(options, limit_num_ctx={ALL: 8192}).attempts.first(), Try | Load)


def test_an_odd_option_beside_it_hides_no_context() -> None:
    assert "9999" in Asking('{"num_gpu":1e30,"num_ctx":9999}', limit_num_ctx={ALL: 8192}).refusal()


def test_a_key_of_another_case_is_judged_as_ollama_reads_it() -> None:
    asking = Asking(whole=f'{{"model":"{MODEL}","Options":{{"num_ctx":9000}}}}', limit_num_ctx={ALL: 8192})
    assert "9000" in asking.refusal()
    huge = Asking(whole=f'{{"model":"{MODEL}","Options":{{"num_ctx":1e20}}}}', limit_num_ctx={ALL: 8192})
    assert str(MOST) in huge.refusal()


@given(st.integers(-10, 1 << 40), st.integers(4, 1 << 30))
def test_any_number_passes_exactly_up_to_the_limit(number: int, limit: int) -> None:
    step = Asking(f'{{"num_ctx":{number}}}', servers="a", limit_num_ctx={ALL: limit}).attempts.first()
    assert isinstance(step, Fail) is (number > limit)


def test_a_forced_context_takes_the_place_of_the_client_s_before_it_is_judged() -> None:
    asking = Asking('{"num_ctx":99999}', limit_num_ctx={ALL: 8192}, force_num_ctx={ALL: 4096})
    assert server_of(asking.attempts.first()) == "a"
    assert asking.sent["options"] == {"num_ctx": 4096}


def test_a_default_context_does_not() -> None:
    assert Asking('{"num_ctx":9999}', limit_num_ctx={ALL: 8192}, num_ctx={ALL: 4096}).refusal()


def test_what_is_filled_in_as_loaded_is_lowered_to_the_limit() -> None:
    asking = Asking(servers="a", limit_num_ctx={ALL: 8192}, num_ctx={ALL: LOADED})
    shown = b'{"name":"llama3.2","context_length":%d}'
    for context, expected in ((32768, 8192), (4096, 4096)):
        there = Entry(MODEL, KEY, "a" * 64, shown % context, 0)
        asking.view.ran("a", [there])
        asking.attempts.first()
        assert asking.sent["options"] == {"num_ctx": expected}
        asking.attempts.release()


def test_a_policy_of_v1_is_judged_as_what_it_makes_the_server_run() -> None:
    levels = {("", "a"): 16384, ("", "b"): 4096}
    asking = Asking(path="/v1/chat/completions", limit_num_ctx={ALL: 8192}, num_ctx=levels)
    step = asking.attempts.first()
    assert isinstance(step, MakeVariant)
    assert (step.lease.server, step.num_ctx) == ("b", 4096)


# -- who is judged --------------------------------------------------------------------------------------


def test_a_request_that_runs_no_model_is_not_judged() -> None:
    for number in (99999, "1e30"):
        body = f'{{"model":"{MODEL}","keep_alive":0,"options":{{"num_ctx":{number}}}}}'
        assert isinstance(Asking(whole=body, limit_num_ctx={ALL: 8192}).attempts.first(), Try)


def test_a_model_that_a_server_only_passes_on_is_not_judged() -> None:
    asking = Asking('{"num_ctx":99999}', servers="a", limit_num_ctx={ALL: 8192})
    asking.view.listed(
        "a",
        [Entry(MODEL, KEY, "a" * 64, b'{"name":"llama3.2","remote_host":"https://x"}', 0, is_remote=True)],
    )
    step = asking.attempts.first()
    assert isinstance(step, Try)
    assert step.lease.plan is None


def test_without_a_limit_nothing_is_judged() -> None:
    asking = Asking('{"num_ctx":99999}', keep_alive={ALL: 5.0})
    assert server_of(asking.attempts.first()) == "a"
    assert asking.sent["options"] == {"num_ctx": 99999}


# -- which server ---------------------------------------------------------------------------------------


def test_a_server_whose_limit_it_exceeds_is_passed_over() -> None:
    """Though it has the model loaded and the other one has not."""
    for number, expected in ((8192, "a"), (8193, "b")):
        asking = Asking(f'{{"num_ctx":{number}}}', limit_num_ctx=SMALL_AND_LARGE)
        asking.view.ran("a", [entry(MODEL)])
        assert server_of(asking.attempts.first()) == expected


def test_a_server_without_a_limit_takes_what_others_do_not() -> None:
    assert server_of(Asking('{"num_ctx":9999}', limit_num_ctx={("", "a"): 8192}).attempts.first()) == "b"


def test_where_none_is_left_the_largest_limit_is_told() -> None:
    asking = Asking('{"num_ctx":99999}', limit_num_ctx={("", "a"): 65536, ("", "b"): 8192})
    assert asking.refusal() == (
        "model 'llama3.2' allows a num_ctx of at most 65536, but 99999 was requested "
        "(limit: {num_ctx: 65536})"
    )


def test_where_the_only_one_that_takes_it_is_down_the_error_tells_both() -> None:
    asking = Asking('{"num_ctx":9999}', limit_num_ctx=SMALL_AND_LARGE)
    asking.view.connect_failed("b", "connection refused", 1.0)
    step = asking.attempts.first()
    assert isinstance(step, Fail)
    assert isinstance(step.error, NoServerLeft)
    assert step.error.text.endswith("(a: num_ctx 9999 is above its limit of 8192; b: connection refused)")


def test_a_failover_passes_over_it_as_well() -> None:
    levels = {("", "a"): 65536, ("", "b"): 8192, ("", "c"): 65536}
    asking = Asking('{"num_ctx":9999}', servers="abc", limit_num_ctx=levels)
    assert server_of(asking.attempts.first()) == "a"
    assert asking.attempts.is_another_left()
    assert server_of(asking.attempts.refused("refused", 1.0)) == "c"
    assert not asking.attempts.is_another_left()
    step = asking.attempts.refused("refused", 1.0)
    assert isinstance(step, Fail)
    assert "b: num_ctx 9999 is above its limit of 8192" in str(step.error)


def test_a_busy_answer_that_is_held_passes_where_only_limits_are_left() -> None:
    asking = Asking('{"num_ctx":9999}', limit_num_ctx={("", "b"): 8192})
    asking.attempts.first()
    asking.attempts.has_held = True
    step = asking.attempts.after(Outcome.BUSY, "", is_kept=False, has_begun=False)
    assert isinstance(step, PassHeld)


def test_a_model_that_is_found_at_the_first_look_is_judged_too() -> None:
    asking = Asking(
        '{"num_ctx":9999}', servers="a", expose=Expose.INSTALLED, models={}, limit_num_ctx={ALL: 8192}
    )
    asking.view.listed("a", [])
    assert isinstance(asking.attempts.first(), LookUp)
    asking.view.listed("a", [entry(MODEL)])
    step = asking.attempts.looked_up(is_known=True)
    assert isinstance(step, Fail)
    assert isinstance(step.error, BadRequest)


# -- clamp ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["9999", "1e5", "8193.5"])
def test_clamp_lowers_what_is_sent_and_what_is_loaded(number: str) -> None:
    options = f'{{"seed":1,"num_ctx":{number},"num_gpu":2}}'
    asking = Asking(options, servers="a", limit_num_ctx={ALL: 8192}, on_limit={ALL: "clamp"})
    step = asking.attempts.first()
    assert isinstance(step, Load)
    assert step.options.told == {"num_ctx": 8192, "num_gpu": 2}
    assert asking.sent["options"] == {"seed": 1, "num_ctx": 8192, "num_gpu": 2}
    assert asking.lease.plan is not None
    assert asking.lease.plan.num_ctx == 8192


def test_clamp_lowers_what_no_int64_holds() -> None:
    asking = Asking('{"num_ctx":1e30}', servers="a", limit_num_ctx={ALL: 8192}, on_limit={ALL: "clamp"})
    step = asking.attempts.first()
    assert isinstance(step, Load)
    assert step.options is PLAIN.with_num_ctx(8192)
    assert asking.sent["options"] == {"num_ctx": 8192}


def test_clamp_leaves_what_is_within_the_limit() -> None:
    asking = Asking('{"num_ctx":8192.0}', servers="a", limit_num_ctx={ALL: 8192}, on_limit={ALL: "clamp"})
    asking.attempts.first()
    assert asking.named.members is not None
    assert prepare(asking.named, MODEL, None) == prepare(
        asking.named, MODEL, asking.lease.plan.fill if asking.lease.plan else None
    )


def test_a_larger_limit_elsewhere_comes_before_a_clamp() -> None:
    """Each attempt by what is left then: the larger one, then the smaller one with what it takes."""
    asking = Asking('{"num_ctx":9999}', limit_num_ctx=SMALL_AND_LARGE, on_limit={ALL: "clamp"})
    asking.view.ran("a", [entry(MODEL)])
    assert server_of(asking.attempts.first()) == "b"
    assert asking.sent["options"] == {"num_ctx": 9999}
    assert asking.attempts.is_another_left()
    assert server_of(asking.attempts.refused("refused", 1.0)) == "a"
    assert asking.sent["options"] == {"num_ctx": 8192}


def test_of_several_only_those_that_clamp_take_what_is_above() -> None:
    asking = Asking('{"num_ctx":99999}', limit_num_ctx=SMALL_AND_LARGE, on_limit={("", "a"): "clamp"})
    assert server_of(asking.attempts.first()) == "a"
    assert asking.sent["options"] == {"num_ctx": 8192}


@pytest.mark.parametrize("limit", ["error", None])
def test_without_clamp_it_is_an_error(limit: str | None) -> None:
    assert Asking(
        '{"num_ctx":9999}', limit_num_ctx={ALL: 8192}, on_limit={ALL: "clamp", (KEY, ""): limit}
    ).refusal()


def test_a_clamp_goes_with_the_rest_of_a_policy() -> None:
    asking = Asking(
        '{"num_ctx":9999}',
        limit_num_ctx={ALL: 8192},
        on_limit={ALL: "clamp"},
        force_keep_alive={ALL: 600.0},
        on_overflow={ALL: "error"},
    )
    asking.attempts.first()
    assert asking.sent == {
        "model": MODEL, "options": {"num_ctx": 8192}, "keep_alive": 600, "truncate": False,
    }  # fmt: skip


# -- overflow -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize(
    "said", ["", ',"truncate":true', ',"truncate":null', ',"Truncate":true', ',"truncate":3']
)
def test_on_overflow_error_tells_the_server_not_to_cut(path: str, said: str) -> None:
    asking = Asking(path=path, whole=f'{{"model":"{MODEL}"{said}}}', on_overflow={ALL: "error"})
    asking.attempts.first()
    found = {key.lower(): value for key, value in asking.sent.items()}
    assert found == {"model": MODEL, "truncate": False}
    assert len(asking.sent) == 2


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings", "/v1/chat/completions", "/v1/messages"])
def test_elsewhere_it_is_left_alone(path: str) -> None:
    asking = Asking(path=path, on_overflow={ALL: "error"})
    asking.attempts.first()
    assert "truncate" not in asking.sent


@pytest.mark.parametrize(
    "levels", [{ALL: "pass"}, {ALL: "error", (KEY, ""): None}, {ALL: "error", ("", "a"): "pass"}]
)
def test_on_overflow_pass_sends_what_the_client_said(levels: dict[tuple[str, str], str | None]) -> None:
    asking = Asking(whole=f'{{"model":"{MODEL}","truncate":true}}', on_overflow=levels)
    asking.attempts.first()
    assert asking.sent["truncate"] is True


def test_a_policy_of_an_overflow_alone_loads_what_the_request_asks_for() -> None:
    asking = Asking('{"num_ctx":512}', on_overflow={ALL: "error"})
    step = asking.attempts.first()
    assert isinstance(step, Load)
    assert step.options is PLAIN.with_num_ctx(512)
