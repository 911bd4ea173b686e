"""The official `ollama` command, run as from a shell: with pipes, or at a terminal, where it draws."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import suppress
from typing import Final, NamedTuple

from tests.clients.programs import PATIENCE, clean_environment

_ROWS, _COLUMNS = 50, 120
_PIECE: Final = 65_536
_BAR: Final = re.compile(r"(pulling|pushing) ([0-9a-f]{12})[.:]* +(\d+)% ")


class Drawn(NamedTuple):
    """What a command did at a terminal."""

    exit_code: int
    screen: str  # all that was written to it, control sequences too


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

    def drawn(self, *words: str) -> Drawn:
        """Run it at a terminal and give what it drew."""
        ours, its = pty.openpty()
        try:
            fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
            command = subprocess.Popen(
                [self._command, *words], env={**self._env, "TERM": "xterm"}, stdin=its, stdout=its, stderr=its
            )
            os.close(its)
            screen = b""
            with suppress(OSError):  # the end of whoever had the terminal open
                while piece := os.read(ours, _PIECE):
                    screen += piece
            return Drawn(command.wait(PATIENCE), screen.decode())
        finally:
            os.close(ours)


def bars(screen: str) -> dict[str, list[int]]:
    """Give the percentages of each bar as they were drawn, and hold that it only grows."""
    found: dict[str, list[int]] = {}
    for _, digest, percent in _BAR.findall(screen):
        found.setdefault(digest, []).append(int(percent))
    for drawn in found.values():
        assert drawn == sorted(drawn)
        assert drawn[-1] <= 100
    return found


def failed(shell: Shell, *words: str) -> str:
    """Run it, hold that it fails, and give its error."""
    done = shell.run(*words)
    assert done.returncode == 1, done
    error = done.stderr.strip().splitlines()[-1]
    found = re.search(r"Error: .*", error)
    assert found, done.stderr
    return found[0]
