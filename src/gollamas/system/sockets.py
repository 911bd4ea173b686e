"""What asyncio does not say of a connection, or do to it: the kernel is asked.

Owns the differences between the systems.
"""

import asyncio
import contextlib
import select
import socket
import struct
import sys
from typing import Any, Final

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds
_HAS_POLL: Final = hasattr(select, "poll")  # Windows has none
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
_SO_NWRITE: Final = 0x1024  # of macOS, sys/socket.h


def unsent_bytes(transport: asyncio.Transport) -> int:
    """How much of what was written the other side has not taken, as far as this system tells.

    A client that reads slowly takes bytes for minutes before the kernel asks for more of them.
    """
    return transport.get_write_buffer_size() + _queued(transport.get_extra_info("socket"))


def was_reset(transport: asyncio.Transport) -> bool:
    """Whether the other side has reset a connection of which nothing is read any more."""
    if not _HAS_POLL:
        return False
    sock = transport.get_extra_info("socket")
    look = select.poll()
    try:
        look.register(sock.fileno(), 0)  # errors are told unasked, the end of one side is not
        return bool(look.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side sees a failure (RST)."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

    def _queued(sock: Any) -> int:
        """The bytes that wait in the kernel, or on the way (tcp(7), SIOCOUTQ)."""
        try:
            return int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
        except (AttributeError, OSError):
            return 0
else:

    def _queued(sock: Any) -> int:
        """The bytes that wait in the kernel, where it tells."""
        if sys.platform != "darwin":
            return 0
        try:
            queued: int = sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
        except (AttributeError, OSError):
            return 0
        return queued


def is_address(host: str) -> bool:
    """Whether a host is written as an address, so that there is no name to look up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


def bear_stalls(transport: asyncio.Transport) -> None:
    """Have the kernel wait for as long as the other side takes nothing of what it is sent.

    TCP_USER_TIMEOUT bounds that too, though the other side answers each question whether it has room.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)


def watch_for_silence(number: int) -> None:
    """Have the kernel find out when the other side of an open socket has vanished."""
    # HOT: a transport of uvloop makes a socket object for each option that is set through it.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, number)
    try:
        for level, option, value in _KEEPALIVE:
            sock.setsockopt(level, option, value)
    finally:
        sock.detach()
