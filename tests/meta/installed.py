"""Whether an installed gollamas works from its start to its end: `python tests/meta/installed.py`.

For the environment whose Python runs this; it needs nothing but gollamas there. With `--compiled` it must be
compiled. The release asks every wheel, the suite the one that it builds. Knows nothing of how it was built.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

IS_WINDOWS: Final = sys.platform == "win32"
PROGRAM: Final = Path(sysconfig.get_path("scripts")) / ("gollamas.exe" if IS_WINDOWS else "gollamas")
ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if "GOLLAMAS" not in name}
DEADLINE: Final = 30.0  # seconds for each run of the program
CHAT: Final = b'{"model": "llama3.2", "messages": [{"role": "user", "content": "Hello"}]}'
LISTENS: Final = re.compile(r"127\.0\.0\.1:\d+")


def main(words: list[str]) -> None:
    """Start it, ask it, end it; AssertionError where something is not as it should be."""
    code, said = _finished("version", "--full")
    sys.stdout.write(said)
    _expect(code == 0, said)
    _expect("--compiled" not in words or " is compiled" in said, said)
    ends = [signal.SIGTERM] if IS_WINDOWS else [signal.SIGTERM, signal.SIGINT]
    for number in ends:
        _serves_until(number)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = _finished("--listen", address, "--admin", "off", "http://127.0.0.1:9")
    _expect(code == 1, f"exit {code} where the address is taken: {said}")
    _expect(address in said, said)
    sys.stdout.write("it starts, answers, and ends as it should\n")


def _serves_until(number: signal.Signals) -> None:
    """Ask a proxy in front of a simulated server, and end both by this signal."""
    with _running("simulate", "--listen=127.0.0.1:0", "--load-seconds=0") as simulated:
        server = _address(simulated.stdout)
        words = ("--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--log-format=json", f"http://{server}")
        with _running(*words) as proxy:
            started = json.loads(_line(proxy.stderr, '"started"'))
            url, admin = f"http://{started['listen'][0]}", f"http://{started['admin']}"
            _line(proxy.stderr, '"server_up"')
            _expect(b"llama3.2" in _ask(f"{url}/api/tags"), "its list of models lacks one")
            _expect(b'"done":true' in _ask(f"{url}/api/chat", CHAT), "its stream has no end")
            _expect(b'route="/api/chat"' in _ask(f"{admin}/metrics"), "its metrics lack a request")
            _expect(b"<!doctype html>" in _ask(f"{admin}/").lower(), "its page is missing")
            _end(proxy, number)
        _end(simulated, number)


@contextmanager
def _running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program, not longer than the deadline."""
    process = subprocess.Popen(
        [PROGRAM, *words], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = threading.Timer(DEADLINE, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.communicate()


def _line(lines: IO[str] | None, mark: str) -> str:
    """Read what it says up to a line that has the mark."""
    said = []
    for line in lines or ():
        said.append(line)
        if mark in line:
            return line
    raise AssertionError(f"it ended before it said {mark}: {''.join(said)}")


def _address(lines: IO[str] | None) -> str:
    found = LISTENS.search(_line(lines, "127.0.0.1:"))
    assert found is not None
    return found[0]


def _ask(url: str, body: bytes | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy for others is not for it
    try:
        with opener.open(url, body, timeout=DEADLINE) as answer:
            read: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.code} {error.read()!r}") from error
    return read


def _end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    _, said = process.communicate()
    if not IS_WINDOWS:  # a process there has no say in its end
        _expect(process.returncode == 0, f"exit {process.returncode} after {number.name}: {said}")


def _finished(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [PROGRAM, *words],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout


def _expect(holds: object, said: str) -> None:
    if not holds:
        raise AssertionError(said)


if __name__ == "__main__":
    main(sys.argv[1:])
