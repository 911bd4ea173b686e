"""A proxy on a machine with two ports to connect from; run in a network of its own, as its root.

Prints what a client was answered, and what was said of the server.
"""

import asyncio
import fcntl
import json
import socket
import struct
from pathlib import Path

from gollamas.config.model import Address
from gollamas.events import ServerWentDown, ServerWentUp
from tests.sockets.proxying import a_config, running, runs
from tests.sockets.raw import RawServer, get, post

_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x41


def begin() -> None:
    """Bring the loopback up, with two ports."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")


@runs
async def main() -> None:
    """Probes take both ports to the server, so that none is left for a request."""
    async with RawServer(port=11434) as server:
        config = a_config([server], listen=Address(host="127.0.0.1", port=11500), probe_interval=0.05)
        async with running(config) as proxy:
            await proxy.events.up(server)
            while len(server.probes) < 10:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
            got = await proxy.ask(post("/api/chat", b'{"model":"llama3.2"}'))
            again = await proxy.ask(get("/"))
            said = {
                "status": got.status,
                "error": json.loads(got.body)["error"],
                "retry_after": (got.get(b"retry-after") or b"").decode(),
                "hits": server.hits,
                "own": again.status,
                "up": len(proxy.events.of(ServerWentUp)),
                "down": len(proxy.events.of(ServerWentDown)),
            }
            print(json.dumps(said))  # noqa: T201 - for the test that runs it


if __name__ == "__main__":
    begin()
    main()
