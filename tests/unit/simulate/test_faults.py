"""Misbehaviour on demand, and the record of what was asked."""

import asyncio

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.faults import (
    Busy,
    CutsOff,
    Drops,
    Fails,
    FailsToLoad,
    Garbled,
    Hangs,
    HangsAfter,
    HangsLoading,
    Slow,
)
from gollamas.wire.message import CutOff
from tests.unit.simulate.running import ask, body_of, fast, loaded, request, runs

SAY = {"model": "smol", "prompt": "Hi", "options": {"num_predict": 4}}


@runs
async def test_a_failure_is_played_once() -> None:
    """The next request gets the status and body, the one behind it a true answer."""
    server = fast(models=("smol",))
    server.fail_next(Fails(500, b'{"error":"boom"}'))
    assert await ask(server, "/api/generate", SAY) == (500, {"error": "boom"})
    assert (await ask(server, "/api/generate", SAY))[0] == 200


@runs
async def test_a_failure_waits_for_its_model_and_path() -> None:
    """Others pass it by; it stays until it is healed when it has no number."""
    server = fast(models=("smol", "llama3.2"))
    server.fail_next(Fails(500), model="llama3.2", path="/api/generate", times=-1)
    assert (await ask(server, "/api/generate", SAY))[0] == 200
    assert (await ask(server, "/api/show", {"model": "llama3.2"}))[0] == 200
    for _ in range(3):
        assert (await ask(server, "/api/generate", SAY | {"model": "llama3.2"}))[0] == 500
    server.heal()
    assert (await ask(server, "/api/generate", SAY | {"model": "llama3.2"}))[0] == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/chat", "text"), ("/v1/chat/completions", "api_error"), ("/v1/messages", "overloaded_error")],
)
@runs
async def test_busy_speaks_each_dialect(path: str, kind: str) -> None:
    """The text of a full queue stands where the dialect has its message."""
    server = fast(models=("smol",))
    server.fail_next(Busy())
    status, body = await ask(server, path, {"model": "smol"})
    text = "server busy, please try again.  maximum pending requests exceeded"
    error = body["error"]
    assert status == 503
    assert (
        (error, "text") == (text, kind)
        if isinstance(error, str)
        else (error["message"], error["type"]) == (text, kind)
    )


@runs
async def test_a_stream_is_cut_after_its_pieces() -> None:
    """The pieces come as they would have, then the connection is to be cut; the generation is over."""
    server = fast(models=("smol",))
    server.fail_next(CutsOff(2))
    answer = await server.respond(request("POST", "/api/generate", SAY))
    assert not isinstance(answer.body, bytes)
    pieces = [await anext(answer.body) for _ in range(2)]
    assert all(piece.endswith(b'"done":false}\n') for piece in pieces)
    with pytest.raises(CutOff):
        await anext(answer.body)
    assert (server.engine.running, server.engine.aborted) == (0, 1)


@runs
async def test_a_dropped_request_gets_no_answer() -> None:
    """The connection is to be ended without a word."""
    server = fast(models=("smol",))
    server.fail_next(Drops())
    with pytest.raises(CutOff):
        await server.respond(request("GET", "/api/tags"))


@pytest.mark.parametrize("fault", [Hangs(), HangsAfter(1)])
@runs
async def test_what_hangs_goes_on_when_it_is_released(fault: Hangs | HangsAfter) -> None:
    """Nothing comes until then, and then all of it."""
    server = fast(models=("smol",))
    server.fail_next(fault)
    asked = asyncio.ensure_future(ask(server, "/api/generate", SAY))
    await server.until(lambda: server.hanging == 1)
    assert not asked.done()
    server.release()
    _, lines = await asked
    assert lines[-1]["done"] is True
    assert len(lines) == 5


@runs
async def test_a_load_that_fails_is_begun_anew_for_the_next() -> None:
    """Only the one whose load it was is told; nothing was loaded by it."""
    clock = HeldClock()
    server = fast(clock, models=("smol",), load_seconds=1.0)
    server.fail_next_load(FailsToLoad("out of memory"))
    asked = [asyncio.ensure_future(ask(server, "/api/generate", {"model": "smol"})) for _ in range(2)]
    await clock.advance(1.0)
    assert await asked[0] == (500, {"error": "out of memory"})
    assert await loaded(server) == []
    await clock.advance(1.0)
    assert (await asked[1])[0] == 200
    assert [load.ended for load in server.loads] == ["failed", "loaded"]


@pytest.mark.parametrize("ended", ["loaded", "aborted"])
@runs
async def test_a_load_that_hangs_holds_up_the_others(ended: str) -> None:
    """Until it is released or its client leaves; what is listed and asked of loaded models goes on."""
    clock = HeldClock()
    server = fast(clock, models=("smol", "llama3.2", "qwen3"))
    await ask(server, "/api/generate", {"model": "qwen3"})
    server.fail_next_load(HangsLoading())
    asked = [
        asyncio.ensure_future(ask(server, "/api/generate", {"model": name})) for name in ("smol", "llama3.2")
    ]
    await clock.advance(100.0)
    assert [one.done() for one in asked] == [False, False]
    assert await loaded(server) == [("qwen3:latest", 4096)]
    assert (await ask(server, "/api/generate", {"model": "qwen3", "prompt": "Hi"}))[0] == 200
    if ended == "loaded":
        server.release()
    else:
        asked[0].cancel()
    await clock.advance(1.0)
    assert (await asked[1])[0] == 200
    assert [(load.model, load.ended) for load in server.loads[1:]] == [
        ("smol:latest", ended),
        ("llama3.2:latest", "loaded"),
    ]


@runs
async def test_healing_forgets_what_no_load_has_met() -> None:
    """The next load goes well."""
    server = fast(models=("smol",))
    server.fail_next_load(FailsToLoad())
    server.heal()
    assert (await ask(server, "/api/generate", {"model": "smol"}))[0] == 200


@runs
async def test_a_slow_server_waits_first() -> None:
    """The answer comes after the time that was asked for."""
    clock = HeldClock()
    server = fast(clock, models=("smol",))
    server.fail_next(Slow(5.0))
    asked = asyncio.ensure_future(ask(server, "/api/tags", method="GET"))
    await clock.advance(4.0)
    assert not asked.done()
    await clock.advance(1.0)
    assert (await asked)[0] == 200


@runs
async def test_a_stream_may_end_without_its_end() -> None:
    """A clean end in the middle, or other bytes instead of the rest."""
    server = fast(models=("smol",))
    server.fail_next(Garbled(1))
    server.fail_next(Garbled(1, b"nonsense"))
    first = await body_of(await server.respond(request("POST", "/api/generate", SAY)))
    second = await body_of(await server.respond(request("POST", "/api/generate", SAY)))
    assert first.count(b"\n") == 1
    assert second.endswith(b"}\nnonsense")


@runs
async def test_what_was_asked_is_kept() -> None:
    """Head and body of each request can be looked at, the last ones only."""
    server = fast(models=("smol",), remembered=2)
    for path in ("/api/tags", "/api/version", "/api/tags"):
        await ask(server, path, method="GET")
    await ask(server, "/api/show", {"model": "smol"})
    assert [one.head.path for one in server.seen] == [b"/api/tags", b"/api/show"]
    assert server.asked("/api/show")[0].body == b'{"model": "smol"}'
