"""What a request waits for: a connection, a look-up, a load, a variant.

Owns the one loop that waits. What is next says `fleet/attempts`; who acts on it is compiled, which coroutines
are not: a compiled one passes exceptions on in a way that Python has deprecated.
"""

import asyncio
from typing import Protocol

from gollamas.errors import ProxyError, ServerRefused
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import AwaitList, Load, LookUp, MakeVariant, Step, Try
from gollamas.fleet.loading import Waiter
from gollamas.net.upstream import ServerConnection
from gollamas.proxy.turn import Context, Snapshot


class Waits(Protocol):
    """A request that waits; each call but the last names what it waits for next, None once it does not."""

    @property
    def context(self) -> Context:
        """Who looks a name up, and who knows what servers have."""

    @property
    def snapshot(self) -> Snapshot:
        """What makes connections."""

    def listed(self) -> Step | None:
        """Go on now that the server has said what it has, or takes too long to."""

    @property
    def waiter(self) -> Waiter | None:
        """What waits for the load that the last step asked for."""

    def loaded(self) -> Step | None:
        """Go on now that the load has ended."""

    def variant_made(self, error: ProxyError | None) -> Step | None:
        """Go on now that a variant is there, or the server has refused to make it."""

    def act(self, step: Step) -> Step | None:
        """Take a step that needs no wait."""

    def looked_up(self, *, is_known: bool) -> Step | None:
        """Go on now that the servers were asked for the name."""

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
                    step = await _dialled(request, lease)
                case LookUp(key=key):
                    step = request.looked_up(is_known=await request.context.look_up(key))
                case AwaitList(lease=lease):
                    await request.context.await_list(lease.server)
                    step = request.listed()
                case MakeVariant(lease=lease, num_ctx=num_ctx):
                    step = request.variant_made(await request.context.make_variant(lease, num_ctx))
                case Load():
                    await ended(request.waiter)
                    step = request.loaded()
                case _:
                    step = request.act(step)
    except asyncio.CancelledError:
        if not request.cancelled():
            raise
    except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
        request.fail(error)


async def _dialled(request: Waits, lease: Lease) -> Step | None:
    """Make a connection, and send the request over it."""
    try:
        connection = await request.snapshot.connections[lease.server].dial()
    except ServerRefused as why:
        return request.refused(why.text)
    request.connected(connection)
    return None


async def ended(waiter: Waiter | None) -> None:
    """Wait for a load. It is not this task's: whoever leaves ends their own waiting only."""
    if waiter is None or waiter.has_ended:
        return
    rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring() -> None:
        if not rung.done():
            rung.set_result(None)

    waiter.ring = ring
    await rung
