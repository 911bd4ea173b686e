"""Every failure that we answer: its status, who is to blame, whether another server may try.

Owns what is said, not the shape of a dialect (`api/dialects`). Routing, status, metrics label and
health mark are all read from the class.
"""

from enum import Enum
from typing import ClassVar


class Blame(Enum):
    """Whose fault it is: decides the health mark and the word in the log."""

    CLIENT = "client"
    SERVER = "server"
    OURS = "ours"


class ProxyError(Exception):
    """A request that ends with an answer of ours.

    `text` is what the client reads. `closes` says that the client's connection can't be used after it.
    """

    status: ClassVar[int] = 500
    blame: ClassVar[Blame] = Blame.OURS
    retriable: ClassVar[bool] = False
    closes: ClassVar[bool] = False
    retry_after: ClassVar[int | None] = None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class BadRequest(ProxyError):
    """The request means nothing that Ollama would accept."""

    status, blame = 400, Blame.CLIENT


class BodyTooLarge(ProxyError):
    """The body is longer than `max_body`."""

    status, blame, closes = 413, Blame.CLIENT, True


class UploadsFull(ProxyError):
    """The forms that are held now leave no room for one more within `max_upload`."""

    status, blame, closes, retry_after = 503, Blame.OURS, True, 5


class NotServed(ProxyError):
    """Who asks may not, or nothing is served there by this method: refused before the body is read."""

    status, blame, closes = 404, Blame.CLIENT, True


class ModelNotFound(ProxyError):
    """No server of ours is to run this model. 404, since `ollama run` pulls on nothing else."""

    status, blame = 404, Blame.CLIENT


class LoopDetected(ProxyError):
    """The request has passed through this proxy before (RFC 9110, section 7.6.3)."""

    status = 508


class NotYetSupported(ProxyError):
    """A route of Ollama's that this version does not serve."""

    status = 501


class NoServerLeft(ProxyError):
    """Every server of the model is down."""

    status, retry_after = 503, 5


class ResourcesExhausted(ProxyError):
    """Our process or machine has none left of what a connection needs, which says nothing of a server."""

    status, retry_after = 503, 1


class TooManyOpenFiles(ResourcesExhausted):
    """No descriptor is left."""


class TooManyClients(ProxyError):
    """As many clients are connected as there may be, and none of them is idle."""

    status, closes, retry_after = 503, True, 1


class ServerRefused(ProxyError):
    """A connection to the server could not be made: nothing was sent."""

    status, blame, retriable = 502, Blame.SERVER, True


class ServerBroke(ProxyError):
    """The server ended its connection, or sent what is no HTTP, before an answer began."""

    status, blame = 502, Blame.SERVER


class ServerTooSlow(ProxyError):
    """Nothing came within `first_byte_timeout`."""

    status, blame = 504, Blame.SERVER


class ShuttingDown(ProxyError):
    """The grace period ended before an answer began."""

    status, closes, retry_after = 503, True, 5
