"""A request that is routed by its model: it acts on its attempts, until an answer has gone out.

Owns the sending of an attempt and what a request's end does. What is next says `fleet/attempts`, the bytes
for a server makes `api/outbound`, an answer passes in `relay`. A request for which a connection is there
runs within the callbacks of both sides; one that has to wait does so in `waiting`.
"""

from typing import Final

from gollamas.api import inference
from gollamas.errors import ProxyError, ServerRefused
from gollamas.events import Cause
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import (
    MOVES_ON,
    Attempts,
    AwaitList,
    Fail,
    Load,
    LookUp,
    MakeVariant,
    Outcome,
    Over,
    PassHeld,
    Step,
    Try,
    UnknownModel,
)
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.net.contracts import Later
from gollamas.net.sources import TaskSource
from gollamas.net.upstream import ServerConnection
from gollamas.proxy import waiting
from gollamas.proxy.relay import BUSY_STATUS, Relay
from gollamas.proxy.sending import Sender
from gollamas.wire.message import Body

_BUSY: Final = "busy: its queue is full"


class Exchange(Sender):
    """Serves one request that is routed by its model.

    It is the `Call` that relays read, and what `waiting` attends to.
    """

    _ended_at: float | None = None
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
            self.unloads = named.unloads
            wanted: RunnerOptions | None = None  # where nothing is to be loaded for it
            if self.route.loads:
                if named.unloads and named.only_unloads:
                    self.only_unloads = True
                else:
                    self.runs_model, wanted = True, named.runner_options
            attempts = self.attempts = Attempts(
                snapshot.routing_for(self.head),
                context.view,
                context.admission,
                named.name,
                wanted,
                replays=snapshot.replays,
            )
            if snapshot.has_policies and self.route.loads:
                attempts.asked = named.asked(wanted)
            step = self._take(attempts.first(), self.client.complete_at)
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            self.fail(error)
            return None
        return None if step is None else self._later(step)

    def _later(self, step: Step) -> Later:
        self.client.source = self._source = TaskSource(self.client)
        return waiting.attend(self, step)

    # -- steps ---------------------------------------------------------------------------------------

    def act(self, step: Step) -> Step | None:
        """Take a step, at once where it needs no wait; else it is answered."""
        return self._take(step, self.context.clock())

    def _take(self, step: Step, now: float) -> Step | None:
        if isinstance(step, Try):
            if self.only_unloads and self.keeps(step.lease):
                self._conclude()
                return None
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
        elif isinstance(step, (LookUp, AwaitList, MakeVariant)):
            return step if not isinstance(step, MakeVariant) or self.may_run() else None
        elif isinstance(step, Load):
            return self._load(step, now)
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
        self.note_effects(step.lease)
        self.event.end = step.end
        if relay is not None:
            self.event.bytes_out = relay.bytes_out
        self._conclude()

    def _load(self, step: Load, now: float) -> Step | None:
        """Have the model loaded; who waits for that is a client that may leave."""
        if not self.may_run():
            return None
        event, lease = self.event, step.lease
        event.server, event.why = lease.server, lease.why
        self._load_began_at = now
        embeds = self.route.embeds
        self.waiter = self.context.load(lease, step.options, step.cause, event.request_id, embeds)
        return step

    # -- waiting -------------------------------------------------------------------------------------

    def looked_up(self, *, is_known: bool) -> Step | None:
        """Go on now that the servers were asked for the name."""
        return self.act(self._attempts.looked_up(is_known=is_known))

    def listed(self) -> Step | None:
        """Go on now that the server has said what it has, or takes too long to."""
        return self.act(self._attempts.listed())

    def variant_made(self, error: ProxyError | None) -> Step | None:
        """Go on now that a variant is there, or the server has refused to make it."""
        lease = self._attempts.lease
        step = self._attempts.variant_made(error, self.context.clock())
        return self.act(step) if error is None else self._not_ready(step, lease, error)

    def loaded(self) -> Step | None:
        """Go on now that the load has ended; others of these weights wait until the request is sent."""
        waiter, attempts, now = self.waiter, self._attempts, self.context.clock()
        self.note_wait_for_load(now)
        error = None if waiter is None else waiter.error
        lease = attempts.lease
        step = attempts.loaded(error, now)
        if error is not None:
            self.let_wait_no_more()
        if error is None or (isinstance(step, Try) and step.lease is lease):
            return self.act(step)
        return self._not_ready(step, lease, error)

    def _not_ready(self, step: Step, lease: Lease | None, error: ProxyError) -> Step | None:
        """Go on from a server that did not do what has to come before the request."""
        cause = Cause.CONNECT if isinstance(error, ServerRefused) else Cause.LOAD
        return self._go_on(step, lease, cause, error.text)

    def refused(self, why: str) -> Step | None:
        """Go on without a connection to the server."""
        self.let_wait_no_more()  # another load may take this waiter's place
        lease = self._attempts.lease
        step = self._attempts.refused(why, self.context.clock())
        return self._go_on(step, lease, Cause.CONNECT, why)

    def connected(self, connection: ServerConnection) -> None:
        """Send the request over the connection that was made for it."""
        self._connection, self._sent_at = connection, self.context.clock()
        self._send()

    def cancelled(self) -> bool:
        """End, since the client left or the grace period is over; whether it was answered."""
        if self._source is not None and self._source.is_cut:
            self.fail(self._attempts.shut_down())
            return True
        self.abandon()
        return False

    def _go_on(self, step: Step, lease: Lease | None, cause: Cause, why: str) -> Step | None:
        """Tell that a server failed the request, and take the step that follows."""
        if lease is not None:
            self.attempt_failed(lease.server, cause, why, moves_on=isinstance(step, MOVES_ON))
        return self.act(step)

    # -- what a relay calls --------------------------------------------------------------------------

    def may_move_on(self) -> bool:
        """Whether another server could be asked."""
        return self._attempts.is_another_left()

    def may_remake(self) -> bool:
        """Whether the variant that was asked for could be made again."""
        return self._attempts.may_remake()

    def passed(self, relay: Relay) -> None:
        """The whole answer has gone out."""
        try:
            relay.account()
            event = self.event
            if event.tokens_in is not None and not self.route.embeds:
                self.note_overflow(self._attempts.lease, event.tokens_in)
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
            cause = outcome.value
            if is_replay or not isinstance(cause, Cause):
                next_step = self.act(step)
            else:
                next_step = self._go_on(step, lease, cause, why)
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
        if self.waiter is not None:
            self.let_wait_no_more()
        lease = self.attempts.release() if self.attempts is not None else None
        if lease is not None:
            self.note_effects(lease)

    def _conclude(self) -> None:
        self._release()
        self._relay = self._held = None  # HOT: else each request would leave its cycle to the collector
        self.conclude(self._ended_at)
