"""What happened, as values."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from gollamas.events import (
    AttemptFailed,
    Cause,
    Crashed,
    DigestsDiffer,
    Draining,
    End,
    ModelFound,
    ModelMissing,
    RequestEnded,
    ServerWentDown,
    ServerWentUp,
    Started,
    Stopped,
    Warned,
)
from tests.happened import request_ended


def request(**more: Any) -> RequestEnded:
    """Make the least that is said of a request, and more."""
    return request_ended(request_id="1", client="::1", method="POST", route="/api/chat", **more)


def test_a_request_says_nothing_that_is_not_known() -> None:
    said = request()
    known = {"request_id", "client", "method", "route", "total_s", "bytes_in", "bytes_out", "end", "ended_at"}
    assert {name for name in (one.name for one in fields(said)) if getattr(said, name) is not None} == known
    assert (said.total_s, said.bytes_in, said.bytes_out, said.end) == (0.0, 0, 0, End.DONE)


def test_what_is_said_of_one_request_is_not_said_of_another() -> None:
    first = request(status=200, model="m", tokens_out=7)
    first.end = End.CLIENT_LEFT
    first.bytes_in += 1
    second = request()
    assert (second.status, second.model, second.tokens_out) == (None, None, None)
    assert (second.end, second.bytes_in) == (End.DONE, 0)
    assert (first.end, first.bytes_in, first.tokens_out) == (End.CLIENT_LEFT, 1, 7)


def test_equal_requests_are_equal_events() -> None:
    assert request(status=200) == request(status=200)
    assert request(status=200) != request(status=404)


def test_ends_are_the_words_of_the_log() -> None:
    assert [str(end) for end in End] == [
        "done",
        "refused",
        "client_left",
        "server_broke",
        "timed_out",
        "shut_down",
    ]


@pytest.mark.parametrize(
    "event",
    [
        AttemptFailed(
            request_id="1", server="a", model="m", cause=Cause.CONNECT, why="refused", moves_on=True
        ),
        ServerWentUp("a", "0.32.15"),
        ServerWentDown("a", "refused"),
        DigestsDiffer("m", ("a", "b")),
        ModelMissing("m", "a"),
        ModelFound("m", "a"),
        Started(listen=("localhost:11434",), admin=None, servers=(), models=(), aliases=()),
        Draining(2, 30.0),
        Stopped(0),
        Warned("text"),
        Crashed("a request", ValueError()),
    ],
)
def test_what_happened_does_not_change(event: Any) -> None:
    name = fields(event)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(event, name, "other")
    assert getattr(event, name) != "other"
