"""What a head may look like and what of it is passed on (RFC 9110, RFC 9112).

Owns the limits, the target and Host forms, hop-by-hop fields and the framing that a head announces;
llhttp has refused what is no HTTP at all before anything here runs. Pure: fields in, values out.
"""

import re
from typing import Final

from gollamas.errors import Blame, ProxyError
from gollamas.wire.fields import connection_names, without
from gollamas.wire.message import MAX_FIELDS, Head

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024

_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%\-]+)(?::([0-9]{0,5}))?")
_TARGET_REFUSED: Final = re.compile(rb"[^\x21-\x7e]|[#\\]|%00|%(?![0-9A-Fa-f]{2})")
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
_CONNECTION_NAMES: Final = frozenset({b"connection", b"transfer-encoding", b"expect", b"upgrade"})
MAX_LENGTH_DIGITS: Final = 19
# HOT: what nearly every client writes.
_PLAIN_TARGET: Final = re.compile(rb"/[A-Za-z0-9/._~-]{0,255}").fullmatch
_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]{1,4})?").fullmatch


class BadHead(ProxyError):
    """A head that is refused: 400 where a class below says nothing else; the connection closes."""

    status = 400
    blame = Blame.CLIENT
    closes = True


class TargetTooLong(BadHead):
    """The request target is longer than 8 KiB."""

    status = 414


class HeadTooLarge(BadHead):
    """More than 16 KiB or more than 100 fields."""

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


def check(head: Head, version: str) -> None:
    """Read what a request's head says; raises a BadHead that says what is wrong with it."""
    names = head.names
    host = names.get(b"host")
    # HOT: a request that is usual in all this passes on one condition.
    if (
        version != "1.1"
        or host is None
        or head.repeats
        or _PLAIN_TARGET(head.path) is None
        or _PLAIN_HOST(host) is None
        or len(names) > MAX_FIELDS
        or head.method in _REFUSED_METHODS
        or not _CONNECTION_NAMES.isdisjoint(names)
    ):
        _check_unusual(head, version, host)
    length = names.get(b"content-length")
    if length is not None:
        head.length = content_length(length)


def _check_unusual(head: Head, version: str, host: bytes | None) -> None:
    if version not in _VERSIONS:
        raise VersionRefused(f"HTTP/{version} is not supported: use HTTP/1.1")
    if head.method in _REFUSED_METHODS:
        raise MethodRefused(f"method {head.method.decode()} is not allowed")
    if len(head.path) > MAX_TARGET_BYTES:
        raise TargetTooLong("the request target is longer than 8 KiB")
    if head.repeated:
        raise BadHead(f"more than one {head.repeated.decode().title()} field")
    if len(head.names) + head.repeats > MAX_FIELDS:
        raise HeadTooLarge(f"more than {MAX_FIELDS} header fields")
    head.path, head.query = _split_target(head.path, host)
    if host is not None:
        _check_host(host)
    elif version == "1.1":
        raise BadHead("HTTP/1.1 needs a Host field")
    _read_connection(head, version)


def _read_connection(head: Head, version: str) -> None:
    """Take what a head says about this connection and how its body comes (RFC 9112, sections 6, 9.6)."""
    names = head.names
    is_http10 = head.is_http10 = version == "1.0"
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
    if b"upgrade" in names:
        head.keep_alive = False  # no upgrade is followed: what comes next may be no HTTP


def content_length(value: bytes) -> int:
    """The value of a Content-Length field (RFC 9110, section 8.6): digits only, at most 64 bits."""
    if value.isdigit() and len(value) < MAX_LENGTH_DIGITS:
        return int(value)
    digits = value.strip(b" \t")
    if not digits.isdigit():
        raise BadHead("Content-Length is no number")
    digits = digits.lstrip(b"0") or b"0"
    if len(digits) > MAX_LENGTH_DIGITS or int(digits) >= 1 << 63:
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
    """Path and query of an origin-form target; absolute-form only for the Host that is asked."""
    if _TARGET_REFUSED.search(target):
        raise BadHead("the request target has a character that no URL has")
    if not target.startswith(b"/"):
        scheme, _, rest = target.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        authority, question, query = authority.partition(b"?")
        if scheme.lower() != b"http" or not authority or authority.lower() != (host or b"").lower():
            raise BadHead("the request target must be a path")
        target = b"/" + path if slash else b"/" + question + query
        if slash and question:
            raise BadHead("the request target must be a path")
    path, _, query = target.partition(b"?")
    return path, query


def _check_host(host: bytes) -> None:
    """RFC 9112, section 3.2: one host with an optional port, nothing else."""
    match = _HOST.fullmatch(host)
    if match is None or int(match[1] or 0) > 65535:
        raise BadHead("malformed Host field")


def forwarded(head: Head, configured: frozenset[bytes]) -> list[bytes]:
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
