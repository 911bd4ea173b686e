"""Conversations in all the forms that clients send them."""

from typing import Any

import pytest

from tests.unit.simulate.running import ask, fast, runs

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def user(*parts: Any) -> list[dict[str, Any]]:
    """One message of several parts."""
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("messages", "status", "text"),
    [
        (user({"type": "text", "text": "Hi"}, IMAGE), 200, None),
        (user({"type": "image_url", "image_url": IMAGE["image_url"]["url"]}), 200, None),  # type: ignore[index]
        (user({"type": "input_audio", "input_audio": {"data": "AA=="}}), 200, None),
        (
            user({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}),
            400,
            "image URLs are not currently supported, please use base64 encoded data instead",
        ),
        (user({"type": "video"}), 400, "invalid message format"),
        (
            user({"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}),
            400,
            "invalid image input",
        ),
        (
            user({"type": "image_url", "image_url": {"url": "data:text/plain;base64,AA=="}}),
            400,
            "invalid image input",
        ),
        (user({"type": "image_url", "image_url": 7}), 400, "invalid message format"),
        (user("Hi"), 400, "invalid message format"),
        ([None], 400, "invalid message content type: <nil>"),
        ([{"role": "user", "content": 7}], 400, "invalid message content type: float64"),
        (
            [{"role": "user", "content": {"a": 1}}],
            400,
            "invalid message content type: map[string]interface {}",
        ),
        (
            ["Hi"],
            400,
            (
                "json: cannot unmarshal string into Go struct field ChatCompletionRequest.messages"
                " of type openai.Message"
            ),
        ),
        ([{"role": "assistant", "content": None, "tool_calls": []}], 200, None),
    ],
)
@runs
async def test_parts_of_an_openai_message(messages: Any, status: int, text: str | None) -> None:
    """Texts, images as data and sounds are read; what is none of them is refused."""
    found, body = await ask(
        fast(models=("smol",)), "/v1/chat/completions", {"model": "smol", "messages": messages}
    )
    assert found == status
    assert text is None or body["error"]["message"] == text


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("0.32.15", """'huge' (must be "high", "medium", "low", "max", or "none")"""),
        (
            "0.34.3",
            '"huge" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")',
        ),
    ],
)
@runs
async def test_an_unknown_effort_is_refused(version: str, text: str) -> None:
    """An effort is one of Ollama's words."""
    body = {"model": "smol", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "huge"}
    status, answer = await ask(fast(models=("smol",), version=version), "/v1/chat/completions", body)
    assert (status, answer["error"]["message"]) == (400, f"invalid reasoning value: {text}")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({}, 400, "model is required"),
        (
            {"model": "all-minilm", "messages": [{"role": "user", "content": "x"}]},
            400,
            'invalid think value: "much" (must be "high", "medium", "low", "max", true, or false)',
        ),
    ],
)
@runs
async def test_a_word_for_thinking_is_judged_by_the_model(body: Any, status: int, text: str) -> None:
    """First the model is looked for, then the word is judged, then what the model is able to do."""
    server = fast(models=("all-minilm",))
    assert await ask(server, "/api/chat", {**body, "think": "much"}) == (status, {"error": text})


EARLY = [
    (b"", "missing request body"),
    (b"{", "invalid Responses request: unexpected end of JSON input"),
    (
        b"[]",
        (
            "invalid Responses request: json: cannot unmarshal array"
            " into Go value of type map[string]json.RawMessage"
        ),
    ),
    (b"null", "model is required"),
    (b'{"model":7}', "model is required"),
    (b'{"Model":"smol","input":"x"}', "model is required"),
    (b'{"model":"smol"}', "input is required"),
    (
        b'{"model":"smol","input":7}',
        (
            "input must be a string or array: json: cannot unmarshal number"
            " into Go value of type []json.RawMessage"
        ),
    ),
    (
        b'{"model":"smol","input":"x","stream":"y"}',
        "invalid stream value: json: cannot unmarshal string into Go value of type bool",
    ),
    (
        b'{"model":"smol","input":"x","tools":7}',
        "invalid tools: json: cannot unmarshal number into Go value of type []openai.ResponsesTool",
    ),
]


@pytest.mark.parametrize(("body", "text"), EARLY)
@runs
async def test_a_response_is_read_twice_from_0_34_on(body: bytes, text: str) -> None:
    """A look for a request to compact a conversation comes first and has words and a code of its own."""
    status, answer = await ask(fast(models=("smol",)), "/v1/responses", body)
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
    assert (status, answer) == (400, {"error": error})
    _, older = await ask(fast(models=("smol",), version="0.32.15"), "/v1/responses", body)
    assert (older["error"] or {}).get("code") is None


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Hi", 200),
        ([{"role": "user", "content": "Hi"}], 200),
        ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], 200),
        ([{"type": "function_call_output", "call_id": "c", "output": "rain"}], 200),
        ([{"type": "reasoning", "encrypted_content": "hm"}], 200),
        ([{"type": "item_reference", "id": "x"}], 400),
        (7, 400),
    ],
)
@runs
async def test_inputs_of_a_response(given: Any, status: int) -> None:
    """A text or items of the known kinds."""
    body = {"model": "smol", "input": given, "instructions": "Be brief.", "max_output_tokens": 3}
    assert (await ask(fast(models=("smol",)), "/v1/responses", body))[0] == status


@runs
async def test_a_tool_s_result_is_talked_about_in_each_dialect() -> None:
    """After a result comes text, although the tools are still there."""
    server = fast(models=("llama3.2",))
    blocks = [{"type": "tool_result", "tool_use_id": "c", "content": "rain"}]
    tool = {"name": "weather", "input_schema": {"type": "object"}}
    body = {
        "model": "llama3.2",
        "max_tokens": 50,
        "tools": [tool],
        "system": [{"type": "text", "text": "Hm"}],
    }
    _, message = await ask(server, "/v1/messages", body | {"messages": [{"role": "user", "content": blocks}]})
    assert message["stop_reason"] == "end_turn"
    items = [
        {"role": "user", "content": "?"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
    ]
    flat = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    _, response = await ask(server, "/v1/responses", {"model": "llama3.2", "input": items, "tools": [flat]})
    assert [item["type"] for item in response["output"]] == ["message"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"max_tokens": 0}, "max_tokens is required and must be positive"),
        ({"messages": []}, "messages is required"),
    ],
)
@runs
async def test_what_a_message_needs(change: dict[str, Any], text: str) -> None:
    """A limit and a conversation."""
    body = {"model": "smol", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **change}
    status, answer = await ask(fast(models=("smol",)), "/v1/messages", body)
    assert (status, answer["error"]["message"]) == (400, text)


@runs
async def test_a_completion_can_be_streamed_with_its_counts() -> None:
    """Each chunk has a zero usage, the last but one the true one."""
    body = {
        "model": "smol",
        "prompt": "Hi",
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ".",
    }
    _, raw = await ask(fast(models=("smol",)), "/v1/completions", body)
    assert raw.count(b'"usage":{"prompt_tokens":0') == raw.count(b"data: ") - 2
    assert raw.endswith(b"data: [DONE]\n\n")
