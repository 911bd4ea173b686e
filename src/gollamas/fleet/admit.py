"""Who may use a server now: `admit` gives a lease, `release` takes it back.

Owns the count of requests in flight. Refuses to know connections.
"""

from collections.abc import Collection, Mapping
from typing import Final

from gollamas.errors import NoServerLeft
from gollamas.fleet.choose import choose
from gollamas.fleet.policy import Plan
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View

_NOTHING: Final[Mapping[str, str]] = {}


class Lease:
    """The right to use `server` for one attempt. `why` says what decided for it.

    `instance` is the model in the server's memory, None where it is not there; `held` is what
    `Admission.release` takes back, None when that was done. `loads` is how many loads the server had seen.
    What the attempt is to do is set by who decides: `wanted` are the runner options that the model is loaded
    with, `plan` is what a policy makes of it, `variant` the name that the server is asked for in place of the
    model's.
    """

    __slots__ = ("held", "instance", "key", "loads", "plan", "server", "variant", "wanted", "why")

    def __init__(self, held: ServerView, why: str, key: str) -> None:
        self.held: ServerView | None = held
        self.server = held.id
        self.why = why
        self.key = key
        self.instance = held.instances.get(key)
        self.loads = held.memory.loads
        self.wanted: RunnerOptions | None = None
        self.plan: Plan | None = None
        self.variant: str | None = None


class Admission:
    """The one door to the servers of a view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def admit(
        self, model: str, found: Found, tried: Collection[str], barred: Mapping[str, str] = _NOTHING
    ) -> Lease | NoServerLeft:
        """Bind a server to one attempt, or say why there is none.

        In: the model's name as people know it, for the error; the ids of servers that failed the request, and
        those of them that it was too large for, with the reason.
        """
        key = found.key
        choice = choose(self._view, found.candidates, key, tried)
        if choice is None:
            return NoServerLeft(self._nobody(model, found, tried, barred))
        server = self._view.servers[choice.server_id]
        server.in_flight += 1
        by_model = server.in_flight_by_model
        by_model[key] = by_model.get(key, 0) + 1
        return Lease(server, choice.why, key)

    def release(self, lease: Lease) -> None:
        """Give a lease back, once however often it is called."""
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

    def _nobody(self, model: str, found: Found, tried: Collection[str], barred: Mapping[str, str]) -> str:
        """Say what the client reads: the model, each of its servers, what is wrong with it."""
        troubles = []
        for server_id in found.candidates:
            server = self._view.servers.get(server_id)
            # One that is up and tried has ended its connection before a byte of an answer.
            failed = "it gave no answer" if server_id in tried else "not reachable"
            why = barred.get(server_id) or (server.why_down if server is not None else "") or failed
            troubles.append(f"{server_id}: {why}")
        return f"model '{model}' is not available: no server can be reached ({'; '.join(troubles)})"
