"""The admin port: metrics, health, state, variants, changes by hand. Served by net/downstream as all else is.

Owns its pages, the methods of each and their answers; what metrics, state and variants are is in `observe`.
Whether we are ready, whose Host is ours and who may change something is asked.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gollamas.admin.files import page_files
from gollamas.admin.permission import Permission
from gollamas.errors import BadRequest, ProxyError
from gollamas.net.downstream import ClientConnection
from gollamas.observe.by_hand import ByHand, Wanted, by_hand_page, wanted
from gollamas.observe.variants import Pruned, VariantState, pruned_page, variants_page
from gollamas.responder import Responder
from gollamas.wire.message import Answer, Fields, Request

WhyNotHost = Callable[[bytes | None], str | None]
Respond = Callable[[Request], Awaitable[Answer]]
ByWish = Callable[[Wanted], Awaitable[ByHand]]

_JSON: Final = (b"Content-Type", b"application/json; charset=utf-8")
_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_FRESH: Final = (b"Cache-Control", b"no-store")
_EVENTS: Final = b"/events"
MAX_BODY_BYTES: Final = 16 * 1024
_PULL: Final = b"/pull"
_READING: Final = (b"GET", b"HEAD")  # whoever reaches the port may; all else changes something


class Reads(NamedTuple):
    """What the pages are made of that only show something."""

    metrics: Callable[[str], tuple[str, Iterator[bytes]]]  # by an Accept field: content type, page in parts
    state: Callable[[], Iterator[bytes]]  # the page in parts
    ready: Callable[[], str | None]  # None while requests can be served, else one sentence that says why not
    variants: Callable[[], Sequence[VariantState]]
    events: Callable[[], AsyncIterator[bytes] | None]  # what changes, as it does; None where too many watch


class Changes(NamedTuple):
    """What the pages do that change something."""

    prune: Callable[[], Awaitable[Pruned]]
    load: ByWish
    unload: ByWish
    pull: ByWish
    delete: ByWish


class Admin:
    """Answers requests of operators and their tools, behind a `Responder`.

    In: what can be read and what can be changed; `why_not_host` gives None for a Host that is ours, else one
    sentence; `permission` says who may change something.
    """

    def __init__(
        self, reads: Reads, changes: Changes, why_not_host: WhyNotHost, permission: Permission
    ) -> None:
        self._reads = reads
        self._changes = changes
        self._why_not_host = why_not_host
        self._permission = permission
        self._files = {path: _read_by(file.respond) for path, file in page_files().items()}
        self._pages: Mapping[bytes, Mapping[bytes, Respond]] = {
            b"/metrics": _read_by(self._metrics),
            b"/healthz": _read_by(self._health),
            b"/readyz": _read_by(self._readiness),
            b"/state": _read_by(self._state),
            _EVENTS: _read_by(self._events),
            b"/variants": _read_by(self._variants),
            b"/variants/prune": {b"POST": self._prune},
            b"/load": _done_by(changes.load),
            b"/unload": _done_by(changes.unload),
            _PULL: _done_by(changes.pull),
            b"/delete": _done_by(changes.delete),
        }

    async def respond(self, request: Request) -> Answer:
        """Answer one request; for HEAD the body is what GET would bring, and the connection leaves it out."""
        head = request.head
        reason = self._why_not_host(head.host)
        if reason is not None:
            return _error(403, reason)
        page = self._pages.get(head.path) or self._files.get(head.path)
        if page is None:
            return _error(404, f"no such page here; there are /, {_listed(self._pages)}")
        respond = page.get(head.method)
        if respond is None:
            methods = _listed(page)
            return _error(
                405, f"this page knows no other method than {methods}", (b"Allow", methods.encode())
            )
        reason = None if head.method in _READING else self._permission.why_not(head)
        return await respond(request) if reason is None else _error(403, reason)

    async def _metrics(self, request: Request) -> Answer:
        """Tell all metrics."""
        accept = (request.head.get(b"accept") or b"").decode("latin-1")
        content_type, parts = self._reads.metrics(accept)
        return Answer(200, [(b"Content-Type", content_type.encode())], await _joined(parts))

    async def _state(self, request: Request) -> Answer:
        """Tell how servers are, and what is being answered."""
        del request
        return Answer(200, [_JSON, _FRESH], await _joined(self._reads.state()))

    async def _events(self, request: Request) -> Answer:
        """Tell the same, and what changes of it for as long as somebody reads."""
        del request
        events = self._reads.events()
        if events is None:
            text = "as many watch /events as may at once: close another page, or ask /state"
            return _error(503, text, _FRESH, (b"Retry-After", b"5"))
        return Answer(200, [(b"Content-Type", b"text/event-stream"), _FRESH], events)

    async def _variants(self, request: Request) -> Answer:
        """Tell which variants there are."""
        del request
        return Answer(200, [_JSON, _FRESH], variants_page(self._reads.variants()))

    async def _prune(self, request: Request) -> Answer:
        """Remove the variants that no policy needs; what failed is in the answer, too."""
        del request
        return Answer(200, [_JSON, _FRESH], pruned_page(await self._changes.prune()))

    async def _health(self, request: Request) -> Answer:
        """Say that the process answers; whether it is of use is `/readyz`."""
        del request
        return Answer(200, [_TEXT, _FRESH], b"ok\n")

    async def _readiness(self, request: Request) -> Answer:
        del request
        why_not = self._reads.ready()
        return Answer(200, [_TEXT, _FRESH], b"ok\n") if why_not is None else _error(503, why_not, _FRESH)


class Operators(Responder):
    """Answers requests as the admin port does: whoever leaves watches no more, and ends a pull."""

    async def answer(self, client: ClientConnection, request: Request) -> None:
        """Answer one request."""
        path = request.head.path
        client.fin_means_left = path in (_PULL, _EVENTS)
        if client.has_ended and path == _PULL:  # it came before this began
            raise asyncio.CancelledError
        await super().answer(client, request)


def refuse(error: ProxyError) -> Answer:
    """Say why a request was not read to its end."""
    retry = () if error.retry_after is None else ((b"Retry-After", b"%d" % error.retry_after),)
    return _error(error.status, error.text, *retry)


def _done_by(do: ByWish) -> Mapping[bytes, Respond]:
    """Do what is asked for; a failure of all servers is one of the request."""

    async def respond(request: Request) -> Answer:
        try:
            asked = wanted(request.body)
        except ValueError as why:
            raise BadRequest(str(why)) from why
        done = await do(asked)
        return Answer(done.status, [_JSON, _FRESH], by_hand_page(done))

    return {b"POST": respond}


async def _joined(parts: Iterator[bytes]) -> bytes:
    """Make a page of its parts; what clients wait for goes on between two of them."""
    page = []
    for part in parts:
        page.append(part)
        await asyncio.sleep(0)
    return b"".join(page)


def _read_by(respond: Respond) -> Mapping[bytes, Respond]:
    return dict.fromkeys(_READING, respond)


def _listed(words: Iterable[bytes]) -> str:
    return ", ".join(word.decode() for word in words)


def _error(status: int, text: str, *fields: tuple[bytes, bytes]) -> Answer:
    all_fields: Fields = [_JSON, *fields]
    return Answer(status, all_fields, msgspec.json.encode({"error": text}))
