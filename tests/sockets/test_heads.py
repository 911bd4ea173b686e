"""How large a request's head may be, and how much all that are not whole may hold."""

import asyncio

import pytest

from gollamas.config.model import Address
from gollamas.errors import ProxyError
from gollamas.net import listener
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Listener
from gollamas.responder import Responder
from gollamas.system.listening import bind
from gollamas.system.supervisor import Supervisor
from gollamas.wire.message import Answer, Request
from tests.sockets.proxying import a_config, one_server, runs
from tests.sockets.raw import Client, answer, get, post, says

BODY = b'{"model":"llama3.2"}'
KIB = 1024


def sized(size: int) -> bytes:
    """Make a request whose head has exactly so many bytes."""
    plain = post("/api/chat", BODY, b"Cookie: ")
    return post("/api/chat", BODY, b"Cookie: " + b"a" * (size - len(plain) + len(BODY)))


def of_fields(count: int) -> bytes:
    """Make a request whose head has exactly so many fields."""
    return post("/api/chat", BODY, *(b"X-%d: 1" % number for number in range(count - 2)))


@pytest.mark.parametrize("drips", [False, True])
@pytest.mark.parametrize(
    ("options", "size", "status"),
    [
        ({}, 64 * KIB, 200), ({}, 64 * KIB + 1, 431),
        ({"max_head": 1024 * KIB}, 1024 * KIB, 200), ({"max_head": 1024 * KIB}, 1024 * KIB + 1, 431),
        ({"max_head": KIB}, KIB, 200), ({"max_head": KIB}, KIB + 1, 431),
    ],
)  # fmt: skip
@runs
async def test_a_head_of_max_head_bytes_passes_and_one_byte_more_does_not(
    options: dict[str, int], size: int, status: int, drips: bool
) -> None:
    async with one_server(**options) as (server, proxy):
        server.handler = says(answer())
        client = await proxy.connect()
        data = sized(size)
        cut = size - 3000 if size > 3000 else 100
        await (client.drip([data[:cut], data[cut:]]) if drips else client.send(data))
        got = await client.answer()
        assert got.status == status
        if status == 200:
            assert server.requests[0].get(b"cookie")
        else:
            assert b"max_head" in got.body


@pytest.mark.parametrize(
    ("options", "count", "status"),
    [
        ({}, 200, 200), ({}, 201, 431), ({"max_fields": 1000}, 1000, 200), ({"max_fields": 1000}, 1001, 431),
    ],
)  # fmt: skip
@runs
async def test_a_head_of_max_fields_passes_and_one_field_more_does_not(
    options: dict[str, int], count: int, status: int
) -> None:
    async with one_server(**options) as (_, proxy):
        got = await proxy.ask(of_fields(count))
        assert got.status == status
        assert status == 200 or b"max_fields" in got.body


@runs
async def test_where_heads_that_are_not_whole_hold_too_much_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_HEAD_BYTES_HELD", 100 * KIB)
    async with one_server() as (_, proxy):
        part = get("/")[:-2] + b"X: " + b"a" * (40 * KIB)
        clients: list[Client] = []
        for number in range(3):
            clients.append(await proxy.connect())
            await clients[-1].send(part)
            if number < 2:
                assert (await proxy.ask(get("/"))).status == 200
        first = clients[0]
        got = await first.answer()
        assert (got.status, got.get(b"connection")) == (408, b"close")
        first.close()
        for client in clients[1:]:
            assert (await client.ask(b"\r\n\r\n")).status == 200
        # What has come to its end, or left, holds nothing any more.
        for _ in range(5):
            client = await proxy.connect()
            await client.send(part)
            assert (await proxy.ask(get("/"))).status == 200
            client.reset()
        assert (await (await proxy.connect()).ask(get("/"))).status == 200
        group = proxy.app._listener
        assert group is not None
        while group.clients._head_bytes:
            assert (await proxy.ask(get("/"))).status == 200


class Breaks(Responder):
    """A service with a defect: it can say of no request why it is refused."""

    def __init__(self) -> None:
        super().__init__(self.nothing, lambda _: Answer(400, []), 0)

    async def nothing(self, _: Request) -> Answer:
        return Answer(200, [])

    def refuse(self, client: ClientConnection, error: ProxyError, _: tuple[str, str] | None = None) -> None:  # noqa: ARG002
        raise ValueError


@runs
async def test_a_head_whose_refusal_meets_a_defect_makes_room_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "MAX_HEAD_BYTES_HELD", 30 * KIB)
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    tasks = Supervisor(told.append)
    listens = Listener(Breaks(), a_config([]), tasks, loop.time)
    sockets = bind(Address(host="127.0.0.1", port=0))
    await listens.start(sockets)
    clients = [await Client.connect(sockets[0].getsockname()[1]) for _ in range(3)]
    first, second, other = clients
    part = get("/")[:-2] + b"X: " + b"a" * (20 * KIB)
    await first.send(part)
    assert (await other.ask(get("/"))).status == 200  # by now the part has been read
    await second.send(part)
    assert await first.is_closed()
    assert (await second.ask(b"\r\n\r\n")).status == 200
    assert [type(error) for error in told] == [ValueError]
    for client in clients:
        client.close()
    listens.stop_accepting()
    await listens.wait_closed(1)
    await tasks.close()
