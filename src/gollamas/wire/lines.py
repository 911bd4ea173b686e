"""A model's name changed back in an answer as its bytes pass: lines, events and whole bodies.

Owns where each dialect's replies carry their own name, and finds exactly that member at any split of the
bytes: the same text in generated words, tool arguments, metadata or log probabilities stays. Refuses to
know why a name differs, and never holds more than a part of the name itself.

An editor expects valid JSON; anything else passes unchanged or is edited by the same rule, never lost.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Union

_Tree = Mapping[bytes, Union["_Tree", None]]  # member names that lead to the name; None is the name itself

_TOP: Final[_Tree] = {b"model": None}
_RESPONSE: Final[_Tree] = {b"model": None, b"response": {b"model": None}}
_MESSAGE: Final[_Tree] = {b"model": None, b"message": {b"model": None}}

# Go's marshaller keeps the order of a struct's fields, so these prefixes are a whole parse of what stands
# before the name (Ollama 0.24 and 0.32); a line of another order is scanned.
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_CHUNK: Final = rb'data: \{"id":"[^"\\]*+","object":"[^"\\]*+","created":\d++,'
_COMPLETION: Final = (
    _CHUNK + rb'"choices":\[\{"text":' + _TEXT + rb',"index":\d++,"finish_reason":(?:null|"[^"\\]*+")\}\],'
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one kind of answer carries the name."""

    tree: _Tree
    lead: bytes | None  # what a line that holds a document begins with; None: the answer is one document
    prefix: bytes = b""  # pattern of what stands between the beginning of a line and `"model":`


class Shape(Enum):
    """The kinds of answers that carry a name."""

    NATIVE_LINES = _Layout(_TOP, b"", rb"\{")
    CHAT_EVENTS = _Layout(_TOP, b"data:", _CHUNK)
    COMPLETIONS_EVENTS = _Layout(_TOP, b"data:", _COMPLETION)
    RESPONSES_EVENTS = _Layout(_RESPONSE, b"data:")
    MESSAGES_EVENTS = _Layout(_MESSAGE, b"data:")
    WHOLE = _Layout(_TOP, None)
    MODEL_ENTRY = _Layout({b"id": None}, None)  # GET /v1/models/:model
    SHOW_BASENAME = _Layout({b"model_info": {b"general.basename": None}}, None)  # /api/show to Copilot only


def quoted(name: bytes) -> bytes:
    """Write a name as a JSON string, escaped as Go's marshaller does."""
    text = json.dumps(name.decode(errors="replace"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        if char in text:
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


_LOOKED_BACK_BYTES: Final = 4096  # a longer line is scanned as it passes, so that nothing of it is kept


class NameEditor:
    """Changes the server's name back into the client's in one answer.

    In: the shape of the answer, the name that the server was asked with and the name that the client
    used, neither of them escaped. Lines are independent, so a broken one spoils no other.
    """

    __slots__ = (
        "_find",
        "_first",
        "_first_new",
        "_new",
        "_old",
        "_open",
        "_passed",
        "_plan",
        "_scan",
        "_swap",
    )

    def __init__(self, shape: Shape, upstream_name: bytes, client_name: bytes) -> None:
        self._plan: _Layout = shape.value
        self._old = quoted(upstream_name)
        self._new = quoted(client_name)
        self._open = self._plan.lead is None  # in the middle of a line, or in a whole body
        self._scan: _Scan | None = self._begin() if self._open else None
        self._passed = b""  # of the open line, while nothing in it was worth a scan
        # How a line begins that needs no parse: at first the shortest, then as the first one was.
        lead = b"data: " if self._plan.lead else b""
        self._first = lead + b'{"model":' + self._old
        self._first_new = lead + b'{"model":' + self._new
        self._find: re.Pattern[bytes] | None = None
        self._swap = rb"\g<1>" + self._new.replace(b"\\", rb"\\")
        if self._plan.prefix:
            pattern = rb"^(" + self._plan.prefix + rb'"model":)' + re.escape(self._old)
            self._find = re.compile(pattern, re.MULTILINE | re.DOTALL)

    def feed(self, piece: bytes) -> bytes:
        """Edit one piece. Out: all bytes so far, but for a tail that may be the beginning of the name."""
        # HOT: CPython 3.11, an event a piece: 0.9 us (native, chat, completions), 0.6 us without a name;
        # 230 events a piece: 0.2 (native) to 0.7 us (completions) each. A scan of each would be 15 to 40 us.
        if self._open:
            return self._more(piece)
        if not piece.endswith(b"\n"):
            return self._cut(piece)
        hits = piece.count(self._old)
        if not hits:
            return piece
        if hits == 1 and piece.startswith(self._first):
            return self._first_new + piece[len(self._first) :]
        return self._whole_lines(piece, hits)

    def flush(self) -> bytes:
        """Give what is still held when the answer ends."""
        return self._scan.flush() if self._scan else b""

    @property
    def held(self) -> bytes:
        """What may be the beginning of the name, and waits for what follows."""
        return self._scan.held if self._scan else b""

    def _begin(self) -> "_Scan":
        return _Scan(self._plan, self._old, self._new)

    def _cut(self, piece: bytes) -> bytes:
        """Edit lines of which the last one goes on in the next piece."""
        end = piece.rfind(b"\n") + 1
        lines = self.feed(piece[:end]) if end else b""
        self._open = end < len(piece)
        return lines + self._part(piece[end:])

    def _more(self, piece: bytes) -> bytes:
        """Go on with an open line or a whole body."""
        end = piece.find(b"\n") + 1
        if not end or self._plan.lead is None:
            return self._part(piece)
        line = self._part(piece[:end])  # nothing stays held: a name contains no line feed
        self._open, self._scan, self._passed = False, None, b""
        return line + self.feed(piece[end:]) if end < len(piece) else line

    def _part(self, part: bytes) -> bytes:
        """Edit a part of the open line, scanning it only when the quoted name may be in it."""
        if self._scan:
            return self._scan.feed(part)
        passed = self._passed
        if self._old in part:
            match = self._find.match(passed + part) if self._find else None
            if match and match.end() - len(self._old) >= len(passed):
                self._scan = self._begin()
                self._scan.stop()
                place = match.end() - len(passed)
                return part[: place - len(self._old)] + self._new + part[place:]
        elif not self._ends_in_name(part):
            self._passed = passed + part
            if len(self._passed) > _LOOKED_BACK_BYTES:
                self._scan = self._begin()
                self._scan.feed(self._passed)
                self._passed = b""
            return part
        self._scan = self._begin()
        self._scan.feed(passed)  # it went out already: the name is not in it, nor does its end begin it
        self._passed = b""
        return self._scan.feed(part)

    def _ends_in_name(self, part: bytes) -> bool:
        """Whether the name may begin in the last bytes."""
        tail = part[1 - len(self._old) :]
        place = tail.find(b'"')
        while place >= 0:
            if self._old.startswith(tail[place:]):
                return True
            place = tail.find(b'"', place + 1)
        return False

    def _whole_lines(self, block: bytes, hits: int) -> bytes:
        """Edit complete lines that contain the quoted name so many times."""
        match = self._find.match(block) if self._find else None
        if match:
            self._first = first = match.group()
            self._first_new = match.group(1) + self._new
            edited = self._first_new + block[len(first) :]
            if hits == 1:
                return edited
            if block.count(b"\n" + first) == hits - 1:
                return edited.replace(b"\n" + first, b"\n" + self._first_new)
        if self._find:
            edited, found = self._find.subn(self._swap, block)
            if found == hits:
                return edited
        return b"\n".join(self._line(line) for line in block.split(b"\n"))

    def _line(self, line: bytes) -> bytes:
        if self._old not in line:
            return line
        scan = self._begin()
        return scan.feed(line) + scan.flush()


_NEXT_ON_PATH: Final = re.compile(rb'["{}\[\]:,]')
_NEXT_BESIDE: Final = re.compile(rb'["{}\[\]]')
_REST_OF_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LONGEST_KEY: Final = 32  # longer than any name of a member that is looked for


# Where in a document the next byte stands; plain numbers, since it is asked for every token.
_IN_STRUCTURE: Final = 0
_IN_KEY: Final = 1
_IN_TEXT: Final = 2
_AT_NAME: Final = 3


class _Scan:
    """Finds the name in one document, by depth and member names, at any split of its bytes."""

    __slots__ = ("_at", "_depth", "_escape", "_is_key", "_key", "_lead", "_new", "_old", "_on", "held")

    def __init__(self, plan: _Layout, old: bytes, new: bytes) -> None:
        self._old, self._new = old, new
        self._lead = plan.lead or b""  # what has still to come before the document
        self._on: list[_Tree] | None = [{b"": plan.tree}]  # the objects on the way to the name; None: done
        self._at = _IN_STRUCTURE
        self._depth = 0
        self._is_key = False
        self._key = b""
        self._escape = False  # the last piece ended behind a backslash
        self.held = b""

    def feed(self, piece: bytes) -> bytes:
        """Edit the next bytes of the document."""
        if self._on is None:
            return piece
        if self.held:
            piece, self.held = self.held + piece, b""
        here = 0
        if self._lead:
            here = min(len(self._lead), len(piece))
            if piece[:here] != self._lead[:here]:
                self._on = None
                return piece
            self._lead = self._lead[here:]
        size = len(piece)
        while here < size:
            if self._at == _AT_NAME:
                return self._name(piece, here)
            here = self._structure(piece, here) if self._at == _IN_STRUCTURE else self._text(piece, here)
            if self._on is None:
                break
        return piece

    def stop(self) -> None:
        """Let the rest pass: the name was found."""
        self._on = None

    def flush(self) -> bytes:
        """Give what is held when the document ends."""
        held, self.held = self.held, b""
        return held

    def _name(self, piece: bytes, here: int) -> bytes:
        """Decide about the value of the wanted member, whose first quote is at `here`."""
        if piece.startswith(self._old, here):
            self._on = None
            return piece[:here] + self._new + piece[here + len(self._old) :]
        rest = piece[here : here + len(self._old)]
        if self._old.startswith(rest):
            self.held = rest
            return piece[:here]
        self._on = None  # it says another name: not ours to change
        return piece

    def _text(self, piece: bytes, here: int) -> int:
        """Pass a string; out is the place behind it, or the piece's end."""
        start = here
        if self._escape:
            self._escape = False
            here += 1
        match = _REST_OF_STRING.match(piece, here)
        end = match.end() if match else len(piece)
        if self._at == _IN_KEY:
            self._key = (self._key + piece[start : end - 1 if match else end])[:_LONGEST_KEY]
        if match:
            self._at = _IN_STRUCTURE
        else:
            rest = piece[here:]
            self._escape = (len(rest) - len(rest.rstrip(b"\\"))) % 2 == 1
        return end

    def _structure(self, piece: bytes, here: int) -> int:
        """Read the next byte that changes where we are; out is the place behind it."""
        on = self._on or []
        is_on_path = self._depth == len(on) - 1
        match = (_NEXT_ON_PATH if is_on_path else _NEXT_BESIDE).search(piece, here)
        if not match:
            return len(piece)
        here = match.end()
        byte = piece[here - 1]
        if byte == 0x22:  # "
            return self._quote(here, is_on_path)
        if byte == 0x3A:  # :
            self._is_key = False
        elif byte == 0x2C:  # ,
            self._is_key = True
        elif byte in b"{[":
            self._depth += 1
            self._open(byte, is_on_path)
        else:
            self._depth -= 1
            self._close()
        return here

    def _quote(self, here: int, is_on_path: bool) -> int:
        self._at = _IN_TEXT
        if is_on_path and self._depth:
            if self._is_key:
                self._at, self._key = _IN_KEY, b""
            elif self._on and self._on[-1].get(self._key, self._on[-1]) is None:
                self._at = _AT_NAME
                return here - 1
        return here

    def _open(self, byte: int, is_on_path: bool) -> None:
        """Enter an object or array; an object behind a member that leads on is on the path."""
        if byte == 0x7B and is_on_path and self._on:  # {
            inner = self._on[-1].get(self._key)
            if inner:
                self._on.append(inner)
                self._is_key = True
        if self._depth == 1 and self._on and len(self._on) == 1:
            self._on = None  # the document is an array

    def _close(self) -> None:
        """Leave an object or array; a document that ends without the name has none."""
        if self._depth <= 0:
            self._on = None
        elif self._on and self._depth < len(self._on) - 1:
            self._on.pop()
            self._is_key = False
