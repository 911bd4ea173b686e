"""The official client of OpenAI, sync and async, in front of two servers."""

import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gollamas.simulate.faults import CutsOff, HangsAfter
from tests.clients.fleet import AWAY, NAMES, Fleet
from tests.unit.simulate.running import runs

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}},
    },
}


@pytest.fixture
def client(fleet: Fleet) -> Iterator[openai.OpenAI]:
    """Make a client that does not try again by itself, and close it."""
    with openai.OpenAI(base_url=fleet.openai_url, api_key="unused", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("model", ["llama3.2", "gpt-4o", "qwen3:8b"])
def test_a_whole_chat(client: openai.OpenAI, model: str) -> None:
    """The answer carries the name that was asked for, and counts."""
    answer = client.chat.completions.create(model=model, messages=HELLO)
    assert answer.model == model
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.completion_tokens


@pytest.mark.parametrize("model", ["llama3.2", "gpt-4o"])
def test_a_streamed_chat(client: openai.OpenAI, model: str) -> None:
    """The chunks say what the whole answer says, and the last one counts."""
    usage: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model=model, messages=HELLO, seed=7, stream=True, stream_options=usage
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {model}
    assert chunks[-1].usage
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(model=model, messages=HELLO, seed=7)
    assert text == whole.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_tools(client: openai.OpenAI, stream: bool) -> None:
    """A call comes with its arguments as text."""
    answer: Any = client.chat.completions.create(
        model="gpt-4o", messages=HELLO, tools=[WEATHER], stream=stream
    )
    if stream:
        chunks = [chunk.choices[0] for chunk in answer]
        calls = [call for choice in chunks for call in choice.delta.tool_calls or ()]
        reasons = [choice.finish_reason for choice in chunks if choice.finish_reason]
    else:
        calls, reasons = answer.choices[0].message.tool_calls, [answer.choices[0].finish_reason]
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", '{"city":"Paris"}')
    ]
    assert reasons == ["tool_calls"]


def test_completions(client: openai.OpenAI) -> None:
    """The older call, whole and streamed."""
    whole = client.completions.create(model="gpt-4o", prompt="Hello", seed=7)
    stream = client.completions.create(model="gpt-4o", prompt="Hello", seed=7, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert {whole.model, *(chunk.model for chunk in chunks)} == {"gpt-4o"}


@pytest.mark.parametrize("model", ["all-minilm", "text-embedding-3-small"])
def test_embeddings(client: openai.OpenAI, model: str) -> None:
    """As the client asks for them (base64) and as plain numbers they are the same vectors."""
    packed = client.embeddings.create(model=model, input=["one", "two"])
    plain = client.embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    assert [len(item.embedding) for item in packed.data] == [384, 384]
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding)
    assert (packed.model, plain.model) == (model, model)


def test_responses(client: openai.OpenAI) -> None:
    """Whole and streamed under the alias, from the first event to the last."""
    whole = client.responses.create(model="gpt-4o", input="Hello")
    assert whole.output_text
    assert whole.model == "gpt-4o"
    events = list(client.responses.create(model="gpt-4o", input="Hello", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert {event.response.model for event in events if hasattr(event, "response")} == {"gpt-4o"}


def test_transcriptions(client: openai.OpenAI) -> None:
    """The model is found in the form, an alias too."""
    sound = ("hello.wav", io.BytesIO(b"RIFF"), "audio/wav")
    assert client.audio.transcriptions.create(model="assistant", file=sound).text


def test_models(client: openai.OpenAI) -> None:
    """Both servers' models, and each by its name or alias."""
    assert sorted(model.id for model in client.models.list()) == list(NAMES)
    assert client.models.retrieve("qwen3:8b").id == "qwen3:8b"
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_errors_are_the_client_s_own(client: openai.OpenAI) -> None:
    """Unknown models, what a model can't do, and a server that is away."""
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found"):
        client.chat.completions.create(model="nope", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nope", messages=HELLO, stream=True)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")
    with pytest.raises(openai.BadRequestError, match="does not support chat"):
        client.chat.completions.create(model="all-minilm", messages=HELLO)
    with pytest.raises(openai.InternalServerError, match=f"{AWAY}.*away") as failed:
        client.chat.completions.create(model=AWAY, messages=HELLO)
    assert failed.value.status_code == 503
    assert int(failed.value.response.headers["retry-after"]) > 0


def test_a_stream_that_breaks_off_raises(fleet: Fleet, client: openai.OpenAI) -> None:
    """The client sees an error in the stream, not an end."""
    fleet.simulated.fail_next("first", CutsOff(2), path="/v1/chat/completions")
    stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    assert [next(stream).model, next(stream).model] == ["gpt-4o", "gpt-4o"]
    with pytest.raises(openai.APIError, match="ended its answer too soon"):
        next(stream)


def test_closing_a_stream_ends_the_server_s_work(fleet: Fleet, client: openai.OpenAI) -> None:
    """A client that takes one chunk and leaves: the server's request ends."""
    fleet.simulated.fail_next("first", HangsAfter(1), path="/v1/chat/completions")
    with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
        assert next(stream).choices[0].delta.content is not None
        fleet.simulated.until("first", lambda server: server.hanging == 1)
    fleet.simulated.until("first", lambda server: server.hanging == 0)


@runs
async def test_the_async_client(fleet: Fleet) -> None:
    """Chat, stream, embeddings, responses and models, and what is not there."""
    async with openai.AsyncOpenAI(base_url=fleet.openai_url, api_key="x", max_retries=0) as client:
        whole = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert whole.choices[0].message.content
        stream = await client.chat.completions.create(model="qwen3:8b", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert (await client.embeddings.create(model="text-embedding-3-small", input="one")).data
        assert (await client.responses.create(model="assistant", input="Hello")).output_text
        assert sorted([model.id async for model in client.models.list()]) == list(NAMES)
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="nope", prompt="Hello")
