"""Multipart forms, as far as a proxy needs them: one text field read and replaced (RFC 7578).

Owns where parts begin and end; what a part's head says is the standard library's business. Whatever is not
the field goes on byte for byte, so the model that was read is the one that a server reads.
"""

import re
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import Final
from urllib.parse import parse_qs

_LONE_LINE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")  # a line to one reader, none to another
_MAX_PARTS: Final = 1000
_read_head: Final = HeaderParser().parsestr


class Form:
    """A form's bytes and where each named text stands in them."""

    __slots__ = ("_body", "_spans")

    def __init__(self, body: bytes, spans: dict[str, tuple[int, int]]) -> None:
        self._body = body
        self._spans = spans

    def value(self, name: str) -> str:
        """The first part of this name, empty where there is none."""
        start, end = self._spans.get(name, (0, 0))
        return self._body[start:end].decode(errors="replace")

    def with_value(self, name: str, text: str) -> bytes:
        """The form again, this part's text replaced; unchanged where there is no such part."""
        if name not in self._spans or self.value(name) == text:
            return self._body
        start, end = self._spans[name]
        return self._body[:start] + text.encode() + self._body[end:]


def parse(content_type: bytes, body: bytes) -> Form | None:
    """Find the named parts of a form; None where it is no multipart form, or one without an end."""
    kind = Message()
    kind["Content-Type"] = content_type.decode("latin-1")
    boundary = kind.get_boundary()
    if kind.get_content_type() != "multipart/form-data" or not boundary:
        return None
    # A delimiter is a whole line: a line that only begins like one is contents (RFC 2046, section 5.1.1).
    mark = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary.encode("latin-1")) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    spans: dict[str, tuple[int, int]] = {}
    before: re.Match[bytes] | None = None
    for count, found in enumerate(mark.finditer(body)):
        if count > _MAX_PARTS:
            return None
        if before is not None and not _read_part(body, before.end() + 2, found.start(), spans):
            return None
        if found[1]:
            return Form(body, spans)
        before = found
    return None


def trouble(content_type: bytes) -> str:
    """Say in Go's words why there is no form."""
    kind = Message()
    kind["Content-Type"] = content_type.decode("latin-1")
    if kind.get_content_type() != "multipart/form-data":
        return "request Content-Type isn't multipart/form-data"
    return (
        "multipart: NextPart: EOF" if kind.get_boundary() else "no multipart boundary param in Content-Type"
    )


def _read_part(body: bytes, start: int, end: int, spans: dict[str, tuple[int, int]]) -> bool:
    """Note where a part's text stands; a file is none. False where its head is none."""
    head_end = body.find(b"\r\n\r\n", start, end)
    if head_end < 0 or _LONE_LINE_END.search(body, start, head_end):
        return False
    head = _read_head(body[start : head_end + 4].decode("latin-1"))
    disposition = head.get("content-disposition", "")
    name = head.get_param("name", header="content-disposition")
    is_text = head.get_param("filename", header="content-disposition") is None
    is_field = disposition.partition(";")[0].strip().lower() == "form-data"
    if is_field and is_text and name is not None:
        plain = collapse_rfc2231_value(name) if isinstance(name, tuple) else _utf8(name)
        spans.setdefault(plain, (head_end + 4, end))
    return True


def _utf8(text: str) -> str:
    """A parameter's bytes were read as Latin-1; clients write UTF-8 (RFC 7578, section 5.1)."""
    return text.encode("latin-1").decode(errors="replace")


def query_value(query: bytes, name: str) -> str:
    """The first value of this name in a URL's query, empty where there is none."""
    if not query:
        return ""
    values = parse_qs(query.decode("latin-1"), encoding="utf-8", max_num_fields=None).get(name)
    return values[0] if values else ""
