"""The service of the main port: what is asked, by whom, and who answers it.

Owns the order of the checks of a request. One that is routed by its model goes to `exchange`, any other to
`own`; every request, however it ends, becomes one event.
"""

import re
import secrets
from typing import Final

from gollamas.api import dialects, inference, routes
from gollamas.api.dialects import Dialect
from gollamas.api.gate import Gate, Verdict
from gollamas.api.routes import CHANGING, Kind, Route
from gollamas.errors import NotServed, ProxyError
from gollamas.events import End, RequestEnded
from gollamas.net.answering import send_answer
from gollamas.net.contracts import Judged, Later
from gollamas.net.downstream import ClientConnection
from gollamas.proxy.exchange import Exchange
from gollamas.proxy.own import Own, not_served
from gollamas.proxy.turn import Context, Snapshot, Turn
from gollamas.proxy.upload import Upload
from gollamas.wire.framing import Room
from gollamas.wire.message import Body, Budget, Head

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_HEX: Final = [f"{number:02x}" for number in range(256)]
_MOST_NAME_BYTES: Final = 64 * 1024  # of a body that holds names and little else
_BODY: Final = Kind.BODY  # HOT: CPython 3.11 looks a member of an Enum up by a slow path
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"


class Proxy:
    """Serves clients by one snapshot at a time; `apply` takes another for the requests to come."""

    def __init__(self, context: Context, snapshot: Snapshot, gate: Gate, own: Own) -> None:
        self._context = context
        self._own = own
        self._id_start = secrets.token_hex(6)  # with the number 24 digits, as in Anthropic's ids
        self._id_number = 0
        self._uploads = Budget(0)
        self.apply(snapshot, gate)

    def apply(self, snapshot: Snapshot, gate: Gate) -> None:
        """Serve by another configuration from now on; requests keep the one they began with."""
        self._snapshot = snapshot
        self._gate = gate
        self._uploads.limit = snapshot.config.max_upload
        self._room_for_forms = Room(snapshot.config.max_upload, self._uploads)

    # -- what a client's connection calls ------------------------------------------------------------

    def on_head(self, client: ClientConnection, head: Head) -> Judged:
        """Name who answers; where nothing is served, nothing is read of a body that has yet to come."""
        request_id = self._new_id() if head.is_plain else self._id_of(head)
        by_path = self._snapshot.by_path
        route = by_path.get(head.path) or routes.find(head.path, by_path)
        verdict = self._gate.judge(head)
        if verdict.status is None and route is not None and route.is_routed and head.method in route.allowed:
            exchange = Exchange(self._context, self._snapshot, client, head, route, request_id)
            if verdict.lines:
                exchange.lines += verdict.lines
            if route.kind is not _BODY and inference.is_form(route, head):
                exchange.room = self._room_for_forms
            return exchange
        turn = _Ours(self._context, self._snapshot, client, head, route, request_id)
        turn.judged(self._own, verdict)
        return turn

    def refuse(self, client: ClientConnection, error: ProxyError, asked: tuple[str, str] | None) -> None:
        """Answer a request whose head could not be read, and let the log know."""
        event = RequestEnded(self._new_id(), client.address, "-", "other")
        if asked is not None:
            event.method, event.path = asked
        event.error, event.status, event.end = error.text, error.status, End.REFUSED
        fields, body = dialects.error(Dialect.NATIVE, error.status, error.text, event.request_id)
        event.bytes_out, event.ended_at = len(body), client.now()
        self._context.emit(event)
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % error.retry_after))
        if error.status == 405:
            fields.append((b"Allow", _METHODS))
        send_answer(client, error.status, fields, body, b"X-Request-Id: %b\r\n" % event.request_id.encode())

    def _id_of(self, head: Head) -> str:
        """The client's own id of a request where it can stand in a log, else a new one."""
        given = head.names.get(b"x-request-id")
        return given.decode() if given and _REQUEST_ID.fullmatch(given) else self._new_id()

    def _new_id(self) -> str:
        number = self._id_number = self._id_number + 1
        low = number & 0xFF
        if low == 0 or number == 1:
            self._id_block = f"{self._id_start}{number >> 8:010x}"
        return self._id_block + _HEX[low]  # HOT: one addition


class _Ours(Turn[Route | None]):
    """A request that no server is asked for one model: an answer of our own."""

    _own: Own
    _verdict: Verdict
    _upload: Upload | None = None

    def judged(self, own: Own, verdict: Verdict) -> None:
        """Note what the gate says: where nothing is served, no body is waited for."""
        self.lines += verdict.lines
        self._own = own
        self._verdict = verdict
        route = self.route
        if route is None or verdict.status is not None or self.head.method not in route.allowed:
            self.room = Room(self.room.limit, refusal=NotServed("not served"))
        elif route.kind is Kind.BLOB and self.head.method == b"POST":
            upload = self._upload = own.uploads.begin(self)
            self.room = upload.room
            self.client.run(upload.serve())
        elif route.kind in CHANGING and route.kind is not Kind.CREATE:
            self.room = Room(min(self.room.limit, _MOST_NAME_BYTES))

    def begin(self, body: Body) -> Later | None:
        """Answer it; what its body says counts on one route only."""
        if self._upload is not None:
            self._upload.begun()
            return None
        self.event.bytes_in = len(body)
        return self._own.answer(self, self._verdict, body)

    def refuse(self, error: ProxyError) -> None:
        """Answer why its body was not read; where nothing is served, that is why."""
        refused = not_served(self, self._verdict)
        if refused is None:
            super().refuse(error)
            if self._upload is not None:
                self._upload.refused()
            return
        answer, self.event.error = refused
        self.answer(answer)
        self._tell(self.event)
