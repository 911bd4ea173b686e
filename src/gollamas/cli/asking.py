"""Asking a running proxy from another process, for the verbs that do; knows nothing of what is answered."""

import http.client
from typing import Final, NamedTuple

from gollamas.config.model import Address

_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 256 * 1024 * 1024  # more is no answer of ours


class Unanswered(Exception):
    """Nobody answered; the text says why, for people."""


class NotHttp(Unanswered):
    """Something answered that is no HTTP."""


class PageReply(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


def ask(address: Address, path: str) -> PageReply:
    """Ask for a page, five seconds at most per step; raises Unanswered."""
    connection = http.client.HTTPConnection(address.for_clients.host, address.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return PageReply(answer.status, answer.read(_MOST_BYTES))
    except OSError as error:  # first: one that only closes is both
        raise Unanswered(error.strerror or str(error) or type(error).__name__) from error
    except http.client.HTTPException as error:
        raise NotHttp(str(error) or type(error).__name__) from error
    finally:
        connection.close()
