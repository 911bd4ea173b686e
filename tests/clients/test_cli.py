"""The official `ollama` command in front of two servers; skipped where it is not installed."""

import re
import subprocess
from pathlib import Path

import pytest

from gollamas.simulate.settings import Settings
from tests.clients.fleet import NAMES, Fleet
from tests.clients.programs import PATIENCE, clean_environment, ollama_command


@pytest.fixture
def shell(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> "Shell":
    """Give the command at the proxy's address, with an empty home."""
    return Shell(ollama_command(), fleet.address, str(tmp_path_factory.mktemp("home")))


class Shell:
    """Runs the command; what it is given on its standard input is `asks`."""

    def __init__(self, command: str, address: str, home: str) -> None:
        self._command = command
        self._env = clean_environment(OLLAMA_HOST=address, HOME=home)

    def run(self, *words: str, asks: str = "") -> subprocess.CompletedProcess[str]:
        """Run it and give its exit code and what it printed."""
        return subprocess.run(
            [self._command, *words],
            env=self._env,
            check=False,
            capture_output=True,
            text=True,
            input=asks,
            timeout=PATIENCE,
        )

    def said(self, *words: str) -> str:
        """Run it, hold that it succeeds, and give what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


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
    """`show` fails with the name; `run` goes on to pull, which is not there yet and says so."""
    assert "model 'nope:latest' not found" in shell.run("show", "nope").stderr
    done = shell.run("run", "nope", "Hello")
    assert done.returncode != 0
    assert "pull" in done.stderr, done


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
def test_a_mistyped_model_ends_in_the_command_that_pulls_it(shell: Shell, verb: str) -> None:
    """The sentence is shown whole; `run` pulls after the 404 of `/api/show`."""
    done = shell.run(verb, "typo")
    assert done.returncode == 1
    said = re.search(r"none of the servers \((.+)\) has the model 'typo'.*", done.stderr)
    assert said, done.stderr
    assert re.search(r": OLLAMA_HOST=http://127\.0\.0\.1:\d+ ollama pull typo$", said[0]), said[0]
