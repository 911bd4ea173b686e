"""Clients that keep a fleet of simulated servers at work: people who chat, programs that embed, an operator.

Owns who asks what, and how often: slow enough that all of it, proxy and servers counted, takes a small
part of a core. They ask by HTTP as any client would; whatever fails is what there is to see.
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from typing import Any, Final

from gollamas.config.model import Address
from gollamas.simulate.text import chance

_AT_ONCE: Final = 64 * 1024  # bytes that are read of an answer
_QUESTIONS: Final = (
    "Hello", "What does a load balancer balance?", "Write a haiku about rivers.", "Why is the sky blue?",
    "Summarise this meeting in three sentences.", "Which model are you?", "Translate it into Quechua.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request. `members` are those of its body; one who leaves reads only so many pieces."""

    path: str
    members: Mapping[str, Any]
    leaves_after: int = 0
    method: str = "POST"
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Client:
    """Who asks, with about so many seconds between an answer and the next request."""

    name: str
    pause: float
    asks: Sequence[_Ask]


def _chat(model: str, leaves_after: int = 0, **more: Any) -> _Ask:
    return _Ask("/api/chat", {"model": model, "messages": [], **more}, leaves_after)


def _openai(model: str, **more: Any) -> _Ask:
    return _Ask("/v1/chat/completions", {"model": model, "messages": [], "stream": True, **more})


_CLIENTS: Final = (
    _Client("127.0.0.11", 1.0, (_chat("llama3.2"), _chat("llama3.2"), _chat("llama3.2", leaves_after=6))),
    _Client("127.0.0.12", 1.5, (_openai("gpt-4o"), _openai("gpt-4o", stream=False), _openai("llama3.2"))),
    # These two take turns in the memory of one server, which has room for one of them.
    _Client("127.0.0.13", 4.0, (_chat("qwen3:8b"), _chat("qwen3:8b"), _chat("mistral"))),
    _Client("127.0.0.14", 1.0, (
        _Ask("/api/embed", {"model": "all-minilm", "input": "A river of tokens"}),
        _Ask("/v1/embeddings", {"model": "all-minilm", "input": ["one", "two"]}),
    )),
    _Client("127.0.0.15", 2.5, (
        _chat("deepseek-r1:14b"),
        _Ask("/v1/messages", {"model": "deepseek-r1:14b", "max_tokens": 200, "messages": [], "stream": True}),
        _Ask("/api/generate", {"model": "llama3.2-vision", "prompt": "What is in this picture?"}),
    )),
    _Client("127.0.0.16", 6.0, (
        _chat("llama3.2-vision", options={"num_ctx": 8192}), _chat("llama4"),
        _chat("llama3.2-vision", options={"num_ctx": 16384}),
    )),
    # Who looks after the models.
    _Client("127.0.0.17", 15.0, (
        _Ask("/api/pull", {"model": "smollm2:135m"}),
        _Ask("/api/delete", {"model": "smollm2:135m"}, method="DELETE"),
    )),
)  # fmt: skip


async def keep_asking(proxy: Address) -> None:
    """Have all of them ask a proxy, until this is cancelled."""
    async with asyncio.TaskGroup() as clients:
        for client in _CLIENTS:
            clients.create_task(_work(proxy, client), name=f"client {client.name}")


async def pull_on(proxy: Address, server: str, model: str) -> None:
    """Have a model pulled on one server, and wait until that has ended."""
    fields = {"X-Gollamas-Server": server}
    await _answered(proxy, "127.0.0.17", _Ask("/api/pull", {"model": model}, fields=fields))


async def _work(proxy: Address, client: _Client) -> None:
    for number, ask in zip(count(), cycle(client.asks), strict=False):
        source = chance(client.name, number)
        await asyncio.sleep(client.pause * (source.uniform(0.2, 1.8) if number else 0.2))  # something at once
        question = {"role": "user", "content": source.choice(_QUESTIONS)}
        members = {**ask.members, **({"messages": [question]} if "messages" in ask.members else {})}
        with suppress(OSError):  # the server or the proxy went away: next time
            await _answered(proxy, client.name, replace(ask, members=members))


async def _answered(proxy: Address, source: str, ask: _Ask) -> None:
    """Ask, and read the answer as far as it is wanted."""
    # An address of its own for each of them, where the machine has more than one on loopback.
    is_ours = sys.platform == "linux" and proxy.host in ("127.0.0.1", "localhost")
    host, local = ("127.0.0.1", (source, 0)) if is_ours else (proxy.host, None)
    reader, writer = await asyncio.open_connection(host, proxy.port, local_addr=local)
    try:
        writer.write(_request(proxy, ask))
        pieces = 0
        while await reader.read(_AT_ONCE):
            pieces += 1
            if pieces == ask.leaves_after:
                break
    finally:
        writer.transport.abort()


def _request(proxy: Address, ask: _Ask) -> bytes:
    body = json.dumps(ask.members).encode()
    fields = {"Host": str(proxy), "Connection": "close", "Content-Type": "application/json"}
    fields |= {"Content-Length": str(len(body)), **ask.fields}
    lines = [f"{ask.method} {ask.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
