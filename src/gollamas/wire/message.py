"""The values that cross the wire: a request's head, a whole request, an answer.

Owns shapes only; `head` decides what is acceptable, `request` and `response` make them of bytes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64  # to the compiler an index that fits a register, else an int

Field = tuple[bytes, bytes]
Fields = list[Field]

MAX_FIELDS: Final = 100  # of a head

END_OF_HEAD: Final = b"\r\n\r\n"
_BLANK: Final = 0x20
_COLON: Final = 0x3A
_NONE: Final[frozenset[bytes]] = frozenset()


def colon_in(line: bytes) -> int:
    """Where a field's name ends in its line; the line's length where no name does."""
    size: i64 = len(line)
    at: i64 = 0
    while at < size and line[at] != _COLON:  # HOT: `find` reads its arguments first, which takes longer
        at += 1
    return at


def value_in(line: bytes, colon: int) -> bytes:
    """What stands behind the colon of a field's line, without the blanks in front of it."""
    start, end = colon + 1, len(line) - 2
    if start + 1 < end and line[start] == _BLANK and line[start + 1] > _BLANK:
        return line[start + 1 : end]  # HOT: nearly every field
    return line[start:end].lstrip(b" \t") if start < end else b""


def names_of(lines: list[bytes]) -> dict[bytes, bytes]:
    """Values by name in lower case; those of a repeated name joined by ", " (RFC 9110, section 5.3)."""
    names: dict[bytes, bytes] = {}
    for line in lines:
        colon = colon_in(line)
        lower, value = line[:colon].lower(), value_in(line, colon)
        names[lower] = names[lower] + b", " + value if lower in names else value
    return names


@dataclass(slots=True, init=False)
class Head:
    """A request's head: `head.split` fills it, `head.check` reads what it says and finds it sound."""

    method: bytes
    path: bytes  # of the origin form, still percent-encoded; the whole target until it is checked
    query: bytes  # without the question mark
    host: bytes | None  # the value of Host
    fields: list[bytes]  # the lines of all fields, as they were sent, with their CRLF
    lines: list[bytes]  # those of them that are for servers
    is_plain: bool  # HTTP/1.1, and no field but Host and Content-Length says anything to a proxy
    is_http10: bool
    keep_alive: bool
    hop_names: frozenset[bytes]  # what Connection names beside close and keep-alive
    length_text: bytes | None  # of Content-Length
    length: int  # of the body, where it is not chunked
    is_chunked: bool
    expects_continue: bool
    _names: dict[bytes, bytes] | None = field(compare=False, repr=False)

    def __init__(self) -> None:
        self.method = self.path = self.query = b""
        self.host = self.length_text = None
        self.fields = []
        self.lines = []
        self.length = 0
        self.is_http10 = self.is_chunked = self.expects_continue = False
        self.keep_alive = self.is_plain = True
        self.hop_names = _NONE
        self._names = None

    @property
    def names(self) -> dict[bytes, bytes]:
        """The values of all fields: `names_of`."""
        names = self._names
        if names is None:
            names = self._names = names_of(self.fields)
        return names

    def get(self, name: bytes) -> bytes | None:
        """The field of this name, which is given in lower case."""
        return self.names.get(name)

    def let_go(self) -> None:
        """Forget the fields."""
        self.fields = []
        self.lines = []
        self._names = None


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
