"""The values that cross the wire: a request's head, a whole request, an answer.

Owns shapes only; `head` decides what is acceptable, `request` and `response` make them of bytes.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

Field = tuple[bytes, bytes]
Fields = list[Field]


@dataclass(slots=True)
class Head:
    """A request's head after every check of `wire/head`."""

    method: bytes
    path: bytes  # of the origin form, still percent-encoded
    query: bytes  # without the question mark
    fields: Fields  # as they were sent
    names: dict[bytes, bytes]  # the same by name in lower case; values of a repeated name joined by ", "
    is_http10: bool = False
    keep_alive: bool = True
    hop_names: frozenset[bytes] = frozenset()  # what Connection names beside close and keep-alive
    length: int = 0  # of the body, where it is not chunked
    is_chunked: bool = False
    expects_continue: bool = False

    def get(self, name: bytes) -> bytes | None:
        """The field of this name, which is given in lower case."""
        return self.names.get(name)


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
