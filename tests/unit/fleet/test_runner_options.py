"""What Ollama compares before it reloads a model, read as Ollama reads it."""

import msgspec
import pytest

from gollamas.fleet import runner_options as module
from gollamas.fleet.runner_options import NAMES, NOT_YET, PLAIN, RunnerOptions, runner_options
from gollamas.wire import body as bodies


def read(body: str | bytes, *, takes_shift: bool = True) -> RunnerOptions | None:
    """Read the runner options of a body."""
    members, is_plain = bodies.read(body if isinstance(body, bytes) else body.encode())
    return runner_options(members, is_plain=is_plain, takes_shift=takes_shift)


def told(body: str | bytes, *, takes_shift: bool = True) -> dict[str, object]:
    """Read those of a body that Ollama takes, as they are told."""
    made = read(body, takes_shift=takes_shift)
    assert made is not None
    return made.told


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"options":null}',
        '{"options":{}}',
        '{"options":{"temperature":0.5,"seed":7,"top_k":40,"stop":["}"]}}',
        '{"options":{"num_predict":10,"num_keep":24}}',
        '{"options":{"num_ctx":null,"use_mmap":null}}',
        '{"shift":null}',
        '{"options":null,"shift":null}',
        '{"options":{"stop":["num_ctx"]}}',
        '{"options": \n {"seed":1}}',
    ],
)
def test_none_of_the_names_are_the_plain_ones(body: str) -> None:
    assert read(body) is PLAIN


@pytest.mark.parametrize("name", NAMES)
def test_each_name_counts_and_equal_ones_are_one_object(name: str) -> None:
    value = "true" if name == "use_mmap" else "7"
    made = read(f'{{"options":{{"{name}":{value},"seed":1}}}}')
    again = read(f'{{"options":{{"stop":["x"], "{name}" : {value}}}}}')
    assert made is again
    assert made is not None
    assert made is not PLAIN
    assert made.options == {name: True if name == "use_mmap" else 7}
    assert made.shift is None


def test_all_of_them_are_told_as_they_will_be_sent() -> None:
    body = (
        '{"shift":false,"options":{"use_mmap":false,"draft_num_predict":6,"num_thread":5,"main_gpu":4,'
        '"num_gpu":3,"num_batch":2,"num_ctx":1}}'
    )
    made = read(body)
    assert made is not None
    assert made.options == {
        "num_ctx": 1, "num_batch": 2, "num_gpu": 3, "main_gpu": 4, "num_thread": 5, "draft_num_predict": 6,
        "use_mmap": False,
    }  # fmt: skip
    assert made.shift is False
    assert made.told == {**made.options, "shift": False}
    assert str(made) == (
        "num_ctx=1,num_batch=2,num_gpu=3,main_gpu=4,num_thread=5,draft_num_predict=6,use_mmap=false,"
        "shift=false"
    )
    assert (str(PLAIN), PLAIN.told) == ("-", {})


@pytest.mark.parametrize("text", ["true", "false"])
def test_a_truth_is_sent_as_one(text: str) -> None:
    """Ollama refuses a number in its place; to Python, and to a build even more, the two are one."""
    made = read(f'{{"shift":{text},"options":{{"use_mmap":{text},"num_gpu":1}}}}')
    assert made is not None
    assert msgspec.json.encode(made.options) == b'{"num_gpu":1,"use_mmap":%b}' % text.encode()
    assert msgspec.json.encode(made.shift) == text.encode()
    assert str(made) == f"num_gpu=1,use_mmap={text},shift={text}"


@pytest.mark.parametrize("shift", [True, False])
def test_shift_counts_on_routes_that_know_it(shift: bool) -> None:
    body = f'{{"shift":{str(shift).lower()},"options":{{}}}}'
    assert told(body) == {"shift": shift}
    assert read(body) is read(body.replace(',"options":{}', ""))
    assert read(body, takes_shift=False) is PLAIN


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2048.5", 2048), ("2048.0", 2048), ("2.048e3", 2048), ("-0.9", 0), ("0", 0), ("-1", -1),
        ("-1.9", -1), ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
    ],
)  # fmt: skip
def test_a_number_is_cut_to_an_integer(written: str, value: int) -> None:
    assert told(f'{{"options":{{"num_ctx":{written}}}}}') == {"num_ctx": value}


def test_a_number_that_is_cut_is_the_same_as_the_integer() -> None:
    assert read('{"options":{"num_ctx":2048.5}}') is read('{"options":{"num_ctx":2048}}')


def test_true_is_no_one() -> None:
    """Python takes them for equal; Ollama refuses the first for a number, the second for a truth."""
    assert read('{"options":{"num_gpu":true}}') is None
    assert read('{"options":{"use_mmap":1}}') is None
    assert read('{"options":{"num_gpu":1}}') is not read('{"options":{"use_mmap":true}}')


@pytest.mark.parametrize(
    "body",
    [
        '{"options":{"num_ctx":"2048"}}',
        '{"options":{"num_ctx":[2048]}}',
        '{"options":{"num_thread":{}}}',
        '{"options":{"main_gpu":false}}',
        '{"options":{"use_mmap":"true"}}',
        '{"options":[]}',
        '{"options":["num_ctx"]}',
        '{"options":["num_keep"]}',
        '{"options":"num_ctx"}',
        '{"options":7}',
        '{"options":true}',
        '{"shift":"yes"}',
        '{"shift":1,"options":{"num_ctx":1}}',
        '{"shift":true,"options":3}',
    ],
)
def test_a_type_that_ollama_refuses_makes_none(body: str) -> None:
    assert read(body) is None


@pytest.mark.parametrize("number", ["9223372036854775808", "-1e19", "1e400", "-1e400", "9" * 400, "9" * 5000])
def test_a_number_that_is_too_large_makes_none(number: str) -> None:
    assert read(f'{{"options":{{"num_ctx":{number}}}}}') is None


def test_what_no_decoder_reads_makes_none() -> None:
    assert read(b'{"options":{"num_ctx":1,"stop":"\xff","\xff":1}}') is None
    deep = "[" * 100_000 + "]" * 100_000
    assert runner_options(
        {"options": msgspec.Raw(f'{{"num_ctx":{deep}}}'.encode())}, is_plain=True, takes_shift=True
    ) is None  # fmt: skip


@pytest.mark.parametrize("name", ["NUM_CTX", "Num_Ctx", "numCtx", "num_ctx ", "my_num_ctx", "num_ctx2"])
def test_a_name_counts_exactly_as_written(name: str) -> None:
    assert read(f'{{"options":{{"{name}":2048}}}}') is PLAIN


def test_a_name_may_be_escaped() -> None:
    plain = read('{"options":{"num_ctx":2048,"use_mmap":true}}')
    assert read('{"options":{"num_\\u0063tx":2048,"\\u0075se_mmap":true}}') is plain
    assert read('{"options":{"stop":["\\n"]}}') is PLAIN
    assert read('{"\\u006fptions":{"num_ctx":2048,"use_mmap":true}}') is plain


def test_the_last_of_two_counts() -> None:
    assert told('{"options":{"num_ctx":1,"num_ctx":2}}') == {"num_ctx": 2}
    assert told('{"options":{"num_ctx":1},"options":{"num_batch":2}}') == {"num_batch": 2}


@pytest.mark.parametrize("key", ["Options", "OPTIONS", "option\u017f"])
def test_options_and_shift_stand_at_the_top_in_any_case(key: str) -> None:
    assert told(f'{{"{key}":{{"num_ctx":2048}},"SHIFT":true}}') == {"num_ctx": 2048, "shift": True}
    assert told(f'{{"{key}":{{"num_ctx":2048}},"SHIFT":true}}', takes_shift=False) == {"num_ctx": 2048}
    assert read(f'{{"{key}":{{"num_ctx":"x"}}}}') is None
    assert read('{"Model":"m"}') is PLAIN


def test_only_a_context_is_told_from_a_context_beside_others() -> None:
    for body, context in (
        ('{"options":{"num_ctx":2048}}', 2048),
        ('{"options":{"num_ctx":2048,"num_gpu":0}}', None),
        ('{"options":{"num_ctx":2048},"shift":false}', None),
        ("{}", None),
    ):
        made = read(body)
        assert made is not None
        assert made.only_num_ctx == context


def test_what_is_being_loaded_equals_none_that_is_asked_for() -> None:
    assert NOT_YET is not PLAIN
    assert NOT_YET.values != PLAIN.values


def test_what_clients_make_up_is_not_kept_for_ever() -> None:
    """Beyond the most that are kept all are forgotten; the plain ones stay one object, values stay equal."""
    first = read('{"options":{"num_thread":70000}}')
    assert first is not None
    for number in range(4100):
        read(f'{{"options":{{"num_thread":{70001 + number}}}}}')
    assert len(module._known) <= 4096
    again = read('{"options":{"num_thread":70000}}')
    assert again is not None
    assert again is not first
    assert again.values == first.values
    assert read('{"options":{"num_ctx":null}}') is PLAIN


def test_a_context_takes_another_one_s_place_and_leaves_the_rest() -> None:
    made = read('{"options":{"num_ctx":2048,"num_gpu":1,"use_mmap":false},"shift":true}')
    assert made is not None
    other = made.with_num_ctx(8192)
    assert (made.num_ctx, other.num_ctx, PLAIN.num_ctx, NOT_YET.num_ctx) == (2048, 8192, None, None)
    assert other.told == {**made.told, "num_ctx": 8192}
    assert other.with_num_ctx(2048) is made
    assert PLAIN.with_num_ctx(4096) is read('{"options":{"num_ctx":4096}}')


@pytest.mark.parametrize("num_ctx", ["4096", '"many"', "[]"])
def test_a_num_ctx_that_is_going_to_be_another_is_not_read(num_ctx: str) -> None:
    members, is_plain = bodies.read(b'{"options":{"num_gpu":7,"num_ctx":%s}}' % num_ctx.encode())
    made = runner_options(members, is_plain=is_plain, takes_shift=True, ignores_num_ctx=True)
    assert made is read('{"options":{"num_gpu":7}}')
