"""Finds the real servers, puts the program in front of them, and leaves them as they were.

Everything here is marked `real` and skipped where GOLLAMAS_TEST_OLLAMA names no server.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import proxy
from tests.real.fleet import Place, RealFleet, find_fleet

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder: real, and with the patience that a load needs."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def fleet() -> Iterator[RealFleet]:
    """Run the program in front of the named servers; unload at the end what was not loaded before."""
    found = find_fleet()
    before = {name: server.loaded() for name, server in found.servers.items()}
    with proxy(*found.flags(), "--probe-interval", "1s") as proxied:
        found.proxy = Place(proxied.url)
        yield found
    for name, server in found.servers.items():
        for model in (found.chat, found.embed):
            if model not in before[name]:
                server.unload(model)
