"""A connection to a server: one request at a time, its answer to a sink.

Owns the socket's callbacks and where an answer ends. Knows nothing of clients or models: whoever sends a
request gives a sink of three calls. Many connections share one read buffer, since a read is copied within
the callback; what it says is worked off in the round of its turn.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from gollamas.net.rounds import Round
from gollamas.system import defects, reasons, sockets
from gollamas.wire.body import Pieces
from gollamas.wire.response import BadAnswer, ResponseReader

_SIZE: Final = 32 * 1024  # bounds what is held of an answer whose client does not keep up
_BUFFER: Final = bytearray(_SIZE)
_SLICE: Final = 256 * 1024  # of a large body, written in one turn of the loop
_MOST_COPIED: Final = 64 * 1024  # bytes of a body whose copy costs less than a system call
_VIEW: Final = memoryview(_BUFFER)


class Sink(Protocol):
    """What an answer goes to. After `completed` or `broke` no call comes any more."""

    def progress(self, reader: ResponseReader) -> None:
        """A read was parsed: look at its head, take its pieces."""

    def completed(self) -> None:
        """The answer is whole; the connection has gone back to its pool, or is closed."""

    def broke(self, why: str) -> None:
        """The connection ended, or what came is no HTTP, before the answer's end."""


class Home(Protocol):
    """Where a connection belongs."""

    round: Round

    def made(self, connection: "ServerConnection") -> None:
        """Count it in, when it is ready for its first request."""

    def give(self, connection: "ServerConnection") -> None:
        """Take it for the next request: its answer was whole and it stays open."""

    def lost(self, connection: "ServerConnection") -> None:
        """Forget it; called once."""

    def close_all_idle(self) -> bool:
        """Close what waits for a request, since descriptors run out; whether there was any."""


class ServerConnection(asyncio.BufferedProtocol):
    """One connection to a server."""

    __slots__ = (
        "_broken", "_data", "_room", "_round", "_sink", "_unsent", "home", "idle_since", "is_closed",
        "is_fresh", "is_full", "reader", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, home: Home) -> None:
        self.reader = ResponseReader()
        self.is_closed = False
        self.is_fresh = True  # no answer has come on it yet
        self.idle_since: float | None = None  # monotonic seconds, when the pool has looked
        self._sink: Sink | None = None
        self.home = home
        self._round = home.round
        self._data = b""  # read, not parsed yet
        self._broken = ""  # why what was parsed is no answer
        self._unsent: list[memoryview] = []  # the rest of a large body, its next piece last
        self._room: Callable[[], None] | None = None  # called when there is, while a body goes out in pieces
        self.is_full = False  # the kernel takes no more for now

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request; who sends it says in the same turn, by `expect`, where its answer goes."""
        if len(body) < _MOST_COPIED:
            self._write(head + body)  # HOT: one write is one system call
        else:
            self._write(head)
            self._write(body)

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self.transport.write(data)
        except RuntimeError:
            self.transport.abort()  # it is closing: `connection_lost` is on its way and tells the sink

    def send_pieces(self, head: bytes, pieces: Pieces) -> None:
        """As `send`, for a large body: slice by slice, so that others are served between two of them."""
        self._unsent = [memoryview(piece) for piece in reversed(pieces)]
        self._write(head)
        self._send_slice()

    def _send_slice(self) -> None:
        unsent = self._unsent
        if self.is_full or not unsent or self.is_closed:
            return
        piece = unsent.pop()
        if len(piece) > _SLICE:
            unsent.append(piece[_SLICE:])
            piece = piece[:_SLICE]
        self._write(piece)
        if unsent and not self.is_full:
            asyncio.get_running_loop().call_soon(self._send_slice)

    def begin(self, head: bytes, room: Callable[[], None]) -> None:
        """Send the head of a request whose body comes by `write`, until `finish`.

        `room` is called when all that was written has gone out, after `is_full`.
        """
        self._room = room
        if not self.is_closed:
            self.transport.set_write_buffer_limits(high=0)
            sockets.bear_stalls(self.transport)  # how long is for whoever writes to say
        self._write(head)

    def write(self, *pieces: bytes | memoryview) -> None:
        """Send the next bytes of a request.

        HOT: in one system call, and none of them is copied for that.
        """
        try:
            self.transport.writelines(pieces)
        except RuntimeError:
            self.transport.abort()  # as in `_write`

    @property
    def unsent(self) -> int:
        """How many bytes of what was written the kernel has not taken."""
        return 0 if self.is_closed else self.transport.get_write_buffer_size()

    def finish(self) -> None:
        """Note that they were the last."""
        self._room = None

    def expect(self, sink: Sink, *, is_head_request: bool = False) -> None:
        """Give all that comes from now on to `sink`."""
        if is_head_request:
            self.reader.begin(is_head_request=True)
        self._sink = sink
        if self.is_closed:  # it was as soon as it was made, and nothing comes any more
            asyncio.get_running_loop().call_soon(self._fail, "it closed the connection")

    def pause(self) -> None:
        """Stop reading."""
        if not self.is_closed:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.is_closed:
            self.transport.resume_reading()

    def abort(self) -> None:
        """End it now; the sink hears nothing more. A body in pieces that has no end is cut by an RST."""
        is_cut, self._room = self._room is not None, None
        self._sink = None
        self._data = b""
        self._unsent = []
        if is_cut and not self.is_closed:
            sockets.reset(self.transport)
        self.is_closed = True
        self.transport.abort()

    # -- what asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self._send_slice()
        if self._room is not None:
            self._room()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the buffer's size bounds what is held
        return _VIEW  # asyncio's TLS reads a second record into a slice, which of a bytearray were a copy

    def buffer_updated(self, nbytes: int) -> None:
        if self._sink is None:
            self.abort()  # bytes that nobody asked for
            return
        # Where more of it follows in this turn, it would pile up without a look at the client.
        may_wait = not self._data and nbytes < _SIZE
        data = _VIEW[:nbytes].tobytes()
        self._data = self._data + data if self._data else data
        self._has_read(may_wait=may_wait)

    def eof_received(self) -> None:
        self._has_read(may_wait=False)
        if self._sink is not None and self.reader.at_eof():
            if self.pass_on():
                self.settle()
        elif self._sink is not None:
            self._fail("it closed the connection")
        self.is_closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_read(may_wait=False)
        self.is_closed = True
        if self._sink is not None:
            self._fail(reasons.broken(exc) if exc else "it closed the connection")
        self.home.lost(self)

    def _has_read(self, *, may_wait: bool) -> None:
        if not self._round.defers_answer(self, may_wait) and self.parse() and self.pass_on():
            self.settle()

    # -- what a round calls --------------------------------------------------------------------------

    def parse(self) -> bool:
        """Parse what was read; whether there is something to pass on."""
        data = self._data
        if not data:
            return False  # it was worked off before its turn
        self._data = b""
        if self._sink is None:
            self.abort()  # bytes that nobody asked for
            return False
        try:
            self.reader.feed(data)
        except BadAnswer as why:
            self._broken = str(why)  # what came before it is passed on all the same
        except Exception as defect:  # noqa: BLE001 - nobody else would end both sides
            self._defect(defect)
            return False
        return True

    def pass_on(self) -> bool:
        """Pass on what was parsed; whether the answer is whole by that."""
        sink = self._sink
        if sink is None:
            return False
        try:
            sink.progress(self.reader)
        except Exception as defect:  # noqa: BLE001 - as above
            self._defect(defect)
            return False
        if self._broken:
            self._fail(self._broken)
            return False
        return self.reader.is_complete and self._sink is not None

    def settle(self) -> None:
        """Go back to the pool, or close; then tell of the end."""
        sink = self._sink
        if sink is None:
            return
        self._sink = None
        self.is_fresh = False
        reader = self.reader
        if reader.keeps_alive and not self.is_closed and not self._unsent and self._room is None:
            reader.begin()  # HOT: now, and not while a client waits
            self.home.give(self)
        else:
            self.abort()
        try:
            sink.completed()
        except Exception as defect:  # noqa: BLE001 - it must end no other connection's turn
            defects.tell("ending an answer", defect)

    def _defect(self, defect: Exception) -> None:
        self._fail("an internal error: see the log of gollamas")
        defects.tell("reading an answer", defect)

    def _fail(self, why: str) -> None:
        sink, self._sink = self._sink, None
        self.is_closed = True
        self.transport.abort()
        if sink is None:
            return
        try:
            sink.broke(why)
        except Exception as defect:  # noqa: BLE001 - as in `settle`
            defects.tell("ending an answer that broke off", defect)
