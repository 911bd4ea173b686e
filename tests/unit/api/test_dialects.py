"""Errors have the shape, to the byte, that Ollama gives them in each dialect."""

import json

import pytest

from gollamas.api import dialects
from gollamas.api.dialects import Dialect, error, error_object, late_error
from gollamas.api.routes import find
from tests.recorded import NEWEST, case

FROM_HANDLER = [
    "generate-unknown-model", "chat-unknown-model", "embed-unknown-model", "show-unknown-model",
    "v1-chat-unknown-model", "v1-embeddings-unknown-model", "v1-responses-unknown-model", "v1-model-unknown",
    "v1-messages-unknown-model", "generate-no-model", "generate-bad-name", "generate-bad-json",
    "generate-empty-body", "generate-wrong-type", "encoding-gzip-body", "chat-tools-refused",
    "generate-bad-option",
]  # fmt: skip
FROM_MIDDLEWARE = ["v1-chat-bad-json", "v1-chat-no-messages"]


def text_of(document: dict[str, object]) -> str:
    """Read the words of an error in any dialect."""
    said = document["error"]
    text = said["message"] if isinstance(said, dict) else said
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("name", FROM_HANDLER + FROM_MIDDLEWARE)
def test_an_error_is_the_recorded_one(name: str) -> None:
    recorded = case(NEWEST, name)
    route = find(recorded.request.head.path)
    assert route is not None
    reply = recorded.reply
    document = json.loads(reply.body)
    request_id = document.get("request_id", "req_").removeprefix("req_")
    fields, body = error(
        route.dialect, reply.status, text_of(document), request_id, from_handler=name in FROM_HANDLER
    )
    assert body == reply.body
    assert fields == reply.end_to_end()


@pytest.mark.parametrize(
    ("dialect", "status", "kind"),
    [
        (Dialect.OPENAI, 400, "invalid_request_error"),
        (Dialect.OPENAI, 404, "not_found_error"),
        (Dialect.OPENAI, 401, "api_error"),
        (Dialect.OPENAI, 502, "api_error"),
        (Dialect.OPENAI, 503, "api_error"),
        (Dialect.ANTHROPIC, 400, "invalid_request_error"),
        (Dialect.ANTHROPIC, 401, "authentication_error"),
        (Dialect.ANTHROPIC, 403, "permission_error"), (Dialect.ANTHROPIC, 404, "not_found_error"),
        (Dialect.ANTHROPIC, 429, "rate_limit_error"), (Dialect.ANTHROPIC, 503, "overloaded_error"),
        (Dialect.ANTHROPIC, 529, "overloaded_error"), (Dialect.ANTHROPIC, 413, "api_error"),
        (Dialect.ANTHROPIC, 502, "api_error"),
    ],
)  # fmt: skip
def test_an_errors_type_follows_its_status(dialect: Dialect, status: int, kind: str) -> None:
    assert json.loads(error_object(dialect, status, "text", "1"))["error"]["type"] == kind


def test_errors_of_the_three_dialects() -> None:
    text = 'a "b" \u00e9\n'
    assert error_object(Dialect.NATIVE, 404, text, "1") == '{"error":"a \\"b\\" é\\n"}'.encode()
    assert json.loads(error_object(Dialect.OPENAI, 404, text, "1")) == {
        "error": {"message": text, "type": "not_found_error", "param": None, "code": None}
    }
    assert json.loads(error_object(Dialect.ANTHROPIC, 404, text, "1")) == {
        "type": "error",
        "error": {"type": "not_found_error", "message": text},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("dialect", list(Dialect))
def test_an_error_is_one_line(dialect: Dialect) -> None:
    _, body = error(dialect, 502, "first\nsecond\r\n", "1")
    assert body.count(b"\n") == body.endswith(b"\n")


def test_native_errors_are_alike_wherever_they_come_from() -> None:
    assert error(Dialect.NATIVE, 400, "x") == error(Dialect.NATIVE, 400, "x", from_handler=False)
    assert error(Dialect.NATIVE, 400, "x") == ([dialects.JSON], b'{"error":"x"}')


@pytest.mark.parametrize(
    ("sent", "gap"),
    [
        (b"", b""), (b'{"done":false}\n', b""), (b'{"resp', b"\n"), (b"\n", b""), (b"x\r\n", b""),
        (b"x\r", b"\n"),
    ],
)  # fmt: skip
def test_a_late_error_is_a_line_of_its_own(sent: bytes, gap: bytes) -> None:
    late = late_error(Dialect.NATIVE, "it broke", "1", is_event_stream=False, sent_tail=sent)
    assert late == gap + b'{"error":"it broke"}\n'


@pytest.mark.parametrize(
    ("sent", "gap"),
    [
        (b"", b""), (b"data: {}\n\n", b""), (b"data: {}\r\n\r\n", b""), (b"data: {}\r\r", b""),
        (b"data: {}\n", b"\n"), (b"data: {}\r\n", b"\n"), (b'data: {"cho', b"\n\n"), (b"d", b"\n\n"),
    ],
)  # fmt: skip
def test_a_late_error_is_an_event_of_its_own(sent: bytes, gap: bytes) -> None:
    late = late_error(Dialect.OPENAI, "it broke", "1", is_event_stream=True, sent_tail=sent)
    said = b'{"error":{"message":"it broke","type":"api_error","param":null,"code":null}}'
    assert late == gap + b"data: " + said + b"\n\n"
    late = late_error(Dialect.ANTHROPIC, "it broke", "1", is_event_stream=True, sent_tail=sent)
    said = b'{"type":"error","error":{"type":"api_error","message":"it broke"},"request_id":"req_1"}'
    assert late == gap + b"event: error\ndata: " + said + b"\n\n"


def test_a_late_error_never_looks_like_an_end() -> None:
    for dialect in Dialect:
        for is_event_stream in (False, True):
            late = late_error(dialect, "it broke", "1", is_event_stream=is_event_stream, sent_tail=b"x")
            assert b"[DONE]" not in late
            assert b'"done":true' not in late
            assert b"message_stop" not in late


def test_half_a_line_end_before_a_late_event_still_gives_it_an_empty_line() -> None:
    late = late_error(Dialect.OPENAI, "x", "1", is_event_stream=True, sent_tail=b"data: {}\r")
    assert late.startswith(b"\n\ndata: ")


def test_an_error_escapes_what_a_browser_could_take_for_html() -> None:
    """As Go's marshaller does."""
    assert (
        error(Dialect.NATIVE, 400, "invalid character '<'")[1] == b'{"error":"invalid character \'\\u003c\'"}'
    )
    assert error_object(Dialect.OPENAI, 400, "a & b > c", "").startswith(
        b'{"error":{"message":"a \\u0026 b \\u003e c"'
    )
