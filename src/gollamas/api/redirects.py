"""Other spellings of a route's path, which Ollama redirects.

Owns what is done about doubled slashes and a slash too many.
"""

from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from gollamas.api.routes import BY_PATH, Route, find


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another spelling of a route's path, which Ollama redirects."""

    status: int
    location: bytes


def redirect(
    path: bytes, method: bytes, query: bytes, by_path: dict[bytes, Route] = BY_PATH
) -> Redirect | None:
    """Where Ollama sends a path with doubled slashes or with a slash too many, if that is a route of ours.

    Doubled slashes are net/http's business, whatever the method; the last slash is gin's, which looks for a
    route of this method.
    """
    if b"%" in path:
        return None
    clean = path
    while b"//" in clean:
        clean = clean.replace(b"//", b"/")
    if clean != path:
        is_ours = find(clean, by_path) is not None or find(clean.rstrip(b"/"), by_path) is not None
        return Redirect(307, _with_query(clean, query)) if is_ours else None
    clean = path.rstrip(b"/")
    route = find(clean, by_path) if clean not in (path, b"") else None
    if route is None or method not in route.allowed:
        return None
    return Redirect(301 if method == b"GET" else 307, _with_query(clean, query))


def _with_query(path: bytes, query: bytes) -> bytes:
    """The target of a redirect; what is not ASCII in the query is escaped, as Go's HTTP library does."""
    safe = "".join(map(chr, range(0x21, 0x7F)))
    return path + b"?" + quote_from_bytes(query, safe).encode() if query else path
