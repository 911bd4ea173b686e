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
from gollamas.net import reasons, shortage
from gollamas.net.upstream import Home, ServerConnection

# A host that vanishes without a word is found within 30 s. macOS and Windows have some of these.
_PROBES: Final = (
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 30_000),
)
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _PROBES if hasattr(socket, name)),
)
_TURNS_TO_CLOSE: Final = 3  # of the loop, until the descriptor of an aborted connection is free
_STAGGER_SECONDS: Final = 0.25  # RFC 8305, section 5


class Dialler:
    """Makes connections, each within `connect_timeout` seconds."""

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._limits = _Limits(connect_timeout)
        self._contexts: dict[tuple[str | None, bool], ssl.SSLContext] = {}

    async def dial(self, server: Server, home: Home) -> ServerConnection:
        """Make a fresh connection; raises ServerRefused, in words for people, within the connect time-out.

        Raises ResourcesExhausted where it failed for lack of something on our side.
        """
        try:
            with _Limit(self._limits):
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
        if _is_address(server.host):
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
                _watch_for_silence(cast("socket.socket", transport.get_extra_info("socket")).fileno())
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


class _Limits:
    """Cancels tasks that take longer than `seconds`, by one timer of the loop for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[_Limit, float] = {}  # and when it is over, the next one first
        self._is_set = False

    def begin(self, limit: "_Limit") -> None:
        """Begin to wait."""
        loop = limit.task.get_loop()
        self._open[limit] = loop.time() + self._seconds
        if not self._is_set:
            self._is_set = True
            loop.call_later(self._seconds, self._ring, loop)

    def end(self, limit: "_Limit") -> bool:
        """Wait no longer; whether the limit was still open."""
        return self._open.pop(limit, None) is not None

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit, end in tuple(self._open.items()):
            if end > now:
                loop.call_at(end, self._ring, loop)
                return
            del self._open[limit]
            limit.task.cancel()
        self._is_set = False


class _Limit:
    """What is done in this context ends in TimeoutError when its limit is over.

    HOT: as `asyncio.timeout`, whose own timer is an eighth of what it costs to connect.
    """

    __slots__ = ("_cancelling", "_limits", "task")

    def __init__(self, limits: _Limits) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - what awaits runs in one
        self.task = task
        self._cancelling = task.cancelling()
        self._limits = limits

    def __enter__(self) -> None:
        self._limits.begin(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._limits.end(self):
            return
        is_ours = self.task.uncancel() <= self._cancelling  # else somebody else cancelled it, too
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError


def _is_address(host: str) -> bool:
    """Whether a host is written as an address, so that there is no name to look up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


async def _connected(server: Server, loop: asyncio.AbstractEventLoop) -> socket.socket:
    """Look a name up and connect to whichever of its addresses answers first (RFC 8305)."""
    addresses = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_STAGGER_SECONDS, interleave=1, loop=loop
    )


def _watch_for_silence(number: int) -> None:
    """Have the kernel find out when the other side of an open socket has vanished."""
    # HOT: a transport of uvloop makes a socket object for each option that is set through it.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, number)
    try:
        for level, option, value in _KEEPALIVE:
            sock.setsockopt(level, option, value)
    finally:
        sock.detach()
