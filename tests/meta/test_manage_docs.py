"""The page about pulling and deleting shows what comes: its commands print what stands there.

Two simulated servers stand for the reader's machines.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from gollamas.api.outcomes import PartOutcome, outcome_of
from gollamas.config.load import load
from gollamas.events import JobEnd, JobKind
from gollamas.fleet.wishes import sync_wishes_of
from tests.meta.documents import blocks_of, commands_of, text_of
from tests.meta.machines import ENV, PC_1, PC_2, at_home, machines
from tests.meta.running import Program, started

_PAGE: Final = "docs/manage.md"
_STARTED: Final = re.compile(r"started listening on (\S+); admin (\S+);")
_BLOCKS: Final = [block for block in blocks_of(_PAGE) if block.language == "console"]
_COMMANDS: Final = [line for block in _BLOCKS for line in commands_of(block)]
_TOLD: Final = [block for block in _BLOCKS if len(block.text.splitlines()) > len(commands_of(block))]

_STARTS: Final = [line for block in blocks_of(_PAGE) if block.language == "sh" for line in commands_of(block)]


class Reader:
    """Somebody who follows the page: a proxy by its first command, whose second server can go down."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._home = home
        first = stack.enter_context(machines({PC_1: ["llama3.2", "qwen2.5-coder"]}))
        self._second = stack.enter_context(ExitStack())
        second = self._second.enter_context(machines({PC_2: ["llama3.2", "deepseek-r1:14b"]}))
        command, _ = _STARTS
        env = ENV | {"GOLLAMAS_ADMIN": "127.0.0.1:0", "GOLLAMAS_PROBE_INTERVAL": "100ms"}
        self._proxy: Program = stack.enter_context(started(f"exec {at_home(command, first | second)}", env))
        self._address, self._admin = self._proxy.until(_STARTED).groups()
        for _ in range(2):
            self._proxy.until(re.compile(" server_up "))

    def stop_the_second_server(self) -> None:
        """Have the second server end, and wait until the proxy knows."""
        self._second.close()
        self._proxy.until(re.compile(" server_down pc-2"))

    def run(self, command: str) -> str:
        """Run a command; give what it prints."""
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("localhost:11434", self._address)],
            env=ENV
            | {
                "GOLLAMAS_HOST": self._address,
                "GOLLAMAS_ADMIN": self._admin,
                "PATH": f"{_path_of_ollama()}{ENV['PATH']}",
            },
            check=False,
            capture_output=True,
            text=True,
            cwd=self._home,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _path_of_ollama() -> str:
    command = os.environ.get("GOLLAMAS_TEST_OLLAMA_CLI") or shutil.which("ollama")
    return f"{Path(command).parent}:" if command else ""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Have one who has done nothing yet."""
    with ExitStack() as stack:
        yield Reader(stack, tmp_path)


def as_shown(lines: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether this was printed, where `...` stands for any lines."""
    text = "".join(r"(.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in lines)
    return re.fullmatch(text, "".join(f"{line}\n" for line in printed)) is not None


def test_the_commands_of_the_page_print_what_stands_there(reader: Reader) -> None:
    """One after another; the second server goes down where the page says that it is."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    assert len(_TOLD) == 3
    for shown in _TOLD:
        if "is down" in shown.text:
            reader.stop_the_second_server()
        (command,) = commands_of(shown)
        printed = reader.run(command).splitlines()
        assert as_shown(shown.text.splitlines()[1:], printed), (command, printed)
    (status,) = [line for line in _COMMANDS if line.startswith("gollamas ")]
    assert re.search(r"^pull +llama3\.2 +pc-2 ", reader.run(status).partition("OWED")[2], re.MULTILINE)


def test_ollamas_own_command_does_what_the_page_says(reader: Reader) -> None:
    """Each of its lines succeeds, and in the end there is what there was; `run` pulls what is not there."""
    lines = [line for line in _COMMANDS if " ollama " in line or line.startswith("printf ")]
    assert len(lines) == 5
    if not _path_of_ollama():
        pytest.skip("no `ollama` command on PATH or in GOLLAMAS_TEST_OLLAMA_CLI")
    for line in lines:
        reader.run(line)
    listed = reader.run("OLLAMA_HOST=localhost:11434 ollama list")
    assert "before" not in listed
    assert "llama3.2-8k" in listed
    assert reader.run("OLLAMA_HOST=localhost:11434 ollama run tinyllama Hello").strip()


def test_the_error_of_the_page_is_one_that_comes() -> None:
    """It is that of one server that fails while others do what is asked."""
    text = "write /root/.ollama/models/blobs/x: no space left on device"
    outcomes = [
        PartOutcome("pc-1", JobEnd.DONE),
        PartOutcome("pc-2", JobEnd.FAILED, 500, text, is_said=True),
    ]
    told = outcome_of(JobKind.PULL, outcomes).error
    assert f"`{told}`" in text_of(_PAGE)


def test_the_command_that_keeps_servers_alike_is_read() -> None:
    _, command = _STARTS
    found = sync_wishes_of(load(shlex.split(command)[1:], {}))
    assert [(one.name, len(one.servers)) for one in found] == [("llama3.2", 2)]
