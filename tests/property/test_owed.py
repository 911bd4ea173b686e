"""Whatever happens: nothing is due twice, nothing that was replaced, and no delete of other contents."""

from dataclasses import replace
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gollamas.config.model import Server
from gollamas.events import JobKind
from gollamas.fleet.entries import Entry
from gollamas.fleet.owed import Debt, Owed
from tests.unit.fleet.fleets import key_of

_ONE: Final = Server(id="a", scheme="http", host="10.0.0.1", port=11434)
_SERVERS: Final = (_ONE, replace(_ONE, id="b"), replace(_ONE, host="10.0.0.2"))  # two of them are called "a"
_KEYS: Final = tuple(key_of(name) for name in "mn")

servers = st.sampled_from(_SERVERS)
keys = st.sampled_from(_KEYS)
digests = st.sampled_from(("1" * 64, "2" * 64))


class OwedMachine(RuleBasedStateMachine):
    """What may still be due, told beside by the plainest rule: the last of each server and model."""

    def __init__(self) -> None:
        super().__init__()
        self.owed = Owed()
        self.open: dict[tuple[Server, str], Debt] = {}
        self.made = 0

    @rule(server=servers, key=keys, kind=st.sampled_from(tuple(JobKind)), digest=st.none() | digests)
    def owe(self, server: Server, key: str, kind: JobKind, digest: str | None) -> None:
        self.made += 1  # no two are equal
        debt = Debt(kind, server.id, key, key, digest, float(self.made), b"")
        self.owed.owe(server, debt)
        self.open.pop((server, key), None)
        if kind is JobKind.PULL or (kind is JobKind.DELETE and digest is not None):
            self.open[server, key] = debt

    @rule(key=keys, ids=st.sets(st.sampled_from("abc")))
    def replaced(self, key: str, ids: set[str]) -> None:
        self.owed.replaced(key, ids)
        for server in _SERVERS:
            if server.id in ids:
                self.open.pop((server, key), None)

    @rule(kept=st.sets(servers))
    def retain(self, kept: set[Server]) -> None:
        self.owed.retain(kept)
        self.open = {place: debt for place, debt in self.open.items() if place[0] in kept}

    @rule(server=servers, has=st.dictionaries(keys, st.sets(digests, min_size=1)))
    def returned(self, server: Server, has: dict[str, set[str]]) -> None:
        installed = {}
        for key, contents in has.items():
            installed[key] = Entry(key, key, min(contents), b"{}", 0)
            installed[key].digests = frozenset(contents)
        due, dropped = self.owed.returned(server, installed)
        expected = {debt for (at, _), debt in self.open.items() if at == server}
        assert {*due, *(debt for debt, _ in dropped)} == expected
        assert len(due) + len(dropped) == len(expected)
        for debt in due:
            contents = has.get(debt.key, set())
            if debt.kind is JobKind.DELETE:
                assert contents == {debt.digest}
            else:
                assert debt.digest in contents if contents else debt.digest is None
        for debt, why in dropped:
            assert has.get(debt.key, {None}) != {debt.digest}, why
        self.open = {place: debt for place, debt in self.open.items() if place[0] != server}

    @invariant()
    def all_is_told(self) -> None:
        assert sorted(self.owed.all(), key=lambda debt: debt.since) == sorted(
            self.open.values(), key=lambda debt: debt.since
        )


TestOwed = OwedMachine.TestCase
TestOwed.settings = settings(max_examples=50, stateful_step_count=30)
