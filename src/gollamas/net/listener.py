"""A listener's clients, and the sweep over the clocks of all that is open.

Owns accepting and draining. What is served is the service's, who may be connected the crowd's.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from gollamas.config.model import Config
from gollamas.net.contracts import Later, Service
from gollamas.net.crowd import Crowd
from gollamas.net.downstream import ClientConnection
from gollamas.net.rounds import Round
from gollamas.system import defects
from gollamas.system.listening import BACKLOG
from gollamas.system.supervisor import Supervisor
from gollamas.wire.head import HeadLimits

MAX_HEAD_BYTES_HELD = 64 * 1024 * 1024  # of all heads that are not whole; a plain variable: tests set it
_FLUSH_SECONDS: Final = 1.0  # for the last words of streams that are cut


class Clients:
    """All connections of one listener, and what they share."""

    __slots__ = (
        "_gone", "_head_bytes", "_heads", "clock", "crowd", "head_limits", "is_draining", "limits", "live",
        "round", "service", "spawn",
    )  # fmt: skip

    def __init__(
        self,
        service: Service[ClientConnection],
        limits: Config,
        spawn: Callable[[Later, str], asyncio.Task[None]],
        clock: Callable[[], float],
        round_: Round,
        crowd: Crowd,
    ) -> None:
        self.service = service
        self.limits = limits
        self.head_limits = HeadLimits(limits.max_head, limits.max_fields)
        self.spawn = spawn
        self.clock = clock
        self.round = round_
        self.crowd = crowd
        self.live = crowd.live
        self.is_draining = False
        self._gone: asyncio.Future[None] | None = None
        self._heads: dict[ClientConnection, int] = {}  # bytes of those that are not whole, the oldest first
        self._head_bytes = 0

    def check(self, now: float) -> None:
        """Look at every connection's clocks."""
        for client in tuple(self.live):
            try:
                client.check(now)
            except Exception as defect:  # noqa: BLE001 - the others have clocks too
                client.abort()
                defects.tell("looking at a client's clocks", defect)
        self.crowd.check(now)

    def made(self, client: ClientConnection) -> None:
        """Count a connection in."""
        self.crowd.add(client, self.clock())

    def lost(self, client: ClientConnection) -> None:
        """Forget a connection."""
        self.crowd.remove(client)
        if not self.live and self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def hold_head(self, client: ClientConnection, size: int) -> None:
        """Note how many bytes are held of a head that is not whole; where all are too many, the oldest go."""
        self._head_bytes += size - self._heads.get(client, 0)
        if size:
            self._heads[client] = size
        else:
            self._heads.pop(client, None)
        while self._head_bytes > MAX_HEAD_BYTES_HELD:
            next(iter(self._heads)).give_up_head()

    @property
    def busy(self) -> int:
        """How many requests are being answered."""
        return sum(client.is_busy for client in self.live)

    def drain(self) -> None:
        """No further request: idle connections end now, busy ones behind their answer."""
        self.is_draining = True
        for client in tuple(self.live):
            client.drain()

    async def all_gone(self) -> None:
        """Wait until no connection is left."""
        if self.live:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone

    def cut(self) -> int:
        """End every answer with an error where its framing has room for one; say how many there were."""
        left = tuple(self.live)
        for client in left:
            client.shut_down()
        return len(left)

    def abort(self) -> None:
        """End every connection now."""
        for client in tuple(self.live):
            client.abort()


class Listener:
    """Accepts clients on bound sockets and serves them until it is closed.

    What they read goes to `round_`, which they share with the connections that answer them; `crowd` says who
    may be connected.
    """

    def __init__(
        self,
        service: Service[ClientConnection],
        limits: Config,
        tasks: Supervisor,
        clock: Callable[[], float],
        round_: Round | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        crowd = crowd or Crowd()
        crowd.pause, crowd.resume = self._pause, self._resume
        self._tasks = tasks
        self.clients = Clients(
            service,
            limits,
            lambda coro, name: tasks.create_task(coro, name=name),
            clock,
            round_ or Round(),
            crowd,
        )
        self._sockets: list[socket.socket] = []  # who connects while nobody accepts waits in their backlog
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets from now on."""
        self._sockets = sockets
        await self._accept()

    async def _accept(self) -> None:
        """Accept until `_pause`, on descriptors that can be closed while the sockets go on listening."""
        loop = asyncio.get_running_loop()
        clients = self.clients
        for sock in self._sockets:
            server = await loop.create_server(
                lambda: ClientConnection(clients), sock=sock.dup(), backlog=BACKLOG
            )
            self._servers.append(server)
        if clients.is_draining or clients.crowd.is_paused:  # since this began
            self._pause()

    def _pause(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _resume(self) -> None:
        if not self.clients.is_draining:
            self._tasks.create_task(self._accept(), name="listener")

    def stop_accepting(self) -> None:
        """Take no new connection; idle ones end now, busy ones behind their answer."""
        self._pause()
        for sock in self._sockets:
            sock.close()
        self.clients.drain()

    async def wait_closed(self, grace: float) -> int:
        """Wait until no client is left, at most `grace` seconds; then cut the rest and say how many."""
        clients = self.clients
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(clients.all_gone(), grace)
        left = clients.cut()
        if left:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(clients.all_gone(), _FLUSH_SECONDS)
            clients.abort()
        return left
