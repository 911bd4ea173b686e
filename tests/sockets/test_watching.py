"""Who watches a pull: clients that share one, one that reads nothing, and the end of the process."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from gollamas.config.model import Expose, Manage
from gollamas.events import End, JobEnd, JobEnded
from gollamas.responder import Stream
from tests.sockets.jobs import (
    AWAY,
    DELETE,
    MANIFEST,
    NEW,
    SUCCESS,
    a_line,
    begun,
    delete,
    ends,
    has,
    held,
    last_line,
    lines,
    pull,
    refusal,
    release,
    servers,
    until_ended,
)
from tests.sockets.proxying import Running, in_front_of, runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, chunk, chunked_head, get
from tests.sockets.running import flags, program
from tests.sockets.simulated import CHAT
from tests.sockets.test_backpressure import send_little

TO_A, TO_B = b"X-Gollamas-Server: a", b"X-Gollamas-Server: b"
LAYERS: Final = 900  # so that one line of each is more than may be held
STEPS: Final = 20
SIZE: Final = STEPS * 1000
HELD: Final = 64 * 1024


def watchers(proxy: Running) -> list[int]:
    """Say how many watch each job, in order."""
    return [one.watchers for one in proxy.app._duties.jobs.under_way()]


# -- shared --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [TO_A, TO_B, b"X-Other: 1"])
@runs
async def test_who_asks_for_no_more_servers_joins_a_pull_that_goes_on(field: bytes) -> None:
    async with servers("a", "b") as both:
        first = await held(both, after=5)
        second = await both.proxy.connect()
        await second.send(pull(NEW, field))
        assert (await begun(second))["digest"].startswith("sha256:")  # its last line, not its first
        assert watchers(both.proxy) == [2]
        release(both)
        await begun(first)
        assert await last_line(first) == await last_line(second) == SUCCESS
        assert [len(one.pulls) for one in both.ollamas.values()] == [1, 1]
        assert len(both.proxy.events.of(JobEnded)) == 2


@runs
async def test_who_asks_for_more_servers_has_them_pull_behind_it() -> None:
    async with servers("a", "b") as both:
        first = await held(both, NEW, TO_A, on=["a"])
        second = await both.proxy.connect()
        await second.send(pull())
        assert await begun(second) == MANIFEST
        assert watchers(both.proxy) == [1, 1]
        assert both.ollamas["b"].pulls == []
        release(both)
        assert await last_line(second) == SUCCESS
        await begun(first)
        assert await last_line(first) == SUCCESS
        assert [len(one.pulls) for one in both.ollamas.values()] == [2, 1]


@runs
async def test_who_asks_otherwise_does_not_share() -> None:
    async with servers("a") as both:
        await held(both)
        for name, members in ((NEW, {"insecure": True}), ("llama3.2:1b", {}), ("mistral", {})):
            client = await both.proxy.connect()
            await client.send(pull(name, **members))
            await begun(client)
        assert watchers(both.proxy) == [1, 1, 1, 1]


@runs
async def test_one_that_streams_and_one_that_does_not_share() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        first = await held(both, on=["a"])
        second = await both.proxy.connect()
        await second.send(pull(NEW, stream=False))
        await both.until(lambda: watchers(both.proxy) == [2])
        first.close()
        await both.until(lambda: watchers(both.proxy) == [1])
        release(both)
        got = await second.answer()
        assert (got.status, got.body) == (200, b'{"status":"success"}')
        assert (
            got.get(b"warning") == b'199 gollamas "b is down: the model will be pulled there when it is back"'
        )


@runs
async def test_both_hear_of_a_failure_and_the_next_pull_begins_anew() -> None:
    async with servers("a", "b") as both:
        first = await held(both)
        second = await both.proxy.connect()
        await second.send(pull())
        await begun(second)
        first.close()
        await both.until(lambda: watchers(both.proxy) == [1])
        second.reset()  # nobody is left
        third = await both.proxy.connect()
        await until_ended(both, 2)
        await third.send(pull())
        await begun(third)
        assert await last_line(third) == SUCCESS
        assert [one.end for one in both.proxy.events.of(JobEnded)] == [JobEnd.STOPPED] * 2 + [JobEnd.DONE] * 2


# -- deaf ----------------------------------------------------------------------------------------------


class Flood:
    """A server that pulls very many layers in many steps, and ends when it is told to."""

    def __init__(self) -> None:
        self.has_said_all = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def __call__(self, request: Message, peer: Peer) -> None:
        if request.path != b"/api/pull":
            await peer.send(answer(b"{}"))
            return
        await peer.send(chunked_head())
        for step in range(1, STEPS + 1):
            said = b"".join(
                b'{"status":"pulling %012d","digest":"sha256:%064d","total":%d,"completed":%d}\n'
                % (layer, layer, SIZE, SIZE * step // STEPS)
                for layer in range(LAYERS)
            )
            await peer.send(chunk(said))
            if step == STEPS // 2:
                await self.may_go_on.wait()
        self.has_said_all.set()
        await self.may_end.wait()
        await peer.send(chunk(b'{"status":"writing manifest"}\n{"status":"success"}\n') + chunk(b""))


@asynccontextmanager
async def deaf(proxy: Running, data: bytes) -> AsyncIterator[Client]:
    """Send a request and read nothing of its answer, so far."""
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", proxy.port))
        client = Client(*await asyncio.open_connection(sock=sock))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(data)
        yield client
        client.writer.transport.abort()


def port_of(client: Client) -> int:
    """Give a client's own port."""
    port: int = client.writer.get_extra_info("sockname")[1]
    return port


def kept_for(proxy: Running, port: int) -> tuple[int, bool]:
    """Say how many bytes are held for the client at this port, and whether it is known not to read."""
    assert proxy.app._listener is not None
    live = proxy.app._listener.clients.live
    (client,) = (one for one in live if one._transport.get_extra_info("peername")[1] == port)
    if not isinstance(client.source, Stream):
        return 0, False  # its answer has yet to begin
    pieces: Any = client.source._pieces
    return client._transport.get_write_buffer_size() + len(pieces._piece), client.is_paused


@runs
async def test_a_client_that_does_not_read_holds_up_nobody_and_little_is_held_for_it() -> None:
    flood = Flood()
    async with (
        RawServer(loader=flood) as server,
        in_front_of(server, manage=Manage.ALL, expose=Expose.INSTALLED) as proxy,
    ):
        send_little(proxy)
        async with deaf(proxy, pull()) as client:
            await until(lambda: watchers(proxy) == [1])
            other = await proxy.connect()
            other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            await other.send(pull())
            reading = asyncio.ensure_future(other.answer())
            await until(lambda: kept_for(proxy, port_of(client))[1])
            flood.may_go_on.set()
            await flood.has_said_all.wait()
            assert 0 < kept_for(proxy, port_of(client))[0] <= HELD
            assert kept_for(proxy, port_of(client))[1]
            assert (await proxy.ask(get("/api/version"))).status == 200
            flood.may_end.set()
            found = lines(await reading)
            assert found[-1] == SUCCESS
            assert sum(len(json.dumps(line)) for line in found) > 1.5 * HELD
            await proxy.events.until(lambda: bool(proxy.events.of(JobEnded)))
            assert 0 < kept_for(proxy, port_of(client))[0] <= HELD
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            late = lines(await client.answer())
            assert late[0] == MANIFEST
            assert late[-1] == SUCCESS
            assert len(late) < LAYERS * STEPS / 4  # it gets fewer lines
            completed: dict[str, list[int]] = {}
            for line in late:
                if "digest" in line:
                    completed.setdefault(line["digest"], []).append(line["completed"])
            assert len(completed) == LAYERS
            assert all(one == sorted(one) and one[-1] == SIZE for one in completed.values())


@runs
async def test_a_client_that_does_not_read_and_leaves_stops_its_pull() -> None:
    flood = Flood()
    async with (
        RawServer(loader=flood) as server,
        in_front_of(server, manage=Manage.ALL, expose=Expose.INSTALLED) as proxy,
    ):
        send_little(proxy)
        async with deaf(proxy, pull()) as client:
            await until(lambda: watchers(proxy) == [1] and kept_for(proxy, port_of(client))[1])
        await proxy.events.until(lambda: bool(proxy.events.of(JobEnded)))
        assert [one.end for one in proxy.events.of(JobEnded)] == [JobEnd.STOPPED]
        assert (await proxy.events.ended()).end is End.CLIENT_LEFT


@runs
async def test_one_that_does_not_read_for_too_long_is_cut_and_its_pull_stops() -> None:
    flood = Flood()
    async with (
        RawServer(loader=flood) as server,
        in_front_of(server, manage=Manage.ALL, expose=Expose.INSTALLED, write_timeout=0.2) as proxy,
    ):
        send_little(proxy)
        async with deaf(proxy, pull()):
            await proxy.events.until(lambda: bool(proxy.events.of(JobEnded)))
            assert [one.end for one in proxy.events.of(JobEnded)] == [JobEnd.STOPPED]
            assert (await proxy.events.ended()).end is End.TIMED_OUT


@runs
async def test_a_client_of_http_1_0_gets_the_same_lines() -> None:
    async with servers("a") as both:
        got = await both.proxy.ask(pull().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert (got.get(b"transfer-encoding"), got.get(b"content-length")) == (None, None)
        found = lines(got)
        assert (found[0], found[-1]) == (MANIFEST, SUCCESS)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that no event tells."""
    while not holds():  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.001)


# -- the end of the process ----------------------------------------------------------------------------


@runs
async def test_all_who_wait_are_told_when_the_process_ends() -> None:
    async with servers("a", "b") as both:
        streaming = await held(both)
        whole, deleting = await both.proxy.connect(), await both.proxy.connect()
        await whole.send(pull(NEW, stream=False))
        await deleting.send(delete(NEW))
        await both.until(lambda: watchers(both.proxy) == [2, 1])
        await begun(streaming)
        await both.proxy.app.stop(grace=0)
        for client in (whole, deleting):
            raw = await client.gone()
            assert raw == b"" or (b" 503 " in raw and b"shutting down" in raw)
        rest = await streaming.gone()
        assert SUCCESS["status"].encode() not in rest
        assert watchers(both.proxy) == []
        assert set(ends(both).values()) == {JobEnd.STOPPED}
        assert len(both.proxy.events.of(JobEnded)) == 4
        assert not any(one.asked(DELETE) for one in both.ollamas.values())
        await both.until(lambda: not any(pull.is_held for one in both.ollamas.values() for pull in one.pulls))


@runs
async def test_a_pull_that_ends_within_the_grace_period_is_told_to_its_end() -> None:
    async with servers("a", "b") as both:
        client = await held(both)
        stopping = asyncio.ensure_future(both.proxy.app.stop(grace=10))
        assert await begun(client) == MANIFEST
        release(both)
        assert await last_line(client) == SUCCESS
        assert await stopping == 0
        assert all(has(one, NEW) for one in both.ollamas.values())


@runs
async def test_a_signal_ends_a_pull_and_the_program_goes() -> None:
    flood = Flood()
    async with RawServer(loader=flood) as server, program(*flags(server, "--grace=50ms")) as gollamas:
        client = await gollamas.connect()
        await client.send(pull())
        assert await begun(client) == MANIFEST
        await a_line(client)
        gollamas.signal()
        rest = await client.gone()
        assert b'{"error":"' in rest.splitlines()[-3] or not rest.endswith(b"0\r\n\r\n")
        assert await gollamas.ended() == 0
        assert "Traceback" not in gollamas.text
        assert '"event":"job"' in gollamas.text.replace(" ", "")


# -- others --------------------------------------------------------------------------------------------


@runs
async def test_a_job_that_is_refused_leaves_nobody_watching() -> None:
    async with servers("a", "b") as both:
        both.proxy.app._duties.jobs.patience = 0.0
        await held(both, CHAT)
        assert refusal(await both.proxy.ask(delete()))[0] == 503
        await both.until(lambda: watchers(both.proxy) == [1])
