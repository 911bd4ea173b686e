"""A defect of ours met by one request ends that one: it is told of, all is given back, others go on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import pytest

from gollamas.api.gate import Gate
from gollamas.api.manage import Change
from gollamas.api.outbound import Target
from gollamas.config.model import Expose
from gollamas.errors import BadRequest, ProxyError
from gollamas.events import (
    AttemptFailed,
    Crashed,
    End,
    Event,
    ModelMissing,
    RequestEnded,
    ServerWentDown,
    ServerWentUp,
)
from gollamas.fleet.admit import Admission
from gollamas.fleet.routing import Routing
from gollamas.fleet.view import View
from gollamas.net.answering import send_answer
from gollamas.net.ask import Ask
from gollamas.net.contracts import Later
from gollamas.net.downstream import ClientConnection
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from gollamas.proxy.manage import JobAnswers, Watching
from gollamas.proxy.own import Listings, Own
from gollamas.proxy.service import Proxy
from gollamas.proxy.turn import Context, Snapshot
from gollamas.proxy.upload import Uploads
from gollamas.wire.message import Head
from gollamas.wire.response import ResponseReader
from tests.sockets.proxying import Events, a_config, a_server, opened, running, runs
from tests.sockets.raw import Handler, Message, Peer, RawServer, answer, chunk, chunked_head, get, post, says
from tests.sockets.serving import Asked, Clock, Serving, serving, tells_of_defects

BODY = b'{"model":"llama3.2"}'
INTERNAL = b'{"error":"internal error: see the log of gollamas"}'


def breaks(what: str) -> NoReturn:
    raise ZeroDivisionError(what)


# -- a client's connection -----------------------------------------------------------------------------


class Breaks:
    """A service that breaks where a request's path says, and answers any other."""

    def on_head(self, client: ClientConnection, head: Head) -> Asked:
        if head.path == b"/on_head":
            breaks("on_head")
        return Refused() if head.path == b"/refusal" else Asked(lambda _: self._serve(client, head), 1 << 20)

    def refuse(self, client: ClientConnection, error: ProxyError, asked: tuple[str, str] | None) -> None:
        del asked
        send_answer(client, error.status, [], b"")

    def _serve(self, client: ClientConnection, head: Head) -> Later | None:
        if head.path == b"/serve":
            breaks("serve")
        if head.path == b"/later":
            return self._later(client)
        if head.path == b"/check":
            client.source = Unsound()
            return None
        send_answer(client, 200, [], b"whole")
        client.request_done()
        return None

    async def _later(self, client: ClientConnection) -> None:
        try:
            await asyncio.sleep(0)
            breaks("later")
        finally:
            client.request_done()


class Refused(Asked):
    """A request that is refused, by a service that breaks over it."""

    def __init__(self) -> None:
        super().__init__(lambda _: None, 1 << 20, BadRequest("no"))

    def refuse(self, error: ProxyError) -> None:
        del error
        breaks("refusal")


class Unsound:
    """A source that breaks when its clocks are looked at."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def client_left(self) -> None: ...

    def shut_down(self) -> None: ...

    def check(self, now: float) -> None:
        breaks(f"check at {now:g}")


@pytest.mark.parametrize(
    ("path", "where", "what"),
    [
        ("/on_head", "reading a request", "on_head"),
        ("/refusal", "reading a request", "refusal"),
        ("/serve", "serving a request", "serve"),
        ("/later", "client", "later"),
    ],
)
@runs
async def test_a_defect_in_a_clients_connection_ends_it_and_no_other(
    path: str, where: str, what: str
) -> None:
    async with serving(Breaks()) as server:
        (first, _), (broken, connection), (last, _) = [await server.connect() for _ in range(3)]
        for client, asked in ((first, "/"), (broken, path), (last, "/")):
            # All in one turn of the loop; what is refused is so where its body has yet to come.
            client.writer.write(get(asked, *((b"Content-Length: 1",) if asked == "/refusal" else ())))
        assert [(await client.answer()).body for client in (first, last)] == [b"whole", b"whole"]
        assert await broken.gone() == b""
        assert await server.crashed() == [(where, what)]
        assert connection not in server.clients.live
        assert [(await client.ask(get("/"))).body for client in (first, last)] == [b"whole", b"whole"]
        assert len(server.clients.live) == 2


@runs
async def test_a_defect_in_the_look_at_one_clients_clocks_leaves_those_of_others_alone() -> None:
    clock = Clock()
    async with serving(Breaks(), clock=clock, header_timeout=10.0) as server:
        broken, connection = await server.connect()
        await broken.send(get("/check"))
        while not connection.is_busy:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        late = [await server.connect() for _ in range(8)]  # some are looked at before it, some behind it
        for client, other in late:
            await client.send(b"GET")
            while other.idle_since is not None:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
        last, _ = await server.connect()
        assert (await last.ask(get("/"))).status == 200  # all that came before has been read
        clock.now += 11
        server.clients.check(clock.now)
        assert await broken.gone() == b""
        for client, _ in late:
            assert (await client.answer()).status == 408
        assert await server.crashed() == [("looking at a client's clocks", "check at 1011")]
        connection.request_done()


# -- a server's connection -----------------------------------------------------------------------------


class Sink:
    """Notes what it is told, and breaks at one of its calls."""

    def __init__(self, breaks_at: str = "") -> None:
        self.body = b""
        self.heard: list[str] = []
        self._breaks_at = breaks_at
        self.over = asyncio.Event()

    def progress(self, reader: ResponseReader) -> None:
        self.body += reader.take()
        self._hear("progress")

    def completed(self) -> None:
        self.over.set()
        self._hear("completed")

    def broke(self, why: str) -> None:
        self.over.set()
        self._hear(f"broke: {why}")

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        if what.partition(":")[0] == self._breaks_at:
            breaks(what)


def cut_off() -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("breaks_at", "said", "where"),
    [
        ("progress", answer(), "reading an answer"),
        ("completed", answer(), "ending an answer"),
        ("broke", cut_off(), "ending an answer that broke off"),
        ("broke", b"no HTTP at all\r\n\r\n", "ending an answer that broke off"),
    ],
)
@runs
async def test_a_defect_of_who_takes_an_answer_ends_that_one_and_no_other(
    breaks_at: str, said: bytes, where: str
) -> None:
    asked: list[Peer] = []
    goes_on = asyncio.Event()

    async def together(request: Message, peer: Peer) -> None:
        asked.append(peer)
        await goes_on.wait()
        await peer.send(answer() if request.path != b"/broken" else said)
        if said == cut_off() and request.path == b"/broken":
            peer.close()

    events = Events()
    tells_of_defects(events.append)
    async with RawServer(handler=together) as server:
        pool = Pool(3.0, Round())
        sinks = [Sink(), Sink(breaks_at), Sink()]
        for sink in sinks:
            connection = await pool.of(a_server(server)).dial()
            path = b"/whole" if sink is not sinks[1] else b"/broken"
            connection.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path, b"")
            connection.expect(sink)
        while len(asked) < 3:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        goes_on.set()
        for sink in sinks:
            await sink.over.wait()
        await events.until(lambda: bool(events.of(Crashed)))
        assert [event.where for event in events.of(Crashed)] == [where]
        for sink in (sinks[0], sinks[2]):
            assert (sink.body, sink.heard[-1]) == (b'{"done":true}', "completed")
        if breaks_at == "progress":
            assert sinks[1].heard == ["progress", "broke: an internal error: see the log of gollamas"]
        kept = 3 if breaks_at == "completed" else 2
        while len(pool.open) > kept:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        assert sum(pool.of(a_server(server)).take() is not None for _ in range(3)) == kept
        pool.close()


# -- who hears of events -------------------------------------------------------------------------------


def deaf_to(*kinds: type[Event]) -> Callable[[Event], None]:
    """A log that breaks at events of these kinds."""

    def hears(event: Event) -> None:
        if isinstance(event, kinds):
            breaks(type(event).__name__)

    return hears


@pytest.mark.parametrize("kind", [RequestEnded, ServerWentUp, ModelMissing])
@runs
async def test_a_log_that_breaks_is_told_of_and_hurts_no_request(kind: type[Event]) -> None:
    async with RawServer() as server:
        config = a_config([server], probe_interval=0.05)
        async with running(config, hears=deaf_to(kind), has_defects=True) as proxy:
            await proxy.events.up(server)
            client = await proxy.connect()
            for _ in range(3):
                assert (await client.ask(post("/api/chat", BODY))).status == 200
            await proxy.events.until(lambda: bool(proxy.events.of(Crashed)))
            told = {(event.where, str(event.error)) for event in proxy.events.of(Crashed)}
            assert told == {("logging an event", kind.__name__)}
            seen = server.probes.count(b"/api/version")
            while server.probes.count(b"/api/version") < seen + 2:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            assert (await proxy.events.ended(3)).end is End.DONE
            assert server.connections == 1


@runs
async def test_a_log_that_breaks_at_all_it_is_told_hurts_nobody() -> None:
    async with RawServer() as server:
        config = a_config([server])
        async with running(config, hears=lambda _: breaks("always"), has_defects=True) as proxy:
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
            assert (await proxy.ask(get("/api/tags"))).status == 200


@runs
async def test_a_clock_that_breaks_once_is_looked_at_again() -> None:
    """The sweep over all clocks goes on behind a defect in one."""
    clock, is_broken = Clock(), [False]

    def now() -> float:
        if is_broken.pop():
            is_broken.append(False)
            breaks("clock")
        is_broken.append(False)
        return clock.now

    async with RawServer() as server:
        config = a_config([server], header_timeout=0.2)
        async with running(config, clock=now, has_defects=True) as proxy:
            await proxy.events.up(server)
            client = await proxy.connect()
            await client.send(b"GET")
            assert (await proxy.ask(get("/"))).status == 200  # the other has been read by now
            is_broken[:] = [True]
            await proxy.events.until(lambda: bool(proxy.events.of(Crashed)))
            clock.now += 0.3
            assert (await client.answer()).status == 408


# -- a request that is routed --------------------------------------------------------------------------


class Main:
    """The service of the main port, as the app makes it but for what breaks on purpose.

    Server "one" runs llama3.2, and "three" too; "two" runs what others ask for meanwhile.
    """

    def __init__(self, servers: list[RawServer], case: "Case") -> None:
        self.events = Events()
        self.clock = Clock()
        self.breaks_now = False  # at the next look at the clock
        self.round = Round()
        self.pool = Pool(3.0, self.round)
        one, two, *more = servers
        config = a_config(servers, {"llama3.2": [one, *more], "good": [two]}, **case.options)
        broken = replace(config.servers["one"], **case.server)
        config = replace(config, servers={**config.servers, "one": broken})
        self.view = View(self._telling(case.view_deaf_to))
        self.view.apply(config)
        parts: dict[str, Any] = {
            "view": self.view,
            "admission": Admission(self.view),
            "emit": self._telling(case.deaf_to),
            "clock": self._now,
            "pseudonym": b"test",
            "via": b"Via: 1.1 test\r\n",
            "look_up": breaks_later,
            "changed": lambda _: None,
            "await_list": has_said_nothing,
            "load": breaks_at_once,
            "release": lambda _: None,
            "unload": lambda *_: None,
            "make_variant": breaks_later,
            "keep": lambda *_: None,
            "reloaded": lambda _: None,
            "unix": self._now,
        }
        known = [server for server in config.servers.values() if server.id != case.unknown]
        self.proxy = Proxy(
            Context(**parts | dict(case.parts)),
            Snapshot(
                config=config,
                routing=Routing(config),
                targets={server.id: Target(server, b"") for server in known},
                connections={server.id: self.pool.of(server) for server in known},
            ),
            Gate((), is_loopback=True, port=0, hostnames=("here",), is_own=lambda _: True),
            Own(
                parts["view"],
                Listings(tags=breaks_at_once, ps=breaks_at_once, version=breaks_at_once),
                JobAnswers(parts["view"], never_begun, breaks_later),
                Uploads(parts["view"], Ask(1.0, "nobody"), has_said_nothing),
            ),
        )

    def _telling(self, deaf: tuple[type[Event], ...]) -> Callable[[Event], None]:
        def tell(event: Event) -> None:
            self.events.append(event)
            if isinstance(event, deaf) and getattr(event, "server", None) == "one":
                breaks(type(event).__name__)

        return tell

    def _now(self) -> float:
        if self.breaks_now:
            self.breaks_now = False
            breaks("clock")
        return self.clock.now


def breaks_for_one(server_id: str) -> None:
    if server_id == "one":
        breaks("changed")


async def breaks_later(_: str) -> bool:
    await asyncio.sleep(0)
    breaks("look_up")


async def has_said_nothing(_: str) -> None:
    """Wait for no list."""


async def never_begun(_: Change) -> Watching:
    raise AssertionError("no job is asked for")


async def breaks_at_once() -> None:
    breaks("listing")


def only_answers(_: Main) -> Handler:
    return says(answer())


def closes_unanswered(main: Main) -> Handler:
    async def handler(_: Message, peer: Peer) -> None:
        main.breaks_now = True
        peer.close()

    return handler


@dataclass(frozen=True, kw_only=True)
class Case:
    """What breaks where a client asks for something, what it gets, and what is told."""

    ask: bytes = post("/api/chat", BODY)
    gets: int | None = 500  # None: the connection ends before a whole answer
    told: tuple[str, str]
    handler: Callable[[Main], Handler] = only_answers  # of server "one"
    options: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)  # what is configured of "one"
    parts: Mapping[str, Any] = field(default_factory=dict)  # of the Context
    unknown: str = ""  # a server that no request can be made for
    deaf_to: tuple[type[Event], ...] = ()
    view_deaf_to: tuple[type[Event], ...] = ()
    is_kept: bool = False  # the connection to "one"


@asynccontextmanager
async def main_port(case: Case) -> AsyncIterator[tuple[list[RawServer], Main, Serving]]:
    """Serve clients by a Main, and look that all was given back whatever broke."""
    servers = [RawServer(name) for name in ("one", "two", "three")]
    async with opened(*servers):
        main = Main(servers, case)
        servers[0].handler = case.handler(main)
        if case.is_kept:
            connection = await main.pool.of(a_server(servers[0])).dial()
            connection.home.give(connection)
        async with serving(main.proxy, round_=main.round, clock=main.clock) as port:
            yield servers, main, port
        pool = main.pool
        kept = [pool.of(a_server(server)) for server in servers]
        idle = [found for one in kept for _ in pool.open if (found := one.take())]
        while pool.open != set(idle):  # noqa: ASYNC110 - no event tells of an aborted one's end
            await asyncio.sleep(0)
        assert [server.in_flight for server in main.view.servers.values()] == [0, 0, 0]
        main.pool.close()


BROKEN_NAME = {"prefix": "/\udc80"}  # that no request's head can be made of
CASES = {
    "before an attempt": Case(unknown="one", told=("a request", "'one'")),
    "in its head": Case(server=BROKEN_NAME, told=("a request", "surrogates not allowed")),
    "in its head for a connection that is there": Case(
        server=BROKEN_NAME, is_kept=True, told=("a request", "surrogates not allowed")
    ),
    "in a look-up": Case(
        ask=post("/api/chat", b'{"model":"other"}'),
        options={"expose": Expose.INSTALLED},
        told=("a request", "look_up"),
    ),
    "in a connection's making": Case(server={"host": "a\0b"}, told=("a request", "null character")),
    "behind a refused connection": Case(
        server={"port": 1}, view_deaf_to=(ServerWentDown,), told=("a request", "ServerWentDown")
    ),
    "behind an attempt that failed": Case(handler=closes_unanswered, told=("a request", "clock")),
    "in a listing": Case(ask=get("/api/tags"), told=("a request", "listing")),
    "in what hears of a failed attempt": Case(
        server={"port": 1}, gets=200, deaf_to=(AttemptFailed,), told=("telling of a request", "AttemptFailed")
    ),
    "in what hears of its end": Case(
        gets=200, deaf_to=(RequestEnded,), told=("telling of a request", "RequestEnded")
    ),
    "in what hears of a model that was loaded": Case(
        gets=200, parts={"changed": breaks_for_one}, told=("telling of a change", "changed")
    ),
    "in the head of an answer": Case(
        handler=lambda _: says(answer(b"a" * 100)[:-50]),
        view_deaf_to=(ServerWentUp,),
        gets=None,
        told=("reading an answer", "ServerWentUp"),
    ),
}


@pytest.mark.parametrize("case", CASES)
@runs
async def test_a_defect_met_by_one_request_ends_that_one_and_no_other(case: str) -> None:
    one = CASES[case]
    good = post("/api/chat", b'{"model":"good"}')
    async with main_port(one) as (servers, main, port):
        (first, _), (broken, _), (last, _) = [await port.connect() for _ in range(3)]
        for client in (first, last):  # so that connections to its server are there
            client.writer.write(good)
        assert [(await client.answer()).status for client in (first, last)] == [200, 200]
        for client, data in ((first, good), (broken, one.ask), (last, good)):
            client.writer.write(data)  # all in one turn of the loop
        got = await broken.answer()
        assert (got.status, got.is_whole) == (one.gets or 200, one.gets is not None)
        if one.gets is None:
            assert await broken.is_closed()
        else:
            assert got.body == (INTERNAL if one.gets == 500 else b'{"done":true}')
            assert (await broken.ask(get("/"))).body == b"Ollama is running"  # its connection goes on
        assert [(await client.answer()).status for client in (first, last)] == [200, 200]
        (told,) = [*main.events.of(Crashed), *port.events.of(Crashed)]
        assert (told.where, one.told[1] in str(told.error)) == (one.told[0], True)
        ended = [event for event in main.events.of(RequestEnded) if event.model != "good"]
        if one.gets is None:
            assert [(event.status, event.end) for event in ended] == [(200, End.SERVER_BROKE)]
        else:
            assert [event.status for event in ended] == [one.gets, 200]
        assert servers[1].hits == 4


@runs
async def test_a_defect_behind_a_whole_answer_ends_its_clients_connection_and_gives_all_back() -> None:
    """What an answer's end tells of tokens is read when its last byte is on its way."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    goes_on = asyncio.Event()

    async def streams(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head(b"text/event-stream") + chunk(b"data: {}\n\n"))
        await goes_on.wait()
        await peer.send(chunk(usage + b"data: [DONE]\n\n") + chunk(b""))

    case = Case(handler=lambda _: streams, told=("a request", "clock"))
    async with main_port(case) as (_, main, port):
        client, _ = await port.connect()
        await client.send(post("/v1/chat/completions", b'{"model":"llama3.2","stream":true}'))
        await client.reader.readuntil(b"{}\n\n\r\n")
        main.breaks_now = True
        goes_on.set()
        await client.gone()
        (event,) = main.events.of(RequestEnded)
        assert (event.status, event.end, event.error) == (200, End.REFUSED, INTERNAL[10:-2].decode())
        assert [(told.where, str(told.error)) for told in main.events.of(Crashed)] == [case.told]
