"""Which models are to be pulled where, so that servers have what the operator wrote.

Owns what is due (a server that is up lacks a model), when it is tried again, when a pull is given up, and
what a client's delete ends. What is there is left as it is: contents that differ may be somebody's purpose.
Pure: whoever asks it pulls, and says what became of that.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from gollamas.events import JobEnd
from gollamas.fleet.entries import Entry
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View
from gollamas.fleet.wishes import SyncWish

FIRST_PAUSE: Final = 60.0  # seconds, after a pull that failed; doubled after each further one
LONGEST_PAUSE: Final = 3600.0
SILENCE: Final = 1800.0  # seconds without anything new, after which a pull is given up
_NOT_LISTED: Final = "the server said that it is pulled, and does not list it"


class SyncPull(NamedTuple):
    """Have this server pull this model; then `Syncing.ended`."""

    server_id: str
    key: str
    name: str


class SyncGiveUp(NamedTuple):
    """Stop this pull, of which nothing was heard for too long."""

    server_id: str
    key: str


class SyncStatus(StrEnum):
    """What becomes of a model that is to be on a server and is not."""

    WAITING = "waiting"  # for the server, for its turn, or for other changes of the model
    PULLING = "pulling"
    FAILED = "failed"  # it is tried again
    DELETED = "deleted"  # by a client: it is not pulled until somebody pulls or creates it


class Lacking(NamedTuple):
    """A model that is to be on a server and is not there yet. `retry_s` is seconds to the next try."""

    name: str
    server_id: str
    status: SyncStatus
    failures: int  # in a row
    error: str  # of the last one
    retry_s: float | None


class _SyncedModel:
    """A model that is to be on a server. Times are monotonic seconds."""

    def __init__(self, wish: SyncWish, order: tuple[int, int]) -> None:
        self.wish = wish
        self.order = order  # by model, then by server
        self.began_at = -math.inf  # its last pull
        self.heard_at: float | None = None  # when its pull told something new; None where none is under way
        self.is_given_up = False  # and has yet to end
        self.failures = 0
        self.error = ""
        self.retry_at = -math.inf
        self.is_deleted = False

    def forget_failures(self) -> None:
        """Note that the model is there."""
        self.failures, self.error, self.retry_at = 0, "", -math.inf


class _Disk:
    """What is to be on one server. What it lacks, or is pulling, is worked out once for each of its lists."""

    def __init__(self) -> None:
        self.wanted: dict[str, _SyncedModel] = {}  # by key
        self.lacking: Sequence[_SyncedModel] = ()
        self._seen: Mapping[str, Entry] | None = None

    def see(self, server: ServerView) -> None:
        """Look at what the server has, if it has said so: while it has not, it lacks all."""
        installed = server.installed
        if installed is not self._seen:
            self._seen = installed
            self.lacking = [
                model
                for key, model in self.wanted.items()
                if key not in installed or model.heard_at is not None
            ]
            for key in self.wanted.keys() & installed.keys():
                self.wanted[key].forget_failures()


class Syncing:
    """All wishes of one configuration."""

    def __init__(self, wishes: Sequence[SyncWish], view: View) -> None:
        self._wishes = {wish.key: wish for wish in wishes}
        self._view = view
        self.first_pause = FIRST_PAUSE
        self.silence = SILENCE
        self._next_at = math.inf
        self._disks: dict[str, _Disk] = {}
        self._deleted: set[str] = set()  # models that were deleted everywhere
        for row, wish in enumerate(wishes):
            for column, server_id in enumerate(wish.servers):
                disk = self._disks.setdefault(server_id, _Disk())
                disk.wanted[wish.key] = _SyncedModel(wish, (row, column))

    @property
    def has_wishes(self) -> bool:
        """Whether anything is to be pulled anywhere."""
        return bool(self._wishes)

    @property
    def next_at(self) -> float:
        """When to ask again if nothing changes before; infinity for never."""
        return self._next_at

    # -- what the keeper calls -----------------------------------------------------------------------

    def due(self, now: float, room: int, busy: Collection[str]) -> list[SyncPull | SyncGiveUp]:
        """Give what is to be done now; a pull is under way until `ended` says otherwise.

        In: how many pulls may begin, and the models that are being changed for clients.
        """
        self._next_at = math.inf
        acts: list[SyncPull | SyncGiveUp] = []
        due: list[tuple[_SyncedModel, str]] = []
        for server_id, server, model in self._missing():
            if model.heard_at is not None:
                if self._is_silent(model, model.heard_at, now):
                    model.is_given_up = True
                    acts.append(SyncGiveUp(server_id, model.wish.key))
            elif self._may_begin(model, server, now) and model.wish.key not in busy:
                due.append((model, server_id))
        # Who waits longest: one that hangs and gives way to clients again and again holds up no other.
        due.sort(key=lambda one: (one[0].began_at, one[0].order))
        for model, server_id in due[:room]:
            model.began_at = model.heard_at = now
            acts.append(SyncPull(server_id, model.wish.key, model.wish.name))
        return acts

    def heard(self, server_id: str, key: str, now: float) -> None:
        """Note that a pull has told something new."""
        self._disks[server_id].wanted[key].heard_at = now

    def ended(self, server_id: str, key: str, end: JobEnd, error: str, now: float) -> None:
        """Note how a pull has ended. One that gave way to clients, or whose server is down, did not fail.

        One that is done has failed, too, as long as the server does not list the model: else it would be
        pulled again at once, for ever.
        """
        server, model = self._view.servers.get(server_id), self._disks[server_id].wanted[key]
        model.heard_at, model.is_given_up = None, False
        if end is JobEnd.DONE and server is not None and key in server.installed:
            model.forget_failures()
        elif end not in (JobEnd.STOPPED, JobEnd.DOWN):
            model.retry_at = now + min(LONGEST_PAUSE, self.first_pause * 2.0 ** min(model.failures, 10))
            model.failures += 1
            model.error = error or _NOT_LISTED

    # -- what clients do -----------------------------------------------------------------------------

    def deleted(self, key: str, server_ids: Iterable[str]) -> None:
        """Note that a client deletes a model on these servers."""
        wish = self._wishes.get(key)
        if wish is None:
            return
        ids = frozenset(server_ids)
        for server_id in ids.intersection(wish.servers):
            self._disks[server_id].wanted[key].is_deleted = True
        if ids.issuperset(wish.servers):
            self._deleted.add(key)

    def brought(self, key: str, server_ids: Iterable[str]) -> None:
        """Note that a client has pulled or created a model on these servers.

        A model that was deleted everywhere is then wanted everywhere again, and else on these servers alone.
        """
        wish = self._wishes.get(key)
        if wish is None:
            return
        ids = frozenset(wish.servers if key in self._deleted else server_ids)
        self._deleted.discard(key)
        for server_id in ids.intersection(wish.servers):
            self._disks[server_id].wanted[key].is_deleted = False

    # -- what is told --------------------------------------------------------------------------------

    def lacking(self, now: float) -> list[Lacking]:
        """Give what is not where it is to be, in the order of the configuration."""
        missing = sorted(self._missing(), key=lambda one: one[2].order)
        return [_told(model, server, now) for _, server, model in missing]

    # -- one model on one server ---------------------------------------------------------------------

    def _missing(self) -> Iterator[tuple[str, ServerView, _SyncedModel]]:
        """Give each model that is to be on a server and is not, as far as is known, or is on its way."""
        for server_id, disk in self._disks.items():
            server = self._view.servers.get(server_id)
            if server is not None:
                disk.see(server)
                for model in disk.lacking:
                    if model.heard_at is not None or model.wish.key not in server.installed:
                        yield server_id, server, model

    def _is_silent(self, model: _SyncedModel, heard_at: float, now: float) -> bool:
        """Whether nothing was heard for too long of a pull that is under way."""
        until = heard_at + self.silence
        if not model.is_given_up and now < until:
            self._next_at = min(self._next_at, until)
        return not model.is_given_up and now >= until

    def _may_begin(self, model: _SyncedModel, server: ServerView, now: float) -> bool:
        """Whether a server that lacks a model can pull it, nobody has deleted it, and it is not too early."""
        if not server.is_up:
            model.retry_at = -math.inf  # when it returns, it is another matter
            return False
        if not server.has_listed or model.is_deleted:
            return False
        if now < model.retry_at:
            self._next_at = min(self._next_at, model.retry_at)
            return False
        return True


def _told(model: _SyncedModel, server: ServerView, now: float) -> Lacking:
    retry_s = None
    if model.heard_at is not None:
        status = SyncStatus.PULLING
    elif model.is_deleted:
        status = SyncStatus.DELETED
    elif now < model.retry_at and server.is_up:
        status, retry_s = SyncStatus.FAILED, model.retry_at - now
    else:
        status = SyncStatus.WAITING
    return Lacking(model.wish.name, server.id, status, model.failures, model.error, retry_s)
