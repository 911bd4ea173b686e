"""What the admin port tells of variants and hidden copies: whether they are needed, what a prune removed.

Owns the keys, which docs/admin.md describes. This is the one place that shows their names, so that they can
be found on a server; `gollamas variants` reads what is written here.
"""

from collections.abc import Sequence

import msgspec

from gollamas.observe.jsonlines import encoded
from gollamas.observe.safe import cut, without_user_info


class VariantState(msgspec.Struct, frozen=True, kw_only=True):
    """A variant, or a hidden copy, on a server."""

    server: str
    model: str | None  # as the server names it; None where it is gone
    num_ctx: int | None  # None of a hidden copy
    is_needed: bool  # a policy asks for it; of a hidden copy: a pull that goes on does
    is_current: bool  # made of what the model has now
    size: int | None  # as the server lists it; most often the weights are the model's
    name: str


class VariantFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that could not be removed, and why."""

    variant: VariantState
    why: str


class VariantList(msgspec.Struct, frozen=True, kw_only=True):
    """All variants and hidden copies."""

    variants: Sequence[VariantState]


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the variants that no policy needs, and of the copies that pulls left."""

    removed: Sequence[VariantState]
    failed: Sequence[VariantFailure]


def variants_page(variants: Sequence[VariantState]) -> bytes:
    """Write all variants."""
    return encoded(VariantList(variants=variants)) + b"\n"


def pruned_page(pruned: Pruned) -> bytes:
    """Write what a prune did; what servers said is made fit for others to read."""
    failed = [
        VariantFailure(variant=one.variant, why=cut(without_user_info(one.why))) for one in pruned.failed
    ]
    return encoded(Pruned(removed=pruned.removed, failed=failed)) + b"\n"
