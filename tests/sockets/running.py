"""The running program for the tests of its start and its end: what it says, signals, its exit code.

Knows how to run `python -m gollamas` and read its log; nothing of what it should say.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.sockets.raw import Client, RawServer, get


class Program:
    """`python -m gollamas`, and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        """Open a client's connection, closed with the program."""
        client = await Client.connect(await self.port())
        self.clients.append(client)
        return client

    async def says(self, pattern: str) -> re.Match[str]:
        """Read its log until a pattern is there."""
        assert self.process.stderr is not None
        while (match := re.search(pattern, self.text)) is None:
            line = await self.process.stderr.readline()
            assert line, f"it ended before it said {pattern!r}: {self.text}"
            self.text += line.decode()
        return match

    async def port(self, which: str = "listen") -> int:
        """The port that it bound, out of the line of its start."""
        match = await self.says(rf'"{which}": ?(?:\["?)?"?[^"\]]*?:(\d+)"')
        return int(match[1])

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; give its exit code."""
        _, rest = await self.process.communicate()
        self.text += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


def after(command: str) -> tuple[str, ...]:
    """Give the words of a shell that runs a command, then becomes the program."""
    return "sh", "-c", f'{command}; exec "$@"', "sh"


@asynccontextmanager
async def program(*words: str, by: Sequence[str] = ()) -> AsyncIterator[Program]:
    """Run the program with these flags; by a command of its own session, if one is given."""
    process = await asyncio.create_subprocess_exec(
        *by,
        sys.executable,
        "-m",
        "gollamas",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if "GOLLAMAS" not in name},
        start_new_session=bool(by),
    )
    running = Program(process)
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.transport.abort()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


def flags(server: RawServer, *more: str) -> list[str]:
    return [
        "--listen=127.0.0.1:0",
        "--admin=127.0.0.1:0",
        "--log-format=json",
        f"--proxy=llama3.2=http://127.0.0.1:{server.port}",
        *more,
    ]


async def status_of(port: int, path: str) -> int:
    client = await Client.connect(port)
    try:
        return (await client.ask(get(path))).status
    finally:
        client.close()
