"""What `/events` costs: processor time of a proxy with a large fleet, at a rate, with and without watchers.

    python -m bench.watch [--servers 200] [--models 100] [--rate 100] [--seconds 20] [--rounds 2]

The servers are this program; the proxy runs as it is started, in a process of its own, and its processor time
is read from the kernel, as it is with nobody, one and 32 watchers. It needs Linux.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import selectors
import socket
import sys
import tempfile
from pathlib import Path


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body), body,
    )  # fmt: skip


def _listing(models: int) -> bytes:
    listed = [
        {
            "name": f"m{number}:latest", "model": f"m{number}:latest", "size": 4 * 10**9 + number,
            "digest": f"{number:064x}", "modified_at": "2026-11-30T12:00:00.123456789+01:00",
        }
        for number in range(models)
    ]  # fmt: skip
    return json.dumps({"models": listed}).encode()


class Server:
    """An Ollama that has some models, of which two are loaded; a chat takes half a second."""

    def __init__(self, models: int) -> None:
        self._tags = _answer(_listing(models))
        self._version = _answer(b'{"version":"0.34.3"}')

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"ontent-" in head:
                    size = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                    await reader.readexactly(int(size or 0))
                path = head.split(b" ", 2)[1]
                if path == b"/api/chat":
                    await asyncio.sleep(0.5)
                writer.write(self._said(path))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _said(self, path: bytes) -> bytes:
        if path == b"/api/version":
            return self._version
        if path == b"/api/tags":
            return self._tags
        if path == b"/api/ps":
            return _answer(_listing(2).replace(b"modified_at", b"expires_at").replace(b"2026", b"2027"))
        return _answer(b'{"model":"m7","done":true,"prompt_eval_count":5,"eval_count":7,"eval_duration":9}')


def processor_time(pid: int) -> float:
    """Seconds of all threads of a process."""
    return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def watch(port: int, count: int) -> None:
    """Read `/events` so many times, until the proxy ends."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        selector.register(sock, selectors.EVENT_READ, sock)
    while True:
        for key, _ in selector.select():
            if not key.data.recv(1 << 20):
                sys.exit("a watcher was let go")


class Load:
    """Requests at a rate, on connections of a pool."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, rate: float, tasks: asyncio.TaskGroup) -> None:
        """Ask until cancelled."""
        for number in itertools.count():
            tasks.create_task(self._ask(b"m%d" % (number % 2)))
            await asyncio.sleep(1 / rate)

    async def _ask(self, model: bytes) -> None:
        idle = self._idle
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", self._port)
        body = b'{"model":"%b","messages":[{"role":"user","content":"Hi"}],"stream":false}' % model
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        idle.append((reader, writer))


def free_ports(count: int) -> list[int]:
    """Ports that nobody has."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


async def run(options: argparse.Namespace) -> None:
    """Measure, and print."""
    server = Server(options.models)
    listening = [await asyncio.start_server(server.serve, "127.0.0.1", 0) for _ in range(options.servers)]
    urls = [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in listening]
    listen, admin = free_ports(2)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        models = {f"m{number}": [f"s{one}" for one in range(len(urls))] for number in range(options.models)}
        config = {
            "listen": f"127.0.0.1:{listen}", "admin": f"127.0.0.1:{admin}", "level": "error",
            "servers": {f"s{number}": url for number, url in enumerate(urls)}, "models": models,
        }  # fmt: skip
        json.dump(config, file)
        file.flush()
        proxy = await asyncio.create_subprocess_exec(sys.executable, "-m", "gollamas", "--config", file.name)
        try:
            await asyncio.sleep(8)
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(Load(listen).run(options.rate, tasks))
                await asyncio.sleep(15)  # what is done once is over
                for _ in range(options.rounds):
                    await measured(proxy.pid, admin, options.seconds)
                asking.cancel()
        finally:
            proxy.terminate()
            await proxy.wait()


async def measured(pid: int, admin: int, seconds: int) -> None:
    """Measure nobody, one watcher and 32, and print a line."""
    shares = []
    for count in (0, 1, 32):
        watchers = multiprocessing.get_context("fork").Process(target=watch, args=(admin, count), daemon=True)
        if count:
            watchers.start()
        await asyncio.sleep(4)
        before = processor_time(pid)
        await asyncio.sleep(seconds)
        shares.append(100 * (processor_time(pid) - before) / seconds)
        if count:
            if not watchers.is_alive():
                raise RuntimeError("the watchers have ended")
            watchers.terminate()
            watchers.join()
            await asyncio.sleep(2)
    nobody, one, many = shares
    sys.stdout.write(
        f"of a core: {nobody:.2f} %, with a watcher {one - nobody:.2f} more, with 32 {many - nobody:.2f}\n"
    )


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, value in (("servers", 200), ("models", 100), ("rate", 100), ("seconds", 20), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
