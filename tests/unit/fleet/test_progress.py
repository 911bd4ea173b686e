"""One progress of many: real lines of pulls in, the lines that one client gets out."""

import json
from math import inf
from typing import Final

import pytest

from gollamas.fleet.progress import Progress, Seen, Watch

FIRST: Final = "pulling manifest"
MANIFEST: Final = b'{"status":"pulling manifest"}\n'
VERIFYING: Final = b'{"status":"verifying sha256 digest"}'
WRITING: Final = b'{"status":"writing manifest"}'
WEIGHTS: Final = "sha256:74701a8c35f6c8d9a4b91f3f3497643001d63e0c7a84e085bed452548fa88d45"
PARAMS: Final = "sha256:4f659a1e86d7f5a33c389f7991e7224b7ee6ad0358b53437d54c02d2e1b1118d"


def layer(completed: int = 0, total: int = 0, digest: str = WEIGHTS, status: str = "") -> bytes:
    """Write a line as Ollama does: what is 0 is left out."""
    members: dict[str, str | int] = {"status": status or f"pulling {digest[7:19]}", "digest": digest}
    if total:
        members["total"] = total
    if completed:
        members["completed"] = completed
    return json.dumps(members, separators=(",", ":")).encode()


def told(*lines: bytes) -> list[bytes]:
    return [line + b"\n" for line in lines]


def pull(*targets: str) -> tuple[Progress, Watch]:
    """Begin a pull whose watch has been told the first status."""
    progress = Progress(targets, FIRST)
    watch = Watch(progress)
    assert watch.next_at == 0.0
    assert watch.lines(0.0) == [MANIFEST]
    assert watch.next_at == inf
    return progress, watch


def took(progress: Progress, watch: Watch, now: float, target: str, *lines: bytes) -> list[bytes]:
    """Take lines of one target, and give what the watch says of them."""
    for line in lines:
        progress.take(target, line)
    return watch.lines(now)


def test_one_target_is_passed_on_as_it_comes() -> None:
    progress, watch = pull("a")
    lines = [
        layer(total=1321082688),
        layer(4096, 1321082688),
        layer(1321082688, 1321082688),
        layer(total=59, digest=PARAMS),
        layer(59, 59, digest=PARAMS),
        VERIFYING,
        WRITING,
        b'{"status":"removing unused layers"}',
    ]
    progress.take("a", MANIFEST.strip())
    assert watch.lines(0.5) == []
    for step, line in enumerate(lines, 1):
        assert took(progress, watch, float(step), "a", line) == told(line)
    progress.ended("a", is_done=True)
    assert watch.lines(20.0) == []
    assert watch.next_at == inf


def test_a_layer_is_the_sum_over_those_who_have_named_it() -> None:
    progress, watch = pull("a", "b")
    assert took(progress, watch, 1.0, "a", layer(40, 100)) == told(layer(40, 100))
    assert took(progress, watch, 2.0, "b", layer(total=100)) == told(layer(40, 200))
    assert took(progress, watch, 3.0, "b", layer(30, 100)) == told(layer(70, 200))
    assert took(progress, watch, 4.0, "a", layer(60, 100)) == told(layer(90, 200))
    assert took(progress, watch, 5.0, "a", layer(7, 9, PARAMS)) == told(layer(7, 9, PARAMS))


def test_the_members_stand_in_the_order_of_ollama() -> None:
    progress, watch = pull("a")
    line = b'{"completed":5,"total":9,"digest":"sha256:d","status":"pulling d"}'
    right = b'{"status":"pulling d","digest":"sha256:d","total":9,"completed":5}'
    assert took(progress, watch, 1.0, "a", line) == told(right)


def test_a_layer_keeps_its_first_status() -> None:
    progress, watch = pull("a", "b")
    model = "sha256:model"  # of safetensors: one digest for all files
    assert took(progress, watch, 1.0, "a", layer(1, 9, model, "pulling model")) == told(
        layer(1, 9, model, "pulling model")
    )
    assert took(progress, watch, 2.0, "b", layer(1, 9, model, "pulling all")) == told(
        layer(2, 18, model, "pulling model")
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([layer(60, 100), layer(20, 100)], (60, 100), id="it begins anew"),
        pytest.param([layer(60, 100), layer(20, 100), layer(70, 100)], (70, 100), id="and goes on"),
        pytest.param([layer(60, 100), layer(20, 200)], (60, 200), id="the total grows"),
        pytest.param([layer(60, 100), layer(20, 50)], (60, 60), id="the total shrinks below it"),
        pytest.param([layer(60, 100), layer(20, 80)], (60, 80), id="the total shrinks"),
        pytest.param([layer(120, 100)], (100, 100), id="more than all"),
        pytest.param([layer(60, 100), layer(70)], (70, 100), id="the total is left out"),
        pytest.param([layer(60)], (0, 0), id="no total yet"),
        pytest.param([layer(60), layer(60, 100)], (60, 100), id="the total comes later"),
        pytest.param([layer(60, 100), layer(0, 100)], (60, 100), id="nothing"),
    ],
)
def test_completed_never_falls_and_never_passes_total(lines: list[bytes], expected: tuple[int, int]) -> None:
    progress, watch = pull("a")
    assert took(progress, watch, 1.0, "a", *lines) == told(layer(*expected))
    assert progress.seen("a") == Seen("pulling 74701a8c35f6", *expected)


@pytest.mark.parametrize("number", ["-1", "1.0", '"7"', "true", "null", "[]", "9007199254740993", "1e3"])
def test_a_number_that_is_no_size_counts_as_none(number: str) -> None:
    progress, watch = pull("a")
    line = f'{{"status":"x","digest":"d","total":10,"completed":{number}}}'.encode()
    assert took(progress, watch, 1.0, "a", line) == told(b'{"status":"x","digest":"d","total":10}')
    line = f'{{"status":"x","digest":"d","total":{number},"completed":4}}'.encode()
    assert took(progress, watch, 2.0, "a", line) == told(
        b'{"status":"x","digest":"d","total":10,"completed":4}'
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"pulling",
        b"[]",
        b'"status"',
        b"{}",
        b'{"status":null}',
        b'{"status":5,"digest":"d","total":5}',
        b'{"status":"x","digest":5}',
        b'{"status":"\xff"}',
        b'{"status":"x"',
        b'{"status":"x"}}',
        b'{"status":"x","y":' + b"[" * 4000,
        b'{"status":"%b"}' % (b"x" * 4096),
    ],
)
def test_what_is_no_progress_is_passed_over(line: bytes) -> None:
    progress, watch = pull("a")
    assert took(progress, watch, 1.0, "a", line) == []
    assert progress.seen("a") == Seen("", None, None)


def test_a_digest_that_is_empty_is_none() -> None:
    progress, watch = pull("a")
    line = b'{"status":"using existing layer","digest":""}'
    assert took(progress, watch, 1.0, "a", line) == told(line)


def test_a_word_goes_out_when_the_last_has_said_it_in_the_bytes_of_the_first() -> None:
    progress, watch = pull("a", "b", "c")
    first = b'{"status":"verifying sha256 digest", "more":"\\u003c"}'
    assert took(progress, watch, 1.0, "b", first, first) == []
    assert took(progress, watch, 1.0, "a", VERIFYING, WRITING) == []
    assert watch.next_at == inf
    assert took(progress, watch, 1.0, "c", VERIFYING) == told(first)
    assert took(progress, watch, 1.0, "c", WRITING, VERIFYING) == []
    assert took(progress, watch, 1.0, "b", WRITING) == told(WRITING)


@pytest.mark.parametrize("is_done", [True, False])
def test_who_has_ended_is_not_waited_for(*, is_done: bool) -> None:
    progress, watch = pull("a", "b", "c")
    assert took(progress, watch, 1.0, "a", VERIFYING) == []
    progress.ended("a", is_done=is_done)
    assert took(progress, watch, 1.0, "b", VERIFYING) == []
    progress.ended("c", is_done=is_done)
    assert watch.lines(1.0) == told(VERIFYING)
    assert took(progress, watch, 1.0, "b", WRITING) == told(WRITING)


def test_what_only_some_say_goes_out_when_the_others_have_ended() -> None:
    progress, watch = pull("a", "b")
    removing = b'{"status":"removing unused layers"}'
    took(progress, watch, 1.0, "a", WRITING, removing)
    assert took(progress, watch, 1.0, "b", WRITING) == told(WRITING)
    progress.ended("a", is_done=True)
    assert watch.lines(1.0) == []
    progress.ended("b", is_done=True)
    assert watch.lines(1.0) == told(removing)


def test_what_only_some_say_goes_out_before_what_they_all_say_after_it() -> None:
    """Layers that one server has and another makes, of a create."""
    progress = Progress(["a", "b", "c"])
    watch = Watch(progress)
    has, new, other = (b'{"status":"%b"}' % word for word in (b"using 1", b"creating 1", b"creating 2"))
    assert took(progress, watch, 1.0, "a", has, WRITING) == []
    assert took(progress, watch, 1.0, "b", new, other, WRITING) == []
    assert took(progress, watch, 1.0, "c", new, WRITING) == told(has, new, other, WRITING)
    assert took(progress, watch, 1.0, "c", other) == []


def test_a_job_may_have_no_first_status() -> None:
    progress = Progress(["a"])
    watch = Watch(progress)
    assert watch.next_at == inf
    lines = b'{"status":"retrieving manifest"}', b'{"status":""}', MANIFEST.strip()
    assert took(progress, watch, 1.0, "a", *lines) == told(*lines)


def test_of_a_digest_ten_lines_a_second_go_out_and_the_latest_counts() -> None:
    progress, watch = pull("a")
    assert took(progress, watch, 1.0, "a", layer(1, 100), layer(2, 100)) == told(layer(2, 100))
    assert took(progress, watch, 1.05, "a", layer(3, 100)) == []
    assert watch.next_at == 1.0 + 0.1
    assert took(progress, watch, 1.09, "a", layer(4, 100)) == []
    assert watch.lines(watch.next_at) == told(layer(4, 100))
    assert watch.next_at == inf
    assert watch.lines(9.0) == []


def test_the_last_line_of_a_layer_waits_too_and_what_follows_waits_for_it() -> None:
    progress, watch = pull("a")
    assert took(progress, watch, 1.0, "a", layer(1, 100)) == told(layer(1, 100))
    rest = layer(100, 100), layer(5, 5, PARAMS), VERIFYING
    assert took(progress, watch, 1.0, "a", *rest) == []
    progress.ended("a", is_done=True)
    assert watch.next_at == 1.0 + 0.1
    assert watch.lines(1.1) == told(*rest)
    assert watch.next_at == inf


def test_no_target_holds_up_the_layers_of_another_for_long() -> None:
    progress, watch = pull("a", "b")
    assert took(progress, watch, 1.0, "a", layer(1, 100)) == told(layer(1, 100))
    assert took(progress, watch, 1.05, "b", layer(1, 5, PARAMS)) == told(layer(1, 5, PARAMS))
    progress.take("b", layer(2, 5, PARAMS))
    progress.take("a", layer(2, 100))
    assert watch.lines(1.1) == []
    assert watch.next_at == 1.05 + 0.1
    progress.take("b", layer(3, 5, PARAMS))  # what changes again goes to the end
    assert watch.next_at == 1.0 + 0.1
    assert watch.lines(1.1) == told(layer(2, 100))
    assert watch.lines(watch.next_at) == told(layer(3, 5, PARAMS))


def test_who_fails_in_the_middle_of_a_layer_counts_by_what_it_did() -> None:
    progress, watch = pull("a", "b")
    took(progress, watch, 1.0, "b", layer(10, 100))
    assert took(progress, watch, 2.0, "a", layer(30, 100)) == told(layer(40, 200))
    progress.ended("a", is_done=False)
    assert watch.lines(3.0) == told(layer(40, 130))
    assert progress.seen("a") == Seen("pulling 74701a8c35f6", 30, 30)
    assert took(progress, watch, 4.0, "b", layer(100, 100)) == told(layer(130, 130))
    progress.ended("b", is_done=True)
    assert watch.lines(5.0) == []


def test_who_is_done_has_done_all_even_without_a_last_line() -> None:
    progress, watch = pull("a")
    took(progress, watch, 1.0, "a", layer(99, 100), layer(total=5, digest=PARAMS))
    progress.ended("a", is_done=True)
    assert watch.lines(2.0) == told(layer(100, 100), layer(5, 5, PARAMS))


def test_bars_are_full_before_the_word_that_follows_them() -> None:
    """A real Ollama leaves the last line of a layer out when its download ends between two ticks."""
    progress, watch = pull("a", "b")
    took(progress, watch, 1.0, "a", layer(99, 100), VERIFYING)
    took(progress, watch, 2.0, "b", layer(98, 100))
    assert took(progress, watch, 3.0, "b", VERIFYING) == told(layer(200, 200), VERIFYING)


def all_lines(watch: Watch, now: float) -> list[bytes]:
    """Take what is due, as often as there is something."""
    found: list[bytes] = []
    while lines := watch.lines(now):
        found += lines
    return found


def test_who_has_ended_says_nothing_more() -> None:
    progress, watch = pull("a", "b")
    took(progress, watch, 1.0, "a", layer(50, 100))
    progress.ended("a", is_done=False)
    progress.ended("a", is_done=True)
    assert took(progress, watch, 2.0, "a", layer(70, 100), VERIFYING) == told(layer(50, 50))
    assert progress.seen("a") == Seen("pulling 74701a8c35f6", 50, 50)
    assert took(progress, watch, 3.0, "b", VERIFYING) == told(VERIFYING)


def test_who_comes_late_is_told_of_the_layers_then_the_words_so_far() -> None:
    progress, early = pull("a", "b")
    progress.say("gpu-3 is down")
    parsing = b'{"status":"parsing GGUF"}'
    for target in "ab":
        took(progress, early, 1.0, target, parsing, layer(5, 9, PARAMS), layer(100, 100))
    took(progress, early, 2.0, "a", VERIFYING)
    late = Watch(progress)
    took(progress, early, 3.0, "b", VERIFYING)
    assert late.next_at == 0.0
    assert late.lines(3.0) == [
        MANIFEST,
        b'{"status":"gpu-3 is down"}\n',
        *told(layer(200, 200), layer(18, 18, PARAMS), parsing, VERIFYING),
    ]
    assert late.next_at == inf
    assert took(progress, late, 4.0, "a", layer(100, 100)) == told(layer(200, 200))


def test_who_comes_after_all_is_told_of_all() -> None:
    progress, early = pull("a")
    lines = layer(5, 9, PARAMS), layer(50, 100), VERIFYING, WRITING
    took(progress, early, 1.0, "a", *lines)
    progress.ended("a", is_done=True)
    late = Watch(progress)
    assert late.lines(1.0) == [MANIFEST, *told(layer(9, 9, PARAMS), layer(100, 100), VERIFYING, WRITING)]
    assert late.lines(9.0) == []


def test_ours_goes_out_at_once_and_once() -> None:
    progress, watch = pull("a")
    took(progress, watch, 1.0, "a", layer(1, 100))
    took(progress, watch, 1.0, "a", layer(100, 100), VERIFYING)
    down = "gpu-2 is down: it pulls when it is back"
    progress.say(down)
    assert watch.next_at == 0.0
    line = json.dumps({"status": down}, separators=(",", ":")).encode()
    assert watch.lines(1.0) == told(line)
    progress.say(down)
    progress.say(FIRST)
    assert watch.lines(1.1) == told(layer(100, 100), VERIFYING)
    assert Watch(progress).lines(1.1)[:2] == [MANIFEST, line + b"\n"]


def test_who_asks_rarely_gets_the_latest_only() -> None:
    progress, watch = pull("a")
    for completed in range(1, 50):
        progress.take("a", layer(completed, 100))
    assert watch.lines(60.0) == told(layer(49, 100))


def test_seen_says_where_a_target_is() -> None:
    progress, watch = pull("a", "b")
    assert progress.seen("a") == Seen("", None, None)
    took(progress, watch, 1.0, "a", MANIFEST.strip())
    assert progress.seen("a") == Seen("pulling manifest", None, None)
    took(progress, watch, 1.0, "a", layer(total=100), layer(5, 9, PARAMS))
    assert progress.seen("a") == Seen("pulling 4f659a1e86d7", 5, 109)
    took(progress, watch, 1.0, "a", VERIFYING)
    assert progress.seen("a") == Seen("verifying sha256 digest", 109, 109)
    assert progress.seen("b") == Seen("", None, None)


def test_no_more_is_given_at_once_than_may_wait_for_a_client_that_does_not_read() -> None:
    progress, watch = pull("a")
    for number in range(1_000):
        progress.take("a", layer(1, 2, f"sha256:{number:012}"))
    late = Watch(progress)
    for one in (watch, late):
        lines = one.lines(1.0)
        assert 16 * 1024 <= sum(map(len, lines)) < 17 * 1024
        assert one.next_at == 0.0
        assert len(all_lines(one, 1.0)) + len(lines) in (1_000, 1_001)


def test_a_server_that_makes_up_digests_and_words_fills_no_memory() -> None:
    progress, watch = pull("a", "b")
    for number in range(10_005):
        progress.take("a", layer(1, 2, f"sha256:{number:012}"))
    lines = all_lines(watch, 1.0)
    assert len(lines) == 10_000
    assert max(map(len, lines)) < 100
    assert took(progress, watch, 2.0, "b", layer(1, 2, "sha256:more")) == []
    progress.ended("b", is_done=True)
    for number in range(1_005):
        progress.take("a", b'{"status":"word %d"}' % number)
    words = [b'{"status":"word %d"}' % number for number in range(1_000)]
    assert all_lines(watch, 3.0)[10_000:] == told(*words)
    assert progress.seen("a") == Seen("word 1004", 20_000, 20_000)
