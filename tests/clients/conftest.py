"""Starts the simulated servers and the program once for each module."""

import socket
from collections.abc import Iterator

import pytest

from tests.clients.fleet import ALIASES, AWAY, MODELS, Fleet
from tests.clients.programs import SimulatedFleet, proxy


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Run the program in front of two simulated servers and of one that is away."""
    aliases = [word for alias, model in ALIASES.items() for word in ("--alias", f"{alias}={model}")]
    with socket.socket() as closed, SimulatedFleet(MODELS) as simulated:
        closed.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        away = ["--connection", f"away=http://127.0.0.1:{closed.getsockname()[1]}", "--proxy", f"{AWAY}=away"]
        with proxy(*simulated.flags(), *away, *aliases) as proxied:
            yield Fleet(simulated, proxied)
