"""The official `ollama` command in front of two servers; skipped where it is not installed."""

import re
from pathlib import Path

import pytest

from gollamas.simulate.settings import Settings
from tests.clients.fleet import NAMES, Fleet
from tests.clients.programs import ollama_command
from tests.clients.shell import Shell


@pytest.fixture
def shell(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Give the command at the proxy's address, with an empty home."""
    return Shell(ollama_command(), fleet.address, str(tmp_path_factory.mktemp("home")))


def test_list(shell: Shell) -> None:
    """Every model of both servers, each once."""
    rows = shell.said("list").splitlines()
    assert rows[0].split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert sorted(row.split()[0] for row in rows[1:]) == list(NAMES)


@pytest.mark.parametrize("model", ["deepseek-r1:14b", "gpt-4o"])
def test_run_then_ps_then_stop(shell: Shell, model: str) -> None:
    """`run` answers, `ps` shows the model at once, `stop` unloads it."""
    shown = "llama3.2:latest" if model == "gpt-4o" else model
    assert shell.said("run", model, "Hello").strip()
    assert shown in shell.said("ps")
    shell.said("stop", model)
    assert shown not in shell.said("ps")


def test_show(shell: Shell) -> None:
    """A model's details, and an alias's."""
    assert "tools" in shell.said("show", "qwen3:8b")
    assert "tools" in shell.said("show", "gpt-4o")


def test_run_embeds(shell: Shell) -> None:
    """`run` of an embedding model prints its vector."""
    assert shell.said("run", "all-minilm", "Hello").startswith("[")


def test_an_unknown_model(shell: Shell) -> None:
    """`show` fails with the name."""
    assert "model 'nope:latest' not found" in shell.run("show", "nope").stderr


def test_version(shell: Shell) -> None:
    """The server's version is the fleet's."""
    assert Settings().version in shell.said("--version")


def test_the_line_of_the_readme(shell: Shell) -> None:
    """README's `ollama run` answers what it is asked, at the proxy's address."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    lines = re.findall(r"`OLLAMA_HOST=localhost:11434 ollama (run [^`]+)`", text)
    assert lines
    for line in lines:
        done = shell.run(*line.split(), asks="Hello")
        assert (done.returncode, bool(done.stdout.strip())) == (0, True), done.stderr


@pytest.mark.parametrize("verb", ["run", "pull"])
def test_a_mistyped_model_is_not_pulled(shell: Shell, verb: str) -> None:
    """The sentence is shown whole, with the option it depends on; `run` pulls after the 404 of `show`."""
    done = shell.run(verb, "typo")
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("Error: 403 Forbidden: 'typo' can't be pulled through gollamas: "), said
    assert said.endswith("add it to `models`, or set `manage: all`"), said
