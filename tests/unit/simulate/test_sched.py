"""Loads, slots, expiry and eviction, as running servers showed them."""

import asyncio
from typing import Any

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.server import SimulatedOllama
from tests.unit.simulate.running import ask, fast, loaded, loads, request, runs


def say(model: str = "smol", **members: Any) -> dict[str, Any]:
    """Give the body of a whole generate."""
    return {"model": model, "prompt": "Hi", "stream": False, "options": {"num_predict": 4}, **members}


def slow(clock: HeldClock, **settings: Any) -> SimulatedOllama:
    """Make a server that loads for 10 s and says a token a second."""
    quick = {"models": ("smol", "llama3.2", "all-minilm"), "load_seconds": 10.0, "tokens_per_second": 1.0}
    return fast(clock, **{**quick, **settings})


@runs
async def test_a_model_is_listed_only_once_it_is_loaded() -> None:
    """While it loads the list is empty, then it shows name and context."""
    clock = HeldClock()
    server = slow(clock)
    first = asyncio.ensure_future(ask(server, "/api/generate", {"model": "smol"}))
    await clock.advance(9.0)
    assert await loaded(server) == []
    assert server.engine.sched.pending == 1
    await clock.advance(1.0)
    assert await loaded(server) == [("smol:latest", 4096)]
    assert (await first)[1]["done_reason"] == "load"


@runs
async def test_requests_for_one_model_share_its_load() -> None:
    """Three requests, one load, and the wait counts as each one's load time."""
    clock = HeldClock()
    server = slow(clock, num_parallel=3)
    asked = [asyncio.ensure_future(ask(server, "/api/generate", say())) for _ in range(3)]
    await clock.advance(20.0)
    answers = [(await one)[1] for one in asked]
    assert loads(server) == [("smol:latest", 4096)]
    assert all(answer["load_duration"] >= 10_000_000_000 for answer in answers)
    assert all(answer["eval_count"] == 4 for answer in answers)


@runs
async def test_loads_run_one_after_another() -> None:
    """A second model waits for the load of the first."""
    clock = HeldClock()
    server = slow(clock)
    asked = [
        asyncio.ensure_future(ask(server, "/api/generate", {"model": one})) for one in ("smol", "llama3.2")
    ]
    await clock.advance(10.0)
    assert [name for name, _ in await loaded(server)] == ["smol:latest"]
    await clock.advance(10.0)
    assert {name for name, _ in await loaded(server)} == {"smol:latest", "llama3.2:latest"}
    await asyncio.gather(*asked)


@runs
async def test_a_client_that_leaves_ends_its_load() -> None:
    """Nothing stays loaded, and the abort is counted."""
    clock = HeldClock()
    server = slow(clock)
    asked = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(5.0)
    asked.cancel()
    await clock.advance(20.0)
    assert await loaded(server) == []
    assert ([load.ended for load in server.loads], server.engine.aborted) == (["aborted"], 1)


@runs
async def test_a_load_begins_anew_for_the_one_that_still_waits() -> None:
    """The first leaves at 5 s of 10; the second is loaded for at 15 s, not at 10."""
    clock = HeldClock()
    server = slow(clock)
    first, second = (asyncio.ensure_future(ask(server, "/api/generate", {"model": "smol"})) for _ in range(2))
    await clock.advance(5.0)
    first.cancel()
    await clock.advance(9.0)
    assert await loaded(server) == []
    await clock.advance(1.0)
    assert (await second)[0] == 200
    assert [load.ended for load in server.loads] == ["aborted", "loaded"]


@runs
async def test_the_queue_behind_a_load_is_limited() -> None:
    """With room for one, five cold requests are two answers and three 503; loaded models have no limit."""
    clock = HeldClock()
    server = slow(clock, max_queue=1)
    asked = [asyncio.ensure_future(ask(server, "/api/generate", say())) for _ in range(5)]
    await clock.advance(30.0)
    answers = [await one for one in asked]
    busy = {"error": "server busy, please try again.  maximum pending requests exceeded"}
    assert [status for status, _ in answers] == [200, 200, 503, 503, 503]
    assert answers[-1][1] == busy
    more = [asyncio.ensure_future(ask(server, "/api/generate", say())) for _ in range(6)]
    await clock.advance(60.0)
    assert [(await one)[0] for one in more] == [200] * 6


@runs
async def test_a_slot_is_waited_for_without_a_word() -> None:
    """With two slots four requests end as two pairs, and the wait shows in no member but the total."""
    clock = HeldClock()
    server = slow(clock, num_parallel=2, load_seconds=0.0)
    asked = [asyncio.ensure_future(ask(server, "/api/generate", say())) for _ in range(4)]
    await clock.advance(1.0)
    assert (server.engine.running, server.engine.waiting) == (2, 2)
    await clock.advance(3.0)
    assert [one.done() for one in asked] == [True, True, False, False]
    await clock.advance(4.0)
    answers = [(await one)[1] for one in asked]
    hidden = [
        one["total_duration"] - sum(one[f"{part}_duration"] for part in ("load", "prompt_eval", "eval"))
        for one in answers
    ]
    assert [round(one / 1e9, 1) for one in hidden] == [0.0, 0.0, 4.0, 4.0]


@runs
async def test_another_context_reloads() -> None:
    """1024, then none, then 4096, then 1024: load, reload, nothing, reload."""
    server = fast(models=("smol",))
    for options in ({"num_ctx": 1024}, {}, {"num_ctx": 4096}, {"num_ctx": 1024}):
        await ask(server, "/api/generate", {"model": "smol", "options": options})
    assert [context for _, context in loads(server)] == [1024, 4096, 1024]
    await ask(server, "/v1/completions", {"model": "smol", "prompt": "x", "max_tokens": 1})
    assert await loaded(server) == [("smol:latest", 4096)]


@runs
async def test_a_reload_waits_for_those_who_use_the_model() -> None:
    """The running answer is not cut; the model is off the list while it is loaded again."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    first = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(1.0)
    second = asyncio.ensure_future(
        ask(server, "/api/generate", {"model": "smol", "options": {"num_ctx": 128}})
    )
    await clock.advance(1.0)
    assert not second.done()
    await clock.advance(2.0)
    assert (await first)[1]["done_reason"] == "length"
    assert (await second)[1]["done_reason"] == "load"
    assert await loaded(server) == [("smol:latest", 128)]


@runs
async def test_a_reload_waits_for_those_who_come_to_the_model_meanwhile() -> None:
    """Whom the loaded one fits takes it, though another waits for its end."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    asked = [asyncio.ensure_future(ask(server, "/api/generate", say()))]
    await clock.advance(1.0)
    other = {"model": "smol", "options": {"num_ctx": 128}}
    reload = asyncio.ensure_future(ask(server, "/api/generate", other))
    await clock.advance(1.0)
    asked.append(asyncio.ensure_future(ask(server, "/api/generate", say())))
    await clock.advance(5.0)
    assert [one.done() for one in (*asked, reload)] == [True, False, False]
    assert await loaded(server) == [("smol:latest", 4096)]
    await clock.advance(1.0)
    assert asked[1].done()
    assert (await reload)[0] == 200
    assert await loaded(server) == [("smol:latest", 128)]


@pytest.mark.parametrize("keep_alive", ["9s", -1])
@runs
async def test_a_keep_alive_of_theirs_keeps_the_reload_waiting(keep_alive: str | int) -> None:
    """Until it is over or the model is unloaded, though nobody uses the model; other models wait with it."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    running = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(1.0)
    other = {"model": "smol", "options": {"num_ctx": 128}}
    waiting = [asyncio.ensure_future(ask(server, "/api/generate", other))]
    await clock.advance(1.0)
    joined = asyncio.ensure_future(ask(server, "/api/generate", {"model": "smol", "keep_alive": keep_alive}))
    await clock.advance(2.0)
    assert (await running)[0] == (await joined)[0] == 200
    waiting.append(asyncio.ensure_future(ask(server, "/api/generate", {"model": "llama3.2"})))
    await clock.advance(8.0)
    assert await loaded(server) == [("smol:latest", 4096)]
    assert not any(one.done() for one in waiting)
    if keep_alive == -1:
        await clock.advance(100_000.0)
        assert not any(one.done() for one in waiting)
        await ask(server, "/api/generate", {"model": "smol", "keep_alive": 0})
    await clock.advance(1.0)
    assert [(await one)[0] for one in waiting] == [200, 200]
    assert {name for name, _ in await loaded(server)} == {"smol:latest", "llama3.2:latest"}


@runs
async def test_who_waits_for_a_reload_may_leave() -> None:
    """The loaded model goes on for those who use it, and goes when they have ended."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    running = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(1.0)
    other = {"model": "smol", "options": {"num_ctx": 128}}
    waiting = asyncio.ensure_future(ask(server, "/api/generate", other))
    await clock.advance(1.0)
    waiting.cancel()
    await clock.advance(2.0)
    assert (await running)[0] == 200
    assert (await loaded(server), len(server.loads)) == ([], 1)


@runs
async def test_models_over_the_same_weights_share_a_runner() -> None:
    """A variant and its origin, asked for one size, are one load, shown under the first name."""
    server = fast(models=("smol",))
    await ask(server, "/api/create", {"model": "v", "from": "smol", "parameters": {"num_ctx": 2048}})
    await ask(server, "/api/generate", say(options={"num_ctx": 2048}))
    await ask(server, "/api/generate", say("v"))
    await ask(server, "/v1/chat/completions", {"model": "v", "messages": [{"role": "user", "content": "Hi"}]})
    assert loads(server) == [("smol:latest", 2048)]
    assert await loaded(server) == [("smol:latest", 2048)]
    await ask(
        server, "/v1/chat/completions", {"model": "smol", "messages": [{"role": "user", "content": "Hi"}]}
    )
    assert await loaded(server) == [("smol:latest", 4096)]


@runs
async def test_an_idle_model_goes_when_its_time_is_over() -> None:
    """Five minutes after the last request by default, and not before."""
    clock = HeldClock()
    server = fast(clock, models=("smol",))
    await ask(server, "/api/generate", say())
    await clock.advance(200.0)
    await ask(server, "/v1/completions", {"model": "smol", "prompt": "x"})
    await clock.advance(299.0)
    assert await loaded(server) == [("smol:latest", 4096)]
    await clock.advance(1.0)
    assert await loaded(server) == []
    assert server.engine.sched.unloads == ["smol:latest"]


@runs
async def test_keep_alive_stays_until_another_is_given() -> None:
    """-1 survives plain requests, any later value replaces it, and a reload forgets it."""
    clock = HeldClock()
    server = fast(clock, models=("smol",))
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": -1})
    await ask(server, "/api/generate", say())
    _, found = await ask(server, "/api/ps", method="GET")
    assert found["models"][0]["expires_at"].startswith("2316-")
    await ask(server, "/api/generate", {"model": "smol", "options": {"num_ctx": 512}})
    await clock.advance(300.0)
    assert await loaded(server) == []
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": "10s"})
    await clock.advance(10.0)
    assert await loaded(server) == []


@runs
async def test_keep_alive_of_nothing_unloads() -> None:
    """An empty request unloads at once or once idle, a real one when it has ended."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    assert (await ask(server, "/api/generate", {"model": "smol", "keep_alive": 0}))[1][
        "done_reason"
    ] == "unload"
    running = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(1.0)
    _, answer = await ask(server, "/api/chat", {"model": "smol", "messages": [], "keep_alive": 0})
    assert (answer["message"], answer["done_reason"]) == ({"role": "assistant", "content": ""}, "unload")
    assert await loaded(server) == [("smol:latest", 4096)]
    await clock.advance(3.0)
    assert (await running)[0] == 200
    assert await loaded(server) == []
    once = asyncio.ensure_future(ask(server, "/api/generate", say(keep_alive="0s")))
    await clock.advance(4.0)
    assert (await once)[0] == 200
    assert await loaded(server) == []


@runs
async def test_embedding_models_load_by_an_empty_embed_only() -> None:
    """An empty embed loads, its context is capped, and keep_alive 0 unloads by generate too."""
    server = fast(models=("all-minilm",))
    assert await ask(server, "/api/embed", {"model": "all-minilm"}) == (
        200,
        {"model": "all-minilm", "embeddings": []},
    )
    assert await loaded(server) == [("all-minilm:latest", 512)]
    refused = {"error": '"all-minilm" does not support generate'}
    assert await ask(server, "/api/generate", {"model": "all-minilm"}) == (400, refused)
    status, answer = await ask(server, "/api/generate", {"model": "all-minilm", "keep_alive": 0})
    assert (status, answer["done_reason"]) == (200, "unload")
    assert await loaded(server) == []


@runs
async def test_the_shortest_kept_idle_model_makes_room() -> None:
    """With room for two the third load evicts the one with the shorter keep_alive."""
    server = fast(models=("smol", "llama3.2", "qwen3"), max_loaded=2)
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": -1})
    await ask(server, "/api/generate", {"model": "llama3.2", "keep_alive": "1m"})
    await ask(server, "/api/generate", {"model": "qwen3"})
    assert [name for name, _ in await loaded(server)] == ["smol:latest", "qwen3:latest"]


@runs
async def test_the_list_begins_with_the_latest_expiry() -> None:
    """The order is that of the time at which models go."""
    server = fast(models=("smol", "llama3.2"))
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": "1m"})
    await ask(server, "/api/generate", {"model": "llama3.2", "keep_alive": "9m"})
    assert [name for name, _ in await loaded(server)] == ["llama3.2:latest", "smol:latest"]


@runs
async def test_a_client_that_leaves_frees_its_slot() -> None:
    """A stream that is closed in the middle is counted as aborted, and the next one runs."""
    clock = HeldClock()
    server = slow(clock, load_seconds=0.0)
    body = {"model": "smol", "prompt": "Hi"}
    opening = asyncio.ensure_future(server.respond(request("POST", "/api/generate", body)))
    await clock.advance(1.0)
    answer = await opening
    waiting = asyncio.ensure_future(ask(server, "/api/generate", say()))
    await clock.advance(0.0)
    assert (server.engine.running, server.engine.waiting) == (1, 1)
    await answer.body.aclose()  # type: ignore[union-attr]
    await clock.advance(4.0)
    assert (await waiting)[0] == 200
    assert (server.engine.running, server.engine.aborted, server.engine.finished) == (0, 1, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_ctx": "big"}, 'option "num_ctx" must be of type integer'),
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"stop": [1]}, 'option "stop" must be of an array of strings'),
    ],
)
@runs
async def test_a_wrong_option_is_a_500(options: dict[str, Any], text: str) -> None:
    """Ollama blames itself for options of a wrong type; unknown ones are ignored."""
    server = fast(models=("smol",))
    assert await ask(server, "/api/generate", say(options=options)) == (500, {"error": text})
    assert (await ask(server, "/api/generate", say(options={"nonsense": "x"})))[0] == 200
