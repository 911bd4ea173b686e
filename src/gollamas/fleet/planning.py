"""What the operator's wishes make of one request: which servers it is too large for, what an attempt carries.

Owns the rule of a limit: a server is passed over whose limit is below the context that it would be asked for;
where none is left, one that lowers it takes the request. Nobody failed by that. Pure.
"""

from typing import Final

from gollamas.errors import BadRequest
from gollamas.fleet.admit import Lease
from gollamas.fleet.policy import Asked, Policy
from gollamas.fleet.routing import Found
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.view import View


class PassedOver:
    """Servers that a request is too large for, with the reason: `barred` never get it, `lowering` last."""

    __slots__ = ("barred", "lowering", "refusal")

    def __init__(self, barred: dict[str, str], lowering: dict[str, str], refusal: BadRequest | None) -> None:
        self.barred = barred
        self.lowering = lowering
        self.refusal = refusal


WITHIN: Final = PassedOver({}, {}, None)


def judge(view: View, model: str, found: Found, asked: Asked) -> PassedOver:
    """Judge a request by the limits of the servers that it could go to.

    `refusal` is the answer where there is none that takes it. In: the model's name as people know it.
    """
    policies = found.policies or {}
    exceeded = [
        server_id
        for server_id in found.candidates
        if server_id in policies and policies[server_id].above_limit(asked)
    ]
    return _passed_over(view, model, found, asked, exceeded) if exceeded else WITHIN


def _passed_over(view: View, model: str, found: Found, asked: Asked, exceeded: list[str]) -> PassedOver:
    barred, lowering = dict[str, str](), dict[str, str]()
    most, asked_there = 0, 0
    policies = found.policies or {}
    for server_id in exceeded:
        policy = policies[server_id]
        limit, num_ctx = policy.limit, policy.above_limit(asked)
        assert limit is not None  # noqa: S101 - it is exceeded
        if _is_elsewhere(view, server_id, found.key):
            continue
        why = f"num_ctx {num_ctx} is above its limit of {limit.num_ctx}"
        (lowering if limit.lowers else barred)[server_id] = why
        if not limit.lowers and limit.num_ctx > most:
            most, asked_there = limit.num_ctx, num_ctx
    refusal = None
    if len(barred) == len(found.candidates):
        refusal = BadRequest(
            f"model '{model}' allows a num_ctx of at most {most}, but {asked_there} was requested"
            f" (limit: {{num_ctx: {most}}})"
        )
    return PassedOver(barred, lowering, refusal)


def _is_elsewhere(view: View, server_id: str, key: str) -> bool:
    """Whether the model does not run on this server, which only passes on what is asked."""
    server = view.servers.get(server_id)
    entry = None if server is None else server.installed.get(key)
    return entry is not None and entry.is_remote


def plan(lease: Lease, policy: Policy | None, asked: Asked, wanted: RunnerOptions | None) -> int | None:
    """Plan an attempt by the policy of the model on its server, if it has one there.

    In: what the model is loaded with for a request that no policy changes. Returns the context of the variant
    of the model that the request needs, None where it needs none.
    """
    server = lease.held
    entry = None if server is None else server.installed.get(lease.key)
    lease.plan = lease.variant = None
    lease.wanted = wanted
    if policy is None or (entry is not None and entry.is_remote):
        return None
    planned = lease.plan = policy.plan(asked, lease.instance)
    lease.wanted = planned.options
    return planned.variant_ctx


def must_make_variant(lease: Lease, num_ctx: int, wanted: RunnerOptions | None, *, may_make: bool) -> bool:
    """Have the variant with this context take the model's place; whether it has to be made first.

    Where the server makes none, or does not list the model, it is the model itself, loaded with what is
    `wanted` without a policy.
    """
    server, planned = lease.held, lease.plan
    digest = None if server is None else server.memory.digest_of(lease.key)
    if server is not None and digest is not None:  # what it does not list, it would pull
        lease.variant = server.variants.find(lease.key, num_ctx)
        if lease.variant is not None:
            return False
        if may_make and not server.variants.is_refused(digest):
            return True
    assert planned is not None  # noqa: S101 - it asks for this context
    planned.num_ctx = None
    lease.wanted = wanted
    return False
