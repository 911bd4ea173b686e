"""Feeds the readers of the wire with bytes in pieces, and says what they made of them."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from gollamas.errors import ProxyError
from gollamas.wire.framing import Room, room_for_pieces
from gollamas.wire.head import HeadLimits
from gollamas.wire.message import Body, Budget, Head
from gollamas.wire.request import RequestReader
from gollamas.wire.response import BadAnswer, Ends, ResponseReader, end_to_end

LIMIT = 64 * 1024 * 1024  # of a body, where a test asks for nothing else
LIMITS = HeadLimits(64 * 1024, 200)


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at these places; those behind the end cut nothing."""
    marks = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


def one_by_one(data: bytes) -> list[bytes]:
    """Cut bytes into single ones."""
    return [data[i : i + 1] for i in range(len(data))]


@dataclass(slots=True)
class Seen:
    """What a client's bytes were read as: whole requests, then an error or what is left."""

    requests: list[tuple[Head, Body]] = field(default_factory=list)
    error: type[ProxyError] | None = None

    @property
    def status(self) -> int | None:
        """The status of the refusal."""
        return self.error.status if self.error is not None else None

    @property
    def bodies(self) -> list[Body]:
        """The bodies in their order."""
        return [body for _, body in self.requests]


class Alike:
    """Judges every request alike: so much of a body is read. Keeps what it is told."""

    def __init__(
        self, limit: int = LIMIT, budget: Budget | None = None, refusal: ProxyError | None = None
    ) -> None:
        self.told: list[Head] = []
        self.room = Room(limit, budget, refusal)

    def on_head(self, head: Head) -> Room:
        self.told.append(head)
        return self.room


class Takes:
    """Takes a body in pieces and keeps what it is told; goes on reading unless `answers` say otherwise."""

    def __init__(self, answers: Iterable[bool] = ()) -> None:
        self.told: list[bytes | str] = []
        self._answers = list(answers)

    @property
    def pieces(self) -> list[bytes]:
        """The pieces alone."""
        return [one for one in self.told if isinstance(one, bytes)]

    def piece(self, data: bytes | memoryview) -> bool:
        self.told.append(bytes(data))
        return self._answers.pop(0) if self._answers else True

    def whole(self) -> None:
        self.told.append("whole")

    def cut(self) -> None:
        self.told.append("cut")


def streamed(pieces: Iterable[bytes], takes: Takes) -> bytes | None:
    """Read one request whose body goes to `takes`; what stands behind it, None while it is not whole."""
    reader, judge = RequestReader(LIMITS), Alike()
    judge.room = room_for_pieces(takes)
    rest: bytes | None = None
    for piece in pieces:
        rest = reader.feed(piece, judge) if rest is None else rest + piece
    return rest


def requests_of(pieces: Iterable[bytes], limit: int = LIMIT) -> Seen:
    """Read all requests of one connection, as `net/downstream` does, until one is refused."""
    seen = Seen()
    reader, room = RequestReader(LIMITS), Alike(limit)
    try:
        for piece in pieces:
            rest = piece
            while rest and (behind := reader.feed(rest, room)) is not None:
                assert reader.head is not None
                seen.requests.append((reader.head, reader.body))
                reader.next()
                rest = behind
    except ProxyError as error:
        seen.error = type(error)
    return seen


def first_request(pieces: list[bytes], limit: int = LIMIT) -> tuple[Head, Body, bytes]:
    """Read one request: its head, its body, and every byte behind it."""
    reader = RequestReader(LIMITS)
    for at, piece in enumerate(pieces):
        rest = reader.feed(piece, Alike(limit))
        if rest is not None:
            assert reader.head is not None
            return reader.head, reader.body, rest + b"".join(pieces[at + 1 :])
    raise AssertionError("no request is complete")


def refusal_of(data: bytes, limit: int = LIMIT) -> ProxyError:
    """Read bytes that are to be refused."""
    reader = RequestReader(LIMITS)
    try:
        rest = reader.feed(data, Alike(limit))
    except ProxyError as error:
        return error
    raise AssertionError(f"accepted: {reader.head}, and behind it {rest!r}")


@dataclass(slots=True)
class Answered:
    """What a server's bytes were read as."""

    status: int = 0
    lines: bytes = b""
    names: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    ends: Ends | None = None
    is_complete: bool = False
    keeps_alive: bool = False
    error: str | None = None


def answer_of(pieces: Iterable[bytes], *, to_head: bool = False, closes: bool = False) -> Answered:
    """Read one answer, and the connection's end behind it where it `closes`."""
    reader = ResponseReader()
    reader.begin(is_head_request=to_head)
    said = Answered()
    try:
        for piece in pieces:
            reader.feed(piece)
            said.body += reader.take()
    except BadAnswer as error:
        said.error = str(error)
        return said
    if closes:
        reader.at_eof()
    if reader.has_head:
        said.status, said.ends = reader.status, reader.ends
        said.lines, said.names = end_to_end(reader), reader.names
    said.is_complete, said.keeps_alive = reader.is_complete, reader.keeps_alive
    return said
