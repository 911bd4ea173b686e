"""What a request waits for: a connection to be made, a name to be looked up.

Owns the one loop that waits. What is next says `fleet/attempts`; who acts on it is compiled, which coroutines
are not: a compiled one passes exceptions on in a way that Python has deprecated.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from gollamas.errors import ServerRefused
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import LookUp, Step, Try
from gollamas.net.upstream import ServerConnection


class Waits(Protocol):
    """A request that waits; each call but the last names what it waits for next, None once it does not."""

    def dial(self, lease: Lease) -> Awaitable[ServerConnection]:
        """Make a connection to the server of a lease. Raises ServerRefused."""

    def look_up(self, key: str) -> Awaitable[bool]:
        """Ask the servers for a name; whether one has it."""

    def act(self, step: Step) -> Step | None:
        """Take a step that needs no wait."""

    def looked_up(self, *, is_known: bool) -> Step | None:
        """Go on after `look_up`."""

    def refused(self, why: str) -> Step | None:
        """Go on without a connection."""

    def connected(self, connection: ServerConnection) -> None:
        """Send the request: what follows comes in callbacks."""

    def fail(self, error: Exception) -> None:
        """End with an answer of ours."""

    def cancelled(self) -> bool:
        """End, since the client left or the grace period is over; whether it was answered."""


async def attend(request: Waits, step: Step | None) -> None:
    """Take one step after another until the request waits no more."""
    try:
        while step is not None:
            match step:
                case Try(lease=lease):
                    try:
                        connection = await request.dial(lease)
                    except ServerRefused as why:
                        step = request.refused(why.text)
                    else:
                        request.connected(connection)
                        return
                case LookUp(key=key):
                    step = request.looked_up(is_known=await request.look_up(key))
                case _:
                    step = request.act(step)
    except asyncio.CancelledError:
        if not request.cancelled():
            raise
    except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
        request.fail(error)
