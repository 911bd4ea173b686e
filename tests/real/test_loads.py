"""What loads a model, what shares it and what ends a load: the same requests to a real server and to ours.

Loads are told by `load_duration`, against the quickest one of a model that was not loaded: nobody else may
load anything on the real server meanwhile. Names that are made here begin with `gt-`.
"""

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.real.fleet import Place, RealFleet, request_bytes
from tests.real.loading import SURE, load_of, make, say, vector
from tests.reloads import CHAT, SCRIPTS, Script

# Models go on with this for as long as they are let, the simulated one for at least twenty words.
LONG = {
    "prompt": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24",
    "raw": True,
    "options": {"num_predict": 200, "temperature": 0, "seed": 1, "num_ctx": 2048},
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_load_follows_where_the_release_compares(
    fleet: RealFleet, place: Place, cold: dict[str, float], script: Script
) -> None:
    """Step for step: what differs from what was asked for last, in the eyes of this release."""
    if (fleet.trained(fleet.chat), fleet.trained(fleet.embed)) != (8192, 512):
        pytest.skip("the scripts are about models that were trained for 8192 and 512 tokens")
    model = fleet.chat if script.kind == CHAT else fleet.embed
    took = [load_of(place, *script.request(model, step)) for step in script.steps]
    seen = "".join("L" if one > cold[model] * SURE else "-" for one in took)
    assert seen == script.expected(fleet.version), took


def test_names_over_the_same_weights_share_a_runner(
    fleet: RealFleet, place: Place, cold: dict[str, float]
) -> None:
    """A copy and a variant load nothing, `/api/ps` shows the first name, any of them unloads."""
    place.ask("POST", "/api/copy", {"source": fleet.chat, "destination": "gt-copy"})
    make(place, "gt-variant", fleet.chat, num_ctx=2048)
    load_of(place, "/api/generate", say(fleet.chat, num_ctx=2048))
    assert load_of(place, "/api/generate", say("gt-copy", num_ctx=2048)) < cold[fleet.chat] * SURE
    assert load_of(place, "/api/generate", say("gt-variant")) < cold[fleet.chat] * SURE
    assert place.loaded() == {fleet.chat}
    assert (
        place.json("POST", "/api/generate", {"model": "gt-copy", "keep_alive": 0})["done_reason"] == "unload"
    )
    place.until(lambda found: not found)
    load_of(place, "/api/generate", say("gt-variant"))
    assert place.loaded() == {"gt-variant:latest"}


def test_a_model_whose_name_is_deleted_stays_loaded(
    fleet: RealFleet, place: Place, cold: dict[str, float]
) -> None:
    """Its name is a 404, `/api/ps` shows it still, and another name over its weights uses and unloads it."""
    place.ask("POST", "/api/copy", {"source": fleet.chat, "destination": "gt-copy"})
    load_of(place, "/api/generate", {**say("gt-copy"), "keep_alive": -1})
    assert place.ask("DELETE", "/api/delete", {"model": "gt-copy"}).status == 200
    assert place.loaded() == {"gt-copy:latest"}
    assert place.ask("POST", "/api/generate", {"model": "gt-copy", "keep_alive": 0}).status == 404
    assert place.loaded() == {"gt-copy:latest"}
    assert load_of(place, "/api/generate", say(fleet.chat)) < cold[fleet.chat] * SURE
    place.json("POST", "/api/generate", {"model": fleet.chat, "keep_alive": 0})
    place.until(lambda found: not found)


def test_a_model_whose_name_is_replaced_stays_loaded(fleet: RealFleet, place: Place) -> None:
    """An unload by that name says so and does nothing, for it leads to other weights."""
    place.ask("POST", "/api/copy", {"source": fleet.chat, "destination": "gt-copy"})
    load_of(place, "/api/generate", {**say("gt-copy"), "keep_alive": -1})
    make(place, "gt-copy", fleet.embed)
    assert (
        place.json("POST", "/api/generate", {"model": "gt-copy", "keep_alive": 0})["done_reason"] == "unload"
    )
    load_of(place, "/api/embed", vector(fleet.embed))  # an unload before it would be done
    assert place.loaded() == {"gt-copy:latest", fleet.embed}
    place.json("POST", "/api/generate", {"model": fleet.chat, "keep_alive": 0})
    place.until(lambda found: found == {fleet.embed})


def test_a_variant_answers_when_its_origin_is_deleted(fleet: RealFleet, place: Place) -> None:
    """It holds the weights."""
    place.ask("POST", "/api/copy", {"source": fleet.chat, "destination": "gt-copy"})
    make(place, "gt-variant", "gt-copy", num_ctx=2048)
    assert place.ask("DELETE", "/api/delete", {"model": "gt-copy"}).status == 200
    assert place.json("POST", "/api/generate", say("gt-variant"))["done"] is True


def test_loads_follow_one_another(fleet: RealFleet, place: Place, cold: dict[str, float]) -> None:
    """Of two models at once one waits for the other's load, and counts that as its own."""
    both = ("/api/generate", say(fleet.chat)), ("/api/embed", vector(fleet.embed))
    with ThreadPoolExecutor() as pool:
        took = sorted(pool.map(lambda one: load_of(place, *one), both))
    assert took[1] > took[0] + min(cold.values()) / 4


def test_a_client_that_leaves_ends_its_load(fleet: RealFleet, place: Place) -> None:
    """Nothing is loaded after it."""
    leave(place, fleet.chat, after=0.1)
    load_of(place, "/api/embed", vector(fleet.embed))  # waits for whatever loads
    assert place.loaded() == {fleet.embed}


def test_a_load_begins_anew_for_those_who_still_wait(
    fleet: RealFleet, place: Place, cold: dict[str, float]
) -> None:
    """A follower is answered, after a load of its own."""
    with place.connect() as first, ThreadPoolExecutor() as pool:
        first.sendall(request_bytes("POST", "/api/generate", json.dumps({"model": fleet.chat}).encode()))
        follower = pool.submit(load_of, place, "/api/generate", say(fleet.chat))
        time.sleep(cold[fleet.chat] / 2)  # the passing of time is what is tested
        first.close()
        left = time.monotonic()
        follower.result()
        waited = time.monotonic() - left
    assert place.loaded() == {fleet.chat}
    place.unload(fleet.chat)
    assert waited > load_of(place, "/api/generate", say(fleet.chat)) * 0.6, "the rest of a load is shorter"


def test_a_reload_takes_the_model_off_the_list(fleet: RealFleet, place: Place) -> None:
    """It comes back when it is loaded."""
    load_of(place, "/api/generate", say(fleet.chat))
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(load_of, place, "/api/generate", say(fleet.chat, num_ctx=512))
        seen = listings(place, asked)
    assert set() in seen
    assert place.loaded() == {fleet.chat}


@pytest.mark.parametrize("keep_alive", [None, "2s"])
def test_a_reload_waits_for_those_who_come_to_the_model_meanwhile(
    fleet: RealFleet, place: Place, cold: dict[str, float], keep_alive: str | None
) -> None:
    """Whom the loaded one fits takes it at once; their keep_alive holds the reload up until it is over."""
    load_of(place, "/api/generate", say(fleet.chat, num_ctx=2048))
    long = {"model": fleet.chat, "stream": False, **LONG}
    with ThreadPoolExecutor() as pool:
        first = pool.submit(load_of, place, "/api/generate", long)
        time.sleep(0.3)  # as above: each is to come after the one before
        reload = pool.submit(load_of, place, "/api/generate", say(fleet.chat, num_ctx=512))
        time.sleep(0.2)
        joined = pool.submit(
            load_of, place, "/api/generate", {**say(fleet.chat, num_ctx=2048), "keep_alive": keep_alive}
        )
        assert not first.done(), "the model is to speak for longer than this"
        joined.result()
        began = time.monotonic()
        assert not reload.done()
        assert reload.result() > cold[fleet.chat] * SURE
        assert time.monotonic() - began > (2.0 if keep_alive else 0.0)
    assert place.loaded() == {fleet.chat}


@pytest.mark.parametrize("kind", ["chat", "embed"])
def test_what_loads_is_not_listed(fleet: RealFleet, place: Place, kind: str) -> None:
    """But for embedding models before 0.30, whose engine is Ollama's own."""
    name = fleet.chat if kind == "chat" else fleet.embed
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(place.json, "POST", "/api/embed", {"model": name})
        seen = listings(place, asked)
    listed = sum(name in found for found in seen)
    is_early = kind == "embed" and fleet.version.startswith("0.24.")
    # The answer may be on its way while the last lists are asked for.
    assert (listed > 3) is is_early, seen


def test_an_unload_of_a_busy_model_shows_at_once(fleet: RealFleet, place: Place) -> None:
    """It is answered meanwhile, the time to go is now, and the model goes when its request ends."""
    with place.connect() as sock:
        body = json.dumps({"model": fleet.chat, **LONG}).encode()
        sock.sendall(request_bytes("POST", "/api/generate", body))
        assert b'"response"' in sock.recv(65536) + sock.recv(65536)
        place.json("POST", "/api/generate", {"model": fleet.chat, "keep_alive": 0})
        (entry,) = place.json("GET", "/api/ps")["models"]
        assert entry["name"] == fleet.chat
        written, _, _ = entry["expires_at"].partition(".")
        assert (
            abs(datetime.fromisoformat(f"{written.removesuffix('Z')}+00:00").timestamp() - time.time()) < 60
        )
    place.until(lambda found: not found, 5.0)


def leave(place: Place, name: str, *, after: float) -> None:
    """Ask for a load and close the connection in the middle of it."""
    with place.connect() as sock:
        sock.sendall(request_bytes("POST", "/api/generate", json.dumps({"model": name}).encode()))
        time.sleep(after)  # as above


def listings(place: Place, asked: Future[Any]) -> list[set[str]]:
    """Ask what is loaded until something is answered."""
    found = []
    while not asked.done():
        found.append(place.loaded())
    asked.result()
    return found
