"""Which header fields pass through a proxy, and which stay on one hop (RFC 9110, section 7.6.1).

Owns the names; who reads heads collects the lines that pass while llhttp names each field.
"""

from collections.abc import Set as AbstractSet
from typing import Final

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
# What a server is told anew, or never: it sees our Host, no Origin, no coding but identity.
NOT_FOR_SERVERS: Final = _HOP_BY_HOP | {
    b"host", b"origin", b"content-length", b"content-encoding", b"accept-encoding", b"expect",
    b"via", b"x-request-id", b"x-forwarded-for", b"forwarded",
}  # fmt: skip
# What a client is told anew: the answer is framed by us, CORS is answered by us, and two names are ours.
NOT_FOR_CLIENTS: Final = (
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
# Fields that Connection can't take away: what they say is needed on every hop.
_ALWAYS_KEPT: Final = frozenset(
    {b"authorization", b"host", b"content-length", b"content-type", b"close", b"keep-alive"}
)
# Trailers that would change what was decided from the head (RFC 9110, section 6.5.1).
FORBIDDEN_TRAILERS: Final = frozenset(
    {b"transfer-encoding", b"content-length", b"host", b"authorization", b"content-encoding"}
    | {b"content-type", b"content-range", b"trailer", b"cookie", b"expect", b"te", b"via"}
)


def connection_names(value: bytes) -> frozenset[bytes]:
    """The field names that a Connection field keeps to this hop, in lower case."""
    return frozenset(token.strip() for token in value.lower().split(b",")) - _ALWAYS_KEPT


def without(lines: list[bytes], dropped: AbstractSet[bytes]) -> list[bytes]:
    """The field lines whose names, in lower case, are not `dropped`."""
    return [line for line in lines if line[: line.index(b":")].lower() not in dropped]
