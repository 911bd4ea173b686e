"""An attempt's request on its way to a server: over a connection that is there, with a relay for its answer.

Owns what is said of an attempt when it is sent, and when a client's end of its side means that it has left.
The bytes are made by `api/outbound`.
"""

from abc import abstractmethod

from gollamas.api import outbound, unloading
from gollamas.api.inference import NamedModel
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import Attempts
from gollamas.fleet.loading import Waiter
from gollamas.fleet.policy import Fill
from gollamas.net.upstream import ServerConnection
from gollamas.proxy.effects import Effects
from gollamas.proxy.relay import Relay


class Sender(Effects):
    """Sends the attempts of one request that is routed by its model."""

    attempts: Attempts | None = None
    waiter: Waiter | None = None  # for a load, until the request was sent
    runs_model = False  # it runs one, or loads it
    only_unloads = False  # its client has the model leave, and nothing more
    _told_others = False  # of that
    _load_began_at = 0.0  # when it began to wait for one
    _connection: ServerConnection
    _sent_at: float  # when the connection was there
    _relay: Relay | None = None

    @property
    def _attempts(self) -> Attempts:
        """What decides, once a model's name was read."""
        attempts = self.attempts
        assert attempts is not None  # noqa: S101 - nothing is sent or waited for before
        return attempts

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End with an answer of ours."""

    def may_run(self) -> bool:
        """Whether a model may be loaded or run now: a client that sends no more has left, so none begins."""
        if self.client.has_ended:
            self.abandon()
            return False
        self.client.fin_means_left = True
        return True

    def keeps(self, lease: Lease) -> bool:
        """Whether this server keeps a model that its client unloads: that is answered here then.

        Its other servers are told to let it go.
        """
        attempts = self._attempts
        assert attempts.found is not None  # noqa: S101 - it has a lease
        if not self._told_others:
            self._told_others = True
            self.context.unload(attempts.found, lease.server)
        plan = lease.plan
        server = lease.held
        if plan is None or not plan.policy.keeps_on_unload or server is None or server.lacks(lease.key):
            return False
        attempts.release()  # before there is a status: nothing has changed on the server
        event = self.event
        event.alias, event.model_used = attempts.found.alias, attempts.found.model
        event.error = "the operator's keep_alive stands: the model stays loaded"
        self.answer(unloading.unloaded(self.route, attempts.model, self.context.unix()))
        return True

    def let_wait_no_more(self) -> None:
        """Let other loads go on: this request was sent, or is not going to be."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            if not waiter.has_ended:
                self.note_wait_for_load(self.context.clock())
            self.context.release(waiter)

    def note_wait_for_load(self, now: float) -> None:
        """Note how long the request has waited for a load: to its end, or until its client left."""
        self.event.load_s = (self.event.load_s or 0.0) + now - self._load_began_at

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
        if self.runs_model and not self.may_run():
            connection.home.give(connection)
            return
        assert lease is not None and found is not None  # noqa: S101, PT018 - an attempt has both
        if self.runs_model and lease.held is not None:
            lease.held.runs += 1
        target = self.snapshot.targets[lease.server]
        model = found.model
        if self.route.minds_case:
            model = found.name_minding_case(self.context.view, lease.server)
        event = self.event
        event.server = lease.server
        event.why = lease.why
        event.alias = found.alias
        event.model_used = model
        plan = lease.plan
        event.num_ctx = None if plan is None else plan.num_ctx
        self._send_to(connection, target, named, lease.variant or model, None if plan is None else plan.fill)
        # HOT: what follows does not keep the server waiting.
        relay = self._relay = Relay(self, connection, lease, target.line, self._sent_at)
        if lease.variant is not None:
            relay.hides(lease.variant, named.name)
        elif model != named.name:
            relay.renames(model, named.name)
        connection.expect(relay)
        event.wait_s = self._sent_at - client.complete_at
        if client.is_paused:
            connection.pause()
        if self.waiter is not None:
            self.let_wait_no_more()

    def _send_to(
        self,
        connection: ServerConnection,
        target: outbound.Target,
        named: NamedModel,
        model: str,
        fill: Fill | None,
    ) -> None:
        context = self.context
        via = outbound.via_line(self.head, context.pseudonym, context.via)
        lines = b"%b%b%b" % (via, self.client.forwarded_line, self.id_line)
        if named.is_large:
            head, pieces = outbound.make_in_pieces(named, self.head, target, model, lines, fill)
            connection.send_pieces(head, pieces)
        else:
            start, body = outbound.make(named, self.head, target, model, lines, fill)
            connection.send(start, body)
