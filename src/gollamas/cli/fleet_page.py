"""The state of the fleet for `gollamas models` and `gollamas ps`, or why it can't be had."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from gollamas.cli.answers import NothingTold, no_gollamas
from gollamas.cli.asking import Question
from gollamas.cli.clients_port import admin_of, port_of
from gollamas.cli.page import reply_of
from gollamas.config.load import Loaded
from gollamas.observe.state import ServerState, SyncState

Read = TypeVar("Read")

WHERE: Final = "--admin or GOLLAMAS_ADMIN says where it is"
_STATE: Final = "/state"


class UsableModel(msgspec.Struct, frozen=True):
    """A model that clients can use, and where."""

    name: str
    servers: list[str]
    aliases: list[str]


class ServersState(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of the page."""

    time: str
    servers: list[ServerState]
    models: list[UsableModel] | None = None  # neither from an older proxy
    sync: list[SyncState] = []


def read_state(verb: str, loaded: Loaded, read: Callable[[ServersState], Read]) -> Read:
    """Ask for the state and read it; raises NothingTold, also where the reader raises ValueError."""
    admin = admin_of(loaded)
    if admin is None and loaded.config.admin is not None:
        raise NothingTold(f"nobody has said where the admin port of {port_of(loaded).url} is")
    url, reply = reply_of(verb, admin, Question(_STATE))
    if reply.status != 200:
        raise no_gollamas(url, f"or an older one: status {reply.status}")
    try:
        return read(msgspec.json.decode(reply.body, type=ServersState))
    except (ValueError, RecursionError) as why:
        raise no_gollamas(url, "or an older one: its state is another") from why
