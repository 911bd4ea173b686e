"""`/api/blobs`: an upload that streams to all servers at once."""

import hashlib
import json
from typing import Any

from gollamas.config.model import Expose, Manage
from gollamas.events import End, RequestEnded
from gollamas.simulate.faults import Drops, Fails
from tests.sockets.proxying import runs
from tests.sockets.raw import get, post
from tests.sockets.simulated import Fleet, fleet

OPEN: dict[str, Any] = {"manage": Manage.ALL, "expose": Expose.INSTALLED}
BLOB = b"GGUF" + bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
PATH = f"/api/blobs/{DIGEST}"


def chunked(body: bytes, size: int = 100_000, path: str = PATH) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (
        path.encode(),
        chunks,
    )


def has(both: Fleet, name: str, digest: str = DIGEST) -> bool:
    return both.ollamas[name].engine.library.has_blob(digest)


@runs
async def test_a_blob_goes_to_all_servers_at_once() -> None:
    async with fleet("a", "b", "c", **OPEN) as both:
        assert (await both.proxy.ask(get(PATH, method=b"HEAD"), to_head=True)).status == 404
        got = await both.proxy.ask(post(PATH, BLOB))
        assert (got.status, got.body, got.get(b"warning")) == (201, b"", None)
        for name, ollama in both.ollamas.items():
            assert has(both, name)
            (asked,) = [one for one in ollama.asked(PATH) if one.head.method == b"POST"]
            assert asked.body == BLOB
        assert (await both.proxy.ask(get(PATH, method=b"HEAD"), to_head=True)).status == 200
        again = await both.proxy.ask(post(PATH, BLOB))
        assert again.status == 200
        event = await both.proxy.events.ended(2)
        assert (event.bytes_in, event.status) == (len(BLOB), 201)


@runs
async def test_in_chunks() -> None:
    async with fleet("a", "b", **OPEN) as both:
        got = await both.proxy.ask(chunked(BLOB))
        assert got.status == 201
        assert has(both, "a")
        assert has(both, "b")
        assert (
            await both.proxy.ask(
                chunked(b"small", path=PATH.replace(DIGEST, "sha256:" + hashlib.sha256(b"small").hexdigest()))
            )
        ).status == 201


@runs
async def test_a_wrong_digest_is_the_servers_word() -> None:
    async with fleet("a", "b", **OPEN) as both:
        wrong = f"/api/blobs/sha256:{'0' * 64}"
        got = await both.proxy.ask(post(wrong, b"not a model"))
        assert got.status == 400
        assert json.loads(got.body)["error"].startswith('digest mismatch, expected "sha256:000')
        got = await both.proxy.ask(post("/api/blobs/sha256:xyz", b"not a model"))
        assert (got.status, got.body) == (400, b'{"error":"invalid digest format"}')


@runs
async def test_what_is_no_word_of_ollama_s_is_not_passed_as_one() -> None:
    async with fleet("a", **OPEN) as both:
        for status, told in ((413, 413), (302, 502)):
            both.ollama.fail_next(Fails(404), path=PATH)  # the HEAD
            both.ollama.fail_next(Fails(status, b"<html>too large</html>"), path=PATH)
            got = await both.proxy.ask(post(PATH, BLOB))
            text = f"server a answered {status}"
            assert (got.status, json.loads(got.body)) == (told, {"error": text})
            assert both.proxy.events.of(RequestEnded)[-1].error == text


@runs
async def test_one_that_dies_falls_out() -> None:
    async with fleet("a", "b", **OPEN) as both:
        both.ollamas["a"].fail_next(Fails(404, b""), path=PATH)
        both.ollamas["a"].fail_next(Drops(), path=PATH)
        got = await both.proxy.ask(post(PATH, BLOB))
        assert (got.status, got.get(b"warning")) == (
            201,
            b'199 gollamas "a does not have the blob: it reset the connection"',
        )


@runs
async def test_an_upload_that_is_cut_stays_nowhere() -> None:
    async with fleet("a", "b", **OPEN) as both:
        client = await both.proxy.connect()
        await client.send(post(PATH, BLOB)[:-1000])
        await both.until(lambda: all(one.asked(PATH) for one in both.ollamas.values()))
        client.close()
        event = await both.proxy.events.ended()
        assert event.end is End.CLIENT_LEFT
        assert not has(both, "a")
        assert not has(both, "b")


@runs
async def test_the_end_of_the_process_answers_an_upload_that_is_under_way() -> None:
    async with fleet("a", "b", **OPEN) as both:
        client = await both.proxy.connect()
        await client.send(post(PATH, BLOB)[:-1000])
        await both.until(lambda: all(one.asked(PATH) for one in both.ollamas.values()))
        await both.proxy.app.stop(grace=0)
        got = await client.answer()
        assert (got.status, json.loads(got.body)) == (503, {"error": "gollamas is shutting down"})
        event = await both.proxy.events.ended()
        assert event.error == "gollamas is shutting down"
        assert not has(both, "a")
