"""Looks at each server's health and contents, and writes what it sees into the view.

Owns when a server is asked and who waits for the answer. Refuses to judge: health is `fleet/health`, what
follows for requests is `fleet/choose`. A look is shared by all who wait for it, so no caller's leaving
ends it, and there is at most one running and one queued per server and path.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol

from gollamas.config.model import Server
from gollamas.errors import ProxyError, ResourcesExhausted
from gollamas.events import Crashed, Emit
from gollamas.fleet import judging
from gollamas.fleet.entries import Entry
from gollamas.fleet.judging import PS, TAGS, VERSION, NotOllama, ProbeReply
from gollamas.fleet.view import View
from gollamas.system import reasons

ASK_TIMEOUT: Final = 5.0  # seconds, for each of the three
FIRST_WAIT: Final = 2.0  # seconds after start that a listing may wait for first answers
LOOK_UP_WAIT: Final = 1.0  # seconds that a request for an unknown name may wait
_JITTER: Final = 0.1
_GAP: Final = 0.1  # seconds between the beginnings of two looks at one path of one server
_MISSES_KEPT: Final = 1000  # unknown names remembered; they come from clients


class Asker(Protocol):
    """A request of our own to one server. Raises ProxyError, OSError or TimeoutError."""

    async def __call__(
        self,
        server: Server,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout: float = ASK_TIMEOUT,  # noqa: ASYNC109 - the connection sweeps its own time-outs
    ) -> ProbeReply:
        """Send it, and return the whole answer within `timeout` seconds."""


class Tasks(Protocol):
    """Where tasks live: an asyncio.TaskGroup or the supervisor."""

    def create_task(self, coro: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run a coroutine as a child."""


class _Look:
    """One path of one server, asked by one task at a time for all who want to know."""

    def __init__(self, name: str, ask: Callable[[], Coroutine[Any, Any, bool]], emit: Emit) -> None:
        self._name = name
        self._ask = ask
        self._emit = emit
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[None] | None = None  # its question is out
        self._queued: asyncio.Future[None] | None = None  # its question is not yet out
        self.asked_at = float("-inf")  # when the last question went out
        self.succeeded: bool | None = None  # the last time; None before the first end

    def anew(self) -> asyncio.Future[None]:
        """Ask, with a question that goes out after this call; the future ends with the answer to it."""
        if self._queued is None:
            self._queued = asyncio.get_running_loop().create_future()
        if self._task is None and self._group is not None:
            self._task = self._group.create_task(self._serve(), name=self._name)
        return self._queued

    def open(self, group: asyncio.TaskGroup) -> None:
        """From now on questions go out, in tasks of this group."""
        self._group = group
        if self._queued is not None:
            self.anew()

    def close(self) -> None:
        """Let all who wait go on; nothing is asked any more."""
        self._group = None
        for future in (self._asking, self._queued):
            if future is not None:
                future.set_result(None)
        self._asking = self._queued = None

    def pending(self, now: float, patience: float) -> asyncio.Future[None] | None:
        """Return what is worth waiting for: nothing at a path that failed or has been silent for long."""
        return None if self.succeeded is False else self.asked_for(now, patience)

    def asked_for(self, now: float, patience: float) -> asyncio.Future[None] | None:
        """As `pending`, also at a path that failed."""
        if self._asking is not None and now - self.asked_at > patience:
            return None
        return self._queued or self._asking

    async def _serve(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._queued is not None:
                await asyncio.sleep(self.asked_at + _GAP - clock())
                self._asking, self._queued = self._queued, None
                self.asked_at = clock()
                await self._ask_safely()
                if self._asking is not None:  # not closed meanwhile
                    self._asking.set_result(None)
                    self._asking = None
        finally:
            self._task = None

    async def _ask_safely(self) -> None:
        try:
            self.succeeded = await self._ask()
        except ResourcesExhausted:
            pass  # which says nothing of the server: it stays what it was
        except Exception as defect:  # noqa: BLE001 - it must not end the watch of this server
            self.succeeded = False
            self._emit(Crashed(self._name, defect))


class _Watched:
    """The looks at one server."""

    def __init__(self, server: Server, prober: "Prober") -> None:
        self.server = server
        self.version = self._look(VERSION, lambda: prober.look_at_version(server), prober)
        self.contents = {
            path: self._look(path, _Contents(prober, server, path).look, prober) for path in (TAGS, PS)
        }
        self.task: asyncio.Task[None] | None = None

    def _look(self, path: str, ask: Callable[[], Coroutine[Any, Any, bool]], prober: "Prober") -> _Look:
        return _Look(f"look {self.server.id} {path}", ask, prober.emit)

    def all(self) -> list[_Look]:
        return [self.version, *self.contents.values()]

    def close(self) -> None:
        for look in self.all():
            look.close()


class _Contents:
    """Reads one listing of one server. A body that did not change is not read again."""

    def __init__(self, prober: "Prober", server: Server, path: str) -> None:
        self._prober = prober
        self._server = server
        self._path = path
        self._body: bytes | None = None
        self._entries: Sequence[Entry] = ()

    async def look(self) -> bool:
        asked = self._prober.view.asking(self._server.id)
        reply = await self._prober.get(self._server, self._path)
        if isinstance(reply, str):
            return False  # the last good answer is kept
        if reply.status != 200 or reply.body != self._body:
            try:
                self._entries = judging.listing_in(self._server, self._path, reply)
            except NotOllama:
                return False
            self._body = reply.body
        self._prober.found(self._server, self._path, self._entries, asked)
        return True


class Prober:
    """Keeps a view fresh. One task per server, under `tasks`.

    `interval` is seconds between two rounds, `sleep` what waits for them.
    """

    def __init__(
        self,
        view: View,
        ask: Asker,
        tasks: Tasks,
        emit: Emit,
        *,
        interval: float = 5.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.interval = interval
        self._sleep = sleep
        self.view = view
        self._ask = ask
        self._tasks = tasks
        self.emit = emit
        self._watches: dict[str, _Watched] = {}
        self._began_at = float("inf")
        self.on_found: Callable[[str, str], object] = _nothing  # hears of each list that a server gave
        self._misses: dict[str, float] = {}  # key of an unknown name -> until when that is believed

    def start(self, server: Server) -> None:
        """Watch a server that the view has; one of the same id is let go first."""
        self.stop(server.id)
        self._began_at = min(self._began_at, _now())
        watch = self._watches[server.id] = _Watched(server, self)
        for look in watch.all():
            look.anew()  # whoever comes before the task's first step waits for it
        watch.task = self._tasks.create_task(self._run(watch), name=f"prober {server.id}")

    def stop(self, server_id: str) -> None:
        """Watch a server no more."""
        watch = self._watches.pop(server_id, None)
        if watch is None:
            return
        if watch.task is not None:
            watch.task.cancel()
        watch.close()

    def close(self) -> None:
        """Watch no server any more."""
        for server_id in list(self._watches):
            self.stop(server_id)

    def ask_soon(self, server_id: str, *paths: str) -> None:
        """Ask a server anew after a change of ours: what it has loaded, or the paths that are named."""
        watch = self._watches.get(server_id)
        if watch is not None:
            for path in paths or (PS,):
                watch.contents[path].anew()

    async def fresh(self, *paths: str, max_age: float = 1.0, wait: float = 0.3) -> None:
        """Ask anew what is older than `max_age` seconds and wait for that, at most `wait` seconds.

        `paths` are TAGS and PS, both by default. In the first two seconds after start it waits longer, for
        first answers. A server that is down, or silent, is not waited for.
        """
        now = _now()
        limit = wait
        pending = []
        for look in self._looks(paths or (TAGS, PS)):
            is_first = look.succeeded is None
            if look.asked_at + max_age <= now and look.pending(now, max_age) is None:
                look.anew()
            future = look.pending(now, FIRST_WAIT if is_first else max_age)
            if future is not None:
                pending.append(future)
                if is_first:
                    limit = max(limit, self._began_at + FIRST_WAIT - now)
        if pending:
            await asyncio.wait(pending, timeout=limit)

    async def first_version(self) -> None:
        """Wait until some server has said its version, at most until two seconds after start."""
        while not any(server.version for server in self.view.servers.values()):
            now = _now()
            looks = [watch.version for watch in self._watches.values()]
            pending = [look.pending(now, FIRST_WAIT) for look in looks if look.succeeded is None]
            awaited = [future for future in pending if future is not None]
            limit = self._began_at + FIRST_WAIT - now
            if not awaited or limit <= 0:
                return
            await asyncio.wait(awaited, timeout=limit, return_when=asyncio.FIRST_COMPLETED)

    async def first_list(self, server_id: str) -> None:
        """Wait until a server has said what it has and has loaded, for the first time: a second at most."""
        now = _now()
        watch = self._watches.get(server_id)
        # One that failed may be asked by now: a server that was down at first is up before it has listed.
        looks = [] if watch is None else [look for look in watch.contents.values() if not look.succeeded]
        pending = [future for look in looks if (future := look.asked_for(now, LOOK_UP_WAIT)) is not None]
        if pending:
            await asyncio.wait(pending, timeout=LOOK_UP_WAIT)

    async def look_anew(self, server_id: str, path: str) -> None:
        """Ask a server for what it has or has loaded, and wait for the answer, or until it takes too long."""
        watch = self._watches.get(server_id)
        if watch is not None:
            await asyncio.wait([watch.contents[path].anew()], timeout=ASK_TIMEOUT)

    async def look_up(self, key: str) -> bool:
        """Whether some server offers a model that nobody knew of: all are asked once, for a second at most.

        That none does is believed for a second.
        """
        now = _now()
        if self._misses.get(key, now) > now or self.view.offered_on(key):
            return bool(self.view.offered_on(key))
        pending = set()
        for look in self._looks((TAGS, PS)):
            look.anew()
            future = look.pending(now, LOOK_UP_WAIT)
            if future is not None:
                pending.add(future)
        while pending and not self.view.offered_on(key) and (left := now + LOOK_UP_WAIT - _now()) > 0:
            _, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if self.view.offered_on(key):
            return True
        self._remember_miss(key, _now())
        return False

    async def get(self, server: Server, path: str) -> ProbeReply | str:
        """Ask a server; return its answer, or in words why there is none. Raises ResourcesExhausted."""
        try:
            return await self._ask(server, "GET", path, timeout=ASK_TIMEOUT)
        except ResourcesExhausted:
            raise
        except ProxyError as error:
            return error.text
        except TimeoutError:
            return "no answer in time"
        except OSError as error:
            return reasons.broken(error)
        except Exception as error:  # noqa: BLE001 - a defect at one server must not end the watch of all
            self.emit(Crashed(f"prober {server.id} {path}", error))
            return "defect while asking"

    async def look_at_version(self, server: Server) -> bool:
        """Ask for the version: the sign of health."""
        reply = await self.get(server, VERSION)
        if not self._is_current(server):
            return False
        if isinstance(reply, str):
            self.view.silent(server.id, reply, _now())
            return False
        try:
            version = judging.version_in(server, reply)
        except NotOllama as other:
            if other.may_pass:
                self.view.silent(server.id, other.text, _now())
            else:
                self.view.answered_otherwise(server.id, other.text, _now())
            return False
        self.view.answered(server.id, version, _now())
        return True

    def found(self, server: Server, path: str, listed: Sequence[Entry], asked: int) -> None:
        """Write a listing into the view, unless the server was let go meanwhile."""
        if not self._is_current(server):
            return
        if path == TAGS:
            self.view.listed(server.id, listed, asked)
        else:
            self.view.ran(server.id, listed, asked, _now())
        self.on_found(server.id, path)

    def _is_current(self, server: Server) -> bool:
        watch = self._watches.get(server.id)
        return watch is not None and watch.server is server

    async def _run(self, watch: _Watched) -> None:
        """Look at one server, round after round, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for look in watch.all():
                    look.open(group)
                while True:
                    await self._look_around(watch)
        finally:
            watch.close()  # nobody asks in a group that has ended

    async def _look_around(self, watch: _Watched) -> None:
        """Take one round, and wait for the next."""
        began = _now()
        was_down = self._is_down(watch)
        await _ended(look.anew() for look in ([watch.version] if was_down else watch.all()))
        if was_down and not self._is_down(watch):
            await _ended(look.anew() for look in watch.contents.values())
        period = self.interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        await self._sleep(max(began + period - _now(), self.interval * _JITTER))

    def _is_down(self, watch: _Watched) -> bool:
        server = self.view.servers.get(watch.server.id)
        return server is None or server.is_down

    def _looks(self, paths: Iterable[str]) -> Iterable[_Look]:
        """Give the looks at the servers that are not down."""
        for watch in self._watches.values():
            if not self._is_down(watch):
                yield from (watch.contents[path] for path in paths)

    def _remember_miss(self, key: str, now: float) -> None:
        if len(self._misses) >= _MISSES_KEPT:
            self._misses = {other: until for other, until in self._misses.items() if until > now}
            if len(self._misses) >= _MISSES_KEPT:
                self._misses.clear()
        self._misses[key] = now + LOOK_UP_WAIT


def _nothing(_: str, __: str) -> None:
    pass


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _ended(futures: Iterable["asyncio.Future[None]"]) -> None:
    await asyncio.wait(list(futures))
