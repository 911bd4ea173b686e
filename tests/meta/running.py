"""Commands that run until they are told to stop, for the tests of what pages and files say.

Knows how to start, read and stop one; nothing of what it should say.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pytest

from tests.meta.documents import ROOT

LISTENING: Final = re.compile(r"started listening on ([0-9.]+:\d+);")  # the proxy's first line


class Program:
    """A command that runs until it is told to stop, in a session of its own as in a terminal."""

    def __init__(self, command: str, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Read what it says up to a line that fits."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if found := pattern.search(line):
                return found
        pytest.fail(f"ended without {pattern.pattern}:\n{''.join(self.said)}")

    def interrupt(self) -> str:
        """Press Ctrl-C; give the rest of what it says."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._rest()

    def close(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._rest()

    def _rest(self) -> str:
        assert self._process.stdout is not None
        rest = "" if self._process.stdout.closed else self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait()
        return rest


@contextmanager
def started(command: str, env: Mapping[str, str]) -> Iterator[Program]:
    """Run a command for as long as the block lasts."""
    program = Program(command, env)
    try:
        yield program
    finally:
        program.close()
