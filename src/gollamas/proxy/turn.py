"""One request being answered: from its last byte to its one event.

Owns the answers of our own and the end of every request. What a server answers instead is `exchange`'s.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gollamas.api import dialects, routes
from gollamas.api.dialects import Dialect
from gollamas.api.inference import MiddlewareRefused, PassthroughRefused
from gollamas.api.one_server import asked_server
from gollamas.api.outbound import Target
from gollamas.api.routes import Route
from gollamas.config.model import Config
from gollamas.errors import ProxyError, ServerBroke, ServerTooSlow, ShuttingDown
from gollamas.events import AttemptFailed, Cause, Crashed, Emit, End, Event, LoadCause, RequestEnded
from gollamas.fleet.admit import Admission, Lease
from gollamas.fleet.loading import Waiter
from gollamas.fleet.routing import Finding, Found, OneServer, Routing
from gollamas.fleet.runner_options import RunnerOptions
from gollamas.fleet.view import View
from gollamas.net.answering import break_off, send_answer
from gollamas.net.downstream import ClientConnection
from gollamas.net.pool import Kept
from gollamas.system import defects
from gollamas.wire.framing import Room
from gollamas.wire.message import Answer, CutOff, Fields, Head
from gollamas.wire.outgoing import AnswerWriter


class Snapshot:
    """One configuration, ready to use. A request keeps the one that it began with."""

    __slots__ = (
        "by_path", "config", "connections", "has_policies", "replays", "room", "routing", "targets",
    )  # fmt: skip

    def __init__(
        self, config: Config, routing: Routing, targets: Mapping[str, Target], connections: Mapping[str, Kept]
    ) -> None:
        self.config = config
        self.routing = routing
        self.targets = targets  # by server
        self.connections = connections  # by server
        # HOT: what every request asks of its configuration, which is compiled to a look-up by name.
        self.room = Room(config.max_body)
        self.replays = config.replay_inference
        self.by_path = routes.table(config.routes)
        self.has_policies = routing.policies.are_any

    def routing_for(self, head: Head) -> Finding:
        """The routing of a request, which may be limited to one server; raises as `asked_server`."""
        if head.is_plain:
            return self.routing
        server_id = asked_server(head, self.config)
        return self.routing if server_id is None else OneServer(self.routing, server_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What requests need of the rest, and nothing else of it."""

    view: View
    admission: Admission
    emit: Emit
    clock: Callable[[], float]
    pseudonym: bytes  # of this process in Via
    via: bytes  # the whole line, where a request comes without one
    look_up: Callable[[str], Awaitable[bool]]
    await_list: Callable[[str], Awaitable[None]]  # until a server has said what it has, a second at most
    changed: Callable[[str], None]  # a request of ours changed what this server has loaded
    # A load that goes before a request with this id: of the lease's model, with these options, why, and
    # whether it is wanted for embeddings.
    load: Callable[[Lease, RunnerOptions, LoadCause, str, bool], Waiter]
    release: Callable[[Waiter], None]  # a request that waited for a load was sent, or is not going to be
    unload: Callable[[Found, str], None]  # from all servers of a model but this one
    make_variant: Callable[
        [Lease, int], Awaitable[ProxyError | None]
    ]  # of the lease's model, with this context
    # Have the model of an answered request stay so many seconds; whether it was asked for embeddings.
    keep: Callable[[Lease, float, bool], None]
    reloaded: Callable[[Lease], None]  # the server says that it loaded a model which was there
    unix: Callable[[], float]  # seconds since 1970


class _Crash(ProxyError):
    """A defect of ours met this request."""


# What an error means for a request whose answer has begun; any other is ours.
_ENDS: Final[Mapping[type[ProxyError], End]] = {
    ServerBroke: End.SERVER_BROKE,
    ServerTooSlow: End.TIMED_OUT,
    ShuttingDown: End.SHUT_DOWN,
}
_INTERNAL: Final = "internal error: see the log of gollamas"
_MOST_PATH_BYTES: Final = 512  # more than the log shows


def path_of(head: Head) -> str:
    """The start of a client's path, for the log; never the query, which may hold secrets."""
    return head.path[:_MOST_PATH_BYTES].decode(errors="backslashreplace")


R_co = TypeVar("R_co", bound=Route | None, covariant=True)


class Turn(Generic[R_co]):
    """Answers one request; `event` is filled in as things happen and told of by `conclude`, which comes once.

    `lines` are ready head lines for whatever answer goes out, `id_line` is the one that the server gets too.
    """

    _streamed: tuple[AnswerWriter, Fields] | None = None  # an answer of ours whose body comes in pieces

    def __init__(
        self,
        context: Context,
        snapshot: Snapshot,
        client: ClientConnection,
        head: Head,
        route: R_co,
        request_id: str,
    ) -> None:
        self.context = context
        self.snapshot = snapshot
        self.client = client
        self.head = head
        self.route = route
        self.room = snapshot.room
        self.lines = self.id_line = b"X-Request-Id: %b\r\n" % request_id.encode()
        self.event = RequestEnded(
            request_id, client.address, head.method.decode(), "other" if route is None else route.path
        )
        if route is None:
            self.event.path = path_of(head)

    def answer(self, answer: Answer) -> AnswerWriter:
        """Send an answer of our own; of one whose body comes in pieces, the head."""
        body = answer.body if isinstance(answer.body, bytes) else None
        event = self.event
        event.status = answer.status
        if answer.status >= 400:
            event.end = End.REFUSED
        writer = send_answer(self.client, answer.status, answer.fields, body, self.lines)
        event.bytes_out = writer.bytes_out
        if body is None:
            self._streamed = writer, answer.fields
        return writer

    def answer_error(self, error: Exception) -> None:
        """End with an error in the dialect of the route; one that nobody expected is told of, too."""
        event = self.event
        if isinstance(error, CutOff):
            event.end = End.SERVER_BROKE
            self.client.reset()
            return
        if not isinstance(error, ProxyError):
            self._tell(Crashed("a request", error))
            error = _Crash(_INTERNAL)
        event.error = error.text
        if event.status is not None:
            self._break_off_ours(error)
            return
        dialect = Dialect.NATIVE if isinstance(error, PassthroughRefused) else self._dialect
        fields, body = dialects.error(
            dialect,
            error.status,
            error.text,
            event.request_id,
            from_handler=not isinstance(error, MiddlewareRefused),
        )
        if error.retry_after is not None:
            fields.append((b"Retry-After", b"%d" % error.retry_after))
        target = self.snapshot.targets.get(event.server or "")
        if target is not None:
            self.lines += target.line
        self.answer(Answer(error.status, fields, body))

    @property
    def _dialect(self) -> Dialect:
        return self.route.dialect if self.route is not None else Dialect.NATIVE

    def refuse(self, error: ProxyError) -> None:
        """Answer why the request was not read to its end, and tell of that."""
        self.answer_error(error)
        self.event.ended_at = self.client.now()
        self._tell(self.event)

    def break_off(self, writer: AnswerWriter, text: str, *, is_event_stream: bool) -> None:
        """Tell the client, within its framing, that the answer is not whole: never a fake end."""
        event = self.event
        event.error = text
        said = dialects.late_error(
            self._dialect,
            text,
            event.request_id,
            is_event_stream=is_event_stream,
            sent_tail=writer.last_bytes,
        )
        break_off(self.client, writer, said)

    def _break_off_ours(self, error: ProxyError) -> None:
        """End an answer of ours that has begun."""
        self.event.end = _ENDS.get(type(error), End.REFUSED)
        if self._streamed is None:
            self.client.reset()
            return
        writer, fields = self._streamed
        is_event_stream = any(value.startswith(b"text/event-stream") for _, value in fields)
        self.break_off(writer, error.text, is_event_stream=is_event_stream)

    def attempt_failed(self, server_id: str, cause: Cause, why: str, *, moves_on: bool = False) -> None:
        """Tell that a server failed this request, and whether it goes on to another one."""
        event = self.event
        self._tell(
            AttemptFailed(
                request_id=event.request_id,
                server=server_id,
                model=event.model or "",
                cause=cause,
                why=why,
                moves_on=moves_on,
            )
        )

    def note_client_left(self) -> None:
        """Note that the client left, by itself."""
        event = self.event
        self.client.keep_alive = False  # no later answer may take the place of this one
        if event.end is End.DONE and self.client.is_stalled:
            event.end = End.TIMED_OUT
            event.error = f"the client took nothing for {self.snapshot.config.write_timeout:g} s"
        elif event.end is End.DONE:
            event.end = End.CLIENT_LEFT

    def conclude(self, now: float | None = None) -> None:
        """Tell what happened, and let the connection go on with its next request."""
        client = self.client
        if now is None:
            now = client.now()
        event = self.event
        event.total_s = now - client.complete_at
        event.ended_at = now
        self._tell(event)
        client.request_done(now)

    def conclude_unread(self, began_at: float) -> None:
        """Tell what happened to a request whose body was not read to its end."""
        event = self.event
        event.ended_at = self.client.now()
        event.total_s = event.ended_at - began_at
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Emit an event; the connection goes on whatever listens to it."""
        try:
            self.context.emit(event)
        except Exception as defect:  # noqa: BLE001 - as above
            defects.tell("telling of a request", defect)
