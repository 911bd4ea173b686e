"""Under an enforced context a server loads each model once, whatever is asked of the proxy in front of it."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gollamas.simulate.clock import WallClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import serving
from gollamas.simulate.settings import VERSIONS
from tests.mixture import Asked, Mixed, mix
from tests.sockets.proxying import a_config, running, runs
from tests.sockets.raw import RawServer
from tests.unit.simulate.running import fast

CHAT: Final = "smol"
EMBEDDER: Final = "minilm"
HI: Final = [{"role": "user", "content": "Hi"}]
WITHIN: Final = 10.0  # seconds
POLICY: Final[dict[str, Any]] = {"force_num_ctx": {("", ""): 2048}, "force_keep_alive": {("", ""): -1.0}}

_Call = tuple[str, dict[str, Any]]  # path, and the members beside the model

_OPTIONS: Final = st.sampled_from(
    [
        {},
        {"options": None},
        {"options": {}},
        {"options": {"temperature": 0.1}},
        {"options": {"num_ctx": None}},
        *({"options": {"num_ctx": num_ctx, "seed": 1}} for num_ctx in (0, 1024, 2048, 4096, 8192, 16384)),
    ]
)
_STAYS: Final = st.sampled_from([{}, *({"keep_alive": value} for value in (None, 0, -1, "0", "5m", 0.5))])
_TALKS: Final[st.SearchStrategy[_Call]] = st.sampled_from(
    [
        ("/api/chat", {"messages": HI}),
        ("/api/chat", {"messages": []}),
        ("/api/generate", {"prompt": "Hi"}),
        ("/api/generate", {}),
        ("/api/embed", {"input": []}),
    ]
)
_VECTORS: Final[st.SearchStrategy[_Call]] = st.sampled_from(
    [("/api/embed", {"input": "Hi"}), ("/api/embed", {}), ("/api/embeddings", {"prompt": "Hi"})]
)
_OTHERS: Final[st.SearchStrategy[_Call]] = st.sampled_from(
    [
        ("/v1/chat/completions", {"model": CHAT, "messages": HI, "max_tokens": 2}),
        ("/v1/completions", {"model": CHAT, "prompt": "Hi", "max_tokens": 2}),
        ("/v1/responses", {"model": CHAT, "input": "Hi", "max_output_tokens": 2}),
        ("/v1/messages", {"model": CHAT, "messages": HI, "max_tokens": 2}),
        ("/v1/embeddings", {"model": EMBEDDER, "input": "Hi"}),
    ]
)


def _native(model: str, asked: st.SearchStrategy[_Call]) -> st.SearchStrategy[Asked]:
    return st.builds(
        lambda one, options, stays: Asked(one[0], {"model": model, **one[1], **options, **stays}),
        asked,
        _OPTIONS,
        _STAYS,
    )


ANY: Final = st.one_of(
    _native(CHAT, _TALKS), _native(EMBEDDER, _VECTORS), _OTHERS.map(lambda one: Asked(one[0], one[1]))
)


async def asked_of_the_proxy(server: SimulatedOllama, asked: list[Asked], clients: int) -> Mixed:
    """Ask a proxy that enforces a context, in front of this server."""
    async with serving(server) as place:
        one = RawServer(port=place.address.port)
        async with running(a_config([one], {CHAT: [one], EMBEDDER: [one]}, **POLICY)) as proxy:
            await proxy.events.up(one)
            address = ("127.0.0.1", proxy.port)
            return await mix(address, asked, lambda: len(server.loads), within=WITHIN, clients=clients)


@pytest.mark.timeout(120)
@given(
    asked=st.lists(ANY, min_size=1, max_size=12),
    clients=st.integers(1, 4),
    version=st.sampled_from([VERSIONS[0], VERSIONS[-1]]),
)
@settings(max_examples=60)
@runs
async def test_each_model_is_loaded_once(asked: list[Asked], clients: int, version: str) -> None:
    """By requests of any dialect, with any context and keep_alive, one by one or at once."""
    server = fast(WallClock(), version=version, models=(CHAT, EMBEDDER))
    found = await asked_of_the_proxy(server, asked, clients)
    assert found.faults == []
    wanted = {f"{one.model}:latest" for one in asked}
    loaded = [load.model for load in server.loads]
    assert len(loaded) == len(set(loaded))
    assert set(loaded) <= wanted
