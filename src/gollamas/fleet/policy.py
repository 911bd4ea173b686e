"""What the operator wants of a model on a server: how long it stays in memory, with which context.

Owns which of four levels speaks (a model on a server, the model, the server, all of them), and what follows
for one attempt of a request: whether its context is above the limit, with what its model is loaded, what is
filled into its body. The bytes are made by `api/splice`. Pure.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gollamas import names
from gollamas.config.model import LOADED, Config, Levels, V, value_at
from gollamas.fleet.instance import Instance
from gollamas.fleet.runner_options import PLAIN, RunnerOptions

_MOST_KEPT: Final = 4096  # models that are not configured: servers make them up

_encode: Final = msgspec.json.encode


class Asked:
    """What a request that runs a model says of its memory.

    `options` are its own runner options, None where nothing is to be loaded for it, or Ollama refuses one;
    `beside_num_ctx` are those that are left where another context takes the place of its own. `takes_options`
    and `takes_keep_alive` say what its body can carry, `has_keep_alive` that it carries one. `num_ctx` is the
    context that it names, None where it names none.
    """

    __slots__ = (
        "beside_num_ctx", "has_keep_alive", "num_ctx", "options", "takes_keep_alive", "takes_options",
    )  # fmt: skip

    def __init__(
        self,
        options: RunnerOptions | None,
        *,
        takes_options: bool,
        takes_keep_alive: bool,
        has_keep_alive: bool,
    ) -> None:
        self.options = self.beside_num_ctx = options
        self.num_ctx = None if options is None else options.num_ctx
        self.takes_options = takes_options
        self.takes_keep_alive = takes_keep_alive
        self.has_keep_alive = has_keep_alive


class Fill:
    """What goes into a body that can carry it: ready JSON, None where nothing does.

    `options` is an object that holds `num_ctx` alone. What is forced takes the place of the client's.
    `refuses_overflow` says that a prompt which is too long is not to be cut.
    """

    __slots__ = (
        "forces_keep_alive", "forces_num_ctx", "keep_alive", "num_ctx", "options", "refuses_overflow",
    )  # fmt: skip

    def __init__(
        self,
        keep_alive: msgspec.Raw | None,
        num_ctx: int | None,
        *,
        forces_keep_alive: bool,
        forces_num_ctx: bool,
        refuses_overflow: bool = False,
    ) -> None:
        self.keep_alive = keep_alive
        self.forces_keep_alive = forces_keep_alive
        self.refuses_overflow = refuses_overflow
        self.num_ctx = None if num_ctx is None else msgspec.Raw(_encode(num_ctx))
        self.options = None if num_ctx is None else msgspec.Raw(_encode({"num_ctx": num_ctx}))
        self.forces_num_ctx = forces_num_ctx


class Plan:
    """What a policy makes of one attempt.

    `options` are those that the model is to be loaded with, None where nothing is to be loaded first; `fill`
    is for a body that can carry it. `num_ctx` is what the policy or its limit sets, None where it sets none;
    `variant_ctx` the same where only a variant of the model can carry it. `keep_alive` is how many seconds
    the model stays behind the answer (less than 0 for ever), None where the client says so itself, or nobody
    does; `touches` says that the request can't carry it.
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


class Limit:
    """The largest context that a request may ask for; where it `lowers`, a larger one becomes this one."""

    __slots__ = ("lowers", "num_ctx")

    def __init__(self, num_ctx: int, *, lowers: bool) -> None:
        self.num_ctx = num_ctx
        self.lowers = lowers


class Policy:
    """That of one model on one server. `keep_alive` is in seconds, less than 0 for ever.

    `num_ctx` can be LOADED: what a request leaves out is what the model is loaded with, up to the limit.
    """

    __slots__ = (
        "_fill", "_lowering", "_options", "forces_keep_alive", "forces_num_ctx", "keep_alive", "limit",
        "num_ctx", "refuses_overflow",
    )  # fmt: skip

    def __init__(
        self,
        keep_alive: float | None,
        num_ctx: int | None,
        *,
        forces_keep_alive: bool = False,
        forces_num_ctx: bool = False,
        limit: Limit | None = None,
        refuses_overflow: bool = False,
    ) -> None:
        self.keep_alive = keep_alive
        self.num_ctx = num_ctx
        self.forces_keep_alive = forces_keep_alive
        self.forces_num_ctx = forces_num_ctx
        self.limit = limit
        self.refuses_overflow = refuses_overflow
        self._options = PLAIN if num_ctx is None or num_ctx == LOADED else PLAIN.with_num_ctx(num_ctx)
        self._fill = self._filling(None if num_ctx == LOADED else num_ctx, forces=forces_num_ctx)
        self._lowering = None if limit is None else self._filling(limit.num_ctx, forces=True)

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

    def above_limit(self, asked: Asked) -> int:
        """The context that the server would be asked for where that is above the limit; else 0."""
        limit, num_ctx = self.limit, self.num_ctx
        if limit is None:
            return 0
        said = asked.num_ctx
        if said is not None and not self.forces_num_ctx:
            num_ctx = said
        return num_ctx if num_ctx is not None and num_ctx > limit.num_ctx else 0

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
        limit = self.limit
        if limit is not None and self.above_limit(asked):
            return self._lowered(asked.beside_num_ctx, limit.num_ctx)
        if num_ctx == LOADED:
            num_ctx = None if instance is None else instance.num_ctx
            if num_ctx is not None:
                if limit is not None and num_ctx > limit.num_ctx:
                    num_ctx = limit.num_ctx
                fill = self._filling(num_ctx, forces=False)
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

    def _lowered(self, options: RunnerOptions | None, num_ctx: int) -> Plan:
        """Plan with the limit in place of what is above it."""
        plan = Plan(self, None if options is None else options.with_num_ctx(num_ctx), self._lowering)
        plan.num_ctx = num_ctx
        return plan

    def _filling(self, num_ctx: int | None, *, forces: bool) -> Fill | None:
        if num_ctx is None and self.keep_alive is None and not self.refuses_overflow:
            return None
        return Fill(
            None if self.keep_alive is None else msgspec.Raw(written(self.keep_alive)),
            num_ctx,
            forces_keep_alive=self.forces_keep_alive,
            forces_num_ctx=forces,
            refuses_overflow=self.refuses_overflow,
        )


class Policies:
    """The policies of one configuration: those of its models are worked out here, others as they turn up."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._are_any = any(
            (
                config.keep_alive,
                config.force_keep_alive,
                config.num_ctx,
                config.force_num_ctx,
                config.limit_num_ctx,
                config.on_overflow,
            )
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
    most = value_at(config.limit_num_ctx, key, server)
    limit = None if most is None else Limit(most, lowers=value_at(config.on_limit, key, server) == "clamp")
    refuses_overflow = value_at(config.on_overflow, key, server) == "error"
    if keep_alive is None and num_ctx is None and limit is None and not refuses_overflow:
        return None
    return Policy(
        keep_alive,
        num_ctx,
        forces_keep_alive=forces_keep_alive,
        forces_num_ctx=forces_num_ctx,
        limit=limit,
        refuses_overflow=refuses_overflow,
    )


def _chosen(forced: Levels[V], default: Levels[V], key: str, server: str) -> tuple[V | None, bool]:
    force = value_at(forced, key, server)
    return (value_at(default, key, server), False) if force is None else (force, True)


def written(keep_alive: float) -> bytes:
    """Write a time for a body: in seconds where they are whole, which every version reads, else as in Go."""
    if keep_alive < 0:
        return b"-1"
    return b"%d" % keep_alive if keep_alive == int(keep_alive) else b'"%dns"' % round(keep_alive * 1e9)
