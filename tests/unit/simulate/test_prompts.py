"""A runner knows the prompts that it has read: what begins alike is not read again."""

import asyncio
from typing import Any

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.prompts import Prompts, length_of
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.text import count_tokens
from tests.unit.simulate.running import ask, fast, runs

TEMPLATE = 2  # tokens that stand before every prompt
LONG = "user " + "word " * 100


def test_a_new_runner_knows_nothing() -> None:
    """The first prompt is read whole."""
    assert Prompts().cached(LONG) == 0


def test_the_last_token_of_a_known_prompt_is_read_again() -> None:
    """As llama.cpp does, which needs it to go on."""
    prompts = Prompts()
    prompts.keep(LONG)
    assert prompts.cached(LONG) == length_of(LONG) - 1


@pytest.mark.parametrize(
    ("known", "asked", "words"),
    [
        ("user a b c", "user a b d", 3),
        ("user a b c", "user a b c d", 4),
        ("user a b c", "user a b", 3),
        ("user Hi", "user High", 1),
        ("user High", "user Hi", 1),
        ("user a", "system a", 0),
    ],
)
def test_words_with_which_two_prompts_begin_are_known(known: str, asked: str, words: int) -> None:
    """Whole words count, whichever prompt is the longer one, and the template's first tokens."""
    prompts = Prompts()
    prompts.keep(known)
    assert prompts.cached(asked) == TEMPLATE + words


def test_an_answer_is_known_to_the_next_turn() -> None:
    """A conversation that goes on is read from its last question on."""
    prompts = Prompts()
    prompts.keep("user Hi", "Hello you")
    answered = "user Hi\nassistant Hello you"
    assert prompts.cached(f"{answered}\nuser And now") == TEMPLATE + count_tokens(answered)
    assert prompts.cached("user Hi") == length_of("user Hi") - 1


def test_other_prompts_in_between_change_nothing_until_there_are_too_many() -> None:
    """Sixteen are known; what was asked last stays longest."""
    prompts = Prompts()
    prompts.keep(LONG)
    for number in range(15):
        prompts.keep(f"system {number}")
    assert prompts.cached(LONG) == length_of(LONG) - 1
    prompts.keep(LONG)
    prompts.keep("system 15")
    assert prompts.cached(LONG) == length_of(LONG) - 1
    assert prompts.cached("system 0") == TEMPLATE + 1
    for number in range(16):
        prompts.keep(f"system {number}")
    assert prompts.cached(LONG) == TEMPLATE


ROUTES: dict[str, dict[str, Any]] = {
    "/api/generate": {"prompt": LONG},
    "/api/chat": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": LONG}]},
    "/v1/completions": {"prompt": LONG},
    "/v1/responses": {"input": LONG},
    "/v1/messages": {"messages": [{"role": "user", "content": LONG}], "max_tokens": 9},
}


async def counts(server: SimulatedOllama, path: str) -> tuple[int, int | None]:
    """Give the tokens of a prompt and how many of them were cached; None where that is not told."""
    body = {"model": "smol", "stream": False, **ROUTES[path]}
    status, found = await ask(server, path, body)
    assert status == 200
    if path.startswith("/api/"):
        return found["prompt_eval_count"], found.get("prompt_eval_cached_count")
    usage = found["usage"]
    if path == "/v1/messages":
        cached = usage.get("cache_read_input_tokens")
        return usage["input_tokens"] + (cached or 0), cached
    if path == "/v1/responses":
        return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], usage.get("prompt_tokens_details", {}).get("cached_tokens")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("version", ["0.33.3", "0.34.3"])
@runs
async def test_each_dialect_tells_what_was_cached(path: str, version: str) -> None:
    """None of the first prompt (0 is told), all but one token of the same again; the sum stays."""
    server = fast(models=("smol",), version=version)
    total, first = await counts(server, path)
    assert first == 0
    assert await counts(server, path) == (total, total - 1)


@pytest.mark.parametrize("path", ROUTES)
@runs
async def test_older_releases_do_not_tell(path: str) -> None:
    """Nothing is said, or zero where the dialect has always said zero."""
    server = fast(models=("smol",), version="0.32.15")
    first, second = await counts(server, path), await counts(server, path)
    assert first == second
    assert first[1] == (0 if path == "/v1/responses" else None)


@runs
async def test_the_dialects_share_what_is_known() -> None:
    """The same words are the same prompt whatever route they came by."""
    server = fast(models=("smol",))
    total, _ = await counts(server, "/api/chat")
    for path in ROUTES:
        assert await counts(server, path) == (total, total - 1)


@runs
async def test_a_reload_forgets() -> None:
    """Another context, or an unload in between, begins with nothing."""
    server = fast(models=("smol",))
    total, _ = await counts(server, "/api/chat")
    await ask(server, "/api/generate", {"model": "smol", "options": {"num_ctx": 512}})
    await ask(server, "/api/generate", {"model": "smol"})
    assert await counts(server, "/api/chat") == (total, 0)
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": 0})
    assert await counts(server, "/api/chat") == (total, 0)


@pytest.mark.parametrize("version", ["0.32.15", "0.34.3"])
@runs
async def test_what_is_cached_takes_no_time(version: str) -> None:
    """`prompt_eval_duration` is that of the new tokens alone, whether they are told or not."""
    clock = HeldClock()
    server = fast(clock, models=("smol",), version=version, prompt_tokens_per_second=10.0)

    async def seconds() -> tuple[int, float]:
        asked = asyncio.ensure_future(ask(server, "/api/chat", {"model": "smol", **ROUTES["/api/chat"]}))
        await clock.advance(60.0)
        _, lines = await asked
        return lines[-1]["prompt_eval_count"], lines[-1]["prompt_eval_duration"] / 1e9

    total, first = await seconds()
    assert first == pytest.approx(total / 10)
    same, second = await seconds()
    assert (same, round(second, 6)) == (total, 0.1)
