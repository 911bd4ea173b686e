"""What this process or its machine runs out of: descriptors, ports, memory. No server is blamed for it."""

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from gollamas.errors import ResourcesExhausted, TooManyOpenFiles
from gollamas.events import End, RequestEnded, ServerWentDown
from gollamas.system import shortage
from tests.sockets.proxying import Running, a_config, a_server, running, runs
from tests.sockets.raw import RawServer, get, post
from tests.sockets.running import program

resource = pytest.importorskip("resource")  # Windows has no such limits
BODY = b'{"model":"llama3.2"}'


@contextmanager
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Take all descriptors that this process may have; a call takes those that became free since."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))

    highest = max(int(place.name) for place in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        take()
        yield take
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def simulated() -> AsyncIterator[RawServer]:
    """Run a server in a process of its own, which has descriptors where we have none."""
    words = ["simulate", "--listen=127.0.0.1:0", "--model=llama3.2", "--load-seconds=0"]
    async with program(*words, "--tokens-per-second=0") as gollamas:
        assert gollamas.process.stdout is not None
        line = (await gollamas.process.stdout.readline()).decode()
        yield RawServer(port=int(line.rsplit(":", 1)[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@runs
async def test_without_a_descriptor_a_request_is_a_503_of_ours_and_its_server_stays_up() -> None:
    async with simulated() as server, running(a_config([server], probe_interval=0.05)) as proxy:
        await proxy.events.up(server)
        client = await proxy.connect()
        assert (await client.ask(get("/"))).status == 200
        with no_descriptor_left() as take:
            await every_probe_fails(proxy, server, take)
            got = await client.ask(post("/api/chat", BODY))
        assert (got.status, got.get(b"retry-after"), got.get(b"connection")) == (503, b"1", None)
        assert "no file descriptor left" in json.loads(got.body)["error"]
        assert (await proxy.events.ended(2)).end is End.REFUSED
        assert proxy.app.view.servers[server.name].is_up
        assert not proxy.events.of(ServerWentDown)
        assert (await client.ask(post("/api/chat", BODY))).status == 200


async def every_probe_fails(proxy: Running, server: RawServer, take: Callable[[], None]) -> None:
    """Wait until three probes have come and gone, none of them on a connection."""
    look = proxy.app._prober._watches[server.name].version
    pool = proxy.app._ask.pool
    failed = 0
    while failed < 3:
        began = look.asked_at
        while look.asked_at == began:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.001)
        failed += 1
        if pool.open:  # made before: the next one has to dial
            pool.close_all_idle()
            await asyncio.sleep(0)
            take()
            failed = 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@runs
async def test_an_idle_connection_to_a_server_gives_its_descriptor_to_a_request_for_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:  # accepts nobody while there is no descriptor
        one, other = RawServer("one"), RawServer("other", port=sock.getsockname()[1])
        models = {"llama3.2": [one], "gemma3": [other]}
        async with one, running(a_config([one, other], models)) as proxy:
            client = await proxy.connect()
            assert (await client.ask(post("/api/chat", BODY))).status == 200
            (kept,) = proxy.app._pool.open
            with no_descriptor_left():
                await client.send(post("/api/chat", b'{"model":"gemma3"}'))
                while not (dialled := proxy.app._pool.open - {kept}):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0)
            assert kept.is_closed
            assert [connection.home for connection in dialled] == [proxy.app._pool.of(a_server(other))]
            assert not proxy.events.of(RequestEnded)[1:]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a network of its own")
def test_without_a_free_port_a_request_is_a_503_of_ours_and_its_server_stays_up() -> None:
    words = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.sockets.no_ports"]
    root = Path(__file__).parents[2]
    if subprocess.run([*words[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have a network of their own")
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "no free port left" in said.pop("error")
    assert said == {"status": 503, "retry_after": "1", "hits": 0, "own": 200, "up": 1, "down": 0}


SHORT = [
    (OSError(errno.EMFILE, "Too many open files"), TooManyOpenFiles),
    (OSError(errno.ENFILE, "Too many open files in system"), TooManyOpenFiles),
    (OSError(errno.ENOBUFS, "No buffer space available"), ResourcesExhausted),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), ResourcesExhausted),
    (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), ResourcesExhausted),
    (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), ResourcesExhausted),
    # What aiohappyeyeballs makes of several addresses.
    (OSError("Multiple exceptions: [Errno 111] refused, [Errno 24] Too many open files"), TooManyOpenFiles),
]


@pytest.mark.parametrize(("error", "kind"), SHORT, ids=lambda part: str(part)[:60])
@runs
async def test_errors_of_the_system_that_are_our_own(error: OSError, kind: type[ResourcesExhausted]) -> None:
    found = await shortage.behind(error, "127.0.0.1", 1)
    assert type(found) is kind


@pytest.mark.parametrize(
    ("error", "host"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "127.0.0.1"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "127.0.0.1"),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), "127.0.0.1"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "127.0.0.1"),
        (OSError("Multiple exceptions: [Errno 99] not available, [Errno 111] refused"), "127.0.0.1"),
        # Where this machine has no address to reach it from, as ::1 without IPv6, more ports would not help.
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "255.255.255.255"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "no-such-host.invalid"),
    ],
    ids=lambda part: str(part)[:60],
)
@runs
async def test_errors_of_the_system_that_are_not(error: OSError, host: str) -> None:
    assert await shortage.behind(error, host, 1) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@runs
async def test_a_resolver_without_a_descriptor_does_not_say_that_a_name_is_unknown() -> None:
    error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    with no_descriptor_left():
        assert type(await shortage.behind(error, "gpu-1", 1)) is TooManyOpenFiles
    assert await shortage.behind(error, "gpu-1", 1) is None
