"""Asking a running proxy from another process, for the verbs that do; knows nothing of what is answered."""

import http.client
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple

from gollamas import __version__
from gollamas.config.model import Address

_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 256 * 1024 * 1024  # more is no answer of ours
_PIECE_BYTES: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 20
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")  # OpenSSL's words
_UNKNOWN_AUTHORITY: Final = range(18, 22)  # OpenSSL's numbers: self-signed, or signed by nobody who is known
_AGENT: Final = {"User-Agent": f"gollamas-cli/{__version__}"}  # not that of what the proxy asks servers


class Unanswered(Exception):
    """Nobody answered; the text says why, for people."""


class NotHttp(Unanswered):
    """Something answered that is no HTTP."""


class NoTls(Unanswered):
    """Somebody is there, but TLS with them does not come about."""


class BrokenOff(Unanswered):
    """An answer began and did not come to its end."""


class Endpoint(NamedTuple):
    """Where to ask."""

    host: str
    port: int
    is_tls: bool = False
    prefix: str = ""  # of every path
    authorization: bytes = b""


class Question(NamedTuple):
    """What is asked for; `timeout` is seconds for each step, but for the connection, which is there soon.

    None waits for as long as it takes.
    """

    path: str
    method: str = "GET"
    fields: Mapping[str, bytes] = MappingProxyType({})
    timeout: float | None = _TIMEOUT
    body: bytes | None = None


class PageReply(NamedTuple):
    """What was answered; `warnings` are its fields of that name."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()
    location: str = ""  # where a redirect leads


def endpoint_at(address: Address) -> Endpoint:
    """Give the place of an address that a proxy listens on."""
    return Endpoint(address.for_clients.host, address.port)


def ask(place: Endpoint, question: Question) -> PageReply:
    """Ask for a page; raises Unanswered."""
    with answering(place, question) as answer:
        return whole(answer)


def whole(answer: http.client.HTTPResponse) -> PageReply:
    """Read an answer to its end, within `answering`."""
    body = answer.read(_MOST_BYTES)
    if answer.length:  # http.client minds only where no number of bytes is asked for
        raise http.client.IncompleteRead(body, answer.length)
    warnings = tuple(answer.headers.get_all("Warning", ()))
    return PageReply(answer.status, body, warnings, answer.headers.get("Location", ""))


def lines_of(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Give the lines of an answer as they come, within `answering`."""
    rest = b""
    while piece := answer.read1(_PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            break
    if rest:
        yield rest


@contextmanager
def answering(place: Endpoint, question: Question) -> Iterator[http.client.HTTPResponse]:
    """Ask, and give the answer to be read in the block; raises Unanswered, also out of the block."""
    timeout = question.timeout
    kind = http.client.HTTPSConnection if place.is_tls else http.client.HTTPConnection
    connection = kind(place.host, place.port, timeout=_TIMEOUT if timeout is None else min(timeout, _TIMEOUT))
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        if timeout is None:
            _keep_alive(connection.sock)
        shown = {"Authorization": place.authorization} if place.authorization else {}
        connection.request(
            question.method,
            place.prefix + question.path,
            question.body,
            headers={**_AGENT, **shown, **question.fields},
        )
        yield connection.getresponse()
    except TimeoutError as error:
        waited = connection.timeout if connection.sock is None else timeout
        # Without a time of ours it is the system's, of a machine that has vanished.
        raise Unanswered("no answer" if waited is None else f"no answer within {waited:g} s") from error
    except ssl.SSLError as error:
        raise NoTls(_why_no_tls(error)) from error
    except (OSError, UnicodeError) as error:  # first: one that only closes is both, a host may be no name
        raise Unanswered(getattr(error, "strerror", "") or str(error) or type(error).__name__) from error
    except http.client.IncompleteRead as error:
        raise BrokenOff("the answer broke off") from error
    except http.client.HTTPException as error:
        raise NotHttp(str(error) or type(error).__name__) from error
    finally:
        connection.close()


def _why_no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"its certificate is not trusted ({error.verify_message})"
        helps = error.verify_code in _UNKNOWN_AUTHORITY
        return f"{why}: SSL_CERT_FILE names a file of authorities" if helps else why
    if error.reason in _NO_TLS:
        return "it speaks no TLS: write http:// instead of https://"
    return error.strerror or str(error)


def _keep_alive(sock: socket.socket) -> None:
    """Have the system find out within minutes that the other machine is gone: nothing else ends the wait."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for option, value in (
            (socket.TCP_KEEPIDLE, 30),
            (socket.TCP_KEEPINTVL, 10),
            (socket.TCP_KEEPCNT, 6),
        ):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
