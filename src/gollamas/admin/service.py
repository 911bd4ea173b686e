"""The second port: metrics, health and state. Served by net/downstream like everything else.

Owns its paths and their answers; what metrics and state are is in `observe`, whether we are ready and whose
Host is ours is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

import msgspec

from gollamas.errors import ProxyError
from gollamas.wire.message import Answer, Fields, Request

Page = Callable[[str], tuple[str, Iterator[bytes]]]
State = Callable[[], Iterator[bytes]]
Ready = Callable[[], str | None]
WhyNotHost = Callable[[bytes | None], str | None]

_JSON: Final = (b"Content-Type", b"application/json; charset=utf-8")
_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_FRESH: Final = (b"Cache-Control", b"no-store")
MAX_BODY_BYTES: Final = 16 * 1024  # nothing here reads a body, but its sender is to read the answer
_ALLOW: Final = (b"Allow", b"GET, HEAD")


class Admin:
    """Answers requests of operators and their tools, behind a `Responder`.

    In: `metrics` gives the content type that an Accept field asks for and the page in parts; `state` gives
    its page in parts; `ready` gives None while requests can be served, else one sentence that says why not;
    `why_not_host` does so of a Host.
    """

    def __init__(self, metrics: Page, state: State, ready: Ready, why_not_host: WhyNotHost) -> None:
        self._page = metrics
        self._parts_of_state = state
        self._ready = ready
        self._why_not_host = why_not_host
        self._pages: Mapping[bytes, Callable[[Request], Awaitable[Answer]]] = {
            b"/metrics": self._metrics,
            b"/healthz": self._health,
            b"/readyz": self._readiness,
            b"/state": self._state,
        }

    async def respond(self, request: Request) -> Answer:
        """Answer one request; for HEAD the body is what GET would bring, and the connection leaves it out."""
        reason = self._why_not_host(request.head.host)
        if reason is not None:
            return _error(403, reason)
        page = self._pages.get(request.head.path)
        if page is None:
            return _error(404, f"no such page here; there are {_names(self._pages)}")
        if request.head.method not in (b"GET", b"HEAD"):
            return _error(405, "only GET and HEAD mean something here", _ALLOW)
        return await page(request)

    async def _metrics(self, request: Request) -> Answer:
        """Tell all metrics."""
        accept = (request.head.get(b"accept") or b"").decode("latin-1")
        content_type, parts = self._page(accept)
        return Answer(200, [(b"Content-Type", content_type.encode())], await _joined(parts))

    async def _state(self, request: Request) -> Answer:
        """Tell how servers are, and what is being answered."""
        del request
        return Answer(200, [_JSON, _FRESH], await _joined(self._parts_of_state()))

    async def _health(self, request: Request) -> Answer:
        """Say that the process answers; whether it is of use is `/readyz`."""
        del request
        return Answer(200, [_TEXT, _FRESH], b"ok\n")

    async def _readiness(self, request: Request) -> Answer:
        del request
        why_not = self._ready()
        return Answer(200, [_TEXT, _FRESH], b"ok\n") if why_not is None else _error(503, why_not, _FRESH)


def refuse(error: ProxyError) -> Answer:
    """Say why a request was not read to its end."""
    retry = () if error.retry_after is None else ((b"Retry-After", b"%d" % error.retry_after),)
    return _error(error.status, error.text, *retry)


async def _joined(parts: Iterator[bytes]) -> bytes:
    """Make a page of its parts; what clients wait for goes on between two of them."""
    page = []
    for part in parts:
        page.append(part)
        await asyncio.sleep(0)
    return b"".join(page)


def _names(pages: Mapping[bytes, object]) -> str:
    return ", ".join(path.decode() for path in pages)


def _error(status: int, text: str, *fields: tuple[bytes, bytes]) -> Answer:
    all_fields: Fields = [_JSON, *fields]
    return Answer(status, all_fields, msgspec.json.encode({"error": text}))
