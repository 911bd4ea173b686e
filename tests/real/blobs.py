"""Blobs for real servers: new ones, where they are, and their upload.

One that no model uses stays in a server's store until that is started again: they are small.
"""

import hashlib
import time

from tests.real.fleet import Place
from tests.real.front import Front
from tests.recorded import Reply, parse_reply


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def new_bytes(count: int = 0) -> bytes:
    """Give what no server has yet."""
    return f"Made at {time.time_ns()}.".encode() + bytes(count)


def has(place: Place, digest: str) -> bool:
    """Whether a blob is there."""
    reply = place.ask("HEAD", f"/api/blobs/{digest}")
    assert reply.status in (200, 404), reply
    return reply.status == 200


def on_servers(front: Front, digest: str) -> list[bool]:
    return [has(server, digest) for server in front.servers.values()]


def upload(place: Place, content: bytes, digest: str = "") -> Reply:
    """Send a blob with its length."""
    path = f"/api/blobs/{digest or digest_of(content)}"
    return parse_reply(place.raw("POST", path, content, "application/octet-stream"), is_head=False)
