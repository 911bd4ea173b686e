"""Requests out of the bytes of one client connection (RFC 9112).

Owns where a request begins and its head ends. llhttp judges each head, with a parser of its own; bodies are
framed in `framing`, so that the bytes behind a request are known exactly and no more than one read is ever
parsed ahead. Whoever reads judges the head before a byte of the body is read.
"""

import re
from typing import Final, Protocol

import httptools

from gollamas.wire import head as heads
from gollamas.wire.framing import BodyReader, Held, Room, Streamed, Taking
from gollamas.wire.head import BadHead, HeadLimits
from gollamas.wire.message import END_OF_HEAD, Body, Head

_MAX_EMPTY_LINES: Final = 16  # CRLFs before a request line: RFC 9112, section 2.2, asks to pass over one
_PLAIN_QUERY: Final = bytes(0x5F if code > 0x7F or code == ord("#") else code for code in range(256))
_ASKED: Final = re.compile(rb"([A-Za-z_-]{1,32}) ([^ ?#\r\n]{1,512})")
_CODING: Final = re.compile(rb"\r\nTransfer-Encoding:([^\r\n]*)", re.IGNORECASE)

# How llhttp begins to say that a whole Transfer-Encoding field is wrong, or wrong there.
_ABOUT_CODINGS: Final = ("Request has invalid `Tr", "Content-Length can't be present with Tr")

_Parser: Final = httptools.HttpRequestParser
_TLS: Final = b"\x16\x03"  # a handshake, as each TLS connection begins (RFC 8446, section 5.1)
_SPEAKS_TLS: Final = (
    "the client speaks TLS (https) to a plain http port: use http://, or a proxy in front that ends TLS"
)
_NOBODY: Final = object()  # llhttp only judges a head: nobody is told of its parts
_NOTHING: Final = bytearray()  # stands where no part of a head is kept; never written to


class Judges(Protocol):
    """Whoever reads requests, and judges each by its head."""

    def on_head(self, head: Head) -> Room:
        """Say how much of the body is read."""


class RequestReader:
    """Reads one request after another; what stands behind one is neither looked at nor kept.

    A ProxyError leaves it unusable.
    """

    __slots__ = (
        "_coming", "_empty_lines", "_held", "_limits", "_parser", "_part", "_raw", "_reading", "_ready",
        "_streamed", "body", "head",
    )  # fmt: skip

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._empty_lines = 0
        self._part = b""  # of the end of an empty line
        self._raw: bytes | bytearray = _NOTHING
        self._held: Taking | None = None  # a body that does not come with its head
        self._streamed: Streamed | None = None  # the same, where it goes on in pieces
        self.next()

    def next(self) -> None:
        """Forget the request that was read."""
        if self._held is not None:
            self.give_up()
        self.head: Head | None = None
        self.body: Body = b""
        self._coming: Head | None = None  # a head that is not checked yet
        self._parser: httptools.HttpRequestParser | None = None  # of a head that is not complete yet
        # HOT: made while the client reads its answer, not while it waits for the next one.
        self._ready: httptools.HttpRequestParser | None = _Parser(_NOBODY)  # of the next head
        self._reading: BodyReader | None = None

    @property
    def method(self) -> bytes:
        """The method of the request, known a little earlier than its head; else empty."""
        head = self.head or self._coming
        return head.method if head is not None else b""

    @property
    def asked(self) -> tuple[str, str] | None:
        """Method and path of a head that was refused, for people; None where it does not begin with them."""
        raw = self._raw if self._coming is None else self._coming.raw
        match = _ASKED.match(raw)
        return None if match is None else (match[1].decode(), match[2].decode(errors="backslashreplace"))

    @property
    def head_bytes(self) -> int:
        """How much is held of a head that is not whole yet."""
        return len(self._raw) if self._parser is not None else 0

    @property
    def is_held_up(self) -> bool:
        """Whether who takes the body in pieces wants no more for now."""
        return self._streamed is not None and self._streamed.is_held_up

    def go_on(self) -> None:
        """Take it that more of the body is wanted."""
        if self._streamed is not None:
            self._streamed.is_held_up = False

    def give_up(self) -> None:
        """Let go of a request that came in part, or was answered; no more of it is read."""
        self._raw = _NOTHING
        held, self._held, self._reading, self._streamed = self._held, None, None, None
        if held is not None:
            held.give_up()

    def feed(self, data: bytes, judge: Judges) -> bytes | None:
        """Take what came; answer what stands behind the request once `head` and `body` are there."""
        if self._reading is not None:
            return self._read_body(data)
        rest = self._read_head(data)
        head = self.head
        if rest is None or head is None:
            return None
        room = judge.on_head(head)
        length = head.length
        is_whole = len(rest) >= length and not head.is_chunked
        if is_whole and length <= room.limit and room.budget is None:
            self.body = rest[:length]  # HOT: the usual body comes in the same read
            return rest[length:]
        if room.takes is not None:
            self._held = self._streamed = Streamed(room.takes)
        else:
            self._held = Held(room, None if head.is_chunked else length)
        self._reading = BodyReader(head, self._held)
        return self._read_body(rest)

    def _read_body(self, data: bytes) -> bytes | None:
        reading, held = self._reading, self._held
        assert reading is not None  # noqa: S101 - there is a body to be read
        assert held is not None  # noqa: S101 - as above
        rest = reading.feed(data)
        if self._streamed is not None:
            self._streamed.flush()
        if rest is not None:
            self.body = held.body()
        return rest

    def _read_head(self, data: bytes) -> bytes | None:
        """Answer what came behind the head once that is whole, which sets `head`."""
        if self._parser is None and not self._empty_lines and not self._part:
            head = Head()
            end = heads.split(head, data, self._limits)
            if end and data[0] >= 0x21:
                # HOT: the usual head comes in one read.
                self._coming = head
                parser = self._ready or _Parser(_NOBODY)
                self._ready = None
                _judge(parser, head.raw, head.raw)
                heads.check(head, self._limits)
                self.head = head
                return data[end:]
        return self._read_part_of_head(self._part + data)

    def _read_part_of_head(self, data: bytes) -> bytes | None:
        """A head that comes in several reads, or behind empty lines: every part is parsed as it comes."""
        parser = self._parser
        before = 0
        if parser is None:
            data = self._skip_empty_lines(data)
            if not data:
                return None
            parser = self._ready or _Parser(_NOBODY)
            self._ready = None
            raw: bytes | bytearray = data
            self._raw = raw  # for `asked`, should it be refused
        else:
            raw = self._raw
            before = len(raw)
            raw += data
        end = raw.find(END_OF_HEAD, before - 3 if before > 3 else 0) + 4
        is_whole = end > 3
        self._parser = _judge(parser, data[: end - before] if is_whole else data, raw)
        if not is_whole:
            self._refuse_large_head(raw)
            self._raw = raw if before else bytearray(raw)
            return None
        self._empty_lines = 0
        self._parser = None  # its memory is not needed while the answer streams
        whole = bytes(raw[:end])
        self._refuse_large_head(whole)
        head = Head()
        is_sound = heads.split(head, whole, self._limits) == end
        if not is_sound:  # pragma: no cover - llhttp has judged the same head
            raise BadHead("malformed request")
        self._raw, self._coming = _NOTHING, head
        heads.check(head, self._limits)
        self.head = head
        return bytes(raw[end:])

    def _skip_empty_lines(self, data: bytes) -> bytes:
        self._part = b""
        while data[:1] in (b"\r", b"\n"):
            if not data.startswith(b"\r\n"):
                if data == b"\r":
                    self._part = data
                    return b""
                raise BadHead("malformed request: a line that ends without CRLF")
            self._empty_lines += 1
            if self._empty_lines > _MAX_EMPTY_LINES:
                raise BadHead("malformed request: empty lines only")
            data = data[2:]
        return data

    def _refuse_large_head(self, raw: bytes | bytearray) -> None:
        """Refuse a head, or the start of one, that is too large."""
        limit = self._limits.max_bytes
        if len(raw) <= limit:
            return
        parts = raw.split(b" ", 2)
        if len(parts) < 3 or len(parts[1]) > heads.MAX_TARGET_BYTES:
            raise heads.TargetTooLong("the request target is longer than 8 KiB")
        raise heads.HeadTooLarge(
            f"the request's head is longer than {limit} bytes: raise max_head to allow it"
        )


def _judge(
    parser: httptools.HttpRequestParser, data: bytes, raw: bytes | bytearray
) -> httptools.HttpRequestParser:
    """Have llhttp read a head, or more of one; say what it finds wrong. `raw` is all of it so far.

    Answers the parser that reads on.
    """
    try:
        parser.feed_data(data)
    except httptools.HttpParserInvalidURLError as why:
        plain = _with_plain_query(raw)
        if plain == raw:
            _refuse(raw, parser, why)
        parser = _Parser(_NOBODY)
        return _judge(parser, plain, plain)
    except httptools.HttpParserUpgrade:
        pass  # not followed, so it is nothing wrong; CONNECT is refused by `heads.check`
    except httptools.HttpParserInvalidMethodError as why:
        if _TLS.startswith(bytes(raw[:2])):
            raise BadHead(_SPEAKS_TLS) from why
        raise heads.UnknownMethod("unknown method") from why
    except httptools.HttpParserError as why:
        _refuse(raw, parser, why)
    return parser


def _with_plain_query(raw: bytes | bytearray) -> bytes:
    """A head whose query llhttp takes, as servers in Go take it: it is read by nobody that minds."""
    line, end, rest = bytes(raw).partition(b"\r\n")
    path, mark, query = line.partition(b"?")
    query, blank, version = query.partition(b" ")
    return b"".join((path, mark, query.translate(_PLAIN_QUERY), blank, version, end, rest))


def _refuse(raw: bytes | bytearray, parser: httptools.HttpRequestParser, why: Exception) -> None:
    text = str(why)
    if "Content-Length overflow" in text:
        raise heads.LengthTooLarge("Content-Length is too large") from why
    coding = _CODING.search(raw) if text.startswith(_ABOUT_CODINGS) else None
    if coding is not None and parser.get_http_version() == "1.1":
        heads.check_coding(bytes(coding[1]))
    raise BadHead(f"malformed request: {why}") from why
