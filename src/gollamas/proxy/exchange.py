"""A request that is routed by its model: its attempts, until an answer has gone out.

Owns the order of the attempts and the rule of when another server may be tried (RFC 9110, section 9.2.2).
What a server answers passes in `relay`; which server it is, `fleet` says. A request for which a connection
is there runs within the callbacks of both sides; whatever has to wait is in `waiting`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from gollamas import names
from gollamas.api import inference
from gollamas.api.inference import NamedModel
from gollamas.api.routes import Kind, Route
from gollamas.errors import (
    BadRequest,
    LoopDetected,
    ModelNotFound,
    ProxyError,
    ServerBroke,
    ServerTooSlow,
    ShuttingDown,
)
from gollamas.events import Cause, End
from gollamas.fleet.admit import Lease, Refuse
from gollamas.fleet.choose import choose
from gollamas.fleet.routing import Found, Unknown, cannot_tell
from gollamas.net.contracts import Later
from gollamas.net.upstream import ServerConnection
from gollamas.proxy import waiting
from gollamas.proxy.relay import BUSY_STATUS, Outcome, Relay
from gollamas.proxy.turn import Target, Turn
from gollamas.proxy.waiting import Step
from gollamas.wire import head as heads
from gollamas.wire.message import Body
from gollamas.wire.tail import counts

# What the outcome of an answer that had begun means for the request.
_ENDS: Final[Mapping[Outcome, End]] = {
    Outcome.BROKE_LATE: End.SERVER_BROKE,
    Outcome.WENT_SILENT: End.TIMED_OUT,
    Outcome.SHUT_DOWN: End.SHUT_DOWN,
}
_BUSY: Final = "busy: its queue is full"


class Exchange(Turn[Route]):
    """Serves one request that is routed by its model.

    It is the `Call` that relays read, the `Wanting` that admission reads, and its client's source while it
    waits for a connection.
    """

    model = ""
    key = ""
    candidates: Sequence[str] = ()
    tried: Collection[str] = ()
    named: NamedModel | None = None  # the body's members; let go when an answer begins
    _unloads = False
    _found: Found
    _attempt: tuple[ServerConnection, Target, float]  # the connection, its server, when it was there
    _ended_at: float | None = None
    _lease: Lease | None = None
    _relay: Relay | None = None
    _busy: tuple[Relay, Lease] | None = None  # the last answer that was held back
    _has_moved_on = False  # after a fresh connection broke before a byte came
    _is_cut = False  # the grace period is over

    def begin(self, body: Body) -> Later | None:
        """Answer the request; what has to wait for a name or a connection is returned."""
        event = self.event
        event.bytes_in = len(body)
        try:
            named = self.named = inference.read(self.route, self.head, body)
            self.model = event.model = name = named.name
            self._unloads = named.unloads
            step = self._first_step(name)
            return None if step is None else self._later(step)
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            self.failed(error)
            return None

    def _first_step(self, name: str) -> Step | None:
        """Find out where the request may go, and begin with the attempts if that is known."""
        found = self.snapshot.routing.find(name, self.fleet.view)
        if isinstance(found, Found):
            return self._go(found, self.client.complete_at)
        if isinstance(found, Unknown):
            if found.may_look_up:
                return waiting.look_up(self, found.key)
            raise self._unknown()
        if names.names_both_sources(name):
            raise BadRequest(f'use either :local or :cloud, not both: "{name}"')
        raise BadRequest("invalid model name")

    def _go(self, found: Found, now: float) -> Step | None:
        """Begin with the attempts, now that it is known where the request may go."""
        self._found = found
        self.key = found.key
        self.candidates = found.candidates
        self.event.alias = found.alias
        return self._next_attempt(now)

    def _unknown(self) -> ModelNotFound:
        """Say that no server has the model, as Ollama says it on this route."""
        name = self.model
        parsed = names.parse(name)
        route = self.route
        is_shown_whole = route.kind is Kind.PATH or route.reads_name
        shown = parsed.shortest if is_shown_whole and parsed is not None else name
        return ModelNotFound(route.not_found(shown))

    # -- waiting: what `waiting` calls ---------------------------------------------------------------

    def _later(self, step: Step) -> Later:
        self.client.source = self
        return waiting.steps(self, step)

    def looked_up(self, *, is_known: bool) -> Step | None:
        """Go on now that the servers were asked for the name; where `expose` opens more than configured."""
        view = self.fleet.view
        if is_known:
            found = self.snapshot.routing.find(self.model, view)
            if isinstance(found, Found):
                return self._go(found, self.fleet.clock())
        raise cannot_tell(view) or self._unknown()

    def refused(self, lease: Lease, why: str) -> Step | None:
        """Try the next server: the one that gave no connection is down until a probe succeeds."""
        self.fleet.view.connect_failed(lease.server, why, self.fleet.clock())
        return self._move_on(lease, Cause.CONNECT, why)

    def connected(self, connection: ServerConnection, target: Target) -> None:
        """Send the request over the connection that was made for it."""
        self._attempt = connection, target, self.fleet.clock()
        self._send()

    def cancelled(self) -> bool:
        """End, since the client left or the grace period is over; whether it was answered."""
        if self._is_cut:
            self.failed(ShuttingDown("gollamas is shutting down: try again"))
        else:
            self._left()
        return self._is_cut

    # -- what a client's connection calls while nothing has been sent ---------------------------------

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing is read yet."""

    def check(self, now: float) -> None:
        """What is waited for has clocks of its own."""

    def client_left(self) -> None:
        """The task is cancelled, which ends this."""

    def shut_down(self) -> None:
        """Answer that we go."""
        self._is_cut = True
        self.client.cancel()

    # -- attempts ------------------------------------------------------------------------------------

    def _next_attempt(self, now: float) -> Step | None:
        """Bind a server and send it the request, where a connection is there; else dial one."""
        fleet = self.fleet
        lease = fleet.admission.enter(self, now)
        if not isinstance(lease, Lease):
            assert isinstance(lease, Refuse)  # noqa: S101 - this form of admission never lets one wait
            self._nobody_left(lease.error)
            return None
        self._lease = lease
        target = self.snapshot.targets[lease.server]
        connection = fleet.pool.take(lease.server)
        if connection is None:
            return waiting.dial(self, lease, target)
        self._attempt = connection, target, now
        if self.client.round.has_stages:
            self.client.round.then(self._send)
        else:
            self._send()
        return None

    def _send(self) -> None:
        """Send the request over its connection; what comes back goes through a relay."""
        connection, target, now = self._attempt
        try:
            self._send_on(connection, target, now)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            connection.abort()
            self.failed(error)

    def _send_on(self, connection: ServerConnection, target: Target, now: float) -> None:
        named, lease, client = self.named, self._lease, self.client
        if self.route.loads:
            if client.has_ended:
                self._abandon(connection)
                return
            client.fin_means_left = True
        assert named is not None  # noqa: S101 - it is let go only when an answer has begun
        assert lease is not None  # noqa: S101 - an attempt holds one
        model = self._found.model
        if self.route.minds_case:
            model = self._found.name_minding_case(self.fleet.view, lease.server)
        event = self.event
        event.server = lease.server
        event.why = lease.why
        event.model_used = model
        if named.is_large:
            self._send_pieces(connection, target, named, model)
        else:
            body = inference.prepare(named, model)
            connection.send(self._request_head(target, named, model, len(body)), body)
        # HOT: what follows does not keep the server waiting.
        relay = self._relay = Relay(self, connection, lease, target.line, now)
        if model != named.name:
            relay.renames(model, named.name)
        if len(self.candidates) > 1:
            relay.may_move_on = self._is_another_usable(lease.server)
        connection.expect(relay)
        event.wait_s = now - client.complete_at
        if client.is_paused:
            connection.pause()

    def _send_pieces(
        self, connection: ServerConnection, target: Target, named: NamedModel, model: str
    ) -> None:
        pieces = inference.prepare_in_pieces(named, model)
        length = sum([len(piece) for piece in pieces])
        connection.send_pieces(self._request_head(target, named, model, length), pieces)

    def _abandon(self, connection: ServerConnection) -> None:
        """End before a server is asked: the client has ended its side, which is leaving once one is."""
        self.fleet.pool.give(connection)
        self._left()

    def _move_on(self, lease: Lease, cause: Cause, why: str) -> Step | None:
        """An attempt has failed before a byte went out: try the next server, if there is one."""
        self._leave()
        self.tried = {*self.tried, lease.server}
        self.event.attempts += 1
        self.attempt_failed(lease.server, cause, why, moves_on=self._is_another_usable(lease.server))
        return self._next_attempt(self.fleet.clock())

    def _is_another_usable(self, server_id: str) -> bool:
        return choose(self.fleet.view, self.candidates, self.key, {*self.tried, server_id}) is not None

    def _nobody_left(self, error: ProxyError) -> None:
        """A busy server's own words are better than ours; else the error stands."""
        if self._busy is None:
            raise error
        relay, lease = self._busy
        self.event.server, self.event.why = lease.server, lease.why
        relay.pass_held_on()
        self.passed(relay)

    def _request_head(self, target: Target, named: NamedModel, model: str, length: int) -> bytes:
        """The head for one attempt: its path is the route's, its Host the server's."""
        head = self.head
        via = self.fleet.via if head.is_plain or b"via" not in head.names else self._extended_via()
        if named.members is not None:  # HOT: the usual request has its model's name in the body alone
            start, end = target.start(self.route), b"Content-Length: %d\r\n\r\n" % length
        else:
            start, end = self._start_with_name(target, named, model, length)
        lines = heads.forwarded(head, target.configured)
        return b"%b%b%b%b%b%b" % (start, lines, via, self.client.forwarded_line, self.id_line, end)

    def _start_with_name(
        self, target: Target, named: NamedModel, model: str, length: int
    ) -> tuple[bytes, bytes]:
        """The first and the last lines of a head whose target holds the model's name, or that of a form."""
        path = self.route.upstream
        name = quote(model, safe="").encode()
        if self.route.kind is Kind.PATH:
            return target.start_with(self.head.method, path.replace(b":model", name)), b"\r\n"
        if named.in_query:
            path += b"?model=" + name
        return target.start_with(self.head.method, path), b"Content-Length: %d\r\n\r\n" % length

    def _extended_via(self) -> bytes:
        chain = heads.via(self.head, self.fleet.pseudonym)
        if chain is None:
            raise LoopDetected("this request has been here before: a server's URL leads back to this proxy")
        return b"Via: %b\r\n" % chain

    # -- what a relay calls --------------------------------------------------------------------------

    @property
    def first_byte_limit(self) -> float | None:
        """Seconds; None where a model runs and its answer comes whole."""
        named = self.named
        if self.route.loads and (named is None or not named.streams):
            return None
        return self.snapshot.config.first_byte_timeout

    @property
    def idle_limit(self) -> float:
        """Seconds between two pieces."""
        return self.snapshot.config.idle_timeout

    def let_go(self) -> None:
        """Free what only another attempt would need: a stream lives long."""
        self.head.let_go()

    def passed(self, relay: Relay) -> None:
        """The whole answer has gone out."""
        try:
            self._count(relay)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self.failed(error)
            return
        self._ended_at = relay.ended_at
        if self.client.round.has_stages:
            self.client.round.then(self._end)
        else:
            self._end()

    def _count(self, relay: Relay) -> None:
        event = self.event
        event.bytes_out = relay.bytes_out
        if event.status == BUSY_STATUS and relay.held is None:  # nobody else was there to be asked
            self.attempt_failed(event.server or "", Cause.BUSY, _BUSY)
        telling = self.route.telling
        if telling is not None:
            said = counts(relay.tail, telling)
            event.tokens_in, event.tokens_cached = said.tokens_in, said.tokens_cached
            event.tokens_out = tokens_out = said.tokens_out
            if tokens_out:
                spent = said.eval_seconds
                if spent is None and relay.is_events:  # a whole answer does not tell its time
                    spent = self.fleet.clock() - self.client.complete_at - (event.first_byte_s or 0.0)
                event.tokens_per_s = tokens_out / spent if spent else None

    def ended(self, relay: Relay, outcome: Outcome) -> None:
        """An attempt has ended before its answer's end: so has the request, or another attempt follows."""
        lease = self._lease
        assert lease is not None  # noqa: S101 - an attempt holds one
        try:
            step = self._judge(outcome, relay, lease)
            if step is not None:
                self.client.run(self._later(step))
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self.failed(error)

    def client_gone(self, relay: Relay) -> None:
        """The client left during an attempt."""
        self.event.bytes_out = relay.bytes_out
        self._left()

    def _judge(self, outcome: Outcome, relay: Relay, lease: Lease) -> Step | None:
        """What an outcome means: done, another attempt, or an error of ours."""
        replays = self.snapshot.config.replay_inference
        match outcome:
            case Outcome.BUSY:
                self._busy = (relay, lease) if relay.held is not None else self._busy
                return self._move_on(lease, Cause.BUSY, _BUSY)
            case Outcome.UNANSWERED if relay.is_kept and replays:
                # The server closed it while we wrote. RFC 9112, section 9.3.1, leaves the repetition to the
                # client, but asking a model twice changes nothing.
                return waiting.dial(self, lease, self.snapshot.targets[lease.server])
            case Outcome.UNANSWERED if relay.may_move_on and replays and not self._has_moved_on:
                self._has_moved_on = True
                return self._move_on(lease, Cause.UNANSWERED, relay.why)
        if outcome.value is not None:
            self.attempt_failed(lease.server, outcome.value, relay.why)
        match outcome:
            case Outcome.UNANSWERED | Outcome.BROKE_EARLY:
                raise ServerBroke(f"server {lease.server} gave no answer: {relay.why}")
            case Outcome.TOO_SLOW:
                raise ServerTooSlow(f"server {lease.server} gave no answer: {relay.why}")
            case Outcome.SHUT_DOWN if self.event.status is None:
                raise ShuttingDown("gollamas is shutting down: try again")
            case _:
                self.event.end = _ENDS[outcome]
        self.event.bytes_out = relay.bytes_out
        self._end()
        return None

    # -- ends ----------------------------------------------------------------------------------------

    def failed(self, error: Exception) -> None:
        """End with an answer of ours."""
        if self._relay is not None:
            self._relay.abort()
        self._leave()
        self.event.wait_s = None  # of the attempt that answered: none did
        self.fail(error)
        self._end()

    def _left(self) -> None:
        if self._relay is not None:
            self._relay.abort()
        self.left()
        if self.event.status is None:
            self.event.wait_s = None
        self._end()

    def _leave(self) -> None:
        """Give the lease back; a server whose models in memory this attempt changed is asked anew."""
        lease = self._lease
        if lease is None:
            return
        self._lease = None
        fleet = self.fleet
        fleet.admission.leave(lease)
        if (not lease.is_loaded or self._unloads) and self.event.status is not None and self.route.loads:
            fleet.changed(lease.server)

    def _end(self) -> None:
        self._leave()
        self._relay = self._busy = None  # HOT: else each request would leave its cycle to the collector
        self.end(self._ended_at)
