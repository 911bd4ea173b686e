"""The field that limits a request to one server: what it names, and what is said where it names none."""

from collections.abc import Iterable

import pytest

from gollamas.api.one_server import asked_server
from gollamas.errors import BadRequest
from gollamas.wire.head import HeadLimits, check, split
from gollamas.wire.message import Head
from tests.unit.fleet.fleets import config

MADE = config({"m": ["gpu-1", "gpu-2"]}, servers=["10.0.0.7:11434", "a,b"])


def head_of(lines: Iterable[bytes]) -> Head:
    """Return a head with these lines."""
    raw = b"POST /api/chat HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(line + b"\r\n" for line in lines)
    head, limits = Head(), HeadLimits(64 * 1024, 100)
    assert split(head, raw, limits) == len(raw)
    check(head, limits)
    return head


def refused(*lines: bytes) -> str:
    """Return what is said of a head with these lines."""
    with pytest.raises(BadRequest) as why:
        asked_server(head_of(lines), MADE)
    return why.value.text


def test_a_request_without_the_field_is_not_limited() -> None:
    """Be its head plain or not."""
    plain, other = head_of([]), head_of([b"Via: 1.1 x"])
    assert (plain.is_plain, other.is_plain) == (True, False)
    assert asked_server(plain, MADE) is None
    assert asked_server(other, MADE) is None


@pytest.mark.parametrize(
    ("line", "server_id"),
    [
        (b"X-Gollamas-Server: gpu-2", "gpu-2"),
        (b"x-gollamas-server:gpu-1", "gpu-1"),
        (b"X-GOLLAMAS-SERVER:\t gpu-2 \t", "gpu-2"),
        (b"x-Gollamas-sErver: 10.0.0.7:11434", "10.0.0.7:11434"),
        (b"X-Gollamas-Server: a,b", "a,b"),
    ],
)
def test_the_field_names_a_server_by_its_id(line: bytes, server_id: str) -> None:
    """However its name is written, and whatever else the head says."""
    assert asked_server(head_of([line]), MADE) == server_id
    assert asked_server(head_of([b"Connection: X-Gollamas-Server", line]), MADE) == server_id
    assert not head_of([line]).is_plain


@pytest.mark.parametrize("value", ["gpu-9", "GPU-2", "gpu", "*", "gpü", "gpu-1 gpu-2"])
def test_a_server_that_nobody_configured_is_named_and_no_other(value: str) -> None:
    """Ids are compared as they are written."""
    said = refused(b"X-Gollamas-Server: " + value.encode())
    assert said == f"no server '{value}' is configured (X-Gollamas-Server)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"x" * 9000, "x" * 64 + "…"),
        (b"x" * 64, "x" * 64),
        (b"a\x80\xffb", "a\ufffd\ufffdb"),
        (b"a\xe2\x80\xaeb", "a\\u202eb"),
        (b"\xe2\x80\xae" * 60, "\\u202e" * 10 + "\\u20" + "…"),
    ],
)
def test_what_is_quoted_of_a_client_is_short_and_printable(value: bytes, shown: str) -> None:
    assert refused(b"X-Gollamas-Server: " + value) == f"no server '{shown}' is configured (X-Gollamas-Server)"


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-Gollamas-Server: gpu-1", b"X-Gollamas-Server: gpu-2"],
        [b"X-Gollamas-Server: gpu-1", b"x-gollamas-server: gpu-1"],
        [b"X-Gollamas-Server: gpu-1", b"X-Gollamas-Server:"],
        [b"X-Gollamas-Server: a", b"X-Gollamas-Server: b"],
        [b"X-Gollamas-Server: gpu-1,gpu-2"],
    ],
)
def test_several_servers_are_refused(lines: list[bytes]) -> None:
    """Be they one field or two, and the same twice as well."""
    said = refused(*lines)
    assert (
        said == "X-Gollamas-Server is there more than once, or names several servers: it takes the id of one"
    )


@pytest.mark.parametrize("value", [b"", b"  ", b"\t"])
def test_an_empty_field_is_refused(value: bytes) -> None:
    assert (
        refused(b"X-Gollamas-Server:" + value) == "X-Gollamas-Server is empty: it takes the id of one server"
    )
