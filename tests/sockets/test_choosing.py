"""Which server of several gets a request: what it has loaded, what it is doing, where it stands."""

import asyncio

from tests.sockets.proxying import in_front_of, opened, runs
from tests.sockets.raw import Handler, Message, Peer, RawServer, answer, get, post

BODY = b'{"model":"llama3.2"}'
LOADED = b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":1,"digest":"%b"}]}' % (
    b"d" * 64
)


@runs
async def test_a_server_that_has_the_model_loaded_is_preferred() -> None:
    async with (
        RawServer("one") as one,
        RawServer("two", tags=LOADED, ps=LOADED) as two,
        in_front_of(one, two) as proxy,
    ):
        await proxy.ask(get("/api/ps"))
        got = await proxy.ask(post("/api/chat", BODY))
        assert got.get(b"x-gollamas-server") == b"two"
        assert (await proxy.events.ended(2)).why == "model loaded"


@runs
async def test_a_third_request_goes_to_an_idle_server_though_another_has_the_model_loaded() -> None:
    came: asyncio.Queue[str] = asyncio.Queue()

    def hang(name: str) -> Handler:
        async def handler(_: Message, peer: Peer) -> None:
            came.put_nowait(name)
            await peer.gone()

        return handler

    async def load(_: Message, peer: Peer) -> None:
        servers[0].ps = LOADED
        await peer.send(answer())

    servers = [
        RawServer("one", hang("one"), tags=LOADED, loader=load),
        RawServer("two", hang("two"), tags=LOADED, ps=LOADED),
    ]
    async with opened(*servers), in_front_of(*servers) as proxy:
        await proxy.ask(get("/api/ps"))
        went = []
        for _ in range(6):
            client = await proxy.connect()
            await client.send(post("/api/chat", BODY))
            went.append(await came.get())
        assert went == ["two", "two", "one", "one", "one", "two"]  # which has loaded it by then
        proxy.clients[-1].close()
        event = await proxy.events.ended(2)
        assert (event.server, event.why) == ("two", "fewest in flight")


@runs
async def test_the_server_with_the_fewest_requests_in_flight_is_next_then_the_first_configured() -> None:
    came: asyncio.Queue[None] = asyncio.Queue()

    async def hang(_: Message, peer: Peer) -> None:
        came.put_nowait(None)
        await peer.gone()

    servers = [RawServer(name, hang) for name in ("one", "two", "three")]
    async with opened(*servers), in_front_of(*servers) as proxy:
        for _ in range(7):
            client = await proxy.connect()
            await client.send(post("/api/chat", BODY))
            await came.get()
        assert [server.hits for server in servers] == [3, 2, 2]


@runs
async def test_a_server_that_lacks_the_model_is_asked_last() -> None:
    has = LOADED
    other = LOADED.replace(b"llama3.2", b"other-model")
    async with (
        RawServer("one", tags=other) as one,
        RawServer("two", tags=has) as two,
        in_front_of(one, two) as proxy,
    ):
        await proxy.ask(get("/api/tags"))
        assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") == b"two"
        await two.shut()
        assert (await proxy.ask(post("/api/chat", BODY))).get(b"x-gollamas-server") == b"one"
