"""OpenAI's dialect: chat completions, completions, embeddings, transcriptions.

Owns the shapes of Ollama's `openai/openai.go` and `middleware/openai.go`: the stream of 0.32.6 and
later, and the one before it.
"""

import base64
import struct
from email.message import Message
from email.parser import BytesParser
from typing import Any, Final

from gollamas.simulate import answers, fields
from gollamas.simulate.engine import Ask, Done, Engine, Piece
from gollamas.simulate.goformat import base64_fault, dump, go_type_of, quote
from gollamas.simulate.native import inputs_of
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.text import chance
from gollamas.wire.message import Answer

_IMAGES: Final = ("data:", "data:image/jpeg", "data:image/jpg", "data:image/png", "data:image/webp")
DONE: Final = b"data: [DONE]\n\n"
_EFFORTS: Final[dict[Any, bool | str]] = {  # in the order in which Ollama names them
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}


def sse(value: Any, event: str = "") -> bytes:
    """One event; without a name for OpenAI's older streams."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + dump(value) + b"\n\n"


def _early(text: str) -> Refusal:
    return Refusal(400, text, is_early=True)


async def chat(engine: Engine, body: bytes) -> Answer:
    """`POST /v1/chat/completions`."""
    members = fields.read("ChatCompletionRequest", body, empty="EOF")
    messages = members.get("messages", [])
    if not messages:
        raise _early("[] is too short - 'messages'")
    name = members.get("model", "")
    prompt = prompt_of(messages)
    reasoning = members.get("reasoning", {})
    effort = reasoning.get("effort", members.get("reasoning_effort", ""))
    ask = Ask(
        name=name,
        verb="chat",
        prompt=prompt,
        options=_options(members),
        tools=members.get("tools", []),
        think=think_of(effort, engine.settings.release),
        format=_format(members.get("response_format")),
        may_call=messages[-1].get("role") == "user",
        logprobs=members.get("top_logprobs", 0) if members.get("logprobs") else None,
    )
    if not name:
        raise Refusal(400, "model is required")
    engine.find(name)
    pieces = engine.complete(ask)
    reply = _Chat(engine, ask)
    if not members.get("stream"):
        return answers.openai(reply.whole(await answers.gathered(pieces)))
    wants_usage = bool((members.get("stream_options") or {}).get("include_usage"))
    chunk = reply.chunk if engine.settings.release >= (0, 32, 6) else reply.old_chunk

    def write(piece: Piece) -> tuple[bytes]:
        return (chunk(piece) + reply.trailer(piece, wants_usage=wants_usage),)

    return await answers.stream([(b"Content-Type", answers.SSE)], answers.written(pieces, write))


def prompt_of(messages: list[Any]) -> str:
    """All the text of OpenAI's messages. Raises Refusal (400) for parts that are none."""
    lines = []
    for message in messages:
        message = message or {}  # noqa: PLW2901 - Go reads null as a message without anything
        content = message.get("content")
        is_call = content is None and "tool_calls" in message
        if not isinstance(content, str | list) and not is_call:
            raise _early(f"invalid message content type: {go_type_of(content)}")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        lines.append(f"{message.get('role', '')} " + " ".join(_part(part) for part in parts))
    return "\n".join(lines)


def _part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "image_url":
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, dict) else url
        _check_image(url)
        return "image"
    if kind == "input_audio":
        return "audio"
    raise _early("invalid message format")


def _check_image(url: Any) -> None:
    if not isinstance(url, str):
        raise _early("invalid message format")
    if url.startswith(("http://", "https://")):
        raise _early("image URLs are not currently supported, please use base64 encoded data instead")
    start, _, data = url.partition(";base64,")
    if start not in _IMAGES or base64_fault(data) is not None:
        raise _early("invalid image input")


def _format(value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "json_object":
        return "json"
    if kind == "json_schema" and isinstance(value.get("json_schema"), dict):
        return value["json_schema"].get("schema")
    return None


def think_of(effort: Any, release: tuple[int, ...]) -> bool | str | None:
    """Give what an effort means natively. Raises Refusal (400) for an unknown word."""
    if effort in (None, ""):
        return None
    if effort not in _EFFORTS:
        if release >= (0, 34):
            words = ", ".join(quote(word) for word in _EFFORTS if word != "none")
            raise _early(f'invalid reasoning value: {quote(effort)} (must be {words}, or "none")')
        words = '"high", "medium", "low", "max", or "none"'
        raise _early(f"invalid reasoning value: '{effort}' (must be {words})")
    return _EFFORTS[effort]


def _options(members: dict[str, Any]) -> dict[str, Any]:
    options = {"temperature": members.get("temperature", 1.0), "top_p": members.get("top_p", 1.0)}
    for theirs, ours in (("max_tokens", "num_predict"), ("seed", "seed")):
        if theirs in members:
            options[ours] = members[theirs]
    stop = members.get("stop")
    if stop:
        options["stop"] = (
            [stop] if isinstance(stop, str) else [item for item in stop if isinstance(item, str)]
        )
    return options


class _Chat:
    """One answer of chat completions, with what its chunks share."""

    def __init__(self, engine: Engine, ask: Ask) -> None:
        self._created = int(engine.clock.now())
        self._id = f"chatcmpl-{chance(ask.prompt, self._created).randrange(999)}"
        self._name = ask.name
        self._began = False
        self._called = False

    def whole(self, piece: Piece) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": piece.content}
        if piece.thinking:
            message["reasoning"] = piece.thinking
        if piece.tool_calls:
            message["tool_calls"] = [_tool_call(call) for call in piece.tool_calls]
        self._called = bool(piece.tool_calls)
        reason = self._finish(piece.done)
        choice = {"index": 0, "message": message, "finish_reason": reason} | _logprobs(piece)
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._name,
            "system_fingerprint": "fp_ollama",
            "choices": [choice],
            "usage": usage(piece.done),
        }

    def chunk(self, piece: Piece) -> bytes:
        """Write the role once, and the reason in a chunk of its own."""
        out = b""
        if piece.done is None or not self._began:
            out = self._delta(self._content(piece, with_role=not self._began), None, _logprobs(piece))
        if piece.done:
            out += self._delta({}, self._finish(piece.done))
        return out

    def old_chunk(self, piece: Piece) -> bytes:
        """Write the role in every chunk, and the reason in the last one."""
        content = self._content(piece, with_role=True)
        return self._delta(content, self._finish(piece.done) if piece.done else None, _logprobs(piece))

    def trailer(self, piece: Piece, *, wants_usage: bool) -> bytes:
        """Write what stands after the last chunk."""
        if piece.done is None:
            return b""
        counted = sse({**self._head(), "choices": [], "usage": usage(piece.done)}) if wants_usage else b""
        return counted + DONE

    def _content(self, piece: Piece, *, with_role: bool) -> dict[str, Any]:
        self._began = True
        delta: dict[str, Any] = {"role": "assistant"} if with_role else {}
        delta["content"] = piece.content
        if piece.thinking:
            delta["reasoning"] = piece.thinking
        if piece.tool_calls:
            self._called = True
            delta["tool_calls"] = [_tool_call(call) for call in piece.tool_calls]
        return delta

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._name,
            "system_fingerprint": "fp_ollama",
        }

    def _delta(self, delta: dict[str, Any], reason: str | None, more: dict[str, Any] | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, **(more or {})}
        return sse({**self._head(), "choices": [choice]})

    def _finish(self, done: Done | None) -> str | None:
        if done is None:
            return None
        return "tool_calls" if done.reason == "stop" and self._called else done.reason


def _logprobs(piece: Piece) -> dict[str, Any]:
    return {"logprobs": {"content": list(piece.logprobs)}} if piece.logprobs else {}


def _tool_call(call: Any) -> dict[str, Any]:
    function = call["function"]
    arguments = dump(function["arguments"]).decode()
    return {
        "id": call["id"],
        "index": function["index"],
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def usage(done: Done | None) -> dict[str, Any]:
    """OpenAI's counts; zero where nothing was counted."""
    read, said = (done.prompt_count or 0, done.count) if done else (0, 0)
    cached = done.cached if done else None
    return {
        "prompt_tokens": read,
        **({} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}),
        "completion_tokens": said,
        "total_tokens": read + said,
    }


async def completions(engine: Engine, body: bytes) -> Answer:
    """`POST /v1/completions`."""
    members = fields.read("CompletionRequest", body, empty="EOF")
    name = members.get("model", "")
    ask = Ask(
        name=name,
        verb="generate",
        prompt=f"user {prompt}" if (prompt := members.get("prompt", "")) else "",
        inserts=bool(members.get("suffix")),
        options=_options(members),
    )
    engine.find(name)
    created = int(engine.clock.now())
    cmpl_id = f"cmpl-{chance(ask.prompt, created).randrange(999)}"
    pieces = engine.complete(ask)
    start = {"id": cmpl_id, "object": "text_completion", "created": created}
    end = {"model": name, "system_fingerprint": "fp_ollama"}

    def choice(piece: Piece) -> list[dict[str, Any]]:
        reason = piece.done.reason if piece.done else None
        return [{"text": piece.content, "index": 0, "finish_reason": reason}]

    if not members.get("stream"):
        piece = await answers.gathered(pieces)
        return answers.openai({**start, **end, "choices": choice(piece), "usage": usage(piece.done)})
    wants_usage = bool((members.get("stream_options") or {}).get("include_usage"))

    def write(piece: Piece) -> tuple[bytes]:
        zero = {"usage": usage(None)} if wants_usage else {}
        out = sse({**start, "choices": choice(piece), **end, **zero})
        if piece.done is None:
            return (out,)
        counted = sse({**start, "choices": [], **end, "usage": usage(piece.done)}) if wants_usage else b""
        return (out + counted + DONE,)

    return await answers.stream([(b"Content-Type", answers.SSE)], answers.written(pieces, write))


async def embeddings(engine: Engine, body: bytes) -> Answer:
    """`POST /v1/embeddings`."""
    members = fields.read("EmbedRequest", body, empty="EOF")
    coding = members.get("encoding_format", "float").lower()
    if coding not in ("", "float", "base64"):
        raise _early(
            f"Invalid value for 'encoding_format' = {coding}. Supported values: ['float', 'base64']."
        )
    given = members.get("input")
    if given is None or given == []:
        raise _early("invalid input")
    inputs = [""] if given == "" else inputs_of(given)
    name = members.get("model", "")
    found = await engine.embed(engine.find(name, is_embed=True), inputs, {}, None)
    length = members.get("dimensions", 0) or None
    vectors: list[Any] = [vector[:length] for vector in found.vectors]
    if coding == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode() for one in vectors]
    data = [{"object": "embedding", "embedding": one, "index": index} for index, one in enumerate(vectors)]
    counts = {"prompt_tokens": found.count, "total_tokens": found.count}
    return answers.openai({"object": "list", "data": data, "model": name, "usage": counts})


async def transcriptions(engine: Engine, body: bytes, content_type: bytes) -> Answer:
    """`POST /v1/audio/transcriptions`: a chat behind the scenes, its text in one piece."""
    parts = _form(body, content_type)
    name = parts.get("model", b"").decode("utf-8", "replace")
    if not name:
        raise _early("model is required")
    if "file" not in parts:
        raise _early("file is required: http: no such file")
    engine.find(name)
    ask = Ask(
        name=name,
        verb="chat",
        prompt=f"{len(parts['file'])} {parts.get('prompt', b'').decode('utf-8', 'replace')}",
    )
    said = await answers.gathered(engine.complete(ask))
    is_text = parts.get("response_format") == b"text"
    out = said.content.encode() if is_text else dump({"text": said.content}) + b"\n"
    # The head of a real one leaves with the first token, so its type is that of a stream.
    return Answer(200, [(b"Content-Type", answers.NDJSON)], answers.one(out))


def _form(body: bytes, content_type: bytes) -> dict[str, bytes]:
    if not content_type.lower().startswith(b"multipart/form-data"):
        raise _early("failed to parse multipart form: request Content-Type isn't multipart/form-data")
    parsed = BytesParser().parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    found: dict[str, bytes] = {}
    for part in parsed.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True) if isinstance(part, Message) else None
        if isinstance(name, str) and isinstance(payload, bytes):
            found.setdefault(name, payload)
    return found
