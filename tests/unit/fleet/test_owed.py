"""What a server missed is done when it returns, once, unless somebody changed that model meanwhile."""

from dataclasses import replace
from typing import Final

import pytest

from gollamas.config.model import Server
from gollamas.events import JobKind
from gollamas.fleet.entries import Entry
from gollamas.fleet.owed import Debt, Owed
from tests.unit.fleet.fleets import key_of

A: Final = Server(id="gpu-1", scheme="http", host="10.0.0.1", port=11434)
B: Final = Server(id="gpu-2", scheme="http", host="10.0.0.2", port=11434)
M: Final = key_of("m")
OLD: Final = "1" * 64
NEW: Final = "2" * 64


def debt(kind: JobKind, digest: str | None, name: str = "m", server: Server = A) -> Debt:
    """Make what a server missed."""
    return Debt(kind, server.id, key_of(name), name, digest, 5.0, b'{"model":"%b"}' % name.encode())


def pull(digest: str | None, name: str = "m") -> Debt:
    return debt(JobKind.PULL, digest, name)


def delete(digest: str | None, name: str = "m") -> Debt:
    return debt(JobKind.DELETE, digest, name)


def having(*digests: str, name: str = "m") -> dict[str, Entry]:
    """List one model with these contents, or none."""
    if not digests:
        return {}
    entry = Entry(name, key_of(name), digests[0], b"{}", 0)
    entry.digests = frozenset(digests)
    return {entry.key: entry}


def owing(*debts: Debt) -> Owed:
    owed = Owed()
    for one in debts:
        owed.owe(A, one)
    return owed


@pytest.mark.parametrize(
    ("missed", "now"),
    [
        (pull(None), having()),
        (pull(OLD), having(OLD)),
        (pull(OLD), having(NEW, OLD)),
        (delete(OLD), having(OLD)),
    ],
)
def test_it_is_due_where_nothing_has_changed(missed: Debt, now: dict[str, Entry]) -> None:
    owed = owing(missed)
    assert owed.all() == [missed]
    assert owed.returned(A, now) == ([missed], [])


@pytest.mark.parametrize(
    ("missed", "now", "why"),
    [
        (pull(None), having(NEW), "it has it now, and was not known to have it"),
        (pull(OLD), having(NEW), "what it has by that name is not what it had"),
        (pull(OLD), having(), "it does not have it any more"),
        (delete(OLD), having(NEW), "what it has by that name is not what it had"),
        (delete(OLD), having(), "it does not have it any more"),
        (delete(OLD), having(OLD, NEW), "it has other contents by that name, too"),
    ],
)
def test_it_is_dropped_with_a_reason_where_somebody_changed_the_model(
    missed: Debt, now: dict[str, Entry], why: str
) -> None:
    owed = owing(missed)
    said = f"gpu-1 missed the {missed.kind.value} of m and is owed it no more: {why}"
    assert owed.returned(A, now) == ([], [(missed, said)])


def test_each_is_tried_once() -> None:
    for now in (having(), having(NEW)):
        owed = owing(pull(None))
        owed.returned(A, now)
        assert owed.all() == []
        assert owed.returned(A, having()) == ([], [])


def test_all_of_a_server_come_in_the_order_in_which_they_were_missed() -> None:
    missed = [pull(None), delete(OLD, "n"), pull(None, "o")]
    owed = owing(*missed)
    assert owed.returned(A, having(OLD, name="n")) == (missed, [])


def test_a_later_job_of_the_model_takes_the_place_of_an_earlier() -> None:
    later = delete(OLD)
    owed = owing(pull(OLD), pull(None, "n"), later)
    assert owed.all() == [pull(None, "n"), later]
    last = pull(OLD)._replace(since=7.0)
    owed.owe(A, last)
    assert owed.all() == [pull(None, "n"), last]


def test_a_job_that_goes_to_the_server_replaces_what_is_owed_there() -> None:
    owed = owing(pull(None), pull(None, "n"))
    elsewhere = debt(JobKind.PULL, None, server=B)
    owed.owe(B, elsewhere)
    owed.replaced(M, ["gpu-1", "gpu-3"])
    assert owed.all() == [pull(None, "n"), elsewhere]
    owed.replaced(M, ["gpu-1"])
    assert owed.returned(A, having()) == ([pull(None, "n")], [])


@pytest.mark.parametrize("digest", [None, ""])
def test_a_delete_is_owed_only_where_the_model_was_seen(digest: str | None) -> None:
    owed = owing(pull(None), delete(digest))
    assert owed.all() == []
    assert owed.returned(A, having(OLD)) == ([], [])


@pytest.mark.parametrize("kind", [JobKind.PUSH, JobKind.COPY])
def test_nothing_but_a_pull_or_a_delete_is_owed(kind: JobKind) -> None:
    assert owing(debt(kind, OLD)).all() == []


def test_the_same_id_at_another_address_is_another_server() -> None:
    moved = replace(A, host="10.0.0.9")
    owed = owing(pull(None))
    assert owed.returned(moved, having()) == ([], [])
    assert owed.returned(A, having()) == ([pull(None)], [])


def test_servers_that_are_configured_no_more_are_owed_nothing() -> None:
    owed = owing(pull(None))
    kept = debt(JobKind.PULL, None, server=B)
    owed.owe(B, kept)
    owed.retain([B, replace(A, host="10.0.0.9")])
    assert owed.all() == [kept]
    assert owed.returned(A, having()) == ([], [])


def test_what_a_later_job_may_replace_stays_owed() -> None:
    owed = owing(pull(OLD), pull(OLD, "n"))
    returned = owed.returned(A, having(OLD), later={M})
    assert [one.name for one in returned.due + [debt for debt, _ in returned.dropped]] == ["n"]
    assert [one.name for one in owed.all()] == ["m"]
    assert owed.returned(A, having(OLD)).due == [pull(OLD)]


@pytest.mark.parametrize("now", [having(), having(OLD)])
def test_a_pull_of_what_was_never_listed_is_due_whatever_is_there(now: dict[str, Entry]) -> None:
    missed = pull(None)._replace(was_seen=False)
    assert owing(missed).returned(A, now).due == [missed]
