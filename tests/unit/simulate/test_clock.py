"""A held clock passes time only when it is told to."""

import asyncio

from gollamas.simulate.clock import HeldClock, WallClock
from tests.unit.simulate.running import runs


@runs
async def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    """Each sleeper wakes at its own time and sees that time."""
    clock = HeldClock(100.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("late", 3.0))
        tasks.create_task(sleeper("early", 1.0))
        await clock.advance(2.0)
        assert woken == [("early", 101.0)]
        assert clock.sleepers == 1
        await clock.advance(1.0)
    assert woken == [("early", 101.0), ("late", 103.0)]


@runs
async def test_a_sleeper_that_gave_up_does_not_stop_the_others() -> None:
    """A cancelled sleep is passed over."""
    clock = HeldClock()
    gone = asyncio.ensure_future(clock.sleep(1.0))
    stays = asyncio.ensure_future(clock.sleep(1.0))
    await asyncio.sleep(0)
    gone.cancel()
    await clock.advance(1.0)
    assert stays.done()
    assert gone.cancelled()


@runs
async def test_a_wall_clock_can_run_faster() -> None:
    """A thousand times as fast, ten seconds are over within one."""
    clock = WallClock(speed=1000.0)
    began = clock.now()
    await asyncio.wait_for(clock.sleep(10.0), timeout=1.0)
    assert clock.now() - began >= 10.0
