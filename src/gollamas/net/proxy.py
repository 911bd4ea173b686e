"""The service of the main port: what is asked, by whom, and who answers it.

Owns the order of the checks of a request and the answers of our own. A request that is routed by its model
goes to `exchange`; every request, however it ends, becomes one event.
"""

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gollamas.api import dialects, listing, routes
from gollamas.api.dialects import Dialect
from gollamas.api.gate import Gate, Verdict
from gollamas.api.routes import Kind, Route
from gollamas.errors import NotYetSupported, ProxyError
from gollamas.events import End, RequestEnded
from gollamas.net.contracts import Later
from gollamas.net.downstream import ClientConnection
from gollamas.net.exchange import Exchange
from gollamas.net.turn import Fleet, Snapshot, Turn
from gollamas.wire.message import Answer, Head

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"
_STATUS: Final = b'{"cloud":{"disabled":true,"source":"config"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Listings:
    """What makes a listing fresh before it is answered."""

    tags: Callable[[], Awaitable[None]]
    ps: Callable[[], Awaitable[None]]
    version: Callable[[], Awaitable[None]]


class Proxy:
    """Serves clients by one snapshot at a time; `apply` takes another for the requests to come."""

    def __init__(self, fleet: Fleet, snapshot: Snapshot, gate: Gate, listings: Listings) -> None:
        self._fleet = fleet
        self._listings = listings
        self._ids = itertools.count(1)
        self._id_prefix = secrets.token_hex(6)  # with the number 24 digits, as in Anthropic's ids
        self.apply(snapshot, gate)

    def apply(self, snapshot: Snapshot, gate: Gate) -> None:
        """Serve by another configuration from now on; requests keep the one they began with."""
        self._snapshot = snapshot
        self._gate = gate

    # -- what a client's connection calls ------------------------------------------------------------

    def on_head(self, head: Head) -> int:
        """Let every body in up to `max_body`; what is not served yet may be longer and is not read."""
        limit = self._snapshot.config.max_body
        if head.length > limit or head.is_chunked:
            route = routes.find(head.path)
            if route is not None and route.kind is Kind.LATER and head.method in route.allowed:
                raise _not_yet(route)
        return limit

    def refusal(self, error: ProxyError, head: Head | None, client: ClientConnection) -> Answer:
        """Answer a request that could not be read, and let the log know."""
        route = routes.find(head.path) if head is not None else None
        event = RequestEnded(
            request_id=self._id_of(head) if head is not None else self._new_id(),
            client=client.address,
            method=head.method.decode() if head is not None else "-",
            route=route.path if route is not None else "other",
            status=error.status,
            end=End.REFUSED,
        )
        self._fleet.emit(event)
        dialect = route.dialect if route is not None else Dialect.NATIVE
        fields, body = dialects.error(dialect, error.status, error.text, event.request_id)
        fields.append((b"X-Request-Id", event.request_id.encode()))
        if error.status == 405:
            fields.append((b"Allow", route.allow if route is not None else _METHODS))
        if head is not None:
            # A page may read why only where the gate lets its origin.
            lines = self._gate.judge(head).lines.split(b"\r\n")
            fields += [(name, value) for name, _, value in (line.partition(b": ") for line in lines) if name]
        return Answer(error.status, fields, body)

    def serve(self, client: ClientConnection, head: Head, body: bytes) -> Later | None:
        """Answer one request, whatever happens to it."""
        request_id = self._id_of(head) if b"x-request-id" in head.names else self._new_id()
        route = routes.BY_PATH.get(head.path) or routes.find(head.path)
        verdict = self._gate.judge(head)
        if verdict.status is None and route is not None and route.is_routed and head.method in route.allowed:
            exchange = Exchange(self._fleet, self._snapshot, client, head, route, request_id)
            if verdict.lines:
                exchange.lines += verdict.lines
            return exchange.begin(body)
        turn = Turn(self._fleet, self._snapshot, client, head, route, request_id)
        turn.lines += verdict.lines
        turn.event.bytes_in = len(body)
        return self._answer_own(turn, verdict)

    def _id_of(self, head: Head) -> str:
        """The client's own id of a request where it can stand in a log, else a new one."""
        given = head.names.get(b"x-request-id")
        return given.decode() if given and _REQUEST_ID.fullmatch(given) else self._new_id()

    def _new_id(self) -> str:
        return self._id_prefix + next(self._ids).to_bytes(6, "big").hex()

    # -- answers of our own --------------------------------------------------------------------------

    async def _answer_own(self, turn: Turn[Route | None], verdict: Verdict) -> None:
        """Answer what no server is asked for one model: the gate's verdict, a wrong path, a listing."""
        head, route = turn.head, turn.route
        try:
            if verdict.status is not None:
                allow = [(b"Allow", route.allow)] if route is not None and head.method == b"OPTIONS" else []
                answer = Answer(verdict.status, allow)
            elif route is None or head.method not in route.allowed:
                answer = _no_route(head, route)
            else:
                answer = await self._own(route)
            turn.answer(answer)
        except asyncio.CancelledError:
            turn.left()
            raise
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            turn.fail(error)
        finally:
            turn.end()

    async def _own(self, route: Route) -> Answer:
        """Answer what no single server is asked for."""
        config = self._snapshot.config
        view = self._fleet.view
        match route.kind:
            case Kind.ROOT:
                return Answer(200, [dialects.TEXT], b"Ollama is running")
            case Kind.STATUS:
                return Answer(200, [dialects.JSON], _STATUS)
            case Kind.TAGS:
                await self._listings.tags()
                return listing.tags(config, view)
            case Kind.MODELS:
                await self._listings.tags()
                return listing.openai_models(config, view)
            case Kind.PS:
                await self._listings.ps()
                return listing.ps(config, view)
            case Kind.VERSION:
                await self._listings.version()
                return listing.version(view)
            case _:
                raise _not_yet(route)


def _not_yet(route: Route) -> NotYetSupported:
    return NotYetSupported(f"gollamas does not serve {route.path} yet: send it to an Ollama server directly")


def _no_route(head: Head, route: Route | None) -> Answer:
    """What Ollama answers where it has no such route, or the route not this method."""
    if route is not None:
        return Answer(405, [(b"Allow", route.allow), dialects.TEXT_PLAIN], b"405 method not allowed")
    other = routes.redirect(head.path, head.method, head.query)
    if other is None:
        return Answer(404, [dialects.TEXT_PLAIN], b"404 page not found")
    fields = [(b"Location", other.location)]
    if head.method not in (b"GET", b"HEAD"):
        return Answer(other.status, fields)
    text = "Moved Permanently" if other.status == 301 else "Temporary Redirect"
    target = other.location.decode("latin-1").replace("&", "&amp;")
    return Answer(
        other.status,
        [(b"Content-Type", b"text/html; charset=utf-8"), *fields],
        f'<a href="{target}">{text}</a>.\n\n'.encode(),
    )
