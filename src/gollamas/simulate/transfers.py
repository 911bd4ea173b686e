"""Pulls, pushes and copies that were begun, how they ended, and what goes wrong in the middle of a pull.

Owns the records and the faults; the lines of progress come from `manage`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from gollamas.simulate.faults import FailsToPull, FillsDisk, HangsPulling, PullFault, RestartsLayer
from gollamas.simulate.refusal import Refusal

Progress = AsyncGenerator[dict[str, Any], None]
Ended = Literal["", "done", "failed", "aborted"]  # aborted: its client left; empty: it goes on


@dataclass(slots=True)
class Transfer:
    """A pull or a push that was begun."""

    model: str  # as lists show it
    insecure: bool
    lines: int = 0  # that it has given so far
    is_held: bool = False  # by a fault, until `release`
    ended: Ended = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a model."""

    source: str  # both as they were sent
    destination: str
    ended: Literal["done", "failed"]  # failed: the source is not there


class Transfers:
    """Everything that came or went, in the order in which it was begun."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._released = asyncio.Event()
        self.pulls: list[Transfer] = []
        self.pushes: list[Transfer] = []
        self.copies: list[Copy] = []
        self.faults: list[tuple[PullFault, ...]] = []  # of the next pulls, one entry each

    def release(self) -> None:
        """Let the pulls go on that hang now."""
        self._released.set()
        self._released = asyncio.Event()

    def copied(self, copy: Copy) -> None:
        """Record a copy."""
        self.copies.append(copy)
        self._changed()

    def pulled(self, pull: Transfer, progress: Progress, home: str) -> Progress:
        """Record a pull and play the faults that are due on it."""
        faults = self.faults.pop(0) if self.faults else ()
        self.pulls.append(pull)
        return self._followed(pull, self._disturbed(pull, progress, faults, home))

    def pushed(self, push: Transfer, progress: Progress) -> Progress:
        """Record a push."""
        self.pushes.append(push)
        return self._followed(push, progress)

    async def _followed(self, transfer: Transfer, progress: Progress) -> Progress:
        with self._recorded(transfer):
            async with aclosing(progress) as lines:
                async for line in lines:
                    transfer.lines += 1
                    self._changed()
                    yield line

    @contextmanager
    def _recorded(self, transfer: Transfer) -> Iterator[None]:
        self._changed()
        try:
            yield
            transfer.ended = "done"
        except Refusal:
            transfer.ended = "failed"
            raise
        finally:
            transfer.ended = transfer.ended or "aborted"
            self._changed()

    async def _disturbed(
        self, pull: Transfer, progress: Progress, faults: tuple[PullFault, ...], home: str
    ) -> Progress:
        left = sorted(faults, key=lambda fault: fault.after)
        layer: list[dict[str, Any]] = []  # what was said of the one that is under way
        async with aclosing(progress) as lines:
            async for line in lines:
                while left and left[0].after <= pull.lines:
                    fault = left.pop(0)
                    if isinstance(fault, HangsPulling):
                        await self._hold(pull)
                    elif isinstance(fault, RestartsLayer):
                        for again in layer:
                            yield again
                    else:
                        raise _failure(fault, line, home)
                if line.get("digest") != (layer[0]["digest"] if layer else None):
                    layer = []
                if "digest" in line:
                    layer.append(line)
                yield line

    async def _hold(self, pull: Transfer) -> None:
        pull.is_held = True
        self._changed()
        try:
            await self._released.wait()
        finally:
            pull.is_held = False
            self._changed()


def _failure(fault: FailsToPull | FillsDisk, line: dict[str, Any], home: str) -> Refusal:
    if isinstance(fault, FailsToPull):
        return Refusal(500, fault.text)
    partial = f"{home}/blobs/{line.get('digest', '').replace(':', '-')}-partial"
    return Refusal(500, f"write {partial}: no space left on device")
