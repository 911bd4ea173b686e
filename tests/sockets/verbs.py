"""The verbs that ask a running proxy, run as a user runs them: in a pipe, and on a terminal."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple


class Done(NamedTuple):
    """How a verb ended, and what it printed where it was given pipes."""

    code: int
    out: bytes
    error: str


async def run_verb(
    verb: str,
    admin_port: int,
    *more: str,
    env: Mapping[str, str] | None = None,
    stdout: int = asyncio.subprocess.PIPE,
    stderr: int = asyncio.subprocess.PIPE,
) -> Done:
    """Run a verb against the admin port of this machine."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gollamas",
        verb,
        f"--admin=127.0.0.1:{admin_port}",
        *more,
        stdout=stdout,
        stderr=stderr,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "160", **(env or {})},
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out or b"", (error or b"").decode())


async def draw_verb(
    verb: str, admin_port: int, *more: str, env: Mapping[str, str] | None = None, stderr_too: bool = False
) -> tuple[str, Done]:
    """Run a verb on a terminal; what was drawn there, and how it ended.

    With `stderr_too` also what it says beside its result goes there.
    """
    ours, theirs = pty.openpty()
    reader = asyncio.create_task(asyncio.to_thread(_drawn, ours))  # noqa: TID251 - awaited below
    try:
        stderr = theirs if stderr_too else asyncio.subprocess.PIPE
        done = await run_verb(verb, admin_port, *more, env=env, stdout=theirs, stderr=stderr)
    finally:
        os.close(theirs)
        drawn = await reader
        os.close(ours)
    return drawn.decode(), done


class OnTerminal:
    """A verb that runs on a terminal of its own, and what it has drawn so far."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self.process = process
        self.drawn = ""
        self._fd = fd

    async def until(self, pattern: str) -> None:
        """Read what it draws until a pattern is there."""
        while not re.search(pattern, self.drawn):
            assert await self._read(), f"it ended before it drew {pattern!r}: {self.drawn}"

    async def ended(self) -> int:
        """Read the rest; give its exit code."""
        while await self._read():
            pass
        return await self.process.wait()

    async def _read(self) -> bool:
        try:
            piece = await asyncio.to_thread(os.read, self._fd, 1 << 16)
        except OSError:  # as Linux says that nobody writes any more
            return False
        self.drawn += piece.decode(errors="replace")
        return bool(piece)


@asynccontextmanager
async def on_terminal(
    verb: str, *more: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[OnTerminal]:
    """Run a verb on a terminal, to which all of it goes; it may go on while others do something."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gollamas", verb, *more),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "120", **(env or {})},
        )
    finally:
        os.close(theirs)
    try:
        yield OnTerminal(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def _drawn(fd: int) -> bytes:
    found = b""
    while True:
        try:
            piece = os.read(fd, 1 << 16)
        except OSError:  # as Linux says that nobody writes any more
            return found
        if not piece:
            return found
        found += piece
