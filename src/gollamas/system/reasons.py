"""What went wrong with a connection to a server, in words for people.

Owns the words for errors of the system, of name look-ups and of TLS. Each text goes on where "server x: "
ends, holds no address, and is the same wherever it is read: in the log, in an error, in `check --live`.
"""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Final

from gollamas.config.model import Server

_NOT_CONNECTED: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "it reset the connection",
    errno.ECONNABORTED: "the connection was given up",
    errno.EPIPE: "it closed the connection",
    errno.ETIMEDOUT: "the connection timed out",
    errno.EHOSTUNREACH: "no route to its host",
    errno.EHOSTDOWN: "its host is down",
    errno.ENETUNREACH: "no route to its network",
    errno.ENETDOWN: "the network of this machine is down",
    errno.EACCES: "this machine's firewall forbids the connection",
    errno.EPERM: "this machine's firewall forbids the connection",
    errno.EAFNOSUPPORT: "this machine has no addresses of its kind (IPv6?)",
    errno.EINVAL: "its address can't be used on this machine",
    errno.ENOENT: "the file of its `tls: {ca: …}` is not there",
}
# OpenSSL's X509_V_ERR_…: what a CA file mends, and what it doesn't.
_UNKNOWN_CA: Final = frozenset({2, 18, 19, 20, 21})
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset({62, 64})

# OpenSSL's reasons, by what is there instead.
_NO_TLS: Final = frozenset(
    ("BAD_RECORD_TYPE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL",
     "WRONG_VERSION_NUMBER")
)  # fmt: skip
_OLD_TLS: Final = frozenset(("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"))
_WANTS_CERTIFICATE: Final = frozenset(
    ("SSLV3_ALERT_BAD_CERTIFICATE", "TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA")
)
_BAD_CA_FILE: Final = frozenset(("NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"))

_CUT_SHORT: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError)
# How aiohappyeyeballs tells of several addresses that failed in unlike ways: in one text.
_NUMBER: Final = re.compile(r"\[Errno (-?\d+)\]")
_PYTHONS_OWN: Final = re.compile(r"^\[[^\]]*\] | \(_ssl\.c:\d+\)$")  # around OpenSSL's words
_LONGEST: Final = 200


def not_connected(error: Exception, server: Server) -> str:
    """Say why no connection to a server could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, server)
    if server.scheme == "https" and isinstance(error, _CUT_SHORT):
        return "it ended the connection before TLS was agreed on: is it http?"
    if isinstance(error, socket.gaierror | UnicodeError):
        return _name(error, server)
    return broken(error)


def broken(error: Exception) -> str:
    """Say what an error means for a connection that is there."""
    if isinstance(error, ssl.SSLError):
        return _tls(error)
    return " or ".join(dict.fromkeys(_words(number) for number in numbers(error))) or _plain(error)


def numbers(error: Exception) -> Iterable[int]:
    """Give the system's numbers of an error: several where several addresses failed."""
    if isinstance(error, OSError) and error.errno is not None:
        return [error.errno]
    return [int(number) for number in _NUMBER.findall(str(error))]


def _words(number: int) -> str:
    return _NOT_CONNECTED.get(number) or os.strerror(number).lower()


def _plain(error: Exception) -> str:
    """What an error without a number says of itself, else what it is called."""
    if isinstance(error, ConnectionResetError):
        return _words(errno.ECONNRESET)
    return (str(error) or type(error).__name__)[:_LONGEST]


def _name(error: Exception, server: Server) -> str:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return f"its name {server.host} can't be looked up now: no answer from the name server"
    return f"its name {server.host} is not known"


def _certificate(error: ssl.SSLCertVerificationError, server: Server) -> str:
    code = error.verify_code
    if code in _UNKNOWN_CA:
        return (
            f"its certificate is not trusted ({error.verify_message}): "
            "set `tls: {ca: FILE}` for this server, or `tls: {verify: false}`"
        )
    if code in _OTHER_NAME:
        return (
            f"its certificate is not for {server.host}: use a name that it holds, "
            "or set `tls: {verify: false}` for this server"
        )
    if code == _EXPIRED:
        return "its certificate has expired"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet: is the clock right?"
    return f"its certificate is not accepted: {error.verify_message}"


def _tls(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "it speaks no TLS: write http:// in its URL, or the port of its TLS"
    if reason in _OLD_TLS:
        return "its versions of TLS are too old"
    if reason in _WANTS_CERTIFICATE:
        return "it asks for a client's certificate, which gollamas has none of"
    if reason in _BAD_CA_FILE:
        return "the file of its `tls: {ca: …}` holds no certificate"
    return f"TLS failed: {reason.replace('_', ' ').lower() or _PYTHONS_OWN.sub('', _plain(error))}"
