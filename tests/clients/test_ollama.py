"""The official Python client of Ollama, sync and async, in front of two servers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import ollama
import pytest

from gollamas.simulate.faults import CutsOff, HangsAfter
from tests.clients.fleet import ALIASES, AWAY, NAMES, Fleet
from tests.clients.programs import proxy
from tests.unit.simulate.running import runs

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def client(fleet: Fleet) -> Iterator[ollama.Client]:
    """Make a client and close it."""
    with closing(ollama.Client(host=fleet.url)) as made:
        yield made


@asynccontextmanager
async def connected(fleet: Fleet) -> AsyncIterator[ollama.AsyncClient]:
    """Make an async client and close it."""
    made = ollama.AsyncClient(host=fleet.url)
    try:
        yield made
    finally:
        await made._client.aclose()


@pytest.mark.parametrize("model", ["llama3.2", "LLAMA3.2:latest", "gpt-4o", "qwen3:8b", "claude-sonnet-4"])
def test_a_whole_chat(client: ollama.Client, model: str) -> None:
    """Each server's model, another spelling and an alias answer under the name that was asked for."""
    answer = client.chat(model, HELLO)
    assert answer.model == model
    assert answer.message.content
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert answer.eval_count


@pytest.mark.parametrize("model", ["llama3.2", "gpt-4o"])
def test_a_streamed_chat(client: ollama.Client, model: str) -> None:
    """The pieces say what the whole answer says, each under the name that was asked for."""
    options = {"seed": 7}
    pieces = list(client.chat(model, HELLO, stream=True, options=options))
    assert {piece.model for piece in pieces} == {model}
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    text = "".join(piece.message.content or "" for piece in pieces)
    assert text == client.chat(model, HELLO, options=options).message.content


def test_a_tool_is_called_and_its_result_is_read(client: ollama.Client) -> None:
    """A call comes with its arguments; the conversation goes on with the tool's result."""
    answer = client.chat("assistant", HELLO, tools=[WEATHER])
    assert answer.message.tool_calls
    call = answer.message.tool_calls[0].function
    assert (call.name, dict(call.arguments)) == ("weather", {"city": "Paris"})
    result = {"role": "tool", "tool_name": "weather", "content": "sunny"}
    last = client.chat("assistant", [*HELLO, answer.message, result], tools=[WEATHER])
    assert last.message.content
    assert not last.message.tool_calls


def test_a_streamed_tool_call(client: ollama.Client) -> None:
    """One piece of the stream has the call."""
    pieces = client.chat("qwen3:8b", HELLO, tools=[WEATHER], stream=True)
    calls = [call for piece in pieces for call in piece.message.tool_calls or ()]
    assert [call.function.name for call in calls] == ["weather"]


def test_thinking_is_kept_apart(client: ollama.Client) -> None:
    """Thoughts come in a member of their own, streamed and whole, and not where they are turned off."""
    whole = client.chat("claude-sonnet-4", HELLO, think=True).message
    assert whole.thinking
    pieces = list(client.chat("claude-sonnet-4", HELLO, think=True, stream=True))
    assert "".join([piece.message.thinking or "" for piece in pieces]) == whole.thinking
    assert client.chat("claude-sonnet-4", HELLO, think=False).message.thinking is None


def test_generate_whole_streamed_and_with_a_format(client: ollama.Client) -> None:
    """Words, pieces of words, and JSON of a schema."""
    whole = client.generate("smollm2:135m", "Hello", options={"num_predict": 3})
    assert (whole.done_reason, whole.eval_count) == ("length", 3)
    assert whole.context
    pieces = client.generate("smollm2:135m", "Hello", options={"num_predict": 3}, stream=True)
    assert "".join(piece.response or "" for piece in pieces) == whole.response
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    assert client.generate("gpt-4o", "Hello", format=schema).response == '{"age":42}'


@pytest.mark.parametrize("model", ["all-minilm", "text-embedding-3-small"])
def test_embeddings(client: ollama.Client, model: str) -> None:
    """A vector for each text, and the older call."""
    answer = client.embed(model, ["one", "two"], dimensions=8)
    assert answer.model == model
    assert [len(vector) for vector in answer.embeddings] == [8, 8]
    assert len(client.embeddings(model, "one").embedding) == 384


def test_both_servers_models_are_one_list(client: ollama.Client) -> None:
    """Each model stands once, also one that both servers have, and no alias."""
    assert sorted(str(model.model) for model in client.list().models) == list(NAMES)


def test_list_aliases_adds_them(fleet: Fleet) -> None:
    """With `--list-aliases` each alias is listed with the digest of its model."""
    aliases = [word for alias, model in ALIASES.items() for word in ("--alias", f"{alias}={model}")]
    with (
        proxy(*fleet.simulated.flags(), *aliases, "--list-aliases") as proxied,
        closing(ollama.Client(host=proxied.url)) as client,
    ):
        digests = {model.model: model.digest for model in client.list().models}
    assert sorted(digests, key=str) == sorted([*NAMES, *(f"{alias}:latest" for alias in ALIASES)])
    assert digests["gpt-4o:latest"] == digests["llama3.2:latest"]


def test_what_was_asked_is_listed_as_loaded(client: ollama.Client) -> None:
    """`ps` shows a model right after its first answer, and no more once it was unloaded."""
    client.generate("deepseek-r1:14b", "Hello")
    assert "deepseek-r1:14b" in [model.model for model in client.ps().models]
    assert client.generate("deepseek-r1:14b", keep_alive=0).done_reason == "unload"
    assert "deepseek-r1:14b" not in [model.model for model in client.ps().models]


@pytest.mark.parametrize("model", ["qwen3:8b", "claude-sonnet-4"])
def test_show(client: ollama.Client, model: str) -> None:
    """A model is described by the server that has it, an alias as its model."""
    assert client.show(model).capabilities == ["completion", "tools", "thinking"]


def test_an_unknown_model_is_404(client: ollama.Client) -> None:
    """Streamed and whole, with Ollama's words, so that a client offers to pull."""
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as failed:
            list(client.generate("nope", "Hello", stream=stream))
        assert failed.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as failed:
        client.show("nope")
    assert failed.value.status_code == 404


def test_a_server_that_is_away_is_503(client: ollama.Client) -> None:
    """The error names the model and the server."""
    with pytest.raises(ollama.ResponseError, match=f"{AWAY}.*away") as failed:
        client.chat(AWAY, HELLO)
    assert failed.value.status_code == 503


def test_a_server_s_own_error_arrives(client: ollama.Client) -> None:
    """Status and words are the server's."""
    with pytest.raises(ollama.ResponseError, match='"all-minilm" does not support chat') as failed:
        client.chat("all-minilm", HELLO)
    assert failed.value.status_code == 400


def test_a_model_that_is_not_configured_can_not_be_pulled(client: ollama.Client) -> None:
    """By default; the error names the option."""
    with pytest.raises(ollama.ResponseError, match=r"'typo' can't be pulled.*set `manage: all`") as failed:
        client.pull("typo")
    assert failed.value.status_code == 403


def test_a_stream_that_breaks_off_raises(fleet: Fleet, client: ollama.Client) -> None:
    """The pieces before the break arrive, then an error, never an end that looks whole."""
    fleet.simulated.fail_next("second", CutsOff(2), path="/api/chat")
    stream = client.chat("qwen3:8b", HELLO, stream=True)
    assert [next(stream).done, next(stream).done] == [False, False]
    with pytest.raises(ollama.ResponseError, match="ended its answer too soon"):
        next(stream)


def test_closing_a_stream_ends_the_server_s_work(fleet: Fleet, client: ollama.Client) -> None:
    """A client that takes one piece and leaves: the server's request ends."""
    aborted = fleet.simulated.servers["second"].engine.aborted
    fleet.simulated.fail_next("second", HangsAfter(1), path="/api/generate")
    stream = client.generate("qwen3:8b", "Hello", stream=True)
    assert not next(stream).done
    fleet.simulated.until("second", lambda server: server.hanging == 1)
    stream.close()  # type: ignore[attr-defined]  # the client calls its generators iterators
    fleet.simulated.until("second", lambda server: server.hanging == 0 and server.engine.aborted > aborted)


@runs
async def test_the_async_client(fleet: Fleet) -> None:
    """Chat, stream, embed, list, show and ps, and what is not there."""
    async with connected(fleet) as client:
        assert (await client.chat("gpt-4o", HELLO)).model == "gpt-4o"
        pieces = [piece async for piece in await client.generate("qwen3:8b", "Hello", stream=True)]
        assert pieces[-1].done
        assert len((await client.embed("text-embedding-3-small", "one")).embeddings) == 1
        assert sorted(model.model or "" for model in (await client.list()).models) == list(NAMES)
        assert {"llama3.2:latest", "qwen3:8b"} <= {model.model for model in (await client.ps()).models}
        assert "tools" in ((await client.show("assistant")).capabilities or [])
        with pytest.raises(ollama.ResponseError, match="not found"):
            await client.chat("nope", HELLO)


@runs
async def test_leaving_an_async_stream(fleet: Fleet) -> None:
    """Closing it after a piece ends the server's work."""
    async with connected(fleet) as client:
        fleet.simulated.fail_next("first", HangsAfter(1), path="/api/chat")
        stream: Any = await client.chat("gpt-4o", HELLO, stream=True)
        assert (await anext(stream)).model == "gpt-4o"
        fleet.simulated.until("first", lambda server: server.hanging == 1)
        await stream.aclose()
    fleet.simulated.until("first", lambda server: server.hanging == 0)
