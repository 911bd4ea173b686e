"""Somebody who watches `/events`: reads the answer's chunks and the events in them, and keeps the state.

Knows nothing of what it should be told.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.sockets.proxying import Running
from tests.sockets.raw import Client, get
from tests.told import Told, applied


class Watch:
    """One who watches. `state` is what was told so far, `kinds` are the events that came."""

    def __init__(self, client: Client, head: bytes) -> None:
        self.client = client
        self.head = head
        self.state: Told = {}
        self.kinds: list[str] = []
        self._text = b""

    async def block(self) -> bytes:
        """Read what stands before the next empty line; raises IncompleteReadError at the end."""
        while b"\n\n" not in self._text:
            reader = self.client.reader
            size = int(await reader.readuntil(b"\r\n"), 16)
            data = await reader.readexactly(size + 2)
            if not size:
                raise asyncio.IncompleteReadError(b"", None)
            self._text += data[:-2]
        block, _, self._text = self._text.partition(b"\n\n")
        return block

    async def next(self) -> Told:
        """Read the next event and take it in; give what it says."""
        while True:
            block = await self.block()
            kind, _, data = block.partition(b"\ndata: ")
            if data:
                break
        assert b"\n" not in data
        told: Told = json.loads(data)
        self.kinds.append(kind.decode().removeprefix("event: "))
        self.state = told if self.kinds[-1] == "state" else applied(self.state, told)
        return told

    async def until(self, holds: Callable[[Told], object]) -> Told:
        """Read until the state is so; give it."""
        while not self.state or not holds(self.state):
            await self.next()
        return self.state

    async def ends(self) -> bool:
        """Read to the end; whether it comes by itself."""
        while True:
            try:
                await self.block()
            except (asyncio.IncompleteReadError, ConnectionError):
                return True


async def ask_admin(proxy: Running, data: bytes) -> Client:
    """Send a request to the second port."""
    assert proxy.app.admin_address is not None
    client = await Client.connect(proxy.app.admin_address.port)
    proxy.clients.append(client)
    await client.send(data)
    return client


async def watching(proxy: Running) -> Watch:
    """Begin to watch; the first event is not read yet."""
    client = await ask_admin(proxy, get("/events"))
    head = await client.reader.readuntil(b"\r\n\r\n")
    return Watch(client, head)


@asynccontextmanager
async def watched(proxy: Running) -> AsyncIterator[Watch]:
    """Watch, and have read the state."""
    watch = await watching(proxy)
    try:
        await watch.next()
        yield watch
    finally:
        watch.client.writer.transport.abort()
