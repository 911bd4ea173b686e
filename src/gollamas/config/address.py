"""Addresses and URLs as people write them: HOST:PORT to listen on, the URL of a server.

Owns their syntax (RFC 3986, section 3) and what to write instead; knows no server and looks up no name.
"""

import base64
import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gollamas.config.faults import Unusable
from gollamas.config.model import Address

_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?", re.ASCII)
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)*", re.ASCII)
_WITH_PORT: Final = re.compile(
    r"(?:[^/?#]*@)?(?:\[[^\]/@]*\]|[^:/?#@\[\]]+):\d+(?:/.*)?", re.ASCII | re.DOTALL
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OUR_EXAMPLE: Final = "Write HOST:PORT, like `localhost:11434`, or `:11434` for every address"
_URL_EXAMPLE: Final = "Write a URL like `http://gpu-1:11434`"


class Target(NamedTuple):
    """Where a server is: what two URLs have in common when they are one server."""

    scheme: str
    host: str  # in lower case, without brackets
    port: int
    prefix: str  # without a slash at its end
    authorization: bytes  # of the user info; empty where there is none

    @property
    def name(self) -> str:
        """What a server without an id is called."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.prefix}"


def parse_listen(text: str) -> Address:
    """Read an address to listen on; raises Unusable. An empty host and `*` mean every address."""
    if "://" in text:
        bare = text.partition("://")[2].rstrip("/")
        raise Unusable(f"`{text}` is a URL, and an address has no scheme", f"Write `{bare}`")
    if text.isascii() and text.isdigit():
        raise Unusable(f"`{text}` has no host", f"Write `localhost:{text}`, or `:{text}` for every address")
    host, colon, port = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        raise Unusable(f"`{text}` is no HOST:PORT", "Write an IPv6 address in brackets, like `[::1]:11434`")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise Unusable(f"`{text}` has no port", f"Write `{text}:11434`" if text else _OUR_EXAMPLE)
    number = _port(port)
    if number is None:
        raise Unusable(f"`{text}` has no port from 0 to 65535", _OUR_EXAMPLE)
    if host in {"", "*"}:
        return Address(host="", port=number)
    return Address(host=_host(host, text, _OUR_EXAMPLE), port=number)


def looks_like_server(text: str) -> bool:
    """Whether a word has what only a server's address has: a scheme or a port."""
    return "://" in text or _WITH_PORT.fullmatch(text) is not None


def parse_url(text: str) -> Target:
    """Find the target of a URL, `http` where it has a port and no scheme; raises Unusable.

    User info becomes Basic authorization (RFC 7617). No fault quotes it.
    """
    if not text.isprintable() or " " in text:
        raise Unusable("the URL has a blank or a control character", _URL_EXAMPLE)
    if "://" not in text:
        if not looks_like_server(text):
            raise Unusable(f"`{text}` has neither a scheme nor a port", f"Write `http://{text}:11434`")
        text = f"http://{text}"
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise Unusable(f"`{text}` is neither http nor https", _URL_EXAMPLE)
    if "?" in rest or "#" in rest:
        raise Unusable(
            f"`{text}` has a query or a fragment", f"Write it without what follows the `{_first(rest)}`"
        )
    authority, slash, path = rest.partition("/")
    user_info, _, place = authority.rpartition("@")
    host, port = _host_and_port(place, text)
    prefix = (slash + path).rstrip("/")
    if not _PATH.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")) or "//" in prefix:
        raise Unusable(
            f"the path of `{text}` has characters or steps that no path may have",
            "Write it percent-encoded, without `//`, `.` and `..` (in user info `/` is `%2F`, `@` is `%40`)",
        )
    return Target(scheme, host, port or _DEFAULT_PORTS[scheme], prefix, _basic(user_info))


def _first(rest: str) -> str:
    return next(mark for mark in rest if mark in "?#")


def _host_and_port(place: str, text: str) -> tuple[str, int | None]:
    """Split them; a port that is no number is not quoted, since it may be half a password."""
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    if not host:
        raise Unusable(f"`{text}` names no host", _URL_EXAMPLE)
    if ":" in host and not host.startswith("["):
        raise Unusable(
            "the URL has more than one `:` in its host",
            "Write an IPv6 address in brackets, like `http://[::1]:11434`, and user info percent-encoded",
        )
    number = _port(port) if port else None
    if port and not number:
        raise Unusable(
            "the URL's port is no number from 1 to 65535",
            f"{_URL_EXAMPLE}; in user info write `/` as `%2F`, `,` as `%2C` and `@` as `%40`",
        )
    return _host(host, text, _URL_EXAMPLE).lower(), number


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535 else None


def _host(host: str, text: str, example: str) -> str:
    """Give the host without brackets, a name beyond ASCII in its punycode (RFC 3490); raises Unusable."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise Unusable(f"`{text}` has no IPv6 address in its brackets", example) from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise Unusable(f"`{text}` names no host", example) from None
    if not _HOST.fullmatch(host) or ".." in host:
        raise Unusable(f"`{text}` names no host", example)
    return host


def _basic(user_info: str) -> bytes:
    if not user_info:
        return b""
    user, _, password = user_info.partition(":")
    credentials = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return b"Basic " + base64.b64encode(credentials)
