"""No slot is lost, whoever leaves while it waits for one."""

import asyncio

import pytest

from gollamas.background.slots import Slots
from tests.sockets.proxying import runs


async def waiting_for(slots: Slots) -> asyncio.Task[bool]:
    task = asyncio.ensure_future(slots.acquire())
    await asyncio.sleep(0)
    return task


@runs
async def test_who_leaves_in_the_turn_in_which_a_slot_comes_free_passes_it_on() -> None:
    slots = Slots(1)
    assert slots.take()
    first, second = await waiting_for(slots), await waiting_for(slots)
    first.cancel()
    slots.release()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second
    slots.release()
    assert slots.free == 1


@runs
async def test_who_is_cancelled_in_the_turn_in_which_it_was_given_a_slot_gives_it_back() -> None:
    slots = Slots(1)
    assert slots.take()
    task = await waiting_for(slots)
    slots.release()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slots.free == 1


@runs
async def test_who_leaves_while_it_waits_is_given_none() -> None:
    slots = Slots(1)
    assert slots.take()
    task = await waiting_for(slots)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slots.release()
    assert slots.free == 1
