"""Shapes of what we say ourselves, in each dialect that Ollama speaks.

Owns how an error looks before and in the middle of an answer; what it says is in `errors`. Byte for byte as
recorded of Ollama 0.32.15: content types differ between its middleware and its handlers.
"""

from enum import Enum
from typing import Final

import msgspec

from gollamas.wire.message import Fields


def _encode(value: object) -> bytes:
    """Encode as Go's marshaller does, which escapes what a browser could take for HTML."""
    text = msgspec.json.encode(value)
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


class Dialect(Enum):
    """Whose shapes a route uses."""

    NATIVE = "native"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


JSON: Final = (b"Content-Type", b"application/json; charset=utf-8")
JSON_PLAIN: Final = (b"Content-Type", b"application/json")
NDJSON: Final = (b"Content-Type", b"application/x-ndjson")
TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
TEXT_PLAIN: Final = (b"Content-Type", b"text/plain")

_OPENAI_TYPES: Final = {400: "invalid_request_error", 404: "not_found_error"}
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def error_object(dialect: Dialect, status: int, text: str, request_id: str) -> bytes:
    """The JSON object that says what is wrong, without a line end."""
    if dialect is Dialect.OPENAI:
        kind = _OPENAI_TYPES.get(status, "api_error")
        return _encode({"error": {"message": text, "type": kind, "param": None, "code": None}})
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        return _encode(
            {"type": "error", "error": {"type": kind, "message": text}, "request_id": f"req_{request_id}"}
        )
    return _encode({"error": text})


def error(
    dialect: Dialect, status: int, text: str, request_id: str = "", *, from_handler: bool = True
) -> tuple[Fields, bytes]:
    """Fields and body of an error answer.

    `from_handler` says whether Ollama would find it behind its middleware: then a `/v1` answer ends with a
    line feed and its type has no charset.
    """
    body = error_object(dialect, status, text, request_id)
    if dialect in (Dialect.OPENAI, Dialect.ANTHROPIC) and from_handler:
        return [JSON_PLAIN], body + b"\n"
    return [JSON], body


def late_error(
    dialect: Dialect, text: str, request_id: str, *, is_event_stream: bool, sent_tail: bytes
) -> bytes:
    """What is sent behind an answer that broke off: one error, on a line of its own.

    `sent_tail` is how the bytes that went out end; an event begins behind an empty line.
    """
    body = error_object(dialect, 502, text, request_id)
    if not is_event_stream:
        return (b"" if not sent_tail or sent_tail.endswith(b"\n") else b"\n") + body + b"\n"
    if not sent_tail or sent_tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        gap = b""
    else:
        gap = b"\n" if sent_tail.endswith(b"\n") else b"\n\n"
    event = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return gap + event + b"data: " + body + b"\n\n"
