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
from gollamas.api.inference import MiddlewareRefused, PassthroughRefused
from gollamas.api.routes import Kind, Route
from gollamas.errors import NotYetSupported, ProxyError
from gollamas.events import Crashed, End, RequestEnded
from gollamas.net.downstream import ClientConnection
from gollamas.net.exchange import Exchange, Fleet, Snapshot
from gollamas.wire.message import Answer, Head, Request

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"
_STATUS: Final = b'{"cloud":{"disabled":true,"source":"config"}}'


class _Crash(ProxyError):
    """A defect of ours met this request."""


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
        self._id_prefix = secrets.token_hex(8)  # with the number 24 digits, as in Anthropic's ids
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

    async def serve(self, request: Request, client: ClientConnection) -> None:
        """Answer one request, whatever happens to it."""
        head = request.head
        fleet = self._fleet
        started = client.now()
        request_id = self._id_of(head) if b"x-request-id" in head.names else self._new_id()
        route = routes.find(head.path)
        event = RequestEnded(
            request_id=request_id,
            client=request.client,
            method=head.method.decode(),
            route=route.path if route is not None else "other",
        )
        event.bytes_in = len(request.body)
        lines = id_line = b"X-Request-Id: %b\r\n" % request_id.encode()
        try:
            verdict = self._gate.judge(head)
            if verdict.lines:
                lines += verdict.lines
            if (
                verdict.status is None
                and route is not None
                and route.is_routed
                and head.method in route.allowed
            ):
                exchange = Exchange(fleet, self._snapshot, client, event)
                await exchange.run(request, route, id_line, lines, started)
            else:
                await self._answer_own(client, head, route, verdict, event, lines)
        except ProxyError as error:
            self._answer_error(client, route, error, event, lines)
        except asyncio.CancelledError:
            if event.status is None:
                event.end = End.CLIENT_LEFT
            raise
        except Exception as error:  # noqa: BLE001 - one request's defect must not end the connection's siblings
            fleet.emit(Crashed("a request", error))
            if event.status is None and client.source is None:
                self._answer_error(
                    client, route, _Crash("internal error: see the log of gollamas"), event, lines
                )
            else:
                client.reset()
        finally:
            event.total_s = client.now() - started
            fleet.emit(event)

    def _id_of(self, head: Head) -> str:
        """The client's own id of a request where it can stand in a log, else a new one."""
        given = head.names.get(b"x-request-id")
        return given.decode() if given and _REQUEST_ID.fullmatch(given) else self._new_id()

    def _new_id(self) -> str:
        return f"{self._id_prefix}{next(self._ids):08x}"

    # -- answers of our own --------------------------------------------------------------------------

    async def _answer_own(
        self,
        client: ClientConnection,
        head: Head,
        route: Route | None,
        verdict: Verdict,
        event: RequestEnded,
        lines: bytes,
    ) -> None:
        """Answer what no server is asked for one model: the gate's verdict, a wrong path, a listing."""
        if verdict.status is not None:
            allow = [(b"Allow", route.allow)] if route is not None and head.method == b"OPTIONS" else []
            answer = Answer(verdict.status, allow)
        elif route is None or head.method not in route.allowed:
            answer = _no_route(head, route)
        else:
            answer = await self._own(route)
        self._answer(client, answer, event, lines)

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

    def _answer(self, client: ClientConnection, answer: Answer, event: RequestEnded, lines: bytes) -> None:
        body = answer.body if isinstance(answer.body, bytes) else b""
        event.status = answer.status
        event.bytes_out = len(body)
        if answer.status >= 400:
            event.end = End.REFUSED
        client.answer(answer.status, answer.fields, body, lines)

    def _answer_error(
        self,
        client: ClientConnection,
        route: Route | None,
        error: ProxyError,
        event: RequestEnded,
        lines: bytes,
    ) -> None:
        """Answer with an error of ours in the dialect of the route."""
        dialect = route.dialect if route is not None else Dialect.NATIVE
        if isinstance(error, PassthroughRefused):
            dialect = Dialect.NATIVE
        fields, body = dialects.error(
            dialect,
            error.status,
            error.text,
            event.request_id,
            from_handler=not isinstance(error, MiddlewareRefused),
        )
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % error.retry_after))
        if event.server is not None:
            target = self._snapshot.targets.get(event.server)
            lines += target.line if target is not None else b""
        self._answer(client, Answer(error.status, fields, body), event, lines)


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
