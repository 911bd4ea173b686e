"""Answers of a server out of the bytes of its connection (RFC 9112).

Owns where an answer ends: by length, by chunks, or by the connection's end, which llhttp does not tell.
One reader serves a connection: `begin` behind each answer, `feed` with what came, `at_eof` at the end of
the connection. Bodies collect in `pieces`, each read's worth at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

import httptools

from gollamas.wire.fields import CONTENT_LENGTH, connection_names, name_of, passes_to_client, without
from gollamas.wire.head import BadHead, check_coding, content_length
from gollamas.wire.message import names_of
from gollamas.wire.scan import line_at, number_in, value_in

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 100
_H: Final = ord("H")
_MAX_INTERIM: Final = 10
_T = TypeVar("_T")
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_OK_LINE_START: Final = b"HTTP/1.1 200 "
_NOBODY: Final = object()
_BODILESS: Final = frozenset({204, 304})


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
    lines: bytes
    names: dict[bytes, bytes]
    ends: Ends
    length: int
    is_complete: bool
    is_plain: bool = True  # as a reader's: what Connection names is not among `lines`


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
        "_head_bytes", "_interim", "_is_1_1", "_is_head_request", "_judge", "_names", "_parse", "_parser",
        "_raw", "_repeats", "ends", "has_head", "is_complete", "is_plain", "keeps_alive", "length", "lines",
        "on_body", "pieces", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # HOT: stays in C
        self.status = 0
        self.ends = _CLOSE
        self.length = 0
        self._is_1_1 = False
        self._is_head_request = True  # makes the first `begin` build a parser
        self._judge: httptools.HttpResponseParser | None = None  # of answers that come whole
        self.begin()

    def begin(self, *, is_head_request: bool = False) -> None:
        """Expect an answer; to HEAD it has no body whatever its fields say (RFC 9110, section 9.3.2)."""
        if self._is_head_request:
            self._parser = httptools.HttpResponseParser(self)
            self._parse = self._parser.feed_data
        self._is_head_request = is_head_request
        self.lines = b""  # of the fields that are for clients, as they were sent, with their CRLF
        self._raw = b""  # the answer itself, where it came whole
        self._names: dict[bytes, bytes] | None = None
        self.has_head = self.is_complete = self.keeps_alive = False
        self.is_plain = True  # no field but Content-Length says anything to a proxy
        self._head_bytes = self._interim = self._repeats = 0
        self.pieces.clear()

    def feed(self, data: bytes) -> None:
        """Take what came; raises BadAnswer. After it see `has_head`, `pieces` and `is_complete`."""
        try:
            if self.has_head:  # HOT: first, since most reads are pieces of a stream
                if self.is_complete:
                    self.keeps_alive = False
                else:
                    self._parse(data)
                return
            is_start = not self._head_bytes
            self._head_bytes += len(data)
            if is_start:
                if not self._is_head_request and data.startswith(_OK_LINE_START) and self._read_whole(data):
                    return
                self._judge = None  # its memory is not needed while the answer streams
                self._is_1_1 = data.startswith(b"HTTP/1.1 ")
                if not self._is_1_1 and data and data[0] != _H:
                    raise BadAnswer(_other_protocol(data))  # llhttp takes RTSP and ICE too
            self._parse(data)
        except httptools.HttpParserError as why:
            self._stopped(why)
        if not self.has_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                raise BadAnswer("its head is longer than 32 KiB")
        elif self._is_head_request and not _ends_with_head(data):
            self.pieces.clear()
            self.keeps_alive = False

    def _read_whole(self, data: bytes) -> bool:
        """Read an answer that came whole, with a plain length; whether it did.

        HOT: small answers do. llhttp judges one without a call for each of its parts; any other is read anew
        by its calls.
        """
        size = min(len(data), MAX_HEAD_BYTES)
        _, start = line_at(data, 0, size)
        kept, count, length = start, 0, -1
        lines = b""
        while True:
            colon, end = line_at(data, start, size)
            if end <= start + 2:
                break
            count += 1
            if not passes_to_client(data[start], colon - start):
                name = name_of(data[start:colon])
                if name is CONTENT_LENGTH and length < 0:
                    length = number_in(value_in(data, colon + 1, end - 2))
                elif name.for_us:
                    return False
                if not name.for_clients:
                    if kept < start:
                        lines = lines + data[kept:start]  # `+=` would be a call
                    kept = end
            start = end
        if not end or length != len(data) - end or count > MAX_FIELDS or not self._is_sound(data):
            return False
        self.lines = lines + data[kept:start] if kept < start else lines
        body = data[end:]
        self._raw = data
        self.status = 200
        self.ends, self.length = _LENGTH, length
        self.has_head = self.is_complete = self.keeps_alive = True
        if body:
            self.pieces.append(body)
        return True

    def _is_sound(self, data: bytes) -> bool:
        """Whether llhttp finds nothing wrong with a whole answer."""
        judge = self._judge
        if judge is None:
            judge = self._judge = httptools.HttpResponseParser(_NOBODY)
        try:
            judge.feed_data(data)
        except httptools.HttpParserError:
            self._judge = None
            return False
        return True

    @property
    def names(self) -> dict[bytes, bytes]:
        """Values by name in lower case, joined where one is repeated."""
        names = self._names
        if names is None:
            names = self._names = names_of(self._raw) if self._raw else {}
        return names

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

    def at_eof(self) -> bool:
        """The connection ended in order; True when the answer is whole by that."""
        if self.has_head and not self.is_complete and self.ends is _CLOSE:
            self.is_complete = True
            self.keeps_alive = False
        return self.is_complete

    def keep_head(self) -> AnswerHead:
        """The head as a value of its own, for when the connection goes on to another answer."""
        return AnswerHead(self.status, end_to_end(self), self.names, self.ends, self.length, is_complete=True)

    def let_go(self) -> None:
        """Free the head's fields: a stream lives long."""
        self.lines = self._raw = b""
        self._names = None

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
        if self.has_head:
            return  # a trailer, which is dropped
        known = name_of(name)
        lower = known.lower
        names = self.names
        if lower in names:
            self._repeats += 1
            if self._repeats < MAX_FIELDS:
                names[lower] += b", " + value
        else:
            names[lower] = value
        if known.for_us and known is not CONTENT_LENGTH:
            self.is_plain = False
        # Of a head that is refused anyway no more is kept: bytes are copied each time.
        if known.for_clients and len(names) + self._repeats <= MAX_FIELDS:
            self.lines += b"%b: %b\r\n" % (name, value)

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()  # a build knows no type of another package
        self.status = status
        if not 200 <= status < 600:
            if self._is_interim(status):
                return
            raise BadAnswer(f"it sent status {status}{' unasked' if status < 200 else ''}")
        names = self.names
        if self._repeats or self._head_bytes > MAX_HEAD_BYTES or len(names) > MAX_FIELDS:
            self._refuse_large()
        keeps_alive = self._is_1_1 or self._says_1_1()
        length = names.get(b"content-length")
        # HOT: the usual answer has a plain length and says nothing of the connection.
        if length is not None and self.is_plain:
            self.length = _checked(content_length, length)
            ends = _LENGTH
        else:
            keeps_alive = self._keeps_alive(_connection(names), is_1_1=keeps_alive)
            ends = self._read_framing(length, is_1_1=self._is_1_1)
        if status in _BODILESS:
            ends = Ends.AT_ONCE
        self.ends = ends
        self.keeps_alive = keeps_alive and ends is not _CLOSE
        self.has_head = True
        self.is_complete = self._is_head_request

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True

    def _is_interim(self, status: int) -> bool:
        """Whether this is a head before the answer's own, which is passed over (RFC 9110, section 15.2)."""
        self._interim += 1
        if status < 100 or status >= 200 or status == 101 or self._interim > _MAX_INTERIM:
            return False
        names = self.names
        if names.get(CONTENT_LENGTH.lower, b"0") != b"0" or b"transfer-encoding" in names:
            raise BadAnswer(f"it sent status {status} with a body")  # llhttp would read it as the answer's
        self.lines, self._names, self._repeats, self.is_plain = b"", None, 0, True
        self._is_1_1 = False  # the next line says its own
        return True

    def _refuse_large(self) -> None:
        names = self.names
        if len(names) + self._repeats > MAX_FIELDS:
            raise BadAnswer(f"its head has more than {MAX_FIELDS} fields")
        if sum(len(name) + len(value) for name, value in names.items()) > MAX_HEAD_BYTES:
            raise BadAnswer("its head is longer than 32 KiB")

    def _says_1_1(self) -> bool:
        """The version of a head whose first line did not come in one piece, or behind another one."""
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise BadAnswer(f"it sent HTTP/{version} and status {self.status}")
        self._is_1_1 = version == "1.1"
        return self._is_1_1

    @staticmethod
    def _keeps_alive(connection: bytes | None, *, is_1_1: bool) -> bool:
        if connection is None:
            return is_1_1
        tokens = connection.lower()
        return b"close" not in tokens and (is_1_1 or b"keep-alive" in tokens)

    def _read_framing(self, length: bytes | None, *, is_1_1: bool) -> Ends:
        """What tells the body's end (RFC 9112, section 6.3)."""
        coding = self.names.get(b"transfer-encoding")
        if coding is not None:
            if not is_1_1 or length is not None:
                raise BadAnswer("its framing is ambiguous")
            _checked(check_coding, coding)
            return Ends.CHUNKED
        if length is None:
            return _CLOSE
        self.length = _checked(content_length, length)
        return _LENGTH


def _connection(names: dict[bytes, bytes]) -> bytes | None:
    """What is said of the connection; the older name too, since llhttp reads nothing behind its `close`."""
    said = names.get(b"connection")
    return names.get(b"proxy-connection") if said is None else said


def _checked(check: Callable[[bytes], _T], value: bytes) -> _T:
    """Read a field as a request's would be; what is wrong with it is the server's fault."""
    try:
        return check(value)
    except BadHead as why:
        raise BadAnswer(why.text) from why


def _other_protocol(data: bytes) -> str:
    """Say what came instead of HTTP: TLS answers what it can't read with an alert (RFC 8446, section 5.1)."""
    if data.startswith(b"\x15\x03"):
        return "it speaks TLS: write https:// in its URL"
    return "it is not HTTP: another protocol"


def _ends_with_head(data: bytes) -> bool:
    """Whether nothing stands behind the head whose end is in this read."""
    end = data.find(b"\r\n\r\n")
    return end == len(data) - 4 if end >= 0 else b"\r\n\r\n".endswith(data[-4:])


def end_to_end(head: ResponseReader | AnswerHead) -> bytes:
    """The lines of a server's fields that the client gets (RFC 9110, section 7.6.1), with their CRLF."""
    connection = None if head.is_plain else head.names.get(b"connection")
    if connection is None or not (named := connection_names(connection)):
        return head.lines
    return without(head.lines, named)
