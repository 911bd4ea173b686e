"""The verbs that tell of models and change them, as processes, in front of all real servers."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.clients.programs import clean_environment
from tests.real.fleet import PATIENCE, find_fleet
from tests.real.front import PULLED, Front, digests, left_as_they_were, running
from tests.real.loading import say
from tests.registry import Layer, Registry

COPY = "gt-copy"


@dataclass(slots=True)
class Operator:
    """Somebody with a shell beside the proxy."""

    front: Front
    admin: str

    def run(self, *words: str, code: int = 0) -> list[str]:
        """Run a verb that ends so; give the lines of its result, or of its error where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "gollamas", *words],
            env={
                **clean_environment(),
                "GOLLAMAS_HOST": self.front.proxy.url,
                "GOLLAMAS_ADMIN": self.admin,
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == code, done
        return (done.stderr if code else done.stdout).splitlines()

    def rows(self, *words: str) -> dict[tuple[str, str], dict[str, object]]:
        """Give what `models --json` says, by model and server."""
        (line,) = self.run("models", "--json", *words)
        return {(one["model"], one["server"]): one for one in json.loads(line)}


@pytest.fixture
def operator(registry: Registry) -> Iterator[Operator]:
    """Run the program with an admin port in front of all that the servers have."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        admin = f"127.0.0.1:{listener.getsockname()[1]}"
    servers = find_fleet()
    with left_as_they_were(servers), running(servers, registry, "--admin", admin) as front:
        yield Operator(front, admin)


def test_what_is_where_is_what_the_servers_say(operator: Operator) -> None:
    front, chat = operator.front, operator.front.fleet.chat
    first = next(iter(front.servers))
    front.on(first, "/api/generate", say(chat))
    rows = operator.rows()
    for name, server in front.servers.items():
        told = {model: rows[model, name]["digest"] for model in digests(server)}
        assert told == digests(server)
        assert (
            rows[chat, name]["size"]
            == {one["name"]: one["size"] for one in server.json("GET", "/api/tags")["models"]}[chat]
        )
        assert rows[chat, name]["is_loaded"] is (name == first)
    assert isinstance(rows[chat, first]["context_length"], int)
    columns, loaded = operator.run("ps")
    assert columns.split() == ["MODEL", "SERVER", "CONTEXT", "OPTIONS", "SIZE", "CPU", "EXPIRES"]
    assert loaded.split()[:2] == [chat, first]
    shown = operator.run("show", f"{chat}@{first}")
    assert shown[0] == "Model"
    assert any(re.match(r"  context length +\d+$", line) for line in shown)
    (whole,) = operator.run("show", "--json", chat)
    assert json.loads(whole)["details"]["format"] == "gguf"


def test_a_difference_is_marked_and_mended_by_the_pull_that_is_named(operator: Operator) -> None:
    """A copy and a delete go to one server or to all; a pull shows each layer, and brings what is newest."""
    front = operator.front
    name, fresh = f"{front.name}:latest", Layer.text("license", f"Made at {time.time_ns()}. " * 2000)
    first, *others = front.servers
    lines = operator.run("pull", "--insecure", front.name)
    assert [lines[0], lines[-1]] == [f"{front.name}: pulling manifest", f"{front.name}: success"]
    assert any(re.search(r": pulling [0-9a-f]{12}: 100% of \d", line) for line in lines)
    newest = front.registry.publish(PULLED, [*front.layers[0], fresh])
    operator.run("pull", "--insecure", f"{front.name}@{first}")
    assert digests(front.servers[first])[name] == newest
    marks = {
        server: row["note"] for (model, server), row in operator.rows(front.name).items() if model == name
    }
    assert marks == {first: "newest", **dict.fromkeys(others, "older" if others else None)} or not others
    last = operator.run("models", front.name)[-1]
    if others:
        mend = re.search(r"`gollamas (pull \S+)`", last)
        assert mend
        operator.run(*mend[1].split(), "--insecure")
    assert {digests(server)[name] for server in front.servers.values()} == {newest}
    assert {row["note"] for row in operator.rows(front.name).values()} == {None}
    assert operator.run("cp", f"{front.name}@{first}", COPY) == [f"copied {front.name}@{first} to {COPY}"]
    assert [f"{COPY}:latest" in digests(server) for server in front.servers.values()] == [True] + [
        False
    ] * len(others)
    assert operator.run("rm", COPY, front.name) == [f"deleted {COPY}", f"deleted {front.name}"]
    assert not any({name, f"{COPY}:latest"} & digests(server).keys() for server in front.servers.values())


def test_what_real_servers_refuse_says_what_to_do(operator: Operator) -> None:
    first = next(iter(operator.front.servers))
    absent = operator.front.registry.name("gt-absent")
    (line,) = operator.run("pull", "--insecure", f"{absent}@{first}", code=1)
    assert line.endswith("file does not exist; its registry has no such model or tag")
    for words in (("show", "gt-absent"), ("rm", "gt-absent"), ("cp", "gt-absent", COPY)):
        (line,) = operator.run(*words, code=1)
        assert line.endswith("not found: `gollamas models` shows what there is"), line
    (line,) = operator.run("rm", "gt-absent@nowhere", code=1)
    assert line.endswith("no server 'nowhere' is configured: `gollamas status` shows the servers")
