"""A service whose answers are values: for the admin port and the simulated server.

Owns nothing but the way from a request to `ClientConnection.send`.
"""

from collections.abc import Awaitable, Callable

from gollamas.errors import ProxyError
from gollamas.net.downstream import ClientConnection
from gollamas.wire.message import Answer, Head, Request


class Responder:
    """A service whose answers are values: `respond` makes one of each request, errors look like `refuse`."""

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Answer]],
        refuse: Callable[[ProxyError], Answer],
        max_body: int,
    ) -> None:
        self._respond = respond
        self._refuse = refuse
        self._max_body = max_body

    def on_head(self, head: Head) -> int:  # noqa: ARG002 - every route has one limit
        """Let every body in up to `max_body` bytes."""
        return self._max_body

    async def serve(self, request: Request, client: ClientConnection) -> None:
        """Send what `respond` answers."""
        try:
            answer = await self._respond(request)
        except ProxyError as error:
            answer = self._refuse(error)
        await client.send(answer)

    def refusal(self, error: ProxyError, head: Head | None, client: ClientConnection) -> Answer:  # noqa: ARG002
        """Say why a request was not read to its end."""
        return self._refuse(error)
