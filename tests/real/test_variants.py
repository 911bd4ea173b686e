"""Models that differ from another one only in their context, on a real server and on a simulated one like it.

What the proxy relies on for dialects that carry no context: variants cost next to nothing and share a runner
with native requests, and a touch with the same options sets how long it stays.
"""

import json
import re
import time
from datetime import datetime
from typing import Any, Final

import pytest

from tests.real.fleet import Place, RealFleet
from tests.real.loading import EMBED_VARIANT, SURE, VARIANT, load_of, logged_loads, make, say, vector

HI: Final = [{"role": "user", "content": "Hi"}]
SHORT: Final = {"num_ctx": 2048}
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
EMBED: Final = {"model": EMBED_VARIANT}
NO_CHAT: Final = f'"{EMBED_VARIANT}" does not support chat'
NO_WORDS: Final = f'"{EMBED_VARIANT}" does not support generate'
FAULTS: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("/api/chat", {**EMBED, "messages": HI}, NO_CHAT),
    ("/api/generate", {**EMBED, "prompt": "Hi"}, NO_WORDS),
    ("/v1/chat/completions", {**EMBED, "messages": HI}, NO_CHAT),
    ("/v1/completions", {**EMBED, "prompt": "Hi"}, NO_WORDS),
    ("/v1/responses", {**EMBED, "input": "Hi"}, NO_CHAT),
    ("/v1/messages", {**EMBED, "messages": HI, "max_tokens": 1}, NO_CHAT),
    ("/v1/chat/completions", {"model": VARIANT, "messages": HI, "reasoning_effort": "high"},
     f'"{VARIANT}" does not support thinking'),
    ("/v1/chat/completions", {"model": VARIANT, "messages": HI, "tools": [TOOL]},
     f"registry.ollama.ai/{VARIANT} does not support tools"),
    ("/v1/completions", {"model": VARIANT, "prompt": "Hi", "suffix": "!"},
     f"registry.ollama.ai/{VARIANT} does not support insert"),
)  # fmt: skip
GONE: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("/api/chat", {"messages": HI}, f"model '{VARIANT}' not found"),
    ("/api/generate", {"prompt": "Hi"}, f"model '{VARIANT}' not found"),
    ("/api/embed", {"input": "Hi"}, f'model "{VARIANT}" not found, try pulling it first'),
    ("/v1/chat/completions", {"messages": HI}, f"model '{VARIANT}' not found"),
    ("/v1/completions", {"prompt": "Hi"}, f"model '{VARIANT}' not found"),
    ("/v1/responses", {"input": "Hi"}, f"model '{VARIANT}' not found"),
    ("/v1/messages", {"messages": HI, "max_tokens": 1}, f"model '{VARIANT}' not found"),
    ("/v1/embeddings", {"input": "Hi"}, f'model "{VARIANT}" not found, try pulling it first'),
)


def tags(place: Place) -> dict[str, dict[str, Any]]:
    """Give the entries of `/api/tags` by name."""
    return {entry["name"]: entry for entry in place.json("GET", "/api/tags")["models"]}


def stays(place: Place) -> float:
    """Give the seconds for which the only loaded model stays."""
    (entry,) = place.json("GET", "/api/ps")["models"]
    # A moment of this machine's zone or of none; fractions of a second are aside.
    written = re.sub(r"\.\d+", "", entry["expires_at"]).replace("Z", "+00:00")
    return datetime.fromisoformat(written).timestamp() - time.time()


def until_stays(place: Place, seconds: float) -> None:
    """Look until the only loaded model stays for about so long; the list may follow a moment later."""
    ends = time.monotonic() + 5
    while not abs(found := stays(place) - seconds) < max(5.0, seconds / 50):
        assert time.monotonic() < ends, found


def fault(place: Place, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Give status and text of an error in whatever dialect."""
    reply = place.ask("POST", path, body)
    error = json.loads(reply.body)["error"]
    return reply.status, error if isinstance(error, str) else error["message"]


def test_a_variant_is_a_model_of_its_own_over_the_same_weights(fleet: RealFleet, place: Place) -> None:
    """The same digest however often it is made; nothing of its model is lost, and no space."""
    make(place, VARIANT, fleet.chat, **SHORT)
    made = tags(place)
    make(place, VARIANT, fleet.chat, **SHORT)
    assert tags(place)[VARIANT]["digest"] == made[VARIANT]["digest"] != made[fleet.chat]["digest"]
    assert 0 < made[VARIANT]["size"] - made[fleet.chat]["size"] < 100
    mine, theirs = (place.json("POST", "/api/show", {"model": name}) for name in (VARIANT, fleet.chat))
    assert mine["details"] == {**theirs["details"], "parent_model": fleet.chat}
    for same in ("template", "capabilities", "model_info"):
        assert mine[same] == theirs[same]
    assert "num_ctx                        2048" in mine["parameters"].splitlines()
    weights = next(line for line in theirs["modelfile"].splitlines() if line.startswith("FROM "))
    assert weights in mine["modelfile"].splitlines()
    is_told = not fleet.version.startswith("0.24.")
    assert made[VARIANT]["details"]["parent_model"] == (fleet.chat if is_told else "")


def test_another_case_of_the_model_is_another_model(fleet: RealFleet, place: Place) -> None:
    """To `from` alone: it would be pulled."""
    body = {"model": VARIANT, "from": fleet.chat.upper(), "parameters": SHORT, "stream": False}
    status, text = fault(place, "/api/create", body)
    assert (status, text.partition(":")[0]) == (500, "pull model manifest")
    assert place.ask("POST", "/api/show", {"model": fleet.chat.upper()}).status == 200


@pytest.mark.parametrize("first", ["model", "variant"])
def test_all_dialects_share_one_runner(
    fleet: RealFleet, place: Place, cold: dict[str, float], first: str
) -> None:
    """Natively with the context, by the variant without it, also when it is made anew meanwhile."""
    make(place, VARIANT, fleet.chat, **SHORT)
    before = logged_loads()
    name = fleet.chat if first == "model" else VARIANT
    place.json("POST", "/api/generate", {"model": name, "options": SHORT})
    for path, body in (
        ("/v1/chat/completions", {"model": VARIANT, "messages": HI, "max_tokens": 1}),
        ("/v1/completions", {"model": VARIANT, "prompt": "Hi", "max_tokens": 1}),
        ("/v1/responses", {"model": VARIANT, "input": "Hi", "max_output_tokens": 1}),
        ("/v1/messages", {"model": VARIANT, "messages": HI, "max_tokens": 1}),
    ):
        place.json("POST", path, body)
    make(place, VARIANT, fleet.chat, **SHORT)
    for body in (say(fleet.chat, **SHORT), say(VARIANT), say(VARIANT, **SHORT)):
        assert load_of(place, "/api/generate", body) < cold[fleet.chat] * SURE
    assert place.loaded() == {name}
    if before is not None and place is fleet.first:
        assert logged_loads() == before + 1


def test_an_embedding_model_shares_its_runner_too(
    fleet: RealFleet, place: Place, cold: dict[str, float]
) -> None:
    make(place, EMBED_VARIANT, fleet.embed, num_ctx=256)
    place.json("POST", "/api/embed", {"model": fleet.embed, "options": {"num_ctx": 256}})
    place.json("POST", "/v1/embeddings", {"model": EMBED_VARIANT, "input": "a"})
    for body in (vector(EMBED_VARIANT), {**vector(fleet.embed), "options": {"num_ctx": 256}}):
        assert load_of(place, "/api/embed", body) < cold[fleet.embed] * SURE
    assert place.loaded() == {fleet.embed}


def test_a_touch_sets_how_long_a_model_stays(fleet: RealFleet, place: Place, cold: dict[str, float]) -> None:
    """By either name, and `/v1` leaves it; with other options it is a load, whose answer says so."""
    make(place, VARIANT, fleet.chat, **SHORT)
    load_of(place, "/api/generate", say(fleet.chat, **SHORT))
    before = logged_loads()
    for name, keep_alive, seconds in (
        (fleet.chat, "33m", 1980.0), (VARIANT, "20m", 1200.0), (fleet.chat, -1, 9_223_372_036.0),
    ):  # fmt: skip
        place.json("POST", "/api/generate", {"model": name, "options": SHORT, "keep_alive": keep_alive})
        until_stays(place, seconds)
        place.json("POST", "/v1/chat/completions", {"model": VARIANT, "messages": HI, "max_tokens": 1})
        until_stays(place, seconds)
    if before is not None and place is fleet.first:
        assert logged_loads() == before
    place.json("POST", "/api/generate", {"model": fleet.chat, "keep_alive": -1})
    assert load_of(place, "/api/generate", say(fleet.chat, **SHORT)) > cold[fleet.chat] * SURE
    until_stays(place, 300.0)


def test_a_deleted_variant_stays_loaded(fleet: RealFleet, place: Place, cold: dict[str, float]) -> None:
    """Its name is a 404 in every dialect; its model goes on with its runner."""
    make(place, VARIANT, fleet.chat, **SHORT)
    place.json("POST", "/v1/chat/completions", {"model": VARIANT, "messages": HI, "max_tokens": 1})
    assert place.ask("DELETE", "/api/delete", {"model": VARIANT}).status == 200
    assert place.loaded() == {VARIANT}
    for path, body, text in GONE:
        assert fault(place, path, {"model": VARIANT, **body}) == (404, text), path
    assert load_of(place, "/api/generate", say(fleet.chat, **SHORT)) < cold[fleet.chat] * SURE


def test_errors_name_the_variant(fleet: RealFleet, place: Place) -> None:
    """As it was asked for in quotes, in full without them."""
    make(place, VARIANT, fleet.chat, **SHORT)
    make(place, EMBED_VARIANT, fleet.embed, num_ctx=256)
    for path, body, text in FAULTS:
        assert fault(place, path, body) == (400, text), path
