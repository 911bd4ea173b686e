"""The comparison with the recordings sees what it is to see, and nothing else."""

from pathlib import Path

import pytest

from tests.recorded import body_shape, chunk_shapes, event_shapes, parse_reply, versions_in

LINE = b'{"model":"a","created_at":"x","response":"Hi","done":false}\n'
LAST = b'{"model":"a","created_at":"x","response":"","done":true,"done_reason":"stop","context":[1,2]}\n'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":{"c":"x"}}', b'{"a":2,"b":{"c":"y"}}'),
        (b'{"a":[1,2,3]}', b'{"a":[4]}'),
    ],
)
def test_values_are_left_aside(one: bytes, other: bytes) -> None:
    """Other numbers, texts and lengths of lists make no difference."""
    assert body_shape(one) == body_shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
        (b'{"a":{"b":1,"c":2}}', b'{"a":{"c":2,"b":1}}'),
        (b'{"a":[{"b":1}]}', b'{"a":[{"c":1}]}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":null}', b'{"a":1}'),
        (b'{"a":1}', b'{"a":1}\n'),
        (b'{"error":"x"}', b'{"error":"y"}'),
        (b'{"error":{"message":"x"}}', b'{"error":{"message":"y"}}'),
        (b'{"done_reason":"stop"}', b'{"done_reason":"load"}'),
        (b'{"capabilities":["completion"]}', b'{"capabilities":["embedding"]}'),
        (b"404 page not found", b"404 not found"),
    ],
)
def test_order_types_ends_and_error_texts_count(one: bytes, other: bytes) -> None:
    """Key order at any depth, types, the last newline and the words of errors make a difference."""
    assert body_shape(one) != body_shape(other)


def test_a_stream_is_a_sequence_of_kinds() -> None:
    """The number of tokens does not count, the kinds of chunks and their order do."""
    assert chunk_shapes([LINE, LINE, LAST]) == chunk_shapes([LINE, LAST])
    assert chunk_shapes([LINE, LAST]) != chunk_shapes([LAST, LINE])
    assert chunk_shapes([LINE, LAST]) != chunk_shapes([LINE + LAST])


def test_events_are_compared_with_their_names_and_ends() -> None:
    """Another name, another order of keys, no `[DONE]` or a missing blank line are seen."""
    stream = b'event: a\ndata: {"x":1,"y":2}\n\ndata: [DONE]\n\n'
    assert event_shapes(stream) == event_shapes(stream.replace(b'"x":1', b'"x":5'))
    for change in (
        (b"event: a", b"event: b"),
        (b'"x":1,"y":2', b'"y":2,"x":1'),
        (b"data: [DONE]\n\n", b""),
        (b"}\n\n", b"}\n"),
    ):
        assert event_shapes(stream.replace(*change)) != event_shapes(stream)


def test_a_reply_is_taken_apart() -> None:
    """Status, fields and chunks; a body with a length has none."""
    chunked = parse_reply(
        b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", is_head=False
    )
    assert (chunked.status, chunked.chunks, chunked.body, chunked.end_to_end()) == (200, [b"ab"], b"ab", [])
    whole = parse_reply(b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 2\r\n\r\nab", is_head=False)
    assert (whole.status, whole.chunks, whole.body, whole.end_to_end()) == (404, None, b"ab", [(b"A", b"b")])


@pytest.mark.parametrize("body", [b"2\r\nab\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"2\r\na"])
def test_a_faulty_framing_is_no_reply(body: bytes) -> None:
    """A chunked body without its end, or with a wrong size, is not read."""
    with pytest.raises((AssertionError, ValueError)):
        parse_reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, is_head=False)


def test_every_version_in_the_folder_is_compared_the_newest_first(tmp_path: Path) -> None:
    """Whatever lies there with an index, in the order of its numbers; nothing where there is no folder."""
    for name in ("0.9.0", "0.100.1", "0.34.3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").touch()
    (tmp_path / "notes").mkdir()
    assert versions_in(tmp_path) == ("0.100.1", "0.34.3", "0.9.0")
    assert versions_in(tmp_path / "absent") == ()
