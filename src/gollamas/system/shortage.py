"""Whether a connection failed for lack of something on our own side.

Owns which errors of the system mean that, and the words for them. Such an error says nothing of the server
that was to be reached.
"""

import asyncio
import errno
import os
import re
import socket
from typing import Final

from gollamas.errors import ResourcesExhausted, TooManyOpenFiles

_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_MEMORY: Final = frozenset({errno.ENOBUFS, errno.ENOMEM})
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


async def behind(error: OSError, host: str, port: int) -> ResourcesExhausted | None:
    """The shortage of ours behind an error of dialling; None where it is the server's or the network's."""
    codes = _codes(error)
    if codes & _FILES or (isinstance(error, socket.gaierror) and _has_no_descriptor()):
        return TooManyOpenFiles(
            "gollamas has no file descriptor left for a connection to a server: raise the limit of open "
            "files (ulimit -n, LimitNOFILE=)"
        )
    if codes & _MEMORY or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_MEMORY):
        return ResourcesExhausted("this machine has no memory left for a connection to a server")
    if codes == {errno.EADDRNOTAVAIL} and await _has_source(host, port):
        return ResourcesExhausted(
            "this machine has no free port left for a connection to a server: widen "
            "net.ipv4.ip_local_port_range"
        )
    return None


def _codes(error: OSError) -> set[int]:
    """Every error's number, of one address or of several."""
    if isinstance(error, socket.gaierror):
        return set()
    if error.errno is not None:
        return {error.errno}
    return {int(code) for code in _ERRNO.findall(str(error))}  # aiohappyeyeballs joins the texts of several


def _has_no_descriptor() -> bool:
    """Whether none is left: a resolver that could open nothing says only that it doesn't know the name."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as why:
        return why.errno in _FILES
    return False


async def _has_source(host: str, port: int) -> bool:
    """Whether this machine has an address to reach the server from: without one, too, none is available.

    To connect for UDP sends nothing, but looks for an address as TCP does.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as sock:
                sock.connect(place)
        except OSError:
            continue
        return True
    return False
