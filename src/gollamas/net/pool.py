"""Connections to servers, kept for the next request.

Owns what is idle: last in, first out, at most 32 a server for 60 s, gone as soon as the server closes one.
Knows nothing of what is sent over them.
"""

from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Final

from gollamas.config.model import Server
from gollamas.net.dialling import Dialler
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection

MAX_IDLE: Final = 32
IDLE_SECONDS: Final = 60.0


class Pool:
    """The connections to all servers. `connect_timeout` is seconds; what they read goes to `round_`."""

    def __init__(self, connect_timeout: float, round_: Round, max_idle: int = MAX_IDLE) -> None:
        self.round = round_
        self._dialler = Dialler(connect_timeout)
        self._max_idle = max_idle
        self._idle: defaultdict[str, list[ServerConnection]] = defaultdict(list)
        self.open: set[ServerConnection] = set()

    def take(self, server_id: str) -> ServerConnection | None:
        """An idle connection of this server, or None."""
        idle = self._idle[server_id]
        while idle:
            connection = idle.pop()
            if not connection.is_closed:
                return connection
        return None

    def give(self, connection: ServerConnection) -> None:
        """Keep a connection whose answer is whole."""
        idle = self._idle[connection.server_id]
        if len(idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = None  # until the next look at the clock
        idle.append(connection)

    def dial(self, server: Server) -> Coroutine[Any, Any, ServerConnection]:
        """Make a fresh connection; as `Dialler.dial`."""
        return self._dialler.dial(server, self)

    def made(self, connection: ServerConnection) -> None:
        """Count a connection in."""
        self.open.add(connection)

    def lost(self, connection: ServerConnection) -> None:
        """Forget a connection that is gone."""
        self.open.discard(connection)
        idle = self._idle.get(connection.server_id)
        if idle and connection in idle:
            idle.remove(connection)

    def check(self, now: float) -> None:
        """Close what has been idle for too long."""
        for idle in self._idle.values():
            for connection in tuple(idle):
                if connection.idle_since is None:
                    connection.idle_since = now
                elif now - connection.idle_since > IDLE_SECONDS:
                    idle.remove(connection)
                    connection.abort()

    def close_idle(self, server_id: str | None = None) -> None:
        """Close the idle connections of one server, or of all."""
        for known, idle in self._idle.items():
            if server_id in (None, known):
                while idle:
                    idle.pop().abort()

    def close_all_idle(self) -> bool:
        """Close the idle connections of all servers; whether there was one."""
        found = any(self._idle.values())
        self.close_idle()
        return found

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self.open):
            connection.abort()
