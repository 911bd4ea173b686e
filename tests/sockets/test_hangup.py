"""SIGHUP, with and without a terminal that closes, and standard streams that were closed before the start."""

import asyncio
import os
import pty
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.sockets.proxying import runs
from tests.sockets.raw import Message, Peer, RawServer, chunk, chunked_head, post
from tests.sockets.running import Program, flags, program, status_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

# Takes a terminal for the session that it leads, and becomes the command behind it.
TAKES_TERMINAL = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.dup2(terminal, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""
# Tells its job that it ends, then does, as zsh.
SHELL = '"$@" & job=$!; trap "kill -HUP $job; exit 0" TERM; wait; wait'
VERBS = [
    (["simulate", "--listen=127.0.0.1:0"], b"models: "),
    (["demo", "--listen=127.0.0.1:0", "--admin=off", "--level=error"], b"Ctrl-C ends all of it"),
]


class Terminal:
    """A terminal for one session; `by` starts a command in it."""

    def __init__(self) -> None:
        ours, theirs = pty.openpty()
        self._ends = [theirs, ours]
        self.by = [sys.executable, "-c", TAKES_TERMINAL, os.ttyname(theirs)]

    def close(self) -> None:
        """Close it, as a window is closed or a connection lost."""
        while self._ends:
            os.close(self._ends.pop())


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


async def goes_on(gollamas: Program) -> None:
    """It answers, and ends by SIGTERM as ever."""
    assert await status_of(await gollamas.port(), "/") == 200
    gollamas.signal()
    assert await gollamas.ended() == 0
    assert "Traceback" not in gollamas.text


@runs
async def test_sighup_without_a_terminal_is_passed_over_with_a_line() -> None:
    """As a service or a container gets it, from who wants the configuration to be read again."""
    async with RawServer() as server, program(*flags(server), by=["/usr/bin/env"]) as gollamas:
        await gollamas.port()
        gollamas.signal(signal.SIGHUP)
        await gollamas.says('"event":"warning","text":"SIGHUP changes nothing')
        await goes_on(gollamas)


@runs
async def test_sighup_is_passed_over_while_the_terminal_is_there(terminal: Terminal) -> None:
    async with RawServer() as server, program(*flags(server), by=terminal.by) as gollamas:
        await gollamas.port()
        gollamas.signal(signal.SIGHUP)
        await gollamas.says("SIGHUP changes nothing")
        await goes_on(gollamas)


@runs
async def test_a_terminal_that_closes_ends_it_like_sigterm(terminal: Terminal) -> None:
    """Streams finish, nothing new is taken; a shell's own SIGHUP beside the kernel's is no second signal."""
    goes_on = asyncio.Event()

    async def streams(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b'{"response":"a"}\n'))
        await goes_on.wait()
        await peer.send(chunk(b'{"response":"b","done":true}\n') + chunk(b""))

    async with (
        RawServer(handler=streams) as server,
        program(*flags(server), by=terminal.by) as gollamas,
    ):
        client = await gollamas.connect()
        await client.send(post("/api/generate", b'{"model":"llama3.2"}'))
        await client.reader.readuntil(b"}\n\r\n")
        admin = await gollamas.port("admin")
        terminal.close()
        await gollamas.says("draining")
        gollamas.signal(signal.SIGHUP)
        assert await status_of(admin, "/readyz") == 503
        goes_on.set()
        assert (await client.gone()).endswith(b'"done":true}\n\r\n0\r\n\r\n')
        assert await gollamas.ended() == 0
        assert "SIGHUP" not in gollamas.text


@runs
async def test_under_nohup_it_outlives_its_terminal(terminal: Terminal) -> None:
    async with RawServer() as server, program(*flags(server), by=[*terminal.by, "nohup"]) as gollamas:
        await gollamas.port()
        terminal.close()
        await gollamas.says("SIGHUP changes nothing")
        await goes_on(gollamas)


@runs
async def test_a_shell_that_sends_sighup_before_its_terminal_is_gone_ends_it_too(terminal: Terminal) -> None:
    """The end comes when the terminal has gone, a moment later."""
    by = [*terminal.by, "/bin/sh", "-c", SHELL, "sh"]
    async with RawServer() as server, program(*flags(server), by=by) as shell:
        assert await status_of(await shell.port(), "/") == 200
        shell.signal()
        await shell.says('"stopped"')
        assert await shell.ended() == 0


@pytest.mark.parametrize(("words", "mark"), VERBS, ids=["simulate", "demo"])
@runs
async def test_the_other_verbs_that_serve_hear_sighup_alike(
    words: list[str], mark: bytes, terminal: Terminal
) -> None:
    async with program(*words, by=terminal.by) as gollamas:
        assert gollamas.process.stdout is not None
        await gollamas.process.stdout.readuntil(mark)
        gollamas.signal(signal.SIGHUP)
        await gollamas.says(f"gollamas {words[0]}: SIGHUP changes nothing")
        terminal.close()
        assert await gollamas.ended() == 0
        assert "Traceback" not in gollamas.text


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@runs
async def test_a_stream_that_was_closed_before_the_start_is_the_null_device(closed: str) -> None:
    """No connection gets its number, so no line of ours goes to a client; all else is as ever."""
    probed = asyncio.Event()

    def on_probe(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        probed.set()

    server = await asyncio.start_server(on_probe, "127.0.0.1", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    words = [f"--listen=127.0.0.1:{port}", "--admin=off", url]
    async with server, program(*words, by=["/bin/sh", "-c", f'exec "$@" {closed}', "sh"]) as gollamas:
        await probed.wait()
        if sys.platform == "linux":
            for descriptor, sign in enumerate(("<&-", ">&-", "2>&-")):
                leads_to = os.readlink(f"/proc/{gollamas.process.pid}/fd/{descriptor}")  # noqa: PTH115
                assert leads_to == os.devnull or sign not in closed.split()
        assert await status_of(port, "/") == 200
        gollamas.signal()
        assert await gollamas.ended() == 0
        assert "Traceback" not in gollamas.text
