"""Processes of ours: started on one core, read from the kernel's accounts, ended whatever happens.

Linux only: it reads /proc and a process's clock.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_STARTS_WITHIN: Final = 30.0  # seconds
_ENDS_WITHIN: Final = 1.0
_LATE: Final = 60.0  # seconds for which a load may outstay its time, on a machine that others use too


class Failed(Exception):
    """The bench can't go on; says why."""


def found(name: str) -> str | None:
    """Find a program on PATH or in an sbin beside it, where Debian has servers and PATH need not point."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    beside = [f"{folder.removesuffix('bin')}sbin" for folder in folders if folder.endswith("/bin")]
    return shutil.which(name, path=os.pathsep.join([*folders, *beside]))


def cores() -> tuple[int, int]:
    """Give the core of the proxies and that of all else; the same one where there is no other."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port() -> int:
    """Find a port that nobody has right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Process:
    """A program that runs on one core, in a session of its own, whose other members count as it."""

    def __init__(self, command: Sequence[str], core: int, log: Path) -> None:
        self._log = log
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # who is started inherits it, with every thread
        try:
            with log.open("wb") as out:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
                )
        except OSError as why:
            raise Failed(f"{command[0]}: {why}") from why
        finally:
            os.sched_setaffinity(0, own)

    def wait_listening(self, port: int) -> None:
        """Return when it takes connections."""
        end = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise Failed(f"{self._process.args!r} does not listen on port {port}:\n{self.said()[-2000:]}")

    def wait_ended(self, seconds: float) -> str:
        """Wait for a program that ends by itself; give what it wrote."""
        try:
            status = self._process.wait(seconds + _LATE)
        except subprocess.TimeoutExpired:
            status = -1
        if status:
            raise Failed(f"{self._process.args!r} ended with {status}:\n{self.said()[-2000:]}")
        return self.said()

    def said(self) -> str:
        """Give what it wrote so far."""
        return self._log.read_text(errors="replace")

    def processor_us(self) -> float:
        """Give the processor time that it and its children took, of all threads, also of those that ended."""
        total = 0
        for pid in self._members():
            # The clock of another process (clock_getcpuclockid(3)): exact, while /proc/PID/stat counts ticks.
            with suppress(OSError):
                total += time.clock_gettime_ns(~pid << 3 | 2)
        return total / 1000

    def memory_kib(self) -> float:
        """Give the memory that it and its children have."""
        total = 0
        for pid in self._members():
            with suppress(OSError):
                held = re.search(r"^VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
                total += int(held[1]) if held else 0
        return total

    def stop(self) -> None:
        """End it and its children: politely first."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_ENDS_WITHIN)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # Ctrl-C amid a poll() may leave its lock taken
                self._process.wait(_ENDS_WITHIN)

    def _members(self) -> Iterator[int]:
        """Find who is of its session."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == self._process.pid:
                    yield int(folder.name)


@contextmanager
def running(command: Sequence[str], core: int, log: Path) -> Iterator[Process]:
    """Have a process until the end of a block."""
    process: Process | None = None
    try:
        with _undisturbed():
            process = Process(command, core, log)
        yield process
    finally:
        if process is not None:
            process.stop()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off to the end of a block: who is half started would be ended by nobody."""
    signals: list[int] = []
    usual = {
        number: signal.signal(number, lambda number, _: signals.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if signals:
        raise KeyboardInterrupt


def compile_c(folder: Path) -> None:
    """Compile the programs of this folder into another one."""
    compiler = found("cc")
    if compiler is None:
        raise Failed("the stand-in server needs a C compiler: apt-get install gcc libc6-dev")
    for source in sorted(Path(__file__).parent.glob("*.c")):
        made = subprocess.run(
            [compiler, "-O2", "-o", folder / source.stem, source], check=False, capture_output=True, text=True
        )
        if made.returncode:
            raise Failed(f"{compiler} does not compile {source.name}:\n{made.stderr}")


def tell(text: str) -> None:
    """Say something beside the figures."""
    sys.stderr.write(f"bench: {text}\n")
