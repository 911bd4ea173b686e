"""Which models are to be in memory where, as the operator wrote it.

Owns the reading of `preload` and `ping` for each model and server, in the order of the configuration.
`fleet/keeping` decides what is done about them. Pure.
"""

from collections.abc import Mapping
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


def wishes_of(config: Config) -> list[Wish]:
    """Give the wishes of a configuration: first those of configured models, then of others that it names."""
    known = {key: (model.name, model.servers) for key, model in config.models.items()}
    others = (key for key, _ in (*config.preload, *config.ping) if key and key not in known)
    everywhere = tuple(config.servers)
    found = [_wish(config, key, name, servers) for key, (name, servers) in known.items()]
    found += [_wish(config, key, _name(key), everywhere) for key in dict.fromkeys(others)]
    return [wish for wish in found if (wish.instances or wish.pings) and not names.is_cloud(wish.key)]


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
