"""Which models are to be in memory where, and which on disk, as the operator wrote it.

Owns the reading of `preload`, `ping` and `sync` for each model and server, in the order of the configuration.
`fleet/keeping` and `fleet/syncing` decide what is done about them. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from gollamas import names
from gollamas.config.model import EVERYWHERE, Config, value_at

_NOBODY: Final[tuple[str, ...]] = ()


class Wish(NamedTuple):
    """A model that is to be in memory.

    `servers` may have it, in configuration order. `instances` is how many of those in `preloaded` are to,
    EVERYWHERE for all, 0 for none. `pings` are seconds between two looks, by server.
    """

    key: str
    name: str
    servers: tuple[str, ...]
    instances: int
    preloaded: frozenset[str]
    pings: Mapping[str, float]


class SyncWish(NamedTuple):
    """A model that is to be on the disks of these servers, in configuration order."""

    key: str
    name: str
    servers: tuple[str, ...]


def wishes_of(config: Config) -> list[Wish]:
    """Give the wishes of a configuration: first those of configured models, then of others that it names."""
    everywhere = tuple(config.servers)
    found = [
        _wish(config, key, name, servers)
        for key, name, servers in _named(config, (*config.preload, *config.ping), everywhere)
    ]
    return [wish for wish in found if wish.instances or wish.pings]


def sync_wishes_of(config: Config) -> list[SyncWish]:
    """Give the models that are to be pulled where they are missing, in the order of `wishes_of`."""
    found = []
    for key, name, servers in _named(config, config.sync, config.manage_servers or tuple(config.servers)):
        wanted = tuple(server for server in servers if value_at(config.sync, key, server))
        if wanted:
            found.append(SyncWish(key, name, wanted))
    return found


def _named(
    config: Config, levels: Iterable[tuple[str, str]], servers: tuple[str, ...]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give key, name and servers of each configured model, then of others that levels name.

    What runs in Ollama's cloud is on no server.
    """
    for key, model in config.models.items():
        if not names.is_cloud(key):
            yield key, model.name, model.servers
    for key in dict.fromkeys(key for key, _ in levels):
        if key and key not in config.models and not names.is_cloud(key):
            yield key, _name(key), servers


def _wish(config: Config, key: str, name: str, servers: tuple[str, ...]) -> Wish:
    said = {server: value_at(config.preload, key, server) for server in servers}
    pings = {server: ping for server in servers if (ping := value_at(config.ping, key, server)) is not None}
    preloaded = frozenset(server for server, instances in said.items() if instances)
    return Wish(key, name, servers, _instances(config, key, preloaded), preloaded, pings)


def _instances(config: Config, key: str, preloaded: frozenset[str]) -> int:
    if not preloaded:
        return 0
    of_model = config.preload.get((key, ""), config.preload.get(("", "")))
    return of_model or EVERYWHERE


def _name(key: str) -> str:
    parsed = names.parse(key)
    return key if parsed is None else parsed.shortest


def wish_of(config: Config, key: str, name: str, servers: tuple[str, ...]) -> Wish:
    """Give what is said of one model on these servers; nothing may be."""
    if not config.preload and not config.ping:  # HOT: a fleet has thousands of places
        return Wish(key, name, servers, 0, frozenset(), {})
    return _wish(config, key, name, servers)
