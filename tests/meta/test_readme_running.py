"""The commands of the pages that start something: they start it, and what a reader does next works.

The addresses of the reader's two machines stand for simulated servers; the proxy listens on a free port in
place of 11434, which may be somebody's Ollama. Nothing else of a command is changed.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.meta.machines import ENV, MODELS, at_home, lines, machines
from tests.meta.running import LISTENING, started


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Have both machines, which may have models loaded."""
    with machines() as found:
        yield found


@contextmanager
def proxy(command: str, addresses: dict[str, str]) -> Iterator[str]:
    """Start the proxy by a command of README; give its address when both servers are known."""
    with started(f"exec {at_home(command, addresses)}", ENV) as program:
        address = program.until(LISTENING)[1]
        for _ in range(command.count("http://")):
            program.until(re.compile("server_up"))
        yield address


def ask(command: str) -> dict[str, object]:
    """Run a `curl` line; give the last of the objects that it printed."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    done = subprocess.run(["/bin/sh", "-c", command], env=ENV, check=True, capture_output=True, text=True)
    answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def test_plain_addresses_serve_all_that_servers_have(addresses: dict[str, str]) -> None:
    """The start commands list the models of one machine, then of both, each once."""
    *alone, _ = commands = lines("sh", "gollamas http://")
    served = []
    for command in commands:
        with proxy(command, addresses) as address:
            models = ask(f"curl -s http://{address}/api/tags")["models"]
        assert isinstance(models, list)
        served.append(sorted(model["name"] for model in models))
    both = ["deepseek-r1:14b", "llama3.2:latest", "qwen2.5-coder:latest"]
    assert served == [["llama3.2:latest", "qwen2.5-coder:latest"], both, both]
    assert all("http://localhost:11433" in command for command in alone)


def test_the_curl_lines_are_answered(addresses: dict[str, str]) -> None:
    """With the second start command, each `curl` line of README gets an answer and no error."""
    with proxy(lines("sh", "gollamas --connection")[0], addresses) as address:
        answers = {line: ask(line.replace("localhost:11434", address)) for line in lines("sh", "curl ")}
    assert len(answers) == 4
    assert not [line for line, answer in answers.items() if "error" in answer]
    assert sum("gpt-4o" in line and answer["model"] == "gpt-4o" for line, answer in answers.items()) == 1


CHATS: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {},
    "/v1/messages": {"max_tokens": 9},
    "/api/chat": {"stream": False},
    "/api/generate": {"stream": False, "prompt": "Hello", "options": {"num_ctx": 2048}},
}


def loads_by(command: str, requests: list[tuple[str, dict[str, object]]]) -> list[str]:
    """Start the proxy by a command of README and send these one after another; give its log of loads.

    Nothing is loaded before.
    """
    hello = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hello"}]}
    with machines() as addresses, started(f"exec {at_home(command, addresses)}", ENV) as program:
        address = program.until(LISTENING)[1]
        for _ in MODELS:
            program.until(re.compile("server_up"))
        for path, said in requests:
            body = json.dumps(hello | said)
            assert "error" not in ask(f"curl -s http://{address}{path} -d '{body}'"), path
        return re.findall(r"info  load .*", program.interrupt())


@pytest.mark.parametrize("command", lines("sh", "gollamas --force-num-ctx 8192"))
def test_an_enforced_context_is_loaded_once_for_all_dialects(command: str) -> None:
    """Whatever clients ask for after that, the model stays as it was loaded."""
    (load,) = loads_by(command, list(CHATS.items()))
    assert "why=cold options=num_ctx=8192" in load


def test_a_title_uses_the_context_of_its_chat() -> None:
    """With README's line for that, a request without `num_ctx` behind one that has it reloads nothing."""
    command = lines("sh", "gollamas --num-ctx loaded")[0]
    chat = ("/api/chat", {"stream": False, "options": {"num_ctx": 2048}})
    (load,) = loads_by(command, [chat, ("/api/chat", {"stream": False})])
    assert "why=cold options=num_ctx=2048" in load


def test_checking_live_finds_the_servers(addresses: dict[str, str]) -> None:
    """`check --live` of README ends with 0 while both machines are there."""
    command = at_home(lines("console", "gollamas check --live")[0], addresses)
    done = subprocess.run(["/bin/sh", "-c", command], env=ENV, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_make_run_starts_the_demo_and_control_c_ends_it() -> None:
    """`make run` says what to paste, and Ctrl-C ends the servers and the proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_", "GOLLAMAS_PURE"))
    }
    with started(lines("sh", "make run")[0], kept | ENV) as program:
        program.until(LISTENING)
        program.until(re.compile("Ctrl-C"))
        program.until(re.compile("server_up"))  # what it told the reader is on the screen, the demo runs
        assert "stopped" in program.interrupt()
