"""`gollamas demo` and `gollamas simulate` as somebody runs them for the first time."""

import asyncio
import json
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.clients.programs import ollama_command
from tests.unit.simulate.running import runs


@asynccontextmanager
async def running(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command of ours, killed at the end where it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gollamas",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said_until(process: asyncio.subprocess.Process, mark: str) -> str:
    """Read what a command prints, up to the line that has the mark."""
    assert process.stdout is not None
    found = ""
    while mark not in found:
        line = await process.stdout.readline()
        assert line, f"it ended before it said {mark!r}: {found}"
        found += line.decode()
    return found


async def ended(*words: str) -> tuple[int | None, str, str]:
    """Exit code and output of a command that ends by itself."""
    async with running(*words) as process:
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


async def shell(command: str) -> str:
    """Run a pasted command, which must succeed, and give what it prints."""
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, env=path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@runs
async def test_the_demo_s_commands_work_as_they_are_printed() -> None:
    """Each printed curl and Python line answers, and Ctrl-C ends all with 0 and without a traceback."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    async with running("demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0") as process:
        said = await said_until(process, "Ctrl-C")
        assert "simulated" in said
        commands = re.findall(r"^  ((?:curl|python3) (?:.*\\\n)?.*)$", said, re.MULTILINE)
        tags, chat, openai_chat, python, metrics = [await shell(line) for line in commands]
        names = {entry["name"] for entry in json.loads(tags)["models"]}
        assert names >= {
            "llama3.2:latest",
            "gpt-4o:latest",
            "qwen3:8b",
            "deepseek-r1:14b",
            "all-minilm:latest",
        }
        assert json.loads(chat.splitlines()[-1])["done"] is True
        assert json.loads(openai_chat)["choices"][0]["message"]["content"]
        assert python.strip()
        assert "gollamas_requests_total" in metrics
        page = said.partition("in a browser:\n\n  ")[2].split()[0]
        assert "<!doctype html>" in (await shell(f"curl {page}")).lower()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = (await process.stderr.read()).decode()
        assert await process.wait() == 0
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "mark"),
    [
        (("demo", "--admin", "off"), "Three simulated"),
        (("demo", "--admin", "off"), "Ctrl-C"),
        (("simulate",), "a simulated"),
        (("simulate",), "models:"),
    ],
)
@runs
async def test_control_c_right_after_the_text(words: tuple[str, ...], mark: str) -> None:
    """Who presses Ctrl-C as soon as a line is there gets exit code 0 and no traceback."""
    async with running(*words, "--listen", "127.0.0.1:0") as process:
        await said_until(process, mark)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (process.returncode, b"Traceback" in errors) == (0, False)


SEEN_WHERE_BUSY = (
    "request 200 POST /api/chat", "request 200 POST /api/embed", "request 200 POST /v1/chat/completions",
    "gpt-4o->llama3.2", "load pc-2", "load pc-3", "job pc-2 pull llama3.2 done",
)  # fmt: skip


@runs
async def test_where_the_demo_is_busy_there_is_something_to_see_at_once() -> None:
    """Chats, embeddings, loads, pulls, and what fails; Ctrl-C in the midst of it is 0, too."""
    words = ("demo", "--busy", "--level", "info", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    async with running(*words) as process:
        assert process.stderr is not None
        said = ""
        while not all(mark in re.sub(" +", " ", said) for mark in SEEN_WHERE_BUSY):
            said += (await process.stderr.readline()).decode()
        assert len(set(re.findall(r"client=(\S+)", said))) > (4 if sys.platform == "linux" else 0)
        page = re.findall(r"admin (127\.0\.0\.1:\d+)", said)[0]
        async with httpx.AsyncClient() as client:
            state = (await client.get(f"http://{page}/state")).json()
        assert "smollm2:135m" in {job["model"] for job in state["jobs"]}
        loaded = [one for server in state["servers"] for one in server["loaded"]]
        assert {one["model"] for one in loaded} >= {"all-minilm:latest", "llama3.2:latest"}
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (process.returncode, b"Traceback" in errors) == (0, False)


@runs
async def test_the_demo_s_ollama_line() -> None:
    """The printed `ollama run` line answers, where the command is installed."""
    command = ollama_command()
    async with running("demo", "--listen", "127.0.0.1:0", "--admin", "off") as process:
        said = await said_until(process, "Ctrl-C")
        (line,) = re.findall(r"^  (OLLAMA_HOST=.* ollama run .*)$", said, re.MULTILINE)
        assert (await shell(line.replace(" ollama ", f" {command} "))).strip()


@pytest.mark.parametrize("verb", ["demo", "simulate"])
@runs
async def test_a_taken_port_is_said_with_its_flag(verb: str) -> None:
    """Exit 1, the address and the flag that changes it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = await ended(verb, "--listen", address)
    assert code == 1
    assert f"gollamas {verb}: {address} is taken by another program" in errors
    assert "--listen HOST:PORT" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["demo", "--lisen", "x"], "Write `--listen`"),
        (["demo", "--listen", "11434"], "Write `localhost:11434`"),
        (["simulate", "--modle", "x"], "Write `--model`"),
        (["simulate", "--model", "a b"], "`a b` is no name of a model"),
        (["demo", "http://127.0.0.1:11434"], "`gollamas URL` is for yours"),
        (["simulate", "--load-seconds", "soon"], "`soon` is no number"),
        (["simulate", "--load-seconds", "nan"], "`nan` is no number"),
        (["simulate", "--tokens-per-second", "-5"], "`-5` is less than 0"),
        (["simulate", "--parallel", "0"], "`0` is out of range. Write a number from 1 to 1000"),
        (["simulate", "--version", "new"], "Write it like `0.34.3`"),
    ],
)
@runs
async def test_a_faulty_command_line_is_a_line(words: list[str], text: str) -> None:
    """Exit 2 and one line that says what to write instead."""
    code, _, errors = await ended(*words)
    assert code == 2
    assert text in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("verb", ["demo", "simulate"])
@runs
async def test_help(verb: str) -> None:
    """`--help` and `help VERB` say the same and exit 0."""
    first, second = await ended(verb, "--help"), await ended("help", verb)
    assert first == second
    assert first[0] == 0
    assert "--listen" in first[1]


@runs
async def test_one_simulated_server() -> None:
    """It answers as the version and with the models that it was told, and SIGTERM ends it with 0."""
    words = [
        "--listen",
        "127.0.0.1:0",
        "--version",
        "0.24.0",
        "--model",
        "a",
        "--model",
        "b:7b",
        "--load-seconds",
        "0",
    ]
    async with running("simulate", *words) as process, httpx.AsyncClient() as client:
        said = await said_until(process, "models:")
        url = re.findall(r"http://\S+", said)[0]
        assert (await client.get(f"{url}/api/version")).json() == {"version": "0.24.0"}
        tags = (await client.get(f"{url}/api/tags")).json()
        assert [entry["name"] for entry in tags["models"]] == ["b:7b", "a:latest"]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
