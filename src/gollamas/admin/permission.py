"""Who may change the state of a running proxy by the admin port.

Owns the one rule for all pages that do: whoever has the admin token, and no page of another web site. Pure:
a head in, a sentence out. Whose Host is ours is judged before, for all pages.
"""

import hmac
import re
from typing import Final

from gollamas.observe.safe import cut
from gollamas.wire.message import Head

_OPTION: Final = "admin_token (GOLLAMAS_ADMIN_TOKEN)"
_HOW: Final = "send `Authorization: Bearer TOKEN`; the command line takes it from GOLLAMAS_ADMIN_TOKEN"
_PORTS: Final = {b"http": b"80", b"https": b"443"}
_ORIGIN: Final = re.compile(rb"(https?)://([^/?#@]+)")
_AUTHORITY: Final = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?")


class Permission:
    """The rule of one admin port.

    `token` is the one that is configured, if any; `is_loopback` says that only this machine can connect,
    which is when no token is needed.
    """

    def __init__(self, token: str | None, *, is_loopback: bool) -> None:
        self._token = token.encode() if token else None
        self._is_loopback = is_loopback

    def why_not(self, head: Head) -> str | None:
        """Say why a request may change nothing; None where it may."""
        origin = head.get(b"origin")
        if origin is not None and not _is_own(origin, head.host):
            return f"Origin {cut(origin.decode('latin-1'))} is another site, which may change nothing here"
        if self._token is None:
            if self._is_loopback:
                return None
            return f"on an address that is not a loopback one, changes need an admin token: set {_OPTION}"
        sent = _bearer(head.get(b"authorization"))
        if sent is None:
            return f"this needs the proxy's admin token: {_HOW}"
        # The time that this takes says nothing about the token.
        if not hmac.compare_digest(sent, self._token):
            return f"this is not the proxy's admin token: {_HOW}"
        return None


def _bearer(authorization: bytes | None) -> bytes | None:
    """Give the token of an Authorization field; None where it has another scheme, or is missing."""
    scheme, _, token = (authorization or b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _is_own(origin: bytes, host: bytes | None) -> bool:
    """Whether an Origin is the address that the request was sent to; `null` and an empty one are not."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None or not host:
        return False
    port = _PORTS[match[1]]
    own = _place(host.lower(), port)
    return own is not None and own == _place(match[2], port)


def _place(authority: bytes, default_port: bytes) -> tuple[bytes, bytes] | None:
    """Split an authority into host and port; None where it is none."""
    match = _AUTHORITY.fullmatch(authority)
    return None if match is None else (match[1], match[2] or default_port)
