"""The name editor on what Ollama sends and on texts that look like a name."""

import json

import pytest

from gollamas.api.routes import find, shape_of
from gollamas.wire.lines import NameEditor, Shape, quoted
from tests.recorded import FOLDER, VERSIONS, needs_recordings

X, Y = b"llama3.2-vision", b"gpt-4o"


def edit(shape: Shape, *pieces: bytes, old: bytes = X, new: bytes = Y) -> bytes:
    editor = NameEditor(shape, old, new)
    return b"".join([*map(editor.feed, pieces), editor.flush()])


CHAT_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":17,"model":"llama3.2-vision",'
    b'"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
)
NATIVE_LINE = b'{"model":"llama3.2-vision","created_at":"t","message":{"content":"x"},"done":false}\n'


@pytest.mark.parametrize(
    ("shape", "line"), [(Shape.NATIVE_LINES, NATIVE_LINE), (Shape.CHAT_EVENTS, CHAT_EVENT)]
)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_name_is_changed_in_every_line(shape: Shape, line: bytes, count: int) -> None:
    sent = line * count
    wanted = sent.replace(X, Y)
    assert edit(shape, sent) == wanted
    assert edit(shape, *[line] * count) == wanted
    assert edit(shape, *(sent[i : i + 1] for i in range(len(sent)))) == wanted


KEPT = [
    (Shape.NATIVE_LINES, b'{"model":"other","response":"x"}\n'),
    (Shape.NATIVE_LINES, b'{"error":"model \'llama3.2-vision\' not found"}\n'),
    (Shape.NATIVE_LINES, b'{"a":"{\\"model\\":\\"llama3.2-vision\\"}"}\n'),
    (Shape.NATIVE_LINES, b'{"x":{"model":"llama3.2-vision"},"y":[{"model":"llama3.2-vision"}]}\n'),
    (Shape.NATIVE_LINES, b'[{"model":"llama3.2-vision"}]\n'),
    (Shape.NATIVE_LINES, b'{}{"model":"llama3.2-vision"}\n'),
    (Shape.NATIVE_LINES, b'{"a":{}}{"model":"llama3.2-vision"}\n'),
    (Shape.CHAT_EVENTS, b'data: {}{"model":"llama3.2-vision"}\n\n'),
    (Shape.WHOLE, b'{} {"model":"llama3.2-vision"}'),
    (Shape.NATIVE_LINES, b'{"a\\"model":"llama3.2-vision"}\n'),
    (Shape.NATIVE_LINES, b'{"model":{"model":"llama3.2-vision"}}\n'),
    (Shape.NATIVE_LINES, b'{"Xmodel":"llama3.2-vision","modelX":"llama3.2-vision"}\n'),
    (Shape.NATIVE_LINES, b'{"details":"llama3.2-vision","model":null}\n'),
    (Shape.NATIVE_LINES, b'{"model":"llama3.2-vision:latest"}\n'),
    (Shape.CHAT_EVENTS, b'event: {"model":"llama3.2-vision"}\n: {"model":"llama3.2-vision"}\n\n'),
    (Shape.CHAT_EVENTS, b"data: [DONE]\n\n"),
    (Shape.RESPONSES_EVENTS, b'data: {"response":{"metadata":{"model":"llama3.2-vision"},"model":""}}\n\n'),
    (Shape.RESPONSES_EVENTS, b'data: {"item":{"model":"llama3.2-vision"},"delta":"llama3.2-vision"}\n\n'),
    (Shape.MESSAGES_EVENTS, b'data: {"delta":{"model":"llama3.2-vision"},"message":"llama3.2-vision"}\n\n'),
    (Shape.WHOLE, b'{"model":"y","tool":{"model":"llama3.2-vision"}}'),
    (Shape.SHOW_BASENAME, b'{"model":"llama3.2-vision","details":{"general.basename":"llama3.2-vision"}}'),
]


@pytest.mark.parametrize(("shape", "sent"), KEPT)
def test_the_same_text_elsewhere_stays(shape: Shape, sent: bytes) -> None:
    assert edit(shape, sent) == sent
    assert edit(shape, *(sent[i : i + 1] for i in range(len(sent)))) == sent


CHANGED = [
    (
        Shape.NATIVE_LINES,
        b'{"message":{"tool_calls":[{"function":{"arguments":{"model":"smol"}}}]},"model":@}\n',
    ),
    (Shape.NATIVE_LINES, b'{"model":@,"arguments":{"model":"smol"}}\n{"model":"smo","a":1}\n'),
    (Shape.NATIVE_LINES, b' { "done" : false , "model" : @ }\r\n'),
    (Shape.NATIVE_LINES, b'{"broken":{"model":"smol"\n{"model":@}\n'),
    (Shape.NATIVE_LINES, b'{"model":@,"response":"the last line has no line feed"}'),
    (
        Shape.COMPLETIONS_EVENTS,
        (
            b'data: {"id":"c","object":"o","created":1,"choices":[{"text":"}]}],\\"model\\":\\"smol\\",\\\\",'
            b'"index":0,"finish_reason":null}],"model":@,"system_fingerprint":"f"}\n\n'
        ),
    ),
    (
        Shape.RESPONSES_EVENTS,
        (
            b'event: response.created\ndata: {"response":{"instructions":"\\"model\\":\\"smol\\"",'
            b'"metadata":{"model":"smol"},"model":@,"output":[{"model":"smol"}]},"type":"t"}\n\n'
        ),
    ),
    (
        Shape.MESSAGES_EVENTS,
        b'data: {"type":"message_start","message":{"id":"m","model":@,"content":[]}}\n\n',
    ),
    (Shape.RESPONSES_EVENTS, b'data: {"response":{"id":"x"},"id":"y","model":@}\n\n'),
    (Shape.MESSAGES_EVENTS, b'data: {"message":{"a":{"model":"smol"}},"message":{"model":@}}\n\n'),
    (Shape.WHOLE, b'{"object":"list","data":[{"embedding":[0.1,-2e3]},{"model":"smol"}],"model":@}'),
    (Shape.WHOLE, b'{\n  "choices": [\n    {"model": "smol"}\n  ],\n  "model": @\n}\n'),
    (Shape.MODEL_ENTRY, b'{"id":@,"object":"model","created":1,"owned_by":"smol"}'),
    (
        Shape.SHOW_BASENAME,
        b'{"template":"{{","model_info":{"a":{"general.basename":"smol"},"general.basename":@}}',
    ),
]


@pytest.mark.parametrize(("shape", "text"), CHANGED)
def test_the_own_name_is_found_behind_anything(shape: Shape, text: bytes) -> None:
    sent, wanted = text.replace(b"@", quoted(b"smol")), text.replace(b"@", quoted(Y))
    assert edit(shape, sent, old=b"smol") == wanted
    for cut in range(len(sent)):
        assert edit(shape, sent[:cut], sent[cut:], old=b"smol") == wanted


def test_an_event_of_another_order_does_not_spoil_those_around_it() -> None:
    """A line that the quick way can't read is scanned, its neighbours are changed as well."""
    odd = b'data: {"choices":[{"model":"llama3.2-vision"}],"model":@}\n\n'
    sent = CHAT_EVENT + odd.replace(b"@", quoted(X)) + CHAT_EVENT
    fixed = CHAT_EVENT.replace(X, Y)
    assert edit(Shape.CHAT_EVENTS, sent) == fixed + odd.replace(b"@", quoted(Y)) + fixed


def test_events_with_different_ids_are_all_changed() -> None:
    """What is learnt of the first event does not have to fit the next."""
    sent = CHAT_EVENT + CHAT_EVENT.replace(b":17,", b":18,") + CHAT_EVENT
    assert edit(Shape.CHAT_EVENTS, sent) == sent.replace(X, Y)


def test_nothing_but_a_part_of_the_name_is_held() -> None:
    editor = NameEditor(Shape.WHOLE, X, Y)
    assert editor.feed(b'{"a":"' + b"x" * 100_000) == b'{"a":"' + b"x" * 100_000
    assert editor.feed(b'","model":"llama3') == b'","model":'
    assert editor.feed(b".2") == b""
    assert editor.flush() == b'"llama3.2'
    assert editor.flush() == b""


def test_a_long_open_line_is_scanned_as_it_passes() -> None:
    """A nested name far behind the beginning of a line is still known to be nested."""
    sent = b'{"a":{"b":"' + b"x" * 9000 + b'","model":"llama3.2-vision"},"model":"llama3.2-vision"}\n'
    wanted = b'"gpt-4o"}\n'.join(sent.rsplit(b'"llama3.2-vision"}\n', 1))
    assert edit(Shape.NATIVE_LINES, *(sent[i : i + 500] for i in range(0, len(sent), 500))) == wanted


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "\\1", "\\g<1>", "<html>&", "ümlaut", "\u2028", ""])
def test_any_name_is_written_as_json(name: str) -> None:
    sent = CHAT_EVENT.replace(quoted(X), quoted(name.encode()))
    assert edit(Shape.CHAT_EVENTS, CHAT_EVENT, new=name.encode()) == sent
    assert (
        edit(Shape.CHAT_EVENTS, *(sent[i : i + 1] for i in range(len(sent))), old=name.encode(), new=X)
        == CHAT_EVENT
    )
    assert json.loads(sent[6:])["model"] == name
    assert b"<" not in quoted(name.encode())


BEGINNINGS = {
    "chat-": b"/api/chat",
    "generate-": b"/api/generate",
    "embed-": b"/api/embed",
    "v1-chat-": b"/v1/chat/completions",
    "v1-completions-": b"/v1/completions",
    "v1-embeddings-": b"/v1/embeddings",
    "v1-responses-": b"/v1/responses",
    "v1-messages-": b"/v1/messages",
    "v1-model.": b"/v1/models/smol",
}


def body_of(answer: bytes) -> tuple[bytes, bytes]:
    """Give the Content-Type and the body of a recorded answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    kind = next((f[14:] for f in head.split(b"\r\n") if f.lower().startswith(b"content-type: ")), b"")
    if b"Transfer-Encoding: chunked" not in head:
        return kind, rest
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return kind, body


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_answers_carry_the_new_name_wherever_they_carried_their_own(version: str) -> None:
    """Ollama's recorded words contain no quoted `smol` of their own, so a plain replacement is the truth."""
    seen = 0
    for path in sorted((FOLDER / version).glob("*.response")):
        asked = next((asked for start, asked in BEGINNINGS.items() if path.name.startswith(start)), b"")
        route = find(asked)
        if route is None:
            continue
        kind, body = body_of(path.read_bytes())
        shape = shape_of(route, kind)
        assert shape is not None
        for old in (b"smol", b"minilm"):
            wanted = body.replace(quoted(old), quoted(Y))
            assert edit(shape, body, old=old) == wanted, path.name
            assert edit(shape, *(body[i : i + 7] for i in range(0, len(body), 7)), old=old) == wanted, (
                path.name
            )
            seen += wanted != body
    assert seen >= 15


def test_what_is_held_back_is_told_until_it_goes_out() -> None:
    editor = NameEditor(Shape.NATIVE_LINES, b"smol", b"gpt-4o")
    assert (editor.feed(b'{"x":1,"model":"sm'), editor.held) == (b'{"x":1,"model":', b'"sm')
    assert (editor.feed(b'ol"}\n'), editor.held) == (b'"gpt-4o"}\n', b"")
