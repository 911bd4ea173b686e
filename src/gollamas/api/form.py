"""Multipart forms, as far as a proxy needs them: one text field read and replaced (RFC 7578).

Owns the boundaries of parts. Whatever is not the field goes on byte for byte.
"""

import re
from typing import Final
from urllib.parse import parse_qs

_BOUNDARY: Final = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(rb'[;\s]name="?([^";\r\n]*)"?', re.IGNORECASE)
_MAX_PARTS: Final = 1000


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
    """Find the named parts of a form; None where it is no multipart form."""
    kind = content_type.partition(b";")[0].strip().lower()
    boundary = _BOUNDARY.search(content_type)
    if kind != b"multipart/form-data" or boundary is None:
        return None
    mark = b"--" + (boundary[1] or boundary[2])
    at = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    if at < 2 and not body.startswith(mark):
        return None
    spans: dict[str, tuple[int, int]] = {}
    for _ in range(_MAX_PARTS):
        at += len(mark)
        if body.startswith(b"--", at):
            return Form(body, spans)
        head_end = body.find(b"\r\n\r\n", at)
        end = body.find(b"\r\n" + mark, head_end + 2) if head_end >= 0 else -1
        if end < 0:
            return None
        head = body[at:head_end]
        name = _NAME.search(head)
        if name is not None and b"filename" not in head.lower():
            spans.setdefault(name[1].decode(errors="replace"), (head_end + 4, end))
        at = end + 2
    return None


def query_value(query: bytes, name: str) -> str:
    """The first value of this name in a URL's query, empty where there is none."""
    if not query:
        return ""
    values = parse_qs(query.decode("latin-1"), encoding="utf-8", max_num_fields=None).get(name)
    return values[0] if values else ""
