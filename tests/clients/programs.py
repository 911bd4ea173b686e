"""The program as its own process in front of simulated servers, for the tests with real clients.

Owns starting, reading and ending it; knows no client. The simulated servers run in a thread of the test's
process, so that a test sees what reached them.
"""

import asyncio
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from gollamas.app import loop_factory
from gollamas.simulate.faults import Fault
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import Served, serving

PATIENCE: Final = 20.0  # seconds; what takes longer hangs
PLAIN: Final = ("-m", "gollamas")
EAGER: Final = ("-P", str(Path(__file__).with_name("eager.py")))
LISTENING: Final = re.compile(r"started listening on (\S+:\d+);")
_ASIDE: Final = (
    "GOLLAMAS_",
    "LISTEN",
    "LEVEL",
    "PROXIES",
    "CONNECTIONS",
    "ALIASES",
    "LIST_ALIASES",
    "OLLAMA_",
)


def clean_environment(**more: str) -> dict[str, str]:
    """Give this environment without what would configure a program of ours or of Ollama's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_ASIDE)}
    return kept | more


def ollama_command() -> str:
    """Where the official client is; skips the test where there is none."""
    found = os.environ.get("GOLLAMAS_TEST_OLLAMA_CLI") or shutil.which("ollama")
    if not found:
        pytest.skip("no `ollama` command on PATH or in GOLLAMAS_TEST_OLLAMA_CLI")
    return found


class Program:
    """`python -m gollamas` with some words, or another script that runs it, read line by line."""

    def __init__(self, *words: str, by: Sequence[str] = PLAIN) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *by, *words],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.said = ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for a line that fits and give the match; fails where it ends or hangs before."""
        while line := self._lines.get(timeout=PATIENCE):
            self.said += line
            if found := pattern.search(line):
                return found
        pytest.fail(f"it ended without {pattern.pattern!r}:\n{self.said}")

    def ended(self, by: signal.Signals | None = None) -> int:
        """Send a signal if one is given, wait for the end and give the exit code."""
        if by is not None:
            self._process.send_signal(by)
        code = self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        while not self._lines.empty():
            self.said += self._lines.get()
        return code

    def close(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def started(*words: str, by: Sequence[str] = PLAIN) -> Iterator[Program]:
    """Run the program for as long as the block lasts."""
    program = Program(*words, by=by)
    try:
        yield program
    finally:
        program.close()


@dataclass(slots=True)
class Proxied:
    """A running proxy as a client sees it."""

    address: str
    program: Program

    @property
    def url(self) -> str:
        """The address for a client of Ollama's."""
        return f"http://{self.address}"


@contextmanager
def proxy(*words: str, by: Sequence[str] = PLAIN) -> Iterator[Proxied]:
    """Run the proxy on a free port, without its second one, until the block ends."""
    with started("--listen", "127.0.0.1:0", "--admin", "off", *words, by=by) as program:
        yield Proxied(program.until(LISTENING)[1], program)


class SimulatedFleet:
    """Simulated servers in a thread of their own."""

    def __init__(self, servers: Mapping[str, SimulatedOllama]) -> None:
        self._loop = (loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._run)
        self._is_ready = threading.Event()
        self._end = asyncio.Event()
        self._places: dict[str, Served] = {}
        self._sockets = {name: AsyncExitStack() for name in servers}
        self.servers = servers

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            for name, server in self.servers.items():
                await stack.enter_async_context(self._sockets[name])
                self._places[name] = await self._sockets[name].enter_async_context(serving(server))
            self._is_ready.set()
            await self._end.wait()

    @property
    def urls(self) -> dict[str, str]:
        """Where each server is."""
        return {name: place.url for name, place in self._places.items()}

    def fail_next(self, server: str, fault: Fault, *, path: str | None = None) -> None:
        """Let a server misbehave once."""
        self.tell(server, lambda simulated: simulated.fail_next(fault, path=path))

    def tell(self, server: str, order: Callable[[SimulatedOllama], object]) -> None:
        """Have something done to a server, in its own thread."""

        async def obey() -> None:
            order(self.servers[server])

        self._do(obey())

    def take_down(self, server: str) -> None:
        """Have a server refuse connections and end those that it has; its models stay."""
        self._do(self._sockets[server].aclose())

    def bring_back(self, server: str) -> None:
        """Have a server listen again, on the port that it had."""
        place = serving(self.servers[server], self._places[server].address)
        self._do(self._sockets[server].enter_async_context(place))

    def until(self, server: str, holds: Callable[[SimulatedOllama], bool]) -> None:
        """Wait until something holds of a server."""
        simulated = self.servers[server]
        self._do(simulated.until(lambda: holds(simulated)))

    def _do(self, order: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(order, self._loop).result(PATIENCE)

    def flags(self) -> list[str]:
        """Give the words that configure a proxy: these servers, and each model with all that have it."""
        words = [word for name, url in self.urls.items() for word in ("--connection", f"{name}={url}")]
        for name, server in self.servers.items():
            words += [word for model in server.settings.models for word in ("--proxy", f"{model}={name}")]
        return words
