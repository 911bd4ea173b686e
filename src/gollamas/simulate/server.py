"""The simulated server: from a request to an answer, with faults on demand.

Owns the table of routes, the record of what was asked and the faults. It serves no socket: a listener
of `net` gives it requests and sends its answers.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gollamas.simulate import account, answers, anthropic, front, listing, manage, native, openai, responses
from gollamas.simulate.blobs import Blob, blob_of
from gollamas.simulate.clock import Clock, WallClock
from gollamas.simulate.engine import Engine
from gollamas.simulate.faults import (
    Busy,
    CutsBody,
    CutsOff,
    Drops,
    Fails,
    Fault,
    Garbled,
    Hangs,
    HangsAfter,
    LoadFault,
    Part,
    PullFault,
    Slow,
)
from gollamas.simulate.library import Creation
from gollamas.simulate.refusal import Refusal, busy
from gollamas.simulate.sched import Load
from gollamas.simulate.settings import Settings
from gollamas.simulate.transfers import Copy, Transfer
from gollamas.simulate.unzip import unzipped
from gollamas.wire.message import Answer, CutOff, Head, Request

_BODY: Final[dict[str, tuple[str, Callable[[Engine, bytes], Awaitable[Answer]]]]] = {
    "/api/generate": ("native", native.generate),
    "/api/chat": ("native", native.chat),
    "/api/embed": ("native", native.embed),
    "/api/embeddings": ("native", native.embeddings),
    "/api/pull": ("native", manage.pull),
    "/api/push": ("native", manage.push),
    "/api/create": ("native", manage.create),
    "/v1/chat/completions": ("openai", openai.chat),
    "/v1/completions": ("openai", openai.completions),
    "/v1/embeddings": ("openai", openai.embeddings),
    "/v1/responses": ("openai", responses.responses),
    "/v1/messages": ("anthropic", anthropic.messages),
}
_QUICK: Final = {"/api/show": listing.show, "/api/copy": manage.copy, "/api/delete": manage.delete}
_PLAIN: Final = {
    "/": listing.root,
    "/api/version": listing.version,
    "/api/status": listing.status,
    "/api/tags": listing.tags,
    "/api/ps": listing.ps,
    "/v1/models": listing.v1_models,
    "/api/me": account.me,
    "/api/signout": account.signed_out,
    "/api/user/keys/": account.signed_out,
    "/api/experimental/web_search": account.search,
    "/api/experimental/web_fetch": account.search,
    "/api/experimental/model-recommendations": account.recommendations,
}
_AUDIO: Final = "/v1/audio/transcriptions"
_BLOBS: Final = "/api/blobs/"
METHODS: Final[dict[str, tuple[str, ...]]] = {
    "/": ("HEAD", "GET"),
    "/api/version": ("HEAD", "GET"),
    "/api/tags": ("HEAD", "GET"),
    "/api/status": ("GET",),
    "/api/ps": ("GET",),
    "/api/experimental/model-recommendations": ("GET",),
    "/api/me": ("POST",),
    "/api/signout": ("POST",),
    "/api/user/keys/": ("DELETE",),
    "/api/experimental/web_search": ("POST",),
    "/api/experimental/web_fetch": ("POST",),
    "/v1/models": ("GET",),
    "/v1/models/": ("GET",),
    "/api/delete": ("DELETE",),
    "/api/show": ("POST",),
    "/api/copy": ("POST",),
    _BLOBS: ("HEAD", "POST"),
    _AUDIO: ("POST",),
    **dict.fromkeys(_BODY, ("POST",)),
}
# The first release that has a route; older ones answer 404.
_SINCE: Final = {
    "/v1/responses": (0, 13, 3),
    "/v1/messages": (0, 14, 0),
    _AUDIO: (0, 20, 0),
    "/api/status": (0, 16, 2),
    "/api/me": (0, 12, 0),
}
_SHAPES: Final = {
    "native": answers.native_error,
    "openai": answers.openai_error,
    "anthropic": answers.anthropic_error,
}


@dataclass(slots=True)
class _Order:
    fault: Fault
    model: str | None
    path: str | None
    times: int


class SimulatedOllama:
    """An Ollama server without a model.

    `engine` holds what is installed and loaded and the counters; `seen` is the last requests that came, in
    order. Both may be read and changed at any time. `loads`, `creates`, `pulls` and `pushes` have all that
    was begun, `copies` and `deletes` all that was done, in order; what a fault answered is in `seen` alone.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.settings = settings or Settings()
        self.clock = clock or WallClock()
        self.engine = Engine(self.settings, self.clock)
        self.seen: deque[Request] = deque(maxlen=self.settings.remembered)
        release = self.settings.release
        self._methods = {path: found for path, found in METHODS.items() if _SINCE.get(path, ()) <= release}
        self._orders: list[_Order] = []
        self._released = asyncio.Event()
        self.hanging = 0  # requests that a fault holds back now

    @property
    def loads(self) -> list[Load]:
        """Every load that was begun: for which model, with which runner options, how it ended."""
        return self.engine.sched.loads

    @property
    def creates(self) -> list[Creation]:
        """Every create that was begun: of what, from which model, with which parameters, how it ended."""
        return self.engine.library.creates

    @property
    def deletes(self) -> list[str]:
        """Every model that was deleted, by the name that lists showed."""
        return self.engine.library.deletes

    @property
    def pulls(self) -> list[Transfer]:
        """Every pull that was asked for and begun: of what, how far it came, how it ended."""
        return self.engine.transfers.pulls

    @property
    def pushes(self) -> list[Transfer]:
        """Every push that was begun: of what, how far it came, how it ended."""
        return self.engine.transfers.pushes

    @property
    def copies(self) -> list[Copy]:
        """Every copy between two valid names: from what, to what, how it ended."""
        return self.engine.transfers.copies

    def publish(self, model: str, version: int, *, same_weights: bool = False) -> str:
        """Put a version of a model into the registry that this server pulls from; give its digest.

        Version 0 is what `Settings.models` installs. Each other one has weights of its own, or with
        `same_weights` another system prompt. One version is the same on every server.
        """
        return self.engine.catalog.publish(model, version, same_weights=same_weights)

    def fail_next(
        self, fault: Fault, *, model: str | None = None, path: str | None = None, times: int = 1
    ) -> None:
        """Play a fault on the next requests that fit, `times` of them (-1: all until `heal`).

        `model` is looked for in the body as it was sent, `path` is the whole path.
        """
        self._orders.append(_Order(fault, model, path, times))

    def fail_next_load(self, fault: LoadFault) -> None:
        """Play a fault on the next load that is begun and has none yet."""
        self.engine.sched.faults.append(fault)

    def fail_next_pull(self, *faults: PullFault) -> None:
        """Play these on the next pull that is begun and has none yet, each at its own line."""
        self.engine.transfers.faults.append(faults)

    def heal(self) -> None:
        """Forget the faults that were not played; what hangs goes on hanging."""
        self._orders.clear()
        self.engine.transfers.faults.clear()
        self.engine.sched.faults.clear()

    def release(self) -> None:
        """Let everything go on that hangs now."""
        self._released.set()
        self._released = asyncio.Event()
        self.engine.sched.release()
        self.engine.transfers.release()

    def asked(self, path: str) -> list[Request]:
        """Give the requests that came for this path."""
        return [request for request in list(self.seen) if request.head.path == path.encode()]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as the condition holds; for `loads`, `seen` and the counters of `engine`."""
        await self.engine.until(holds)

    def digest_sent(self, head: Head) -> str | None:
        """Give the digest of the blob that a request brings; None where it brings none."""
        found = front.match(front.decoded(head.path), self._methods)
        return found[1] if found and found[0] == _BLOBS and head.method == b"POST" else None

    def wants_blob(self, digest: str) -> bool:
        """Whether a blob is read: one that is there is not, nor one whose digest is none."""
        try:
            return not self.engine.library.has_blob(digest)
        except Refusal:
            return False

    async def respond(self, request: Request, blob: Blob | None = None) -> Answer:
        """Answer as Ollama would. Raises CutOff where the connection is to end without an answer.

        `blob` is what came in place of a body, which then is what is kept of it.
        """
        self.seen.append(request)
        self.engine.changed()
        fault = self._fault_for(request)
        match fault:
            case Fails(status, body, content_type):
                return answers.whole(status, body, content_type)
            case Busy():
                return _SHAPES[_dialect(request)](busy())
            case Drops():
                raise CutOff
            case Hangs():
                await self._hang()
            case Slow(seconds):
                await self.clock.sleep(seconds)
        answer = await self._answer(request, blob)
        if request.head.method == b"HEAD" and not isinstance(answer.body, bytes):
            answer.body = await answers.all_of(answer)  # its length is all that is sent
        if isinstance(fault, CutsBody):
            answer.body = Part.of(await answers.all_of(answer), fault.after_bytes)
        if isinstance(fault, CutsOff | HangsAfter | Garbled):
            pieces = answers.one(answer.body) if isinstance(answer.body, bytes) else answer.body
            answer.body = self._broken(pieces, fault)
        return answer

    async def _hang(self) -> None:
        self.hanging += 1
        self.engine.changed()
        try:
            await self._released.wait()
        finally:
            self.hanging -= 1
            self.engine.changed()

    def _fault_for(self, request: Request) -> Fault | None:
        for order in self._orders:
            is_path = order.path is None or order.path.encode() == request.head.path
            if is_path and (order.model is None or f'"{order.model}"'.encode() in request.body):
                order.times -= 1
                if order.times == 0:
                    self._orders.remove(order)
                return order.fault
        return None

    async def _broken(
        self, pieces: AsyncIterator[bytes], fault: CutsOff | HangsAfter | Garbled
    ) -> AsyncGenerator[bytes, None]:
        left = fault.after
        try:
            while left > 0 and (piece := await anext(pieces, b"")):
                left -= 1
                yield piece
            if isinstance(fault, CutsOff):
                raise CutOff
            if isinstance(fault, Garbled):
                if fault.instead:
                    yield fault.instead
                return
            await self._hang()
            async for piece in pieces:
                yield piece
        finally:
            await answers.close(pieces)

    async def _answer(self, request: Request, blob: Blob | None) -> Answer:
        path = front.decoded(request.head.path)
        moved = front.redirect(request.head, path, self._methods)
        if moved is not None:
            return moved
        found = front.match(path, self._methods)
        method = request.head.method.decode("latin-1")
        is_wrong = found is not None and method not in METHODS[found[0]]
        allow = [front.allow(METHODS[found[0]])] if found and is_wrong else []
        shared = front.gate(request, self.settings, allow)
        if isinstance(shared, Answer):
            return shared
        if found is None:
            return front.merged(answers.plain(404, b"404 page not found"), shared)
        if is_wrong:
            return front.merged(front.not_allowed(METHODS[found[0]]), shared)
        try:
            answer = await self._served(request, blob, *found)
        except Refusal as refusal:
            answer = _SHAPES[_dialect(request)](refusal)
        return front.merged(answer, shared)

    async def _served(self, request: Request, blob: Blob | None, pattern: str, value: str) -> Answer:
        engine, head = self.engine, request.head
        if pattern in _PLAIN:
            return _PLAIN[pattern](engine)
        body = unzipped(request) if pattern.startswith("/v1/") else request.body
        if pattern in _BODY:
            return await _BODY[pattern][1](engine, body)
        if pattern == _AUDIO:
            return await openai.transcriptions(engine, body, head.get(b"content-type") or b"")
        if pattern in _QUICK:
            return _QUICK[pattern](engine, body, head)
        if pattern == _BLOBS and head.method == b"POST":
            return manage.put_blob(engine, value, blob or blob_of(body))
        by_value = manage.has_blob if pattern == _BLOBS else listing.v1_model
        return by_value(engine, value)


def _dialect(request: Request) -> str:
    path = request.head.path.decode("latin-1")
    if path in _BODY:
        return _BODY[path][0]
    return "openai" if path.startswith("/v1/") else "native"
