"""Helpers of the tests here: run a coroutine as a test, ask a simulated server without a socket."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from gollamas.simulate.clock import Clock, HeldClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import Settings
from gollamas.wire.message import Answer, Fields, Request
from tests.recorded import make_head

P = ParamSpec("P")


def runs(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine, in a loop of its own."""

    @wraps(test)
    def inner(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return inner


def fast(clock: Clock | None = None, **settings: Any) -> SimulatedOllama:
    """Make a server whose loads and tokens take no time unless told otherwise."""
    quick = {
        "load_seconds": 0.0,
        "tokens_per_second": 0.0,
        "prompt_tokens_per_second": 0.0,
        "pull_seconds": 0.0,
    }
    return SimulatedOllama(Settings(**{**quick, **settings}), clock or HeldClock())


def request(method: str, path: str, body: Any = b"", fields: Fields | None = None) -> Request:
    """Make a request; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = fields or []
    has_host = any(name == b"Host" for name, _ in given)
    all_fields = given if has_host else [(b"Host", b"localhost:11434"), *given]
    return Request(make_head(method.encode(), path.encode(), all_fields), raw, "127.0.0.1")


async def body_of(answer: Answer) -> bytes:
    """All bytes of an answer."""
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([piece async for piece in answer.body])


async def ask(server: SimulatedOllama, path: str, body: Any = b"", method: str = "POST") -> tuple[int, Any]:
    """Status and parsed body of an answer: JSON, or a list of its lines, or bytes where it is neither."""
    answer = await server.respond(request(method, path, body))
    raw = await body_of(answer)
    if (b"Content-Type", b"application/x-ndjson") in answer.fields:
        return answer.status, [json.loads(line) for line in raw.splitlines()]
    try:
        return answer.status, json.loads(raw)
    except ValueError:
        return answer.status, raw


def loads(server: SimulatedOllama) -> list[tuple[str, int]]:
    """Name and context of each load that was begun."""
    return [(load.model, load.launch.context) for load in server.loads]


async def loaded(server: SimulatedOllama) -> list[tuple[str, int]]:
    """Name and context length of each model that `/api/ps` shows."""
    _, found = await ask(server, "/api/ps", method="GET")
    return [(entry["name"], entry["context_length"]) for entry in found["models"]]
