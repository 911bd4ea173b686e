"""A connection to a server: one request at a time, its answer to a sink.

Owns the socket's callbacks and where an answer ends. Knows nothing of clients or models: whoever sends a
request gives a sink of three calls. Many connections share one read buffer, since whatever is kept of a
read is copied within the callback.
"""

import asyncio
from typing import Final, Protocol, cast

from gollamas.wire.response import BadAnswer, ResponseReader

_BUFFER: Final = bytearray(32 * 1024)
_VIEW: Final = memoryview(_BUFFER)


class Sink(Protocol):
    """What an answer goes to. After `ended` or `failed` no call comes any more."""

    def progress(self, reader: ResponseReader) -> None:
        """A read was parsed: look at its head, take its pieces."""

    def ended(self) -> None:
        """The answer is whole; the connection has gone back to its pool, or is closed."""

    def has_left(self) -> bool:
        """Whether nobody is there any more to take the answer."""

    def failed(self, why: str) -> None:
        """The connection ended, or what came is no HTTP, before the answer's end."""


class Home(Protocol):
    """Where a connection belongs."""

    def give(self, connection: "ServerConnection") -> None:
        """Take it for the next request: its answer was whole and it stays open."""

    def lost(self, connection: "ServerConnection") -> None:
        """Forget it; called once."""


class ServerConnection(asyncio.BufferedProtocol):
    """One connection to a server."""

    __slots__ = ("_home", "_sink", "idle_since", "is_closed", "is_fresh", "reader", "server_id", "transport")

    transport: asyncio.Transport

    def __init__(self, server_id: str, home: Home) -> None:
        self.server_id = server_id
        self.reader = ResponseReader()
        self.is_closed = False
        self.is_fresh = True  # no answer has come on it yet
        self.idle_since: float | None = None  # monotonic seconds, when the pool has looked
        self._sink: Sink | None = None
        self._home = home

    def send(self, head: bytes, body: bytes, sink: Sink, *, is_head_request: bool = False) -> None:
        """Send a request; all that comes goes to `sink`."""
        self.reader.begin(is_head_request=is_head_request)
        self._sink = sink
        # HOT: one write is one system call; above 64 KiB the copy costs more than the call.
        transport = self.transport
        if len(body) < 65536 and not transport.is_closing():
            transport.write(head + body)
            return
        for part in (head, body):
            if not transport.is_closing():  # else `connection_lost` is on its way and tells the sink
                transport.write(part)

    def pause(self) -> None:
        """Stop reading."""
        if not self.is_closed:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.is_closed:
            self.transport.resume_reading()

    def abort(self) -> None:
        """End it now; the sink hears nothing more."""
        self._sink = None
        self.is_closed = True
        self.transport.abort()

    # -- what asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - the buffer's size bounds what is held
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        sink = self._sink
        if sink is None:
            self.abort()  # bytes that nobody asked for
            return
        reader = self.reader
        broken: BadAnswer | None = None
        try:
            try:
                reader.feed(_VIEW[:nbytes])
            except BadAnswer as why:
                broken = why  # what came before it is passed on all the same
            sink.progress(reader)
        except Exception as defect:  # noqa: BLE001 - asyncio would log it and leave both sides open
            if sink.has_left():  # a write to a client that is just going
                self.abort()
                return
            self._fail("an internal error: see the log of gollamas")
            asyncio.get_running_loop().call_exception_handler(
                {"message": "reading an answer", "exception": defect}
            )
            return
        if broken is not None:
            self._fail(str(broken))
        elif reader.is_complete and self._sink is not None:
            self._sink = None
            self.is_fresh = False
            if reader.keeps_alive and not self.is_closed:
                self._home.give(self)
            else:
                self.abort()
            sink.ended()

    def eof_received(self) -> None:
        sink = self._sink
        if sink is not None and self.reader.finished():
            self._sink = None
            sink.progress(self.reader)
            sink.ended()
        elif sink is not None:
            self._fail("it closed the connection")
        self.is_closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._sink is not None:
            self._fail(f"the connection broke: {exc}" if exc else "it closed the connection")
        self._home.lost(self)

    def _fail(self, why: str) -> None:
        sink, self._sink = self._sink, None
        self.is_closed = True
        self.transport.abort()
        if sink is not None:
            sink.failed(why)
