"""One request's life: from the complete request over its attempts to the end of the answer.

Owns the loop over servers and the rule of when another one may be tried (RFC 9110, section 9.2.2). What a
server answers passes in `relay`; which server it is, `fleet` says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gollamas import names
from gollamas.api import inference
from gollamas.api.inference import NamedModel
from gollamas.api.routes import Kind, Route
from gollamas.config.model import Config, Server
from gollamas.errors import (
    BadRequest,
    LoopDetected,
    ModelNotFound,
    ProxyError,
    ServerBroke,
    ServerRefused,
    ServerTooSlow,
    ShuttingDown,
)
from gollamas.events import AttemptFailed, Emit, End, RequestEnded
from gollamas.fleet.admit import Admission, Lease, Refuse
from gollamas.fleet.choose import choose
from gollamas.fleet.routing import Found, Routing, Unknown, cannot_tell
from gollamas.fleet.view import View
from gollamas.net.downstream import ClientConnection
from gollamas.net.pool import Pool
from gollamas.net.relay import Outcome, Relay
from gollamas.net.upstream import ServerConnection
from gollamas.wire import head as heads
from gollamas.wire.message import Request
from gollamas.wire.tail import counts

# HOT: CPython 3.11 looks a member of an Enum up by a slow path (0.1 us).
_PASSED: Final = Outcome.PASSED
_UNANSWERED: Final = Outcome.UNANSWERED
_DONE: Final = End.DONE
_PATH: Final = Kind.PATH
# What the outcome of an answer that had begun means for the request.
_ENDS: Final[Mapping[Outcome | None, End]] = {
    Outcome.PASSED: End.DONE,
    Outcome.BROKE_LATE: End.SERVER_BROKE,
    Outcome.WENT_SILENT: End.TIMED_OUT,
    Outcome.SHUT_DOWN: End.SHUT_DOWN,
}


class Target:
    """A server as a request's head is made for it; `line` tells the client of it."""

    __slots__ = ("configured", "line", "prefix", "server", "start")

    def __init__(self, server: Server, line: bytes) -> None:
        self.server = server
        self.line = line
        self.prefix = server.prefix.encode()
        self.configured = frozenset(name.lower() for name, _ in server.fields)
        # What follows the path: our own fields and the configured ones, which may be secret.
        self.start = b"".join(
            (
                b" HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n" % server.authority.encode(),
                *(b"%b: %b\r\n" % field for field in server.fields),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One configuration, ready to use. A request keeps the one that it began with."""

    config: Config
    routing: Routing
    targets: Mapping[str, Target]  # by server


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What exchanges need of the rest, and nothing else of it."""

    view: View
    admission: Admission
    pool: Pool
    emit: Emit
    clock: Callable[[], float]
    pseudonym: bytes  # of this process in Via
    via: bytes  # the whole line, where a request comes without one
    look_up: Callable[[str], Awaitable[bool]]
    changed: Callable[[str], None]  # a request of ours changed what this server has loaded


class Exchange:
    """Serves one request that is routed by its model; `event` is filled in as things happen.

    It is the `Call` that relays read and the `Wanting` that admission reads. HOT: what most requests do not
    change stands in the class.
    """

    key = ""
    candidates: Sequence[str] = ()
    tried: Collection[str] = ()
    named: NamedModel | None = None  # the body's members; let go when an answer begins
    user_agent = b""
    first_byte_limit: float | None = None  # seconds; None where the answer comes whole
    _busy: tuple[Relay, Lease] | None = None
    _has_moved_on = False  # after a fresh connection broke before a byte came

    def __init__(
        self, fleet: Fleet, snapshot: Snapshot, client: ClientConnection, event: RequestEnded
    ) -> None:
        self._fleet = fleet
        self._snapshot = snapshot
        self._event = event
        self.client = client
        self.request_id = event.request_id

    async def run(self, request: Request, route: Route, id_line: bytes, lines: bytes, started: float) -> None:
        """Answer the request; raises a ProxyError where nothing has gone out yet.

        `lines` are ready head lines for whatever answer goes out, `id_line` the one of them that the server
        gets too; `started` is when the request was complete.
        """
        self.route = route
        self.id_line = id_line
        self.lines = lines
        self._started = started
        self._head = request.head
        named = self.named = inference.read(route, request)
        request.body = b""
        self._unloads = named.unloads
        self.model = name = named.name
        self._event.model = name
        self.asked_name = name.encode(errors="replace")
        fleet = self._fleet
        found = self._snapshot.routing.find(name, fleet.view)
        if not isinstance(found, Found):
            found = await self._look_up(name, found)
        self._found = found
        self.key = found.key
        self.candidates = found.candidates
        self._event.alias = found.alias
        config = self._snapshot.config
        self.idle_limit = config.idle_timeout
        if named.streams:
            self.first_byte_limit = config.first_byte_timeout
        if route.path == "/api/show":
            self.user_agent = request.head.names.get(b"user-agent", b"")
        del named
        # The one loop: a server for each attempt, until an answer has begun or nobody is left.
        while True:
            lease = fleet.admission.enter(self, started)
            if not isinstance(lease, Lease):
                assert isinstance(lease, Refuse)  # noqa: S101 - this form of admission never lets one wait
                self._nobody_left(lease.error)
                return
            try:
                why = await self._attempt(lease)
            finally:
                fleet.admission.leave(lease)
            if why is None:
                return
            self.tried = {*self.tried, lease.server}
            self._tell_failed(lease, why)

    def let_go(self) -> None:
        """Free what only another attempt would need: a stream lives long."""
        head = self._head
        head.fields, head.names = [], {}

    async def _look_up(self, name: str, found: object) -> Found:
        """Ask the servers once for a name that nobody knew, where `expose` opens more than is configured."""
        if not isinstance(found, Unknown):
            if names.names_both_sources(name):
                raise BadRequest(f'use either :local or :cloud, not both: "{name}"')
            raise BadRequest("invalid model name")
        if found.may_look_up and await self._fleet.look_up(found.key):
            again = self._snapshot.routing.find(name, self._fleet.view)
            if isinstance(again, Found):
                return again
        if found.may_look_up and (error := cannot_tell(self._fleet.view)) is not None:
            raise error
        parsed = names.parse(name)
        route = self.route
        is_shown_whole = route.kind is Kind.PATH or route.reads_name
        shown = parsed.shortest if is_shown_whole and parsed is not None else name
        raise ModelNotFound(route.not_found(shown))

    def _tell_failed(self, lease: Lease, why: str) -> None:
        event = self._event
        event.attempts += 1
        is_next = choose(self._fleet.view, self.candidates, self.key, self.tried) is not None
        self._fleet.emit(
            AttemptFailed(
                request_id=event.request_id,
                server=lease.server,
                model=self.model,
                why=why,
                moves_on=is_next,
            )
        )

    def _nobody_left(self, error: ProxyError) -> None:
        """A busy server's own words are better than ours; else the error stands."""
        busy = self._busy
        if busy is None:
            raise error
        relay, lease = busy
        relay.pass_held_on()
        self._account(relay, lease)

    async def _attempt(self, lease: Lease) -> str | None:
        """Try one server: None when the client has its answer, else why another one is to be tried."""
        fleet = self._fleet
        target = self._snapshot.targets[lease.server]
        relay: Relay | None = None
        is_loaded = fleet.view.is_loaded(lease.server, self.key)
        try:
            connection = fleet.pool.take(lease.server) or await fleet.pool.dial(target.server)
            is_kept = not connection.is_fresh
            relay = self._send(connection, lease, target)
            outcome = await relay.done
            if outcome is _UNANSWERED and is_kept and self._snapshot.config.replay_inference:
                # The server closed it while we wrote. RFC 9112, section 9.3.1, leaves the repetition to the
                # client, but asking a model twice changes nothing.
                relay = self._send(await fleet.pool.dial(target.server), lease, target)
                outcome = await relay.done
        except ServerRefused as why:
            fleet.view.connect_failed(lease.server, why.text, fleet.clock())
            return why.text
        except asyncio.CancelledError:
            if relay is not None:
                self._account_cancelled(relay, lease)
            raise
        finally:
            if relay is not None:
                relay.abort()
                if (not is_loaded or self._unloads) and relay.status is not None and self.route.loads:
                    fleet.changed(lease.server)
        if outcome is not _PASSED:
            return self._judge(outcome, relay, lease)
        self._account(relay, lease)
        return None

    def _send(self, connection: ServerConnection, lease: Lease, target: Target) -> Relay:
        """Send the request over one connection; what comes back goes through the relay."""
        named = self.named
        assert named is not None  # noqa: S101 - it is let go only when an answer has begun
        found = self._found
        model = found.model
        if self.route.minds_case:
            model = found.name_minding_case(self._fleet.view, lease.server)
        event = self._event
        event.server, event.why, event.model_used = lease.server, lease.why, model
        used_name = self.asked_name if model == named.name else model.encode(errors="replace")
        relay = Relay(self, connection, used_name, target.line)
        if len(self.candidates) > 1:
            relay.may_move_on = self._is_another_usable(lease.server)
        try:
            body = inference.prepare(named, model)
            relay.send(self._request_head(target, named, model, len(body)), body)
        except BaseException:
            connection.abort()
            raise
        return relay

    def _is_another_usable(self, server_id: str) -> bool:
        return choose(self._fleet.view, self.candidates, self.key, {*self.tried, server_id}) is not None

    def _judge(self, outcome: Outcome, relay: Relay, lease: Lease) -> str | None:
        """What an outcome means: done, another server, or an error of ours."""
        match outcome:
            case Outcome.BUSY:
                self._busy = (relay, lease) if relay.held is not None else self._busy
                return "busy: its queue is full"
            case Outcome.UNANSWERED | Outcome.BROKE_EARLY:
                may_move_on = outcome is _UNANSWERED and relay.may_move_on and not self._has_moved_on
                if may_move_on and self._snapshot.config.replay_inference:
                    self._has_moved_on = True
                    return relay.why
                raise ServerBroke(f"server {lease.server} gave no answer: {relay.why}")
            case Outcome.TOO_SLOW:
                raise ServerTooSlow(f"server {lease.server} gave no answer: {relay.why}")
            case Outcome.SHUT_DOWN if relay.status is None:
                raise ShuttingDown("gollamas is shutting down: try again")
            case _:
                self._event.end = _ENDS[outcome]
        self._account(relay, lease)
        return None

    def _account_cancelled(self, relay: Relay, lease: Lease) -> None:
        """The client has gone: by itself, or since the answer had broken off, or behind a whole one."""
        done = relay.done
        outcome = done.result() if done.done() and not done.cancelled() else None
        if relay.status is None:
            return
        self._event.end = _ENDS.get(outcome, End.CLIENT_LEFT)
        self._account(relay, lease)

    def _account(self, relay: Relay, lease: Lease) -> None:
        """Fill the event in from the answer that went out."""
        event = self._event
        event.server, event.why = lease.server, lease.why
        event.status = relay.status
        event.bytes_out = relay.bytes_out
        event.wait_s = relay.sent_at - self._started
        if relay.first_byte_at is not None:
            event.first_byte_s = relay.first_byte_at - self._started
        telling = self.route.telling
        if telling is None or event.end is not _DONE:
            return
        said = counts(relay.tail, telling)
        event.tokens_in, event.tokens_out = said.tokens_in, said.tokens_out
        if said.tokens_out:
            spent = said.eval_seconds
            if spent is None and self.first_byte_limit is not None and relay.first_byte_at is not None:
                spent = self._fleet.clock() - relay.first_byte_at  # a whole answer does not tell its time
            event.tokens_per_s = said.tokens_out / spent if spent else None

    def _request_head(self, target: Target, named: NamedModel, model: str, length: int) -> bytes:
        """The head for one attempt: its path is the route's, its Host the server's."""
        head = self._head
        route = self.route
        path = route.upstream
        via = self._fleet.via
        if b"via" in head.names:
            via = self._extended_via()
        end = b"Content-Length: %d\r\n\r\n" % length
        if route.kind is _PATH:
            path = path.replace(b":model", quote(model, safe="").encode())
            end = b"\r\n"
        elif named.in_query:
            path += b"?model=" + quote(model, safe="").encode()
        parts = [
            head.method,
            b" ",
            target.prefix,
            path,
            target.start,
            *heads.forwarded(head, target.configured),
        ]
        parts += (via, self.client.forwarded_line, self.id_line, end)
        return b"".join(parts)

    def _extended_via(self) -> bytes:
        chain = heads.via(self._head, self._fleet.pseudonym)
        if chain is None:
            raise LoopDetected(
                "this request has passed through this proxy before: a server's URL leads back here"
            )
        return b"Via: %b\r\n" % chain
