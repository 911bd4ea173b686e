"""Multipart forms, as far as a proxy needs them: one text field read and replaced (RFC 7578).

Owns where parts begin and end; what a part's head says is the standard library's business. Whatever is not
the field goes on byte for byte, so the model that was read is the one that a server reads.
"""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import Final
from urllib.parse import parse_qs

from gollamas.wire.body import Pieces
from gollamas.wire.message import Body

_LONE_LINE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")  # a line to one reader, none to another
_MAX_PARTS: Final = 1000
# A part's head has three lines and two parameters: to read one with thousands would take seconds.
_MAX_HEAD_BYTES: Final = 8 * 1024
_MAX_PARAMETERS: Final = 16
_ENCODES: Final = re.compile(rb"[*\\]")  # by these a name can be written in other bytes than its own
_MAX_VALUE_BYTES: Final = 8 * 1024  # more than Ollama takes for a name
_read_head: Final = HeaderParser().parsestr


class Form:
    """A form's bytes, and where the text of one field stands in them; (0, 0) where it is not there."""

    __slots__ = ("_body", "_end", "_start")

    def __init__(self, body: Body, start: int, end: int) -> None:
        self._body = body
        self._start = start
        self._end = end

    @property
    def value(self) -> str:
        """The start of the first part of the field's name, empty where there is none."""
        end = min(self._end, self._start + _MAX_VALUE_BYTES)
        return bytes(self._body[self._start : end]).decode(errors="replace")

    def with_value(self, text: str) -> Pieces:
        """The form again, the field's text replaced; unchanged where it is not there. Nothing is copied."""
        if not self._end or self.value == text:
            return [memoryview(self._body)]
        whole = memoryview(self._body)
        return [whole[: self._start], text.encode(), whole[self._end :]]


def parse(content_type: bytes, body: Body, name: str) -> Form | None:
    """Find the first field of this name; None where it is no multipart form, or one without an end.

    What stands behind the field is the server's to judge: a recording is long.
    """
    kind = _media_type(content_type)
    boundary = kind.get_boundary()
    if kind.get_content_type() != "multipart/form-data" or not boundary:
        return None
    delimiter = b"--" + boundary.encode("latin-1")
    before: re.Match[bytes] | None = None
    for count, found in enumerate(_delimiters(body, delimiter)):
        if count > _MAX_PARTS:
            return None
        if found is None:
            continue
        if before is not None:
            span = _read_part(body, before.end() + 2, found.start(), name)
            if span is None:
                return None
            if span[1]:
                return Form(body, *span) if _has_end(body, delimiter, found.start()) else None
        if found[1]:
            return Form(body, 0, 0)
        before = found
    return None


def _media_type(content_type: bytes) -> Message:
    """A Content-Type to be read by the standard library; none where it has too many parameters for that."""
    kind = Message()
    if content_type.count(b";") <= _MAX_PARAMETERS:
        kind["Content-Type"] = content_type.decode("latin-1")
    return kind


def _delimiters(body: Body, delimiter: bytes) -> Iterator[re.Match[bytes] | None]:
    """The lines between two parts, which begin behind a line end or with the body.

    A delimiter is a whole line: a line that only begins like one is contents (RFC 2046, section 5.1.1), for
    which None is given, since whoever writes many of them wants no form to be read.
    """
    line = re.compile(rb"(?:\A|\r\n)" + re.escape(delimiter) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    if body[: len(delimiter)] == delimiter:
        yield line.match(body)
    start = b"\r\n" + delimiter
    at = body.find(start)
    while at >= 0:
        yield line.match(body, at)
        at = body.find(start, at + len(start))


def _has_end(body: Body, delimiter: bytes, start: int) -> bool:
    """Whether the last delimiter stands behind `start`."""
    last = b"\r\n" + delimiter + b"--"
    line = re.compile(re.escape(last) + rb"[ \t]*(?=\r\n|\Z)")
    at = len(body)
    for _ in range(_MAX_PARTS):
        at = body.rfind(last, start, at)
        if at < 0:
            return False
        if line.match(body, at):
            return True
    return False


def trouble(content_type: bytes) -> str:
    """Say in Go's words why there is no form."""
    kind = _media_type(content_type)
    if kind.get_content_type() != "multipart/form-data":
        return "request Content-Type isn't multipart/form-data"
    return (
        "multipart: NextPart: EOF" if kind.get_boundary() else "no multipart boundary param in Content-Type"
    )


def _read_part(body: Body, start: int, end: int, wanted: str) -> tuple[int, int] | None:
    """Where a part's text stands, (0, 0) for another part or a file; None where its head is none."""
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _MAX_HEAD_BYTES))
    if head_end < 0 or _LONE_LINE_END.search(body, start, head_end):
        return None
    raw = bytes(body[start : head_end + 4])
    if wanted.encode() not in raw and not _ENCODES.search(raw):
        return 0, 0
    if raw.count(b";") > _MAX_PARAMETERS:
        return None
    head = _read_head(raw.decode("latin-1"))
    disposition = head.get("content-disposition", "")
    name = head.get_param("name", header="content-disposition")
    is_text = head.get_param("filename", header="content-disposition") is None
    is_field = disposition.partition(";")[0].strip().lower() == "form-data"
    if is_field and is_text and name is not None:
        plain = collapse_rfc2231_value(name) if isinstance(name, tuple) else _utf8(name)
        if plain == wanted:
            return head_end + 4, end
    return 0, 0


def _utf8(text: str) -> str:
    """A parameter's bytes were read as Latin-1; clients write UTF-8 (RFC 7578, section 5.1)."""
    return text.encode("latin-1").decode(errors="replace")


def query_value(query: bytes, name: str) -> str:
    """The first value of this name in a URL's query, empty where there is none."""
    if not query:
        return ""
    values = parse_qs(query.decode("latin-1"), encoding="utf-8", max_num_fields=None).get(name)
    return values[0] if values else ""
