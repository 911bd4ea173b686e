"""Every failure that we answer, and its status.

Owns what is said, not the shape of a dialect (`api/dialects`).
"""

from typing import ClassVar


class ProxyError(Exception):
    """A request that ends with an answer of ours.

    `text` is what the client reads, `retry_after` seconds until another try may go well.
    """

    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class BadRequest(ProxyError):
    """The request means nothing that Ollama would accept."""

    status = 400


class BodyTooLarge(ProxyError):
    """The body is longer than `max_body`."""

    status = 413


class UploadsFull(ProxyError):
    """The forms that are held now leave no room for one more within `max_upload`."""

    status, retry_after = 503, 5


class RequestTooSlow(ProxyError):
    """A request did not come to its end in time."""

    status = 408


class NotServed(ProxyError):
    """Who asks may not, or nothing is served there by this method: refused before the body is read."""

    status = 404


class Forbidden(ProxyError):
    """The configuration does not let clients do this."""

    status = 403


class ModelBusy(ProxyError):
    """Another job of the same model takes too long to wait for."""

    status, retry_after = 503, 30


class ModelNotFound(ProxyError):
    """No server of ours is to run this model. 404, since `ollama run` pulls on nothing else."""

    status = 404


class ServerNotFound(ProxyError):
    """No server is configured under this id."""

    status = 404


class LoopDetected(ProxyError):
    """The request has passed through this proxy before (RFC 9110, section 7.6.3)."""

    status = 508


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

    status, retry_after = 503, 1


class ServerRefused(ProxyError):
    """A connection to the server could not be made: nothing was sent."""

    status = 502


class ServerBroke(ProxyError):
    """The server ended its connection, or sent what is no HTTP, before an answer began."""

    status = 502


class ServerTooSlow(ProxyError):
    """Nothing came within `first_byte_timeout`."""

    status = 504


class LoadFailed(ProxyError):
    """A server did not load a model; status and text are its own, so that the client reads what it would."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        object.__setattr__(self, "status", status)  # which every other class says once for all

    @property
    def is_missing(self) -> bool:
        """Whether the server has no such model: its own answer to the request says it best."""
        return self.status == 404


class ShuttingDown(ProxyError):
    """The grace period ended before an answer began."""

    status, retry_after = 503, 5
