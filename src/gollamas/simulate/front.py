"""What happens to a request before its handler: redirects, CORS, the Host filter, 404 and 405.

Owns the order of Go's mux, gin and the CORS middleware (gin 1.10, cors 1.7, Ollama's
`server/routes.go`); knows nothing of what the routes do.
"""

import ipaddress
import posixpath
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from gollamas.simulate import answers
from gollamas.simulate.settings import Settings
from gollamas.wire.message import Answer, Fields, Head, Request

_METHODS: Final = b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_HEADERS: Final = (
    b"Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,"
    b"X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    b"X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,"
    b"X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_LOCAL: Final = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - names of origins, nothing is bound
_SCHEMES: Final = ("app://", "file://", "tauri://", "vscode-webview://", "vscode-file://")
_PARAMETERS: Final = ("/api/blobs/", "/v1/models/", "/api/user/keys/")  # routes whose last segment is a value

Route = tuple[str, str]  # the pattern, and the value of its last segment


def match(path: str, methods: Mapping[str, tuple[str, ...]]) -> Route | None:
    """Give the route of a decoded path."""
    if path in methods:
        return path, ""
    for prefix in _PARAMETERS:
        value = path.removeprefix(prefix)
        if path != value and value and "/" not in value:
            return prefix, value
    return None


def redirect(head: Head, path: str, methods: Mapping[str, tuple[str, ...]]) -> Answer | None:
    """Give the redirect of an unclean path, or of one with a slash too many."""
    is_get = head.method in (b"GET", b"HEAD")
    clean = _cleaned(path)
    if clean != path:
        return _moved(head, clean, 307)
    bare = path.rstrip("/")
    found = match(bare, methods) if path != bare and bare else None
    if found and head.method.decode("latin-1") in methods[found[0]]:
        return _moved(head, bare, 301 if is_get else 307)
    return None


def _cleaned(path: str) -> str:
    if "//" not in path and "/." not in path:
        return path
    clean = "/" + posixpath.normpath(path).lstrip("/")
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _moved(head: Head, path: str, status: int) -> Answer:
    target = path.encode("utf-8", "surrogateescape") + (b"?" + head.query if head.query else b"")
    if head.method not in (b"GET", b"HEAD"):
        return Answer(status, [(b"Location", target)])
    word = b"Moved Permanently" if status == 301 else b"Temporary Redirect"
    body = b'<a href="%s">%s</a>.\n\n' % (target, word)
    return Answer(status, [(b"Content-Type", b"text/html; charset=utf-8"), (b"Location", target)], body)


def gate(request: Request, settings: Settings, allow: Fields) -> Answer | Fields:
    """Give the answer to a request that is turned away, else the fields that its answer gets.

    `allow` holds the `Allow` field where the method is wrong.
    """
    head = request.head
    origin, host = head.get(b"origin"), head.get(b"host") or b""
    shared: Fields = []
    if origin and origin not in (b"http://" + host, b"https://" + host):
        if not _is_allowed(origin.decode("latin-1"), settings):
            return Answer(403, allow)
        is_any = "*" in settings.origins
        shown = b"*" if is_any else origin
        if head.method == b"OPTIONS":
            return _preflight(shown, allow, is_any=is_any)
        shared = [(b"Access-Control-Allow-Origin", shown)]
        if not is_any:
            shared.append((b"Vary", b"Origin"))
    if settings.is_loopback:
        if not _is_ours(host.decode("latin-1")):
            return Answer(403, allow + shared)
        if head.method == b"OPTIONS" and not _is_address(host.decode("latin-1")):
            return Answer(204, allow + shared)
    return shared


def _preflight(shown: bytes, allow: Fields, *, is_any: bool) -> Answer:
    found: Fields = [
        (b"Access-Control-Allow-Headers", _HEADERS),
        (b"Access-Control-Allow-Methods", _METHODS),
        (b"Access-Control-Allow-Origin", shown),
        (b"Access-Control-Max-Age", b"43200"),
        *allow,
    ]
    if not is_any:
        names = (b"Origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers")
        found += [(b"Vary", name) for name in names]
    return Answer(204, found)


def _is_allowed(origin: str, settings: Settings) -> bool:
    for entry in settings.origins:
        start, star, end = entry.partition("*")
        if origin == entry or (star and origin.startswith(start) and origin.endswith(end)):
            return True
    if origin.startswith(_SCHEMES):
        return True
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and (
        rest in _LOCAL or rest.startswith(tuple(f"{name}:" for name in _LOCAL))
    )


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(_name(host))
    except ValueError:
        return False
    return True


def _is_ours(host: str) -> bool:
    name = _name(host).lower()
    if _is_address(host):
        address = ipaddress.ip_address(name)
        return address.is_loopback or address.is_private or address.is_unspecified
    if name in ("", "localhost", socket.gethostname().lower()):
        return True
    return name.endswith((".localhost", ".local", ".internal"))


def merged(answer: Answer, shared: Fields) -> Answer:
    """Add the fields of CORS to an answer, sorted by name as Go writes them."""
    if shared:
        answer.fields = sorted(answer.fields + shared, key=lambda field: field[0])
    return answer


def not_allowed(methods: tuple[str, ...]) -> Answer:
    """405 with the methods that there are."""
    answer = answers.plain(405, b"405 method not allowed")
    answer.fields.insert(0, allow(methods))
    return answer


def allow(methods: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Give the `Allow` field."""
    return b"Allow", ", ".join(methods).encode()


def decoded(path: bytes) -> str:
    """Read a path as the router does."""
    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")
