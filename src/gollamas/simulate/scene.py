"""The servers of `gollamas demo`: idle until somebody asks them, or at work, with things that go wrong.

Owns what the servers are told, and who of them goes away and comes back; who asks them is `clients`'.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from gollamas.config.model import Address
from gollamas.simulate.clients import keep_asking, pull_on
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import LOCAL, serving
from gollamas.simulate.settings import Settings
from gollamas.system.listening import NotListening

_ALIKE: Final = Settings(
    load_seconds=1.5, tokens_per_second=25.0, vram_bytes=24_000_000_000, pull_seconds=4.0, remembered=0
)
IDLE: Final[Mapping[str, Settings]] = {
    "pc-1": replace(_ALIKE, models=("all-minilm", "llama3.2")),
    "pc-2": replace(_ALIKE, models=("qwen3:8b", "llama3.2")),
    "pc-3": replace(_ALIKE, models=("llama3.2-vision", "deepseek-r1:14b")),
}
# One has memory for a single model and is asked for several, one is too small for its larger model.
BUSY: Final[Mapping[str, Settings]] = {
    "pc-1": replace(IDLE["pc-1"], pull_seconds=36.0),
    "pc-2": replace(IDLE["pc-2"], pull_seconds=25.0, models=("mistral", *IDLE["pc-2"].models), max_loaded=1),
    "pc-3": replace(IDLE["pc-3"], pull_seconds=45.0, vram_bytes=8_000_000_000),
}
_GOES_AWAY: Final = "pc-3"
_STAYS, _IS_AWAY = 45.0, 15.0  # seconds
_NEWER, _PULLS_IT = "llama3.2", "pc-2"  # a model of which one server gets a newer version


class Scene:
    """Simulated servers on sockets of their own; `addresses` says where, by name."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.addresses: dict[str, Address] = {}
        self._stack = stack
        self._sockets: dict[str, AsyncExitStack] = {}
        self._ollamas: dict[str, SimulatedOllama] = {}

    async def add(self, name: str, settings: Settings) -> None:
        """Start one more server."""
        self._ollamas[name] = SimulatedOllama(settings)
        self._sockets[name] = await self._stack.enter_async_context(AsyncExitStack())
        served = await self._sockets[name].enter_async_context(serving(self._ollamas[name], LOCAL))
        self.addresses[name] = served.address

    async def keep_busy(self, proxy: Address) -> None:
        """Keep the servers at work by way of a proxy, until this is cancelled."""
        for ollama in self._ollamas.values():
            ollama.publish(_NEWER, 1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_asking(proxy), name="clients")
            tasks.create_task(pull_on(proxy, _PULLS_IT, _NEWER), name="a newer model")
            tasks.create_task(self._come_and_go(_GOES_AWAY), name="a server that comes and goes")

    async def _come_and_go(self, name: str) -> None:
        """Have a server go away and come back, again and again."""
        while True:
            await asyncio.sleep(_STAYS)
            await self._sockets[name].aclose()
            await asyncio.sleep(_IS_AWAY)
            with suppress(NotListening):  # somebody has taken its port: it stays away for one more round
                served = serving(self._ollamas[name], self.addresses[name])
                await self._sockets[name].enter_async_context(served)


@asynccontextmanager
async def scene(servers: Mapping[str, Settings]) -> AsyncIterator[Scene]:
    """Run simulated servers until the block ends."""
    async with AsyncExitStack() as stack:
        running = Scene(stack)
        for name, settings in servers.items():
            await running.add(name, settings)
        yield running
