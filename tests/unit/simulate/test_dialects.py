"""What the recordings do not hold: tools, thoughts, formats, encodings, refusals of each dialect."""

import base64
import json
import struct
from typing import Any

import pytest

from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import VERSIONS
from tests.unit.simulate.running import ask, body_of, fast, request, runs

USER = [{"role": "user", "content": "What is the weather in Bern?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}
ARGUMENTS = {"city": "simulated", "days": 42}


async def events(server: SimulatedOllama, path: str, body: dict[str, Any]) -> list[Any]:
    """Give the data of each event of a stream."""
    raw = await body_of(await server.respond(request("POST", path, {**body, "stream": True})))
    lines = [line[6:] for line in raw.splitlines() if line.startswith(b"data: ")]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


@runs
async def test_a_tool_is_called_natively_and_its_result_is_talked_about() -> None:
    """A model with tools calls the first one after a question, and speaks after its result."""
    server = fast(models=("llama3.2",))
    body = {"model": "llama3.2", "messages": USER, "tools": [TOOL], "stream": False}
    _, called = await ask(server, "/api/chat", body)
    (call,) = called["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "weather", "arguments": ARGUMENTS}
    assert called["message"]["content"] == ""
    result = [
        *USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "rain"},
    ]
    _, spoken = await ask(server, "/api/chat", {**body, "messages": result})
    assert spoken["message"]["content"]
    assert "tool_calls" not in spoken["message"]


@runs
async def test_a_tool_is_called_in_each_other_dialect() -> None:
    """OpenAI's finish is tool_calls, Anthropic's stop is tool_use, a response has a function_call."""
    server = fast(models=("llama3.2",))
    body = {"model": "llama3.2", "messages": USER, "tools": [TOOL]}
    _, chat = await ask(server, "/v1/chat/completions", body)
    assert chat["choices"][0]["finish_reason"] == "tool_calls"
    assert json.loads(chat["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS
    streamed = await events(server, "/v1/chat/completions", body)
    assert [one["choices"][0]["finish_reason"] for one in streamed[:-1]] == [None, "tool_calls"]
    theirs = {"name": "weather", "input_schema": TOOL["function"]["parameters"]}  # type: ignore[index]
    message = {"model": "llama3.2", "messages": USER, "max_tokens": 50, "tools": [theirs]}
    _, whole = await ask(server, "/v1/messages", message)
    assert (whole["stop_reason"], whole["content"][0]["input"]) == ("tool_use", ARGUMENTS)
    kinds = [one["type"] for one in await events(server, "/v1/messages", message)]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    flat = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]
    _, response = await ask(
        server, "/v1/responses", {"model": "llama3.2", "input": "Weather?", "tools": [flat]}
    )
    assert [item["type"] for item in response["output"]] == ["function_call"]
    kinds = [
        one["type"]
        for one in await events(server, "/v1/responses", {"model": "llama3.2", "input": "?", "tools": [flat]})
    ]
    assert kinds[2:-1] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]


@runs
async def test_thoughts_come_before_words() -> None:
    """A thinking model thinks unless told not to; each dialect has a place for it."""
    server = fast(models=("qwen3",))
    chat = {"model": "qwen3", "messages": USER, "stream": False}
    _, native = await ask(server, "/api/chat", chat)
    assert native["message"]["thinking"] == "Somebody asks, so I answer."
    _, silent = await ask(server, "/api/chat", {**chat, "think": False})
    assert "thinking" not in silent["message"]
    _, openai = await ask(server, "/v1/chat/completions", {"model": "qwen3", "messages": USER})
    assert openai["choices"][0]["message"]["reasoning"] == "Somebody asks, so I answer."
    _, quiet = await ask(
        server, "/v1/chat/completions", {"model": "qwen3", "messages": USER, "reasoning_effort": "none"}
    )
    assert "reasoning" not in quiet["choices"][0]["message"]
    _, anthropic = await ask(server, "/v1/messages", {"model": "qwen3", "messages": USER, "max_tokens": 99})
    assert [block["type"] for block in anthropic["content"]] == ["thinking", "text"]
    responses = await events(server, "/v1/responses", {"model": "qwen3", "input": "Hi"})
    assert [item["type"] for item in responses[-1]["response"]["output"]] == ["reasoning", "message"]
    assert [one["sequence_number"] for one in responses] == list(range(len(responses)))


@runs
async def test_thinking_is_refused_where_it_is_asked_of_a_model_without_it() -> None:
    """Natively a 400; Anthropic's dialect leaves it out."""
    server = fast(models=("smol",))
    refused = (400, {"error": '"smol" does not support thinking'})
    assert await ask(server, "/api/chat", {"model": "smol", "messages": USER, "think": True}) == refused
    body = {
        "model": "smol",
        "messages": USER,
        "max_tokens": 9,
        "thinking": {"type": "enabled", "budget_tokens": 1},
    }
    assert (await ask(server, "/v1/messages", body))[0] == 200


@runs
async def test_a_format_is_kept_to() -> None:
    """A schema gives an instance of it, `json` an object, anything else a 500."""
    server = fast(models=("smol",))
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a"]}}},
    }
    body = {"model": "smol", "prompt": "Hi", "stream": False}
    _, shaped = await ask(server, "/api/generate", {**body, "format": schema})
    assert json.loads(shaped["response"]) == {"n": 42, "tags": ["a"]}
    _, free = await ask(server, "/api/generate", {**body, "format": "json"})
    assert isinstance(json.loads(free["response"]), dict)
    assert (await ask(server, "/api/generate", {**body, "format": "xml"}))[0] == 500
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    _, chat = await ask(
        server, "/v1/chat/completions", {"model": "smol", "messages": USER, "response_format": wanted}
    )
    assert json.loads(chat["choices"][0]["message"]["content"]) == {"n": 42, "tags": ["a"]}


@runs
async def test_the_same_question_has_the_same_answer() -> None:
    """Prompt and seed decide, and a stop word ends the text before it."""
    server = fast(models=("smol",))
    body = {"model": "smol", "prompt": "Hi", "stream": False, "options": {"seed": 7}}
    first, again = [(await ask(server, "/api/generate", body))[1] for _ in range(2)]
    assert first["response"] == again["response"]
    other = (await ask(server, "/api/generate", {**body, "options": {"seed": 8}}))[1]
    assert other["response"] != first["response"]
    word = first["response"].split()[3]
    body["options"] = {"seed": 7, "stop": [word]}
    _, stopped = await ask(server, "/api/generate", body)
    assert stopped["response"] == first["response"][: first["response"].index(word)]
    assert stopped["done_reason"] == "stop"


@runs
async def test_vectors_come_as_numbers_or_as_their_bytes() -> None:
    """Length 1, also when cut; base64 holds little-endian floats; the older call minds the case."""
    server = fast(models=("all-minilm",))
    _, native = await ask(server, "/api/embed", {"model": "ALL-MINILM", "input": ["a", "b"], "dimensions": 8})
    assert [len(one) for one in native["embeddings"]] == [8, 8]
    assert sum(item * item for item in native["embeddings"][0]) == pytest.approx(1.0, abs=1e-6)
    body = {"model": "all-minilm", "input": "a"}
    _, floats = await ask(server, "/v1/embeddings", body)
    _, packed = await ask(server, "/v1/embeddings", {**body, "encoding_format": "base64"})
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack("<384f", raw) == pytest.approx(floats["data"][0]["embedding"])
    unknown = (404, {"error": 'model "All-MiniLM" not found, try pulling it first'})
    assert await ask(server, "/api/embeddings", {"model": "All-MiniLM", "prompt": "a"}) == unknown
    assert (await ask(server, "/api/embeddings", {"model": "all-minilm:latest", "prompt": "a"}))[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", {"model": "a b"}, 400, "invalid model name"),
        ("/api/embed", {}, 404, "model '' not found"),
        ("/api/embeddings", {}, 400, "model is required"),
        ("/api/show", {}, 400, "model is required"),
        ("/api/show", {"model": "x:"}, 400, "invalid model name"),
        (
            "/api/generate",
            {"model": "smol", "top_logprobs": 21},
            400,
            "top_logprobs must be between 0 and 20",
        ),
        ("/api/embed", {"model": "all-minilm", "input": [1]}, 400, "invalid input type"),
        ("/v1/completions", {}, 404, "model '' not found"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, 400, "model is required"),
        (
            "/v1/chat/completions",
            {"model": "smol", "messages": [{"role": "user"}]},
            400,
            "invalid message content type: <nil>",
        ),
        ("/v1/chat/completions", b"", 400, "EOF"),
        ("/v1/embeddings", {"model": "all-minilm"}, 400, "invalid input"),
        ("/v1/responses", {}, 400, "model is required"),
        ("/v1/messages", {}, 400, "model is required"),
        ("/v1/messages", b"  ", 400, "EOF"),
    ],
)
@runs
async def test_refusals(path: str, body: Any, status: int, text: str) -> None:
    """Each route refuses in its own words."""
    server = fast(models=("smol", "all-minilm"))
    found, answer = await ask(server, path, body)
    error = answer["error"]
    assert (found, error if isinstance(error, str) else error["message"]) == (status, text)


@runs
async def test_a_transcription_reads_its_form() -> None:
    """The model is a part of the form; the answer is text in one chunked piece."""
    server = fast(models=("smol",))
    lines = [
        b"--b",
        b'Content-Disposition: form-data; name="file"; filename="a.wav"',
        b"Content-Type: audio/wav",
        b"",
        b"\x00\xff\r\nRIFF",
        b"--b",
        b'Content-Disposition: form-data; name="model"',
        b"",
        b"smol",
        b"--b--",
        b"",
    ]
    kind = [(b"Content-Type", b"multipart/form-data; boundary=b")]
    answer = await server.respond(request("POST", "/v1/audio/transcriptions", b"\r\n".join(lines), kind))
    assert answer.status == 200
    assert set(json.loads(await body_of(answer))) == {"text"}
    status, refused = await ask(server, "/v1/audio/transcriptions", {"model": "smol"})
    assert status == 400
    assert refused["error"]["message"].startswith("failed to parse multipart form: ")


@runs
async def test_zstd_is_read_on_v1_only() -> None:
    """Ollama decodes it there, and elsewhere reads its bytes as they are."""
    zstandard = pytest.importorskip("zstandard")
    server = fast(models=("smol",))
    packed = zstandard.ZstdCompressor().compress(json.dumps({"model": "smol", "messages": USER}).encode())
    kind = [(b"Content-Encoding", b"zstd")]
    assert (await server.respond(request("POST", "/v1/chat/completions", packed, kind))).status == 200
    assert (await server.respond(request("POST", "/v1/chat/completions", b"no zstd", kind))).status == 400
    assert (await server.respond(request("POST", "/api/chat", packed, kind))).status == 400


@runs
async def test_long_inputs_are_cut_unless_that_is_forbidden() -> None:
    """The count stops at the context; with truncate off it is a 400."""
    server = fast(models=("all-minilm",))
    body = {"model": "all-minilm", "input": "word " * 2000}
    assert (await ask(server, "/api/embed", body))[1]["prompt_eval_count"] == 512
    refused = (400, {"error": "the input length exceeds the context length"})
    assert await ask(server, "/api/embed", {**body, "truncate": False}) == refused


@pytest.mark.parametrize(
    ("version", "path", "status"),
    [
        ("0.13.2", "/v1/responses", 404),
        ("0.13.3", "/v1/responses", 400),
        ("0.13.9", "/v1/messages", 404),
        ("0.14.0-rc1", "/v1/messages", 400),
        ("0.5.0", "/v1/chat/completions", 400),
    ],
)
@runs
async def test_old_versions_lack_routes(version: str, path: str, status: int) -> None:
    """A route that a release does not have is a 404 in plain text."""
    found, body = await ask(fast(version=version), path)
    assert found == status
    assert (body == b"404 page not found") == (status == 404)


@runs
async def test_one_client_gets_its_name_back_as_the_model_s_own() -> None:
    """The name that was asked for stands in `general.basename` for it alone."""
    server = fast(models=("smol",))
    agent = [(b"User-Agent", b"GitHubCopilotChat/0.1")]
    raw = await body_of(await server.respond(request("POST", "/api/show", {"model": "SMOL"}, agent)))
    assert json.loads(raw)["model_info"]["general.basename"] == "SMOL"
    _, other = await ask(server, "/api/show", {"model": "SMOL"})
    assert other["model_info"]["general.basename"] == "smol"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/me", 401),
        ("POST", "/api/signout", 401),
        ("DELETE", "/api/user/keys/x", 401),
        ("POST", "/api/experimental/web_search", 403),
        ("GET", "/api/experimental/model-recommendations", 200),
    ],
)
@runs
async def test_nobody_is_signed_in(method: str, path: str, status: int) -> None:
    """What needs an account says so."""
    assert (await ask(fast(), path, method=method))[0] == status


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_log_probabilities(version: str) -> None:
    """Where they are asked for, each token has one, with its alternatives, whole and in pieces."""
    server = fast(models=("smol",), version=version)
    asked = {"model": "smol", "prompt": "Hi", "logprobs": True, "top_logprobs": 2}
    _, lines = await ask(server, "/api/generate", asked)
    assert [[one["token"] for one in line.get("logprobs", [])] for line in lines] == [
        *([line["response"]] for line in lines[:-1]),
        [],
    ]
    _, whole = await ask(server, "/api/generate", {**asked, "stream": False})
    assert whole["logprobs"] == [one for line in lines[:-1] for one in line["logprobs"]]
    assert {len(one["top_logprobs"]) for one in whole["logprobs"]} == {2}
    messages = [{"role": "user", "content": "Hi"}]
    _, chat = await ask(
        server, "/api/chat", {"model": "smol", "messages": messages, "logprobs": True, "stream": False}
    )
    assert set(chat["logprobs"][0]) == {"token", "logprob", "bytes"}
    _, openai = await ask(
        server, "/v1/chat/completions", {"model": "smol", "messages": messages, "logprobs": True}
    )
    assert (
        "".join(one["token"] for one in openai["choices"][0]["logprobs"]["content"])
        == (openai["choices"][0]["message"]["content"])
    )
    _, stream = await ask(
        server,
        "/v1/chat/completions",
        {"model": "smol", "messages": messages, "logprobs": True, "stream": True},
    )
    assert stream.count(b'"logprobs":{"content":[{"token":') == len(
        openai["choices"][0]["logprobs"]["content"]
    )
    _, plain = await ask(server, "/api/generate", {"model": "smol", "prompt": "Hi", "stream": False})
    assert "logprobs" not in plain


@pytest.mark.parametrize(
    ("stream", "content_type"), [(False, b"application/json; charset=utf-8"), (True, b"application/json")]
)
@runs
async def test_a_format_that_is_none(stream: bool, content_type: bytes) -> None:
    """The runner refuses it, which within a stream shows in the answer's type."""
    server = fast(models=("smol",))
    body = {"model": "smol", "prompt": "Hi", "format": "xml", "stream": stream}
    answer = await server.respond(request("POST", "/api/generate", body))
    assert (answer.status, answer.fields) == (500, [(b"Content-Type", content_type)])
    text = 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'
    assert json.loads(await body_of(answer)) == {"error": text}
    assert isinstance(answer.body, bytes) is not stream


@runs
async def test_an_embedding_model_is_described_as_one() -> None:
    """Its metadata is that of a BERT, sorted by name, and it has no parameters."""
    _, shown = await ask(fast(models=("all-minilm",)), "/api/show", {"model": "all-minilm"})
    assert "parameters" not in shown
    assert list(shown["model_info"]) == sorted(shown["model_info"])
    assert shown["model_info"]["bert.pooling_type"] == 1
    assert "general.basename" not in shown["model_info"]


@pytest.mark.parametrize("path", ["/api/generate", "/v1/completions"])
@runs
async def test_a_suffix_needs_a_model_that_inserts(path: str) -> None:
    """Models for code have the ability, others say so."""
    server = fast(models=("smol", "qwen2.5-coder"))
    asked = {"prompt": "a", "suffix": "b", "stream": False}
    assert (await ask(server, path, {"model": "qwen2.5-coder", **asked}))[0] == 200
    status, found = await ask(server, path, {"model": "smol", **asked})
    assert status == 400
    assert "registry.ollama.ai/library/smol:latest does not support insert" in str(found["error"])
