"""The operator's num_ctx and keep_alive, in front of a real server and of a simulated one like it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from tests.clients.programs import started
from tests.real.fleet import PATIENCE, Place, RealFleet, models_in
from tests.real.loading import logged_loads, make, variants
from tests.real.test_proxied_loads import FEW, Loading, dialects

ENFORCED: Final = ("--force-num-ctx", "2048", "--force-keep-alive", "-1")
COPY: Final = "gt-copy:latest"


def thirteen(model: str) -> list[tuple[str, dict[str, Any]]]:
    """Give requests as programs send them that know nothing of each other."""
    asked = dialects(model)
    contexts: list[dict[str, Any]] = [
        {"options": {**FEW, "num_ctx": 8192}},
        {"options": {**FEW, "num_ctx": None}, "keep_alive": None, "stream": True},
        {"options": {**FEW, "num_ctx": 512, "temperature": 0.1}, "keep_alive": "5m"},
    ]
    more = [(path, {**body, **other}) for other in contexts for path, body in asked[:2]]
    streamed = [(path, {**body, "stream": True}) for path, body in (asked[2], asked[4])]
    return (asked + more + streamed)[:13]


def entry(place: Place, name: str) -> dict[str, Any]:
    """Give what a server's `/api/ps` shows of a model."""
    found: list[dict[str, Any]] = place.json("GET", "/api/ps")["models"]
    return next((one for one in found if one["name"] == name), {})


def seconds_left(place: Place, name: str) -> float:
    """Give how long a server says that a model stays."""
    shown = entry(place, name).get("expires_at", "0001-01-01T00:00:00Z")
    until = datetime.fromisoformat(shown[:19]).replace(tzinfo=UTC)
    offset = datetime.fromisoformat(shown[:19] + shown[-6:]) if shown[-6] in "+-" else until
    return offset.timestamp() - time.time()


def wait(holds: Callable[[], bool]) -> None:
    """Wait until something holds that the proxy does beside requests."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE


def asks(proxied: Loading, path: str, body: dict[str, Any]) -> bytes:
    """Ask the proxy; the answer is well and names no variant."""
    reply = proxied.place.ask("POST", path, body)
    assert (reply.status, b"gollamas/" in reply.body) == (200, False), reply
    return reply.body


def test_thirteen_requests_of_unlike_dialects_and_contexts_make_one_load(
    fleet: RealFleet, place: Place, words: list[str]
) -> None:
    before, there = logged_loads(), variants(place)
    with started(*words, *ENFORCED) as program:
        proxied = Loading(program)
        for path, body in thirteen(fleet.chat):
            assert models_in(asks(proxied, path, body)) == {fleet.chat}
        assert seconds_left(place, fleet.chat) > 365 * 86400
        assert len(variants(place) | there) <= len(there) + 1
        listed = proxied.place.ask("GET", "/api/tags").body + proxied.place.ask("GET", "/v1/models").body
        assert b"gollamas/" not in listed
        unload = json.loads(asks(proxied, "/api/generate", {"model": fleet.chat, "keep_alive": 0}))
        assert unload["done_reason"] == "unload"
        assert place.loaded() == {fleet.chat}
        loads = proxied.loads()
    assert loads == [(fleet.chat, "loaded", "cold", "num_ctx=2048")]
    if before is not None and place is fleet.first:
        assert (logged_loads() or 0) - before == 1


def test_embeddings_of_all_dialects_make_one_load(fleet: RealFleet, words: list[str]) -> None:
    with started(*words, "--force-num-ctx", "256") as program:
        proxied = Loading(program)
        for path in ("/v1/embeddings", "/api/embed", "/v1/embeddings"):
            body = {"model": fleet.embed, "input": "a", "options": {"num_ctx": 512}}
            assert models_in(asks(proxied, path, body)) == {fleet.embed}
        loads = proxied.loads()
    assert loads == [(fleet.embed, "loaded", "cold", "num_ctx=256")]


def test_keep_alive_holds_on_v1(fleet: RealFleet, place: Place, words: list[str]) -> None:
    native, openai = dialects(fleet.chat)[0], dialects(fleet.chat)[2]
    with started(*words, "--keep-alive", "20m", "--num-ctx", f"{fleet.chat}=2048") as program:
        proxied = Loading(program)
        asks(proxied, *openai)
        assert 1100 < seconds_left(place, fleet.chat) <= 1201
        asks(proxied, native[0], {**native[1], "keep_alive": "1m"})
        wait(lambda: 0 < seconds_left(place, fleet.chat) <= 61)
        asks(proxied, *openai)
        wait(lambda: 1100 < seconds_left(place, fleet.chat) <= 1201)
        loads = proxied.loads()
    assert [load[:3] for load in loads] == [(fleet.chat, "loaded", "cold")]


def test_with_0_the_model_leaves_behind_an_answer_of_v1(
    fleet: RealFleet, place: Place, words: list[str]
) -> None:
    with started(*words, "--force-keep-alive", "0") as program:
        proxied = Loading(program)
        asks(proxied, *dialects(fleet.chat)[2])
        wait(lambda: not place.loaded())


def test_a_variant_is_made_again_and_goes_with_its_model(
    fleet: RealFleet, place: Place, words: list[str]
) -> None:
    make(place, COPY, fleet.chat, temperature=0.5)
    ask = dialects(COPY)[2]
    before = variants(place)
    with started(*words, "--proxy", f"{COPY}=real", "--force-num-ctx", "2048") as program:
        proxied = Loading(program)
        asks(proxied, *ask)
        (first,) = variants(place) - before
        assert place.ask("DELETE", "/api/delete", {"model": first}).status == 200
        asks(proxied, *ask)
        assert variants(place) - before == {first}
        make(place, COPY, fleet.chat, temperature=0.25)  # other contents
        wait(lambda: bool(asks(proxied, *ask)) and first not in variants(place))
        (second,) = variants(place) - before
        assert second != first
        assert place.ask("DELETE", "/api/delete", {"model": COPY}).status == 200
        wait(lambda: second not in variants(place))


def test_a_request_without_a_context_gets_the_one_that_is_loaded(fleet: RealFleet, words: list[str]) -> None:
    path, body = dialects(fleet.chat)[1]
    with started(*words, "--num-ctx", f"{fleet.chat}=loaded") as program:
        proxied = Loading(program)
        for options in ({**FEW, "num_ctx": 1024}, FEW, {**FEW, "num_ctx": 1024}, FEW):
            asks(proxied, path, {**body, "options": options})
        loads = proxied.loads()
    assert loads == [(fleet.chat, "loaded", "cold", "num_ctx=1024")]
