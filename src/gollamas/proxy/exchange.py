"""A request that is routed by its model: it acts on its attempts, until an answer has gone out.

Owns the sending of an attempt and what a request's end does. What is next says `fleet/attempts`, the bytes
for a server makes `api/outbound`, an answer passes in `relay`. A request for which a connection is there
runs within the callbacks of both sides; one that has to wait does so in `waiting`.
"""

from collections.abc import Awaitable
from typing import Final

from gollamas.api import inference, outbound
from gollamas.api.inference import NamedModel
from gollamas.events import Cause
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import Attempts, Fail, LookUp, Outcome, Over, PassHeld, Step, Try, UnknownModel
from gollamas.net.contracts import Later
from gollamas.net.sources import TaskSource
from gollamas.net.upstream import ServerConnection
from gollamas.proxy import waiting
from gollamas.proxy.relay import BUSY_STATUS, Call, Relay
from gollamas.system import defects
from gollamas.wire.message import Body

_BUSY: Final = "busy: its queue is full"


class Exchange(Call):
    """Serves one request that is routed by its model.

    It is the `Call` that relays read, and what `waiting` attends to.
    """

    attempts: Attempts | None = None
    _unloads = False
    _connection: ServerConnection
    _sent_at: float  # when the connection was there
    _ended_at: float | None = None
    _relay: Relay | None = None
    _held: tuple[Relay, Lease] | None = None  # the last busy answer
    _source: TaskSource | None = None  # of its client, while it waits

    def begin(self, body: Body) -> Later | None:
        """Answer the request; what has to wait for a name or a connection is returned."""
        event = self.event
        event.bytes_in = len(body)
        context, snapshot = self.context, self.snapshot
        try:
            named = self.named = inference.read(self.route, self.head, body)
            event.model = named.name
            self._unloads = named.unloads
            attempts = self.attempts = Attempts(
                snapshot.routing,
                context.view,
                context.admission,
                named.name,
                replays=snapshot.replays,
            )
            step = self._take(attempts.first(), self.client.complete_at)
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            self.fail(error)
            return None
        return None if step is None else self._later(step)

    @property
    def _attempts(self) -> Attempts:
        """What decides, once a model's name was read."""
        attempts = self.attempts
        assert attempts is not None  # noqa: S101 - nothing is sent or waited for before
        return attempts

    def _later(self, step: Step) -> Later:
        self.client.source = self._source = TaskSource(self.client)
        return waiting.attend(self, step)

    # -- steps ---------------------------------------------------------------------------------------

    def act(self, step: Step) -> Step | None:
        """Take a step, at once where it needs no wait; else it is answered."""
        return self._take(step, self.context.clock())

    def _take(self, step: Step, now: float) -> Step | None:
        if isinstance(step, Try):
            connection = None
            if not step.is_replay:
                connection = self.snapshot.connections[step.lease.server].take()
            if connection is None:
                return step
            self._connection, self._sent_at = connection, now
            round_ = self.client.round
            if round_.has_stages:
                round_.then(self._send)
            else:
                self._send()
        elif isinstance(step, LookUp):
            return step
        elif isinstance(step, Fail):
            error = step.error
            if isinstance(error, UnknownModel):
                error = inference.not_found(self.route, self._attempts.model)
            self.fail(error)
        elif isinstance(step, PassHeld):
            self._pass_held()
        else:
            self._over(step)
        return None

    def _pass_held(self) -> None:
        """Pass a busy server's own words on: nobody else is left."""
        held = self._held
        assert held is not None  # noqa: S101 - else the step were an error
        relay, lease = held
        self.event.server, self.event.why = lease.server, lease.why
        relay.pass_held_on()
        self.passed(relay)

    def _over(self, step: Over) -> None:
        relay = self._relay
        self._may_have_changed(step.lease)
        self.event.end = step.end
        if relay is not None:
            self.event.bytes_out = relay.bytes_out
        self._conclude()

    # -- waiting -------------------------------------------------------------------------------------

    def dial(self, lease: Lease) -> Awaitable[ServerConnection]:
        """Make a connection to a server."""
        return self.snapshot.connections[lease.server].dial()

    def look_up(self, key: str) -> Awaitable[bool]:
        """Ask the servers for a name."""
        return self.context.look_up(key)

    def looked_up(self, *, is_known: bool) -> Step | None:
        """Go on now that the servers were asked for the name."""
        return self.act(self._attempts.looked_up(is_known=is_known))

    def refused(self, why: str) -> Step | None:
        """Go on without a connection to the server."""
        lease = self._attempts.lease
        step = self._attempts.refused(why, self.context.clock())
        return self._go_on(step, lease, Cause.CONNECT, why)

    def connected(self, connection: ServerConnection) -> None:
        """Send the request over the connection that was made for it."""
        self._connection = connection
        self._sent_at = self.context.clock()
        self._send()

    def cancelled(self) -> bool:
        """End, since the client left or the grace period is over; whether it was answered."""
        if self._source is not None and self._source.is_cut:
            self.fail(self._attempts.shut_down())
            return True
        self.abandon()
        return False

    # -- an attempt ----------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send the request over its connection; what comes back goes through a relay."""
        try:
            self._send_on(self._connection)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self._connection.abort()
            self.fail(error)

    def _send_on(self, connection: ServerConnection) -> None:
        client, attempts, named = self.client, self._attempts, self.named
        lease, found = attempts.lease, attempts.found
        assert named is not None  # noqa: S101 - it is let go only when an answer has begun
        if self.route.loads and not named.only_unloads:
            if client.has_ended:  # which is leaving, once a model runs: none is to begin
                connection.home.give(connection)
                self.abandon()
                return
            client.fin_means_left = True
        assert lease is not None and found is not None  # noqa: S101, PT018 - an attempt has both
        target = self.snapshot.targets[lease.server]
        model = found.model
        if self.route.minds_case:
            model = found.name_minding_case(self.context.view, lease.server)
        event = self.event
        event.server = lease.server
        event.why = lease.why
        event.alias = found.alias
        event.model_used = model
        self._send_to(connection, target, named, model)
        # HOT: what follows does not keep the server waiting.
        relay = self._relay = Relay(self, connection, lease, target.line, self._sent_at)
        if model != named.name:
            relay.renames(model, named.name)
        connection.expect(relay)
        event.wait_s = self._sent_at - client.complete_at
        if client.is_paused:
            connection.pause()

    def _send_to(
        self, connection: ServerConnection, target: outbound.Target, named: NamedModel, model: str
    ) -> None:
        context = self.context
        via = outbound.via_line(self.head, context.pseudonym, context.via)
        lines = b"%b%b%b" % (via, self.client.forwarded_line, self.id_line)
        if named.is_large:
            head, pieces = outbound.make_in_pieces(named, self.head, target, model, lines)
            connection.send_pieces(head, pieces)
        else:
            start, body = outbound.make(named, self.head, target, model, lines)
            connection.send(start, body)

    def _go_on(self, step: Step, lease: Lease | None, cause: Cause, why: str) -> Step | None:
        """Tell that a server failed the request, and take the step that follows."""
        if lease is not None:
            self.attempt_failed(lease.server, cause, why, moves_on=isinstance(step, Try))
        return self.act(step)

    # -- what a relay calls --------------------------------------------------------------------------

    def may_move_on(self) -> bool:
        """Whether another server could be asked."""
        return self._attempts.is_another_left()

    def passed(self, relay: Relay) -> None:
        """The whole answer has gone out."""
        try:
            relay.account()
            event = self.event
            if event.status == BUSY_STATUS and relay.held is None:  # nobody else was there to be asked
                self.attempt_failed(event.server or "", Cause.BUSY, _BUSY)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self.fail(error)
            return
        self._ended_at = relay.ended_at
        round_ = self.client.round
        if round_.has_stages:
            round_.then(self._conclude)
        else:
            self._conclude()

    def attempt_ended(self, relay: Relay, outcome: Outcome) -> None:
        """An attempt has ended before its answer's end: so has the request, or another attempt follows."""
        attempts = self._attempts
        try:
            lease = attempts.lease
            why = relay.why
            if outcome is Outcome.BUSY:
                why = _BUSY
                if relay.held is not None and lease is not None:
                    self._held, attempts.has_held = (relay, lease), True
            has_begun = self.event.status is not None
            step = attempts.after(outcome, why, is_kept=relay.is_kept, has_begun=has_begun)
            is_replay = isinstance(step, Try) and step.is_replay
            cause = None if is_replay else outcome.value
            next_step = self.act(step) if cause is None else self._go_on(step, lease, cause, why)
            if next_step is not None:
                self.client.run(self._later(next_step))
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self.fail(error)

    # -- ends ----------------------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """End with an answer of ours."""
        if self._relay is not None:
            self._relay.abort()
        self._release()
        self.event.wait_s = None  # of the attempt that answered: none did
        self.answer_error(error)
        self._conclude()

    def abandon(self) -> None:
        """End for a client that has left."""
        relay = self._relay
        if relay is not None:
            self.event.bytes_out = relay.bytes_out
            relay.abort()
        self.note_client_left()
        if self.event.status is None:
            self.event.wait_s = None
        self._conclude()

    def _release(self) -> None:
        """Give the lease back."""
        lease = self.attempts.release() if self.attempts is not None else None
        if lease is not None:
            self._may_have_changed(lease)

    def _may_have_changed(self, lease: Lease) -> None:
        """Have a server asked anew whose models in memory this attempt changed."""
        if (not lease.is_loaded or self._unloads) and self.event.status is not None and self.route.loads:
            try:
                self.context.changed(lease.server)
            except Exception as defect:  # noqa: BLE001 - the request ends, whoever hears of it
                defects.tell("telling of a change", defect)

    def _conclude(self) -> None:
        self._release()
        self._relay = self._held = None  # HOT: else each request would leave its cycle to the collector
        self.conclude(self._ended_at)
