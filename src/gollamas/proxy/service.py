"""The service of the main port: what is asked, by whom, and who answers it.

Owns the order of the checks of a request. One that is routed by its model goes to `exchange`, any other to
`own`; every request, however it ends, becomes one event.
"""

import re
import secrets
from typing import Final

from gollamas.api import dialects, routes
from gollamas.api.dialects import Dialect
from gollamas.api.gate import Gate
from gollamas.api.routes import Kind, Route
from gollamas.errors import NotServed, ProxyError
from gollamas.events import End, RequestEnded
from gollamas.net.contracts import Later
from gollamas.net.downstream import ClientConnection
from gollamas.proxy.exchange import Exchange
from gollamas.proxy.own import Listings, Own, not_served, not_yet
from gollamas.proxy.turn import Fleet, Snapshot, Turn, body_bytes, path_of
from gollamas.wire.message import Answer, Body, Budget, Head

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_HEX: Final = [f"{number:02x}" for number in range(256)]
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"


class Proxy:
    """Serves clients by one snapshot at a time; `apply` takes another for the requests to come."""

    def __init__(self, fleet: Fleet, snapshot: Snapshot, gate: Gate, listings: Listings) -> None:
        self._fleet = fleet
        self._own = Own(fleet.view, listings)
        self._id_start = secrets.token_hex(6)  # with the number 24 digits, as in Anthropic's ids
        self._id_number = 0
        self._uploads = Budget(0)
        self.apply(snapshot, gate)

    def apply(self, snapshot: Snapshot, gate: Gate) -> None:
        """Serve by another configuration from now on; requests keep the one they began with."""
        self._snapshot = snapshot
        self._gate = gate
        self._max_body = snapshot.config.max_body
        self._uploads.limit = snapshot.config.max_upload

    # -- what a client's connection calls ------------------------------------------------------------

    def on_head(self, head: Head, is_whole: bool) -> int:
        """Let a body in up to the limit of its route; where none is served nothing of it is read."""
        limit = self._max_body
        if is_whole and head.length <= limit:
            return limit  # HOT: `serve` judges it
        route = routes.find(head.path)
        if route is None or head.method not in route.allowed or self._gate.judge(head).status is not None:
            raise NotServed("not served")
        if route.kind is Kind.LATER:
            raise not_yet(route)
        if route.kind is not Kind.FORM:
            return limit
        head.budget = self._uploads
        return self._uploads.limit

    def refusal(self, error: ProxyError, head: Head | None, client: ClientConnection) -> Answer:
        """Answer a request that was not read to its end, and let the log know."""
        route = routes.find(head.path) if head is not None else None
        event = RequestEnded(
            request_id=self._id_of(head) if head is not None else self._new_id(),
            client=client.address,
            method=head.method.decode() if head is not None else "-",
            route=route.path if route is not None else "other",
        )
        event.error = error.text
        if head is None and (asked := client.asked) is not None:
            event.method, event.path = asked
        elif head is not None and route is None:
            event.path = path_of(head)
        answer = self._refused(error, head, route, event)
        event.status = answer.status
        event.bytes_out = body_bytes(answer, head)
        if answer.status >= 400:
            event.end = End.REFUSED
        self._fleet.emit(event)
        answer.fields.append((b"X-Request-Id", event.request_id.encode()))
        return answer

    def _refused(
        self, error: ProxyError, head: Head | None, route: Route | None, event: RequestEnded
    ) -> Answer:
        verdict = self._gate.judge(head) if head is not None else None
        refused = None
        if isinstance(error, NotServed) and head is not None and verdict is not None:
            refused = not_served(head, route, verdict)
        if refused is not None:
            answer, event.error = refused
        else:
            dialect = route.dialect if route is not None else Dialect.NATIVE
            fields, body = dialects.error(dialect, error.status, error.text, event.request_id)
            answer = Answer(error.status, fields, body)
        fields = answer.fields
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % error.retry_after))
        if error.status == 405:
            fields.append((b"Allow", route.allow if route is not None else _METHODS))
        if verdict is not None:
            # A page may read why only where the gate lets its origin.
            lines = verdict.lines.split(b"\r\n")
            fields += [(name, value) for name, _, value in (line.partition(b": ") for line in lines) if name]
        return answer

    def serve(self, client: ClientConnection, head: Head, body: Body) -> Later | None:
        """Answer one request, whatever happens to it."""
        request_id = self._new_id() if head.is_plain else self._id_of(head)
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
        return self._own.answer(turn, verdict)

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
