"""Many programs with unlike ideas of a context on one server: how often it loads its models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gollamas.names import key_of
from gollamas.simulate.clock import WallClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import Served, serving
from gollamas.simulate.settings import VERSIONS
from tests.mixture import CLIENTS, Asked, Mixed, mix, mixture
from tests.sockets.proxying import a_config, running, runs
from tests.sockets.raw import RawServer
from tests.unit.simulate.running import fast

CHAT, EMBEDDER = "smol", "minilm"
REQUESTS = 200
MANY = 50  # reloads
WITHIN = 25.0  # seconds
# Each is one line of configuration.
POLICIES: dict[str, dict[str, Any]] = {
    "everywhere": {"force_num_ctx": {("", ""): 4096}},
    "on the server": {"force_num_ctx": {("", "one"): 2048}},
    "of the models": {"force_num_ctx": {(key_of(CHAT), ""): 2048, (key_of(EMBEDDER), ""): 256}},
    "and for ever": {"force_num_ctx": {("", ""): 4096}, "force_keep_alive": {("", ""): -1.0}},
}


@asynccontextmanager
async def served(version: str) -> AsyncIterator[tuple[SimulatedOllama, Served]]:
    """Serve as a server whose work takes no time."""
    server = fast(WallClock(), version=version, models=(CHAT, EMBEDDER))
    async with serving(server) as place:
        yield server, place


async def through_the_proxy(server: SimulatedOllama, place: Served, **options: Any) -> Mixed:
    """Ask the mixture of a proxy with these options, in front of this server."""
    one = RawServer(port=place.address.port)
    config = a_config([one], {CHAT: [one], EMBEDDER: [one]}, **options)
    async with running(config) as proxy:
        await proxy.events.up(one)
        return await mix(
            ("127.0.0.1", proxy.port), mixture(CHAT, EMBEDDER), lambda: len(server.loads), within=WITHIN
        )


def test_a_mixture_is_the_same_each_time() -> None:
    """Of all kinds; another seed has another order."""
    asked = mixture(CHAT, EMBEDDER)
    assert asked == mixture(CHAT, EMBEDDER)
    assert asked != mixture(CHAT, EMBEDDER, seed=16)
    assert (len(asked), CLIENTS) == (REQUESTS, 4)
    assert {(one.path, one.body.get("options", {}).get("num_ctx")) for one in asked} == {
        *(("/api/chat", num_ctx) for num_ctx in (1024, 2048, 8192, None)),
        *((path, None) for path in ("/v1/chat/completions", "/v1/messages", "/api/embed", "/v1/embeddings")),
    }


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_a_mixture_that_is_sent_to_the_server_itself_reloads_for_ever(version: str) -> None:
    async with served(version) as (server, place):
        found = await mix(
            ("127.0.0.1", place.address.port),
            mixture(CHAT, EMBEDDER),
            lambda: len(server.loads),
            within=WITHIN,
        )
    check(found)
    assert found.reloads > MANY


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_without_a_policy_a_mixture_reloads_for_ever(version: str) -> None:
    async with served(version) as (server, place):
        found = await through_the_proxy(server, place)
    check(found)
    assert found.reloads > MANY


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@runs
async def test_one_line_of_configuration_ends_the_reloading(policy: dict[str, Any], version: str) -> None:
    """Each model is loaded once, by its own name, and has at most one variant."""
    async with served(version) as (server, place):
        found = await through_the_proxy(server, place, **policy)
    check(found)
    assert sorted((load.model, load.ended) for load in server.loads) == [
        ("minilm:latest", "loaded"),
        ("smol:latest", "loaded"),
    ]
    assert found.reloads == 0
    assert [one.ended for one in server.creates] == ["made"] * len({one.source for one in server.creates})


def check(found: Mixed) -> None:
    """Every request was answered, and by the name that it asked for."""
    assert (len(found.answered), found.faults) == (REQUESTS, [])
    assert all(isinstance(one.asked, Asked) and one.names for one in found.answered)
