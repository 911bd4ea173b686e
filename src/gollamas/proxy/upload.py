"""A blob on its way from a client to servers: to all that lack it at once, at the pace of the slowest.

Owns who gets which bytes when. At most one read of the client's waits here, and nobody is further ahead than
that and what the kernel holds. The servers check the digest. What ends the body goes to none of them before
the client's is whole, so that one that is cut stays nowhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Protocol

from gollamas.api import dialects
from gollamas.api.blobs import BlobOutcome, Stored, digest_in, servers_for_blobs, stored
from gollamas.api.dialects import Dialect
from gollamas.api.one_server import asked_server
from gollamas.api.routes import Route
from gollamas.config.model import Server
from gollamas.errors import NoServerLeft, ProxyError, ShuttingDown
from gollamas.fleet.health import TOLD_DOWN
from gollamas.fleet.load_requests import blob_path
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import NOT_YET, View
from gollamas.net.ask import Reply
from gollamas.net.upstream import ServerConnection, Sink
from gollamas.proxy.turn import Turn
from gollamas.wire.framing import room_for_pieces
from gollamas.wire.message import Answer
from gollamas.wire.response import ResponseReader

_HEAD_TIMEOUT: Final = 10.0  # seconds
_MOST_BODY_BYTES: Final = 64 * 1024  # of a server's answer, which is empty or an error
_LAST_CHUNK: Final = b"0\r\n\r\n"


class AskForBlobs(Protocol):
    """Asks servers, over connections apart from those of clients. Raises ProxyError."""

    async def __call__(
        self,
        server: Server,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109 - as net/ask
    ) -> Reply:
        """Send it, and return the whole answer within `timeout` seconds."""

    async def begin(
        self, server: Server, path: str, length: int | None, sink: Sink, room: Callable[[], None]
    ) -> ServerConnection:
        """Begin a POST whose body is written piece by piece."""


class _Receiver:
    """A server that gets the blob: the sink of its connection."""

    connection: ServerConnection  # once it is connected

    def __init__(self, server_id: str, ring: Callable[[], None]) -> None:
        self.server_id = server_id
        self.is_connected = False
        self.kept: BlobOutcome | None = None  # once it is known
        self.unsent = 0  # when the clock was looked at last
        self.stamp = 0.0  # when that changed last
        self._ring = ring
        self._status = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def connected(self, connection: ServerConnection, now: float) -> None:
        """Take the connection that its part goes over."""
        self.connection, self.is_connected, self.stamp = connection, True, now

    def progress(self, reader: ResponseReader) -> None:
        self._status = reader.status
        piece = reader.take()
        self._size += len(piece)
        if self._size <= _MOST_BODY_BYTES:
            self._pieces.append(piece)

    def completed(self) -> None:
        self._note(BlobOutcome(self.server_id, self._status, b"".join(self._pieces)))

    def broke(self, why: str) -> None:
        self._note(BlobOutcome(self.server_id, 502, why=why))

    def give_up(self, why: str) -> None:
        """Send nothing more, and take no answer."""
        if self.is_connected and self.kept is None:
            self.connection.abort()
        self._note(BlobOutcome(self.server_id, 504, why=why))

    def _note(self, kept: BlobOutcome) -> None:
        if self.kept is None:
            self.kept = kept
            self._ring()


class Upload:
    """One request for a blob to be kept: it takes the body in pieces, and is the source of its answer."""

    def __init__(self, uploads: "Uploads", turn: Turn[Route | None]) -> None:
        self._uploads = uploads
        self._turn = turn
        self._client = turn.client
        self._began_at = turn.client.now()
        self._waiting: list[bytes | memoryview] = []  # what came before it was known who lacks the blob
        self._receivers: Sequence[_Receiver] = ()
        self._is_open = False  # it is known who gets it
        self._is_chunked = turn.head.is_chunked
        self._is_whole = False  # the client's body
        self._has_begun = False  # the connection counts the request
        self._is_cut = False
        self._is_shut = False  # the grace period is over
        self._is_told = False  # why the body was not read was answered
        self._rung: asyncio.Future[None] | None = None
        self.room = room_for_pieces(self)
        self._client.source = self

    # -- what comes of the client --------------------------------------------------------------------

    def piece(self, data: bytes | memoryview) -> bool:
        """Take the next piece; whether to go on reading."""
        self._turn.event.bytes_in += len(data)
        if not self._is_open:
            self._waiting.append(data)
            return False
        return self._pass_on(data)

    def whole(self) -> None:
        """Hear that it was the last."""
        self._is_whole = True
        if self._is_open:
            self._finish()

    def refused(self) -> None:
        """Hear that the client was told why its body is not read."""
        self._is_told = True

    def begun(self) -> None:
        """Hear that the connection counts the request, which its answer ends."""
        self._has_begun = True
        self._ring()

    def cut(self) -> None:
        """Hear that no more comes: what servers have of it is of no use."""
        self._is_cut = True
        for receiver in self._receivers:
            receiver.give_up("the upload was cut")
        self._ring()

    def pause(self) -> None:
        """There is nothing to pause: the answer is short."""

    def resume(self) -> None:
        """As `pause`."""

    def client_left(self) -> None:
        """The task is cancelled, which ends this."""

    def check(self, now: float) -> None:
        """Let servers fall out that have taken nothing for too long."""
        config = self._turn.snapshot.config
        for receiver in self._live():
            unsent = receiver.connection.unsent
            if unsent != receiver.unsent or not (unsent or self._is_whole):
                receiver.unsent, receiver.stamp = unsent, now
            elif unsent and now - receiver.stamp > config.write_timeout:
                receiver.give_up(f"it accepted no data for {config.write_timeout:g} s")
            elif now - receiver.stamp > config.first_byte_timeout:
                receiver.give_up(f"it did not answer for {config.first_byte_timeout:g} s")

    def shut_down(self) -> None:
        """Cancel the task, which then knows why."""
        self._is_shut = True
        self._client.cancel()

    # -- pieces --------------------------------------------------------------------------------------

    def _live(self) -> Iterator["_Receiver"]:
        """Give the servers that the blob still goes to."""
        return (one for one in self._receivers if one.is_connected and one.kept is None)

    def _pass_on(self, data: bytes | memoryview) -> bool:
        """Send a piece to all that take it; whether each has room for the next one."""
        has_room = True
        for receiver in self._live():
            connection = receiver.connection
            if self._is_chunked:
                connection.write(b"%x\r\n" % len(data), data, b"\r\n")
            else:
                connection.write(data)
            has_room = has_room and not connection.is_full
        return has_room

    def _has_room(self) -> None:
        """Read on once nobody is behind."""
        live = list(self._live())
        if self._is_open and live and not any(one.connection.is_full for one in live):
            self._client.read_on()

    def _finish(self) -> None:
        """End the body at the servers."""
        for receiver in self._live():
            if self._is_chunked:
                receiver.connection.write(_LAST_CHUNK)
            receiver.connection.finish()

    # -- the answer ----------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Find out who lacks the blob, have them get it, and answer."""
        turn = self._turn
        try:
            told = stored(await self._kept())
            if not self._is_cut:
                await self._until_answerable()
                self._answer(told)
        except asyncio.CancelledError:
            if not self._is_shut or self._is_cut:
                turn.note_client_left()
                raise
            self._client.keep_alive = False
            turn.answer_error(ShuttingDown("gollamas is shutting down"))
        except Exception as error:  # noqa: BLE001 - one request's defect must not end its connection unanswered
            if not self._is_cut:
                await self._until_answerable()
                turn.answer_error(error)
        finally:
            self._end()

    async def _kept(self) -> Sequence[BlobOutcome]:
        """Have the blob sent to all that lack it; gives what became of it on each server."""
        turn, uploads = self._turn, self._uploads
        digest = digest_in(turn.head.path)
        servers = await uploads.servers(turn, changes=True)
        kept = await uploads.look(servers, digest)
        if self._is_cut:
            return kept
        lacking = [server for server, one in zip(servers, kept, strict=True) if one.is_missing]
        self._receivers = [_Receiver(server.id, self._news) for server in lacking]
        await asyncio.gather(
            *(self._open(one, server, digest) for one, server in zip(self._receivers, lacking, strict=True))
        )
        self._begin_sending()
        while not self._is_cut and any(one.kept is None for one in self._receivers):
            await self._until_rung()
        found = {one.server_id: one.kept for one in self._receivers if one.kept is not None}
        return [found.get(one.server, one) for one in kept]

    async def _open(self, receiver: _Receiver, server: ServerView, digest: str) -> None:
        length = None if self._is_chunked else self._turn.head.length
        begin = self._uploads.ask.begin
        try:
            connection = await begin(server.server, blob_path(digest), length, receiver, self._has_room)
        except ProxyError as why:
            receiver.broke(why.text)
        else:
            receiver.connected(connection, self._client.now())

    def _begin_sending(self) -> None:
        self._is_open = True
        waiting, self._waiting = self._waiting, []
        for piece in waiting:
            self._pass_on(piece)
        if self._is_whole:
            self._finish()
        else:
            self._has_room()

    def _news(self) -> None:
        """Hear that a server is done with: it holds nobody up any more."""
        self._has_room()
        self._ring()

    def _ring(self) -> None:
        if self._rung is not None and not self._rung.done():
            self._rung.set_result(None)

    async def _until_rung(self) -> None:
        self._rung = asyncio.get_running_loop().create_future()
        try:
            await self._rung
        finally:
            self._rung = None

    async def _until_answerable(self) -> None:
        """A whole request is answered once its connection counts it; one that is not, is its last."""
        while self._is_whole and not self._has_begun:
            await self._until_rung()
        if not self._is_whole:
            self._client.keep_alive = False

    def _answer(self, told: Stored) -> None:
        fields, body = list(told.fields), told.body
        self._turn.event.error = told.error or None
        if told.error and not body:
            body = dialects.error_object(Dialect.NATIVE, told.status, told.error, "")
        if body:
            fields.append(dialects.JSON)
        self._turn.answer(Answer(told.status, fields, body))

    def _end(self) -> None:
        for receiver in self._receivers:
            receiver.give_up("the upload was cut")
        if self._has_begun:
            self._turn.conclude()
        elif not self._is_told:
            self._turn.conclude_unread(self._began_at)
            if not self._is_cut:
                self._client.leave_unread()


class Uploads:
    """Answers requests for blobs. In: `first_list` waits until a server has said what it has."""

    def __init__(self, view: View, ask: AskForBlobs, first_list: Callable[[str], Awaitable[None]]) -> None:
        self._view = view
        self._first_list = first_list
        self.ask = ask

    def begin(self, turn: Turn[Route | None]) -> Upload:
        """Take the body of a request for a blob to be kept."""
        return Upload(self, turn)

    async def has(self, turn: Turn[Route | None]) -> Answer:
        """Answer whether a blob is on every server that it would go to."""
        digest = digest_in(turn.head.path)
        kept = await self.look(await self.servers(turn, changes=False), digest)
        if all(one.had_it for one in kept):
            return Answer(200, [])
        missing = f'blob "{digest}" not found'
        return Answer(404, [dialects.JSON], dialects.error_object(Dialect.NATIVE, 404, missing, ""))

    async def servers(self, turn: Turn[Route | None], *, changes: bool) -> Sequence[ServerView]:
        """Give the servers that a blob goes to: those of them that are up; raises ProxyError."""
        config = turn.snapshot.config
        ids = servers_for_blobs(config, asked_server(turn.head, config), changes=changes)
        servers = [one for id_ in ids if (one := self._view.servers.get(id_)) is not None]
        await asyncio.gather(*(self._first_list(one.id) for one in servers if not one.has_listed))
        up = [one for one in servers if one.health not in TOLD_DOWN]
        if not up:
            troubles = "; ".join(f"{one.id}: {one.why_down or NOT_YET}" for one in servers)
            raise NoServerLeft(f"no server can be reached ({troubles})")
        return up

    async def look(self, servers: Sequence[ServerView], digest: str) -> Sequence[BlobOutcome]:
        """Ask each server whether it has a blob."""
        return await asyncio.gather(*(self._look_at(server, digest) for server in servers))

    async def _look_at(self, server: ServerView, digest: str) -> BlobOutcome:
        try:
            reply = await self.ask(server.server, "HEAD", blob_path(digest), timeout=_HEAD_TIMEOUT)
        except ProxyError as error:
            return BlobOutcome(server.id, error.status, why=error.text)
        if reply.status in (200, 404):
            return BlobOutcome(server.id, reply.status, had_it=reply.status == 200)
        return BlobOutcome(server.id, 502, why=f"it answered {reply.status} when it was asked for the blob")
