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


@runs
async def test_an_unknown_effort_is_refused() -> None:
    """An effort is one of Ollama's words."""
    body = {"model": "smol", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "huge"}
    status, answer = await ask(fast(models=("smol",)), "/v1/chat/completions", body)
    assert (status, answer["error"]["message"][:31]) == (400, "invalid reasoning value: 'huge'")


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
