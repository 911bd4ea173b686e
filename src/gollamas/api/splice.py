"""What a policy puts into a native body: `keep_alive`, `truncate`, and `num_ctx` inside `options`.

Owns when something goes in: a default where the client's is absent or null, a force always, and nothing where
Ollama refuses what the client sent, for it to say so itself. All else stays byte for byte. Pure.
"""

from typing import Final

import msgspec

from gollamas.api.routes import Route
from gollamas.fleet.policy import Fill
from gollamas.wire import body as bodies
from gollamas.wire.body import Members

_NULL = b"null"
_FALSE: Final = msgspec.Raw(b"false")


def spliced(members: Members, route: Route, fill: Fill) -> Members:
    """The members with what a policy fills in; the same ones where nothing is to be changed."""
    keep_alive = fill.keep_alive
    if keep_alive is not None and route.takes_keep_alive:
        key = bodies.find(members, "keep_alive")
        if key is None or fill.forces_keep_alive or bytes(members[key]) == _NULL:
            members = {**members, key or "keep_alive": keep_alive}
    if fill.refuses_overflow and route.takes_shift:
        members = {**members, bodies.find(members, "truncate") or "truncate": _FALSE}
    if fill.options is not None and route.takes_options:
        key = bodies.find(members, "options")
        options = fill.options if key is None else _with_num_ctx(members[key], fill)
        if options is not None:
            members = {**members, key or "options": options}
    return members


def _with_num_ctx(options: msgspec.Raw, fill: Fill) -> msgspec.Raw | None:
    """The `options` with the policy's `num_ctx`; None where they stay as they are."""
    raw = bytes(options)
    if raw == _NULL:
        return fill.options
    if raw[:1] != b"{" or fill.num_ctx is None:
        return None
    found = bodies.members_within(raw)
    # Ollama minds the case of these names, other than that of members (api/types.go, FromMap).
    said = found.get("num_ctx")
    if said is not None and not fill.forces_num_ctx and bytes(said) != _NULL:
        return None
    found["num_ctx"] = fill.num_ctx
    return msgspec.Raw(bodies.encode(found))
