"""Ollama's own dialect: generate, chat, embed, embeddings.

Owns the shapes of `api/types.go` (0.34.3, 0.32.15 and 0.24.0) and the order in which a request is checked.
"""

from collections.abc import Callable
from typing import Any, Final

from gollamas import names
from gollamas.simulate import answers, fields, text
from gollamas.simulate.engine import Ask, Done, Engine, Piece
from gollamas.simulate.goformat import dump, nanoseconds, timestamp
from gollamas.simulate.refusal import Refusal
from gollamas.wire.message import Answer

_IMAGE_TOKENS: Final = 256
_EMBEDS: Final = (0, 34)  # the first release that decodes `think` apart from the rest


async def generate(engine: Engine, body: bytes) -> Answer:
    """`POST /api/generate`."""
    members = fields.read("GenerateRequest", body, is_embedded=engine.settings.release >= _EMBEDS)
    _check_logprobs(members)
    name = members.get("model", "")
    engine.find(name)
    ask = Ask(
        name=name,
        verb="generate",
        prompt=_prompt_of(members),
        inserts=bool(members.get("suffix")),
        wants_context=not members.get("raw", False),
        **_common(members),
    )
    return await _answer(engine, ask, members, _generated)


async def chat(engine: Engine, body: bytes) -> Answer:
    """`POST /api/chat`."""
    members = fields.read("ChatRequest", body, is_embedded=engine.settings.release >= _EMBEDS)
    _check_logprobs(members)
    name = members.get("model", "")
    if not name:
        raise Refusal(400, "model is required")
    engine.find(name)
    messages = members.get("messages", [])
    ask = Ask(
        name=name,
        verb="chat",
        prompt=prompt_of(messages),
        tools=members.get("tools", []),
        may_call=_role(messages) == "user",
        **_common(members),
    )
    return await _answer(engine, ask, members, _chatted)


def _prompt_of(members: dict[str, Any]) -> str:
    """All that the model reads, which is the same as for a chat of one message; empty: load it."""
    prompt, suffix = members.get("prompt", ""), members.get("suffix", "")
    if not prompt or members.get("raw"):
        return str(prompt)
    system = members.get("system", "")
    lines = ([f"system {system}"] if system else []) + [f"user {prompt}"] + ([suffix] if suffix else [])
    return "\n".join(lines)


def prompt_of(messages: list[Any]) -> str:
    """All the text of a conversation; a word stands for an image."""
    parts = []
    for message in messages:
        if isinstance(message, dict):
            parts.append(f"{message.get('role', '')} {message.get('content') or ''}")
            parts.extend("image " * _IMAGE_TOKENS for _ in message.get("images") or ())
    return "\n".join(parts)


def _role(messages: list[Any]) -> str:
    last = messages[-1] if messages else None
    return str(last.get("role", "")).lower() if isinstance(last, dict) else ""


def _common(members: dict[str, Any]) -> dict[str, Any]:
    return {
        "options": members.get("options", {}),
        "keep_alive": members.get("keep_alive"),
        "shift": members.get("shift"),
        "think": members.get("think"),
        "format": members.get("format"),
        "truncates": members.get("truncate", True),
        "logprobs": members.get("top_logprobs", 0) if members.get("logprobs") else None,
    }


def _check_logprobs(members: dict[str, Any]) -> None:
    if not 0 <= members.get("top_logprobs", 0) <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")


async def _answer(
    engine: Engine, ask: Ask, members: dict[str, Any], shape: Callable[[Engine, Ask, Piece], dict[str, Any]]
) -> Answer:
    pieces = engine.complete(ask)
    if not ask.prompt or members.get("stream") is False:
        return answers.native(shape(engine, ask, await answers.gathered(pieces)))
    lines = answers.written(pieces, lambda piece: (dump(shape(engine, ask, piece)) + b"\n",))
    return await answers.stream([(b"Content-Type", answers.NDJSON)], lines)


def _generated(engine: Engine, ask: Ask, piece: Piece) -> dict[str, Any]:
    value: dict[str, Any] = {
        "model": ask.name,
        "created_at": timestamp(engine.clock.now()),
        "response": piece.content,
    }
    if piece.thinking:
        value["thinking"] = piece.thinking
    value |= _reason(piece.done)
    if piece.done and piece.done.context:
        value["context"] = list(piece.done.context)
    value |= _counts(piece.done)
    if piece.tool_calls:
        value["tool_calls"] = list(piece.tool_calls)
    return value | _logprobs(piece)


def _chatted(engine: Engine, ask: Ask, piece: Piece) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": piece.content}
    if piece.thinking:
        message["thinking"] = piece.thinking
    if piece.tool_calls:
        message["tool_calls"] = list(piece.tool_calls)
    created = timestamp(engine.clock.now())
    return {
        "model": ask.name,
        "created_at": created,
        "message": message,
        **_reason(piece.done),
        **_logprobs(piece),
        **_counts(piece.done),
    }


def _logprobs(piece: Piece) -> dict[str, Any]:
    return {"logprobs": list(piece.logprobs)} if piece.logprobs else {}


def _reason(done: Done | None) -> dict[str, Any]:
    return {"done": False} if done is None else {"done": True, "done_reason": done.reason}


def _counts(done: Done | None) -> dict[str, int]:
    if done is None or done.prompt_count is None:
        return {}
    return {
        "total_duration": nanoseconds(done.total),
        "load_duration": nanoseconds(done.load),
        "prompt_eval_count": done.prompt_count,
        **({} if done.cached is None else {"prompt_eval_cached_count": done.cached}),
        "prompt_eval_duration": nanoseconds(done.prompt),
        "eval_count": done.count,
        "eval_duration": nanoseconds(done.eval),
    }


def inputs_of(value: Any) -> list[str]:
    """Give the texts of an `input` member; tokens are no texts here."""
    if value in (None, ""):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refusal(400, "invalid input type")


async def embed(engine: Engine, body: bytes) -> Answer:
    """`POST /api/embed`."""
    members = fields.read("EmbedRequest", body)
    name = members.get("model", "")
    inputs = inputs_of(members.get("input"))
    model = engine.find(name, is_embed=True)
    options, kept = members.get("options", {}), members.get("keep_alive")
    truncates = members.get("truncate", True)
    found = await engine.embed(model, inputs, options, kept, truncates=truncates)
    if (length := members.get("dimensions", 0)) > 0:
        found.vectors[:] = [text.cut(vector, length) for vector in found.vectors]
    value: dict[str, Any] = {"model": name, "embeddings": found.vectors}
    if inputs:
        value["total_duration"] = nanoseconds(found.total)
        value["load_duration"] = nanoseconds(found.load)
        value["prompt_eval_count"] = found.count
    return answers.native(value)


async def embeddings(engine: Engine, body: bytes) -> Answer:
    """`POST /api/embeddings`: the older call, which minds the case of a name."""
    members = fields.read("EmbeddingRequest", body)
    name = members.get("model", "")
    if not name:
        raise Refusal(400, "model is required")
    if names.parse(name) is None:
        raise Refusal(400, "invalid model name")
    model = engine.library.find_exact(name)
    if model is None:
        raise Refusal(404, f'model "{name}" not found, try pulling it first')
    prompt = members.get("prompt", "")
    try:
        found = await engine.embed(
            model, [prompt] if prompt else [], members.get("options", {}), members.get("keep_alive")
        )
    except Refusal as refusal:
        raise Refusal(503 if refusal.status == 503 else 500, refusal.text) from None
    return answers.native({"embedding": [item * 3.0 for item in found.vectors[0]] if prompt else []})
