"""Every way in which a connection fails is said in words of ours."""

import errno
import os
import socket
import ssl

import pytest

from gollamas.config.model import Server
from gollamas.system.reasons import broken, not_connected

HTTP = Server(id="a", scheme="http", host="gpu.lan", port=11434)
HTTPS = Server(id="a", scheme="https", host="gpu.lan", port=443)


def system_error(number: int, text: str = "Connect call failed ('127.0.0.1', 23491)") -> OSError:
    """Give the error as asyncio and uvloop raise it, with a text of their own."""
    return OSError(number, text)


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] words of OpenSSL (_ssl.c:1006)")
    error.reason = reason
    return error


def certificate_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ECONNREFUSED, "connection refused"),
        (errno.ECONNRESET, "it reset the connection"),
        (errno.ECONNABORTED, "the connection was given up"),
        (errno.EPIPE, "it closed the connection"),
        (errno.ETIMEDOUT, "the connection timed out"),
        (errno.EHOSTUNREACH, "no route to its host"),
        (errno.EHOSTDOWN, "its host is down"),
        (errno.ENETUNREACH, "no route to its network"),
        (errno.ENETDOWN, "the network of this machine is down"),
        (errno.EPERM, "this machine's firewall forbids the connection"),
        (errno.EACCES, "this machine's firewall forbids the connection"),
        (errno.EAFNOSUPPORT, "this machine has no addresses of its kind (IPv6?)"),
        (errno.EINVAL, "its address can't be used on this machine"),
        (errno.ENOENT, "the file of its `tls: {ca: …}` is not there"),
        (errno.EPROTO, os.strerror(errno.EPROTO).lower()),
    ],
)
def test_what_the_system_says_has_words_without_pythons_own(number: int, words: str) -> None:
    assert not_connected(system_error(number), HTTP) == words
    assert broken(system_error(number)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "connection refused",
        ),
        (
            (
                "Multiple exceptions: [Errno 101] Network is unreachable, "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "no route to its network or connection refused",
        ),
        ("something else", "something else"),
        ("", "OSError"),
        ("x" * 1000, "x" * 200),
    ],
)
def test_several_addresses_that_failed_are_one_text_that_names_each_reason_once(
    text: str, words: str
) -> None:
    assert not_connected(OSError(text), HTTP) == words


def test_a_reset_without_a_number_is_a_reset() -> None:
    assert broken(ConnectionResetError()) == "it reset the connection"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name gpu.lan is not known"),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "its name gpu.lan can't be looked up now: no answer from the name server",
        ),
        (UnicodeError("label empty or too long"), "its name gpu.lan is not known"),
    ],
)
def test_a_name_that_is_not_found_is_named(error: Exception, words: str) -> None:
    assert not_connected(error, HTTP) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("WRONG_VERSION_NUMBER", "it speaks no TLS: write http:// in its URL, or the port of its TLS"),
        ("RECORD_LAYER_FAILURE", "it speaks no TLS: write http:// in its URL, or the port of its TLS"),
        ("UNSUPPORTED_PROTOCOL", "its versions of TLS are too old"),
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "it asks for a client's certificate, which gollamas has none of",
        ),
        ("NO_CERTIFICATE_OR_CRL_FOUND", "the file of its `tls: {ca: …}` holds no certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLS failed: sslv3 alert handshake failure"),
        ("", "TLS failed: words of OpenSSL"),
    ],
)
def test_what_went_wrong_with_tls_is_said_without_the_source_lines_of_python(reason: str, words: str) -> None:
    assert not_connected(tls_error(reason), HTTPS) == words
    assert broken(tls_error(reason)) == words


@pytest.mark.parametrize(
    "error",
    [ConnectionResetError(104, "x"), ConnectionAbortedError("SSL handshake…"), ssl.SSLEOFError(8, "x")],
)
def test_an_end_before_tls_was_agreed_on_asks_whether_it_is_http(error: Exception) -> None:
    assert not_connected(error, HTTPS) == "it ended the connection before TLS was agreed on: is it http?"
    assert "TLS" not in not_connected(ConnectionResetError(104, "x"), HTTP)


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            18,
            "self-signed certificate",
            (
                "its certificate is not trusted (self-signed certificate): "
                "set `tls: {ca: FILE}` for this server, or `tls: {verify: false}`"
            ),
        ),
        (
            20,
            "unable to get local issuer certificate",
            (
                "its certificate is not trusted (unable to get local issuer certificate): "
                "set `tls: {ca: FILE}` for this server, or `tls: {verify: false}`"
            ),
        ),
        (
            62,
            "Hostname mismatch, certificate is not valid for 'gpu.lan'.",
            (
                "its certificate is not for gpu.lan: use a name that it holds, "
                "or set `tls: {verify: false}` for this server"
            ),
        ),
        (10, "certificate has expired", "its certificate has expired"),
        (9, "certificate is not yet valid", "its certificate is not valid yet: is the clock right?"),
        (23, "certificate revoked", "its certificate is not accepted: certificate revoked"),
    ],
)
def test_a_certificate_that_is_not_accepted_comes_with_what_helps(
    code: int, message: str, words: str
) -> None:
    assert not_connected(certificate_error(code, message), HTTPS) == words
