"""The prober against servers on real sockets: what it learns, and how long anybody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from gollamas.background.prober import Prober
from gollamas.config.model import Config, Expose, Model, Server
from gollamas.errors import ServerRefused
from gollamas.events import Crashed, DigestsDiffer, Event, ModelMissing, ServerWentDown, ServerWentUp
from gollamas.fleet.health import Health
from gollamas.fleet.judging import PS, TAGS, VERSION, ProbeReply
from gollamas.fleet.view import View
from gollamas.system.supervisor import Supervisor

KEY = "registry.ollama.ai/library/llama3.2:latest"
HANG = b""
EMPTY = b'{"models":[]}'


def listing(name: str, digest: str = "d" * 64) -> bytes:
    """Return a body of tags or ps with one model."""
    return f'{{"models":[{{"name":"{name}","model":"{name}","digest":"{digest}"}}]}}'.encode()


class Speaker:
    """A server that answers each path with the bytes it was given; HANG keeps silent until it is stopped."""

    def __init__(self, server_id: str) -> None:
        self.id = server_id
        self.bodies = {VERSION: b'{"version":"0.32.15"}', TAGS: listing("llama3.2:latest"), PS: EMPTY}
        self.status = 200
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None
        self._port = 0
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        self._stopped.clear()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._stopped.set()
        self._server.close()
        await self._server.wait_closed()

    @property
    def server(self) -> Server:
        return Server(id=self.id, scheme="http", host="127.0.0.1", port=self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # who asked has left
            writer.close()
            return
        path = head.split(b" ")[1].decode()
        self.asked.append(path)
        body = self.bodies[path]
        if body is HANG:
            await self._stopped.wait()
        else:
            writer.write(f"HTTP/1.0 {self.status} x\r\n\r\n".encode() + body)
        writer.close()


class Said(NamedTuple):
    status: int
    body: bytes
    location: str = ""


async def ask(
    server: Server,
    method: str,
    path: str,
    body: bytes | None = None,  # noqa: ARG001 - the shape of net/ask
    timeout: float = 5.0,  # noqa: ASYNC109 - the shape of net/ask
) -> ProbeReply:
    """Ask over a socket of its own, as net/ask does."""
    try:
        reader, writer = await asyncio.open_connection(server.host, server.port)
    except OSError as error:
        raise ServerRefused("connection refused") from error
    try:
        async with asyncio.timeout(timeout):
            writer.write(f"{method} {path} HTTP/1.0\r\nHost: {server.authority}\r\n\r\n".encode())
            head, _, content = (await reader.read()).partition(b"\r\n\r\n")
            return Said(int(head.split(b" ")[1]), content)
    finally:
        writer.close()


class Fleet:
    """Some speakers, a prober that watches them, and what it said."""

    def __init__(self, speakers: list[Speaker], view: View, prober: Prober, events: list[Event]) -> None:
        self.speakers = speakers
        self.view = view
        self.prober = prober
        self.events = events
        self.heard = asyncio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for answers until something is so; fails after five seconds."""
        async with asyncio.timeout(5):
            while not is_so():
                await self.heard.wait()
                self.heard.clear()


def config_of(speakers: list[Speaker], expose: Expose = Expose.CONFIGURED) -> Config:
    model = Model(name="llama3.2", key=KEY, servers=tuple(speaker.id for speaker in speakers))
    return Config(
        servers={speaker.id: speaker.server for speaker in speakers},
        models={KEY: model} if expose is Expose.CONFIGURED else {},
        expose=expose,
    )


@asynccontextmanager
async def fleet(
    *ids: str,
    interval: float = 30.0,
    expose: Expose = Expose.CONFIGURED,
    prepare: Callable[[list[Speaker]], Awaitable[None] | None] = lambda _: None,
) -> AsyncIterator[Fleet]:
    """Run speakers and a prober. With the long interval only the first round comes by itself."""
    speakers = [Speaker(server_id) for server_id in ids]
    for speaker in speakers:
        await speaker.start()
    prepared = prepare(speakers)
    if prepared is not None:
        await prepared
    events: list[Event] = []
    view = View(events.append)
    async with asyncio.TaskGroup() as tasks:

        async def asked(
            server: Server,
            method: str,
            path: str,
            body: bytes | None = None,
            timeout: float = 5.0,  # noqa: ASYNC109 - the shape of net/ask
        ) -> ProbeReply:
            try:
                return await ask(server, method, path, body, timeout)
            finally:
                asyncio.get_running_loop().call_later(0.001, made.heard.set)

        prober = Prober(view, asked, tasks, events.append, interval=interval)
        made = Fleet(speakers, view, prober, events)
        for server in view.apply(config_of(speakers, expose))[0]:
            prober.start(server)
        try:
            yield made
        finally:
            prober.close()
            for speaker in speakers:
                if not speaker._stopped.is_set():
                    await speaker.stop()


async def seconds(waited: Awaitable[object]) -> float:
    """Return how long something took."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await waited
    return clock() - began


def run(test: Awaitable[None]) -> None:
    """Run a test to its end."""

    async def main() -> None:
        await test

    asyncio.run(main())


def test_the_first_listing_waits_for_first_answers() -> None:
    """A listing right after start already knows version, models and what is loaded."""

    async def test() -> None:
        async with fleet("a", "b") as made:
            await made.prober.fresh()
            assert [server.is_up for server in made.view.servers.values()] == [True, True]
            assert made.view.installed_on(KEY) == ("a", "b")
            assert ServerWentUp("a", "0.32.15") in made.events

    run(test())


def test_the_first_listing_waits_two_seconds_at_most() -> None:
    """A server that never answers delays the first listing by two seconds and the next by nothing."""

    def hang(speakers: list[Speaker]) -> None:
        speakers[1].bodies = dict.fromkeys(speakers[1].bodies, HANG)

    async def test() -> None:
        async with fleet("a", "b", prepare=hang) as made:
            assert 1.8 < await seconds(made.prober.fresh()) < 4
            assert await seconds(made.prober.fresh()) < 1.5
            assert made.view.installed_on(KEY) == ("a",)

    run(test())


def test_callers_share_one_question() -> None:
    """A hundred listings of old knowledge ask each path of each server once, later ones not at all."""

    async def test() -> None:
        async with fleet("a") as made:
            await made.prober.fresh()
            asked = made.speakers[0].asked
            asked.clear()
            await asyncio.gather(*(made.prober.fresh(max_age=0.0) for _ in range(100)))
            assert sorted(asked) == [PS, TAGS]
            await made.prober.fresh()
            assert sorted(asked) == [PS, TAGS]

    run(test())


def test_a_caller_that_leaves_does_not_end_the_shared_question() -> None:
    """The answer is written though the only caller was cancelled while waiting."""

    async def test() -> None:
        async with fleet("a") as made:
            await made.prober.fresh()
            made.speakers[0].bodies[PS] = listing("llama3.2:latest")
            caller = asyncio.ensure_future(made.prober.fresh(PS, max_age=0.0))
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
            await made.until(lambda: "a" in made.view.running_on(KEY))

    run(test())


def test_a_change_of_ours_is_seen_by_the_next_listing() -> None:
    """After `ask_soon` a listing waits for the new answer though the old one is young."""

    async def test() -> None:
        async with fleet("a") as made:
            await made.prober.fresh()
            made.speakers[0].bodies[PS] = listing("llama3.2:latest")
            made.prober.ask_soon("a")
            await made.prober.fresh(PS)
            assert "a" in made.view.running_on(KEY)

    run(test())


def test_changes_of_ours_make_no_storm() -> None:
    """A thousand changes while a question is out make one more question."""

    async def test() -> None:
        async with fleet("a") as made:
            await made.prober.fresh()
            made.speakers[0].asked.clear()
            made.prober.ask_soon("a")
            await made.until(lambda: bool(made.speakers[0].asked))
            for _ in range(1000):
                made.prober.ask_soon("a")
            await made.prober.fresh(PS)
            assert len(made.speakers[0].asked) <= 2

    run(test())


def test_a_hung_ps_means_loading_not_down() -> None:
    """A server whose ps keeps silent stays up, and what it had loaded stays known."""

    async def test() -> None:
        async with fleet("a", interval=0.05) as made:
            made.speakers[0].bodies[PS] = listing("llama3.2:latest")
            await made.until(lambda: "a" in made.view.running_on(KEY))
            made.speakers[0].bodies[PS] = HANG
            assert await seconds(made.prober.fresh(PS, max_age=0.0)) < 1.5
            assert made.view.servers["a"].is_up
            assert "a" in made.view.running_on(KEY)

    run(test())


def test_a_server_goes_down_after_two_failed_probes_and_comes_back_after_one() -> None:
    """A stopped server is down with a reason, nothing waits for it, and it is up as soon as it answers."""

    async def test() -> None:
        async with fleet("a", interval=0.05) as made:
            server = made.view.servers["a"]
            await made.until(lambda: server.is_up)
            await made.speakers[0].stop()
            await made.until(lambda: server.is_down)
            assert ServerWentDown("a", "connection refused") in made.events
            assert await seconds(made.prober.fresh(max_age=0.0)) < 0.25  # of the 0.3 s that it may wait
            assert made.view.installed_on(KEY) == ("a",)
            await made.speakers[0].start()
            await made.until(lambda: server.is_up)
            assert made.events.count(ServerWentUp("a", "0.32.15")) == 2

    run(test())


def test_the_first_list_of_a_server_that_was_down_at_first_is_waited_for() -> None:
    """It is up before it has said what it has: a second at most, and not once it has been silent for long."""

    async def test() -> None:
        async with fleet("a", interval=0.05, prepare=lambda speakers: speakers[0].stop()) as made:
            server = made.view.servers["a"]
            await made.until(lambda: server.is_down)
            made.speakers[0].bodies[TAGS] = HANG
            await made.speakers[0].start()
            await made.until(lambda: server.is_up)
            assert 0.9 < await seconds(made.prober.first_list("a")) < 1.9
            assert await seconds(made.prober.first_list("a")) < 0.9

    run(test())


def test_garbage_is_no_answer_and_no_crash() -> None:
    """Whatever a server says, the last good answer is kept and the watch goes on."""
    garbage = [
        b"<html>",
        b"[]",
        b'{"models":7}',
        b'{"version":5}',
        b"{" * 5000,
        b'{"models":[7,{"name":9}]}',
        b"\xff",
    ]

    async def test() -> None:
        async with fleet("a", interval=0.02) as made:
            await made.until(lambda: made.view.installed_on(KEY) == ("a",))
            for body in garbage[:5] + garbage[6:]:
                made.speakers[0].bodies[TAGS] = body
                made.speakers[0].asked.clear()
                await made.until(lambda: made.speakers[0].asked.count(TAGS) > 1)
                assert made.view.installed_on(KEY) == ("a",)
            made.speakers[0].bodies[VERSION] = b'{"version":5}'
            await made.until(lambda: made.view.servers["a"].health is Health.DOWN)
            made.speakers[0].bodies[VERSION] = b'{"version":"0.1.0"}'
            made.speakers[0].bodies[TAGS] = garbage[5]
            await made.until(lambda: made.view.installed_on(KEY) == ())
            assert made.view.servers["a"].is_up

    run(test())


def test_a_server_that_answers_as_no_ollama_does_is_not_up() -> None:
    """Neither a web server's 404 nor any other status is a sign of health; the reason is in the view."""

    async def test() -> None:
        async with fleet("a", interval=0.02) as made:
            server = made.view.servers["a"]
            for status in (404, 401, 301, 502):
                await made.until(lambda: server.is_up)
                made.speakers[0].status = status
                await made.until(lambda: server.is_down)
                assert server.why_down.startswith(f"/api/version answered {status}")
                assert ServerWentDown("a", server.why_down) == made.events[-1]
                made.speakers[0].status = 200
            assert ServerWentUp("a", "unknown") not in made.events

    run(test())


def test_every_failure_to_ask_has_words_and_none_ends_the_watch() -> None:
    """Time-outs, errors of the system and even a defect count as silence; the watch asks on."""
    faults: list[Exception] = [
        ServerRefused("connection refused"),
        TimeoutError(),
        OSError(5, "input/output error"),
        OSError("odd"),
        RuntimeError("a defect"),
    ]

    async def test() -> None:
        events: list[Event] = []
        view = View(events.append)
        words: list[str] = []
        done = asyncio.Event()

        async def ask(*args: object, **_: object) -> ProbeReply:
            path = args[2]
            if path != VERSION:
                return Said(200, EMPTY)
            words.append(view.servers["a"].why_down)
            if not faults:
                done.set()
                return Said(200, b'{"version":"0.32.15"}')
            raise faults.pop(0)

        async with asyncio.TaskGroup() as tasks:
            prober = Prober(view, ask, tasks, events.append, interval=0.01)
            for server in view.apply(config_of([Speaker("a")]))[0]:
                prober.start(server)
            await asyncio.wait_for(done.wait(), 5)
            await prober.first_version()
            prober.close()
        assert words[1:] == [
            "connection refused",
            "no answer in time",
            "input/output error",
            "odd",
            "defect while asking",
        ]
        assert view.any_up
        told = [type(event) for event in events if not isinstance(event, ModelMissing)]
        assert told == [ServerWentDown, Crashed, ServerWentUp]

    run(test())


def test_a_look_that_breaks_is_told_of_and_the_watch_goes_on() -> None:
    """Neither a later look nor who waits for one meets the defect."""
    seen = [VERSION, TAGS, PS]

    async def test() -> None:
        events: list[Event] = []
        asked: list[str] = []
        again = asyncio.Event()

        def breaks(event: Event) -> None:
            events.append(event)
            if isinstance(event, ServerWentUp | ModelMissing):
                raise ZeroDivisionError

        async def ask(*args: object, **_: object) -> ProbeReply:
            asked.append(str(args[2]))
            if all(asked.count(path) > 2 for path in seen):
                again.set()
            return Said(200, b'{"version":"0.32.15"}' if args[2] == VERSION else EMPTY)

        async with asyncio.TaskGroup() as tasks:
            view = View(breaks)
            prober = Prober(view, ask, tasks, events.append, interval=0.01)
            for server in view.apply(config_of([Speaker("a")]))[0]:
                prober.start(server)
            await asyncio.wait_for(prober.fresh(), 5)
            await asyncio.wait_for(again.wait(), 5)
            prober.ask_soon("a")
            prober.close()
        told = {(event.where, type(event.error)) for event in events if isinstance(event, Crashed)}
        assert told == {(f"look a {path}", ZeroDivisionError) for path in (VERSION, TAGS)}

    run(test())


def test_a_watch_that_has_broken_is_waited_for_by_nobody() -> None:
    async def test() -> None:
        events: list[Event] = []
        broke = asyncio.Event()

        def tell(event: Event) -> None:
            events.append(event)
            broke.set()

        async def breaks(_: float) -> None:
            raise ZeroDivisionError

        async def ask(*args: object, **_: object) -> ProbeReply:
            return Said(200, b'{"version":"0.32.15"}' if args[2] == VERSION else EMPTY)

        tasks = Supervisor(tell)
        view = View(events.append)
        prober = Prober(view, ask, tasks, tell, interval=0.01, sleep=breaks)
        for server in view.apply(config_of([Speaker("a")]))[0]:
            prober.start(server)
        await asyncio.wait_for(broke.wait(), 5)
        prober.ask_soon("a")
        await asyncio.wait_for(prober.fresh(max_age=-1), 5)
        assert not await asyncio.wait_for(prober.look_up("b"), 5)
        assert [event.where for event in events if isinstance(event, Crashed)] == ["prober a"]
        prober.close()
        await tasks.close()

    run(test())


def test_unknown_names_are_forgotten() -> None:
    """Clients that invent names do not fill the memory."""

    async def test() -> None:
        async with fleet("a", expose=Expose.INSTALLED) as made:
            await made.prober.fresh()
            for number in range(3):
                await asyncio.gather(*(made.prober.look_up(f"h/n/m{number}:{tag}") for tag in range(700)))
            assert len(made.prober._misses) <= 1000

    run(test())


def test_differing_digests_are_said_once() -> None:
    """Two servers of one model with different contents make one warning, whichever is asked how often."""

    def differ(speakers: list[Speaker]) -> None:
        speakers[1].bodies[TAGS] = listing("Llama3.2:latest", "e" * 64)

    async def test() -> None:
        async with fleet("a", "b", interval=0.02, prepare=differ) as made:
            await made.until(lambda: all(one.asked.count(TAGS) > 3 for one in made.speakers))
            told = [event for event in made.events if isinstance(event, DigestsDiffer)]
            assert [set(event.servers) for event in told] == [{"a", "b"}]

    run(test())


def test_an_unknown_name_is_looked_up_once_a_second() -> None:
    """A model that was installed a moment ago is found; one that nobody has is asked for once."""

    async def test() -> None:
        async with fleet("a", expose=Expose.INSTALLED) as made:
            await made.prober.fresh()
            made.speakers[0].bodies[TAGS] = listing("new:latest")
            assert await made.prober.look_up("registry.ollama.ai/library/new:latest")
            assert not await made.prober.look_up("registry.ollama.ai/library/none:latest")
            made.speakers[0].asked.clear()
            assert not await made.prober.look_up("registry.ollama.ai/library/none:latest")
            assert made.speakers[0].asked == []

    run(test())


def test_a_look_up_waits_a_second_at_most() -> None:
    """A server that hangs delays the answer for an unknown name by a second."""

    async def test() -> None:
        async with fleet("a", "b", expose=Expose.INSTALLED) as made:
            await made.prober.fresh()
            made.speakers[1].bodies[TAGS] = HANG
            took = await seconds(made.prober.look_up("registry.ollama.ai/library/none:latest"))
            assert 0.9 < took < 1.9

    run(test())


def test_many_unknown_names_make_no_storm() -> None:
    """Two hundred unknown names at once cost each server a question or two."""

    async def test() -> None:
        async with fleet("a", expose=Expose.INSTALLED) as made:
            await made.prober.fresh()
            made.speakers[0].asked.clear()
            await asyncio.gather(*(made.prober.look_up(f"h/n/m{number}:t") for number in range(200)))
            assert made.speakers[0].asked.count(TAGS) <= 2

    run(test())


def test_the_first_version_is_waited_for() -> None:
    """The wait ends with the first server's version, or at once when all have failed."""

    def hang(speakers: list[Speaker]) -> None:
        speakers[1].bodies[VERSION] = HANG

    async def stop(speakers: list[Speaker]) -> None:
        await speakers[0].stop()

    async def test() -> None:
        async with fleet("a", "b", prepare=hang) as made:
            assert await seconds(made.prober.first_version()) < 1
            assert made.view.servers["a"].version == "0.32.15"
        async with fleet("a", prepare=stop) as made:
            assert await seconds(made.prober.first_version()) < 1
            assert made.view.servers["a"].version is None

    run(test())


def test_a_server_that_is_let_go_is_not_asked_any_more() -> None:
    """Stopping a watch ends its tasks, frees those who wait, and a new one can begin."""

    def hang(speakers: list[Speaker]) -> None:
        speakers[0].bodies[PS] = HANG

    async def test() -> None:
        async with fleet("a", prepare=hang) as made:
            waiting = asyncio.ensure_future(made.prober.fresh())
            await made.until(lambda: made.view.installed_on(KEY) == ("a",))
            made.prober.stop("a")
            assert await seconds(waiting) < 1
            made.prober.start(made.view.servers["a"].server)
            made.speakers[0].bodies[PS] = listing("llama3.2:latest")
            await made.prober.fresh(PS)
            assert "a" in made.view.running_on(KEY)

    run(test())
