"""Changes that no client asks for now: what a server has missed, and pulls of what it is to have.

Owns how each is written. Nobody is asked whether they are allowed: a client was, or the operator says so.
"""

import msgspec

from gollamas.api.manage import Change, route_of
from gollamas.events import JobKind
from gollamas.fleet.owed import Debt


def owed_change(debt: Debt) -> Change:
    """Give what a server has missed as a change of it alone."""
    return _change(debt.kind, debt.server_id, debt.key, debt.name, debt.body)


def pull_of(server_id: str, key: str, name: str) -> Change:
    """Give the pull of a model on one server."""
    body = msgspec.json.encode({"model": name, "stream": True})
    return _change(JobKind.PULL, server_id, key, name, body)


def _change(kind: JobKind, server_id: str, key: str, name: str, body: bytes) -> Change:
    route = route_of(kind)
    return Change(
        kind=kind,
        method=route.methods[0],
        path=route.path,
        name=name,
        model=name,
        key=key,
        servers=(server_id,),
        body=body,
    )
