"""A request as one server gets it: its head, the model's name, its body."""

import pytest

from gollamas.api.inference import read
from gollamas.api.outbound import Target, make, make_in_pieces, via_line
from gollamas.api.routes import Route, find
from gollamas.config.model import Server
from gollamas.errors import LoopDetected
from gollamas.wire import head as heads
from gollamas.wire.message import Head
from tests.recorded import make_head
from tests.unit.wire.readers import LIMITS

LINES = b"Via: 1.1 me\r\nX-Request-Id: 1\r\n"
PLAIN = b"Via: 1.1 me\r\n"


def target(prefix: str = "", *fields: tuple[bytes, bytes]) -> Target:
    """Make the target of a server."""
    server = Server(id="a", scheme="http", host="gpu-1", port=11434, prefix=prefix, fields=fields)
    return Target(server, b"")


def route_of(path: bytes) -> Route:
    """Find a route."""
    route = find(path)
    assert route is not None
    return route


def asked(path: bytes, *fields: tuple[bytes, bytes], method: bytes = b"POST") -> Head:
    """Make a client's head."""
    head = make_head(method, path, [(b"Host", b"proxy"), *fields])
    heads.check(head, LIMITS)
    return head


def test_a_head_has_the_path_of_the_route_the_host_of_the_server_and_our_lines_last() -> None:
    head = asked(b"/api/chat", (b"X-A", b"1"), (b"Content-Length", b"13"), (b"Accept-Encoding", b"br"))
    named = read(route_of(b"/api/chat"), head, b'{"model":"m"}')
    start, body = make(named, head, target("/below"), "m", LINES)
    assert start == (
        b"POST /below/api/chat HTTP/1.1\r\nHost: gpu-1:11434\r\nAccept-Encoding: identity\r\n"
        b"X-A: 1\r\n" + LINES + b"Content-Length: 13\r\n\r\n"
    )
    assert body == b'{"model":"m"}'


def test_another_name_changes_the_body_and_its_length() -> None:
    head = asked(b"/api/chat")
    named = read(route_of(b"/api/chat"), head, b'{"model":"m","x":1}')
    start, body = make(named, head, target(), "other", LINES)
    assert body == b'{"model":"other","x":1}'
    assert start.endswith(b"Content-Length: 23\r\n\r\n")
    pieces_start, pieces = make_in_pieces(named, head, target(), "other", LINES)
    assert (pieces_start, b"".join(pieces)) == (start, body)


def test_a_configured_field_takes_the_place_of_the_client_s() -> None:
    head = asked(b"/api/chat", (b"Authorization", b"Bearer client"), (b"X-A", b"1"))
    named = read(route_of(b"/api/chat"), head, b'{"model":"m"}')
    start, _ = make(named, head, target("", (b"Authorization", b"Bearer server")), "m", LINES)
    assert start.count(b"Authorization") == 1
    assert b"Authorization: Bearer server\r\n" in start
    assert b"X-A: 1\r\n" in start


def test_a_name_in_the_path_is_escaped() -> None:
    head = asked(b"/v1/models/a%3A8b", method=b"GET")
    named = read(route_of(b"/v1/models/x"), head, b"")
    start, body = make(named, head, target(), "a:8b", LINES)
    assert start.startswith(b"GET /v1/models/a%3A8b HTTP/1.1\r\n")
    assert b"Content-Length" not in start
    assert body == b""


@pytest.mark.parametrize(("query", "path"), [(b"?model=m", b"?model=other"), (b"?x=1", b"")])
def test_a_name_in_the_query_goes_on_in_the_query(query: bytes, path: bytes) -> None:
    form = b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--X--\r\n'
    if path:
        form = form.replace(b'"model"', b'"other"')
    kind = (b"Content-Type", b"multipart/form-data; boundary=X")
    head = asked(b"/v1/audio/transcriptions" + query, kind)
    named = read(route_of(b"/v1/audio/transcriptions"), head, form)
    start, body = make(named, head, target(), "other", LINES)
    assert start.startswith(b"POST /v1/audio/transcriptions" + path + b" HTTP/1.1\r\n")
    assert body == (form if path else form.replace(b"\r\nm\r\n", b"\r\nother\r\n"))


def test_via_is_ours_where_there_was_none_and_extended_where_there_was_one() -> None:
    assert via_line(asked(b"/api/chat"), b"me", PLAIN) is PLAIN
    assert via_line(asked(b"/api/chat", (b"Connection", b"close")), b"me", PLAIN) is PLAIN
    assert via_line(asked(b"/api/chat", (b"Via", b"1.1 x")), b"me", PLAIN) == b"Via: 1.1 x, 1.1 me\r\n"
    with pytest.raises(LoopDetected):
        via_line(asked(b"/api/chat", (b"Via", b"1.1 me")), b"me", PLAIN)
