"""Who may use a server now: `enter` gives a lease, `leave` takes it back.

Owns the count of requests in flight. This form never lets a request wait; the answers have their place for
it, so that a queue changes this file and none of those who call it. Refuses to know connections.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from gollamas.errors import NoServerLeft, ProxyError
from gollamas.fleet.choose import choose
from gollamas.fleet.view import ServerView, View


class Wanting(Protocol):
    """What admission reads of a request."""

    @property
    def model(self) -> str:
        """The model's name as people know it, for the error."""

    @property
    def key(self) -> str:
        """What names are compared by."""

    @property
    def candidates(self) -> Sequence[str]:
        """Ids of the servers that are to run it, in configuration order."""

    @property
    def tried(self) -> Collection[str]:
        """Ids of the servers that failed this request."""


class Wanted:
    """The plain form of `Wanting`: `tried` is for the request's loop to add to."""

    __slots__ = ("candidates", "key", "model", "tried")

    def __init__(self, model: str, key: str, candidates: Sequence[str]) -> None:
        self.model = model
        self.key = key
        self.candidates = candidates
        self.tried: set[str] = set()


class Lease:
    """The right to use `server` for one attempt. `why` says what decided for it.

    `is_loaded` says whether the server had said by then that it has the model loaded; `held` is what
    `Admission.leave` takes back, None when that was done.
    """

    __slots__ = ("held", "is_loaded", "key", "server", "why")

    def __init__(self, held: ServerView, why: str, key: str) -> None:
        self.held: ServerView | None = held
        self.server = held.id
        self.why = why
        self.key = key
        self.is_loaded = key in held.running


class Ticket:
    """A place in the queue."""

    __slots__ = ()


class Wait:
    """The request waits until `leave` names its ticket."""

    __slots__ = ("ticket",)

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket


class Refuse:
    """No server is left for the request."""

    __slots__ = ("error",)

    def __init__(self, error: ProxyError) -> None:
        self.error = error


class Admission:
    """The one door to the servers of a view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def enter(self, request: Wanting, now: float) -> Lease | Wait | Refuse:  # noqa: ARG002 - a queue orders by it
        """Bind a server to one attempt of a request, or say why there is none. `now` is monotonic seconds."""
        key = request.key
        choice = choose(self._view, request.candidates, key, request.tried)
        if choice is None:
            return Refuse(NoServerLeft(self._nobody(request)))
        server = self._view.servers[choice.server_id]
        server.in_flight += 1
        by_model = server.in_flight_by_model
        by_model[key] = by_model.get(key, 0) + 1
        return Lease(server, choice.why, key)

    def leave(self, lease: Lease) -> Sequence[Ticket]:
        """Give a lease back, once however often it is called; return the tickets that may enter now."""
        held = lease.held
        if held is not None:
            lease.held = None
            held.in_flight -= 1
            key = lease.key
            by_model = held.in_flight_by_model
            if by_model[key] > 1:
                by_model[key] -= 1
            else:
                del by_model[key]  # names come from clients: no zeros pile up
        return ()

    def _nobody(self, request: Wanting) -> str:
        """Say what the client reads: the model, each of its servers, what is wrong with it."""
        troubles = []
        for server_id in request.candidates:
            server = self._view.servers.get(server_id)
            why = (server.why_down if server is not None else "") or "not reachable"
            troubles.append(f"{server_id}: {why}")
        return f"model '{request.model}' is not available: no server can be reached ({'; '.join(troubles)})"
