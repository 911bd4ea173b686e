"""Counts read from the end of an answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.api.routes import find
from gollamas.wire.tail import TAIL_BYTES, Counts, Telling, counts
from tests.recorded import FOLDER, needs_recordings

NOTHING = Counts()
METRICS = (
    b'"total_duration":72676683,"load_duration":680335,"prompt_eval_count":12,'
    b'"prompt_eval_duration":41054000,"eval_count":6,"eval_duration":28402000}'
)
LAST = b'{"model":"m","response":"","done":true,"done_reason":"stop",' + METRICS


def test_a_native_stream_ends_with_its_counts() -> None:
    said = counts(b'{"model":"m","response":"x","done":false}\n' + LAST + b"\n", Telling.NATIVE)
    assert said == Counts(12, 6, 28402000 * 1e-9, 680335 * 1e-9, done=True)


def test_a_long_context_before_the_counts_does_not_hide_them() -> None:
    whole = LAST.replace(b'"total', b'"context":[' + b"123456," * 5000 + b'1],"total')
    assert counts(whole, Telling.NATIVE).tokens_out == 6
    assert counts(whole[-TAIL_BYTES:], Telling.NATIVE) == counts(LAST, Telling.NATIVE)


def test_counts_that_are_left_out_are_none() -> None:
    """An embedding generates nothing, a prompt that was cached has no count in old versions."""
    embed = (
        b'{"model":"m","embeddings":[],"total_duration":5,"load_duration":3000000000,"prompt_eval_count":3}'
    )
    assert counts(embed, Telling.NATIVE) == Counts(3, None, None, 3.0, done=True)
    assert counts(b'{"model":"m","total_duration":5,"eval_count":1}', Telling.NATIVE) == Counts(
        None, 1, done=True
    )


@pytest.mark.parametrize("reason", [b',"done_reason":"load"', b',"done_reason":"unload"', b""])
def test_a_load_is_done_without_counts(reason: bytes) -> None:
    assert counts(b'{"model":"m","done":true' + reason + b"}\n", Telling.NATIVE) == Counts(done=True)


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"{",
        b'{"error":"x"}\n',
        b'{"model":"m","response":"x","done":false}\n',
        b'{"message":{"tool_calls":[{"arguments":{"a":1,"total_duration":5,"eval_count":9}}]},"done":false}',
        b'{"message":{"tool_calls":[{"function":{"arguments":{"a":1,"done":true}}}]},"done":false}\n',
        b'{"response":",\\"total_duration\\":5,\\"eval_count\\":7}","done":false}\n',
        b'{"done":true,"total_duration":"long"}',
        b'{"done":true,"total_duration":5,"eval_count":\xff}',
        b'{"done":true,"total_duration":5,"eval_count":' + b"[" * 3000,
        LAST + b'\n{"error":"an error was encountered while running the model"}\n',
    ],
)
def test_what_is_no_end_of_a_native_answer_says_nothing(tail: bytes) -> None:
    assert counts(tail, Telling.NATIVE) == NOTHING


def test_words_that_look_like_counts_do_not_fool() -> None:
    spoken = b'{"response":"\\"total_duration\\":1,\\"eval_count\\":5}",' + LAST[1:]
    assert counts(spoken, Telling.NATIVE).tokens_out == 6
    text = b'{"choices":[{"text":"\\"usage\\":{\\"prompt_tokens\\":99}"}],'
    choice = text + b'"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    assert counts(choice, Telling.OPENAI) == Counts(1, 2, done=True)
    tool = b'{"content":[{"input":{"usage":{"input_tokens":99,"output_tokens":98}}}],'
    block = tool + b'"usage":{"input_tokens":1,"output_tokens":2}}'
    assert counts(block, Telling.MESSAGES) == Counts(1, 2, done=True)


CACHED = [
    (
        Telling.NATIVE,
        b'{"done":true,"total_duration":5,"prompt_eval_count":12,"prompt_eval_cached_count":%s,"eval_count":6}',
        12,
    ),
    (
        Telling.OPENAI,
        b'{"usage":{"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":%s},"completion_tokens":6}}',
        12,
    ),
    (
        Telling.RESPONSES,
        b'{"usage":{"input_tokens":12,"output_tokens":6,"input_tokens_details":{"cached_tokens":%s}}}',
        12,
    ),
    (
        Telling.MESSAGES,
        b'{"usage":{"input_tokens":1,"cache_read_input_tokens":%s,"output_tokens":6}}',
        1,
    ),
]


@pytest.mark.parametrize(("telling", "answer", "told"), CACHED)
def test_cached_tokens_are_read_and_on_messages_added(telling: Telling, answer: bytes, told: int) -> None:
    said = counts(answer % b"11", telling)
    assert (said.tokens_in, said.tokens_cached, said.tokens_out) == (12, 11, 6)
    none = None if telling is Telling.RESPONSES else 0  # there servers write 0 that know of no cache, too
    assert counts(answer % b"0", telling) == Counts(told, 6, tokens_cached=none, done=True)
    assert counts(answer % b"null", telling) == Counts(told, 6, done=True)


CHUNK = b'data: {"id":"c","choices":[{"delta":{"content":"x"}}]}\n\n'
USAGE = (
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":6,"total_tokens":18}}\n\n'
)


def test_an_openai_stream_tells_counts_only_when_asked_to() -> None:
    assert counts(CHUNK + USAGE + b"data: [DONE]\n\n", Telling.OPENAI) == Counts(12, 6, done=True)
    assert counts(CHUNK + b"data: [DONE]\n\n", Telling.OPENAI) == Counts(done=True)
    assert counts(b"data: [DONE]\n\n", Telling.OPENAI) == Counts(done=True)


def test_a_stream_without_its_end_says_nothing() -> None:
    """Zeros of unfinished completions and the estimate of `message_start` are no counts."""
    zeros = CHUNK[:-3] + b',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}\n\n'
    assert counts(zeros, Telling.OPENAI) == NOTHING
    start = b'event: message_start\ndata: {"message":{"usage":{"input_tokens":3,"output_tokens":0}}}\n\n'
    assert counts(start, Telling.MESSAGES) == NOTHING
    assert counts(CHUNK + b'data: {"error":{"message":"data: [DON"}}\n\n', Telling.OPENAI) == NOTHING


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", LAST, USAGE, b'"usage":{"input_tokens":']),
    st.sampled_from(Telling),
)
def test_no_tail_is_an_error(junk: bytes, end: bytes, telling: Telling) -> None:
    assert isinstance(counts(junk + end, telling), Counts)
    assert isinstance(counts(end + junk, telling), Counts)


def bodies() -> list[tuple[Telling, Path]]:
    """List the recorded answers of the routes that tell counts."""
    found = []
    for index in FOLDER.glob("*/*.request"):
        route = find(index.read_bytes().split(b" ", 2)[1])
        answer = index.with_suffix(".response")
        if route and route.telling and answer.read_bytes().startswith(b"HTTP/1.1 200"):
            found.append((route.telling, answer))
    return found


def body_of(answer: bytes) -> bytes:
    """Take the chunks out of a recorded answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return rest
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def numbers(value: object) -> dict[str, int]:
    """Collect every whole number of a document by its name, the last one of a name."""
    if not isinstance(value, dict):
        return {}
    found = {key: inner for key, inner in value.items() if type(inner) is int}
    for inner in value.values():
        found |= numbers(inner)
    return found


@needs_recordings
def test_recorded_answers_say_what_a_decoder_reads() -> None:
    seen = 0
    told: set[tuple[Telling, bool]] = set()
    for telling, path in bodies():
        body = body_of(path.read_bytes())
        said: dict[str, int] = {}
        for line in body.split(b"\n"):
            text = line.removeprefix(b"data: ")
            if text.startswith(b"{"):
                said |= numbers(json.loads(text))
        got = counts(body, telling)
        assert got.done, path
        read = said.get("prompt_eval_count", said.get("prompt_tokens", said.get("input_tokens")))
        beside = said.get("cache_read_input_tokens")
        assert got.tokens_in == (read if read is None or beside is None else read + beside), path
        cached = said.get("prompt_eval_cached_count", said.get("cached_tokens", beside))
        assert got.tokens_cached == (cached or None if telling is Telling.RESPONSES else cached), path
        assert got.tokens_out == said.get(
            "eval_count", said.get("completion_tokens", said.get("output_tokens"))
        ), path
        seen += got.tokens_in is not None
        told.add((telling, bool(got.tokens_cached)))
    assert seen >= 20
    assert {(telling, True) for telling in Telling} <= told
