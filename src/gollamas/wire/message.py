"""The values that cross the wire: a request's head, a whole request, an answer.

Owns shapes only; `head` decides what is acceptable, `request` and `response` make them of bytes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from gollamas.wire.fields import NOT_FOR_SERVERS

Field = tuple[bytes, bytes]
Fields = list[Field]

MAX_FIELDS: Final = 100  # of a head

_NONE: Final[frozenset[bytes]] = frozenset()
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})


@dataclass(slots=True, init=False)
class Head:
    """A request's head: llhttp fills it as it comes, `head.check` reads what it says and finds it sound."""

    method: bytes
    path: bytes  # of the origin form, still percent-encoded; the whole target until it is checked
    query: bytes  # without the question mark
    names: dict[bytes, bytes]  # values by name in lower case; those of a repeated name joined by ", "
    lines: list[bytes]  # of the fields that are for servers, as they were sent, with CRLF
    repeats: int  # fields whose name had come before
    repeated: bytes  # one of their names, where it must stand once
    is_http10: bool
    keep_alive: bool
    hop_names: frozenset[bytes]  # what Connection names beside close and keep-alive
    length: int  # of the body, where it is not chunked
    is_chunked: bool
    expects_continue: bool

    def __init__(self) -> None:
        self.method = self.path = self.query = self.repeated = b""
        self.names = {}
        self.lines = []
        self.repeats = self.length = 0
        self.is_http10 = self.is_chunked = self.expects_continue = False
        self.keep_alive = True
        self.hop_names = _NONE

    def get(self, name: bytes) -> bytes | None:
        """The field of this name, which is given in lower case."""
        return self.names.get(name)

    def on_url(self, part: bytes) -> None:
        """Take a part of the target; httptools calls it by this name."""
        self.path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; httptools calls it by this name."""
        # HOT: the one pass over the fields; every later question is a look-up.
        lower = name.lower()
        names = self.names
        if lower in names:
            self._repeat(lower, value)
        else:
            names[lower] = value
        if lower not in NOT_FOR_SERVERS:
            self.lines.append(name + b": " + value + b"\r\n")

    def _repeat(self, lower: bytes, value: bytes) -> None:
        """A list is one value (RFC 9110, section 5.3); what frames a request or names its host is no list."""
        self.repeats += 1
        if self.repeats < MAX_FIELDS:  # else it is refused, and joining so many would take long
            self.names[lower] += b", " + value
        if lower in _ONCE:
            self.repeated = lower


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
