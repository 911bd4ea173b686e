"""What `/events` tells, and how a page would apply it."""

from typing import Any

Told = dict[str, Any]


def applied(state: Told, change: Told) -> Told:
    """Give the state that a change leads to, as docs/state.md says."""
    change = dict(change)
    servers = {one["id"]: one for one in change.pop("servers", ())}
    ended = change.pop("ended", [])
    return {
        **state,
        **change,
        "servers": [{**one, **servers.get(one["id"], {})} for one in state["servers"]],
        "ended": [*state["ended"], *ended][-100:],
    }
