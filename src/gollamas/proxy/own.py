"""Answers of our own: the gate's verdicts, wrong paths, listings.

Owns what is answered where no single server is asked for one model. A listing waits until what is known is
fresh, so each answer is a coroutine; that is why it stays Python where `proxy` is compiled.
"""

import asyncio
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gollamas.api import dialects, listing, redirects
from gollamas.api.gate import Verdict
from gollamas.api.one_server import asked_server
from gollamas.api.routes import CHANGING, Kind, Route
from gollamas.config.model import Config
from gollamas.fleet.view import View
from gollamas.proxy.manage import JobAnswers
from gollamas.proxy.turn import Turn
from gollamas.proxy.upload import Uploads
from gollamas.responder import Stream
from gollamas.wire.message import Answer, Body, Head

_STATUS: Final = b'{"cloud":{"disabled":true,"source":"config"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Listings:
    """What makes a listing fresh before it is answered."""

    tags: Callable[[], Awaitable[None]]
    ps: Callable[[], Awaitable[None]]
    version: Callable[[], Awaitable[None]]


class Own:
    """Answers from the view, by the configuration that a request began with."""

    def __init__(self, view: View, listings: Listings, changes: JobAnswers, uploads: Uploads) -> None:
        self._view = view
        self._listings = listings
        self._changes = changes
        self.uploads = uploads

    async def answer(self, turn: Turn[Route | None], verdict: Verdict, body: Body) -> None:
        """Answer what no server is asked for one model: the gate's verdict, a wrong path, a listing."""
        route = turn.route
        try:
            refused = not_served(turn, verdict)
            if refused is not None:
                answer, turn.event.error = refused
            else:
                assert route is not None  # noqa: S101 - without one nothing is served
                config = turn.snapshot.config
                only = asked_server(turn.head, config)
                if route.kind is Kind.BLOB:
                    answer = await self.uploads.has(turn)
                elif route.kind in CHANGING:
                    answer = await self._changes.answer(turn, route, body, only)
                else:
                    answer = await self._of_route(route, config, only)
            await _send(turn, answer)
        except asyncio.CancelledError:
            turn.note_client_left()
            raise
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            turn.answer_error(error)
        finally:
            turn.conclude()

    async def _of_route(self, route: Route, config: Config, only: str | None) -> Answer:
        """Answer what is known of all servers, or `only` of the one that the request is limited to."""
        view = self._view
        match route.kind:
            case Kind.ROOT:
                return Answer(200, [dialects.TEXT], b"Ollama is running")
            case Kind.STATUS:
                return Answer(200, [dialects.JSON], _STATUS)
            case Kind.TAGS:
                await self._fresh(self._listings.tags)
                return listing.tags(config, view, only)
            case Kind.MODELS:
                await self._fresh(self._listings.tags)
                return listing.openai_models(config, view, only)
            case Kind.PS:
                await self._fresh(self._listings.ps)
                return listing.ps(config, view, only)
            case _:  # Kind.VERSION: every other one is served elsewhere
                await self._listings.version()
                return listing.version(view, only)

    async def _fresh(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look anew at what a list is made of; where nothing could be seen yet, the log says why."""
        await look()
        self._view.explain_empty()


async def _send(turn: Turn[Route | None], answer: Answer) -> None:
    """Send an answer, whole or in the pieces that its iterator gives."""
    writer = turn.answer(answer)
    if not isinstance(answer.body, bytes):
        try:
            await Stream(turn.client, writer, answer.body).run()
        finally:
            turn.event.bytes_out = writer.bytes_out


def not_served(turn: Turn[Route | None], verdict: Verdict) -> tuple[Answer, str | None] | None:
    """Answer who may not ask, and what is not there; None where the route serves this request.

    Beside the answer stands why it is an error, for the log; None where it is none.
    """
    head, route = turn.head, turn.route
    if verdict.status is not None:
        allow = [(b"Allow", route.allow)] if route is not None and head.method == b"OPTIONS" else []
        return Answer(verdict.status, allow), verdict.reason
    if route is None or head.method not in route.allowed:
        answer = _no_route(head, route, turn.snapshot.by_path)
        return answer, _why_not(route) if answer.status >= 400 else None
    return None


def _why_not(route: Route | None) -> str:
    """What the log says where Ollama's words to the client say less."""
    if route is None:
        return "page not found: Ollama's API has no such path"
    return f"method not allowed: {route.path} takes {route.allow.decode()}"


def _no_route(head: Head, route: Route | None, by_path: dict[bytes, Route]) -> Answer:
    """What Ollama answers where it has no such route, or the route not this method."""
    if route is not None:
        return Answer(405, [(b"Allow", route.allow), dialects.TEXT_PLAIN], b"405 method not allowed")
    other = redirects.redirect(head.path, head.method, head.query, by_path)
    if other is None:
        return Answer(404, [dialects.TEXT_PLAIN], b"404 page not found")
    fields = [(b"Location", other.location)]
    if head.method not in (b"GET", b"HEAD"):
        return Answer(other.status, fields)
    text = "Moved Permanently" if other.status == 301 else "Temporary Redirect"
    target = html.escape(other.location.decode())
    return Answer(
        other.status,
        [(b"Content-Type", b"text/html; charset=utf-8"), *fields],
        f'<a href="{target}">{text}</a>.\n\n'.encode(),
    )
