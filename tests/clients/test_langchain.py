"""LangChain's classes for Ollama in front of two servers."""

import gc
from collections.abc import Iterator
from contextlib import closing, contextmanager

import ollama
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

from tests.clients.fleet import Fleet
from tests.unit.simulate.running import runs


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def client_of(maker: ChatOllama | OllamaLLM | OllamaEmbeddings) -> ollama.Client:
    """Give the client that it never closes itself."""
    assert maker._client is not None
    return maker._client


@contextmanager
def chatting(fleet: Fleet, model: str) -> Iterator[ChatOllama]:
    """Make the chat class, and close its client."""
    chat = ChatOllama(model=model, base_url=fleet.url, seed=7)
    with closing(client_of(chat)):
        yield chat


@pytest.mark.parametrize("model", ["llama3.2", "gpt-4o", "deepseek-r1:14b"])
def test_chat_whole_and_streamed(fleet: Fleet, model: str) -> None:
    """The chunks say what the message says, each with its metadata."""
    with chatting(fleet, model) as chat:
        whole = chat.invoke("Hello")
        assert whole.response_metadata["model"] == model
        assert whole.usage_metadata is not None
        assert "".join(str(chunk.content) for chunk in chat.stream("Hello")) == whole.content


def test_tools(fleet: Fleet) -> None:
    """A bound tool is called, and the conversation goes on with its result."""
    with chatting(fleet, "gpt-4o") as chat:
        armed = chat.bind_tools([weather])
        question = HumanMessage("Hello")
        answer = armed.invoke([question])
        assert [call["name"] for call in answer.tool_calls] == ["weather"]
        call = answer.tool_calls[0]
        result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
        assert armed.invoke([question, answer, result]).content


def test_text_and_embeddings(fleet: Fleet) -> None:
    """The other two classes."""
    llm = OllamaLLM(model="assistant", base_url=fleet.url)
    embeddings = OllamaEmbeddings(model="text-embedding-3-small", base_url=fleet.url)
    with closing(client_of(llm)), closing(client_of(embeddings)):
        assert llm.invoke("Hello")
        assert [len(vector) for vector in embeddings.embed_documents(["a", "b"])] == [384, 384]


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # of clients that never got out of a constructor
def test_a_model_is_looked_for_when_asked(fleet: Fleet) -> None:
    """Its check of the list finds a model of either server, and misses an unknown one."""
    chat = ChatOllama(model="qwen3:8b", base_url=fleet.url, validate_model_on_init=True)
    client_of(chat)._client.close()
    with pytest.raises(ValueError, match="nope"):
        ChatOllama(model="nope", base_url=fleet.url, validate_model_on_init=True)
    with chatting(fleet, "nope") as other, pytest.raises(ollama.ResponseError, match="not found"):
        other.invoke("Hello")
    gc.collect()


@runs
async def test_the_async_calls(fleet: Fleet) -> None:
    """A message, a stream and vectors."""
    embeddings = OllamaEmbeddings(model="all-minilm", base_url=fleet.url)
    with chatting(fleet, "gpt-4o") as chat, closing(client_of(embeddings)):
        assert (await chat.ainvoke("Hello")).content
        assert [chunk async for chunk in chat.astream("Hello")]
        assert await embeddings.aembed_query("Hello")
        for maker in (chat, embeddings):
            assert maker._async_client is not None
            await maker._async_client._client.aclose()
