"""Answers that we make ourselves, sent to a client: whole, or the head of one whose body comes in pieces.

Owns what such an answer says of itself, and how one ends that will not be whole.
"""

from email.utils import formatdate

from gollamas.net.downstream import ClientConnection
from gollamas.wire.message import Fields
from gollamas.wire.outgoing import UNKNOWN, AnswerWriter, field_lines
from gollamas.wire.response import Ends


def send_answer(
    client: ClientConnection, status: int, fields: Fields, body: bytes | None, lines: bytes = b""
) -> AnswerWriter:
    """Send a whole answer, or the head of one whose body comes in pieces: `body` is None.

    It says when it was made (RFC 9110, section 6.6.1). `lines` are ready lines of its head.
    """
    lines = b"%bDate: %b\r\n%b" % (field_lines(fields), formatdate(usegmt=True).encode(), lines)
    writer = client.writer()
    length = UNKNOWN if body is None else len(body)
    data = writer.begin(status, lines, b"", length, body or b"", is_whole=body is not None)
    if not client.is_closing:
        client.begin(writer, data)
        client.round.flush()  # the connection may end behind it
    return writer


def break_off(client: ClientConnection, writer: AnswerWriter, error: bytes) -> None:
    """End an answer that will not be whole: never by a proper end."""
    if client.is_closing:
        return
    client.write(writer.broken(error))
    if writer.ends is Ends.CLOSE:
        client.reset()
    else:
        client.close()
