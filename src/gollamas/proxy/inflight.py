"""The requests that are being answered, found by a walk over their clients when somebody asks.

Owns which of them count: whole ones whose answer is not out to its end. A request itself costs nothing more.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gollamas.net.downstream import ClientConnection
from gollamas.observe.state import OpenRequest
from gollamas.proxy.exchange import Exchange
from gollamas.proxy.turn import Turn


def open_requests(clients: Iterable[ClientConnection], clock: Callable[[], float]) -> Iterator[OpenRequest]:
    """Give each, the oldest first; one that ends while others are given is left out."""
    busy = sorted((one for one in clients if one.is_busy), key=lambda client: client.complete_at)
    for client in busy:
        turn = client.turn
        if client.is_busy and isinstance(turn, Turn):
            yield OpenRequest(turn.event, _server_of(turn), clock() - client.complete_at)


def _server_of(turn: Turn[Any]) -> str | None:
    """Name the server that a request is with: one that it waits for a connection to, too."""
    attempts = turn.attempts if isinstance(turn, Exchange) else None
    if attempts is not None and attempts.lease is not None:
        return attempts.lease.server
    return turn.event.server
