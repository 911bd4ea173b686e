"""Loads belong to the proxy, in front of a real server and of a simulated one like it."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.programs import LISTENING, Program, clean_environment, ollama_command, started
from tests.real.fleet import Place, RealFleet, request_bytes
from tests.real.loading import SURE, load_of, logged_loads, make, say, vector

LOAD = re.compile(r" load +real (\S+) (\S+) in .* why=(\S+) options=(\S+) waited=(\d+)")
FEW = {"num_predict": 2}


class Loading:
    """A proxy in front of one server, and the loads that it tells of."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.place = Place(f"http://{program.until(LISTENING)[1]}")
        self.until_listed()

    def until_listed(self) -> None:
        """Wait until the proxy knows what its server has."""
        while not self.place.json("GET", "/api/tags")["models"]:
            pass

    def loads(self) -> list[tuple[str, ...]]:
        """End it, and give model, end, cause and runner options of each load."""
        assert self.program.ended(signal.SIGTERM) == 0, self.program.said
        return [found[:4] for found in LOAD.findall(self.program.said)]


@pytest.fixture
def proxied(words: list[str]) -> Iterator[Loading]:
    """Run the program in front of that server alone."""
    with started(*words) as program:
        yield Loading(program)


def dialects(model: str) -> list[tuple[str, dict[str, Any]]]:
    """Give a short request in each dialect; the first two tell how long their load took."""
    messages = [{"role": "user", "content": "Hi"}]
    return [
        ("/api/generate", {"model": model, "prompt": "Hi", "stream": False, "options": FEW}),
        ("/api/chat", {"model": model, "messages": messages, "stream": False, "options": FEW}),
        ("/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 2}),
        ("/v1/completions", {"model": model, "prompt": "Hi", "max_tokens": 2}),
        ("/v1/messages", {"model": model, "messages": messages, "max_tokens": 2}),
        ("/v1/responses", {"model": model, "input": "Hi", "max_output_tokens": 2}),
    ]


def tells_loads(fleet: RealFleet) -> bool:
    """Whether answers to many requests at once tell their loads: before 0.30 each counts what others take."""
    return not fleet.version.startswith("0.24.")


def check_loads(fleet: RealFleet, place: Place, wanted: int, before: int | None) -> None:
    """Count in the real server's own log, where it is there."""
    if before is not None and place is fleet.first:
        assert logged_loads() == before + wanted


def test_forty_requests_of_all_dialects_at_once_make_one_load(
    fleet: RealFleet, place: Place, proxied: Loading, cold: dict[str, float]
) -> None:
    before = logged_loads()
    asked = (dialects(fleet.chat) * 7)[:40]
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda one: proxied.place.json("POST", *one), asked))
    told = [answer["load_duration"] / 1e9 for answer in answers if "load_duration" in answer]
    assert len(told) == 14
    check_loads(fleet, place, 1, before)
    if tells_loads(fleet):
        assert max(told) < cold[fleet.chat] * SURE, told
    assert proxied.loads() == [(fleet.chat, "loaded", "cold", "-")]


@pytest.mark.parametrize("kind", ["chat", "embed"])
def test_a_client_that_leaves_takes_the_load_from_nobody(
    fleet: RealFleet, place: Place, proxied: Loading, cold: dict[str, float], kind: str
) -> None:
    name = fleet.chat if kind == "chat" else fleet.embed
    path, body = ("/api/generate", say(name)) if kind == "chat" else ("/api/embed", vector(name))
    with proxied.place.connect() as first, ThreadPoolExecutor() as pool:
        first.sendall(request_bytes("POST", path, json.dumps(body).encode()))
        follower = pool.submit(load_of, proxied.place, path, body)
        time.sleep(min(0.2, cold[name] / 2))  # the passing of time is what is tested
        first.close()
        assert follower.result() < cold[name] * SURE
    assert place.loaded() == {name}
    assert proxied.loads() == [(name, "loaded", "cold", "-")]


def test_a_load_goes_on_when_nobody_is_left(fleet: RealFleet, place: Place, proxied: Loading) -> None:
    with proxied.place.connect() as only:
        only.sendall(request_bytes("POST", "/api/generate", json.dumps(say(fleet.chat)).encode()))
        time.sleep(0.1)  # as above
    proxied.program.until(LOAD)
    assert place.loaded() == {fleet.chat}
    assert proxied.loads() == [(fleet.chat, "loaded", "cold", "-")]


def test_two_contexts_in_turns_from_eight_clients_make_two_loads(
    fleet: RealFleet, place: Place, proxied: Loading, cold: dict[str, float]
) -> None:
    before = logged_loads()

    def ask(number: int) -> float:
        time.sleep(number * 0.01)  # in turns
        return load_of(proxied.place, "/api/generate", say(fleet.chat, num_ctx=2048 if number % 2 else 1024))

    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(ask, range(8)))
    check_loads(fleet, place, 2, before)
    if tells_loads(fleet):
        assert max(took) < cold[fleet.chat] * SURE, took
    assert proxied.loads() == [
        (fleet.chat, "loaded", "cold", "num_ctx=1024"),
        (fleet.chat, "loaded", "options", "num_ctx=2048"),
    ]


def test_one_request_after_another_with_the_same_options_loads_once(
    fleet: RealFleet, proxied: Loading, cold: dict[str, float]
) -> None:
    """While the server's lists are asked for all the time."""
    for _ in range(5):
        assert (
            load_of(proxied.place, "/api/generate", say(fleet.chat, num_ctx=2048)) < cold[fleet.chat] * SURE
        )
        time.sleep(0.25)  # more than between two lists
    assert proxied.loads() == [(fleet.chat, "loaded", "cold", "num_ctx=2048")]


def test_a_model_that_only_embeds_is_loaded(
    fleet: RealFleet, proxied: Loading, cold: dict[str, float]
) -> None:
    assert load_of(proxied.place, "/api/embed", vector(fleet.embed)) < cold[fleet.embed] * SURE
    proxied.place.json("POST", "/v1/embeddings", {"model": fleet.embed, "input": "a"})
    assert proxied.loads() == [(fleet.embed, "loaded", "cold", "-")]


def test_a_load_that_takes_too_long_is_given_up(fleet: RealFleet, words: list[str], place: Place) -> None:
    with started(*words, "--load-timeout", "50ms") as program:
        proxied = Loading(program)
        got = proxied.place.ask("POST", "/api/generate", say(fleet.chat))
        assert (got.status, json.loads(got.body)["error"]) == (
            504,
            f"server real has not loaded {fleet.chat} within 0.05 s",
        )
        load_of(place, "/api/embed", vector(fleet.embed))  # waits for whatever loads
        assert place.loaded() == {fleet.embed}, "its connection was closed"
        assert proxied.loads() == [(fleet.chat, "given_up", "cold", "-")]


def test_a_copy_is_loaded_with_its_model(
    fleet: RealFleet, place: Place, words: list[str], cold: dict[str, float]
) -> None:
    place.ask("POST", "/api/copy", {"source": fleet.chat, "destination": "gt-copy"})
    with started(*words, "--proxy", "gt-copy=real") as program:
        proxied = Loading(program)
        load_of(proxied.place, "/api/generate", say(fleet.chat))
        assert load_of(proxied.place, "/api/generate", say("gt-copy")) < cold[fleet.chat] * SURE
        assert proxied.loads() == [(fleet.chat, "loaded", "cold", "-")]


def test_two_names_over_the_same_weights_that_push_each_other_out_are_told_of(
    fleet: RealFleet, place: Place, words: list[str]
) -> None:
    make(place, "gt-variant", fleet.chat, num_ctx=1024)
    with started(*words, "--proxy", "gt-variant=real") as program:
        proxied = Loading(program)
        for name in (fleet.chat, "gt-variant", fleet.chat, "gt-variant"):
            load_of(proxied.place, "/api/generate", say(name))
        loads = proxied.loads()
        assert [end for _, end, _, _ in loads] == ["loaded"] * 4
        assert program.said.count("push each other out") == 1
        (told,) = re.findall(r"(\S+) and (\S+) run the same weights", program.said)
        assert set(told) == {fleet.chat, "gt-variant"}


def test_ollama_stop_unloads(fleet: RealFleet, proxied: Loading) -> None:
    load_of(proxied.place, "/api/generate", say(fleet.chat))
    environment = clean_environment(OLLAMA_HOST=proxied.place.address)
    subprocess.run([ollama_command(), "stop", fleet.chat], env=environment, check=True, timeout=60)
    proxied.place.until(lambda found: not found)
    load_of(proxied.place, "/api/generate", say(fleet.chat))
    assert proxied.loads() == [(fleet.chat, "loaded", "cold", "-")] * 2


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_a_load_that_fails_is_answered_in_the_server_s_own_words(
    fleet: RealFleet, place: Place, proxied: Loading, path: str
) -> None:
    """A batch that no runner can have ends it, below nothing before 0.30 and beyond 32 bits after."""
    if place is not fleet.first:
        pytest.skip("the simulated server takes any batch; its own failures stand in the socket tests")
    num_batch = -5 if fleet.version.startswith("0.24.") else 4294967295
    body = {"model": fleet.chat, "stream": False, "options": {"num_batch": num_batch}}
    own = place.ask("POST", "/api/generate", body)
    got = proxied.place.ask("POST", path, body)
    assert (got.status, json.loads(got.body)["error"]) == (own.status, json.loads(own.body)["error"])
    assert got.status == 500
    assert load_of(proxied.place, "/api/generate", say(fleet.chat)) >= 0
    assert [end for _, end, _, _ in proxied.loads()] == ["failed", "loaded"]
