"""What stays in memory whatever becomes of its name, and under which name it goes."""

import asyncio

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.goformat import timestamp
from gollamas.simulate.server import SimulatedOllama
from tests.unit.simulate.running import ask, fast, loaded, loads, runs

YEAR = 365 * 24 * 3600.0


async def with_copy(clock: HeldClock) -> SimulatedOllama:
    """Make a server that has loaded a copy of a model for ever."""
    server = fast(clock, models=("smol", "llama3.2"))
    await ask(server, "/api/copy", {"source": "smol", "destination": "mine"})
    await ask(server, "/api/generate", {"model": "mine", "keep_alive": -1})
    return server


async def unload(server: SimulatedOllama, name: str) -> tuple[int, str | None]:
    """Status and reason of an unload."""
    status, said = await ask(server, "/api/generate", {"model": name, "keep_alive": 0})
    return status, said.get("done_reason")


@runs
async def test_a_model_whose_name_is_deleted_stays_loaded() -> None:
    """For ever where it was told so; its name is a 404, another one over its weights uses and unloads it."""
    clock = HeldClock()
    server = await with_copy(clock)
    assert (await ask(server, "/api/delete", {"model": "mine"}, "DELETE"))[0] == 200
    await clock.advance(YEAR)
    assert await loaded(server) == [("mine:latest", 4096)]
    assert await unload(server, "mine") == (404, None)
    assert await loaded(server) == [("mine:latest", 4096)]
    assert (await ask(server, "/api/generate", {"model": "smol", "prompt": "Hi"}))[0] == 200
    assert loads(server) == [("mine:latest", 4096)]
    assert await unload(server, "smol") == (200, "unload")
    assert await loaded(server) == []


@runs
async def test_a_model_whose_name_is_replaced_stays_loaded() -> None:
    """An unload by the name says `unload` and does nothing: the name leads to other weights now."""
    clock = HeldClock()
    server = await with_copy(clock)
    await ask(server, "/api/create", {"model": "mine", "from": "llama3.2"})
    assert await unload(server, "mine") == (200, "unload")
    await clock.advance(YEAR)
    assert await loaded(server) == [("mine:latest", 4096)]
    await ask(server, "/api/generate", {"model": "mine"})
    assert [name for name, _ in await loaded(server)] == ["mine:latest", "mine:latest"]
    assert await unload(server, "smol") == (200, "unload")
    assert len(await loaded(server)) == 1


@runs
async def test_a_variant_answers_when_its_origin_is_deleted() -> None:
    """It holds the weights, and shares what its origin loaded."""
    server = await with_copy(HeldClock())
    await ask(server, "/api/create", {"model": "v", "from": "mine", "parameters": {"num_ctx": 4096}})
    await ask(server, "/api/delete", {"model": "mine"}, "DELETE")
    assert (await ask(server, "/api/generate", {"model": "v", "prompt": "Hi"}))[0] == 200
    assert loads(server) == [("mine:latest", 4096)]


@runs
async def test_an_unload_of_a_busy_model_shows_at_once() -> None:
    """Its time to go is now, though it stays until its request has ended."""
    clock = HeldClock()
    server = fast(clock, models=("smol",), tokens_per_second=1.0)
    body = {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 4}}
    running = asyncio.ensure_future(ask(server, "/api/generate", body))
    await clock.advance(1.0)
    assert await unload(server, "smol") == (200, "unload")
    _, found = await ask(server, "/api/ps", method="GET")
    assert [entry["expires_at"] for entry in found["models"]] == [timestamp(clock.now())]
    await clock.advance(3.0)
    assert (await running)[0] == 200
    assert await loaded(server) == []


@pytest.mark.parametrize(
    ("version", "model", "is_listed"),
    [("0.24.0", "all-minilm", True), ("0.24.0", "smol", False), ("0.34.3", "all-minilm", False)],
)
@runs
async def test_only_ollamas_own_engine_is_listed_while_it_loads(
    version: str, model: str, is_listed: bool
) -> None:
    """It ran embedding models before 0.30."""
    clock = HeldClock()
    server = fast(clock, version=version, models=(model,), load_seconds=10.0)
    asked = asyncio.ensure_future(ask(server, "/api/embed", {"model": model}))
    await clock.advance(5.0)
    assert [name for name, _ in await loaded(server)] == [f"{model}:latest"] * is_listed
    await clock.advance(5.0)
    assert (await asked)[0] == 200
    assert [name for name, _ in await loaded(server)] == [f"{model}:latest"]
