"""Blobs that are sent to the simulated server: it takes them as Ollama does, and answers when Ollama does."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from gollamas.simulate.blobs import MOST_KEPT_BYTES, blob_of
from gollamas.simulate.faults import Drops
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import serving
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, chunk, get, post
from tests.unit.simulate.running import fast

SMALL = b"GGUF and so on"
LARGE = b"GGUF" + bytes(range(256)) * 8000
assert len(LARGE) > MOST_KEPT_BYTES


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def path_of(body: bytes) -> str:
    return f"/api/blobs/{digest_of(body)}"


def head_for(path: str, *lines: bytes) -> bytes:
    return get(path, *lines, method=b"POST")


@dataclass
class One:
    """A simulated server and a client of it."""

    server: SimulatedOllama
    client: Client

    def has(self, body: bytes) -> bool:
        return self.server.engine.library.has_blob(digest_of(body))


@asynccontextmanager
async def one() -> AsyncIterator[One]:
    server = fast()
    async with serving(server) as served:
        client = await Client.connect(served.address.port)
        try:
            yield One(server, client)
        finally:
            client.writer.transport.abort()


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "in chunks"])
@runs
async def test_a_blob_is_taken_in_pieces(body: bytes, is_chunked: bool) -> None:
    """The connection serves the next request behind it; of a large one only what tells it is kept."""
    async with one() as both:
        path = path_of(body)
        chunks = b"".join(chunk(body[at : at + 100_000]) for at in range(0, len(body), 100_000)) + chunk(b"")
        in_chunks = head_for(path, b"Transfer-Encoding: chunked") + chunks
        assert (await both.client.ask(in_chunks if is_chunked else post(path, body))).status == 201
        assert (await both.client.ask(get(path, method=b"HEAD"), to_head=True)).status == 200
        sent, _ = both.server.asked(path)
        assert both.server.engine.library.blob(digest_of(body)) == blob_of(body)
        assert sent.body == (body if len(body) <= MOST_KEPT_BYTES else b"")


@runs
async def test_a_blob_is_asked_for_with_100_continue() -> None:
    async with one() as both:
        length = b"Content-Length: %d" % len(LARGE)
        await both.client.send(head_for(path_of(LARGE), length, b"Expect: 100-continue"))
        assert (await both.client.answer()).status == 100
        assert (await both.client.ask(LARGE)).status == 201


@runs
async def test_a_blob_that_is_there_is_answered_before_it_is_read() -> None:
    """And the connection is reset, as much of the body stays unread."""
    async with one() as both:
        both.server.engine.library.put_blob(digest_of(LARGE), blob_of(LARGE))
        await both.client.send(head_for(path_of(LARGE), b"Content-Length: %d" % len(LARGE)) + LARGE[:1000])
        got = await both.client.answer()
        assert (got.status, got.get(b"connection")) == (200, b"close")
        assert await both.client.was_reset()


@runs
async def test_one_that_is_asked_about_by_100_continue_is_not_asked_for() -> None:
    async with one() as both:
        both.server.engine.library.put_blob(digest_of(SMALL), blob_of(SMALL))
        length = b"Content-Length: %d" % len(SMALL)
        got = await both.client.ask(head_for(path_of(SMALL), length, b"Expect: 100-continue"))
        assert (got.status, got.get(b"connection")) == (200, b"close")


@runs
async def test_chunks_of_a_blob_that_is_there_are_read_as_far_as_go_reads() -> None:
    async with one() as both:
        both.server.engine.library.put_blob(digest_of(LARGE), blob_of(LARGE))
        await both.client.send(head_for(path_of(LARGE), b"Transfer-Encoding: chunked"))
        assert not both.server.asked(path_of(LARGE))
        got = await both.client.ask(chunk(LARGE[: 256 * 1024]))
        assert (got.status, got.get(b"connection")) == (200, b"close")
        assert await both.client.was_reset()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "in chunks"])
@runs
async def test_a_small_one_that_is_there_leaves_the_connection_open(is_chunked: bool) -> None:
    async with one() as both:
        both.server.engine.library.put_blob(digest_of(SMALL), blob_of(SMALL))
        path = path_of(SMALL)
        in_chunks = head_for(path, b"Transfer-Encoding: chunked") + chunk(SMALL) + chunk(b"")
        for _ in range(2):
            got = await both.client.ask(in_chunks if is_chunked else post(path, SMALL))
            assert (got.status, got.get(b"connection")) == (200, None)


@runs
async def test_what_is_no_digest_is_refused_before_it_is_read() -> None:
    async with one() as both:
        got = await both.client.ask(head_for("/api/blobs/sha256:xyz", b"Content-Length: 1000000"))
        assert (got.status, got.body) == (400, b'{"error":"invalid digest format"}')


@runs
async def test_a_blob_whose_digest_is_another_is_kept_under_its_own() -> None:
    async with one() as both:
        got = await both.client.ask(post(f"/api/blobs/sha256:{'0' * 64}", LARGE))
        assert (got.status, b"digest mismatch" in got.body) == (400, True)
        assert both.has(LARGE)


@pytest.mark.parametrize("way", ["fin", "rst", "bad chunk"])
@runs
async def test_a_blob_that_is_cut_stays_nowhere(way: str) -> None:
    async with one() as both:
        cut = chunk(LARGE)[:-100_000]
        await both.client.send(head_for(path_of(LARGE), b"Transfer-Encoding: chunked") + cut)
        if way == "fin":
            both.client.half_close()
            await both.client.gone()
        elif way == "rst":
            both.client.reset()
        else:
            await both.client.send(LARGE[-100_000:] + b"no line end")
            assert (await both.client.answer()).status == 400
        while any(task.get_name() == "client" for task in asyncio.all_tasks()):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert not both.server.engine.library._blobs
        assert not both.server.asked(path_of(LARGE))


@runs
async def test_a_server_that_drops_a_blob_reads_it_first() -> None:
    async with one() as both:
        both.server.fail_next(Drops(), path=path_of(SMALL))
        await both.client.send(post(path_of(SMALL), SMALL))
        assert await both.client.was_reset()
        assert not both.has(SMALL)
