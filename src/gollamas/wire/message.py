"""The values that cross the wire: a request's head, a whole request, an answer.

Owns shapes only; `head` decides what is acceptable, `request` and `response` make them of bytes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final

from gollamas.wire.scan import line_at, value_in

Field = tuple[bytes, bytes]
Fields = list[Field]

# A body as it was collected: a large one lies in memory of its own, which goes back when it is let go.
Body = bytes | bytearray | mmap

LARGE_BYTES: Final = 256 * 1024  # of a body: a longer one is copied as little as possible, and served apart

END_OF_HEAD: Final = b"\r\n\r\n"
HTTP_1_1: Final = b"HTTP/1.1\r\n"
_NONE: Final[frozenset[bytes]] = frozenset()


def names_of(raw: bytes) -> dict[bytes, bytes]:
    """Values by name in lower case, out of a whole head.

    Those of a repeated name are joined by ", " (RFC 9110, section 5.3).
    """
    names: dict[bytes, bytes] = {}
    repeated: dict[bytes, list[bytes]] = {}
    size = len(raw)
    _, start = line_at(raw, 0, size)
    while True:
        colon, end = line_at(raw, start, size)
        if end <= start + 2:
            break
        lower, value = raw[start:colon].lower(), value_in(raw, colon + 1, end - 2)
        if lower in names:
            repeated.setdefault(lower, [names[lower]]).append(value)
        else:
            names[lower] = value
        start = end
    for lower, values in repeated.items():
        names[lower] = b", ".join(values)
    return names


class Budget:
    """How many bytes the bodies of some requests may hold together."""

    __slots__ = ("_held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0

    def take(self, size: int) -> bool:
        """Count `size` bytes in; False, and nothing counted, where they do not fit."""
        if self._held + size > self.limit:
            return False
        self._held += size
        return True

    def give(self, size: int) -> None:
        """Count bytes out that were taken."""
        self._held -= size


@dataclass(slots=True, init=False)
class Head:
    """A request's head: `head.split` fills it, `head.check` reads what it says and finds it sound."""

    raw: bytes  # the head itself, the empty line at its end included
    method: bytes
    path: bytes  # of the origin form, still percent-encoded; the whole target until it is checked
    version: bytes  # how the first line ends
    query: bytes  # without the question mark
    host: bytes | None  # the value of Host
    authorization: bytes | None  # that of Authorization
    count: int  # of its fields
    lines: bytes  # of the fields that are for servers, as they were sent, with their CRLF
    is_plain: bool  # HTTP/1.1, and no field but Host, Content-Length and Authorization tells a proxy anything
    is_http10: bool
    keep_alive: bool
    hop_names: frozenset[bytes]  # what Connection names beside close and keep-alive
    length_text: bytes | None  # of Content-Length
    length: int  # of the body, where it is not chunked
    is_chunked: bool
    expects_continue: bool
    _names: dict[bytes, bytes] | None = field(compare=False, repr=False)

    def __init__(self) -> None:
        self.raw = self.method = self.path = self.query = self.lines = b""
        self.version = HTTP_1_1
        self.host = self.authorization = self.length_text = None
        self.length = self.count = 0
        self.is_http10 = self.is_chunked = self.expects_continue = False
        self.keep_alive = self.is_plain = True
        self.hop_names = _NONE
        self._names = None

    @property
    def names(self) -> dict[bytes, bytes]:
        """The values of all fields: `names_of`."""
        names = self._names
        if names is None:
            names = self._names = names_of(self.raw)
        return names

    def get(self, name: bytes) -> bytes | None:
        """The field of this name, which is given in lower case."""
        return self.names.get(name)

    def let_go(self) -> None:
        """Forget the fields."""
        self.raw = self.lines = b""
        self.authorization = self._names = None


@dataclass(slots=True)
class Request:
    """A request whose body is complete."""

    head: Head
    body: bytes
    client: str  # address of the peer


@dataclass(slots=True)
class Answer:
    """An answer of our own.

    `body` as bytes goes out with a Content-Length, as an iterator in chunks as they come. An iterator that
    raises CutOff ends the connection without a last chunk.
    """

    status: int
    fields: Fields
    body: bytes | AsyncIterator[bytes] = b""


class CutOff(Exception):
    """Raised by an answer's body: the connection is reset in the middle of the answer."""
