"""README's recipes, each run as it stands: it does what README says.

Simulated servers stand for the reader's machines; the proxy listens on free ports in place of its own.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import Request, urlopen

import pytest

from gollamas.config.load import load
from gollamas.config.model import EVERYWHERE
from gollamas.fleet.policy import Policies
from gollamas.fleet.wishes import wishes_of
from tests.meta.documents import blocks_in, blocks_of, commands_of, text_of, yaml_of_text
from tests.meta.machines import ENV, MODELS, PC_1, PC_2, at_home, machines
from tests.meta.running import Program, started

_PAGE: Final = "docs/keeping.md"
_STARTED: Final = re.compile(r"started listening on (\S+:\d+); admin (\S+:\d+)")
_LOAD: Final = re.compile(r"info  load +(\S+) +(\S+) loaded in \S+ why=(\S+) options=(\S+)")
_JOB: Final = re.compile(r"info  job +(\S+) (\S+) (\S+) done in \S+ why=(\S+)")
_WARNING: Final = re.compile(r"warning (.* do not both fit .*)")
_HELLO: Final = [{"role": "user", "content": "Hello"}]
_SIDE_BY_SIDE: Final = {PC_1: ["nomic-embed-text", "llama3.2"]}


class Load(NamedTuple):
    """A line of the log: what was loaded where, and why."""

    server: str
    model: str
    why: str
    options: str


def recipes() -> dict[str, list[str]]:
    """Find the commands of README's recipes by their headings, the lines of a crontab among them."""
    section = text_of("README.md").partition("\n## Recipes\n")[2].partition("\n## ")[0]
    parts = [part.partition("\n") for part in section.split("\n### ")[1:]]
    return {
        heading: [line for block in blocks_in(text) for line in commands_of(block)]
        for heading, _, text in parts
    }


def recipe(start: str) -> list[str]:
    """Give the commands of the recipe whose heading begins like this."""
    (found,) = [commands for heading, commands in recipes().items() if heading.startswith(start)]
    return found


class Cooked:
    """A proxy that a recipe started, in front of these servers."""

    def __init__(self, program: Program, addresses: Mapping[str, str]) -> None:
        self.program = program
        self.addresses = addresses
        found = program.until(_STARTED)
        self.address, self.admin = found[1], found[2]

    def loads(self, number: int) -> list[Load]:
        """Wait for so many more loads."""
        return [Load(*self.program.until(_LOAD).groups()) for _ in range(number)]

    def ask(self, path: str, **said: Any) -> Any:
        """Ask with what is said, or without a body; give the JSON of a 200."""
        return asked(self.address, path, **said)

    def loaded(self) -> dict[str, str]:
        """Give until when each model stays, as the proxy lists what is loaded."""
        return {entry["name"]: entry["expires_at"] for entry in self.ask("/api/ps")["models"]}

    def rest(self) -> list[Load]:
        """End it; give the loads behind those that were waited for."""
        return [Load(*found) for found in _LOAD.findall(self.program.interrupt())]


def asked(address: str, path: str, **said: Any) -> Any:
    """Ask a server or a proxy; give the JSON of a 200."""
    body = json.dumps(said).encode() if said else None
    with urlopen(Request(f"http://{address}{path}", body), timeout=20) as answer:
        return json.loads(answer.read())


@contextmanager
def cooked(command: str, models: Mapping[str, Sequence[str]] = MODELS, servers: str = "") -> Iterator[Cooked]:
    """Start the command of a recipe; `servers` are more flags for each simulated one."""
    env = ENV | {"GOLLAMAS_ADMIN": "127.0.0.1:0"}
    with machines(models, servers) as addresses, started(f"exec {at_home(command, addresses)}", env) as one:
        yield Cooked(one, addresses)


def test_every_recipe_is_tried_below() -> None:
    """None is added to the page alone."""
    assert list(recipes()) == [
        "Keep a model in memory for ever",
        "One context for all clients, Claude Code and Codex among them",
        "A large context on the large card, a small one on the small card",
        "Chat and embeddings loaded side by side",
        "The same models on all servers",
        "Free the GPU at night",
    ]


def test_a_model_is_kept_in_memory_for_ever() -> None:
    """On both machines before anybody asks; no client makes it leave, and it returns if it goes missing."""
    (command,) = recipe("Keep a model")
    with cooked(command) as kept:
        loads = kept.loads(2)
        assert {load.server for load in loads} == set(kept.addresses.values())
        assert {(load.model, load.why) for load in loads} == {("llama3.2:latest", "preload")}
        kept.ask("/api/generate", model="llama3.2", keep_alive=0, stream=False)
        kept.ask("/api/chat", model="llama3.2", messages=_HELLO, stream=False, keep_alive="1s")
        assert kept.loaded()["llama3.2:latest"] > "2300"
        asked(kept.addresses[PC_1], "/api/generate", model="llama3.2", keep_alive=0)
        (again,) = kept.loads(1)
        assert (again.server, again.why) == (kept.addresses[PC_1], "preload")
        assert kept.rest() == []


def test_all_clients_have_one_context() -> None:
    """Claude Code, Codex and a chat program that asks for less: the model is loaded once."""
    (command,) = recipe("One context")
    model = "qwen2.5-coder"
    with cooked(command) as one:
        one.program.until(re.compile("server_up"))
        one.ask("/v1/messages", model=model, messages=_HELLO, max_tokens=9)
        one.ask("/v1/responses", model=model, input="Hello")
        one.ask("/api/chat", model=model, messages=_HELLO, stream=False, options={"num_ctx": 2048})
        one.ask("/v1/chat/completions", model=model, messages=_HELLO)
        assert one.loaded()[f"{model}:latest"] > "2300"
        (load,) = one.rest()
        assert (load.why, load.options) == ("cold", "num_ctx=32768")


def test_each_card_has_its_own_context() -> None:
    (command,) = recipe("A large context")
    with cooked(command) as sized:
        for _ in MODELS:
            sized.program.until(re.compile("server_up"))
        for model in ("qwen2.5-coder", "deepseek-r1:14b"):
            sized.ask("/api/chat", model=model, messages=_HELLO, stream=False)
        loads = sized.loads(2)
        assert [(load.server, load.options) for load in loads] == [
            ("pc-1", "num_ctx=32768"),
            ("pc-2", "num_ctx=8192"),
        ]


def test_chat_and_embeddings_stay_side_by_side() -> None:
    """In the order of the command, not in that of the server's list."""
    (command,) = recipe("Chat and embeddings")
    with cooked(command, _SIDE_BY_SIDE) as both:
        loads = both.loads(2)
        assert [load.model for load in loads] == ["llama3.2:latest", "nomic-embed-text:latest"]
        assert len(both.ask("/api/embed", model="nomic-embed-text", input="Hello")["embeddings"]) == 1
        assert min(both.loaded().values()) > "2300"
        assert both.rest() == []


def test_of_two_that_do_not_fit_the_first_stays() -> None:
    """With one warning, in the words of the page on that; the other one comes when a client asks for it."""
    (command,) = recipe("Chat and embeddings")
    with cooked(command, _SIDE_BY_SIDE, "--max-loaded 1") as both:
        warning = both.program.until(_WARNING)[1]
        assert warning.replace(both.addresses[PC_1], "192.168.1.10:11434") in text_of(_PAGE)
        assert list(both.loaded()) == ["llama3.2:latest"]
        both.ask("/api/embed", model="nomic-embed-text", input="Hello")
        (load,) = both.loads(1)
        assert (load.model, load.why) == ("nomic-embed-text:latest", "cold")
        assert not _WARNING.search(both.program.interrupt())


def test_the_same_models_get_to_all_servers() -> None:
    (command,) = recipe("The same models")
    with cooked(command, {PC_1: ["llama3.2", "nomic-embed-text"], PC_2: ["deepseek-r1:14b"]}) as both:
        pulls = [both.program.until(_JOB).groups() for _ in range(2)]
        assert sorted(pulls) == [
            ("pc-2", "pull", "llama3.2:latest", "sync"),
            ("pc-2", "pull", "nomic-embed-text:latest", "sync"),
        ]
        listed = asked(both.addresses[PC_2], "/api/tags")["models"]
        assert {"llama3.2:latest", "nomic-embed-text:latest"} <= {one["name"] for one in listed}


def test_the_gpu_is_free_at_night(tmp_path: Path) -> None:
    """The model of the first recipe leaves in the evening, and is there again in the morning."""
    (command,) = recipe("Keep a model")
    evening, morning = [line.split(maxsplit=5) for line in recipe("Free the GPU")]
    assert (evening[:5], morning[:5]) == (["0", "20", "*", "*", "*"], ["0", "7", "*", "*", "*"])
    home = tmp_path / ".local" / "bin"
    home.mkdir(parents=True)
    (home / "gollamas").symlink_to(Path(sys.prefix) / "bin" / "gollamas")
    with cooked(f"{command} --probe-interval 50ms") as kept:
        kept.loads(2)
        env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GOLLAMAS_ADMIN": kept.admin}
        subprocess.run(["/bin/sh", "-c", evening[5]], env=env, check=True)
        assert kept.loaded() == {}
        subprocess.run(["/bin/sh", "-c", morning[5]], env=env, check=True)
        assert list(kept.loaded()) == ["llama3.2:latest"]
        loads = kept.loads(2)
        assert {load.server for load in loads} == set(kept.addresses.values())
        assert {load.why for load in loads} == {"hand"}


def yaml_of_page(start: str) -> str:
    """Give the YAML block of the page on keeping that begins like this."""
    (found,) = [block.text for block in blocks_of(_PAGE) if block.text.startswith(start)]
    return found


def test_the_file_of_the_page_keeps_one_model_everywhere_and_one_somewhere() -> None:
    """For ever, and nothing in it is warned of."""
    config = load(["--config", "gollamas.yaml"], {}, lambda _: yaml_of_page("servers:"))
    assert config.warnings == ()
    assert [(wish.name, wish.instances, len(wish.preloaded)) for wish in wishes_of(config)] == [
        ("llama3.2", EVERYWHERE, 2),
        ("qwen2.5-coder", 1, 2),
    ]
    policies = Policies(config)
    found = [policy for key in config.models for policy in (policies.of(key) or {}).values()]
    assert [policy.load_keep_alive for policy in found] == [-1] * 4


@pytest.mark.parametrize("load_seconds", ["0", "1000"])
def test_the_health_check_of_the_page_waits_for_what_is_preloaded(load_seconds: str) -> None:
    """It fails while the model is being loaded, and ends well once it is."""
    (command,) = recipe("Keep a model")
    check = yaml_of_text(yaml_of_page("healthcheck:"))["healthcheck"]["test"]
    with cooked(f"{command} --ready preloaded", servers=f"--load-seconds {load_seconds}") as kept:
        if load_seconds == "0":
            kept.loads(2)
        words = [word.replace("127.0.0.1:11435", kept.admin) for word in check[2:]]
        done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
        assert (done.returncode == 0) is (load_seconds == "0"), done.stderr
        assert ("503" in done.stderr) is (load_seconds != "0")
