"""A request on its way to one server: its head, the model's name, its body, for one attempt.

Owns what a server is told: the path is the route's, the Host the server's, the fields those of the client
that are not for one hop, with ours and the configured ones behind them. Pure.
"""

from typing import Final
from urllib.parse import quote

from gollamas.api import inference
from gollamas.api.inference import NamedModel
from gollamas.api.routes import Kind, Route
from gollamas.config.model import Server
from gollamas.errors import LoopDetected
from gollamas.fleet.policy import Fill
from gollamas.wire import head as heads
from gollamas.wire.body import Pieces
from gollamas.wire.message import Head

_PATH: Final = Kind.PATH  # HOT: CPython 3.11 looks a member of an Enum up by a slow path


class Target:
    """A server as a request's head is made for it; `line` tells the client of it.

    `configured` are names, in lower case, of fields that its configuration sets instead of the client.
    """

    __slots__ = ("_rest", "_starts", "configured", "line", "server")

    def __init__(self, server: Server, line: bytes) -> None:
        self.server = server
        self.line = line
        self.configured = frozenset(name.lower() for name, _ in server.fields)
        # What follows the path: our own fields and the configured ones, which may be secret.
        self._rest = b"".join(
            (
                b" HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n" % server.authority.encode(),
                *(b"%b: %b\r\n" % field for field in server.fields),
            )
        )
        self._starts: dict[Route, bytes] = {}

    def start(self, route: Route) -> bytes:
        """The first lines of a request on a route: they are the same for all of its requests."""
        return self._starts.get(route) or self._starts.setdefault(
            route, self.start_with(route.methods[0].encode(), route.upstream)
        )

    def start_with(self, method: bytes, path: bytes) -> bytes:
        """The first lines of a request whose path is its own."""
        return b"%b %b%b%b" % (method, self.server.prefix.encode(), path, self._rest)


def via_line(head: Head, pseudonym: bytes, plain: bytes) -> bytes:
    """The Via line of a request: `plain` where it comes without one. Raises LoopDetected."""
    if head.is_plain or b"via" not in head.names:
        return plain
    chain = heads.via(head, pseudonym)
    if chain is None:
        raise LoopDetected("this request has been here before: a server's URL leads back to this proxy")
    return b"Via: %b\r\n" % chain


def head_of(named: NamedModel, head: Head, target: Target, model: str, length: int, lines: bytes) -> bytes:
    """The head for one attempt.

    In: the request, its own head, the server, the name that the server is asked for, the bytes of the body,
    ready lines of ours.
    """
    if named.members is not None:  # HOT: the usual request has its model's name in the body alone
        start, end = target.start(named.route), b"Content-Length: %d\r\n\r\n" % length
    else:
        start, end = _start_with_name(named, head, target, model, length)
    return b"%b%b%b%b" % (start, heads.forwarded(head, target.configured), lines, end)


def _start_with_name(
    named: NamedModel, head: Head, target: Target, model: str, length: int
) -> tuple[bytes, bytes]:
    """The first and the last lines of a head whose target holds the model's name, or that of a form."""
    route = named.route
    path = route.upstream
    name = quote(model, safe="").encode()
    if route.kind is _PATH:
        return target.start_with(head.method, path.replace(b":model", name)), b"\r\n"
    if named.in_query:
        path += b"?model=" + name
    return target.start_with(head.method, path), b"Content-Length: %d\r\n\r\n" % length


def make(
    named: NamedModel, head: Head, target: Target, model: str, lines: bytes, fill: Fill | None = None
) -> tuple[bytes, bytes]:
    """The head and the body for one attempt; `fill` is what a policy puts into the body."""
    body = inference.prepare(named, model, fill)
    return head_of(named, head, target, model, len(body), lines), body


def make_in_pieces(
    named: NamedModel, head: Head, target: Target, model: str, lines: bytes, fill: Fill | None = None
) -> tuple[bytes, Pieces]:
    """As `make`, for a large body, which is not copied."""
    pieces = inference.prepare_in_pieces(named, model, fill)
    length = sum([len(piece) for piece in pieces])
    return head_of(named, head, target, model, length, lines), pieces
