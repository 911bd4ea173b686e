"""Connections to servers, kept for the next request.

Owns dialling and what is idle: last in, first out, at most 32 a server for 60 s, gone as soon as the server
closes one. Knows nothing of what is sent over them.
"""

import asyncio
import socket
import ssl
from collections import defaultdict
from typing import Final

import aiohappyeyeballs

from gollamas.config.model import Server
from gollamas.errors import ServerRefused
from gollamas.net.rounds import Round
from gollamas.net.upstream import ServerConnection

MAX_IDLE: Final = 32
IDLE_SECONDS: Final = 60.0
# A host that vanishes without a word is found within 30 s.
_KEEPALIVE: Final = (
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 30_000),
)
_STAGGER_SECONDS: Final = 0.25  # RFC 8305, section 5


class Pool:
    """The connections to all servers. `connect_timeout` is seconds; what they read goes to `round_`."""

    def __init__(self, connect_timeout: float, round_: Round, max_idle: int = MAX_IDLE) -> None:
        self.round = round_
        self._connect_timeout = connect_timeout
        self._max_idle = max_idle
        self._idle: defaultdict[str, list[ServerConnection]] = defaultdict(list)
        self._contexts: dict[tuple[str | None, bool], ssl.SSLContext] = {}
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

    async def dial(self, server: Server) -> ServerConnection:
        """Make a fresh connection; raises ServerRefused, in words for people, within the connect time-out."""
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._connect(server)
        except TimeoutError as why:
            raise ServerRefused(f"not connected within {self._connect_timeout:g} s") from why
        except ssl.SSLError as why:
            raise ServerRefused(f"TLS failed: {_tls_reason(why)}") from why
        except socket.gaierror as why:
            raise ServerRefused(f"its name {server.host} is not known") from why
        except OSError as why:
            raise ServerRefused(_reason(why)) from why
        self.open.add(connection)
        return connection

    async def _connect(self, server: Server) -> ServerConnection:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_STAGGER_SECONDS, interleave=1, loop=loop
        )
        try:
            _watch_for_silence(sock)
            context = self._context(server)
            _, connection = await loop.create_connection(
                lambda: ServerConnection(server.id, self),
                sock=sock,
                ssl=context,
                server_hostname=server.host if context else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    def _context(self, server: Server) -> ssl.SSLContext | None:
        if server.scheme != "https":
            return None
        key = (server.ca_file, server.verify)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = ssl.create_default_context(cafile=server.ca_file)
            if not server.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        return context

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

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self.open):
            connection.abort()


def _watch_for_silence(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)  # macOS and Windows have some of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _tls_reason(why: ssl.SSLError) -> str:
    return why.verify_message if isinstance(why, ssl.SSLCertVerificationError) else why.reason or str(why)


def _reason(why: OSError) -> str:
    if isinstance(why, ConnectionRefusedError):
        return "connection refused"
    return (why.strerror or str(why) or type(why).__name__).lower()
