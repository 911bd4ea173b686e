"""Connections to servers, made: names, addresses, TLS.

Owns dialling; the words for what goes wrong with it are in `reasons`. Who keeps a connection is its home's
business.
"""

import asyncio
import socket
import ssl
from typing import Final, cast

import aiohappyeyeballs

from gollamas.config.model import Server
from gollamas.errors import ServerRefused, TooManyOpenFiles
from gollamas.net.upstream import Home, ServerConnection
from gollamas.system import reasons, shortage, sockets
from gollamas.system.limits import TimeLimit, TimeLimits

_TURNS_TO_CLOSE: Final = 3  # of the loop, until the descriptor of an aborted connection is free
_STAGGER_SECONDS: Final = 0.25  # RFC 8305, section 5


class Dialler:
    """Makes connections, each within `connect_timeout` seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._limits = TimeLimits(connect_timeout)
        self._contexts: dict[tuple[str | None, bool], ssl.SSLContext] = {}

    async def dial(self, server: Server, home: Home) -> ServerConnection:
        """Make a fresh connection; raises ServerRefused, in words for people, within the connect time-out.

        Raises ResourcesExhausted where it failed for lack of something on our side.
        """
        try:
            with TimeLimit(self._limits):
                connection = await self._connect_or_make_room(server, home)
        except TimeoutError as why:
            raise ServerRefused(f"not connected within {self._connect_timeout:g} s") from why
        except (OSError, UnicodeError) as why:  # the second is for a name that no look-up could have
            raise ServerRefused(reasons.not_connected(why, server)) from why
        if not connection.is_closed:
            home.made(connection)
        return connection

    async def _connect_or_make_room(self, server: Server, home: Home) -> ServerConnection:
        """Connect; where no descriptor is left, idle connections give theirs."""
        try:
            return await self._connect_or_name_shortage(server, home)
        except TooManyOpenFiles:
            if not home.close_all_idle():
                raise
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
        return await self._connect_or_name_shortage(server, home)

    async def _connect_or_name_shortage(self, server: Server, home: Home) -> ServerConnection:
        try:
            return await self._connect(server, home)
        except OSError as why:
            lack = await shortage.behind(why, server.host, server.port)
            if lack is None:
                raise
            raise lack from why

    async def _connect(self, server: Server, home: Home) -> ServerConnection:
        """Connect to the one address that is written, or to the first of a name's that answers."""
        loop = asyncio.get_running_loop()
        context = self._context(server)

        def connection() -> ServerConnection:
            return ServerConnection(home)

        name = server.host if context else None
        if sockets.is_address(server.host):
            # HOT: uvloop connects by itself, in two fifths of the time of a look-up and a socket of ours.
            transport, made = await loop.create_connection(
                connection, server.host, server.port, ssl=context, server_hostname=name
            )
        else:
            sock = await _connected(server, loop)
            try:
                transport, made = await loop.create_connection(
                    connection, sock=sock, ssl=context, server_hostname=name
                )
            except BaseException:
                sock.close()
                raise
        if not transport.is_closing():  # else its number may be another's by now
            try:
                sockets.watch_for_silence(cast("socket.socket", transport.get_extra_info("socket")).fileno())
            except OSError:
                transport.abort()
                raise
        return made

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


async def _connected(server: Server, loop: asyncio.AbstractEventLoop) -> socket.socket:
    """Look a name up and connect to whichever of its addresses answers first (RFC 8305)."""
    addresses = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_STAGGER_SECONDS, interleave=1, loop=loop
    )
