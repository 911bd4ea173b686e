"""A load as many unlike programs make it together: four clients, two hundred requests of all dialects.

Owns what is asked, in an order that is the same each time, and what was answered; knows neither the proxy nor
the kind of server behind it. How many loads that made is counted by whoever can: a simulated server by its
record, a real one by its log.
"""

import asyncio
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.sockets.raw import Client, post, read_message

CONTEXTS: Final = (1024, 2048, 8192)  # that native chats ask for
CLIENTS: Final = 4
_MESSAGES: Final = [{"role": "user", "content": "Hi"}]
_NAME: Final = re.compile(rb'"model":"([^"]*)"')
_LIMIT: Final = 1 << 22  # bytes of a line


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    body: dict[str, Any]

    @property
    def model(self) -> str:
        """The name that the client has for the model."""
        return str(self.body["model"])


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and its answer."""

    asked: Asked
    status: int
    body: bytes

    @property
    def names(self) -> set[str]:
        """Every model that the answer names."""
        return {name.decode() for name in _NAME.findall(self.body)}


@dataclass(frozen=True, slots=True)
class Mixed:
    """What came of a mixture: the answers, and the loads that were begun meanwhile."""

    answered: list[Answered]
    loads: int

    @property
    def faults(self) -> list[Answered]:
        """Answers that were no 200, or named another model than the one that was asked for."""
        return [one for one in self.answered if one.status != 200 or not one.names <= {one.asked.model}]

    @property
    def reloads(self) -> int:
        """Loads beyond one of each model, none of which was loaded before."""
        return self.loads - len({one.asked.model for one in self.answered})


def mixture(chat: str, embedder: str, *, seed: int = 15) -> list[Asked]:
    """Write the requests: so many of each kind, in an order that depends on the seed alone."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret comes of it
    talk: dict[str, Any] = {"model": chat, "messages": _MESSAGES}
    few = {"num_predict": 2}
    kinds: list[tuple[int, str, dict[str, Any]]] = [
        *((36, "/api/chat", {**talk, "options": {**few, "num_ctx": num_ctx}}) for num_ctx in CONTEXTS),
        (24, "/api/chat", {**talk, "options": few}),
        (24, "/v1/chat/completions", {**talk, "max_tokens": 2}),
        (24, "/v1/messages", {**talk, "max_tokens": 2}),
        (10, "/api/embed", {"model": embedder, "input": "Hi"}),
        (10, "/v1/embeddings", {"model": embedder, "input": "Hi"}),
    ]
    chosen = [(path, body) for count, path, body in kinds for _ in range(count)]
    chance.shuffle(chosen)
    return [Asked(path, _streamed(body, is_streamed=chance.random() < 0.5)) for path, body in chosen]


def _streamed(body: dict[str, Any], *, is_streamed: bool) -> dict[str, Any]:
    return {**body, "stream": is_streamed} if "messages" in body else body


async def mix(
    address: tuple[str, int],
    asked: Sequence[Asked],
    loads: Callable[[], int],
    *,
    within: float,
    clients: int = CLIENTS,
) -> Mixed:
    """Have clients ask, each the next of its own when it has its answer; give the answers, client by client.

    `loads` counts those of the server, before and after. Raises TimeoutError after `within` seconds.
    """
    before = loads()
    async with asyncio.timeout(within), asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(_ask(address, asked[first::clients])) for first in range(clients)]
    answered = [one for client in asking for one in client.result()]
    return Mixed(answered, loads() - before)


async def _ask(address: tuple[str, int], asked: Sequence[Asked]) -> list[Answered]:
    client = Client(*await asyncio.open_connection(*address, limit=_LIMIT))
    try:
        answered = []
        for one in asked:
            await client.send(post(one.path, json.dumps(one.body).encode()))
            message = await read_message(client.reader)
            assert message.is_whole, (one, message)
            answered.append(Answered(one, message.status, message.body))
        return answered
    finally:
        client.close()
