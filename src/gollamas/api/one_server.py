"""The one server that a client limits its request to.

Owns the field by which a client says so, and how it may be written. That the server is one of those that the
request could reach is for who finds those (`fleet/routing`, `api/listing`). Pure.
"""

from typing import Final

from gollamas.config.faults import on_one_line
from gollamas.config.model import Config
from gollamas.errors import BadRequest
from gollamas.wire.message import Head

_FIELD: Final = b"x-gollamas-server"
_NAME: Final = "X-Gollamas-Server"
_LONGEST: Final = 64  # characters of an id that nobody configured


def asked_server(head: Head, config: Config) -> str | None:
    """Give the id of the server that a request is limited to; None where it is not limited.

    Raises BadRequest for a field that names no server, more than one, or one that is not configured.
    """
    written = None if head.is_plain else head.names.get(_FIELD)
    if written is None:
        return None
    text = written.strip(b" \t").decode(errors="replace")
    if text in config.servers:
        return text
    if not text:
        raise BadRequest(f"{_NAME} is empty: it takes the id of one server")
    if "," in text:
        raise BadRequest(f"{_NAME} is there more than once, or names several servers: it takes the id of one")
    shown = on_one_line(text[: _LONGEST + 1])
    if len(shown) > _LONGEST:
        shown = shown[:_LONGEST] + "…"
    raise BadRequest(f"no server '{shown}' is configured ({_NAME})")
