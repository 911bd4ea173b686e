"""Finds the real servers, puts the program in front of them, and leaves them as they were.

Everything here is marked `real` and skipped where GOLLAMAS_TEST_OLLAMA names no server.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import SimulatedFleet, proxy
from tests.real.fleet import Place, RealFleet, find_fleet
from tests.real.front import PULLED, Front, left_as_they_were, running
from tests.real.loading import LOAD_SECONDS, NAMES, TOKENS_PER_SECOND, load_of, say, variants, vector
from tests.real.stand_in import stand_in
from tests.registry import Registry

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


@pytest.fixture(scope="session")
def simulated(fleet: RealFleet) -> Iterator[Place]:
    """Run a simulated server of the same version."""
    server = stand_in(fleet, load_seconds=LOAD_SECONDS, tokens_per_second=TOKENS_PER_SECOND)
    with SimulatedFleet({"simulated": server}) as running:
        yield Place(running.urls["simulated"])


@pytest.fixture(params=["real", "simulated"])
def place(request: pytest.FixtureRequest, fleet: RealFleet, simulated: Place) -> Iterator[Place]:
    """Give either server, with nothing loaded; take away what a test made, variants of the proxy too."""
    found = fleet.first if request.param == "real" else simulated
    before = variants(found)
    for name in (fleet.chat, fleet.embed):
        found.unload(name)
    yield found
    for name in (fleet.chat, fleet.embed):
        found.unload(name)
    for name in (*NAMES, *variants(found) - before):
        found.ask("DELETE", "/api/delete", {"model": name})


@pytest.fixture(scope="session")
def quickest() -> dict[tuple[str, str], float]:
    """Keep the seconds of the quickest load that was seen of each model of each server."""
    return {}


@pytest.fixture
def cold(fleet: RealFleet, place: Place, quickest: dict[tuple[str, str], float]) -> dict[str, float]:
    """Give the seconds that a load of either model takes; nothing is loaded after it."""
    asked = {fleet.chat: ("/api/generate", say(fleet.chat)), fleet.embed: ("/api/embed", vector(fleet.embed))}
    for name, one in asked.items():
        if (place.url, name) not in quickest:
            took = []
            for _ in range(4):
                took.append(load_of(place, *one))
                place.unload(name)
            quickest[place.url, name] = min(took)
    return {name: quickest[place.url, name] for name in asked}


@pytest.fixture
def words(fleet: RealFleet, place: Place, cold: dict[str, float]) -> list[str]:
    """Give what puts the program in front of that server alone, which has nothing loaded any more."""
    assert cold, "the quickest loads are measured before the program looks at the server"
    models = [word for name in (fleet.chat, fleet.embed) for word in ("--proxy", f"{name}=real")]
    ports = ["--listen", "127.0.0.1:0", "--admin", "off", "--probe-interval", "200ms"]
    return [*ports, "--connection", f"real={place.url}", *models]


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """Run a registry on loopback."""
    with Registry() as served:
        yield served


@pytest.fixture
def front(registry: Registry) -> Iterator[Front]:
    """Run the program in front of all that the servers have, with the first version of a model published."""
    servers = find_fleet()
    with left_as_they_were(servers), running(servers, registry) as found:
        yield found


@pytest.fixture
def keeping(registry: Registry) -> Iterator[Front]:
    """The same, where two models are kept for ever and have a context of their own, by variants too."""
    policies = []
    for name in ("gt-copy", registry.name(PULLED)):
        policies += ["--force-num-ctx", f"{name}=1024", "--force-keep-alive", f"{name}=-1"]
    servers = find_fleet()
    with left_as_they_were(servers), running(servers, registry, *policies) as found:
        yield found
