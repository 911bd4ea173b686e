"""The attempts of one request: where the first one goes, and what follows from what became of each.

Owns the order of the attempts and the rule of when another server may be tried: only before a byte of an
answer went out, and only where asking a model twice changes nothing (RFC 9110, section 9.2.2). Pure: it reads
the view and takes leases; whoever asks it acts on the steps that it answers, one after another.
"""

from enum import Enum
from typing import Final

from gollamas import names
from gollamas.errors import (
    BadRequest,
    LoadFailed,
    ModelNotFound,
    ProxyError,
    ServerBroke,
    ServerRefused,
    ServerTooSlow,
    ShuttingDown,
)
from gollamas.events import Cause, End, LoadCause
from gollamas.fleet import planning
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.choose import choose
from gollamas.fleet.planning import PassedOver
from gollamas.fleet.policy import Asked
from gollamas.fleet.routing import Finding, Found, Unknown
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.view import View


class Outcome(Enum):
    """How an attempt ended whose answer did not go to the client whole: by the server, or since we go."""

    BUSY = Cause.BUSY  # a 503 that is held, since another server may do it
    VARIANT_GONE = "variant gone"  # a 404 for a variant of ours: it is made again
    UNANSWERED = Cause.UNANSWERED
    BROKE_EARLY = Cause.BROKE_EARLY
    TOO_SLOW = Cause.TOO_SLOW
    BROKE_LATE = Cause.BROKE_LATE  # the client was told
    WENT_SILENT = Cause.WENT_SILENT  # the same
    SHUT_DOWN = "shut down"  # the grace period ended


class Try:
    """Ask the lease's server; over a connection that is made for it where `is_replay`."""

    __slots__ = ("is_replay", "lease")

    def __init__(self, lease: Lease, *, is_replay: bool = False) -> None:
        self.lease = lease
        self.is_replay = is_replay


class Load:
    """Have the lease's server load the model with these runner options; then `Attempts.loaded`."""

    __slots__ = ("cause", "lease", "options")

    def __init__(self, lease: Lease, options: RunnerOptions, cause: LoadCause) -> None:
        self.lease = lease
        self.options = options
        self.cause = cause


class MakeVariant:
    """Have the lease's server make the model's variant with this context; then `Attempts.variant_made`."""

    __slots__ = ("lease", "num_ctx")

    def __init__(self, lease: Lease, num_ctx: int) -> None:
        self.lease = lease
        self.num_ctx = num_ctx


class AwaitList:
    """Wait for the first list of the lease's server, which says what it has; then `Attempts.listed`."""

    __slots__ = ("lease",)

    def __init__(self, lease: Lease) -> None:
        self.lease = lease


class LookUp:
    """Ask the servers once for a name that nobody knew; then `Attempts.looked_up`."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key


class Fail:
    """Answer with this error."""

    __slots__ = ("error",)

    def __init__(self, error: ProxyError) -> None:
        self.error = error


class PassHeld:
    """Pass the busy answer on that was held: nobody else is left."""

    __slots__ = ()


class Over:
    """The answer had begun, from the server of this lease: the request has ended with it."""

    __slots__ = ("end", "lease")

    def __init__(self, end: End, lease: Lease) -> None:
        self.end = end
        self.lease = lease


MOVES_ON: Final = (Try, Load, MakeVariant, AwaitList)  # the steps that ask a server for more
Step = Try | Load | MakeVariant | AwaitList | LookUp | Fail | PassHeld | Over

_SHUTTING_DOWN: Final = "gollamas is shutting down: try again"


class UnknownModel(ModelNotFound):
    """No server is to run the model that was asked for: the text is the route's to say."""


class Attempts:
    """Decides the steps of one request for `model`, as its client wrote the name.

    `wanted` are its runner options: its model is loaded with them before it is sent. With None it is sent at
    once, since it loads nothing, or Ollama is to say what is wrong with it. `asked` is set where a policy may
    be asked about it.
    `replays` allows the same question again where a connection ended before a byte of an answer. `found` is
    set from the first attempt on; `lease` is the one that is held now. `has_held` is set by whoever keeps a
    busy server's whole answer. One whose limit the request exceeds is passed over, as those that were tried.
    """

    __slots__ = (
        "_admission", "_awaited", "_has_moved_on", "_has_remade", "_load_error", "_made_for",
        "_passed_over", "_replays", "_routing", "_tried", "_view", "_wanted", "asked", "found", "has_held",
        "lease", "model",
    )  # fmt: skip

    def __init__(
        self,
        routing: Finding,
        view: View,
        admission: Admission,
        model: str,
        wanted: RunnerOptions | None,
        *,
        replays: bool,
    ) -> None:
        self.model = model
        self.found: Found | None = None
        self.lease: Lease | None = None
        self.has_held = False
        self._routing = routing
        self._view = view
        self._admission = admission
        self._wanted = wanted
        self.asked: Asked | None = None
        self._made_for: Lease | None = None  # a variant, once: what is not there then, is never there
        self._has_remade = False  # a variant that had gone from its server
        self._replays = replays
        self._awaited: frozenset[str] = _NOBODY  # servers whose first list was waited for
        self._load_error: ProxyError | None = None  # why the last one that was asked to has not loaded it
        self._tried: frozenset[str] = _NOBODY
        self._passed_over: PassedOver | None = None  # by the limits of the model's servers, where it has some
        self._has_moved_on = False  # after a fresh connection ended before a byte came

    def first(self) -> Step:
        """Find out where the request may go, and begin if that is known."""
        found = self._routing.find(self.model, self._view)
        if isinstance(found, Found):
            self.found = found
            return self._next(found)
        if isinstance(found, Unknown):
            return LookUp(found.key) if found.may_look_up else self._unknown()
        if names.names_both_sources(self.model):
            return Fail(BadRequest(f'use either :local or :cloud, not both: "{self.model}"'))
        return Fail(BadRequest("invalid model name"))

    def looked_up(self, *, is_known: bool) -> Step:
        """Go on now that the servers were asked for the name."""
        if is_known:
            found = self._routing.find(self.model, self._view)
            if isinstance(found, Found):
                self.found = found
                return self._next(found)
        error = self._routing.cannot_tell(self._view)
        return self._unknown() if error is None else Fail(error)

    def refused(self, why: str, now: float) -> Step:
        """Go on to another server: the one that gave no connection is down until a probe succeeds."""
        lease = self.lease
        assert lease is not None  # noqa: S101 - as below
        self._view.connect_failed(lease.server, why, now)
        return self._move_on()

    def listed(self) -> Step:
        """Go on now that the server has said what it has, or takes too long to."""
        return self._again()

    def variant_made(self, error: ProxyError | None, now: float) -> Step:
        """Go on now that the variant is there, or the server has refused to make it; else another server."""
        return self._again() if error is None else self._not_ready(error, now)

    def loaded(self, error: ProxyError | None, now: float) -> Step:
        """Go on now that the load has ended: send the request, or try another server."""
        lease = self.lease
        assert lease is not None  # noqa: S101 - as below
        if error is None or (is_missing(error) and not self.is_another_left()):
            server = lease.held
            lease.instance = None if server is None else server.instances.get(lease.key)
            if error is not None:
                lease.variant = None  # of what has gone; the model's own answer says so
            return Try(lease)
        return self._not_ready(error, now)

    def after(self, outcome: Outcome, why: str, *, is_kept: bool, has_begun: bool) -> Step:
        """Say what follows from how an attempt ended.

        In: `why` in words; whether its connection had served before; whether an answer has begun to go out.
        """
        lease = self.lease
        assert lease is not None  # noqa: S101 - an attempt holds one
        if outcome is Outcome.BUSY:
            return self._move_on()
        if outcome is Outcome.VARIANT_GONE:
            self._has_remade, self._made_for = True, None
            server, variant = lease.held, lease.variant
            assert server is not None and variant is not None  # noqa: S101, PT018 - see `may_remake`
            server.variants.removed(variant, server.memory.changed())
            return self._again()
        if outcome is Outcome.UNANSWERED and self._replays:
            if is_kept:
                # The server closed it while we wrote. RFC 9112, section 9.3.1, leaves the repetition to the
                # client, but asking a model twice changes nothing.
                return Try(lease, is_replay=True)
            if not self._has_moved_on and self.is_another_left():
                self._has_moved_on = True
                return self._move_on()
        self.release()
        error = None if has_begun else _error_of(outcome, lease.server, why)
        return Over(_ENDS[outcome], lease) if error is None else Fail(error)

    def shut_down(self) -> ProxyError:
        """Say to a client that waits that the grace period has ended."""
        self.release()
        return ShuttingDown(_SHUTTING_DOWN)

    def is_another_left(self) -> bool:
        """Whether another server could still be asked, beside the one that is."""
        lease, found = self.lease, self.found
        if found is None or len(found.candidates) == 1:
            return False
        tried = self._tried if lease is None else self._tried | {lease.server}
        return choose(self._view, found.candidates, found.key, tried) is not None

    def may_remake(self) -> bool:
        """Whether a variant that turned out to be gone could be made again for this attempt."""
        lease = self.lease
        return lease is not None and lease.variant is not None and not self._has_remade

    def release(self) -> Lease | None:
        """Give the lease back that is held; answers it, once."""
        lease, self.lease = self.lease, None
        if lease is not None:
            self._admission.release(lease)
        return lease

    def _move_on(self) -> Step:
        """Leave this server for good, and bind another one."""
        lease, found = self.release(), self.found
        assert lease is not None and found is not None  # noqa: S101, PT018 - an attempt was made of them
        self._tried = self._tried | {lease.server}
        return self._next(found)

    def _next(self, found: Found) -> Step:
        """Bind a server to the next attempt."""
        if found.policies is not None and self.asked is not None:
            return self._next_by_policy(found, self.asked)
        lease = self._admission.admit(self.model, found, self._tried)
        if isinstance(lease, Lease):  # HOT: one comparison, other than to ask whether it is an error
            self.lease = lease
            wanted, instance = self._wanted, lease.instance
            lease.wanted = wanted
            if wanted is None or (instance is not None and instance.options is wanted):
                return Try(lease)
            return self._after_load(lease, wanted)
        return self._nobody_left(lease)

    def _next_by_policy(self, found: Found, asked: Asked) -> Step:
        """Bind a server to the next attempt; one that lowers the context only where no other is left."""
        admission, passed_over = self._admission, self._passed_over
        if passed_over is None:
            passed_over = self._passed_over = planning.judge(self._view, self.model, found, asked)
            self._tried = self._tried.union(passed_over.barred)
        lease = None
        if passed_over.lowering:
            lease = admission.admit(self.model, found, self._tried.union(passed_over.lowering))
        if not isinstance(lease, Lease):
            lease = admission.admit(self.model, found, self._tried, passed_over.barred)
        if isinstance(lease, Lease):
            self.lease = lease
            return self._by_policy(lease, found, asked)
        return self._nobody_left(passed_over.refusal or lease)

    def _nobody_left(self, error: ProxyError) -> Step:
        if self.has_held:
            return PassHeld()  # a server's own words are better than ours
        return Fail(self._load_error or error)

    def _again(self) -> Step:
        """Decide anew on the server that is bound: what is known of it has changed."""
        lease, found = self.lease, self.found
        assert lease is not None and found is not None  # noqa: S101, PT018 - an attempt was made of them
        server = lease.held
        lease.instance = None if server is None else server.instances.get(lease.key)
        if found.policies is not None and self.asked is not None:
            return self._by_policy(lease, found, self.asked)
        return Try(lease) if lease.wanted is None else self._after_load(lease, lease.wanted)

    def _not_ready(self, error: ProxyError, now: float) -> Step:
        """Go on to another server: this one did not do what has to come before the request."""
        lease = self.lease
        assert lease is not None  # noqa: S101 - as below
        if isinstance(error, ServerRefused):
            self._view.connect_failed(lease.server, error.text, now)
        else:
            self._load_error = error
        return self._move_on()

    def _by_policy(self, lease: Lease, found: Found, asked: Asked) -> Step:
        """Decide what comes first on the server that is bound, by the policy that the model has there."""
        policies = found.policies or {}
        num_ctx = planning.plan(lease, policies.get(lease.server), asked, self._wanted)
        if num_ctx is not None:
            if self._must_await_list(lease):
                return AwaitList(lease)
            may_make = self._made_for is not lease
            if planning.must_make_variant(lease, num_ctx, self._wanted, may_make=may_make):
                self._made_for = lease
                return MakeVariant(lease, num_ctx)
        wanted, instance = lease.wanted, lease.instance
        if wanted is None or (instance is not None and instance.options is wanted):
            return Try(lease)
        return self._after_load(lease, wanted)

    def _must_await_list(self, lease: Lease) -> bool:
        """Whether the server's first list is to be waited for, once."""
        server = lease.held
        if server is None or server.has_listed or server.id in self._awaited:
            return False
        self._awaited = self._awaited | {server.id}
        return True

    def _after_load(self, lease: Lease, wanted: RunnerOptions) -> Step:
        """Have the model loaded first, unless the server has it just so, or is not to load it at all."""
        server, instance = lease.held, lease.instance
        if names.is_cloud(lease.key):
            return Try(lease)
        if self._must_await_list(lease):
            return AwaitList(lease)
        entry = None if server is None else server.installed.get(lease.key)
        if entry is None or entry.is_remote:
            return Try(lease)  # what it does not list, it can't load: its own answer says so
        if instance is None:
            return Load(lease, wanted, LoadCause.COLD)
        return Try(lease) if instance.takes(wanted) else Load(lease, wanted, LoadCause.OPTIONS)

    def _unknown(self) -> Fail:
        return Fail(UnknownModel(f"model '{self.model}' not found"))


def is_missing(error: ProxyError) -> bool:
    """Whether a server turned out to lack the model."""
    return isinstance(error, LoadFailed) and error.is_missing


def _error_of(outcome: Outcome, server_id: str, why: str) -> ProxyError:
    """What a client is told of an attempt that ended before an answer began."""
    if outcome is Outcome.SHUT_DOWN:
        return ShuttingDown(_SHUTTING_DOWN)
    kind = ServerTooSlow if outcome is Outcome.TOO_SLOW else ServerBroke
    return kind(f"server {server_id} gave no answer: {why}")


_NOBODY: Final[frozenset[str]] = frozenset()
# What the outcome of an answer that had begun means for the request.
_ENDS: Final = {
    Outcome.BROKE_LATE: End.SERVER_BROKE,
    Outcome.WENT_SILENT: End.TIMED_OUT,
    Outcome.SHUT_DOWN: End.SHUT_DOWN,
}
