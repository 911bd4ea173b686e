"""A client's connection: requests in order out of its bytes, answers into them.

Owns reading, holding back, keep-alive, lingering and the clocks of one client. What a request means is the
service's: the proxy, the admin port and the simulated server are served by the same connection. One task
a connection at most: a request that waits for nothing needs none, and the bytes of an answer never do.
"""

import asyncio
from email.utils import formatdate
from typing import Final, cast

from gollamas.errors import ProxyError
from gollamas.net import sockets
from gollamas.net.contracts import Group, Later, Source
from gollamas.net.supervisor import Cancellable
from gollamas.wire.message import LARGE_BYTES, Fields, Head
from gollamas.wire.request import RequestReader
from gollamas.wire.response import head_bytes, status_line

MAX_HELD_BYTES: Final = 64 * 1024  # read ahead of a client while its request is answered
LINGER_SECONDS: Final = 5.0  # how long a refused client may go on sending
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def head_of(status: int, fields: Fields, ours: bytes) -> bytes:
    """The head of an answer of our own, which says when it was made (RFC 9110, section 6.6.1)."""
    date = (b"Date", formatdate(usegmt=True).encode())
    return head_bytes(status_line(status), [*fields, date], ours)


class ClientConnection(asyncio.Protocol):
    """One client. The service answers by `answer`, piece by piece by `write`, or on `transport` itself."""

    __slots__ = (
        "_clients", "_data", "_holds_head", "_is_begun", "_is_lingering", "_reader", "_reads_on", "_running",
        "_serve", "_stamp", "_unsent", "address", "complete_at", "drained", "fin_means_left",
        "forwarded_line", "has_ended", "is_busy", "is_gone", "is_paused", "is_stalled", "keep_alive", "now",
        "round", "source", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, clients: "Group[ClientConnection]") -> None:
        self._clients = clients
        self.round = clients.round
        self.now = clients.clock  # monotonic seconds
        self._reader = RequestReader(clients.service.on_head, clients.head_limits)
        self._serve = clients.service.serve
        self._data = b""  # read, not parsed yet
        self._running: Cancellable | None = None
        self.drained: asyncio.Future[None] | None = None  # of who waits until the client reads on
        self._is_begun = False  # a part of a request has come
        self._holds_head = False  # and its head is not whole
        self._is_lingering = False
        self._reads_on = False  # what came behind a request is about to be read
        self._unsent = 0
        self.address = ""
        self.complete_at = 0.0  # when the request that is being answered was complete
        self.fin_means_left = False  # a server was asked to run a model for the request
        self.has_ended = False  # the client sends no more (FIN); it may still read
        self.is_busy = False  # a request is being answered
        self.is_gone = False
        self.is_paused = False  # the client does not read what was sent
        self.is_stalled = False  # and has not for so long that it was cut
        self.keep_alive = True
        self.source: Source | None = None

    # -- what asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self.transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self.forwarded_line = f"X-Forwarded-For: {self.address}\r\n".encode()
        self._stamp = self._clients.clock()
        self._clients.made(self)

    def data_received(self, data: bytes) -> None:
        if self.is_busy or self.is_paused or self._is_lingering:
            self._hold(data)
            return
        round_ = self.round
        if self._data:
            self._data += data
            if len(self._data) <= MAX_HELD_BYTES:
                return
        else:
            self._data = data
            if round_.open > round_.few and len(data) <= MAX_HELD_BYTES:
                round_.has_request(self)
                return
        # What comes in large or many reads does not wait for its turn, which could pile megabytes up.
        if self.parse():
            self.serve()

    def eof_received(self) -> bool:
        """Answer a client that only sends no more, then end; False has the transport close itself.

        Once a model runs for it this is leaving, as it is for Ollama, whose server can't tell it from that.
        """
        self.has_ended = True
        if self._data and self.parse():  # it waits for its round
            self.serve()
        if self.fin_means_left:
            self.keep_alive = False
            self._leave()
        elif self.is_busy and not self._is_lingering:
            if not self._reader.rest:
                self.keep_alive = False
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it has gone either way
        self.is_gone = True
        if self._holds_head:
            self._clients.hold_head(self, 0)
        self._reader.give_up()
        self._clients.lost(self)
        self._leave()

    def _leave(self) -> None:
        """End what is done for a client that has left."""
        if self.source is not None:
            self.source.client_left()
        self.cancel()

    def pause_writing(self) -> None:
        self.is_paused = True
        self._stamp = self._clients.clock()
        if self.source is not None:
            self.source.pause()

    def resume_writing(self) -> None:
        self.is_paused = False
        if self.source is not None:
            self.source.resume()
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(None)
        if self._reads_on:
            asyncio.get_running_loop().call_soon(self._read_on)

    # -- requests ------------------------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        """Keep what comes while an answer goes out; what a refused client still sends is dropped."""
        if self._is_lingering:
            return
        if not self.is_busy:
            self.is_busy = self._reads_on = True  # until the client has read what it was sent
        reader = self._reader
        reader.rest += data
        if len(reader.rest) > MAX_HELD_BYTES:
            self.transport.pause_reading()

    def parse(self) -> bool:
        """Parse what was read; whether a request is complete."""
        data, self._data = self._data, b""
        if self.is_busy or self.is_gone or self._is_lingering:
            self._reader.rest = data + self._reader.rest  # where there is any, it waits for `_read_on`
            return False
        try:
            if self._reader.feed(data):
                self.is_busy = True
                self.round.open += 1
                if self._holds_head:
                    self._hold_head(0)
                return True
            self._read_in_part()
        except Exception as error:  # noqa: BLE001 - nobody else would end the connection
            self._reading_failed(error)
        return False

    def _reading_failed(self, error: Exception) -> None:
        if isinstance(error, ProxyError):
            try:
                self._refuse(error)
            except Exception as defect:  # noqa: BLE001 - as in `parse`
                error = defect
            else:
                return
        self.transport.abort()
        self.tell("reading a request", error)

    def tell(self, where: str, defect: Exception) -> None:
        """Have a defect logged that nobody can answer for."""
        asyncio.get_running_loop().call_exception_handler({"message": where, "exception": defect})

    def _read_in_part(self) -> None:
        """A part of a request has come: its clock runs from its first byte, in a body from the last."""
        reader = self._reader
        head = reader.head
        if head is not None or not self._is_begun:
            self._stamp = self.now()
        self._is_begun = not reader.is_idle
        held = reader.head_bytes
        if held or self._holds_head:
            self._hold_head(held)
        if head is not None and head.expects_continue:
            head.expects_continue = False
            self.transport.write(_CONTINUE)
        if self.has_ended:
            self.transport.close()

    def _hold_head(self, size: int) -> None:
        self._holds_head = size > 0
        self._clients.hold_head(self, size)

    def give_up_head(self) -> None:
        """Refuse a head that has not come to its end: others need what it holds."""
        self._reading_failed(_TooLate("the request's head did not come in time"))

    def serve(self) -> None:
        """Have the request answered that is complete; a large one in a turn of its own."""
        if len(self._reader.body) > LARGE_BYTES:
            self.round.one_a_turn(self._serve_large)
        else:
            self._serve_now()

    def _serve_large(self) -> None:
        if self.is_gone:
            self._reader.body = b""
            self.round.open -= 1
        else:
            self._serve_now()

    def _serve_now(self) -> None:
        reader = self._reader
        head = reader.head
        assert head is not None  # noqa: S101 - `feed` has answered True
        self.complete_at = self.now()
        self.keep_alive = head.keep_alive and not (self.has_ended and not reader.rest)
        body, reader.body = reader.body, b""  # it lives as long as the service keeps it
        try:
            later = self._serve(self, head, body)
        except Exception as defect:  # noqa: BLE001 - no client waits for an answer that can't come
            self.transport.abort()
            self.finished()
            self.tell("serving a request", defect)
            return
        if later is not None:
            self.run(later)

    def run(self, later: Later) -> None:
        """Run what has to wait; it is cancelled when the client leaves."""
        running = self._running = Cancellable(later, self.transport.abort)
        self._clients.spawn(running.run(), "client")

    def cancel(self) -> None:
        """Cancel what `run` has begun, at its first wait."""
        if self._running is not None:
            self._running.cancel()

    def finished(self, now: float | None = None) -> None:
        """The answer has gone out, or never will: read the next request, or end. `now` where it is known."""
        self.round.open -= 1
        self.source = None
        self.fin_means_left = False
        self._stamp = self.now() if now is None else now
        if self.is_gone:
            return
        reader = self._reader
        if not self.keep_alive or self._clients.is_draining or (self.has_ended and not reader.rest):
            self._end()
            return
        reader.next()
        self._is_begun = False
        if reader.rest:
            # Not now: this call may stand in the one that read the request.
            self._reads_on = True
            asyncio.get_running_loop().call_soon(self._read_on)
        else:
            self.is_busy = False

    def _end(self) -> None:
        """End the connection behind its last answer."""
        reader = self._reader
        if len(reader.rest) <= MAX_HELD_BYTES or self.transport.is_closing():
            self.transport.close()
            return
        # More of the client's bytes wait in the kernel: closing now would reset the connection, and the
        # client could lose the end of its answer (RFC 9112, section 9.6).
        reader.rest = b""
        self._linger()
        self.transport.resume_reading()

    def _linger(self) -> None:
        """Let the client read to the end; what it still sends is dropped."""
        self._is_lingering = True
        self._stamp = self.now()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _read_on(self) -> None:
        """Read what came behind the last request, once its answer is with the client."""
        if self.is_paused or self.is_gone or not self._reads_on:
            return
        self.is_busy = self._reads_on = False
        reader = self._reader
        was_held_up = len(reader.rest) > MAX_HELD_BYTES
        if self.parse():
            self.serve()
        if was_held_up and len(reader.rest) <= MAX_HELD_BYTES:
            self.transport.resume_reading()

    def _refuse(self, error: ProxyError) -> None:
        """Answer a request that can't be read to its end, and let the client read why."""
        self.keep_alive = False
        head = self._reader.head
        answer = self._clients.service.refusal(error, head, self)
        if self._holds_head:
            self._hold_head(0)
        self._reader.give_up()
        self.answer(answer.status, answer.fields, answer.body if isinstance(answer.body, bytes) else b"")
        self._linger()

    def turn_away(self, error: ProxyError) -> None:
        """Refuse a client that has only just connected, without reading what it asks."""
        self._refuse(error)

    # -- answers -------------------------------------------------------------------------------------

    @property
    def idle_since(self) -> float | None:
        """Since when it has waited for a request to begin; None while there is one, and at its end."""
        if self.is_busy or self.is_paused or self._is_lingering or self._data or not self._reader.is_idle:
            return None
        return None if self.is_gone or self.transport.is_closing() else self._stamp

    @property
    def head(self) -> Head | None:
        """The head of the request that is being read or answered."""
        return self._reader.head

    @property
    def asked(self) -> tuple[str, str] | None:
        """Method and path of a head that was refused before it was read."""
        return self._reader.asked

    def framing_lines(self, framing: bytes) -> bytes:
        """The last lines of an answer's head: how its body ends, and what becomes of the connection."""
        if not self.keep_alive or self._clients.is_draining:
            return framing + b"Connection: close\r\n"
        head = self._reader.head
        return framing + b"Connection: keep-alive\r\n" if head is not None and head.is_http10 else framing

    def answer(self, status: int, fields: Fields, body: bytes, lines: bytes = b"") -> None:
        """Send a whole answer; `lines` are ready lines of its head.

        To HEAD it has no body, after 204 and 304 neither body nor length.
        """
        has_length = status >= 200 and status not in (204, 304)
        ours = lines + self.framing_lines(b"Content-Length: %d\r\n" % len(body) if has_length else b"")
        start = head_of(status, fields, ours)
        is_head_only = not has_length or self._reader.method == b"HEAD"
        if not self.transport.is_closing():
            self.transport.write(start if is_head_only else start + body)

    def write(self, data: bytes) -> None:
        """Send a part of an answer whose source pauses when the client does."""
        self.round.write(self.transport, data)

    def close(self) -> None:
        """End the connection behind what was written."""
        self.round.flush()
        self.keep_alive = False
        self.transport.close()

    def reset(self) -> None:
        """End the connection so that the client sees a failure (RST)."""
        self.round.flush()
        self.keep_alive = False
        sockets.reset(self.transport)

    # -- clocks --------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """End what has waited for too long (RFC 9110, section 15.5.9, for 408)."""
        if self.is_paused or self.transport.is_closing():
            self._check_writing(now, self._clients.limits.write_timeout)
        elif self._is_lingering:
            if now - self._stamp > LINGER_SECONDS:
                self.transport.abort()
        elif not self.is_busy:
            self._check_reading(now - self._stamp)
        elif self.source is not None:
            self.source.check(now)

    def _check_reading(self, waited: float) -> None:
        limits = self._clients.limits
        if self._data:
            return  # it has just read
        if self._reader.in_body:
            if waited > limits.body_timeout:
                self._reading_failed(_TooLate("the request body did not come in time"))
        elif not self._reader.is_idle:
            if waited > limits.header_timeout:
                self._reading_failed(_TooLate("the request's head did not come in time"))
        elif waited > limits.client_idle_timeout:
            self.transport.close()

    def _check_writing(self, now: float, limit: float) -> None:
        unsent = sockets.unsent_bytes(self.transport)
        if unsent != self._unsent:
            self._unsent = unsent
            self._stamp = now
        elif now - self._stamp > limit:
            self.is_stalled = True
            self.reset()

    def drain(self) -> None:
        """No further request: an idle connection ends now, any other behind its answer."""
        if not self.is_busy and not self._data and self._reader.is_idle:
            self.transport.close()


class _TooLate(ProxyError):
    """A request that did not come to its end in time."""

    status = 408
