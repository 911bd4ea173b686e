"""However a client leaves, nothing is lost: no slot, no place in the queue, no load."""

import asyncio
from typing import Any

import pytest

from gollamas.simulate.answers import Pieces
from gollamas.simulate.clock import HeldClock
from gollamas.simulate.server import SimulatedOllama
from tests.unit.simulate.running import ask, body_of, fast, request, runs

BODIES: dict[str, dict[str, Any]] = {
    "/api/generate": {"model": "smol", "prompt": "Hi", "options": {"num_ctx": 512}},
    "/api/chat": {"model": "smol", "messages": [{"role": "user", "content": "x"}], "stream": False},
    "/v1/chat/completions": {"model": "smol", "messages": [{"role": "user", "content": "x"}], "stream": True},
    "/api/embed": {"model": "all-minilm", "input": "x"},
    "/api/pull": {"model": "qwen3"},
}


async def leave_after(server: SimulatedOllama, path: str, steps: int) -> bool:
    """Ask, let loop and clock take some steps, then leave; whether the answer was complete by then."""

    async def whole() -> None:
        await body_of(await server.respond(request("POST", path, BODIES[path])))

    clock = server.clock
    assert isinstance(clock, HeldClock)
    task = asyncio.ensure_future(whole())
    for _ in range(steps):
        await asyncio.sleep(0)
        if clock.sleepers and not task.done():
            await clock.advance(0.5)
    is_done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return is_done


@pytest.mark.parametrize("path", BODIES)
@runs
async def test_leaving_at_any_step_loses_nothing(path: str) -> None:
    """After each of sixty moments to leave at, the next request is answered as ever."""
    was_done = set()
    for steps in range(60):
        server = fast(
            HeldClock(),
            models=("smol", "all-minilm"),
            load_seconds=2.0,
            tokens_per_second=2.0,
            prompt_tokens_per_second=10.0,
            pull_seconds=5.0,
        )
        was_done.add(await leave_after(server, path, steps))
        engine = server.engine
        assert (engine.running, engine.waiting, engine.sched.pending) == (0, 0, 0)
        assert [runner.users for runner in engine.sched.running()] == [0] * len(engine.sched.running())
        again = asyncio.ensure_future(ask(server, path, BODIES[path]))
        assert isinstance(server.clock, HeldClock)
        await server.clock.advance(200.0)
        assert (await again)[0] == 200
    assert False in was_done


@runs
async def test_an_answer_that_nobody_reads_can_be_closed() -> None:
    """Closing a stream whose first piece was never taken frees its slot."""
    server = fast(models=("smol",))
    answer = await server.respond(request("POST", "/api/generate", BODIES["/api/generate"]))
    assert server.engine.running == 1
    assert isinstance(answer.body, Pieces)
    await answer.body.aclose()
    assert (server.engine.running, server.engine.aborted) == (0, 1)
