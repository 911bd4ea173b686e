"""The verbs that ask a running proxy, run as a user runs them: in a pipe, and on a terminal."""

import asyncio
import os
import pty
import sys
from collections.abc import Mapping
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
