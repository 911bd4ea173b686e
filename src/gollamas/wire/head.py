"""What a head may look like and what of it is passed on (RFC 9110, RFC 9112).

Owns the limits, the target and Host forms, hop-by-hop fields and the framing that a head announces;
llhttp has refused what is no HTTP at all before anything here runs. Pure: fields in, values out.
"""

import re
from typing import Final

from gollamas.errors import ProxyError
from gollamas.wire.fields import (
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    FieldName,
    connection_names,
    name_of,
    passes_to_server,
    without,
)
from gollamas.wire.message import HTTP_1_1, Head
from gollamas.wire.scan import blanks_in, is_usual_host, is_usual_target, line_at, number_in, value_in

MAX_TARGET_BYTES: Final = 8 * 1024

_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%\-]+)(?::([0-9]{0,5}))?")
_PATH_REFUSED: Final = re.compile(rb"[^\x21-\x7e]|[#\\]|%00|%(?![0-9A-Fa-f]{2})")
_VERSION: Final = re.compile(rb"HTTP/([0-9]\.[0-9])\r\n")
_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_MAX_LENGTH_DIGITS: Final = 19
_MAX_PORT: Final = 65535
_BLANK: Final = 0x20


class HeadLimits:
    """How large the head of a client's request may be, in bytes and in fields."""

    __slots__ = ("max_bytes", "max_fields")

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self.max_bytes = max_bytes
        self.max_fields = max_fields


class BadHead(ProxyError):
    """A head that is refused: 400 where a class below says nothing else; the connection closes."""

    status = 400


class TargetTooLong(BadHead):
    """The request target is longer than 8 KiB."""

    status = 414


class HeadTooLarge(BadHead):
    """More bytes than `max_head` or more fields than `max_fields`."""

    status = 431


class LengthTooLarge(BadHead):
    """A Content-Length that no integer of 64 bits holds."""

    status = 413


class UnknownCoding(BadHead):
    """A transfer coding other than chunked."""

    status = 501


class UnknownMethod(BadHead):
    """A method that HTTP does not know."""

    status = 501


class MethodRefused(BadHead):
    """CONNECT or TRACE, which no proxy in front of Ollama has to follow."""

    status = 405


class VersionRefused(BadHead):
    """Neither HTTP/1.0 nor HTTP/1.1."""

    status = 505


class ExpectationFailed(BadHead):
    """An expectation other than 100-continue."""

    status = 417


def split(head: Head, data: bytes, limits: HeadLimits) -> int:
    """Fill a head from the bytes that it begins; answers where it ends.

    0 says that it is not whole in `data`, or longer than the limit; then the head is of no use. What it
    says is not judged: that is for llhttp, and for `check` behind it.
    """
    size = min(len(data), limits.max_bytes)
    start = kept = _split_first(head, data, size)
    count, lines = 0, b""
    # HOT: the one pass over the fields. Those that are for servers leave it by the run, not one by one.
    while start:
        colon, end = line_at(data, start, size)
        if end == start + 2:
            head.lines = lines + data[kept:start] if kept < start else lines
            head.count = count
            head.raw = data[:end]
            return end
        count += 1
        if end and not passes_to_server(data[start], colon - start):
            name = name_of(data[start:colon])
            if not name.for_servers:
                # More fields are refused, and each time all that is kept is copied.
                if kept < start and count <= limits.max_fields:
                    lines = lines + data[kept:start]  # `+=` would be a call
                kept = end
            if name.for_us:
                _note(head, name, value_in(data, colon + 1, end - 2))
        start = end
    return 0


def _split_first(head: Head, data: bytes, size: int) -> int:
    """Take the request line apart; answers where the next line begins, 0 where it is not whole."""
    blank, at = blanks_in(data, size)
    version = at + 1
    # HOT: the usual line, of which no other is made.
    if at < size and data[blank] == data[at] == _BLANK and data[version : version + 10] == HTTP_1_1:
        head.method = data[:blank]
        head.path = data[blank + 1 : at]
        return version + 10 if version + 10 <= size else 0
    # llhttp also takes RTSP, ICE, HTTP/0.9 and several blanks between the parts.
    _, start = line_at(data, 0, size)
    head.is_plain = False
    head.method, _, rest = data[:start].partition(b" ")
    head.path, _, head.version = rest.partition(b" ")
    return start


def _note(head: Head, name: FieldName, value: bytes) -> None:
    """Note what a field says to a proxy."""
    if name is HOST:
        head.is_plain = head.is_plain and head.host is None
        head.host = value
    elif name is CONTENT_LENGTH:
        head.is_plain = head.is_plain and head.length_text is None
        head.length_text = value
    elif name is AUTHORIZATION:  # many clients send one; it says nothing of how a request is read
        head.is_plain = head.is_plain and head.authorization is None
        head.authorization = value
    elif name is not CONNECTION or value != b"keep-alive":
        head.is_plain = False


def check(head: Head, limits: HeadLimits) -> None:
    """Read what a request's head says; raises a BadHead that says what is wrong with it."""
    host = head.host
    # HOT: a request that is usual in all this passes on one condition.
    if (
        not head.is_plain
        or host is None
        or not is_usual_target(head.path)
        or not is_usual_host(host)
        or head.count > limits.max_fields
        or head.method in _REFUSED_METHODS
    ):
        _check_unusual(head, host, limits)
    if head.length_text is not None:
        head.length = content_length(head.length_text)


def _check_unusual(head: Head, host: bytes | None, limits: HeadLimits) -> None:
    if head.version != HTTP_1_1:
        _read_version(head)
    if head.method in _REFUSED_METHODS:
        raise MethodRefused(f"method {head.method.decode()} is not allowed")
    if len(head.path) > MAX_TARGET_BYTES:
        raise TargetTooLong("the request target is longer than 8 KiB")
    if head.count > limits.max_fields:
        raise HeadTooLarge(f"more than {limits.max_fields} header fields: raise max_fields to allow them")
    names = [line.partition(b":")[0].lower() for line in head.raw.split(b"\r\n")]
    for name in _ONCE:  # what frames a request or names its host is no list
        if names.count(name) > 1:
            raise BadHead(f"more than one {name.decode().title()} field")
    head.path, head.query = _split_target(head.path, host)
    if host:
        _check_host(host)
    elif host is None and not head.is_http10:
        raise BadHead("HTTP/1.1 needs a Host field")
    _read_connection(head)


def _read_connection(head: Head) -> None:
    """Take what a head says about this connection and how its body comes (RFC 9112, sections 6, 9.6)."""
    names = head.names
    is_http10 = head.is_http10
    if (connection := names.get(b"connection")) is not None:
        tokens = {token.strip() for token in connection.lower().split(b",")}
        head.keep_alive = b"close" not in tokens and (not is_http10 or b"keep-alive" in tokens)
        head.hop_names = connection_names(connection)
    else:
        head.keep_alive = not is_http10
    if (coding := names.get(b"transfer-encoding")) is not None:
        if is_http10:
            raise BadHead("Transfer-Encoding in HTTP/1.0")
        check_coding(coding)
        if b"content-length" in names:
            raise BadHead("Content-Length beside Transfer-Encoding")
        head.is_chunked = True
    if (expected := names.get(b"expect")) is not None and not is_http10:
        if expected.strip().lower() != b"100-continue":
            raise ExpectationFailed("the only expectation that is met is 100-continue")
        head.expects_continue = True


def content_length(value: bytes) -> int:
    """The value of a Content-Length field (RFC 9110, section 8.6): digits only, at most 64 bits."""
    number = number_in(value)
    if number >= 0:
        return number
    digits = value.strip(b" \t")
    if not digits.isdigit():
        raise BadHead("Content-Length is no number")
    digits = digits.lstrip(b"0") or b"0"
    if len(digits) > _MAX_LENGTH_DIGITS or int(digits) >= 1 << 63:
        raise LengthTooLarge("Content-Length is too large")
    return int(digits)


def check_coding(value: bytes) -> None:
    """Refuse every Transfer-Encoding but `chunked` (RFC 9112, section 6.1)."""
    coding = value.strip(b" \t").lower()
    if coding == b"chunked":
        return
    if re.fullmatch(rb"[!#$%&'*+.^_`|~0-9a-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9a-z-]+)*", coding):
        raise UnknownCoding("the only transfer coding is chunked")
    raise BadHead("malformed Transfer-Encoding")


def _split_target(target: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """Path and query of an origin-form target; absolute-form only for the Host that is asked.

    No server is asked by a client's query, so it may hold what no URL may, as long as it is no line end.
    """
    before, _, query = target.partition(b"?")
    if _PATH_REFUSED.search(before):
        raise BadHead("the path of the request target has a character that no URL has")
    if before.startswith(b"/"):
        return before, query
    scheme, _, rest = before.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    if scheme.lower() != b"http" or not authority or authority.lower() != (host or b"").lower():
        raise BadHead("the request target must be a path")
    return slash + path or b"/", query


def _check_host(host: bytes) -> None:
    """RFC 9112, section 3.2: one host with an optional port, nothing else."""
    match = _HOST.fullmatch(host)
    if match is None or int(match[1] or 0) > _MAX_PORT:
        raise BadHead("malformed Host field")


def _read_version(head: Head) -> None:
    match = _VERSION.fullmatch(head.version)
    if match is None:
        raise BadHead("malformed request line")
    if match[1] not in (b"1.0", b"1.1"):
        raise VersionRefused(f"HTTP/{match[1].decode()} is not supported: use HTTP/1.1")
    head.is_http10 = match[1] == b"1.0"


def forwarded(head: Head, configured: frozenset[bytes]) -> bytes:
    """The lines of a client's fields that a server gets, with their CRLF.

    `configured` are names, in lower case, of fields that the server's configuration sets instead.
    """
    if configured or head.hop_names:
        return without(head.lines, configured | head.hop_names)
    return head.lines


def via(head: Head, own: bytes) -> bytes | None:
    """The Via field to send on, or None where `own`, our pseudonym, is in it: a loop (RFC 9110, 7.6.3)."""
    chain = head.names.get(b"via")
    if chain is None:
        return b"1.1 " + own
    if any(own in hop.split() for hop in chain.split(b",")):
        return None
    return chain + (b", 1.0 " if head.is_http10 else b", 1.1 ") + own
