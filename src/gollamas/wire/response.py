"""Answers of a server out of the bytes of its connection, and heads of answers into bytes (RFC 9112).

Owns where an answer ends: by length, by chunks, or by the connection's end, which llhttp does not tell.
One reader serves a connection: `begin` before each request, `feed` with what came, `finished` at the end of
the connection. Bodies collect in `pieces`, each read's worth at a time.
"""

import itertools
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

import httptools

from gollamas.wire.head import HOP_BY_HOP, BadHead, check_coding, connection_names, content_length, joined
from gollamas.wire.message import Fields

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 100
_H: Final = ord("H")
_MAX_INTERIM: Final = 10
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_BODILESS: Final = frozenset({204, 304})

# Not for the client: it is framed anew, CORS is answered by us, and these two names are ours.
_CORS: Final = frozenset(
    b"access-control-" + end
    for end in (
        b"allow-origin",
        b"allow-credentials",
        b"allow-methods",
        b"allow-headers",
        b"expose-headers",
        b"max-age",
    )
)
_REPLACED: Final = frozenset({b"content-length", b"x-request-id", b"x-gollamas-server"}) | HOP_BY_HOP | _CORS
_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Ends(Enum):
    """What tells the end of an answer's body."""

    AT_ONCE = "no body"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "until close"


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What is known of an answer beside its body."""

    status: int
    fields: Fields
    names: dict[bytes, bytes]
    ends: Ends
    length: int
    is_complete: bool


# HOT: CPython 3.11 looks a member of an Enum up by a slow path (0.1 us).
_LENGTH: Final = Ends.LENGTH
_CLOSE: Final = Ends.CLOSE


class BadAnswer(Exception):
    """The server sent what is no answer, or none that can be passed on."""


class _Stop(Exception):
    """Bytes came behind a whole answer."""


class ResponseReader:
    """Reads the answers of one connection, one after another."""

    __slots__ = (
        "_head_bytes",
        "_interim",
        "_is_head_request",
        "_parse",
        "_parser",
        "ends",
        "fields",
        "has_head",
        "is_complete",
        "keeps_alive",
        "length",
        "names",
        "on_body",
        "pieces",
        "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # HOT: stays in C
        self._is_head_request = True  # makes the first `begin` build a parser
        self.begin(is_head_request=False)

    def begin(self, *, is_head_request: bool) -> None:
        """Expect an answer; to HEAD it has no body whatever its fields say (RFC 9110, section 9.3.2)."""
        if self._is_head_request:
            self._parser = httptools.HttpResponseParser(self)
            self._parse = self._parser.feed_data
        self._is_head_request = is_head_request
        self.status = 0
        self.fields: Fields = []
        self.names: dict[bytes, bytes] = {}
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False
        self.ends = _CLOSE
        self.length = 0
        self._head_bytes = 0
        self._interim = 0
        self.pieces.clear()

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came; raises BadAnswer. After it see `has_head`, `pieces` and `is_complete`."""
        try:
            if self.has_head:  # HOT: first, since most reads are pieces of a stream
                if self.is_complete:
                    self.keeps_alive = False
                else:
                    self._parse(data)
                return
            if not self._head_bytes and data and data[0] != _H:
                raise BadAnswer("it is not HTTP: another protocol")  # llhttp takes RTSP and ICE too
            self._head_bytes += len(data)
            self._parse(data)
        except httptools.HttpParserError as why:
            self._stopped(why)
        if not self.has_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                raise BadAnswer("its head is longer than 32 KiB")
        elif self._is_head_request and not _ends_with_head(bytes(data)):
            self.pieces.clear()
            self.keeps_alive = False

    def _stopped(self, why: httptools.HttpParserError) -> None:
        """An error behind a whole answer only means that the connection can't be used again."""
        cause = why.__context__
        if isinstance(cause, BadAnswer):
            raise cause from None
        if not self.is_complete:
            raise BadAnswer(f"it is not HTTP: {why}") from why
        self.keeps_alive = False

    @property
    def has_begun(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._head_bytes > 0

    def finished(self) -> bool:
        """The connection ended in order; True when the answer is whole by that."""
        if self.has_head and not self.is_complete and self.ends is _CLOSE:
            self.is_complete = True
            self.keeps_alive = False
        return self.is_complete

    def keep_head(self) -> AnswerHead:
        """The head as a value of its own, for when the connection goes on to another answer."""
        return AnswerHead(self.status, self.fields, self.names, self.ends, self.length, is_complete=True)

    def let_go(self) -> None:
        """Free the head's fields: a stream lives long."""
        self.fields, self.names = [], {}

    def take(self) -> bytes:
        """The body bytes since the last call."""
        pieces = self.pieces
        if len(pieces) == 1:
            return pieces.pop()
        body = b"".join(pieces)
        pieces.clear()
        return body

    # The names that httptools calls.
    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # else a trailer, which is dropped
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if status < 100 or status == 101 or self._interim > _MAX_INTERIM:
                raise BadAnswer(f"it sent status {status} unasked")
            self.fields = []
            return
        self.status = status
        self._read_framing()
        self.has_head = True
        self.is_complete = self._is_head_request

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True

    def _read_framing(self) -> None:
        version = self._parser.get_http_version()
        fields = self.fields
        if version not in _VERSIONS or self.status > 599:
            raise BadAnswer(f"it sent HTTP/{version} and status {self.status}")
        if len(fields) > MAX_FIELDS:
            raise BadAnswer(f"its head has more than {MAX_FIELDS} fields")
        if self._head_bytes > MAX_HEAD_BYTES and sum(map(len, itertools.chain(*fields))) > MAX_HEAD_BYTES:
            raise BadAnswer("its head is longer than 32 KiB")
        names = self.names = {name.lower(): value for name, value in fields}
        if len(names) != len(fields):
            self.names = names = joined(fields)
        keeps_alive = version == "1.1"
        if (connection := names.get(b"connection")) is not None:
            tokens = connection.lower()
            keeps_alive = b"close" not in tokens and (keeps_alive or b"keep-alive" in tokens)
        coding = names.get(b"transfer-encoding")
        length = names.get(b"content-length")
        try:
            if coding is not None:
                check_coding(coding)
                if version == "1.0" or length is not None:
                    raise BadAnswer("its framing is ambiguous")
                self.ends = Ends.CHUNKED
            elif length is not None:
                self.length = content_length(length)
                self.ends = _LENGTH
        except BadHead as why:
            raise BadAnswer(why.text) from why
        if self.status in _BODILESS:
            self.ends = Ends.AT_ONCE
        self.keeps_alive = keeps_alive and self.ends is not _CLOSE


def _ends_with_head(data: bytes) -> bool:
    """Whether nothing stands behind the head whose end is in this read."""
    end = data.find(b"\r\n\r\n")
    return end == len(data) - 4 if end >= 0 else b"\r\n\r\n".endswith(data[-4:])


def status_line(status: int) -> bytes:
    """The first line of an answer. Its reason is the standard one: clients don't read it (RFC 9112, 4)."""
    return _LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def end_to_end(fields: Fields, names: dict[bytes, bytes]) -> list[bytes]:
    """The lines of a server's fields that the client gets (RFC 9110, section 7.6.1), with their CRLF.

    `names` are the same fields by name.
    """
    dropped = _REPLACED
    if (connection := names.get(b"connection")) is not None:
        dropped |= connection_names(connection)
    if len(fields) == len(names):  # HOT: then both have one order, and no name is made lower again
        pairs = zip(names, fields, strict=True)
        return [b"%b: %b\r\n" % field for lower, field in pairs if lower not in dropped]
    return [b"%b: %b\r\n" % field for field in fields if field[0].lower() not in dropped]


def head_bytes(line: bytes, fields: Fields, ours: bytes) -> bytes:
    """A whole head: `ours` are lines with their CRLF, put behind the fields."""
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"".join((line, *lines, ours, b"\r\n"))
