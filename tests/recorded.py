"""Reads recorded answers: those of real Ollama servers beside the repository, else those that lie in it.

The latter are few, of one version and of our own making (`tests/recordings`): what compares the simulated
server with real ones needs the former. Owns their format and the comparison of two answers by their shape:
status, fields, framing, key order, kinds of lines and events, error texts. Values are left aside.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from gollamas.simulate.settings import Settings
from gollamas.wire import head as heads
from gollamas.wire.head import HeadLimits
from gollamas.wire.message import Fields, Head, Request

FOLDER: Final = Path(
    os.environ.get("GOLLAMAS_TEST_RECORDED") or Path(__file__).parents[2] / "shared" / "recorded"
)
IN_REPOSITORY: Final = Path(__file__).parent / "recordings"
IS_REAL: Final = FOLDER.is_dir()
LACKING: Final = "the recorded answers of real Ollama servers are not beside the repository"
_FRAMING: Final = (b"date", b"content-length", b"transfer-encoding")


def versions_in(folder: Path) -> tuple[str, ...]:
    """Give the recorded versions, the newest first."""
    found = (index.parent.name for index in folder.glob("*/index.json"))
    if not IS_REAL:
        found = (recordings.stem for recordings in folder.glob("*.json"))
    return tuple(sorted(found, key=lambda version: Settings(version=version).release, reverse=True))


VERSIONS: Final = versions_in(FOLDER if IS_REAL else IN_REPOSITORY)
NEWEST: Final = VERSIONS[0]
needs_recordings = pytest.mark.skipif(not IS_REAL, reason=LACKING)


@dataclass(slots=True)
class Reply:
    """An answer as it came: `chunks` is None where it had a length, or no body at all."""

    status: int
    fields: Fields
    body: bytes
    chunks: list[bytes] | None

    def end_to_end(self) -> Fields:
        """Give the fields but those of framing, and the date."""
        return [(name, value) for name, value in self.fields if name.lower() not in _FRAMING]

    def get(self, name: bytes) -> bytes | None:
        """Give the first field of this name, which is given in lower case."""
        return next((value for field, value in self.fields if field.lower() == name), None)


@dataclass(slots=True)
class Case:
    """One recorded exchange."""

    version: str
    name: str
    why: str
    raw_request: bytes
    raw_response: bytes

    @property
    def request(self) -> Request:
        """What was sent."""
        start, _, rest = self.raw_request.partition(b"\r\n")
        method, target, _ = start.split(b" ")
        head, _, body = rest.partition(b"\r\n\r\n")
        path, _, query = target.partition(b"?")
        fields = [split_field(line) for line in head.split(b"\r\n") if line]
        return Request(make_head(method, path, fields, query), body, "127.0.0.1")

    @property
    def reply(self) -> Reply:
        """What came back, its chunks undone."""
        return parse_reply(self.raw_response, is_head=self.raw_request.startswith(b"HEAD "))


def make_head(method: bytes, path: bytes, fields: Fields, query: bytes = b"", version: str = "1.1") -> Head:
    """Make a request's head without a connection."""
    head = Head()
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    raw = b"%b %b HTTP/%b\r\n%b\r\n" % (method, path, version.encode(), lines)
    heads.split(head, raw, HeadLimits(1 << 20, 1 << 20))
    head.query = query
    return head


def split_field(line: bytes) -> tuple[bytes, bytes]:
    """One field line."""
    name, _, value = line.partition(b":")
    return name, value.strip()


def parse_reply(raw: bytes, *, is_head: bool) -> Reply:
    """Make an answer of its bytes; fails where its framing is faulty."""
    start, _, rest = raw.partition(b"\r\n")
    # Without a single field the blank line follows the status line at once.
    head, _, body = rest.partition(b"\r\n\r\n") if not rest.startswith(b"\r\n") else (b"", b"", rest[2:])
    fields = [split_field(line) for line in head.split(b"\r\n") if line]
    reply = Reply(int(start.split(b" ")[1]), fields, body, None)
    if not is_head and reply.get(b"transfer-encoding") == b"chunked":
        reply.chunks = list(_chunks(body))
        reply.body = b"".join(reply.chunks)
    return reply


def _chunks(body: bytes) -> list[bytes]:
    found: list[bytes] = []
    while True:
        size, line_end, body = body.partition(b"\r\n")
        assert line_end, "a chunked body ends without its last chunk"
        length = int(size, 16)
        if not length:
            return found
        assert body[length : length + 2] == b"\r\n", "a chunk is longer than its size says"
        found.append(body[:length])
        body = body[length + 2 :]


def cases_in_repository(version: str) -> list[Case]:
    """Every case of one version that lies in the repository."""
    found = json.loads((IN_REPOSITORY / f"{version}.json").read_text(encoding="utf-8"))
    return [
        Case(version, name, "", said["request"].encode("latin-1"), said["response"].encode("latin-1"))
        for name, said in found.items()
    ]


@cache
def cases(version: str) -> list[Case]:
    """Every case of one version in the order in which it was recorded."""
    if not IS_REAL:
        return cases_in_repository(version)
    folder = FOLDER / version
    index = json.loads((folder / "index.json").read_text())
    return [
        Case(
            version,
            name,
            why,
            (folder / f"{name}.request").read_bytes(),
            (folder / f"{name}.response").read_bytes(),
        )
        for name, why in index["cases"].items()
    ]


def case(version: str, name: str) -> Case:
    """One case."""
    return next(one for one in cases(version) if one.name == name)


def shape(value: Any) -> Any:
    """Make a JSON value without its values: keys in their order, types, and each kind of element once."""
    if isinstance(value, dict):
        return [(key, _word(value[key]) if key in _WORDS else shape(value[key])) for key in value]
    if isinstance(value, list):
        kinds: list[Any] = []
        for item in value:
            if (kind := shape(item)) not in kinds:
                kinds.append(kind)
        return ["list", *kinds]
    if isinstance(value, bool) or value is None:
        return value
    return "number" if isinstance(value, int | float) else "text"


def _word(value: Any) -> Any:
    # Weights differ from run to run, and so does their digest.
    if isinstance(value, list):
        return value
    # A tensor's type (`Q4_1`) is a value, a block's or an event's is a word.
    is_word = isinstance(value, str) and not value.isupper()
    return _DIGEST.sub("DIGEST", value) if is_word else shape(value)


_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# Members whose value is part of the contract and not of one run.
_WORDS: Final = frozenset(
    (
        "error",
        "message",
        "status",
        "source",
        "done_reason",
        "capabilities",
        "object",
        "type",
        "role",
        "finish_reason",
        "stop_reason",
        "owned_by",
    )
)


def event_shapes(body: bytes) -> list[Any]:
    """Give the kinds of lines of a stream in their order; a run of equal ones stands once."""
    found: list[Any] = []
    for line in body.split(b"\n"):
        kind = _line_shape(line)
        if not found or found[-1] != kind or not line:
            found.append(kind)
    return _without_runs(found)


def _line_shape(line: bytes) -> Any:
    start, colon, rest = line.partition(b"data: ")
    if not start and colon:
        return "[DONE]" if rest == b"[DONE]" else ("data", shape(json.loads(rest)))
    if line.startswith(b"{"):
        return ("line", shape(json.loads(line)))
    return line


def _without_runs(lines: list[Any]) -> list[Any]:
    # An event of two lines and a blank one is three entries; runs are looked for in events.
    events: list[list[Any]] = [[]]
    for line in lines:
        events[-1].append(line)
        if line == b"":
            events.append([])
    kept: list[list[Any]] = []
    for event in events:
        if not kept or kept[-1] != event:
            kept.append(event)
    return kept


def chunk_shapes(chunks: list[bytes]) -> list[Any]:
    """Give what each chunk holds; a run of equal chunks stands once."""
    found: list[Any] = []
    for chunk in chunks:
        kind = event_shapes(chunk) if chunk.startswith((b"data: ", b"event: ")) else body_shape(chunk)
        if not found or found[-1] != kind:
            found.append(kind)
    return found


def body_shape(body: bytes) -> Any:
    """Make a body's shape: JSON, with or without a newline at its end, or else its very bytes."""
    try:
        return shape(json.loads(body)), body[-1:] == b"\n"
    except ValueError:
        return body
