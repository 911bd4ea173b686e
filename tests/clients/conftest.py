"""Starts simulated servers and the program once for each module."""

import itertools
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import pytest

from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import Settings
from tests.clients.calling import KINDS, Client
from tests.clients.fleet import ALIASES, AWAY, MODELS, Fleet
from tests.clients.programs import SimulatedFleet, ollama_command, proxy
from tests.clients.shell import Shell
from tests.clients.three import Three, three_servers

_NUMBERS: Final = itertools.count()


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Run the program in front of two simulated servers and of one that is away."""
    aliases = [word for alias, model in ALIASES.items() for word in ("--alias", f"{alias}={model}")]
    quick = Settings(load_seconds=0.0, tokens_per_second=0.0, num_parallel=4)
    servers = {name: SimulatedOllama(replace(quick, models=models)) for name, models in MODELS.items()}
    with socket.socket() as closed, SimulatedFleet(servers) as simulated:
        closed.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        away = ["--connection", f"away=http://127.0.0.1:{closed.getsockname()[1]}", "--proxy", f"{AWAY}=away"]
        with proxy(*simulated.flags(), *away, *aliases) as proxied:
            # Else the proxy's own load would meet what a test lets a server do to the next request.
            for model in {model for models in MODELS.values() for model in models}:
                httpx.post(f"{proxied.url}/api/embed", json={"model": model}).raise_for_status()
            yield Fleet(simulated, proxied)


@pytest.fixture(scope="module")
def three() -> Iterator[Three]:
    """Run the program in front of three simulated servers with the same models."""
    with three_servers() as running:
        yield running


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, three: Three) -> Client:
    """Give a client of each kind."""
    return Client(three.url, KINDS[request.param])


@pytest.fixture
def shell(three: Three, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Give the command at the proxy's address, with an empty home."""
    return Shell(ollama_command(), three.address, str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def new() -> str:
    """Give the name of a model that the registry has and no server."""
    return f"llama3.2:v{next(_NUMBERS)}"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """Make a file that a simulated server takes for a model, longer than one read, and of no other test."""
    file = tmp_path / "model.gguf"
    file.write_bytes((b"GGUF" + str(tmp_path).encode()).ljust(600_000, b"0"))
    return file
