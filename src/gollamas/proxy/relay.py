"""One attempt: a server's answer on its way to the client.

Owns the sink and the source of the two connections, their clocks, back-pressure, and what an end means; the
bytes that the client gets are the writer's. It runs within the callbacks of both connections; its call only
hears how it ended. Nothing is decoded on the way.
"""

from abc import abstractmethod
from typing import Final

from gollamas.api.inference import NamedModel
from gollamas.api.routes import Route, is_own_answer, shape_of
from gollamas.fleet.admit import Lease
from gollamas.fleet.attempts import Outcome
from gollamas.fleet.server_view import ServerView
from gollamas.net.answering import break_off
from gollamas.net.upstream import ServerConnection
from gollamas.proxy.turn import Turn
from gollamas.wire.hiding import NameHider
from gollamas.wire.lines import NameEditor
from gollamas.wire.outgoing import UNKNOWN, AnswerWriter
from gollamas.wire.response import AnswerHead, Ends, ResponseReader, end_to_end
from gollamas.wire.tail import counts

BUSY_STATUS: Final = 503  # Ollama's answer when its queue is full: another server may do it
_NOT_FOUND: Final = 404
_HELD_SECONDS: Final = 1.0  # that a busy answer may take to its end before another server is asked
_BY_LENGTH: Final = Ends.LENGTH
_EVENTS: Final = b"text/event-stream"


class Call(Turn[Route]):
    """What every attempt of one request shares, and who hears how one ended.

    HOT: a base class, since to the compiler a protocol's attributes are looked up by name.
    """

    named: NamedModel | None = None  # the body's members; let go when an answer begins
    load_s: float = 0.0  # what the server calls the time of a load

    @abstractmethod
    def passed(self, relay: "Relay") -> None:
        """Hear that the whole answer went to the client."""

    @abstractmethod
    def attempt_ended(self, relay: "Relay", outcome: Outcome) -> None:
        """Hear how the attempt ended else; one of the two is called once, unless the client leaves first."""

    @abstractmethod
    def may_move_on(self) -> bool:
        """Whether another server could be asked."""

    @abstractmethod
    def may_remake(self) -> bool:
        """Whether the variant that was asked for could be made again."""

    @abstractmethod
    def abandon(self) -> None:
        """Hear that the client left; nothing more comes."""


class Relay:
    """The sink of a server's connection and the source of a client's.

    A 503 is held back while its call may still move on, and a 404 while a variant can be made again. After
    the end `why` says in words what went wrong.
    """

    held: list[bytes] | None = None
    ended_at: float | None = None  # where it is known already
    why = ""
    _connection: ServerConnection | None
    _held_head: AnswerHead | None = None
    is_events = False
    _is_opaque = False  # bytes among which no word of ours may stand
    _seen = 0

    def __init__(
        self, call: Call, connection: ServerConnection, lease: Lease, server_line: bytes, now: float
    ) -> None:
        self._call = call
        self._server = lease.held
        self._client = client = call.client
        self._connection = connection
        self._lines = call.lines + server_line
        self._writer: AnswerWriter | None = None  # None until the head has gone out
        self._names: tuple[bytes, bytes] | None = None  # as the server was asked, as the client asked
        self._by_variant = False
        self._held_as = Outcome.BUSY  # what an answer that is held back means
        self._is_done = False
        self.is_kept = not connection.is_fresh  # it had served before
        self.reader = connection.reader
        self.sent_at = self._seen_at = now
        client.source = self

    def renames(self, used: str, asked: str) -> None:
        """Have the name that the server is asked for changed back in its answer."""
        self._names = used.encode(errors="replace"), asked.encode(errors="replace")

    def hides(self, variant: str, asked: str) -> None:
        """As `renames`, for a variant of ours: nothing of it may reach the client."""
        self.renames(variant, asked)
        self._by_variant = True

    # -- what the server's connection calls ----------------------------------------------------------

    def progress(self, reader: ResponseReader) -> None:
        writer = self._writer
        if writer is None:
            self._progress_head(reader)
            return
        # HOT: a piece of a stream takes this way and no other: one write a read.
        pieces = reader.pieces
        data = pieces.pop() if len(pieces) == 1 else reader.take()
        data = writer.end(data) if reader.is_complete else writer.piece(data)
        if data:
            self._client.write(data)

    def completed(self) -> None:
        if self.held is not None:
            self._finish(self._held_as)
            return
        self._connection = None
        self._is_done = True
        self._call.passed(self)

    def broke(self, why: str) -> None:
        self.why = why
        if self.held is not None:
            self._give_up_held()
        elif self._writer is None:
            self._finish(Outcome.BROKE_EARLY if self.reader.has_begun else Outcome.UNANSWERED)
        else:
            self._break_off(f"the server ended its answer too soon: {why}", Outcome.BROKE_LATE)

    # -- what the client's connection calls ----------------------------------------------------------

    def pause(self) -> None:
        # Behind the last byte of an answer its connection goes back to the pool, where nobody resumes it.
        if self._connection is not None and not self.reader.is_complete:
            self._connection.pause()

    def resume(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def client_left(self) -> None:
        self.abort()
        if not self._is_done:
            self._is_done = True
            self._call.abandon()

    def check(self, now: float) -> None:
        """End an answer whose server is silent: before the first byte, or between two pieces."""
        if self._connection is None:
            return
        if self.held is not None:
            if now - self._seen_at > _HELD_SECONDS:
                self.abort()
                self._give_up_held()
        elif self._writer is None:
            limit = self._first_byte_limit
            if limit is not None and now - self.sent_at > limit:
                self.why = f"no answer within {limit:g} s"
                self.abort()
                self._finish(Outcome.TOO_SLOW)
        elif self._client.is_paused or self._seen != self.bytes_out:
            self._seen = self.bytes_out
            self._seen_at = now
        else:
            limit = self._call.snapshot.config.idle_timeout
            if now - self._seen_at > limit:
                self.cut(f"the server sent nothing for {limit:g} s", Outcome.WENT_SILENT)

    @property
    def _first_byte_limit(self) -> float | None:
        """Seconds; None where a model runs and its answer comes whole."""
        call = self._call
        if call.route.loads and (call.named is None or not call.named.streams):
            return None
        return call.snapshot.config.first_byte_timeout

    def shut_down(self) -> None:
        self.cut("gollamas is shutting down", Outcome.SHUT_DOWN)

    # -- ends ----------------------------------------------------------------------------------------

    def abort(self) -> None:
        """End the server's side at once; nobody hears of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def cut(self, text: str, outcome: Outcome) -> None:
        """End both sides; the client reads `text` where its framing has room for it."""
        self.why = text
        self.abort()
        if self._writer is None:
            self._finish(outcome)
        else:
            self._break_off(text, outcome)

    def _finish(self, outcome: Outcome) -> None:
        self._connection = None
        if not self._is_done:
            self._is_done = True
            self._call.attempt_ended(self, outcome)

    def _give_up_held(self) -> None:
        """An answer without its end is as good as a whole one for asking once more, or somebody else."""
        self.held = None
        self._finish(self._held_as)

    def _break_off(self, text: str, outcome: Outcome) -> None:
        """Tell the client that the answer is not whole."""
        if self._writer is not None:
            if self._is_opaque:
                self._call.event.error = text
                break_off(self._client, self._writer, b"")
            else:
                self._call.break_off(self._writer, text, is_event_stream=self.is_events)
        self._finish(outcome)

    # -- what the call reads -------------------------------------------------------------------------

    @property
    def bytes_out(self) -> int:
        """How much of a body the client was sent."""
        return 0 if self._writer is None else self._writer.bytes_out

    def account(self) -> None:
        """Note what a whole answer took, and what it says of itself."""
        call, writer = self._call, self._writer
        event, telling = call.event, call.route.telling
        event.bytes_out = self.bytes_out
        if telling is None or writer is None:
            return
        said = counts(writer.tail, telling)
        if said.load_seconds is not None:
            call.load_s = said.load_seconds
        event.tokens_in, event.tokens_cached = said.tokens_in, said.tokens_cached
        event.tokens_out = tokens_out = said.tokens_out
        if tokens_out:
            spent = said.eval_seconds
            if spent is None and self.is_events:  # a whole answer does not tell its time
                spent = call.context.clock() - self._client.complete_at - (event.first_byte_s or 0.0)
            event.tokens_per_s = tokens_out / spent if spent else None

    # -- the head ------------------------------------------------------------------------------------

    def _progress_head(self, reader: ResponseReader) -> None:
        if not reader.has_head:
            return
        if self.held is not None or (reader.status == BUSY_STATUS and self._call.may_move_on()):
            self._hold(reader)
        elif self._by_variant and self._is_gone(reader):
            self._held_as = Outcome.VARIANT_GONE
            self._hold(reader)
        else:
            self._pass_on(reader, reader.take())

    def _is_gone(self, reader: ResponseReader) -> bool:
        """Whether a server says that it has no such variant: not that it has no such path."""
        is_json = reader.names.get(b"content-type", b"").startswith(b"application/json")
        return reader.status == _NOT_FOUND and is_json and self._call.may_remake()

    def _hold(self, reader: ResponseReader) -> None:
        """Keep an answer back, for when there is no other way."""
        if self.held is None:
            self.held = []
            self._seen_at = self._client.now()
            self._held_head = reader.keep_head()
        self.held.append(reader.take())

    def pass_held_on(self) -> None:
        """Send the busy answer that was held back: nobody else is left."""
        if self._held_head is not None:
            self._pass_on(self._held_head, b"".join(self.held or ()))
            self._client.round.flush()

    def _pass_on(self, reader: ResponseReader | AnswerHead, data: bytes) -> None:
        """Send the head of an answer, and the body bytes that came with it."""
        call, client = self._call, self._client
        status = reader.status
        is_whole = reader.is_complete
        writer = client.writer()
        if self._names is not None:
            content_type = reader.names.get(b"content-type", b"")
            shape = shape_of(call.route, content_type, call.head.names.get(b"user-agent", b""))
            if self._by_variant and (status >= 400 or shape is not None):
                writer.editor = NameHider(*self._names)
            elif shape is not None:
                writer.editor = NameEditor(shape, *self._names)
        length = reader.length if reader.ends is _BY_LENGTH else UNKNOWN
        data = writer.begin(status, end_to_end(reader), self._lines, length, data, is_whole=is_whole)
        self._writer = writer
        client.begin(writer, data)
        # HOT: what follows does not keep the client waiting.
        named, call.named = call.named, None
        if named is not None and named.is_large:
            client.round.one_a_turn(named.let_go)  # to free many at once takes as long as to read one
        now = self._seen_at = client.now()
        event = call.event
        event.first_byte_s = now - client.complete_at
        event.status = status
        server = self._server
        if server is not None and not server.is_well:
            self._prove(server, reader, now)
        if writer.ends is not _BY_LENGTH:
            content_type = reader.names.get(b"content-type", b"")
            self.is_events = content_type.startswith(_EVENTS)
            if call.route.answers_anything:
                self._is_opaque = shape_of(call.route, content_type) is None
        if is_whole:
            self.ended_at = now
        else:
            call.head.let_go()  # only another attempt would need it, and a stream lives long
            self.reader.let_go()

    def _prove(self, server: ServerView, reader: ResponseReader | AnswerHead, now: float) -> None:
        """An answer that only Ollama gives is as good as a probe's."""
        call = self._call
        if is_own_answer(call.route, reader.status, reader.names.get(b"content-type", b"")):
            call.context.view.proved(server, now)
