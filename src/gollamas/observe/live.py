"""What `/events` tells: the whole state, then what has changed of it.

Owns what was told last, and what counts as a change; who watches, and when, is `admin/events`'s. Each member
is written anew only where what it is made of has changed, and is a change only where it is written otherwise
then; ages alone are none. Changes name whole members, so one that is told twice does no harm. Pure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from gollamas.config.model import Config
from gollamas.fleet.server_view import ServerView
from gollamas.observe.jsonlines import encoded
from gollamas.observe.observers import MOST_ENDED
from gollamas.observe.page import IN_A_STEP, StatePage
from gollamas.observe.state import OpenRequest
from gollamas.observe.telling import (
    TOLD_OF_SERVER,
    Meanwhile,
    job_state,
    loads_by_server,
    look_of,
    owed_state,
    request_state,
    sync_state,
)

_FIRST: Final = tuple(TOLD_OF_SERVER.items())[:2]  # id and url, which never change
_MEMBERS: Final = tuple(TOLD_OF_SERVER.items())[2:]
_NAMES: Final = tuple(b'"%b":' % name.encode() for name, _ in _MEMBERS)
_LOADING: Final = len(_MEMBERS) - 1  # the only one that has an age
# What is told whole, as /state has it behind the servers.
_LISTS: Final = ("requests", "jobs", "owed", "sync", "models", "wrong", "traffic")
_PIECE_BYTES: Final = 64 * 1024

# Lists of what goes on that have ages: who gives them, how each is told, what of it is an age.
_Tell = Callable[[Any], msgspec.Struct]
_Row = tuple[str, Callable[[StatePage], Iterable[Any]], _Tell, str]
_WITH_AGES: Final[tuple[_Row, ...]] = (
    ("jobs", lambda page: page.known.under_way.jobs(), job_state, "age_s"),
    ("owed", lambda page: page.known.under_way.owed(), owed_state, "age_s"),
    ("sync", lambda page: page.known.under_way.lacking(), sync_state, "retry_s"),
)


class _ToldServer:
    """What was told of a server: each member as it was written, and what all of them were made of."""

    __slots__ = ("changed", "home", "look", "start", "url", "values")

    def __init__(self, home: ServerView, start: bytes, url: bytes) -> None:
        self.home = home
        self.start = start  # its id
        self.url = url
        self.look: tuple[object, ...] | None = None
        self.values: list[bytes] = [b""] * len(_MEMBERS)
        self.changed: set[int] = set()

    @property
    def whole(self) -> bytes:
        """All of it."""
        members = b",".join(map(bytes.__add__, _NAMES, self.values))
        return b"{%b,%b,%b}" % (self.start, self.url, members)

    @property
    def change(self) -> bytes:
        """The members that have changed."""
        members = b",".join([_NAMES[at] + self.values[at] for at in sorted(self.changed)])
        return b"{%b,%b}" % (self.start, members)


class LiveState:
    """What was told to all who watch one proxy. `encodings` counts what was written, for tests."""

    def __init__(self, page: StatePage) -> None:
        self._page = page
        self.encodings = 0
        self.forget()

    def forget(self) -> None:
        """Forget all of it: nobody watches."""
        self._config: Config | None = None
        self._servers: dict[str, _ToldServer] = {}
        self._held: list[OpenRequest] = []  # what `id` was asked of stays, so that it is nobody else's
        self._keys: dict[str, object] = {}  # what the values below were made of
        self._values: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self._models: dict[tuple[object, ...], bytes] = {}
        self._ended: deque[bytes] = deque(maxlen=MOST_ENDED)
        self._new_ended: list[bytes] = []
        self._ended_count = 0
        self._now = self._page.now()
        self.is_anew = True  # no change leads from what was told to what is: whoever watches gets the whole

    # -- looking -------------------------------------------------------------------------------------

    def look(self, *, with_ages: bool) -> Iterator[None]:
        """Bring what is told up to date, in steps of some milliseconds.

        Ages are only written anew `with_ages`: somebody is to get the whole.
        """
        page, known = self._page, self._page.known
        config, servers = known.config(), tuple(known.view.servers.values())
        if config is not self._config:
            self.forget()
            self._config = config
        meanwhile = Meanwhile(config, page.now(), loads_by_server(known.under_way.loads()))
        for number, server in enumerate(servers):
            if self._look_at(server, meanwhile, with_ages=with_ages) or number % IN_A_STEP == 0:
                yield
        yield from self._look_at_requests(with_ages=with_ages)
        for name, give, tell, age in _WITH_AGES:
            yield from self._look_at_list(name, list(give(page)), tell, age, with_ages=with_ages)
        yield from self._look_at_models(config)
        yield from page.unlike.look(known.view, config)
        self._look_at_rest()

    def _look_at(self, server: ServerView, meanwhile: Meanwhile, *, with_ages: bool) -> bool:
        """Bring a server up to date; whether there was something to write."""
        told = self._servers.get(server.id)
        if told is None or told.home is not server:
            start, url = (
                b'"%b":%b' % (name.encode(), encoded(tell(server, meanwhile))) for name, tell in _FIRST
            )
            told = self._servers[server.id] = _ToldServer(server, start, url)
        loads, before = meanwhile.loads.get(server.id, ()), told.look
        look = told.look = look_of(server, loads)
        if loads and with_ages and before is not None:
            told.values[_LOADING] = self._written(_MEMBERS[_LOADING][1](server, meanwhile))
        if look == before:
            return False
        for at, (_, tell) in enumerate(_MEMBERS):
            if before is not None and look[at] == before[at]:
                continue
            value = self._written(tell(server, meanwhile))
            if value != told.values[at]:
                told.values[at] = value
                told.changed.add(at)
        return True

    def _look_at_requests(self, *, with_ages: bool) -> Iterator[None]:
        held = list(self._page.known.under_way.requests())
        key = [
            (id(one.event), one.event.model, one.event.model_used, one.server, one.event.status)
            for one in held
        ]
        yield from self._write_list("requests", key, held, request_state, with_ages=with_ages)
        self._held = held

    def _look_at_list(
        self, name: str, ones: list[Any], tell: _Tell, age: str, *, with_ages: bool
    ) -> Iterator[None]:
        key = [one._replace(**{age: 0.0}) for one in ones]
        yield from self._write_list(name, key, ones, tell, with_ages=with_ages)

    def _write_list(
        self, name: str, key: object, ones: Sequence[Any], tell: _Tell, *, with_ages: bool
    ) -> Iterator[None]:
        """Write a list where it has changed: that is, what it is made of without its ages."""
        is_changed = self._keys.get(name) != key
        if not is_changed and not (with_ages and ones):
            return
        parts = []
        for start in range(0, len(ones), IN_A_STEP):
            parts.append(b",".join([self._written(tell(one)) for one in ones[start : start + IN_A_STEP]]))
            yield
        self._values[name] = b"[%b]" % b",".join(parts)
        self._keys[name] = key
        if is_changed:
            self._changed.add(name)

    def _look_at_models(self, config: Config) -> Iterator[None]:
        models = self._page.models(config)
        routed = [(key, name, tuple(servers)) for key, name, servers in models.routed(self._page.known.view)]
        if self._keys.get("models") == routed:
            return
        told: dict[tuple[object, ...], bytes] = {}
        for one in routed:
            value = self._models.get(one)
            if value is None:
                value = self._written(models.state(*one))
                yield
            told[one] = value
        self._models = told
        self._note("models", routed, b"[%b]" % b",".join(told.values()))

    def _look_at_rest(self) -> None:
        """Bring what is small up to date, all at one moment."""
        page, known, now = self._page, self._page.known, self._page.now()
        self._now = now
        for name, key in (
            ("not_ready", known.not_ready()),
            ("wrong", page.wrong(now)),
            ("traffic", known.traffic.last),
        ):
            if name not in self._keys or self._keys[name] != key:
                self._note(name, key, self._written(key))
        new = min(known.ended.ended_count - self._ended_count, MOST_ENDED)
        self._ended_count = known.ended.ended_count
        lines = page.ended_lines(new, now)
        self._ended += lines
        self._new_ended = [*self._new_ended, *lines][-MOST_ENDED:]

    def _note(self, name: str, key: object, value: bytes) -> None:
        self._keys[name], self._values[name] = key, value
        self._changed.add(name)

    def _written(self, value: object) -> bytes:
        self.encodings += 1
        return encoded(value)

    # -- telling -------------------------------------------------------------------------------------

    def change(self) -> bytes | None:
        """Give the event that leads from what was told to what was found, None where that is the same.

        From nothing no event leads.
        """
        if self.is_anew:
            self._settle()
            return None
        servers = [told.change for told in self._servers.values() if told.changed]
        members = [b'"%b":%b' % (name.encode(), self._values[name]) for name in sorted(self._changed)]
        if servers:
            members.append(b'"servers":[%b]' % b",".join(servers))
        if self._new_ended:
            members.append(b'"ended":[%b]' % b",".join(self._new_ended))
        self._settle()
        if not members:
            return None
        time = encoded(self._now.when(self._now.monotonic))
        return b'event: change\ndata: {"time":%b,%b}\n\n' % (time, b",".join(members))

    def _settle(self) -> None:
        """Take what was found as told."""
        for told in self._servers.values():
            told.changed.clear()
        self._changed.clear()
        self._new_ended = []
        self.is_anew = False

    def whole(self) -> list[bytes]:
        """Give the event that tells all of what was found, in pieces that are not too large."""
        pieces = _Pieces(b"event: state\ndata: " + self._page.head(self._now) + b',"servers":[')
        for number, told in enumerate(self._servers.values()):
            pieces.add((b"," if number else b"") + told.whole)
        pieces.add(b"]")
        for name in _LISTS:
            pieces.add(b',"%b":%b' % (name.encode(), self._values[name]))
        pieces.add(b',"history":%b,"ended":[' % self._page.history())
        pieces.add(b",".join(self._ended) + b"]}\n\n")
        return pieces.all()


class _Pieces:
    """Bytes gathered to pieces of a size that is sent at once."""

    def __init__(self, first: bytes) -> None:
        self._whole: list[bytes] = []
        self._parts = [first]
        self._size = len(first)

    def add(self, part: bytes) -> None:
        """Add some."""
        self._parts.append(part)
        self._size += len(part)
        if self._size >= _PIECE_BYTES:
            self._whole.append(b"".join(self._parts))
            self._parts, self._size = [], 0

    def all(self) -> list[bytes]:
        """Give all of them."""
        return [*self._whole, b"".join(self._parts)]
