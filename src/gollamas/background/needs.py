"""What a create needs on its servers: the model that it is made from, and the files.

Owns the questions, which are asked before anything is changed.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from gollamas import names
from gollamas.api.manage import Change
from gollamas.background.prober import Asker
from gollamas.errors import BadRequest, Forbidden, ModelNotFound, ProxyError
from gollamas.fleet.load_requests import blob_path, is_well
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View

_AT_ONCE: Final = 16  # blobs that servers are asked for
_TIMEOUT: Final = 30.0  # seconds


async def check(change: Change, servers: Sequence[ServerView], view: View, ask: Asker) -> None:
    """Raise ProxyError for what one of the servers lacks, by the lists that they gave last."""
    key = change.source_key
    is_routed = change.source_is_configured or bool(key and view.offered_on(key))
    for server in servers if key and not names.is_cloud(key) else ():
        if (is_routed and key in server.installed) or server.id in change.source_servers:
            continue
        if change.source_refusal:
            raise Forbidden(change.source_refusal)
        raise ModelNotFound(f"model '{change.source_name}' not found on server {server.id}")
    places = [(server, digest) for server in servers for digest in change.blobs]
    for at in range(0, len(places), _AT_ONCE):  # clients may name any number of files
        some = places[at : at + _AT_ONCE]
        found = await asyncio.gather(*(_why_no_blob(server, digest, ask) for server, digest in some))
        for (server, digest), why in zip(some, found, strict=True):
            if why:
                raise BadRequest(f"blob {digest} is not on server {server.id}: {why}")


async def _why_no_blob(server: ServerView, digest: str, ask: Asker) -> str:
    """Ask whether a blob is there; nothing where it is."""
    try:
        reply = await ask(server.server, "HEAD", blob_path(digest), timeout=_TIMEOUT)
    except ProxyError as error:
        return error.text
    if is_well(reply):
        return ""
    return "upload it first" if reply.status == 404 else f"it answered {reply.status}"
