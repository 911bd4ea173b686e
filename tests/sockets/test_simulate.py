"""The simulated server on a socket: recorded framing, real clients, clients that leave."""

import asyncio
import gc
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from gollamas.simulate.clock import HeldClock, WallClock
from gollamas.simulate.faults import CutsBody, CutsOff, Drops, Hangs
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import Served, serving
from gollamas.simulate.settings import Settings
from tests.recorded import (
    VERSIONS,
    Case,
    Reply,
    body_shape,
    cases,
    chunk_shapes,
    needs_recordings,
    parse_reply,
)
from tests.unit.simulate.running import fast, runs
from tests.unit.simulate.test_recorded import simulated


async def exchange(served: Served, raw: bytes) -> bytes:
    """All that comes back for these bytes on a connection of their own, which the client ends."""
    reader, writer = await asyncio.open_connection(served.address.host, served.address.port)
    head, _, body = raw.partition(b"\r\n\r\n")
    writer.write(head + b"\r\nConnection: close\r\n\r\n" + body)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


def seen(reply: Reply, *, is_head: bool) -> list[Any]:
    """Give what of an answer does not differ from run to run."""
    fields = [(name, value) for name, value in reply.end_to_end() if name.lower() != b"connection"]
    framing = sorted(
        name.lower() for name, _ in reply.fields if name.lower() in (b"content-length", b"transfer-encoding")
    )
    if is_head:
        return [reply.status, fields]
    content = body_shape(reply.body) if reply.chunks is None else chunk_shapes(reply.chunks)
    return [reply.status, fields, framing, content]


def is_head(case: Case) -> bool:
    """Whether the answer has a head only."""
    return case.raw_request.startswith(b"HEAD ")


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_each_recorded_case_on_a_socket(version: str) -> None:
    """The bytes on the wire have the recorded status, fields, framing, chunks and key order."""
    differences = []
    async with serving(simulated(version)) as served:
        for case in cases(version):
            raw = await exchange(served, case.raw_request)
            found = seen(parse_reply(raw, is_head=is_head(case)), is_head=is_head(case))
            wanted = seen(case.reply, is_head=is_head(case))
            if found != wanted:
                differences.append((case.name, wanted, found))
    assert differences == []


@runs
async def test_the_ollama_client() -> None:
    """The official client chats, streams, embeds, lists, pulls, makes, copies and deletes."""
    server = fast(WallClock(), models=("smol", "all-minilm"))
    async with serving(server) as served:
        client = ollama.AsyncClient(host=served.url)
        whole = await client.chat("smol", messages=[{"role": "user", "content": "Hi"}])
        assert whole.done_reason == "stop"
        stream = await client.generate("smol", prompt="Hi", stream=True, options={"num_predict": 3})
        parts = [part async for part in stream]
        assert [part.done for part in parts] == [False, False, False, True]
        assert len((await client.embed("all-minilm", input=["a", "b"])).embeddings) == 2
        assert [model.model for model in (await client.ps()).models] == ["all-minilm:latest", "smol:latest"]
        assert (await client.pull("qwen3")).status == "success"
        assert (await client.create("mine", from_="qwen3", parameters={"num_ctx": 99})).status == "success"
        await client.copy("mine", "yours")
        await client.delete("mine")
        assert {model.model for model in (await client.list()).models} >= {"yours:latest", "qwen3:latest"}
        assert (await client.show("yours")).capabilities == ["completion", "tools", "thinking"]
        with pytest.raises(ollama.ResponseError, match="model 'nope' not found"):
            await client.chat("nope", messages=[])
        await client._client.aclose()


@runs
async def test_the_openai_client() -> None:
    """Chat, streams, completions, embeddings, responses and models through the official client."""
    server = fast(WallClock(), models=("llama3.2", "all-minilm"))
    async with (
        serving(server) as served,
        openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="x") as client,
    ):
        messages: Any = [{"role": "user", "content": "Hi"}]
        whole = await client.chat.completions.create(model="llama3.2", messages=messages, max_tokens=3)
        assert whole.choices[0].finish_reason == "length"
        usage: Any = {"include_usage": True}
        stream = await client.chat.completions.create(
            model="llama3.2", messages=messages, stream=True, stream_options=usage
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens == len(chunks) - 2
        assert (await client.completions.create(model="llama3.2", prompt="Hi")).choices[0].text
        assert len((await client.embeddings.create(model="all-minilm", input="a")).data[0].embedding) == 384
        response = await client.responses.create(model="llama3.2", input="Hi")
        assert response.output_text
        events = await client.responses.create(model="llama3.2", input="Hi", stream=True)
        assert [event.type async for event in events][-1] == "response.completed"
        assert [model.id async for model in client.models.list()] == ["all-minilm:latest", "llama3.2:latest"]
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nope")


@runs
async def test_the_anthropic_client() -> None:
    """A message, whole and streamed, through the official client."""
    server = fast(WallClock(), models=("smol",))
    async with (
        serving(server) as served,
        anthropic.AsyncAnthropic(base_url=served.url, api_key="x") as client,
    ):
        messages: Any = [{"role": "user", "content": "Hi"}]
        whole = await client.messages.create(model="smol", messages=messages, max_tokens=3)
        assert whole.stop_reason == "max_tokens"
        async with client.messages.stream(model="smol", messages=messages, max_tokens=500) as stream:
            text = "".join([part async for part in stream.text_stream])
            final = await stream.get_final_message()
        assert text == final.content[0].text  # type: ignore[union-attr]
        assert final.stop_reason == "end_turn"


@runs
async def test_a_request_that_comes_as_the_server_ends_is_begun_and_ended() -> None:
    """Its task has not run yet; nothing is left that nobody waits for, which a warning would tell."""
    server = fast(models=("smol",))
    async with serving(server) as served:
        _, writer = await asyncio.open_connection(served.address.host, served.address.port)
        while not served.connections:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        (client,) = served.listener.clients.live
        client.data_received(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
    gc.collect()  # where it would be told
    assert len(server.seen) == 1
    writer.close()


@runs
async def test_a_client_that_leaves_ends_its_generation() -> None:
    """Closing the connection in the middle of a stream frees the slot and is counted."""
    server = SimulatedOllama(Settings(models=("smol",), load_seconds=0.0, tokens_per_second=20.0))
    async with serving(server) as served:
        _, writer = await asyncio.open_connection(served.address.host, served.address.port)
        body = b'{"model":"smol","prompt":"Hi"}'
        writer.write(
            b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        await server.until(lambda: server.engine.running == 1)
        writer.close()
        await server.until(lambda: server.engine.aborted == 1)
        assert server.engine.running == 0


@runs
async def test_a_client_that_leaves_ends_a_load() -> None:
    """Leaving while the model loads leaves nothing loaded."""
    clock = HeldClock()
    server = fast(clock, models=("smol",), load_seconds=9.0)
    async with serving(server) as served:
        _, writer = await asyncio.open_connection(served.address.host, served.address.port)
        body = b'{"model":"smol"}'
        writer.write(
            b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        await server.until(lambda: bool(server.loads))
        writer.close()
        await server.until(lambda: server.loads[0].ended == "aborted")
        assert server.engine.sched.running() == []


@pytest.mark.parametrize("path", ["/api/pull", "/api/push"])
@runs
async def test_a_client_that_leaves_ends_a_pull_or_a_push(path: str) -> None:
    """Leaving in the middle of a layer leaves nothing installed, and the record says so."""
    server = fast(HeldClock(), models=("smol",), pull_seconds=9.0)
    new = server.publish("smol", 1)
    async with serving(server) as served:
        _, writer = await asyncio.open_connection(served.address.host, served.address.port)
        body = b'{"model":"smol"}'
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (path.encode(), len(body), body)
        )
        await server.until(lambda: [one.lines for one in (*server.pulls, *server.pushes)] == [2])
        writer.close()
        await server.until(lambda: [one.ended for one in (*server.pulls, *server.pushes)] == ["aborted"])
        assert [model.digest for model in server.engine.library.all()] != [new]


@pytest.mark.parametrize(
    ("fault", "error"), [(Drops(), httpx.ReadError), (CutsOff(1), httpx.ReadError)], ids=["dropped", "cut"]
)
@runs
async def test_a_cut_connection_is_seen_as_one(fault: Drops | CutsOff, error: type[Exception]) -> None:
    """Neither a dropped request nor a cut stream looks like an answer that ended."""
    server = fast(WallClock(), models=("smol",))
    server.fail_next(fault)
    async with serving(server) as served, httpx.AsyncClient() as client:
        with pytest.raises(error):
            await client.post(f"{served.url}/api/generate", json={"model": "smol", "prompt": "Hi"})


@runs
async def test_a_body_of_known_length_can_be_cut() -> None:
    """The head says the whole length, a part of it comes, then the connection ends."""
    server = fast(WallClock(), models=("smol",))
    server.fail_next(CutsBody(5))
    async with serving(server) as served:
        reader, writer = await asyncio.open_connection(served.address.host, served.address.port)
        writer.write(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 20\r\n" in head
        assert await reader.readexactly(5) == b'{"ver'
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@runs
async def test_connections_can_be_cut_while_they_are_idle() -> None:
    """A kept connection ends, and a new one is served."""
    server = fast(WallClock(), models=("smol",))
    async with serving(server) as served:
        reader, writer = await asyncio.open_connection(served.address.host, served.address.port)
        writer.write(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"version":"%b"}' % server.settings.version.encode())
        assert served.connections == 1
        served.cut()
        assert await reader.read() == b""
        writer.close()
        assert (await exchange(served, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")).endswith(b"running")


@runs
async def test_stopping_cuts_what_hangs() -> None:
    """The end of serving waits for nobody."""
    server = fast(WallClock())
    server.fail_next(Hangs())
    async with serving(server) as served:
        _, writer = await asyncio.open_connection(served.address.host, served.address.port)
        writer.write(b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await server.until(lambda: server.hanging == 1)
        assert served.connections == 1
    assert server.hanging == 0
    writer.close()
