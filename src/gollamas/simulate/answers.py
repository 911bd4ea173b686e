"""Answers as Ollama's HTTP library makes them: errors of each dialect, whole bodies, streams.

Owns status, fields and framing; the contents come from the dialects.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final

from gollamas.simulate.engine import Piece
from gollamas.simulate.goformat import dump
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.text import chance
from gollamas.wire.message import Answer, Fields

JSON: Final = b"application/json; charset=utf-8"
BARE_JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
SSE: Final = b"text/event-stream"
SSE_FIELDS: Final = [(b"Cache-Control", b"no-cache"), (b"Connection", b"keep-alive"), (b"Content-Type", SSE)]
_GO_BUFFER_BYTES: Final = 2048  # net/http knows the length of what fits into its buffer


def _type(content_type: bytes) -> Fields:
    return [(b"Content-Type", content_type)]


def whole(status: int, body: bytes, content_type: bytes) -> Answer:
    """Make an answer of one piece, chunked where it is longer than Go's buffer."""
    return Answer(
        status, _type(content_type), body if len(body) <= _GO_BUFFER_BYTES else Pieces(body, _nothing())
    )


def native(value: Any, *, status: int = 200, content_type: bytes = JSON) -> Answer:
    """Make an object in the form of the native API."""
    return whole(status, dump(value), content_type)


def openai(value: Any, *, status: int = 200) -> Answer:
    """Make an object in the form of the `/v1` routes: an encoder's, with a newline at its end."""
    return whole(status, dump(value) + b"\n", BARE_JSON)


def empty(status: int, fields: Fields | None = None) -> Answer:
    """Make an answer without a body."""
    return Answer(status, fields or [])


def plain(status: int, text: bytes) -> Answer:
    """Make an answer of gin's own: `404 page not found`."""
    return Answer(status, _type(b"text/plain"), text)


def native_error(refusal: Refusal) -> Answer:
    """Make an error in the shape of the native API."""
    if refusal.in_stream:
        return Answer(refusal.status, _type(BARE_JSON), one(dump({"error": refusal.text})))
    return native({"error": refusal.text}, status=refusal.status)


def openai_error(refusal: Refusal) -> Answer:
    """Make an error in OpenAI's shape."""
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(refusal.status, "api_error")
    value = {"error": {"message": refusal.text, "type": kind, "param": None, "code": refusal.code}}
    if refusal.in_stream:
        return Answer(refusal.status, _type(BARE_JSON), one(dump(value) + b"\n"))
    return native(value, status=refusal.status) if refusal.is_early else openai(value, status=refusal.status)


def anthropic_error(refusal: Refusal) -> Answer:
    """Make an error in Anthropic's shape."""
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        503: "overloaded_error",
        529: "overloaded_error",
    }
    error = {"type": kinds.get(refusal.status, "api_error"), "message": refusal.text}
    request_id = f"req_{chance(refusal.text).randbytes(12).hex()}"
    value = {"type": "error", "error": error, "request_id": request_id}
    return native(value, status=refusal.status) if refusal.is_early else openai(value, status=refusal.status)


class Pieces:
    """A stream whose first piece is known; closing it closes its source, begun or not."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        """Give the next piece, never an empty one."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        """End the generation behind it."""
        self._first = None
        await close(self._rest)


async def close(source: AsyncIterator[bytes]) -> None:
    """End a stream before its end, where it can be ended."""
    end = getattr(source, "aclose", None)
    if end is not None:
        await end()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def stream(fields: Fields, source: AsyncIterator[bytes]) -> Answer:
    """Make a chunked answer whose head waits for the first piece, as Ollama's does.

    Raises what the source raises before that, so that it gets a status of its own.
    """
    try:
        first = await anext(source, None)
    except Refusal as refusal:
        refusal.in_stream = refusal.by_runner
        raise
    return Answer(200, fields, _nothing() if first is None else Pieces(first, source))


async def written(
    pieces: AsyncGenerator[Piece, None], write: Callable[[Piece], Iterable[bytes]]
) -> AsyncGenerator[bytes, None]:
    """Write each piece as its chunks; empty ones are left out."""
    async with aclosing(pieces) as open_pieces:
        async for piece in open_pieces:
            for chunk in write(piece):
                if chunk:
                    yield chunk


async def gathered(pieces: AsyncGenerator[Piece, None]) -> Piece:
    """All pieces as one."""
    content: list[str] = []
    thinking: list[str] = []
    calls: list[Mapping[str, Any]] = []
    logprobs: list[Mapping[str, Any]] = []
    done = None
    async with aclosing(pieces) as open_pieces:
        async for piece in open_pieces:
            content.append(piece.content)
            thinking.append(piece.thinking)
            calls.extend(piece.tool_calls)
            logprobs.extend(piece.logprobs)
            done = piece.done or done
    return Piece(
        content="".join(content),
        thinking="".join(thinking),
        tool_calls=tuple(calls),
        logprobs=tuple(logprobs),
        done=done,
    )


def one(body: bytes) -> Pieces:
    """Make a body that is chunked whatever its length."""
    return Pieces(body, _nothing())


async def all_of(answer: Answer) -> bytes:
    """Read an answer's body to its end."""
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([piece async for piece in answer.body])
