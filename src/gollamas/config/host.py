"""Where the proxy is that a verb talks to, written as `OLLAMA_HOST` is: a URL, or parts of one.

Owns what is filled in where a part is missing; URLs are `config.address`'s.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from gollamas.config.address import ServerUrl, parse_url, slip_in
from gollamas.config.faults import Unusable

_PORT: Final = 11434  # of what has no scheme; a URL has its scheme's own
_HERE: Final = "127.0.0.1"
_EVERY_ADDRESS: Final = {"0.0.0.0": _HERE, "::": "::1"}  # noqa: S104 - asked, not bound


@dataclass(frozen=True, slots=True)
class ProxyHost:
    """The place of a proxy."""

    placeholder: str = "HOST"
    accepts: str = "HOST, HOST:PORT or a URL, as in OLLAMA_HOST"

    def parse(self, text: str) -> ServerUrl:
        """Read the place; raises Unusable. What only a server listens on, like 0.0.0.0, is this machine."""
        text = text.strip()
        if text.isascii() and text.isdigit():
            raise Unusable(f"`{text}` has no host", f"Write `localhost:{text}`")
        url = parse_url(text if slip_in(text) else _whole(text))
        return url._replace(host=_EVERY_ADDRESS.get(url.host, url.host))

    def show(self, value: ServerUrl) -> str:
        """Write the URL, without user info."""
        host = f"[{value.host}]" if ":" in value.host else value.host
        return f"{value.scheme}://{host}:{value.port}{value.prefix}"


def _whole(text: str) -> str:
    """Give the URL that is meant."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    authority, slash, path = rest.partition("/")
    user_info, at, place = authority.rpartition("@")
    if _is_ipv6(place):
        place = f"[{place}]"
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, "" if mark else f"{_PORT}"
    return f"{scheme}://{user_info}{at}{host or _HERE}{':' if port else ''}{port}{slash}{path}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
