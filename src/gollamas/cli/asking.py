"""Asking a running proxy from another process, for the verbs that do; knows nothing of what is answered."""

import http.client
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from gollamas.config.model import Address

_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 256 * 1024 * 1024  # more is no answer of ours


class Unanswered(Exception):
    """Nobody answered; the text says why, for people."""


class NotHttp(Unanswered):
    """Something answered that is no HTTP."""


class Question(NamedTuple):
    """What is asked for; `timeout` is seconds for each step, but for the connection, which is there soon."""

    path: str
    method: str = "GET"
    fields: Mapping[str, bytes] = MappingProxyType({})
    timeout: float = _TIMEOUT
    body: bytes | None = None


class PageReply(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


def ask(address: Address, question: Question) -> PageReply:
    """Ask for a page; raises Unanswered."""
    host, port, timeout = address.for_clients.host, address.port, question.timeout
    connection = http.client.HTTPConnection(host, port, timeout=min(timeout, _TIMEOUT))
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        connection.request(question.method, question.path, question.body, headers=question.fields)
        answer = connection.getresponse()
        return PageReply(answer.status, answer.read(_MOST_BYTES))
    except TimeoutError as error:
        waited = connection.timeout if connection.sock is None else timeout
        raise Unanswered(f"no answer within {waited:g} s") from error
    except OSError as error:  # first: one that only closes is both
        raise Unanswered(error.strerror or str(error) or type(error).__name__) from error
    except http.client.HTTPException as error:
        raise NotHttp(str(error) or type(error).__name__) from error
    finally:
        connection.close()
