"""What is told of models: who may serve each, by which names, and what is wanted of it where.

Owns the keys of `models` in `/state`. Pure: all of it is configuration, and what servers list where `expose`
opens that.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gollamas import names
from gollamas.config.model import LOADED, Config, value_at
from gollamas.fleet.policy import Policies, Policy
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View
from gollamas.fleet.wishes import wish_of


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wants of a model on a server; null where nothing is said."""

    keep_alive: float | None
    forces_keep_alive: bool
    num_ctx: int | str | None
    forces_num_ctx: bool
    limit_num_ctx: int | None
    on_limit: str
    on_overflow: str


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is routed."""

    name: str
    aliases: list[str]
    servers: list[str]
    is_configured: bool
    policies: dict[str, PolicyState]
    preload: int
    preloaded_on: list[str]
    pings: dict[str, float]
    sync: bool


class RoutedModels:
    """The models of one configuration, with the policies that come of it."""

    def __init__(self, config: Config, policies: Policies) -> None:
        self.config = config
        self._policies = policies
        self._aliases: dict[str, list[str]] = {}
        for alias in config.aliases.values():
            self._aliases.setdefault(alias.model_key, []).append(alias.name)

    def routed(self, view: View) -> Iterator[tuple[str, str, Sequence[str]]]:
        """Give key, name and servers of each: configured ones, then those that `expose` opens."""
        for key, model in self.config.models.items():
            yield key, model.name, model.servers
        for key, servers in view.offered().items():
            yield key, _name(key, servers, view), servers

    def state(self, key: str, name: str, servers: Sequence[str]) -> ModelState:
        """Tell of one."""
        policies: Mapping[str, Policy] = self._policies.of(key) or {}
        wish = wish_of(self.config, key, name, tuple(servers))
        sync = self.config.sync
        return ModelState(
            name=name,
            aliases=self._aliases.get(key, []),
            servers=list(servers),
            is_configured=key in self.config.models,
            policies={server: _policy(policies[server]) for server in servers if server in policies},
            preload=wish.instances,
            preloaded_on=[server for server in servers if server in wish.preloaded],
            pings=dict(wish.pings),
            sync=bool(sync) and any(value_at(sync, key, server) for server in servers),
        )


def named(key: str, server: ServerView, config: Config) -> str:
    """The name of a model as it is configured, else as the server lists it."""
    model, entry = config.models.get(key), server.installed.get(key)
    return model.name if model is not None else key if entry is None else entry.name


def _name(key: str, servers: Sequence[str], view: View) -> str:
    """The name of a model that is not configured, as the first server lists it."""
    for server_id in servers:
        server = view.servers[server_id]
        entry = server.installed.get(key) or server.running.get(key)
        if entry is not None:
            return entry.name
    parsed = names.parse(key)
    return key if parsed is None else parsed.shortest


def _policy(policy: Policy) -> PolicyState:
    limit = policy.limit
    return PolicyState(
        keep_alive=policy.keep_alive,
        forces_keep_alive=policy.forces_keep_alive,
        num_ctx="loaded" if policy.num_ctx == LOADED else policy.num_ctx,
        forces_num_ctx=policy.forces_num_ctx,
        limit_num_ctx=None if limit is None else limit.num_ctx,
        on_limit="clamp" if limit is not None and limit.lowers else "error",
        on_overflow="error" if policy.refuses_overflow else "pass",
    )
