"""Listening sockets.

Owns binding: all addresses of a name, IPv4 and IPv6. Who accepts is the caller's business.
"""

import errno
import socket
import sys
from typing import Final

from gollamas.config.model import Address

BACKLOG: Final = 2048  # clients that have connected and wait to be accepted


class NotListening(Exception):
    """An `address` can't be listened on; the text says why, `is_taken` whether somebody else does."""

    def __init__(self, text: str, address: Address, *, is_taken: bool = False) -> None:
        super().__init__(text)
        self.address = address
        self.is_taken = is_taken


def bind(address: Address) -> list[socket.socket]:
    """Sockets on every address that `address` stands for, all on one port. Raises NotListening.

    An address family that this machine lacks is passed over while another one is there.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as why:
        raise NotListening(f"{address}: {why.strerror or why}", address) from why
    port = address.port
    problem: OSError | None = None
    for family, _, _, _, place in dict.fromkeys(found):
        try:
            sock = _bind_one(family, (place[0], port, *place[2:]), is_v6_only=address.host != "::")
        except OSError as why:
            problem = problem or why
            if why.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            break
        sockets.append(sock)
        port = sock.getsockname()[1]
    else:
        if sockets:
            return sockets
    for sock in sockets:
        sock.close()
    assert problem is not None  # noqa: S101 - no socket and no error can't be
    if problem.errno == errno.EADDRINUSE:
        raise NotListening(f"{address} is taken by another program", address, is_taken=True) from problem
    raise NotListening(f"{address}: {(problem.strerror or str(problem)).lower()}", address) from problem


def _bind_one(family: int, place: tuple[object, ...], *, is_v6_only: bool) -> socket.socket:
    """Bind and listen. An explicit `[::]` takes IPv4 too, as in Go; other addresses stand for themselves."""
    # asyncio sets TCP_NODELAY on what it accepts only where the protocol is named.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_v6_only)
        sock.bind(place)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def is_loopback(sockets: list[socket.socket]) -> bool:
    """Whether only this machine can connect."""
    hosts = [sock.getsockname()[0] for sock in sockets]
    return all(host == "::1" or host.startswith("127.") for host in hosts)


def is_own_address(address: str) -> bool:
    """Whether this machine has the address: binding to it is the one question that needs no list."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError:
        return False
    return True
