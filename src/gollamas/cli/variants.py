"""`gollamas variants [--prune] [--json]`: the variants on the servers of a running proxy, or their removal.

Owns what a person reads of them, and of hidden copies. The admin token, which a prune may need, is that of
the configuration.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gollamas.cli.asking import Question
from gollamas.cli.page import PageAsked, bearer, show
from gollamas.cli.plain import PageRead, StateTable, cells, size_text
from gollamas.config.load import Loaded
from gollamas.observe.variants import Pruned, VariantList, VariantState

_TIMEOUT: Final = 60.0  # seconds; servers are asked to remove one after another
_COLUMNS: Final = ("MODEL", "SERVER", "NUM_CTX", "SIZE", "CONTENTS", "NAME")


def run(argv: Sequence[str]) -> int:
    """Print or prune; 1 also where one could not be removed, 2 for a faulty address."""
    return show("variants", argv, _asked)


def _asked(loaded: Loaded) -> PageAsked:
    if not loaded.own.get("prune"):
        return PageAsked(Question("/variants"), _listed)
    return PageAsked(Question("/variants/prune", "POST", bearer(loaded.config), _TIMEOUT), _pruned)


def _listed(body: bytes) -> PageRead:
    variants = msgspec.json.decode(body, type=VariantList).variants
    if not variants:
        return PageRead("no server has a variant of a model", [])
    left_over = sum(not one.is_needed for one in variants)
    who = "policy or pull" if any(one.num_ctx is None for one in variants) else "policy"
    if left_over:
        heading = f"{_count(variants)}, {left_over} needed by no {who}: gollamas variants --prune"
    else:
        heading = f"{_count(variants)}, {'each ' if len(variants) > 1 else ''}needed by a {who}"
    rows = [cells((*_cells(one), "yes" if one.is_needed else "no")) for one in variants]
    return PageRead(heading, [StateTable("VARIANTS", (*_COLUMNS, "NEEDED"), rows, "")])


def _pruned(body: bytes) -> PageRead:
    pruned = msgspec.json.decode(body, type=Pruned)
    if not (pruned.removed or pruned.failed):
        return PageRead("nothing to remove: there is no variant that no policy needs", [])
    heading = f"{_count(pruned.removed)} removed"
    if pruned.failed:
        heading += f", {len(pruned.failed)} could not be removed"
    removed = [cells(_cells(one)) for one in pruned.removed]
    failed = [cells((*_cells(one.variant), one.why)) for one in pruned.failed]
    tables = [
        StateTable("REMOVED", _COLUMNS, removed, ""),
        StateTable("FAILED", (*_COLUMNS, "WHY"), failed, ""),
    ]
    return PageRead(heading, [table for table in tables if table.rows], 1 if failed else 0)


def _count(variants: Sequence[VariantState]) -> str:
    copies = sum(one.num_ctx is None for one in variants)
    others = len(variants) - copies
    counts = [f"{others} {'variant' if others == 1 else 'variants'}"] if others or not copies else []
    if copies:
        counts.append(f"{copies} hidden {'copy' if copies == 1 else 'copies'}")
    return " and ".join(counts)


def _cells(one: VariantState) -> Sequence[object]:
    contents = "gone" if one.model is None else "current" if one.is_current else "older"
    return one.model, one.server, one.num_ctx, size_text(one.size), contents, one.name
