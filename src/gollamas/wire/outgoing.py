"""An answer in bytes, as this client can tell where its body ends: by length, chunks or close (RFC 9112).

Owns the framing, the name that is changed back as bytes pass, and the count and the end of what went out. It
gives bytes and sends none. An answer is complete by `end` alone, or by a `begin` that has all of it.
"""

from http import HTTPStatus
from typing import Final

from gollamas.wire.lines import NameEditor
from gollamas.wire.message import Fields
from gollamas.wire.response import Ends
from gollamas.wire.tail import TAIL_BYTES

UNKNOWN: Final = -1  # the length of a body that has not come yet
_LAST_CHUNK: Final = b"0\r\n\r\n"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_OK: Final = _STATUS_LINES[200]

# HOT: CPython 3.11 looks a member of an Enum up by a slow path (0.1 us).
_AT_ONCE: Final = Ends.AT_ONCE
_LENGTH: Final = Ends.LENGTH
_CHUNKED: Final = Ends.CHUNKED
_CLOSE: Final = Ends.CLOSE


def field_lines(fields: Fields) -> bytes:
    """Fields as lines of a head, with their CRLF."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


class AnswerWriter:
    """Writes one answer: `begin`, then `piece` by `piece`, then `end` or `broken`.

    Who sends what it gives ends the connection behind an answer that is `broken`: by a reset where `ends` is
    CLOSE, since a proper end would tell the client that the answer is whole.
    """

    __slots__ = ("_is_http10", "_last", "_older", "_to_head", "bytes_out", "editor", "ends", "keeps_alive")

    def __init__(self, *, is_http10: bool, to_head: bool, keeps_alive: bool) -> None:
        self._is_http10 = is_http10
        self._to_head = to_head
        self._older = self._last = b""  # the ends of the last two pieces
        self.keeps_alive = keeps_alive  # the connection, behind this answer; settled by `begin`
        self.editor: NameEditor | None = None  # changes a name back; set before `begin`
        self.ends = _AT_ONCE  # what tells the client the end of the body
        self.bytes_out = 0  # of the body, its framing aside

    def begin(
        self,
        status: int,
        lines: bytes,
        ours: bytes,
        length: int = UNKNOWN,
        data: bytes = b"",
        *,
        is_whole: bool = False,
    ) -> bytes:
        """Give the head, and behind it the first bytes of the body; all of them, and its end, if `is_whole`.

        `lines` and `ours` are lines of the head. To HEAD, and after 204 and 304, no body follows.
        """
        if self.editor is not None:
            data = self._edited(data, is_whole)
            length = len(data) if is_whole else UNKNOWN
        framing = self._frame(status, length)
        data = self._framed(data)
        if is_whole and self.ends is _CHUNKED:
            data += _LAST_CHUNK
        line = _OK if status == 200 else _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%b%b%b\r\n%b" % (line, lines, ours, framing, data)

    def piece(self, data: bytes) -> bytes:
        """Give the next bytes of the body; none where there is nothing to send yet."""
        if self.editor is not None:
            data = self.editor.feed(data)
        return self._framed(data)

    def end(self, data: bytes = b"") -> bytes:
        """Give the last bytes of the body, and its end."""
        if self.editor is not None:
            data = self._edited(data, True)
        data = self._framed(data)
        return data + _LAST_CHUNK if self.ends is _CHUNKED else data

    def broken(self, error: bytes) -> bytes:
        """Give what an answer ends with that will never be whole: `error`, where its framing has room."""
        held = self.editor.flush() if self.editor is not None else b""
        if self.ends is not _CHUNKED:
            return self._framed(held)
        if held:
            self._count(held)
        size = len(held) + len(error)
        return b"%x\r\n%b%b\r\n" % (size, held, error) if size else b""  # an empty chunk is the last one

    @property
    def tail(self) -> bytes:
        """The end of what the client got: enough for an answer's counts."""
        last = self._last
        return self._older + last if self._older and len(last) < TAIL_BYTES else last

    @property
    def last_bytes(self) -> bytes:
        """What the error of a broken answer comes behind."""
        held = self.editor.held if self.editor is not None else b""
        return (self.tail + held)[-4:]

    def _edited(self, data: bytes, is_whole: bool) -> bytes:
        editor = self.editor
        assert editor is not None  # noqa: S101 - who calls this has looked
        data = editor.feed(data)
        return data + editor.flush() if is_whole else data

    def _frame(self, status: int, length: int) -> bytes:
        """Decide what tells the end of the body; give the lines of the head that say so."""
        line = b""
        if status in (204, 304) or status < 200:
            ends = _AT_ONCE
        elif length >= 0:
            ends, line = _LENGTH, b"Content-Length: %d\r\n" % length
        elif self._is_http10:
            ends, self.keeps_alive = _CLOSE, False
        else:
            ends, line = _CHUNKED, b"Transfer-Encoding: chunked\r\n"
        self.ends = _AT_ONCE if self._to_head else ends
        if not self.keeps_alive:
            return line + b"Connection: close\r\n"
        return line + b"Connection: keep-alive\r\n" if self._is_http10 else line

    def _framed(self, data: bytes) -> bytes:
        # HOT: a piece of a stream goes out as one chunk, in one write.
        if not data or self.ends is _AT_ONCE:
            return b""
        self._count(data)
        return b"%x\r\n%b\r\n" % (len(data), data) if self.ends is _CHUNKED else data

    def _count(self, data: bytes) -> None:
        size = len(data)
        self.bytes_out += size
        self._older = self._last
        self._last = data if size <= TAIL_BYTES else data[-TAIL_BYTES:]
