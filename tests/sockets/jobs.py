"""Requests that change which models servers have, and how their answers and their jobs are read.

Owns the requests and what is the same in all tests of jobs; the servers are `simulated`'s.
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from gollamas.config.model import Expose, Manage
from gollamas.events import JobEnd, JobEnded
from gollamas.simulate.faults import HangsPulling
from gollamas.simulate.server import SimulatedOllama
from tests.sockets.raw import Client, Message, post
from tests.sockets.simulated import CHAT, Fleet, fleet

PULL: Final = "/api/pull"
PUSH: Final = "/api/push"
COPY: Final = "/api/copy"
DELETE: Final = "/api/delete"
CHANGES: Final = (PULL, PUSH, COPY, DELETE)
NEW: Final = "llama3.2"  # the registry has it, no server does
MANIFEST, SUCCESS = {"status": "pulling manifest"}, {"status": "success"}
OPEN: Final[dict[str, Any]] = {"manage": Manage.ALL, "expose": Expose.INSTALLED}
QUICK: Final = {"pull_seconds": 0.0}
AWAY: Final = {"probe_interval": 0.05}  # for fleets of which a server goes down


@asynccontextmanager
async def servers(*names: str, **options: Any) -> AsyncIterator[Fleet]:
    """Run servers that pull in no time, and a proxy that lets clients change everything.

    The registry has all that the servers have.
    """
    async with fleet(*names, **{"settings": QUICK, **OPEN, **options}) as both:
        for ollama in both.ollamas.values():
            for name in ollama.settings.models:
                ollama.publish(name, 0)
        yield both


# -- requests ------------------------------------------------------------------------------------------


def pull(name: str = NEW, *fields: bytes, **members: object) -> bytes:
    """Make a request for a pull."""
    return post(PULL, json.dumps({"model": name, **members}).encode(), *fields)


def push(name: str = CHAT, *fields: bytes, **members: object) -> bytes:
    """Make a request for a push."""
    return post(PUSH, json.dumps({"model": name, **members}).encode(), *fields)


def copy(source: str, destination: str, *fields: bytes) -> bytes:
    """Make a request for a copy."""
    return post(COPY, json.dumps({"source": source, "destination": destination}).encode(), *fields)


def delete(name: str = CHAT, *fields: bytes) -> bytes:
    """Make a request for a delete."""
    return post(DELETE, json.dumps({"model": name}).encode(), *fields).replace(b"POST", b"DELETE", 1)


def change(path: str, name: str, *fields: bytes) -> bytes:
    """Make a request of any kind that changes this name."""
    if path == COPY:
        return copy(CHAT, name, *fields)
    return {PULL: pull, PUSH: push, DELETE: delete}[path](name, *fields)


# -- answers -------------------------------------------------------------------------------------------


def lines(got: Message) -> list[dict[str, Any]]:
    """Give the lines of an answer that streams."""
    assert (got.status, got.get(b"content-type")) == (200, b"application/x-ndjson"), got
    return [json.loads(line) for line in got.body.splitlines()]


def words(found: list[dict[str, Any]]) -> list[str]:
    """Give what was said without a digest."""
    return [line["status"] for line in found if "digest" not in line and "status" in line]


def refusal(got: Message) -> tuple[int, str]:
    """Give the status and the text of an error in Ollama's shape."""
    assert list(json.loads(got.body)) == ["error"], got
    return got.status, json.loads(got.body)["error"]


def done(got: Message) -> list[str]:
    """Give what the Warning fields of a copy or delete say that went well: no body, as recorded."""
    assert (got.status, got.body, got.get(b"content-length")) == (200, b"", b"0"), got
    assert got.get(b"content-type") is None
    return warnings(got)


def warnings(got: Message) -> list[str]:
    """Give what the Warning fields of an answer say."""
    found = [value.decode() for value in got.all(b"warning")]
    assert all(value.startswith('199 gollamas "') and value.endswith('"') for value in found)
    return [value[len('199 gollamas "') : -1] for value in found]


async def begun(client: Client) -> dict[str, Any]:
    """Read the head and the first line of an answer that goes on."""
    await client.reader.readuntil(b"\r\n\r\n")
    return await a_line(client)


async def a_line(client: Client) -> dict[str, Any]:
    """Read one chunk, and give its last line."""
    size = int(await client.reader.readuntil(b"\r\n"), 16)
    found: dict[str, Any] = json.loads((await client.reader.readexactly(size + 2)).strip().splitlines()[-1])
    return found


async def last_line(client: Client) -> dict[str, Any]:
    """Read the rest of an answer that streams, and give its last line."""
    found: dict[str, Any] = {}
    while (size := int(await client.reader.readuntil(b"\r\n"), 16)) > 0:
        found = json.loads((await client.reader.readexactly(size + 2)).strip().splitlines()[-1])
    return found


# -- jobs ----------------------------------------------------------------------------------------------


def ends(both: Fleet) -> dict[str, JobEnd]:
    """Say how the parts of jobs ended, by server."""
    return {event.server: event.end for event in both.proxy.events.of(JobEnded)}


def told(both: Fleet) -> list[tuple[str, str, str, str]]:
    """Say in order which parts of jobs ended: kind, server, model, how."""
    return [(one.kind, one.server, one.model, one.end) for one in both.proxy.events.of(JobEnded)]


async def until_ended(both: Fleet, count: int) -> list[JobEnded]:
    """Wait until so many parts of jobs have ended; give them."""
    await both.proxy.events.until(lambda: len(both.proxy.events.of(JobEnded)) >= count)
    return both.proxy.events.of(JobEnded)


async def tidied(both: Fleet) -> None:
    """Wait until no job is under way: what follows a job's answer is over, too."""
    await both.until(lambda: not both.proxy.app._duties.jobs.under_way())


async def held(
    both: Fleet, name: str = NEW, *fields: bytes, on: Iterable[str] = (), after: int = 2
) -> Client:
    """Begin a pull that hangs on these servers, all by default, until they are released; its client."""
    hanging = [both.ollamas[one] for one in on] or list(both.ollamas.values())
    counts = [len(one.pulls) for one in hanging]
    for one in hanging:
        one.fail_next_pull(HangsPulling(after))
    client = await both.proxy.connect()
    await client.send(pull(name, *fields))
    await both.until(
        lambda: all(
            len(one.pulls) > count and one.pulls[-1].is_held
            for one, count in zip(hanging, counts, strict=True)
        )
    )
    return client


def release(both: Fleet) -> None:
    """Let the pulls go on that hang now."""
    for ollama in both.ollamas.values():
        ollama.release()


# -- servers -------------------------------------------------------------------------------------------


def has(ollama: SimulatedOllama, name: str) -> bool:
    """Whether a server has a model."""
    return ollama.engine.library.find(name) is not None


def changed(both: Fleet) -> list[str]:
    """Give the paths by which any server was asked for a change of what clients see."""
    asked = [one for ollama in both.ollamas.values() for one in ollama.seen if b"gollamas/" not in one.body]
    paths = [one.head.path.decode() for one in asked]
    return [path for path in paths if path in (*CHANGES, "/api/create")]


def hidden(ollama: SimulatedOllama) -> list[str]:
    """Give the names under `gollamas/` that a server has."""
    return [one.name.shortest for one in ollama.engine.library.all() if one.name.namespace == "gollamas"]


def in_memory(ollama: SimulatedOllama) -> list[str]:
    """Give the digests of the weights that a server has loaded."""
    return [one.model.weights.digest for one in ollama.engine.sched.running()]


async def load(both: Fleet, server: str, name: str = CHAT) -> str:
    """Load a model on a server for ever, and have the proxy see that; the digest of its weights."""
    got = await both.ask_directly("/api/generate", {"model": name, "keep_alive": -1}, server=server)
    assert got.status == 200
    await both.look()
    model = both.ollamas[server].engine.library.find(name)
    assert model is not None
    assert model.weights.digest in in_memory(both.ollamas[server])
    return model.weights.digest
