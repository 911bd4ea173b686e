"""Blobs: which digest a path names, where they go, and what a client is told of an upload. Pure."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gollamas.api.outcomes import warning_fields
from gollamas.api.routes import parameter
from gollamas.config.model import Config, Manage
from gollamas.errors import BadRequest, Forbidden
from gollamas.wire.message import Fields

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class BlobOutcome(NamedTuple):
    """What became of a blob on one server: `status` and `body` of its answer, or why there was none.

    A server that had it before was not sent it.
    """

    server: str
    status: int
    body: bytes = b""
    why: str = ""
    had_it: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether the server has said that it lacks it."""
        return not self.had_it and not self.why

    @property
    def is_there(self) -> bool:
        """Whether the server has it now."""
        return self.had_it or 200 <= self.status < 300


class _Words(msgspec.Struct):
    """A server's own words."""

    error: str


class Stored(NamedTuple):
    """What the client of an upload is told: `error` as well, where there is no `body` that says it."""

    status: int
    fields: Fields
    body: bytes
    error: str


def is_digest(text: str) -> bool:
    """Whether a text is a digest as servers keep blobs under it."""
    return _DIGEST.fullmatch(text) is not None


def digest_in(path: bytes) -> str:
    """Read the digest that a path names; raises BadRequest in Ollama's words."""
    text = parameter(path)
    if not is_digest(text):
        raise BadRequest("invalid digest format")
    return text


def servers_for_blobs(config: Config, only: str | None, *, changes: bool) -> Sequence[str]:
    """Name the servers that blobs go to, or are looked for on; raises ProxyError for who may not.

    A blob comes before its model is named: so where only configured models may be changed, it goes to all
    servers of these.
    """
    if changes and config.manage is Manage.OFF:
        raise Forbidden("blobs can't be uploaded through gollamas: `manage` is `off`")
    if config.manage is Manage.ALL:
        found = config.manage_servers or tuple(config.servers)
    else:
        ids = {id_ for model in config.models.values() for id_ in model.servers}
        found = tuple(id_ for id_ in config.servers if id_ in ids)
        if not found and changes:
            raise Forbidden(
                "blobs can't be uploaded through gollamas: no model is configured, and `manage` is not `all`"
            )
        found = found or tuple(config.servers)
    if only is None:
        return found
    if only not in found:
        raise BadRequest(f"blobs are not uploaded to server '{only}'")
    return (only,)


def stored(kept: Sequence[BlobOutcome]) -> Stored:
    """Work out what is told of an upload that has ended on all servers."""
    there = [one for one in kept if one.is_there]
    failed = [one for one in kept if not one.is_there]
    notes = [
        f"{one.server} does not have the blob: {one.why or f'it answered {one.status}'}" for one in failed
    ]
    if there:
        status = 201 if any(not one.had_it for one in there) else 200
        return Stored(status, warning_fields(notes), b"", "")
    first = next((one for one in failed if not one.why), failed[0])
    if first.why:
        return Stored(first.status, [], b"", f"server {first.server}: {first.why}")
    try:
        return Stored(first.status, [], first.body, msgspec.json.decode(first.body, type=_Words).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of whatever stands in front of it
        status = first.status if first.status >= 400 else 502
        return Stored(status, [], b"", f"server {first.server} answered {first.status}")
