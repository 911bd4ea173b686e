"""Starts the simulated servers and the program once for each module."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import Settings
from tests.clients.fleet import ALIASES, AWAY, MODELS, Fleet
from tests.clients.programs import SimulatedFleet, proxy


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
