"""Misbehaviour on demand, for tests.

Owns the kinds of fault; `server` plays them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fails:
    """Answers with this status and body instead of doing anything."""

    status: int
    body: bytes = b'{"error":"simulated failure"}'
    content_type: bytes = b"application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Busy:
    """Answers 503 in Ollama's words for a full queue."""


@dataclass(frozen=True, slots=True)
class Hangs:
    """Sends nothing at all, until the client leaves or `release` is called."""


@dataclass(frozen=True, slots=True)
class Drops:
    """Ends the connection without an answer."""


@dataclass(frozen=True, slots=True)
class CutsOff:
    """Sends the head and this many pieces, then ends the connection in the middle."""

    after: int


@dataclass(frozen=True, slots=True)
class CutsBody:
    """Says the length of a whole answer, sends this many bytes of it, then ends the connection."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class HangsAfter:
    """Sends the head and this many pieces, then nothing until `release` is called."""

    after: int


@dataclass(frozen=True, slots=True)
class Slow:
    """Waits this long before it begins."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Garbled:
    """Ends a stream early and cleanly after this many pieces, or sends bytes instead of the rest."""

    after: int
    instead: bytes = b""


@dataclass(frozen=True, slots=True)
class FailsToLoad:
    """Ends a load with this error once its time is over; those who wait behind it begin anew."""

    text: str = "llama-server process has terminated: exit status 1"
    status: int = 500


@dataclass(frozen=True, slots=True)
class HangsLoading:
    """Loads without an end, and all other loads wait, until the client leaves or `release` is called."""


@dataclass(frozen=True, slots=True)
class FailsToPull:
    """Ends a pull with this error after so many lines; after 1, which is `pulling manifest`, at once."""

    after: int
    text: str = "max retries exceeded: unexpected EOF"


@dataclass(frozen=True, slots=True)
class FillsDisk:
    """Ends a pull after so many lines because the disk is full; the next line is of a layer."""

    after: int


@dataclass(frozen=True, slots=True)
class RestartsLayer:
    """Begins the layer that is under way after so many lines anew: `completed` falls back."""

    after: int


@dataclass(frozen=True, slots=True)
class HangsPulling:
    """Holds a pull after so many lines, until the client leaves or `release` is called."""

    after: int


PullFault = FailsToPull | FillsDisk | RestartsLayer | HangsPulling
LoadFault = FailsToLoad | HangsLoading
Fault = Fails | Busy | Hangs | Drops | CutsOff | CutsBody | HangsAfter | Slow | Garbled


class Part(bytes):
    """The beginning of a body; `whole_length` is what its head says."""

    whole_length: int

    @classmethod
    def of(cls, body: bytes, length: int) -> "Part":
        """Keep the first `length` bytes of a body."""
        part = cls(body[:length])
        part.whole_length = len(body)
        return part
