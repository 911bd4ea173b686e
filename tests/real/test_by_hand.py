"""Models are loaded, unloaded and deleted by hand, on a real server and on a simulated one like it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clients.programs import Program, clean_environment, started
from tests.real.fleet import PATIENCE, Place, RealFleet, request_bytes
from tests.real.front import SOON
from tests.real.loading import logged_loads, say, vector
from tests.real.test_managed import COPY, copy

STARTED = re.compile(r"started listening on (\S+:\d+); admin (\S+:\d+)")
LOAD = re.compile(r" load +real (\S+) (\S+) in .* why=(\S+) options=(\S+)")
LINE = re.compile(r"(\S+) on real: (loaded in|was loaded already|unloaded in|was not loaded)")


class ByHand:
    """A proxy in front of one server that forces a context and keeps models for ever, and its operator."""

    def __init__(self, program: Program) -> None:
        self.program = program
        found = program.until(STARTED)
        self.place, self.admin = Place(f"http://{found[1]}"), found[2]
        while not self.place.json("GET", "/api/tags")["models"]:
            pass

    def run(self, *words: str) -> list[tuple[str, str]]:
        """Run a verb, hold that it succeeds, and give what became of each model."""
        done = subprocess.run(
            [sys.executable, "-m", "gollamas", *words, "--admin", self.admin],
            env=clean_environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return LINE.findall(done.stdout)


@pytest.fixture
def by_hand(words: list[str]) -> Iterator[ByHand]:
    """Run the program in front of that server alone."""
    admin = ["--admin", "127.0.0.1:0"]
    with started(*words, *admin, "--force-num-ctx", "2048", "--force-keep-alive", "-1") as program:
        yield ByHand(program)


def test_load_unload_and_load_again(by_hand: ByHand, fleet: RealFleet, place: Place) -> None:
    """Beside each other, a chat model and one that embeds; clients find them as they want them."""
    both = {fleet.chat, fleet.embed}
    before = logged_loads()
    assert by_hand.run("load", fleet.chat, fleet.embed) == [
        (fleet.chat, "loaded in"),
        (fleet.embed, "loaded in"),
    ]
    assert place.loaded() >= both
    shown = {entry["name"]: entry for entry in place.json("GET", "/api/ps")["models"]}
    assert shown[fleet.chat]["context_length"] == 2048
    assert shown[fleet.chat]["expires_at"] > "2100"
    by_hand.place.json("POST", "/api/generate", say(fleet.chat))
    by_hand.place.json("POST", "/api/embed", vector(fleet.embed))
    assert by_hand.run("load", fleet.chat) == [(fleet.chat, "was loaded already")]

    assert by_hand.run("unload", fleet.chat) == [(fleet.chat, "unloaded in")]
    place.until(lambda found: fleet.chat not in found)
    assert fleet.embed in place.loaded()
    assert by_hand.run("unload", fleet.chat) == [(fleet.chat, "was not loaded")]
    assert fleet.chat not in place.loaded()

    assert by_hand.run("load", fleet.chat) == [(fleet.chat, "loaded in")]
    by_hand.place.json("POST", "/api/generate", say(fleet.chat))
    assert by_hand.run("unload", fleet.embed, fleet.chat) == [
        (fleet.embed, "unloaded in"),
        (fleet.chat, "unloaded in"),
    ]
    place.until(lambda found: not both & found)
    after = logged_loads()
    if place is fleet.first and before is not None and after is not None:
        assert after - before == 3
    assert by_hand.program.ended(signal.SIGTERM) == 0, by_hand.program.said
    assert [found[2:] for found in LOAD.findall(by_hand.program.said)] == [("hand", "num_ctx=2048")] * 4
    assert "reload" not in by_hand.program.said


def test_an_unload_lets_an_answer_come_to_its_end(by_hand: ByHand, fleet: RealFleet, place: Place) -> None:
    """And the model leaves after it, though it is kept for ever."""
    by_hand.run("load", fleet.chat)
    body = json.dumps({"model": fleet.chat, "prompt": "Count to a hundred", "options": {"num_predict": 40}})
    with by_hand.place.connect() as sock:
        sock.sendall(request_bytes("POST", "/api/generate", body.encode()))
        got = sock.recv(65536)
        while b'"response"' not in got:
            got += sock.recv(65536)
        assert by_hand.run("unload", fleet.chat) == [(fleet.chat, "unloaded in")]
        while piece := sock.recv(65536):
            got += piece
    assert b'"done":true' in got
    place.until(lambda found: fleet.chat not in found)


def test_a_delete_takes_the_model_out_of_the_memory(by_hand: ByHand, fleet: RealFleet, place: Place) -> None:
    """One that clients may not change, and that is there for ever; a second delete finds nothing."""
    admin = Place(f"http://{by_hand.admin}")
    place.until(lambda found: fleet.chat not in found)
    copy(place, fleet.chat, COPY)
    try:
        place.json("POST", "/api/generate", {**say(COPY), "keep_alive": -1})
        place.until(lambda found: COPY in found)
        (one,) = admin.json("POST", "/delete", {"model": COPY, "server": "real"})["servers"]
        assert (one["server"], one["model"], one["end"], one["error"]) == ("real", COPY, "done", None)
        place.until(lambda found: not found, SOON)
        reply = admin.ask("POST", "/delete", {"model": COPY})
        assert (reply.status, json.loads(reply.body)["servers"][0]["end"]) == (404, "missing")
    finally:
        place.ask("DELETE", "/api/delete", {"model": COPY})
