"""Answers through the writer, at any split, as a naive reader and h11 read them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import h11
from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.lines import NameEditor, Shape
from gollamas.wire.outgoing import UNKNOWN, AnswerWriter
from gollamas.wire.response import Ends
from tests.unit.wire.readers import cut_at

ERROR = b'{"error":"it broke"}\n'

parts = st.sampled_from([b'{"model":"smol","x":1}\n', b'{"x":"smol"}\n', b"\r\n", b"0\r\n\r\n"])
halves = st.sampled_from([b"", b'{"model":"sm'])  # an editor waits for the rest of the name
lines = st.builds(bytes.__add__, st.lists(parts).map(b"".join), halves)
bodies = st.one_of(st.binary(max_size=80), lines)


@dataclass
class Told:
    """What a client makes of the bytes of one answer."""

    body: bytes = b""
    is_whole: bool = False


@dataclass
class Sent:
    """An answer that went out, and what was meant."""

    status: int
    to_head: bool
    writer: AnswerWriter
    body: bytes = b""  # as the server sent it
    is_whole: bool = True
    data: list[bytes] = field(default_factory=list)

    @property
    def ends_well(self) -> bool:
        """How the connection ends behind it: where only that tells the body's end, a broken one is reset."""
        return self.is_whole or self.writer.ends is not Ends.CLOSE

    @property
    def wanted(self) -> bytes:
        """The body that the client is to read."""
        if self.to_head or self.status in (204, 304):
            return b""
        if self.writer.editor is None:
            return self.body
        return b"\n".join(
            line.replace(b"smol", b"gpt-4o", 1) if line.startswith(b'{"model":"smol"') else line
            for line in self.body.split(b"\n")
        )


@st.composite
def answers(draw: st.DrawFn) -> Sent:
    """Draw an answer, whole or broken, of any framing, in any pieces, edited or not, to any client."""
    status = draw(st.sampled_from([200, 200, 200, 204, 304, 404, 503]))
    is_http10, to_head = draw(st.booleans()), draw(st.sampled_from([False, False, False, True]))
    body, keeps_alive, is_edited = draw(bodies), draw(st.booleans()), draw(st.booleans())
    writer = AnswerWriter(is_http10=is_http10, to_head=to_head, keeps_alive=keeps_alive)
    if is_edited:
        body = draw(lines)
        writer.editor = NameEditor(Shape.NATIVE_LINES, b"smol", b"gpt-4o")
    length = len(body) if draw(st.booleans()) else UNKNOWN
    sent = Sent(status, to_head, writer, body)
    pieces = cut_at(body, draw(st.lists(st.integers(0, 80), max_size=6)))
    match draw(st.sampled_from(["at once", "in pieces", "broken"])):
        case "at once":
            sent.data = [writer.begin(status, b"A: 1\r\n", b"", length, body, is_whole=True)]
        case "in pieces":
            last = pieces.pop() if draw(st.booleans()) and pieces else b""
            sent.data = [*_written(draw, sent, length, pieces), writer.end(last)]
        case "broken":
            pieces = pieces[: draw(st.integers(0, len(pieces)))]
            sent.body = b"".join(pieces)
            sent.is_whole = sent.body == body and length >= 0 and not is_edited  # nothing tells that it broke
            error = draw(st.sampled_from([b"", ERROR]))
            sent.data = [*_written(draw, sent, length, pieces), writer.broken(error)]
    return sent


def _written(draw: st.DrawFn, sent: Sent, length: int, pieces: list[bytes]) -> Iterator[bytes]:
    """Begin, with the first piece or without one, and go on with the others."""
    first = pieces[:1] if draw(st.booleans()) else []
    yield sent.writer.begin(sent.status, b"A: 1\r\n", b"", length, b"".join(first))
    for piece in pieces[len(first) :]:
        yield sent.writer.piece(piece)


def by_hand(sent: Sent) -> Told:
    """Read an answer as plainly as the RFC says it."""
    head, _, rest = b"".join(sent.data).partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])
    if sent.to_head or sent.status in (204, 304):
        return Told(rest, is_whole=True)
    if fields.get(b"transfer-encoding") == b"chunked":
        told = Told()
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            told.body += rest[: int(size, 16)]
            assert rest[int(size, 16) :].startswith(b"\r\n")
            rest = rest[int(size, 16) + 2 :]
            if not int(size, 16):
                assert not rest
                told.is_whole = True
        return told
    if b"content-length" in fields:
        assert len(rest) <= int(fields[b"content-length"])
        return Told(rest, is_whole=len(rest) == int(fields[b"content-length"]))
    assert fields[b"connection"] == b"close"
    return Told(rest, is_whole=sent.ends_well)


def by_h11(sent: Sent) -> Told:
    """Read an answer as h11 does."""
    connection = h11.Connection(h11.CLIENT)
    method = "HEAD" if sent.to_head else "GET"
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    told = Told()
    try:
        for data in (*filter(None, sent.data), b""):
            if data or sent.ends_well:
                connection.receive_data(data)
            while not isinstance(event := connection.next_event(), type) and not told.is_whole:
                if isinstance(event, h11.Data):
                    told.body += event.data
                told.is_whole = isinstance(event, h11.EndOfMessage)
    except h11.RemoteProtocolError:
        assert not told.is_whole
    return told


@given(answers())
def test_any_client_reads_the_same_body_and_takes_no_broken_one_for_whole(sent: Sent) -> None:
    for read in (by_hand, by_h11):
        told = read(sent)
        if sent.to_head or sent.status in (204, 304):
            assert told == Told(b"", is_whole=True)
            continue
        assert told.is_whole is sent.is_whole
        if sent.is_whole:
            assert told.body == sent.wanted
            assert sent.writer.bytes_out == len(sent.wanted)
        else:
            assert told.body[: sent.writer.bytes_out] == sent.wanted
            assert told.body[sent.writer.bytes_out :] in (b"", ERROR)
        assert told.body[: sent.writer.bytes_out].endswith(sent.writer.tail)


@given(answers())
def test_the_connection_goes_on_only_behind_a_body_that_tells_its_own_end(sent: Sent) -> None:
    head = b"".join(sent.data).partition(b"\r\n\r\n")[0] + b"\r\n"
    closes = b"\r\nConnection: close\r\n" in head
    assert closes is not sent.writer.keeps_alive
    assert sent.writer.ends is not Ends.CLOSE or closes
