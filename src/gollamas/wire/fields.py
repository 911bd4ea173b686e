"""Which header fields pass through a proxy, and which stay on one hop (RFC 9110, section 7.6.1).

Owns the names. Who reads a head asks once for each of its fields, by `name_of`, what becomes of it.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from gollamas.wire.scan import may_be_among, outlines_of

# RFC 9110, section 7.6.1, with the older names that proxies have always kept to one hop.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What a server is told anew, or never: it sees our Host, no Origin, no coding but identity, and not which
# server a client asked for.
_NOT_FOR_SERVERS: Final = _HOP_BY_HOP | {
    b"host", b"origin", b"content-length", b"content-encoding", b"accept-encoding", b"expect",
    b"via", b"x-request-id", b"x-forwarded-for", b"forwarded", b"x-gollamas-server",
}  # fmt: skip
# What a client is told anew: the answer is framed by us, CORS is answered by us, and two names are ours.
_NOT_FOR_CLIENTS: Final = (
    _HOP_BY_HOP
    | {b"content-length", b"x-request-id", b"x-gollamas-server"}
    | frozenset(
        b"access-control-" + end
        for end in (
            b"allow-origin",
            b"allow-credentials",
            b"allow-methods",
            b"allow-headers",
            b"expose-headers",
            b"max-age",
        )
    )
)
# What a proxy itself looks at; all else only passes through, or does not.
_FOR_US: Final = frozenset(
    {b"authorization", b"connection", b"content-encoding", b"content-length", b"expect", b"host", b"origin"}
    | {b"proxy-connection", b"transfer-encoding", b"upgrade", b"via", b"x-request-id", b"x-gollamas-server"}
)
# What servers often write, beside those above.
_USUAL: Final = frozenset({b"content-type", b"date", b"server"})
# Fields that Connection can't take away: what they say is needed on every hop.
_ALWAYS_KEPT: Final = frozenset({b"host", b"content-length", b"content-type", b"close", b"keep-alive"})
# Trailers that would change what was decided from the head (RFC 9110, section 6.5.1).
FORBIDDEN_TRAILERS: Final = frozenset(
    {b"transfer-encoding", b"content-length", b"host", b"authorization", b"content-encoding"}
    | {b"content-type", b"content-range", b"trailer", b"cookie", b"expect", b"te", b"via"}
)


class FieldName:
    """The name of a field, in lower case, and what becomes of its line."""

    __slots__ = ("for_clients", "for_servers", "for_us", "lower")

    def __init__(self, lower: bytes) -> None:
        self.lower = lower
        self.for_servers = lower not in _NOT_FOR_SERVERS
        self.for_clients = lower not in _NOT_FOR_CLIENTS
        self.for_us = lower in _FOR_US


# HOT: as they are usually written, so that one look-up says all of a name.
_KNOWN: Final = {
    spelt: known
    for known in map(FieldName, _NOT_FOR_SERVERS | _NOT_FOR_CLIENTS | _FOR_US | _USUAL)
    for spelt in (known.lower, known.lower.title())
}
AUTHORIZATION: Final = _KNOWN[b"authorization"]
HOST: Final = _KNOWN[b"host"]
CONNECTION: Final = _KNOWN[b"connection"]
CONTENT_LENGTH: Final = _KNOWN[b"content-length"]


def name_of(written: bytes) -> FieldName:
    """What a name is, however its letters are written."""
    # HOT: these two stand in nearly every head, and to compare is quicker than to look up.
    if written == b"Host":
        return HOST
    if written == b"Content-Length":
        return CONTENT_LENGTH
    known = _KNOWN.get(written)
    if known is not None:
        return known
    lower = written.lower()
    return _KNOWN.get(lower) or FieldName(lower)


# HOT: most names differ from all of these in their first letter or their length, and need no look-up.
_IN_REQUESTS: Final = outlines_of(_NOT_FOR_SERVERS | _FOR_US)
_IN_ANSWERS: Final = outlines_of(_NOT_FOR_CLIENTS | _FOR_US)


def passes_to_server(letter: int, size: int) -> bool:
    """Whether a field's line passes, as its name's first letter and length tell; else ask `name_of`."""
    return not may_be_among(_IN_REQUESTS, letter, size)


def passes_to_client(letter: int, size: int) -> bool:
    """As `passes_to_server`, for an answer."""
    return not may_be_among(_IN_ANSWERS, letter, size)


def connection_names(value: bytes) -> frozenset[bytes]:
    """The field names that a Connection field keeps to this hop, in lower case."""
    return frozenset(token.strip() for token in value.lower().split(b",")) - _ALWAYS_KEPT


def without(lines: bytes, dropped: AbstractSet[bytes]) -> bytes:
    """The field lines whose names, in lower case, are not `dropped`."""
    kept = [line for line in lines.splitlines(True) if line[: line.index(b":")].lower() not in dropped]
    return b"".join(kept)
