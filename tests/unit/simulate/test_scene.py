"""The servers of the demo: one of them goes away at times, and comes back where it was."""

import asyncio

import pytest

from gollamas.simulate import scene as scenes
from gollamas.simulate.scene import BUSY, IDLE, scene
from tests.unit.simulate.running import runs


@runs
async def test_a_server_goes_away_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay; where nothing can be asked, whoever asks goes on trying."""
    monkeypatch.setattr(scenes, "_STAYS", 0.05)
    monkeypatch.setattr(scenes, "_IS_AWAY", 0.05)
    async with scene(BUSY) as running:
        nobody = running.addresses["pc-1"]  # any server is a proxy to those who ask
        work = asyncio.ensure_future(running.keep_busy(nobody))
        seen: list[bool] = []
        while seen[-3:] != [True, False, True]:
            is_there = await answers(running.addresses["pc-3"].port)
            if seen[-1:] != [is_there]:
                seen.append(is_there)
        assert await answers(running.addresses["pc-2"].port)
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled()
    assert not await answers(running.addresses["pc-2"].port)


async def answers(port: int) -> bool:
    """Whether somebody accepts there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def test_busy_servers_have_all_that_idle_ones_have() -> None:
    assert list(BUSY) == list(IDLE)
    assert all(set(told.models) <= set(BUSY[name].models) for name, told in IDLE.items())
