"""What a request waits for: a connection to be made, a name to be looked up.

Owns the waiting alone. What is decided before and after it stands in `exchange`, which is compiled;
coroutines are not, since a compiled one passes exceptions on in a way that Python has deprecated.
"""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gollamas.errors import ServerRefused
from gollamas.fleet.admit import Lease
from gollamas.proxy.turn import Target

if TYPE_CHECKING:
    from gollamas.proxy.exchange import Exchange

Step = Coroutine[Any, Any, "Step | None"]  # what waits, and names what waits next


async def steps(exchange: "Exchange", step: Step) -> None:
    """Take one step after another, each of which may name the next; ends before the answer does."""
    try:
        following: Step | None = step
        while following is not None:
            following = await following
    except asyncio.CancelledError:
        if not exchange.cancelled():
            raise
    except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
        exchange.failed(error)


async def look_up(exchange: "Exchange", key: str) -> Step | None:
    """Ask the servers once for a name that nobody knew."""
    return exchange.looked_up(is_known=await exchange.fleet.look_up(key))


async def dial(exchange: "Exchange", lease: Lease, target: Target) -> Step | None:
    """Make a connection for an attempt."""
    try:
        connection = await exchange.fleet.pool.dial(target.server)
    except ServerRefused as why:
        return exchange.refused(lease, why.text)
    exchange.connected(connection, target)
    return None
