"""Anthropic's dialect: `/v1/messages`.

Owns the shapes of Ollama's `anthropic/anthropic.go` and `middleware/anthropic.go`.
"""

from collections.abc import Iterator
from typing import Any, Final

from gollamas.simulate import answers, fields
from gollamas.simulate.engine import Ask, Done, Engine, Piece
from gollamas.simulate.goformat import dump
from gollamas.simulate.openai import sse
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.text import chance
from gollamas.wire.message import Answer

_REASONS: Final = {"stop": "end_turn", "length": "max_tokens"}
_EFFORTS: Final = ("low", "medium", "high", "max")


def _early(text: str) -> Refusal:
    return Refusal(400, text, is_early=True)


async def messages(engine: Engine, body: bytes) -> Answer:
    """`POST /v1/messages`."""
    members = fields.read("MessagesRequest", body, empty="EOF")
    name = members.get("model", "")
    if not name:
        raise _early("model is required")
    if members.get("max_tokens", 0) <= 0:
        raise _early("max_tokens is required and must be positive")
    if not members.get("messages"):
        raise _early("messages is required")
    engine.find(name)
    prompt, may_call = _prompt(members)
    ask = Ask(
        name=name,
        verb="chat",
        prompt=prompt,
        options=_options(members),
        tools=[_tool(tool) for tool in members.get("tools", []) if isinstance(tool, dict)],
        may_call=may_call,
        think=_think(members),
        relaxes_think=True,
    )
    pieces = engine.complete(ask)
    reply = _Reply(engine, ask)
    if not members.get("stream"):
        return answers.openai(reply.whole(await answers.gathered(pieces)))
    return await answers.stream(list(answers.SSE_FIELDS), answers.written(pieces, reply.events))


def _options(members: dict[str, Any]) -> dict[str, Any]:
    options = {"num_predict": members["max_tokens"]}
    for theirs, ours in (
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("stop_sequences", "stop"),
    ):
        if theirs in members:
            options[ours] = members[theirs]
    return options


def _think(members: dict[str, Any]) -> bool | str | None:
    kind = (members.get("thinking") or {}).get("type")
    if kind in ("enabled", "disabled"):
        return bool(kind == "enabled")
    effort = (members.get("output_config") or {}).get("effort")
    effort = "high" if effort == "xhigh" else effort
    return str(effort) if effort in _EFFORTS else None


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.get("name"), "parameters": tool.get("input_schema")},
    }


def _prompt(members: dict[str, Any]) -> tuple[str, bool]:
    """All the text that the model reads, and whether the last word is a question."""
    lines = [_content(members.get("system", ""))]
    may_call = True
    for message in members["messages"]:
        if not isinstance(message, dict):
            raise _early("invalid message format")
        content = message.get("content", "")
        lines.append(f"{message.get('role', '')} {_content(content)}")
        blocks = content if isinstance(content, list) else []
        is_result = any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)
        may_call = message.get("role") == "user" and not is_result
    return "\n".join(line for line in lines if line), may_call


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    blocks = value if isinstance(value, list) else []
    return " ".join(
        str(block.get("text") or block.get("content") or block.get("type", ""))
        for block in blocks
        if isinstance(block, dict)
    )


class _Reply:
    """One answer, with what its events share."""

    def __init__(self, engine: Engine, ask: Ask) -> None:
        source = chance(ask.prompt, engine.clock.now())
        self._id = f"msg_{source.randbytes(12).hex()}"
        self._name = ask.name
        self._estimate = max(1, len(ask.prompt) // 4)
        self._began = False
        self._index = 0
        self._block = ""  # the block that is open: text, thinking or none
        self._called = False

    def whole(self, piece: Piece) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if piece.thinking:
            content.append({"type": "thinking", "thinking": piece.thinking, "signature": ""})
        if piece.content:
            content.append({"type": "text", "text": piece.content})
        self._called = bool(piece.tool_calls)
        content += [
            {
                "type": "tool_use",
                "id": call["id"],
                "name": call["function"]["name"],
                "input": call["function"]["arguments"],
            }
            for call in piece.tool_calls
        ]
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._name,
            "content": content or None,
            "stop_reason": self._reason(piece.done),
            "usage": _usage(piece.done),
        }

    def events(self, piece: Piece) -> Iterator[bytes]:
        """Write the events of one piece, each a chunk."""
        return (sse(value, value["type"]) for value in self._events(piece))

    def _events(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if not self._began:
            self._began = True
            yield {"type": "message_start", "message": self._opening()}
        if piece.thinking:
            yield from self._open("thinking", {"type": "thinking", "thinking": ""})
            yield self._delta({"type": "thinking_delta", "thinking": piece.thinking})
        if piece.content:
            yield from self._open("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": piece.content})
        for call in piece.tool_calls:
            self._called = True
            block = {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": {}}
            yield from self._open("tool_use", block)
            arguments = dump(call["function"]["arguments"]).decode()
            yield self._delta({"type": "input_json_delta", "partial_json": arguments})
            yield from self._close()
        if piece.done:
            yield from self._close()
            reason = {"stop_reason": self._reason(piece.done)}
            yield {"type": "message_delta", "delta": reason, "usage": _usage(piece.done)}
            yield {"type": "message_stop"}

    def _opening(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._name,
            "content": [],
            "usage": {"input_tokens": self._estimate, "output_tokens": 0},
        }

    def _open(self, kind: str, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._block == kind:
            return
        yield from self._close()
        self._block = kind
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._block:
            self._block = ""
            yield {"type": "content_block_stop", "index": self._index}
            self._index += 1

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _reason(self, done: Done | None) -> str | None:
        if self._called:
            return "tool_use"
        return _REASONS.get(done.reason, done.reason) if done else None


def _usage(done: Done | None) -> dict[str, int]:
    read, said = (done.prompt_count or 0, done.count) if done else (0, 0)
    cached = done.cached if done else None
    if cached is None:
        return {"input_tokens": read, "output_tokens": said}
    return {"input_tokens": read - cached, "cache_read_input_tokens": cached, "output_tokens": said}
