"""Connections to servers, kept for the next request.

Owns what is idle: last in, first out, for 60 s, gone as soon as the server closes one. So what is kept for
a server follows the most requests that it had at once in the last minute, without a count: a connection
that was not needed for a minute is one more than that. Knows nothing of what is sent over them.
"""

from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, Final

from gollamas.config.model import Server
from gollamas.net.dialling import Dialler
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection

IDLE_SECONDS: Final = 60.0


class Pool:
    """The connections to all servers. `connect_timeout` is seconds; what they read goes to `round_`."""

    def __init__(self, connect_timeout: float, round_: Round) -> None:
        self.round = round_
        self._dialler = Dialler(connect_timeout)
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
        connection.idle_since = None  # until the next look at the clock
        self._idle[connection.server_id].append(connection)

    def dial(self, server: Server) -> Coroutine[Any, Any, ServerConnection]:
        """Make a fresh connection; as `Dialler.dial`."""
        return self._dialler.dial(server, self)

    def made(self, connection: ServerConnection) -> None:
        """Count a connection in."""
        self.open.add(connection)

    def lost(self, connection: ServerConnection) -> None:
        """Forget a connection that is gone; one that was idle is passed over until the next sweep."""
        self.open.discard(connection)

    def check(self, now: float) -> None:
        """Close what has been idle for too long."""
        for idle in self._idle.values():
            if idle:
                idle[:] = [connection for connection in idle if _is_kept(connection, now)]

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


def _is_kept(connection: ServerConnection, now: float) -> bool:
    """Whether an idle connection stays; one that has been idle for too long is closed."""
    if connection.is_closed:
        return False
    if connection.idle_since is None:
        connection.idle_since = now
    elif now - connection.idle_since > IDLE_SECONDS:
        connection.abort()
        return False
    return True
