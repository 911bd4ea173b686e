"""A client's connection: requests in order out of its bytes, answers into them.

Owns reading, holding back, keep-alive, lingering and the clocks of one client. What a request means is the
service's: the proxy, the admin port and the simulated server are served by the same connection. One task
a connection at most: a request that waits for nothing needs none, and the bytes of an answer never do.
"""

import asyncio
from typing import Final, cast

from gollamas.errors import ProxyError, RequestTooSlow, ShuttingDown
from gollamas.net import states
from gollamas.net.contracts import Group, Judged, Later, Source
from gollamas.system import defects, sockets
from gollamas.system.supervisor import Cancellable
from gollamas.wire.framing import Room
from gollamas.wire.message import LARGE_BYTES, Head
from gollamas.wire.outgoing import AnswerWriter
from gollamas.wire.request import RequestReader

MAX_HELD_BYTES: Final = 64 * 1024  # read ahead of a client while its request is answered
LINGER_SECONDS: Final = 5.0  # how long a refused client may go on sending
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection(asyncio.Protocol):
    """One client. It is answered by `answering`, or by what its `writer` gives to `begin` and `write`."""

    __slots__ = (
        "_clients", "_is_draining", "_on_head", "_reader", "_running", "_stamp", "_state", "_transport",
        "_unread", "_unsent", "address", "complete_at", "fin_means_left", "forwarded_line", "has_ended",
        "is_paused", "keep_alive", "now", "round", "source", "turn",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, clients: "Group[ClientConnection]") -> None:
        self._clients = clients
        self.round = clients.round
        self.now = clients.clock  # monotonic seconds
        self._reader = RequestReader(clients.head_limits)
        self._on_head = clients.service.on_head
        self._state = states.IDLE
        self._unread = b""  # what came and is not parsed yet
        self.turn: Judged | None = None  # what answers the request whose head has come
        self._running: Cancellable | None = None
        self._unsent = 0
        self.complete_at = 0.0  # when the request that is being answered was complete
        self.fin_means_left = False  # a server was asked to run a model for the request
        self.has_ended = False  # the client sends no more (FIN); it may still read
        self.is_paused = False  # the client does not read what was sent
        self.keep_alive = True
        self.source: Source | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self.forwarded_line = f"X-Forwarded-For: {self.address}\r\n".encode()
        self._stamp = self.now()
        self._is_draining = self._clients.is_draining
        self._clients.made(self)

    def data_received(self, data: bytes) -> None:
        if self._state >= states.ENDING:
            return
        unread = self._unread = self._unread + data if self._unread else data
        if self._state > states.BODY or self.is_paused:
            self._state = states.HAS_MORE[self._state]
            if len(unread) > MAX_HELD_BYTES:
                self._transport.pause_reading()
        else:
            # What comes in large or many reads would pile up while it waits.
            self._has_read(may_wait=len(unread) <= MAX_HELD_BYTES)

    def eof_received(self) -> bool:
        """Answer a client that only sends no more, then end; False has the transport close itself.

        Once a model runs for it this is leaving, as it is for Ollama, whose server can't tell it from that.
        """
        self.has_ended = True
        self._has_read(may_wait=False)
        if self.fin_means_left:
            self.keep_alive = False
            self._stop_work()
            return False
        if self.is_busy and not self._unread:
            self.keep_alive = False
        return self.is_busy

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it has gone either way
        self._state = states.WAS_LOST[self._state]
        self._give_up_request()
        self._clients.lost(self)
        self._stop_work()

    def _stop_work(self) -> None:
        """End what is done for a client that has left."""
        if self.source is not None:
            self.source.client_left()
        self.cancel()

    def pause_writing(self) -> None:
        self.is_paused, self._stamp = True, self.now()
        if self.source is not None:
            self.source.pause()

    def resume_writing(self) -> None:
        self.is_paused = False
        if self.source is not None:
            self.source.resume()
        if self._state == states.BEHIND:
            asyncio.get_running_loop().call_soon(self._read_on)

    def _has_read(self, *, may_wait: bool) -> None:
        if not self.round.defers_request(self, may_wait) and self.parse():
            self.serve()

    def parse(self) -> bool:
        """Parse what was read; whether a request is complete."""
        data = self._unread
        if not data or self._state > states.BODY:
            return False  # it was parsed before its turn, or waits until the client has its answer
        self._unread = b""
        try:
            rest = self._reader.feed(data, self)
            if rest is None:
                self._read_in_part()
                return False
        except Exception as error:  # noqa: BLE001 - nobody else would end the connection
            self._reading_failed(error)
            return False
        self._unread = rest
        self.round.open += 1
        self._state = states.WAS_WHOLE[self._state]
        return True

    def on_head(self, head: Head) -> Room:
        """Find out who answers a request, which says how much of its body is read."""
        if self._state == states.HEAD:
            self._clients.hold_head(self, 0)
        turn = self.turn = self._on_head(self, head)
        return turn.room

    def _reading_failed(self, error: Exception) -> None:
        try:
            if not isinstance(error, ProxyError):
                raise error  # noqa: TRY301 - a defect, as one of what answers it
            self.refuse(error)
        except Exception as defect:  # noqa: BLE001 - as in `parse`
            self._transport.abort()
            defects.tell("reading a request", defect)

    def _read_in_part(self) -> None:
        """A part of a request has come: its clock runs from its first byte, in a body from the last."""
        head = self._reader.head
        if head is None:
            if self._state == states.IDLE:
                self._stamp = self.now()
            self._state = states.HEAD_BEGAN[self._state]
            self._clients.hold_head(self, self._reader.head_bytes)
        else:
            self._stamp = self.now()
            self._state = states.BODY_BEGAN[self._state]
            if self._reader.is_held_up:
                self._transport.pause_reading()
            else:
                self._say_continue()
        if self.has_ended:
            self._transport.close()

    def _say_continue(self) -> None:
        head = self._reader.head
        if head is not None and head.expects_continue:
            head.expects_continue = False
            self._transport.write(_CONTINUE)

    def _give_up_request(self) -> None:
        """Read no more of a request, and hold nothing of it."""
        self.turn, self._reader.body = None, b""
        self._reader.give_up()
        self._clients.hold_head(self, 0)

    def serve(self) -> None:
        """Have the request answered that is complete; one that is large, or may be, in a turn of its own."""
        head = self._reader.head
        is_coded = head is not None and not head.is_plain and b"content-encoding" in head.names
        if is_coded or len(self._reader.body) > LARGE_BYTES:
            self.complete_at = self.now()
            self.round.one_a_turn(self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        reader, turn = self._reader, self.turn
        head = reader.head
        if turn is None or head is None:  # it was given up before its turn of the loop
            self.round.open -= 1
            return
        self.complete_at = self.now()
        self.keep_alive = head.keep_alive and not (self.has_ended and not self._unread)
        body, reader.body = reader.body, b""  # it lives as long as the turn keeps it
        try:
            later = turn.begin(body)
        except Exception as defect:  # noqa: BLE001 - no client waits for an answer that can't come
            self._transport.abort()
            self.request_done()
            defects.tell("serving a request", defect)
            return
        if later is not None:
            self.run(later)

    def run(self, later: Later) -> None:
        """Run what has to wait; it is cancelled when the client leaves."""
        running = self._running = Cancellable(later, self._transport.abort)
        self._clients.spawn(running.run(), "client")

    def cancel(self) -> None:
        """Cancel what `run` has begun, at its first wait."""
        if self._running is not None:
            self._running.cancel()

    def request_done(self, now: float | None = None) -> None:
        """The answer has gone out, or never will: read the next request, or end. `now` where it is known."""
        self.round.open -= 1
        self.source = self.turn = None
        self.fin_means_left = False
        self._stamp = self.now() if now is None else now
        self._state = states.WAS_ANSWERED[self._state]
        if self._state >= states.STALLED:
            return
        if not self.keep_alive or self._is_draining or (self.has_ended and not self._unread):
            self._close_behind_answer()
            return
        self._reader.next()
        if self._unread:
            # Not now: this call may stand in the one that read the request.
            self._state = states.HAS_MORE[self._state]
            asyncio.get_running_loop().call_soon(self._read_on)

    def _close_behind_answer(self) -> None:
        """End the connection behind its last answer."""
        self._reader.give_up()
        if len(self._unread) > MAX_HELD_BYTES and not self._transport.is_closing():
            # More of the client's bytes wait in the kernel: closing now would reset the connection, and the
            # client could lose the end of its answer (RFC 9112, section 9.6).
            self._linger()
            self._transport.resume_reading()
        else:
            self._state = states.WAS_LAST[self._state]
            self._transport.close()

    def _linger(self) -> None:
        """Let the client read to the end; what it still sends is dropped."""
        self._state = states.WAS_LAST[self._state]
        self._unread, self._stamp = b"", self.now()
        self._transport.write_eof()

    def _read_on(self) -> None:
        """Read what came behind the last request, once its answer is with the client."""
        if self.is_paused or self._state != states.BEHIND:
            return
        self._state = states.READS_ON[self._state]
        was_held_up = len(self._unread) > MAX_HELD_BYTES
        self._has_read(may_wait=False)
        if was_held_up and len(self._unread) <= MAX_HELD_BYTES:
            self._transport.resume_reading()

    def refuse(self, error: ProxyError) -> None:
        """Answer a request that is not read to its end, and let the client read why."""
        self.keep_alive = False
        if self.turn is not None:
            self.turn.refuse(error)
        else:
            self._clients.service.refuse(self, error, self._reader.asked)
        self.leave_unread()

    def leave_unread(self) -> None:
        """Read no more of a request that was answered before its end."""
        if self._reader.is_held_up:
            self._transport.resume_reading()
        self._give_up_request()
        self._linger()

    def read_on(self) -> None:
        """Read more of a body that is taken in pieces."""
        if self._state <= states.BODY and self._reader.is_held_up:
            self._reader.go_on()
            self._stamp = self.now()
            self._say_continue()
            self._transport.resume_reading()

    def give_up_head(self) -> None:
        """Refuse a head that has not come to its end: others need what it holds."""
        self._clients.hold_head(self, 0)  # first: whoever makes room for others comes back until it is done
        self._reading_failed(RequestTooSlow("the request's head did not come in time"))

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or another one waits behind it."""
        return states.ANSWERING <= self._state <= states.BEHIND

    @property
    def is_closing(self) -> bool:
        """Whether nothing more reaches the client."""
        return self._transport.is_closing()

    @property
    def is_stalled(self) -> bool:
        """Whether it was cut since it took nothing of what it was sent."""
        return self._state == states.STALLED

    @property
    def idle_since(self) -> float | None:
        """Since when it has waited for a request to begin; None while there is one, and at its end."""
        is_idle = self._state == states.IDLE and not self._unread and not self.is_paused
        return self._stamp if is_idle and not self._transport.is_closing() else None

    def writer(self) -> AnswerWriter:
        """Make the writer of the answer that is about to begin."""
        head = self._reader.head
        return AnswerWriter(
            is_http10=head is not None and head.is_http10,
            to_head=self._reader.method == b"HEAD",
            keeps_alive=self.keep_alive and not self._is_draining,
        )

    def begin(self, writer: AnswerWriter, data: bytes) -> None:
        """Send the head of an answer, and what its writer gave with it."""
        if not writer.keeps_alive:
            self.keep_alive = False
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send a part of an answer whose source pauses when the client does."""
        self.round.write(self._transport, data)

    def close(self) -> None:
        """End the connection behind what was written."""
        self.round.flush()
        self.keep_alive = False
        self._transport.close()

    def reset(self) -> None:
        """End the connection so that the client sees a failure (RST)."""
        self.round.flush()
        self.keep_alive = False
        sockets.reset(self._transport)

    def abort(self) -> None:
        """End the connection now, whatever was written."""
        self._transport.abort()

    def check(self, now: float) -> None:
        """End what has waited for too long (RFC 9110, section 15.5.9, for 408)."""
        if self.is_paused or self._transport.is_closing():
            self._check_writing(now, self._clients.limits.write_timeout)
        elif self._state == states.ENDING and now - self._stamp > LINGER_SECONDS:
            self._transport.abort()
        elif self._state <= states.BODY and not self._unread and not self._reader.is_held_up:
            self._check_reading(now - self._stamp)
        elif self.has_ended and sockets.was_reset(self._transport):
            self._transport.abort()  # nothing is read any more of a client that has ended its side
        elif self.source is not None:
            self.source.check(now)

    def _check_reading(self, waited: float) -> None:
        limits = self._clients.limits
        if self._state == states.IDLE:
            if waited > limits.client_idle_timeout:
                self._transport.close()
        elif self._state == states.HEAD:
            if waited > limits.header_timeout:
                self.give_up_head()
        elif waited > limits.body_timeout:
            self._reading_failed(RequestTooSlow("the request body did not come in time"))

    def _check_writing(self, now: float, limit: float) -> None:
        unsent = sockets.unsent_bytes(self._transport)
        if unsent != self._unsent:
            self._unsent, self._stamp = unsent, now
        elif now - self._stamp > limit:
            self._state = states.WAS_CUT[self._state]
            self.reset()

    def drain(self) -> None:
        """No further request: an idle connection ends now, any other behind its answer."""
        self._is_draining = True
        if self._state == states.IDLE and not self._unread:
            self._transport.close()

    def shut_down(self) -> None:
        """The grace period is over: an answer ends with an error where its framing has room for one."""
        if self.source is not None:
            self.source.shut_down()
        elif self._reader.body:  # whole, but its turn has not come
            self._reading_failed(ShuttingDown("gollamas is shutting down"))
        else:
            self.close()
