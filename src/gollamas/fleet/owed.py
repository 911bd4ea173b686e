"""What servers missed while they were down, and whether it is still to be done when they return.

Owns the rule: a pull or a delete is done once, as long as nobody has changed that model on that server in
the meantime. Refuses to do it. A server at another address is another server, whatever it is called. Pure.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from gollamas.config.model import Server
from gollamas.events import JobKind
from gollamas.fleet.entries import Entry


class Debt(NamedTuple):
    """A job that one server missed."""

    kind: JobKind
    server_id: str
    key: str
    name: str  # as it was asked for
    digest: str | None  # what the server had last; None where it lacked the model
    since: float  # monotonic
    body: bytes  # the request's
    was_seen: bool = True  # the server has said what it has


class Returned(NamedTuple):
    """What a server that is back is owed, and what it is owed no more, each with a sentence that says why."""

    due: list[Debt]
    dropped: list[tuple[Debt, str]]


class Owed:
    """What all servers are owed: one job for each model, the last."""

    def __init__(self) -> None:
        self._debts: dict[Server, dict[str, Debt]] = {}

    def owe(self, server: Server, debt: Debt) -> None:
        """Note what a server missed, in place of what it missed before of this model.

        Only a pull and a delete are owed, and a delete only of what was seen there.
        """
        debts = self._debts.setdefault(server, {})
        debts.pop(debt.key, None)
        if debt.kind is JobKind.PULL or (debt.kind is JobKind.DELETE and debt.digest):
            debts[debt.key] = debt

    def replaced(self, key: str, server_ids: Iterable[str]) -> None:
        """Note that a later job of this model goes to these servers."""
        ids = frozenset(server_ids)
        for server, debts in self._debts.items():
            if server.id in ids:
                debts.pop(key, None)

    def returned(
        self, server: Server, installed: Mapping[str, Entry], later: Container[str] = ()
    ) -> Returned:
        """Give what a server is owed, and forget it.

        In: what it has now, by key; the models of which later jobs wait for their turn, which stay owed.
        """
        found = Returned([], [])
        debts = self._debts.pop(server, {})
        kept = {key: debt for key, debt in debts.items() if key in later}
        if kept:
            self._debts[server] = kept
        for debt in debts.values():
            if debt.key in kept:
                continue
            why = _objection(debt, installed.get(debt.key))
            if why is None:
                found.due.append(debt)
            else:
                said = f"{debt.server_id} missed the {debt.kind} of {debt.name} and is owed it no more: {why}"
                found.dropped.append((debt, said))
        return found

    def retain(self, servers: Iterable[Server]) -> None:
        """Forget what is owed to all but these."""
        kept = frozenset(servers)
        for server in self._debts.keys() - kept:
            del self._debts[server]

    def all(self) -> Sequence[Debt]:
        """Give all that is owed, the oldest of a server first."""
        return [debt for debts in self._debts.values() for debt in debts.values()]


def _objection(debt: Debt, entry: Entry | None) -> str | None:
    """Say what somebody has done to the model meanwhile; None for nothing."""
    if not debt.was_seen:
        return None
    if entry is None:
        return None if debt.digest is None else "it does not have it any more"
    if debt.digest is None:
        return "it has it now, and was not known to have it"
    if debt.digest not in entry.digests:
        return "what it has by that name is not what it had"
    if debt.kind is JobKind.DELETE and len(entry.digests) > 1:  # one for each runner; a delete takes them all
        return "it has other contents by that name, too"
    return None
