"""Models are kept in memory, in front of a real server and of a simulated one like it."""

import re
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.clients.programs import started
from tests.real.fleet import Place, RealFleet
from tests.real.loading import logged_loads, say, vector
from tests.real.test_by_hand import LOAD, ByHand

FOREVER: Final = "2300"
PRELOADED: Final = re.compile("why=preload")


@pytest.fixture
def before() -> int | None:
    """Count the loads in the first server's log, where it is named."""
    return logged_loads()


@pytest.fixture
def kept(words: list[str], before: int | None) -> Iterator[ByHand]:
    """Run the program in front of that server alone, with all models preloaded for ever."""
    del before  # is counted first
    flags = ["--admin", "127.0.0.1:0", "--preload", "all", "--force-keep-alive", "-1", "--ready", "preloaded"]
    with started(*words, *flags) as program:
        yield ByHand(program)


def expiries(place: Place) -> dict[str, str]:
    """Give until when each model stays, as the server says it."""
    return {entry["name"]: entry["expires_at"] for entry in place.json("GET", "/api/ps")["models"]}


def unload(name: str) -> dict[str, Any]:
    """Give the body of a client's unload."""
    return {"model": name, "keep_alive": 0}


def wait_until_ready(kept: ByHand) -> None:
    """Ask the admin port until it says so."""
    admin = Place(f"http://{kept.admin}")
    while (reply := admin.ask("GET", "/readyz")).status != 200:
        assert b"still being loaded" in reply.body or b"no Ollama server is up" in reply.body
    for _ in range(2):
        kept.program.until(PRELOADED)


def test_two_models_for_ever_unload_by_hand_and_load_again(
    kept: ByHand, fleet: RealFleet, place: Place, before: int | None
) -> None:
    """Both are there before a client came; what left by hand is kept again once it is asked for."""
    wait_until_ready(kept)
    found = expiries(place)
    assert set(found) == {fleet.chat, fleet.embed}
    assert min(found.values()) > FOREVER
    kept.place.json("POST", "/api/generate", say(fleet.chat))
    kept.place.json("POST", "/api/embed", vector(fleet.embed))
    kept.place.json("POST", "/api/generate", unload(fleet.chat))
    assert min(expiries(place).values()) > FOREVER

    assert kept.run("unload", fleet.chat) == [(fleet.chat, "unloaded in")]
    place.until(lambda found: fleet.chat not in found)
    for _ in range(3):  # what left by itself is found and loaded again, what left by hand is not
        place.json("POST", "/api/generate", unload(fleet.embed))
        kept.program.until(PRELOADED)
        assert place.loaded() == {fleet.embed}

    kept.place.json("POST", "/api/generate", say(fleet.chat))
    assert expiries(place)[fleet.chat] > FOREVER
    place.json("POST", "/api/generate", unload(fleet.chat))
    kept.program.until(PRELOADED)
    assert expiries(place)[fleet.chat] > FOREVER
    after = logged_loads()
    if place is fleet.first and before is not None and after is not None:
        assert after - before == 7
    assert kept.program.ended(signal.SIGTERM) == 0, kept.program.said
    assert [(name, why) for name, _, why, _ in LOAD.findall(kept.program.said)] == [
        (fleet.chat, "preload"),
        (fleet.embed, "preload"),
        *[(fleet.embed, "preload")] * 3,
        (fleet.chat, "cold"),
        (fleet.chat, "preload"),
    ]
