"""A request's body by its framing (RFC 9112, sections 6 and 7), given to what takes it.

Owns where a body ends, by its length or in chunks. It goes on in pieces as they come: `Held` collects them,
`Streamed` gives those of a read to whoever wants them. One that came with its head passes none of this,
unless it is wanted in pieces.
"""

import mmap
import re
import sys
from typing import Final, Protocol

from gollamas.errors import BodyTooLarge, ProxyError, UploadsFull
from gollamas.wire.fields import FORBIDDEN_TRAILERS
from gollamas.wire.head import BadHead
from gollamas.wire.message import LARGE_BYTES, Body, Budget, Head

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
# HOT: a shorter piece of a chunk is copied, a longer one passed on where it lies. With copies of a whole read
# the heap grows and shrinks at each, and its pages fault: half of what an upload in chunks takes.
_MOST_COPIED: Final = 16 * 1024
_NOTHING: Final = bytearray()  # stands where no piece is kept; never written to


class TakesPieces(Protocol):
    """Whoever wants a body in pieces, of any length."""

    def piece(self, data: bytes | memoryview) -> bool:
        """Take the next piece; whether to go on reading."""

    def whole(self) -> None:
        """Hear that it was the last."""

    def cut(self) -> None:
        """Hear that no more comes, though the body is not whole."""


class Room:
    """How much of a body is read: at most `limit` bytes, which count toward `budget` where there is one.

    `refusal` is why nothing of it is read, unless it came with the head. `takes` gets it in pieces.
    """

    __slots__ = ("budget", "limit", "refusal", "takes")

    def __init__(self, limit: int, budget: Budget | None = None, refusal: ProxyError | None = None) -> None:
        self.limit = limit
        self.budget = budget
        self.refusal = refusal
        self.takes: TakesPieces | None = None


def room_for_pieces(takes: TakesPieces) -> Room:
    """Make room for a body that is not held."""
    room = Room(-1)  # HOT: no body is so short that it is given whole
    room.takes = takes
    return room


class Taking:
    """What a body's bytes go to."""

    __slots__ = ()

    def expect(self, size: int) -> None:
        """Refuse a body that would be too long."""

    def add(self, piece: bytes | memoryview) -> None:
        """Take the next piece of what is expected."""

    def body(self) -> Body:
        """Give what was held of it, now that it is whole."""
        return b""

    def give_up(self) -> None:
        """Hold nothing any more."""


class Streamed(Taking):
    """A body that goes on in pieces. `is_held_up` says that no more of it is wanted for now, as at first."""

    __slots__ = ("_is_over", "_pieces", "_takes", "is_held_up")

    def __init__(self, takes: TakesPieces) -> None:
        self._takes = takes
        self._pieces: list[bytes | memoryview] = []  # of one read: chunks may be tiny
        self._is_over = False
        self.is_held_up = True

    def add(self, piece: bytes | memoryview) -> None:
        """Take it for the next flush."""
        if piece:
            self._pieces.append(piece)

    def flush(self) -> None:
        """Pass on what came in one read."""
        pieces, self._pieces = self._pieces, []
        short: list[bytes | memoryview] = []
        for piece in pieces:
            if len(piece) <= _MOST_COPIED:
                short.append(piece)
                continue
            if short:
                self._give(b"".join(short))
                short = []
            self._give(piece)
        if short:
            self._give(b"".join(short))

    def _give(self, piece: bytes | memoryview) -> None:
        if not self._takes.piece(piece):
            self.is_held_up = True

    def body(self) -> Body:
        """Tell that it is whole."""
        self._is_over, self.is_held_up = True, False
        self._takes.whole()
        return b""

    def give_up(self) -> None:
        """Tell that it is cut, unless it was whole."""
        if not self._is_over:
            self._is_over = True
            self._takes.cut()


class Held(Taking):
    """A body that is held whole; `give_up` lets it go, and the room that it took."""

    __slots__ = ("_budget", "_filled", "_limit", "_pieces", "_size", "_space", "_taken")

    def __init__(self, room: Room, length: int | None) -> None:
        if room.refusal is not None:
            raise room.refusal
        self._limit = room.limit
        self._budget = room.budget
        self._size = 0  # bytes that are announced so far
        self._taken = 0  # of the budget
        self._pieces = bytearray()
        self._space: mmap.mmap | None = None  # of a large body whose length is known
        self._filled = 0  # bytes of it
        if length is not None:
            self.expect(length)
            if length > LARGE_BYTES:
                self._space = _space_of(length)

    def expect(self, size: int) -> None:
        """Refuse a body that would be too long, or too much beside the others of its kind."""
        self._size += size
        budget = self._budget
        if self._size > self._limit:
            raise too_large(self._limit, "max_body" if budget is None else "max_upload")
        if budget is not None:
            if not budget.take(size):
                raise uploads_full(budget)
            self._taken += size

    def add(self, piece: bytes | memoryview) -> None:
        """Take the next piece of what is expected."""
        if self._space is None:
            self._pieces += piece
        else:
            at, self._filled = self._filled, self._filled + len(piece)
            self._space[at : self._filled] = piece  # not by `write`: `find` would begin behind it

    def body(self) -> Body:
        """All of it, which goes with this call."""
        pieces, space = self._pieces, self._space
        self._pieces, self._space = _NOTHING, None
        if space is not None:
            return space
        return pieces if len(pieces) > LARGE_BYTES else bytes(pieces)

    def give_up(self) -> None:
        """Hold nothing any more."""
        self._pieces, self._space = _NOTHING, None
        if self._budget is not None:
            self._budget.give(self._taken)
            self._taken = 0


class BodyReader:
    """Reads one body: `feed` answers what came behind it, or None while more is to come."""

    __slots__ = ("_extension_bytes", "_has_last_chunk", "_is_chunked", "_left", "_part", "_takes")

    def __init__(self, head: Head, takes: Taking) -> None:
        self._takes = takes
        self._is_chunked = head.is_chunked
        self._left = 0 if head.is_chunked else head.length  # of the body; of a chunk, with the CRLF behind it
        self._extension_bytes = 0
        self._has_last_chunk = False
        self._part = b""  # of a line that has no end yet

    def feed(self, data: bytes) -> bytes | None:
        """Take what came. Raises a ProxyError."""
        if self._part:
            data = self._part + data
            self._part = b""
        if not self._is_chunked:
            return self._read_length(data)
        return self._read_trailers(data) if self._has_last_chunk else self._read_chunks(data)

    def _read_length(self, data: bytes) -> bytes | None:
        left = self._left
        if len(data) < left:
            self._takes.add(data)
            self._left = left - len(data)
            return None
        self._takes.add(data[:left])
        return data[left:]

    def _read_chunks(self, data: bytes) -> bytes | None:
        """Chunks are read in place."""
        at = 0
        while True:
            if self._left > 2:
                size = min(self._left - 2, len(data) - at)
                if not size:
                    return None
                self._takes.add(_part(data, at, size))
                self._left -= size
                at += size
                continue
            if self._left:
                wanted = b"\r\n"[2 - self._left :]
                got = data[at : at + self._left]
                if not wanted.startswith(got):
                    raise BadHead("malformed chunk: its data is longer than its size says")
                self._left -= len(got)
                at += len(got)
                if self._left:
                    return None
            end = data.find(b"\r\n", at)
            if end < 0:
                self._part = data[at:]
                self._refuse_bad_start(self._part)
                return None
            size = self._chunk_size(data[at:end])
            if size == 0:
                self._has_last_chunk = True
                return self._read_trailers(data[end + 2 :])
            at = end + 2
            self._takes.expect(size)
            self._left = size + 2

    def _refuse_bad_start(self, start: bytes) -> None:
        """A chunk's line that has no end yet: what can't become one is refused at once."""
        if b"\n" in start or b"\r" in start[:-1] or not _CHUNK_START.match(start):
            raise BadHead("malformed chunk: its size is no hexadecimal number of at most 16 digits")
        size, _, _ = start.partition(b";")
        self._refuse_long_extensions(len(start.removesuffix(b"\r")) - len(size))

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

    def _read_trailers(self, data: bytes) -> bytes | None:
        """Trailers are checked and dropped (RFC 9110, section 6.5)."""
        count = at = 0
        while (end := data.find(b"\r\n", at)) != at:
            if end < 0:
                _refuse_long_trailers(len(data))
                if data.find(b"\n", at) >= 0 or data.find(b"\r", at, len(data) - 1) >= 0:
                    raise BadHead("malformed trailer")
                self._part = data
                return None
            match = _FIELD_LINE.fullmatch(data[at:end])
            count += 1
            if match is None or match[1].lower() in FORBIDDEN_TRAILERS or count > _MAX_TRAILERS:
                raise BadHead("malformed or forbidden trailer")
            at = end + 2
        _refuse_long_trailers(at + 2)
        return data[at + 2 :]


def _part(data: bytes, at: int, size: int) -> bytes | memoryview:
    """Give a part of what was read: a copy, or where it lies."""
    return data[at : at + size] if size <= _MOST_COPIED else memoryview(data)[at : at + size]


def _space_of(size: int) -> mmap.mmap:
    """Make memory that is taken only as it is filled, and goes back at once.

    HOT: shared memory, which `mmap` makes unless told otherwise, takes a third longer to fill and twice as
    long to free.
    """
    if sys.platform == "win32":  # pragma: no cover - it knows no such flags
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


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
