"""What the operator wants of a model on a server: how long it stays in memory, and with which context.

Owns which of four levels speaks (a model on a server, the model, the server, all of them), and what follows
for one attempt of a request: with what its model is loaded, what is filled into its body. The bytes are made
by `api/splice`. Pure.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gollamas import names
from gollamas.config.model import LOADED, Config, Levels, V
from gollamas.fleet.instances import Instance
from gollamas.fleet.runner_options import PLAIN, RunnerOptions

_MOST_KEPT: Final = 4096  # models that are not configured: servers make them up

_encode: Final = msgspec.json.encode


class Asked:
    """What a request that runs a model says of its memory.

    `options` are its own runner options, None where nothing is to be loaded for it, or Ollama refuses one;
    `beside_num_ctx` are those that are left where another context takes the place of its own. `takes_options`
    and `takes_keep_alive` say what its body can carry, `has_keep_alive` that it carries one.
    """

    __slots__ = ("beside_num_ctx", "has_keep_alive", "options", "takes_keep_alive", "takes_options")

    def __init__(
        self,
        options: RunnerOptions | None,
        *,
        takes_options: bool,
        takes_keep_alive: bool,
        has_keep_alive: bool,
    ) -> None:
        self.options = self.beside_num_ctx = options
        self.takes_options = takes_options
        self.takes_keep_alive = takes_keep_alive
        self.has_keep_alive = has_keep_alive


class Fill:
    """What goes into a body that can carry it: ready JSON, None where nothing does.

    `options` is an object that holds `num_ctx` alone. What is forced takes the place of the client's.
    """

    __slots__ = ("forces_keep_alive", "forces_num_ctx", "keep_alive", "num_ctx", "options")

    def __init__(
        self,
        keep_alive: msgspec.Raw | None,
        num_ctx: int | None,
        *,
        forces_keep_alive: bool,
        forces_num_ctx: bool,
    ) -> None:
        self.keep_alive = keep_alive
        self.forces_keep_alive = forces_keep_alive
        self.num_ctx = None if num_ctx is None else msgspec.Raw(_encode(num_ctx))
        self.options = None if num_ctx is None else msgspec.Raw(_encode({"num_ctx": num_ctx}))
        self.forces_num_ctx = forces_num_ctx


class Plan:
    """What a policy makes of one attempt.

    `options` are those that the model is to be loaded with, None where nothing is to be loaded first; `fill`
    is for a body that can carry it. `num_ctx` is what the policy sets, None where it sets none; `variant_ctx`
    the same where only a variant of the model can carry it. `keep_alive` is how many seconds the model stays
    behind the answer (less than 0 for ever), None where the client says so itself, or nobody does; `touches`
    says that the request can't carry it.
    """

    __slots__ = ("fill", "keep_alive", "num_ctx", "options", "policy", "touches", "variant_ctx")

    def __init__(self, policy: "Policy", options: RunnerOptions | None, fill: Fill | None) -> None:
        self.policy = policy
        self.options = options
        self.fill = fill
        self.num_ctx: int | None = None
        self.variant_ctx: int | None = None
        self.keep_alive: float | None = None
        self.touches = False


class Policy:
    """That of one model on one server. `keep_alive` is in seconds, less than 0 for ever.

    `num_ctx` can be LOADED: what a request leaves out is what the model is loaded with.
    """

    __slots__ = ("_fill", "_options", "forces_keep_alive", "forces_num_ctx", "keep_alive", "num_ctx")

    def __init__(
        self,
        keep_alive: float | None,
        num_ctx: int | None,
        *,
        forces_keep_alive: bool,
        forces_num_ctx: bool,
    ) -> None:
        self.keep_alive = keep_alive
        self.num_ctx = num_ctx
        self.forces_keep_alive = forces_keep_alive
        self.forces_num_ctx = forces_num_ctx
        self._options = PLAIN if num_ctx is None or num_ctx == LOADED else PLAIN.with_num_ctx(num_ctx)
        self._fill = self._filling(None if num_ctx == LOADED else num_ctx)

    @property
    def load_options(self) -> RunnerOptions:
        """What the model is loaded with for nobody's request, or one without options of its own."""
        return self._options

    @property
    def load_keep_alive(self) -> float | None:
        """What a load of ours carries: nothing where the model is to leave behind each answer."""
        return self.keep_alive or None

    @property
    def keeps_on_unload(self) -> bool:
        """Whether the model stays though a client unloads it."""
        return self.forces_keep_alive and bool(self.keep_alive)

    def plan(self, asked: Asked, instance: Instance | None) -> Plan:
        """Say what an attempt is to do. In: what its request says, and the model in the server's memory."""
        num_ctx = self.num_ctx
        if asked.takes_options:
            plan = self._native(asked, instance)
        elif num_ctx is None or num_ctx == LOADED:
            plan = Plan(self, asked.options, self._fill)
        else:
            plan = Plan(self, self._options if asked.options is PLAIN else asked.options, self._fill)
            plan.num_ctx = plan.variant_ctx = num_ctx
        keep_alive = self.keep_alive
        if keep_alive is not None and (self.forces_keep_alive or not asked.has_keep_alive):
            plan.keep_alive = keep_alive
            plan.touches = not asked.takes_keep_alive
        return plan

    def _native(self, asked: Asked, instance: Instance | None) -> Plan:
        num_ctx, fill = self.num_ctx, self._fill
        options = asked.beside_num_ctx if self.forces_num_ctx else asked.options
        if num_ctx == LOADED:
            num_ctx = None if instance is None else instance.num_ctx
            if num_ctx is not None:
                fill = self._filling(num_ctx)
        plan = Plan(self, options, fill)
        if num_ctx is None:
            return plan
        if options is PLAIN:
            plan.options = self._options if self.num_ctx != LOADED else PLAIN.with_num_ctx(num_ctx)
            plan.num_ctx = num_ctx
        elif options is not None and (self.forces_num_ctx or options.num_ctx is None):
            plan.options = options.with_num_ctx(num_ctx)
            plan.num_ctx = num_ctx
        return plan

    def _filling(self, num_ctx: int | None) -> Fill | None:
        if num_ctx is None and self.keep_alive is None:
            return None
        return Fill(
            None if self.keep_alive is None else msgspec.Raw(written(self.keep_alive)),
            num_ctx,
            forces_keep_alive=self.forces_keep_alive,
            forces_num_ctx=self.forces_num_ctx,
        )


class Policies:
    """The policies of one configuration: those of its models are worked out here, others as they turn up."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._are_any = any(
            (config.keep_alive, config.force_keep_alive, config.num_ctx, config.force_num_ctx)
        )
        self._of_configured = {
            key: self._work_out(key, model.servers) for key, model in config.models.items()
        }
        self._of_others: dict[str, Mapping[str, Policy] | None] = {}

    @property
    def are_any(self) -> bool:
        """Whether some model has a policy somewhere."""
        return self._are_any

    def of(self, key: str) -> Mapping[str, Policy] | None:
        """Give the policies of a model by server; None where it has none."""
        if not self._are_any:
            return None
        if key in self._of_configured:
            return self._of_configured[key]
        if key not in self._of_others:
            if len(self._of_others) >= _MOST_KEPT:
                self._of_others.clear()
            self._of_others[key] = self._work_out(key, tuple(self._config.servers))
        return self._of_others[key]

    def _work_out(self, key: str, servers: tuple[str, ...]) -> Mapping[str, Policy] | None:
        if names.is_cloud(key):
            return None  # nothing of it is loaded here
        found = {server: policy for server in servers if (policy := _policy(self._config, key, server))}
        return found or None


def _policy(config: Config, key: str, server: str) -> Policy | None:
    """Work out the policy of a model on a server: any force beats any default."""
    keep_alive, forces_keep_alive = _chosen(config.force_keep_alive, config.keep_alive, key, server)
    num_ctx, forces_num_ctx = _chosen(config.force_num_ctx, config.num_ctx, key, server)
    if keep_alive is None and num_ctx is None:
        return None
    return Policy(keep_alive, num_ctx, forces_keep_alive=forces_keep_alive, forces_num_ctx=forces_num_ctx)


def _chosen(forced: Levels[V], default: Levels[V], key: str, server: str) -> tuple[V | None, bool]:
    force = _nearest(forced, key, server)
    return (_nearest(default, key, server), False) if force is None else (force, True)


def _nearest(levels: Levels[V], key: str, server: str) -> V | None:
    """The value of the nearest level; None where none speaks, or where that one lifts what is farther off."""
    for place in ((key, server), (key, ""), ("", server), ("", "")):
        if place in levels:
            return levels[place]
    return None


def written(keep_alive: float) -> bytes:
    """Write a time for a body: in seconds where they are whole, which every version reads, else as in Go."""
    if keep_alive < 0:
        return b"-1"
    return b"%d" % keep_alive if keep_alive == int(keep_alive) else b'"%dns"' % round(keep_alive * 1e9)
