"""Requests out of the bytes of one client connection (RFC 9112).

Owns where a request begins and ends. llhttp judges each head, with a parser of its own; the body is framed
here, so that the bytes behind a request are known exactly and no more than one read is ever parsed ahead.
Whoever reads decides at the head, by `on_head`, how long a body may be.
"""

import mmap
import re
from collections.abc import Callable
from typing import Final

import httptools

from gollamas.errors import BodyTooLarge, UploadsFull
from gollamas.wire import head as heads
from gollamas.wire.fields import FORBIDDEN_TRAILERS
from gollamas.wire.head import BadHead, HeadLimits
from gollamas.wire.message import END_OF_HEAD, LARGE_BYTES, Body, Budget, Head

_MAX_EMPTY_LINES: Final = 16  # CRLFs before a request line: RFC 9112, section 2.2, asks to pass over one
_MAX_EXTENSIONS: Final = 16 * 1024  # bytes of all chunk extensions of one body
_MAX_TRAILER_BYTES: Final = 16 * 1024
_MAX_TRAILERS: Final = 100
# A chunk's size and its extensions (RFC 9112, section 7.1.1): tokens and quoted strings, no lone CR or LF.
# The blanks before a semicolon that the RFC tolerates are refused: parsers have disagreed about them.
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN
    + rb'|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*)'
)  # fmt: skip
_CHUNK_START: Final = re.compile(rb"[0-9A-Fa-f]{0,16}(?:[;\r]|$)")  # of a line whose end has not come
_FIELD_LINE: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")

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

OnHead = Callable[[Head, bool], int]


class RequestReader:
    """Feeds on what a client sends; `head` and `body` are set when `feed` answers True.

    `on_head(head, is_whole)` answers the longest body that is read, in bytes, or raises a ProxyError; it is
    told whether the whole body came with the head. `rest` holds what came behind the request; `next` goes on
    with it. Errors leave the reader unusable.
    """

    __slots__ = (
        "_coming", "_empty_lines", "_extension_bytes", "_left", "_limit", "_limits", "_on_head", "_parser",
        "_pieces", "_raw", "_ready", "_size", "_space", "_state", "_taken", "body", "head", "rest",
    )  # fmt: skip

    def __init__(self, on_head: OnHead, limits: HeadLimits) -> None:
        self._on_head = on_head
        self._limits = limits
        self._taken = 0  # bytes of the body that count toward a budget
        self.rest = b""
        self._size = 0  # bytes of the body so far
        self._empty_lines = 0
        self._raw: bytes | bytearray = _NOTHING
        self._pieces: bytearray = _NOTHING  # a body in chunks
        self._space: mmap.mmap | None = None  # of a large body whose length is known
        self.head: Head | None = None
        self.next()

    def next(self) -> None:
        """Forget the request that was read; what came behind it is not looked at yet."""
        if self._taken:
            self.give_up()
        self.head = None
        self.body: Body = b""
        self._coming: Head | None = None  # a head that is not checked yet
        self._parser: httptools.HttpRequestParser | None = None  # of a head that is not complete yet
        # HOT: made while the client reads its answer, not while it waits for the next one.
        self._ready: httptools.HttpRequestParser | None = _Parser(_NOBODY)  # of the next head
        self._state: Callable[[bytes], bool] | None = None

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
    def is_idle(self) -> bool:
        """Whether no byte of a request has come yet."""
        return self.head is None and self._parser is None and not self.rest and not self._empty_lines

    @property
    def head_bytes(self) -> int:
        """How much is held of a head that is not whole yet."""
        return len(self._raw) if self._parser is not None else 0

    def give_up(self) -> None:
        """Let go of a request that came in part, or was answered; no more of it is read."""
        head, taken, self._taken = self.head, self._taken, 0
        if taken and head is not None and head.budget is not None:
            head.budget.give(taken)
        self._raw = self._pieces = _NOTHING
        self._space = None

    @property
    def in_body(self) -> bool:
        """Whether the head is complete and the body is not."""
        return self.head is not None

    def feed(self, data: bytes) -> bool:
        """Take what came; True when a request is complete. Raises a ProxyError."""
        if self.rest:
            data = self.rest + data
            self.rest = b""
        if self._state is not None:
            return self._state(data)
        head = Head()
        end = heads.split(head, data, self._limits)
        if not end or data[0] < 0x21 or self._empty_lines:
            self._state = self._read_head
            return self._read_head(data)
        # HOT: the usual head comes in one read.
        self._coming = head
        parser = self._ready or _Parser(_NOBODY)
        self._ready = None
        _judge(parser, head.raw, head.raw)
        return self._end_head(head, data[end:])

    def _read_head(self, data: bytes) -> bool:
        """A head that comes in several reads, or behind empty lines: every part is parsed as it comes."""
        parser = self._parser
        before = 0
        if parser is None:
            data = self._skip_empty_lines(data)
            if not data:
                return False
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
            return False
        self._empty_lines = 0
        self._parser = None  # its memory is not needed while the answer streams
        whole = bytes(raw[:end])
        self._refuse_large_head(whole)
        head = Head()
        if heads.split(head, whole, self._limits) != end:
            raise BadHead("malformed request")
        self._raw, self._coming = _NOTHING, head
        return self._end_head(head, bytes(raw[end:]))

    def _end_head(self, head: Head, body: bytes) -> bool:
        """The head is complete: check it, ask how long its body may be, begin with that."""
        heads.check(head, self._limits)
        self.head = head
        length = head.length
        is_whole = len(body) >= length and not head.is_chunked
        limit = self._on_head(head, is_whole)
        if not is_whole or len(body) > length or length > limit:
            return self._begin_body(head, body, limit)
        self.body = body  # HOT: the usual body comes in the same read
        return True

    def _begin_body(self, head: Head, start: bytes, limit: int) -> bool:
        self._size = 0
        self._limit = limit
        if head.is_chunked:
            self._pieces = bytearray()
            self._extension_bytes = 0
            self._left = 0
            self._state = self._read_chunks
            return self._read_chunks(start)
        self._expect(head, head.length)
        self._left = head.length
        if head.length > LARGE_BYTES:
            self._space = mmap.mmap(-1, head.length)  # takes memory only as it is filled
        else:
            self._pieces = bytearray()
        self._state = self._read_length
        return self._read_length(start)

    def _expect(self, head: Head, size: int) -> None:
        """Refuse a body that would be too long, or too much beside the others of its kind."""
        self._size += size
        budget = head.budget
        if self._size > self._limit:
            raise too_large(self._limit, "max_body" if budget is None else "max_upload")
        if budget is not None:
            if not budget.take(size):
                raise uploads_full(budget)
            self._taken += size

    def _skip_empty_lines(self, data: bytes) -> bytes:
        while data[:1] in (b"\r", b"\n"):
            if not data.startswith(b"\r\n"):
                if data == b"\r":
                    self.rest = data
                    return b""
                raise BadHead("malformed request: a line that ends without CRLF")
            self._empty_lines += 1
            if self._empty_lines > _MAX_EMPTY_LINES:
                raise BadHead("malformed request: empty lines only")
            data = data[2:]
        return data

    def _read_length(self, data: bytes) -> bool:
        left = self._left
        if len(data) > left:
            data, self.rest = data[:left], data[left:]
        self._left = left - len(data)
        space = self._space
        if space is not None:
            at = self._size - left
            space[at : at + len(data)] = data
        else:
            self._pieces += data
        if self._left:
            return False
        self.body = bytes(self._pieces) if space is None else space
        self._pieces, self._space = _NOTHING, None
        return True

    def _read_chunks(self, data: bytes) -> bool:
        """Chunks are read in place: `_left` counts a chunk's bytes and the CRLF behind it."""
        at = 0
        while True:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                if not piece:
                    return False
                self._pieces += piece
                self._left -= len(piece)
                at += len(piece)
                continue
            if self._left:
                wanted = b"\r\n"[2 - self._left :]
                got = data[at : at + self._left]
                if not wanted.startswith(got):
                    raise BadHead("malformed chunk: its data is longer than its size says")
                self._left -= len(got)
                at += len(got)
                if self._left:
                    return False
            end = data.find(b"\r\n", at)
            if end < 0:
                return self._wait_for_line(data[at:])
            size = self._chunk_size(data[at:end])
            if size == 0:
                return self._read_trailers(data[end + 2 :])
            at = end + 2
            if self.head is not None:
                self._expect(self.head, size)
            self._left = size + 2

    def _wait_for_line(self, start: bytes) -> bool:
        """A chunk's line that has no end yet: what can't become one is refused at once."""
        if b"\n" in start or b"\r" in start[:-1] or not _CHUNK_START.match(start):
            raise BadHead("malformed chunk: its size is no hexadecimal number of at most 16 digits")
        size, _, _ = start.partition(b";")
        self._refuse_long_extensions(len(start.removesuffix(b"\r")) - len(size))
        self.rest = start
        return False

    def _refuse_long_extensions(self, more: int) -> None:
        if self._extension_bytes + more > _MAX_EXTENSIONS:
            raise BadHead("malformed chunk: more than 16 KiB of extensions")

    def _chunk_size(self, line: bytes) -> int:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadHead("malformed chunk: its size is no hexadecimal number of at most 16 digits")
        self._refuse_long_extensions(len(match[2]))
        self._extension_bytes += len(match[2])
        return int(match[1], 16)

    def _read_trailers(self, data: bytes) -> bool:
        """Trailers are checked and dropped (RFC 9110, section 6.5)."""
        self._state = self._read_trailers
        count = at = 0
        while (end := data.find(b"\r\n", at)) != at:
            if end < 0:
                _refuse_long_trailers(len(data))
                if data.find(b"\n", at) >= 0 or data.find(b"\r", at, len(data) - 1) >= 0:
                    raise BadHead("malformed trailer")
                self.rest = data
                return False
            match = _FIELD_LINE.fullmatch(data[at:end])
            count += 1
            if match is None or match[1].lower() in FORBIDDEN_TRAILERS or count > _MAX_TRAILERS:
                raise BadHead("malformed or forbidden trailer")
            at = end + 2
        _refuse_long_trailers(at + 2)
        self.rest = data[at + 2 :]
        pieces, self._pieces = self._pieces, _NOTHING
        self.body = pieces if len(pieces) > LARGE_BYTES else bytes(pieces)
        return True

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


def _refuse_long_trailers(length: int) -> None:
    if length > _MAX_TRAILER_BYTES:
        raise BadHead("more than 16 KiB of trailers")


def too_large(limit: int, option: str) -> BodyTooLarge:
    """The error for a body that is longer than the `limit` bytes of an option."""
    return BodyTooLarge(f"the request body is larger than {limit} bytes: raise {option} to allow it")


def uploads_full(budget: Budget) -> UploadsFull:
    """The error for a form that does not fit beside those that are under way."""
    return UploadsFull(
        f"the uploads under way leave no room for this one ({budget.limit} bytes in all): try again later,"
        " or raise max_upload"
    )
