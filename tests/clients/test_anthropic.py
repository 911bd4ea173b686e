"""The official client of Anthropic, sync and async, in front of two servers."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from gollamas.simulate.faults import CutsOff, HangsAfter
from tests.clients.fleet import AWAY, NAMES, Fleet
from tests.unit.simulate.running import runs

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}},
}


@pytest.fixture
def client(fleet: Fleet) -> Iterator[anthropic.Anthropic]:
    """Make a client that does not try again by itself, and close it."""
    with anthropic.Anthropic(base_url=fleet.url, api_key="unused", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("model", ["claude-sonnet-4", "qwen3:8b", "smollm2:135m"])
def test_a_whole_message(client: anthropic.Anthropic, model: str) -> None:
    """The message carries the name that was asked for, text and counts."""
    message = client.messages.create(model=model, messages=HELLO, max_tokens=500)
    assert message.model == model
    assert [block.text for block in message.content if block.type == "text"] != [""]
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens


@pytest.mark.parametrize("model", ["claude-sonnet-4", "smollm2:135m"])
def test_a_streamed_message(client: anthropic.Anthropic, model: str) -> None:
    """The events make up one message under the name that was asked for."""
    with client.messages.stream(model=model, messages=HELLO, max_tokens=500) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.model == model
    assert text == "".join(block.text for block in final.content if block.type == "text")
    assert final.stop_reason == "end_turn"


def test_tools(client: anthropic.Anthropic) -> None:
    """A use comes with its input, whole and streamed, and its result is read."""
    whole = client.messages.create(model="claude-sonnet-4", messages=HELLO, max_tokens=500, tools=[WEATHER])
    with client.messages.stream(
        model="claude-sonnet-4", messages=HELLO, max_tokens=500, tools=[WEATHER]
    ) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        uses = [block for block in message.content if block.type == "tool_use"]
        assert [(use.name, use.input) for use in uses] == [("weather", {"city": "Paris"})]
        assert message.stop_reason == "tool_use"
    use_id = next(block.id for block in whole.content if block.type == "tool_use")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use_id, "content": "sunny"}]}
    conversation: Any = [*HELLO, {"role": "assistant", "content": whole.content}, result]
    last = client.messages.create(
        model="claude-sonnet-4", messages=conversation, max_tokens=500, tools=[WEATHER]
    )
    assert last.stop_reason == "end_turn"


def test_models(client: anthropic.Anthropic) -> None:
    """Its list of models is the one of `/v1/models`."""
    assert sorted(model.id for model in client.models.list().data) == list(NAMES)
    assert client.models.retrieve("claude-sonnet-4").id == "claude-sonnet-4"


def test_errors_are_the_client_s_own(client: anthropic.Anthropic) -> None:
    """Unknown models, a faulty request, a server that is away."""
    with pytest.raises(anthropic.NotFoundError, match="model 'nope' not found"):
        client.messages.create(model="nope", messages=HELLO, max_tokens=5)
    with (
        pytest.raises(anthropic.NotFoundError),
        client.messages.stream(model="nope", messages=HELLO, max_tokens=5),
    ):
        pytest.fail("there is no such stream")
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="claude-sonnet-4", messages=HELLO, max_tokens=-1)
    with pytest.raises(anthropic.APIStatusError, match=f"{AWAY}.*away") as failed:
        client.messages.create(model=AWAY, messages=HELLO, max_tokens=5)
    assert failed.value.status_code == 503


def test_a_stream_that_breaks_off_raises(fleet: Fleet, client: anthropic.Anthropic) -> None:
    """The client sees an error event in the stream, not an end."""
    fleet.simulated.fail_next("second", CutsOff(2), path="/v1/messages")
    with (
        pytest.raises(anthropic.APIStatusError, match="ended its answer too soon"),
        client.messages.stream(model="claude-sonnet-4", messages=HELLO, max_tokens=500) as stream,
    ):
        stream.until_done()


def test_closing_a_stream_ends_the_server_s_work(fleet: Fleet, client: anthropic.Anthropic) -> None:
    """A client that takes one event and leaves: the server's request ends."""
    fleet.simulated.fail_next("second", HangsAfter(1), path="/v1/messages")
    with client.messages.stream(model="claude-sonnet-4", messages=HELLO, max_tokens=500) as stream:
        assert next(iter(stream)).type == "message_start"
        fleet.simulated.until("second", lambda server: server.hanging == 1)
    fleet.simulated.until("second", lambda server: server.hanging == 0)


@runs
async def test_the_async_client(fleet: Fleet) -> None:
    """A message, a stream, and what is not there."""
    async with anthropic.AsyncAnthropic(base_url=fleet.url, api_key="x", max_retries=0) as client:
        whole = await client.messages.create(model="claude-sonnet-4", messages=HELLO, max_tokens=500)
        assert whole.model == "claude-sonnet-4"
        async with client.messages.stream(model="gpt-4o", messages=HELLO, max_tokens=500) as stream:
            assert "".join([part async for part in stream.text_stream])
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="nope", messages=HELLO, max_tokens=5)
