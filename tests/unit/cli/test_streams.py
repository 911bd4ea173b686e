"""Verbs whose standard streams are closed, full, or left by whoever read them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

URL = "http://127.0.0.1:9"
FREE = "--listen=127.0.0.1:0"
RESULTS = [
    ["version"],
    ["version", "--full"],
    ["help"],
    ["help", "health"],
    ["check", "--help"],
    ["check", URL],
    ["check", "--live", URL],
    ["demo", "--help"],
    ["simulate", "--help"],
    ["help", "simulate"],
    ["simulate", FREE],
    ["demo", FREE, "--admin=off", "--level=error"],
]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")


def run(redirected: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a shell does that redirects its streams."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "gollamas", *words],
        env={name: value for name, value in os.environ.items() if not name.startswith("GOLLAMAS_")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@needs_full
@pytest.mark.parametrize("words", RESULTS, ids=" ".join)
def test_a_result_that_can_t_be_written_is_exit_1_and_one_line(words: list[str]) -> None:
    """Nothing more, not even when Python writes what it still holds at its end."""
    done = run(">/dev/full", *words)
    assert done.returncode == 1
    assert done.stderr == "gollamas: standard output can't be written: No space left on device\n"


@needs_full
@pytest.mark.parametrize("errors", ["2>/dev/full", "2>&-"])
def test_where_nothing_can_be_written_the_exit_code_is_the_same(errors: str) -> None:
    """A result that is lost and a taken address are 1, a faulty command line is 2."""
    assert run(f">/dev/full {errors}", "version").returncode == 1
    for words in (["--bad"], ["check", "--bad"], ["version", "--bad"], ["demo", "--bad"], ["help", "chek"]):
        assert run(errors, *words).returncode == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"--listen=127.0.0.1:{taken.getsockname()[1]}"
        for verb in (["serve", URL], ["demo"], ["simulate"]):
            assert run(errors, *verb, listen).returncode == 1


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_a_result_is_printed_whatever_else_is_closed(closed: str) -> None:
    """What is closed has no part in it."""
    for words in (["version"], ["check", URL], ["simulate", "--help"]):
        done = run(closed, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_result_that_nobody_wants_is_none_s_fault(closed: str) -> None:
    """Standard output that was closed by whoever started us is like the null device."""
    for words in (["version"], ["check", URL], ["simulate", "--help"]):
        done = run(closed, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("words", [["--help"], ["demo", "--help"], ["check", URL], ["version", "--full"]])
def test_a_reader_that_has_seen_enough_is_no_fault(words: list[str]) -> None:
    """`gollamas … | head -1` prints the line and says nothing else."""
    program = f"{sys.executable} -m gollamas {' '.join(words)}"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{program} | head -1"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
