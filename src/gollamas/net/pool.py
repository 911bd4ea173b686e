"""Connections to servers, kept for the next request.

Owns what is idle: last in, first out, for 60 s, gone as soon as the server closes one. So what is kept for
a server follows the most requests that it had at once in the last minute, without a count: a connection
that was not needed for a minute is one more than that. Knows nothing of what is sent over them.
"""

from collections.abc import Coroutine
from typing import Any, Final

from gollamas.config.model import Server
from gollamas.net.dialling import Dialler
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection

IDLE_SECONDS: Final = 60.0


class Kept:
    """The connections to one server, as configured: where they come from and go back to."""

    __slots__ = ("_idle", "_is_forgotten", "_pool", "_server", "round")

    def __init__(self, pool: "Pool", server: Server) -> None:
        self._pool = pool
        self._server = server
        self._idle: list[ServerConnection] = []
        self._is_forgotten = False
        self.round = pool.round

    def dial(self) -> Coroutine[Any, Any, ServerConnection]:
        """Make a fresh connection; as `Dialler.dial`."""
        return self._pool.dialler.dial(self._server, self)

    def take(self) -> ServerConnection | None:
        """An idle connection, or None."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.is_closed:
                return connection
        return None

    def give(self, connection: ServerConnection) -> None:
        """Keep a connection whose answer is whole, unless its server is configured no more."""
        if self._is_forgotten:
            connection.abort()
            return
        connection.idle_since = None  # until the next look at the clock
        self._idle.append(connection)

    def made(self, connection: ServerConnection) -> None:
        """Count a connection in."""
        self._pool.open.add(connection)

    def lost(self, connection: ServerConnection) -> None:
        """Forget a connection that is gone; one that was idle is passed over until the next sweep."""
        self._pool.open.discard(connection)

    def check(self, now: float) -> None:
        """Close what has been idle for too long."""
        if self._idle:
            self._idle[:] = [connection for connection in self._idle if _is_kept(connection, now)]

    def close_idle(self) -> bool:
        """Close the idle connections; whether there was one."""
        found = bool(self._idle)
        while self._idle:
            self._idle.pop().abort()
        return found

    def forget(self) -> None:
        """Keep no connection from now on: requests that began with the old configuration may go on."""
        self._is_forgotten = True
        self.close_idle()

    def close_all_idle(self) -> bool:
        """Close the idle connections to all servers of the pool; whether there was one."""
        return self._pool.close_all_idle()


class Pool:
    """The connections to all servers. `connect_timeout` is seconds; what they read goes to `round_`.

    They are told apart by all that is configured of a server: under the same id at another address it is
    another one, and no connection to the old one is taken for it.
    """

    def __init__(self, connect_timeout: float, round_: Round) -> None:
        self.round = round_
        self.dialler = Dialler(connect_timeout)
        self._kept: dict[Server, Kept] = {}
        self.open: set[ServerConnection] = set()

    def of(self, server: Server) -> Kept:
        """The connections to a server."""
        kept = self._kept.get(server)
        if kept is None:
            kept = self._kept[server] = Kept(self, server)
        return kept

    def check(self, now: float) -> None:
        """Close what has been idle for too long."""
        for kept in self._kept.values():
            kept.check(now)

    def forget(self, server: Server) -> None:
        """Keep no connection to a server that is configured no more."""
        kept = self._kept.pop(server, None)
        if kept is not None:
            kept.forget()

    def close_all_idle(self) -> bool:
        """Close the idle connections to all servers; whether there was one."""
        found = False
        for kept in self._kept.values():
            found = kept.close_idle() or found
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
