"""The official `ollama` command in front of real servers; skipped where it is not installed."""

import subprocess

import pytest

from tests.clients.programs import clean_environment, ollama_command
from tests.real.fleet import PATIENCE, RealFleet


class Shell:
    """Runs the command at an address."""

    def __init__(self, address: str, home: str) -> None:
        self._command = ollama_command()
        self._env = clean_environment(OLLAMA_HOST=address, HOME=home)

    def said(self, *words: str) -> str:
        """Run it, hold that it succeeds, and give what it printed."""
        done = subprocess.run(
            [self._command, *words],
            env=self._env,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shell(fleet: RealFleet, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Give the command at the proxy's address."""
    return Shell(fleet.proxy.address, str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def direct(fleet: RealFleet, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Give the command at the first server's address."""
    return Shell(fleet.first.address, str(tmp_path_factory.mktemp("home")))


def test_list(fleet: RealFleet, shell: Shell, direct: Shell) -> None:
    """The rows of the two models are those that the server gives."""
    rows = direct.said("list").splitlines()
    wanted = [
        rows[0].split(),
        *(row.split() for row in rows[1:] if row.split()[0] in (fleet.chat, fleet.embed)),
    ]
    assert [row.split() for row in shell.said("list").splitlines()] == wanted


@pytest.mark.parametrize("name", ["chat", "alias"])
def test_show(fleet: RealFleet, shell: Shell, direct: Shell, name: str) -> None:
    """The same text as from the server, under an alias too."""
    asked = "an-alias" if name == "alias" else fleet.chat
    assert shell.said("show", asked) == direct.said("show", fleet.chat)


@pytest.mark.parametrize("name", ["chat", "alias"])
def test_run_then_ps_then_stop(fleet: RealFleet, shell: Shell, name: str) -> None:
    """`run` answers, `ps` right after it shows the model, `stop` unloads it."""
    asked = "an-alias" if name == "alias" else fleet.chat
    assert shell.said("run", asked, "Say hello.").strip()
    assert fleet.chat in shell.said("ps")
    shell.said("stop", asked)
    fleet.proxy.until(lambda found: fleet.chat not in found, 5.0)


def test_run_embeds(fleet: RealFleet, shell: Shell) -> None:
    """`run` of an embedding model prints its vector."""
    assert shell.said("run", fleet.embed, "Hello").startswith("[")


def test_version(fleet: RealFleet, shell: Shell) -> None:
    """The command reads the proxy's version."""
    assert fleet.version in shell.said("--version")
