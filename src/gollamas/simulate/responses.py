"""OpenAI's newer dialect: `/v1/responses`.

Owns the shapes of Ollama's `openai/responses.go`. The whole reply has the order of a Go struct, the
events that of Go maps: sorted by key.
"""

from collections.abc import Iterator
from typing import Any, Final

from gollamas.simulate import answers, fields, gojson
from gollamas.simulate.engine import Ask, Done, Engine, Piece
from gollamas.simulate.goformat import dump, quote
from gollamas.simulate.gojson import kind as kind_of
from gollamas.simulate.openai import sse, think_of
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.text import chance
from gollamas.wire.message import Answer

_IGNORED: Final = ("reasoning", "web_search_call", "function_call")


async def responses(engine: Engine, body: bytes) -> Answer:
    """`POST /v1/responses`."""
    if engine.settings.release >= (0, 34):
        _look_for_compaction(body)
    members = fields.read("ResponsesRequest", body, empty="EOF")
    prompt, may_call = _prompt(members)
    name = members.get("model", "")
    if not name:
        raise Refusal(400, "model is required")
    engine.find(name)
    options = {"temperature": members.get("temperature", 1.0)}
    for theirs, ours in (("max_output_tokens", "num_predict"), ("top_p", "top_p")):
        if theirs in members:
            options[ours] = members[theirs]
    reasoning = members.get("reasoning", {})
    tools = [
        {"type": "function", "function": tool}
        for tool in members.get("tools", [])
        if isinstance(tool, dict) and tool.get("type") == "function"
    ]
    ask = Ask(
        name=name,
        verb="chat",
        prompt=prompt,
        options=options,
        tools=tools,
        may_call=may_call,
        think=think_of(reasoning.get("effort"), engine.settings.release),
        format=_format(members),
    )
    pieces = engine.complete(ask)
    reply = _Reply(engine, members, prompt)
    if not members.get("stream"):
        return answers.openai(reply.whole(await answers.gathered(pieces)))
    return await answers.stream(list(answers.SSE_FIELDS), answers.written(pieces, reply.events))


def _look_for_compaction(body: bytes) -> None:
    """Read a body as Ollama does beforehand, to see whether it asks to compact a conversation.

    Raises Refusal for what it can't read. Keys count exactly as they are spelt.
    """
    try:
        value = gojson.decode(body)
    except gojson.NoBodyError:
        raise _refused("missing request body") from None
    except gojson.GoSyntaxError as fault:
        what = "unexpected end of JSON input" if str(fault) == "unexpected EOF" else str(fault)
        raise _refused(f"invalid Responses request: {what}") from None
    if not isinstance(value, gojson.Pairs | None):
        what = f"json: cannot unmarshal {kind_of(value)} into Go value of type map[string]json.RawMessage"
        raise _refused(f"invalid Responses request: {what}")
    members = dict(value or ())
    name = members.get("model")
    if not isinstance(name, str) or not name.strip():
        raise _refused("model is required")
    for key, called, wanted, go_type in (
        ("stream", "stream value", "bool", "bool"),
        ("tools", "tools", "array", "[]openai.ResponsesTool"),
    ):
        item = members.get(key)
        if item is not None and kind_of(item) != wanted:
            what = f"json: cannot unmarshal {kind_of(item)} into Go value of type {go_type}"
            raise _refused(f"invalid {called}: {what}")
    given = members.get("input")
    if given is None:
        raise _refused("input is required")
    if kind_of(given) not in ("string", "array"):
        what = f"json: cannot unmarshal {kind_of(given)} into Go value of type []json.RawMessage"
        raise _refused(f"input must be a string or array: {what}")


def _refused(text: str) -> Refusal:
    return Refusal(400, text, is_early=True, code="invalid_request_error")


def _format(members: dict[str, Any]) -> Any:
    text = members.get("text", {})
    wanted = text.get("format")
    is_schema = isinstance(wanted, dict) and wanted.get("type") == "json_schema"
    return wanted.get("schema") if is_schema else None


def _prompt(members: dict[str, Any]) -> tuple[str, bool]:
    """All the text that the model reads, and whether the last word is the user's."""
    given = members.get("input", "")
    start = members.get("instructions", "")
    lines = [f"system {start}"] if start else []
    if isinstance(given, str):
        return "\n".join((*lines, f"user {given}")), True
    if not isinstance(given, list):
        what = f"json: cannot unmarshal {kind_of(given)} into Go value of type []json.RawMessage"
        raise Refusal(400, f"input must be a string or array: {what}", is_early=True)
    last = "user"
    for index, item in enumerate(given):
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            last = item.get("role", "user")
            lines.append(f"{last} {_content(item.get('content', ''))}")
        elif kind == "function_call_output":
            lines.append(f"tool {item.get('output', '')}")
            last = "tool"
        elif kind not in _IGNORED:
            what = f"input[{index}]: unknown input item type: {quote(kind or '')}"
            raise Refusal(400, what, is_early=True)
    return "\n".join(lines) or " ", last == "user"


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    return " ".join(str(part.get("text", "image")) for part in parts if isinstance(part, dict))


def _usage(done: Done | None) -> dict[str, Any]:
    read, said = (done.prompt_count or 0, done.count) if done else (0, 0)
    return {
        "input_tokens": read,
        "output_tokens": said,
        "total_tokens": read + said,
        "input_tokens_details": {"cached_tokens": (done.cached or 0) if done else 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


class _Reply:
    """One answer, with what its events share."""

    def __init__(self, engine: Engine, members: dict[str, Any], prompt: str) -> None:
        source = chance(prompt, engine.clock.now())
        self._engine = engine
        self._members = members
        self._id = f"resp_{source.randrange(999_999)}"
        self._message_id = f"msg_{source.randrange(999_999)}"
        self._reasoning_id = f"rs_{source.randrange(999_999)}"
        self._call_id = f"fc_{source.randrange(999_999)}"
        self._created = int(engine.clock.now())
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._text: list[str] = []
        self._thought: list[str] = []
        self._item = ""  # the item that is open: message, reasoning or none

    def whole(self, piece: Piece) -> dict[str, Any]:
        output: list[dict[str, Any]] = []
        if piece.thinking:
            output.append(self._reasoning(piece.thinking))
        if piece.content or not piece.tool_calls:
            output.append(self._message(piece.content))
        output += [self._call(call) for call in piece.tool_calls]
        return self._response(output, piece.done)

    def _response(self, output: list[dict[str, Any]], done: Done | None) -> dict[str, Any]:
        members = self._members
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": int(self._engine.clock.now()) if done else None,
            "status": "completed" if done else "in_progress",
            "incomplete_details": None,
            "model": members["model"],
            "previous_response_id": None,
            "instructions": members.get("instructions") or None,
            "output": output,
            "error": None,
            "tools": members.get("tools", []),
            "tool_choice": "auto",
            "truncation": members.get("truncation") or "disabled",
            "parallel_tool_calls": True,
            "text": members.get("text") or {"format": {"type": "text"}},
            "top_p": members.get("top_p", 1),
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "temperature": members.get("temperature", 1),
            "reasoning": members.get("reasoning"),
            "usage": _usage(done) if done else None,
            "max_output_tokens": members.get("max_output_tokens"),
            "max_tool_calls": None,
            "store": False,
            "background": False,
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
        }

    def _message(self, content: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": content, "annotations": [], "logprobs": []}
        return {
            "id": self._message_id,
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }

    def _reasoning(self, thought: str) -> dict[str, Any]:
        return {
            "id": self._reasoning_id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": thought}],
            "encrypted_content": thought,
        }

    def _call(self, call: Any) -> dict[str, Any]:
        function = call["function"]
        return {
            "id": self._call_id,
            "type": "function_call",
            "status": "completed",
            "call_id": call["id"],
            "name": function["name"],
            "arguments": dump(function["arguments"]).decode(),
        }

    def events(self, piece: Piece) -> Iterator[bytes]:
        """Write the events of one piece, each a chunk."""
        if not self._number:
            yield self._event("response.created", response=self._response([], None))
            yield self._event("response.in_progress", response=self._response([], None))
        if piece.thinking:
            yield from self._think(piece.thinking)
        if piece.content:
            yield from self._say(piece.content)
        for call in piece.tool_calls:
            yield from self._calls(call)
        if piece.done:
            if not self._output and not self._item:
                yield from self._say("")
            yield from self._close()
            yield self._event("response.completed", response=self._response(self._output, piece.done))

    def _think(self, thought: str) -> Iterator[bytes]:
        if self._item != "reasoning":
            self._item = "reasoning"
            item = {"id": self._reasoning_id, "type": "reasoning", "summary": []}
            yield self._event("response.output_item.added", item=item, output_index=len(self._output))
        self._thought.append(thought)
        yield self._event(
            "response.reasoning_summary_text.delta",
            delta=thought,
            item_id=self._reasoning_id,
            output_index=len(self._output),
            summary_index=0,
        )

    def _say(self, content: str) -> Iterator[bytes]:
        if self._item != "message":
            yield from self._close()
            self._item = "message"
            item = {
                "content": [],
                "id": self._message_id,
                "role": "assistant",
                "status": "in_progress",
                "type": "message",
            }
            part = {"annotations": [], "logprobs": [], "text": "", "type": "output_text"}
            yield self._event("response.output_item.added", item=item, output_index=len(self._output))
            yield self._event("response.content_part.added", part=part, **self._where())
        if content:
            self._text.append(content)
            yield self._event("response.output_text.delta", delta=content, logprobs=[], **self._where())

    def _calls(self, call: Any) -> Iterator[bytes]:
        yield from self._close()
        done = self._call(call)
        added = {**done, "arguments": "", "status": "in_progress"}
        index = len(self._output)
        yield self._event("response.output_item.added", item=added, output_index=index)
        where = {"item_id": self._call_id, "output_index": index}
        yield self._event("response.function_call_arguments.delta", delta=done["arguments"], **where)
        yield self._event("response.function_call_arguments.done", arguments=done["arguments"], **where)
        yield self._event("response.output_item.done", item=done, output_index=index)
        self._output.append(done)

    def _close(self) -> Iterator[bytes]:
        if self._item == "reasoning":
            thought = "".join(self._thought)
            yield self._event(
                "response.reasoning_summary_text.done",
                item_id=self._reasoning_id,
                output_index=len(self._output),
                summary_index=0,
                text=thought,
            )
            item = self._reasoning(thought)
        elif self._item == "message":
            content = "".join(self._text)
            item = self._message(content)
            yield self._event("response.output_text.done", logprobs=[], text=content, **self._where())
            yield self._event("response.content_part.done", part=item["content"][0], **self._where())
        else:
            return
        self._item = ""
        yield self._event("response.output_item.done", item=item, output_index=len(self._output))
        self._output.append(item)

    def _where(self) -> dict[str, Any]:
        return {"content_index": 0, "item_id": self._message_id, "output_index": len(self._output)}

    def _event(self, kind: str, **members: Any) -> bytes:
        value = _sorted({**members, "sequence_number": self._number, "type": kind})
        self._number += 1
        return sse(value, kind)
