"""One progress made of those of many servers, in lines that Ollama's clients draw their bars from.

Owns what is said of a job on many targets, in which order and how often: `Progress` takes the targets'
lines, a `Watch` gives one client its own. Refuses to know who the targets are and what becomes of their jobs.
For each digest, `completed` never falls in what a watch gives, never passes `total`, and ends at it. Pure:
the time is an argument.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import takewhile
from math import inf
from typing import Final, NamedTuple

import msgspec

_GAP: Final = 0.1  # seconds, of two lines of one digest
_MOST_AT_ONCE: Final = 16 * 1024  # bytes of lines, which may wait for a client that does not read
# Servers make up what they say. A pull names about ten layers and four words, in lines of 200 bytes.
_MOST_LAYERS: Final = 10_000
_MOST_WORDS: Final = 1_000
_MOST_LINE_BYTES: Final = 4_096
_MOST_COUNT: Final = 2**53  # more is no size of a layer, and a few of them would not fit Go's int64


class Seen(NamedTuple):
    """Where one target is: its last status, and sums over the digests that it named (None: it named none)."""

    status: str
    completed: int | None
    total: int | None


class _Said(msgspec.Struct):
    """A line of a target: `ProgressResponse` in Ollama's api/types.go."""

    status: str
    digest: str | None = None
    total: object = None
    completed: object = None


_read: Final = msgspec.json.Decoder(_Said).decode


class _Layer:
    """A digest, by what all targets said of it."""

    __slots__ = ("_head", "at", "completed", "total")

    def __init__(self, status: str, digest: str) -> None:
        self.at = 0  # its place among all changes
        self._head = b'{"status":%b,"digest":%b' % (msgspec.json.encode(status), msgspec.json.encode(digest))
        self.completed = 0
        self.total = 0

    def line(self) -> bytes:
        """Give the sums, and neither of them when it is 0, as Ollama does."""
        total = b',"total":%d' % self.total if self.total else b""
        completed = b',"completed":%d' % self.completed if self.completed else b""
        return b"%b%b%b}\n" % (self._head, total, completed)


class _Word:
    """A status without a digest, in the bytes of who said it first."""

    __slots__ = ("_line", "at", "said_by")

    def __init__(self, line: bytes) -> None:
        self.at = 0  # its place among all changes; 0 while somebody has yet to say it
        self._line = line
        self.said_by = 0  # how many of the targets that have not ended

    def line(self) -> bytes:
        """Give it as it came."""
        return self._line + b"\n"


_Item = _Layer | _Word


class _Share:
    """What one target does of a layer. Its `completed` only grows, and its `total` is never below that."""

    __slots__ = ("completed", "layer", "total")

    def __init__(self, layer: _Layer) -> None:
        self.layer = layer
        self.completed = 0
        self.total = 0

    def measured(self, total: int, completed: int) -> None:
        """Note a line's numbers. A layer that begins anew stays where it was until that is reached."""
        total = total or self.total  # Ollama leaves it out until it knows it
        completed = max(self.completed, min(completed, total))
        total = max(total, completed)
        self.layer.total += total - self.total
        self.layer.completed += completed - self.completed
        self.total, self.completed = total, completed

    def settle(self, *, is_done: bool) -> bool:
        """Note that no more is done: it is all there, or what was done is all. Whether that changes it."""
        if self.completed == self.total:
            return False
        end = self.total if is_done else self.completed
        self.layer.total += end - self.total
        self.layer.completed += end - self.completed
        self.total = self.completed = end
        return True


class _Puller:
    """One server's part."""

    __slots__ = ("has_ended", "is_settled", "shares", "status", "waiting", "words")

    def __init__(self) -> None:
        self.status = ""
        self.has_ended = False
        self.is_settled = True  # its shares are all there
        self.shares: dict[str, _Share] = {}  # by digest
        self.words: set[_Word] = set()
        self.waiting: deque[_Word] = (
            deque()
        )  # those from the first on that has yet to go out, as it said them


class Progress:
    """A job's progress. In: its targets; a status that goes out at once and is not said again, or none."""

    def __init__(self, targets: Iterable[str], first: str = "") -> None:
        self._first = first or None
        self._targets = {target: _Puller() for target in targets}
        self._working = len(self._targets)  # targets that have not ended
        self._layers: dict[str, _Layer] = {}
        self._words: dict[str, _Word] = {}
        self._order: OrderedDict[_Item, None] = OrderedDict()  # by their last change
        self.changes = 0
        self.at_once: list[bytes] = []  # lines that wait for nothing
        if first:
            self.say(first)

    def take(self, target: str, line: bytes) -> None:
        """Take one line of a target, without its newline; never an error or `success`."""
        if len(line) > _MOST_LINE_BYTES:
            return
        try:
            said = _read(line)
        except (ValueError, RecursionError):
            return
        by = self._targets[target]
        if by.has_ended:
            return
        by.status = said.status
        if said.digest:
            self._measured(by, said, said.digest)
        elif said.status != self._first:
            self._worded(by, said.status, line)

    def ended(self, target: str, *, is_done: bool) -> None:
        """Note that a target says nothing more. In: whether it has the model."""
        by = self._targets[target]
        if by.has_ended:
            return
        by.has_ended = True
        self._settle(by, is_done=is_done)
        self._working -= 1
        for word in by.words:
            word.said_by -= 1
        for word in self._words.values():
            self._tell_if_all_said(word)

    def say(self, status: str) -> None:
        """Say a status of ours, once, before all that waits."""
        line = b'{"status":%b}\n' % msgspec.json.encode(status)
        if line not in self.at_once:
            self.at_once.append(line)

    def seen(self, target: str) -> Seen:
        """Say where a target is."""
        by = self._targets[target]
        if not by.shares:
            return Seen(by.status, None, None)
        shares = by.shares.values()
        return Seen(by.status, sum(share.completed for share in shares), sum(share.total for share in shares))

    def since(self, change: int) -> list[_Item]:
        """Give what changed after this, in the order of the last changes."""
        found = list(takewhile(lambda item: item.at > change, reversed(self._order)))
        found.reverse()
        return found

    def _measured(self, by: _Puller, said: _Said, digest: str) -> None:
        share = by.shares.get(digest)
        if share is None:
            layer = self._layers.get(digest)
            if layer is None:
                if len(self._layers) >= _MOST_LAYERS:
                    return
                layer = self._layers[digest] = _Layer(said.status, digest)
            share = by.shares[digest] = _Share(layer)
        share.measured(_count(said.total), _count(said.completed))
        by.is_settled = False
        self._tell(share.layer)

    def _worded(self, by: _Puller, status: str, line: bytes) -> None:
        word = self._words.get(status)
        if word is None:
            if len(self._words) >= _MOST_WORDS:
                return
            word = self._words[status] = _Word(line)
        elif word in by.words:
            return
        by.words.add(word)
        by.waiting.append(word)
        word.said_by += 1
        # What Ollama says after its layers it says when they are there. It leaves the last line of one out
        # when its download ends between two ticks (server/download.go, blobDownload.Wait).
        self._settle(by, is_done=True)
        self._tell_if_all_said(word)

    def _settle(self, by: _Puller, *, is_done: bool) -> None:
        if by.is_settled:
            return
        by.is_settled = True
        for share in by.shares.values():
            if share.settle(is_done=is_done):
                self._tell(share.layer)

    def _tell_if_all_said(self, word: _Word) -> None:
        if word.at or word.said_by != self._working:
            return
        # What only some say stays before what they all say after it.
        for by in self._targets.values():
            while word in by.words and (before := by.waiting.popleft()) is not word:
                if not before.at:
                    self._tell(before)
        self._tell(word)

    def _tell(self, item: _Item) -> None:
        self.changes += 1
        item.at = self.changes
        self._order[item] = None
        self._order.move_to_end(item)


class Watch:
    """One client's view of a progress.

    Lines go out in the order of the changes. Of a layer only the last change counts: so one number says what
    this client has been told, and what it did not read is not kept.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = progress.changes  # the last change that it was told
        self._told_at_once = 0  # how many of these lines
        self._told_at: dict[_Item, tuple[float, int]] = {}  # of layers: when, and which change
        # Who comes late is told of the layers first, then the words so far.
        before = sorted(progress.since(0), key=lambda item: isinstance(item, _Word))
        self._before = deque(before)

    def lines(self, now: float) -> list[bytes]:
        """Give lines that are due, each with its newline: so many that they are sent at once."""
        lines = self._progress.at_once[self._told_at_once :]
        self._told_at_once += len(lines)
        size = 0
        for item in self._pending():
            if self._due_at(item) > now or size >= _MOST_AT_ONCE:
                break  # what changed later stays behind it: bars are full before the word that follows
            lines.append(item.line())
            size += len(lines[-1])
            if self._before:
                self._before.popleft()
            else:
                self._told = item.at
            if isinstance(item, _Layer):
                self._told_at[item] = now, item.at
        return lines

    @property
    def next_at(self) -> float:
        """When there are lines though nothing new comes: 0 for at once, infinity where nothing is pending."""
        if self._told_at_once < len(self._progress.at_once):
            return 0.0
        pending = self._pending()
        return self._due_at(pending[0]) if pending else inf

    def _pending(self) -> list[_Item]:
        since = self._progress.since(self._told)
        if self._before:
            since = [item for item in since if item not in self._before]
        return [*self._before, *(item for item in since if self._is_news(item))]

    def _is_news(self, item: _Item) -> bool:
        told = self._told_at.get(item)
        return told is None or told[1] != item.at

    def _due_at(self, item: _Item) -> float:
        told = self._told_at.get(item)
        return 0.0 if told is None else told[0] + _GAP


def _count(number: object) -> int:
    """Read a number of bytes; 0 for what is none."""
    return number if type(number) is int and 0 <= number <= _MOST_COUNT else 0
