"""What the admin port takes and tells of what is done by hand: with which model, and what became of it.

Owns the keys, which docs/admin.md describes; `gollamas load` and `gollamas unload` write and read them.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from gollamas.events import JobEnd
from gollamas.observe.jsonlines import encoded
from gollamas.observe.safe import cut, without_user_info


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that is to be loaded, unloaded, pulled or deleted: on a server, or on all of its servers."""

    model: str
    server: str | None = None


class UnloadEnd(StrEnum):
    """What became of an unload; of a load says `events.LoadEnd`, of a pull or delete `events.JobEnd`."""

    UNLOADED = "unloaded"
    NOT_LOADED = "not_loaded"
    FAILED = "failed"


class OnServer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it on one server."""

    server: str
    model: str  # as the server names it
    end: str
    took_s: float
    error: str | None  # why it failed

    @property
    def has_failed(self) -> bool:
        """Whether it is not as it was wanted."""
        return self.error is not None


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it on each server, in configuration order."""

    servers: Sequence[OnServer]

    @property
    def has_all_failed(self) -> bool:
        """Whether nothing that was asked for has been done."""
        return all(one.has_failed for one in self.servers)

    @property
    def status(self) -> int:
        """The status of an answer that tells it."""
        if not self.has_all_failed:
            return 200
        return 404 if all(one.end == JobEnd.MISSING for one in self.servers) else 502


def wanted(body: bytes) -> Wanted:
    """Read what is asked for; raises ValueError with a sentence."""
    try:
        found = msgspec.json.decode(body, type=Wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        raise ValueError(f'the body has to be like {{"model":"llama3.2","server":"gpu-1"}}: {why}') from why
    if not found.model.strip():
        raise ValueError("`model` is empty: name one, like `llama3.2`")
    return found


def by_hand_page(done: ByHand) -> bytes:
    """Write what became of it; what servers said is made fit for others to read."""
    servers = [
        msgspec.structs.replace(
            one,
            took_s=round(one.took_s, 6),
            error=None if one.error is None else cut(without_user_info(one.error)),
        )
        for one in done.servers
    ]
    page: dict[str, object] = {"servers": servers}
    if done.has_all_failed:
        reasons = "; ".join(f"{one.server}: {one.error}" for one in servers)
        page = {"error": cut(reasons), **page}
    return encoded(page) + b"\n"
