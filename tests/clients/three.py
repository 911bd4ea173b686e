"""Three simulated servers with the same models, and the program in front of them: for what changes all.

Owns what one of them does while the others are well: it is down, or it fails.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from gollamas.simulate.faults import Fails, Fault
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import Settings
from tests.clients.programs import EAGER, Proxied, SimulatedFleet, proxy

SERVERS: Final = ("first", "second", "third")
EMBEDDER: Final = "minilm"  # no test copies it: what `ps` shows of it goes by no other name
in_turn = pytest.mark.parametrize("server", SERVERS)
INSTALLED: Final = ("smol", EMBEDDER)
# Configured, and on no server yet: in one tag for each test that pulls it.
ABSENT: Final = "gemma3"
ELSEWHERE: Final = "localhost:5000/team"  # names there are pushed to a registry that is not Ollama's
BROKEN: Final = "the disk of this server is broken"
_SETTINGS: Final = Settings(
    load_seconds=0.0, tokens_per_second=0.0, prompt_tokens_per_second=0.0, pull_seconds=0.1, models=INSTALLED
)


class Three:
    """The servers and the proxy."""

    def __init__(self, simulated: SimulatedFleet, proxied: Proxied) -> None:
        self.simulated = simulated
        self.url = proxied.url
        self.address = proxied.address
        self._log = proxied.program

    @contextmanager
    def down(self, server: str) -> Iterator[None]:
        """Have the proxy know that a server is down; in the end it is up again."""
        self.simulated.take_down(server)
        self._log.until(re.compile(rf"server_down {server}\b"))
        try:
            yield
        finally:
            self.simulated.bring_back(server)
            self._log.until(re.compile(rf"server_up {server}\b"))

    @contextmanager
    def failing(self, server: str, path: str) -> Iterator[None]:
        """Let a server answer all that comes for a path with a 500."""
        fault = Fails(500, json.dumps({"error": BROKEN}).encode())
        with self.faulty(server, lambda simulated: simulated.fail_next(fault, path=path, times=-1)):
            yield

    @contextmanager
    def faulty(self, server: str, order: Callable[[SimulatedOllama], object]) -> Iterator[None]:
        """Let a server misbehave in some way, and be well in the end."""
        self.simulated.tell(server, order)
        try:
            yield
        finally:
            self.simulated.tell(server, SimulatedOllama.heal)

    def load_everywhere(self, embedder: str) -> None:
        """Have each server load a model, past the proxy."""
        for url in self.simulated.urls.values():
            httpx.post(f"{url}/api/embed", json={"model": embedder}).raise_for_status()

    def who_has(self, model: str) -> list[str]:
        """Name the servers that have a model."""
        return [name for name, one in self.simulated.servers.items() if one.engine.library.find(model)]

    def who_has_blob(self, digest: str) -> list[str]:
        """Name the servers that have a blob."""
        return [name for name, one in self.simulated.servers.items() if one.engine.library.has_blob(digest)]

    def uploads(self, digest: str) -> dict[str, list[bytes]]:
        """Give the bodies of all uploads of a blob that came to each server."""
        return {
            name: [asked.body for asked in one.asked(blob_path(digest)) if asked.head.method == b"POST"]
            for name, one in self.simulated.servers.items()
        }

    def creates_of(self, model: str) -> dict[str, list[Any]]:
        """Give the bodies of all creates of a model that came to each server."""
        bodies = {
            name: [json.loads(asked.body) for asked in one.asked("/api/create")]
            for name, one in self.simulated.servers.items()
        }
        return {name: [body for body in found if body["model"] == model] for name, found in bodies.items()}

    def failing_uploads(self, server: str, digest: str, fault: Fault) -> AbstractContextManager[None]:
        """Let a server say that it lacks a blob, and then fail the upload."""
        path = blob_path(digest)

        def order(simulated: SimulatedOllama) -> None:
            simulated.fail_next(Fails(404, b""), path=path)
            simulated.fail_next(fault, path=path)

        return self.faulty(server, order)

    def wait_for(self, server: str, model: str, *, is_there: bool) -> None:
        """Wait until a server has a model, or has it no more."""
        self.simulated.until(server, lambda one: (one.engine.library.find(model) is not None) is is_there)

    def pushed_by(self, model: str) -> list[str]:
        """Name the servers that were asked to push a model, once for each time."""
        return [name for name, one in self.simulated.servers.items() for _ in _naming(one, model)]


def blob_path(digest: str) -> str:
    """Give the path of a blob."""
    return f"/api/blobs/{digest}"


def digest_of(file: Path) -> str:
    """Give the digest of a file as blobs are named."""
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def sent_once(file: Path) -> dict[str, list[bytes]]:
    """Give what `uploads` finds where a file was sent to each server once."""
    return {name: [file.read_bytes()] for name in SERVERS}


def _naming(server: SimulatedOllama, model: str) -> list[bytes]:
    return [asked.body for asked in server.asked("/api/push") if f'"{model}"'.encode() in asked.body]


def others(server: str) -> list[str]:
    """Name the servers beside one."""
    return [name for name in SERVERS if name != server]


@contextmanager
def three_servers() -> Iterator[Three]:
    """Run all of it until the block ends."""
    servers = {name: SimulatedOllama(_SETTINGS) for name in SERVERS}
    for server in servers.values():
        server.publish(f"{ELSEWHERE}/any", 0)
    may = ["--manage", "all", "--expose", "installed", "--registries", "registry.ollama.ai,localhost:5000"]
    absent = [f"{ABSENT}:{word}" for word in ("up", *SERVERS, *(f"not-{name}" for name in SERVERS))]
    configured = [word for model in absent for name in SERVERS for word in ("--proxy", f"{model}={name}")]
    with (
        SimulatedFleet(servers) as simulated,
        proxy(*simulated.flags(), *configured, *may, "--probe-interval", "0.02", by=EAGER) as proxied,
    ):
        for _ in SERVERS:
            proxied.program.until(re.compile(r"server_up \w+"))
        yield Three(simulated, proxied)
