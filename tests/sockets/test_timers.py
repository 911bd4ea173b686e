"""Timers ring in the loop, in their order, from a thread that ends with them; the loop itself has none."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import permutations

import pytest

from gollamas.system.timers import Timers
from tests.sockets.proxying import in_front_of
from tests.sockets.raw import RawServer

SOON = 0.02


def run(test: Callable[[Timers], Awaitable[None]]) -> None:
    """Run a test to its end on asyncio's own loop, whose timers can be looked at."""

    async def with_timers() -> None:
        timers = Timers()
        try:
            async with asyncio.timeout(5):
                await test(timers)
        finally:
            timers.close()
        assert timers._thread not in threading.enumerate()

    with asyncio.Runner() as runner:
        runner.run(with_timers())


def test_they_ring_in_the_order_in_which_they_are_due_and_not_before() -> None:
    async def test(timers: Timers) -> None:
        due: dict[str, tuple[float, float]] = {}  # not before, and not after: this process may be held up
        rung: dict[str, float] = {}
        done = asyncio.Event()

        def ring(name: str) -> None:
            assert threading.current_thread() is threading.main_thread()
            rung[name] = time.monotonic()
            if len(rung) == 3:
                done.set()

        for name, seconds in (("late", 3 * SOON), ("soon", SOON), ("between", 2 * SOON)):
            earliest = time.monotonic() + seconds
            timers.call_later(seconds, partial(ring, name))
            due[name] = earliest, time.monotonic() + seconds
        await done.wait()
        assert all(rung[name] >= earliest for name, (earliest, _) in due.items())
        order = list(rung)
        for one, other in permutations(due, 2):
            assert order.index(one) < order.index(other) or due[one][1] >= due[other][0]

    run(test)


def test_a_sleeper_wakes_and_one_that_is_cancelled_harms_nobody() -> None:
    async def test(timers: Timers) -> None:
        given_up = asyncio.ensure_future(timers.sleep(SOON))
        await asyncio.sleep(0)
        given_up.cancel()
        began = time.monotonic()
        await timers.sleep(2 * SOON)  # rings behind the one that nobody waits for
        assert time.monotonic() - began >= 2 * SOON
        await timers.sleep(0)
        assert given_up.cancelled()

    run(test)


def test_nothing_rings_behind_their_end() -> None:
    async def test(timers: Timers) -> None:
        rung: list[str] = []
        timers.call_later(SOON, lambda: rung.append("late"))
        timers.call_later(0, lambda: rung.append("queued"))
        timers._ring(lambda: rung.append("rung"))
        timers.close()
        timers._ring(lambda: rung.append("had been under way to the loop"))
        timers.call_later(0, lambda: rung.append("too late"))
        await asyncio.sleep(2 * SOON)
        assert rung == ["rung"]

    run(test)


@pytest.mark.parametrize("probe_interval", [0.05, 60])
def test_a_proxy_at_rest_has_no_timer_in_its_loop(probe_interval: float) -> None:
    """Else each of its waits for sockets would have a time-out, which the kernel has to arm."""

    async def test(_: Timers) -> None:
        async with (
            RawServer() as server,
            in_front_of(server, probe_interval=probe_interval, connect_timeout=0.2) as proxy,
        ):
            # One timer watches over all that was dialled in the last `connect_timeout`.
            while proxy.app._ask.pool.dialler._limits._is_set:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
            looks = [look for watch in proxy.app._prober._watches.values() for look in watch.all()]
            while any(look._task is not None for look in looks):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
            loop = asyncio.get_running_loop()
            waiting = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
            assert len(waiting) == 1, "the time-out of this test is the only one"

    run(test)
