"""The files of the page that shows the fleet, as the admin port serves them.

Owns their names, their types and what a browser is told of them. They are read once, out of the package: a
folder or a zip file.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from gollamas.wire.message import Answer, Fields, Request

_INDEX: Final = "index.html"
_TYPES: Final[Mapping[str, bytes]] = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
# Names and texts of clients and servers are on the page: should one of them ever become markup, it runs
# nothing and reaches no other host. Nor may another site show the page, to have its buttons pressed.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SHARED: Final[Fields] = [
    (b"Cache-Control", b"no-cache"),  # kept, but asked for each time: an update shows at once
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
]
_TAG: Final = re.compile(rb'"[^"]*"')


class PageFile:
    """One file of the page; `kind` is its media type."""

    def __init__(self, kind: bytes, contents: bytes) -> None:
        self._contents = contents
        self._tag = b'"%b"' % sha256(contents).hexdigest()[:32].encode()
        self._fields: Fields = [(b"ETag", self._tag), *_SHARED]
        self._kind = (b"Content-Type", kind)

    async def respond(self, request: Request) -> Answer:
        """Give the file, or say that whoever asks has it already (RFC 9110, section 13.1.2)."""
        known = request.head.get(b"if-none-match")
        if known is not None and (known.strip() == b"*" or self._tag in _TAG.findall(known)):
            return Answer(304, list(self._fields))
        return Answer(200, [self._kind, *self._fields], self._contents)


def page_files(folder: Traversable | None = None) -> dict[bytes, PageFile]:
    """Read all files of the page, by their paths; of another type than a page is made of, none."""
    found = {}
    for file in (folder or files("gollamas.admin") / "page").iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None and file.is_file():
            path = "/" if file.name == _INDEX else f"/{file.name}"
            found[path.encode()] = PageFile(kind, file.read_bytes())
    return dict(sorted(found.items()))
