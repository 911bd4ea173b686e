"""A service whose answers are values: for the admin port and the simulated server.

Owns nothing but the way from a request to `ClientConnection.send`.
"""

from collections.abc import Awaitable, Callable

from gollamas.errors import ProxyError
from gollamas.net.contracts import Later
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

    def serve(self, client: ClientConnection, head: Head, body: bytes) -> Later:
        """Send what `respond` answers."""
        return self._serve(client, Request(head, body, client.address))

    async def _serve(self, client: ClientConnection, request: Request) -> None:
        try:
            await self.answer(client, request)
        finally:
            client.finished()

    async def answer(self, client: ClientConnection, request: Request) -> None:
        """Answer one request; whoever serves other answers than values overrides this."""
        try:
            answer = await self._respond(request)
        except ProxyError as error:
            answer = self._refuse(error)
        await client.send(answer)

    def refusal(self, error: ProxyError, head: Head | None, client: ClientConnection) -> Answer:  # noqa: ARG002
        """Say why a request was not read to its end."""
        return self._refuse(error)
