"""JSON bodies as Ollama's Go decoder reads them, one level deep.

Owns the members of a body and what is wrong with it; knows nothing of what a member means. Members stay
the bytes that they were (`msgspec.Raw`), so whatever is not touched goes on unchanged.
"""

import re
from typing import Final

import msgspec

from gollamas.wire.message import LARGE_BYTES, Body
from gollamas.wire.scan import has_more_members, with_whole_pairs

Members = dict[str, msgspec.Raw]
Pieces = list[bytes | memoryview]  # a body, to be sent one behind the other

MAX_MEMBERS: Final = 1000
_DEEPEST: Final = 1_000_000  # levels; no decoder reads as many
_MAX_MENDED: Final = 100_000  # in a tenth of a second
_SMALLEST: Final = 5  # bytes of a member: `"":1,`

_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_decoder: Final = msgspec.json.Decoder(msgspec.Raw)
_text_decoder: Final = msgspec.json.Decoder(str)
# The body again: each key once, untouched members byte for byte.
encode: Final = msgspec.json.Encoder().encode
_LARGE_MEMBER: Final = 64 * 1024
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
# HOT: the members that requests usually have.
_USUAL: Final = frozenset(
    {"model", "messages", "prompt", "system", "stream", "options", "input", "keep_alive", "format", "think"}
    | {"tools", "tool_choice", "temperature", "max_tokens", "top_p", "stop", "seed", "user", "raw", "images"}
)
_LONGEST_NAME: Final = 64  # characters: no field of Ollama's has a longer one
_TRAILING: Final = "trailing characters"
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|,|[{\[]++|[}\]]++', re.DOTALL)
# What `encoding/json` takes for ASCII letters beside their own other case.
_FOLDED: Final = str.maketrans({"\u017f": "s", "\u212a": "k"})
_SPACE: Final = b" \t\r\n"
_GO_ESCAPES: Final = {
    0x07: "\\a",
    0x08: "\\b",
    0x0C: "\\f",
    0x0A: "\\n",
    0x0D: "\\r",
    0x09: "\\t",
    0x0B: "\\v",
}


class BadBody(Exception):
    """A body that is no JSON object; the text says where."""


def members_of(body: Body) -> Members:
    """Decode the first JSON value of a body, which must be an object; as `read`."""
    return read(body)[0]


def read(body: Body) -> tuple[Members, bool]:
    """Decode the first JSON value of a body, which must be an object; also whether `is_plain` holds of it.

    The same key twice: the last one counts, as in Go. What follows the value is dropped, as Ollama does.
    Raises BadBody, in Go's words where they are known: for an end that comes too soon and for a first
    byte that begins no value; and for more than MAX_MEMBERS, which take many times their bytes.
    """
    if has_too_many(body):
        raise BadBody(f"the request body has more than {MAX_MEMBERS} members")
    members: Members  # a build knows no type of another package
    try:
        members = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as why:
        members = _second_try(bytes(body), why)
    if is_plain(members):
        return members, True
    _refuse_twins(members)
    return members, False


def members_within(raw: bytes) -> Members:
    """The members of an object within a body that was read; what is no UTF-8 becomes U+FFFD, as in Go."""
    try:
        return _decoder.decode(raw)
    except UnicodeDecodeError:  # in a key
        return _decoder.decode(raw.decode(errors="replace"))


def has_too_many(body: Body) -> bool:
    """Whether there are more than MAX_MEMBERS. HOT: each has a colon, and most bodies have few of them."""
    size = len(body)
    if size <= MAX_MEMBERS * _SMALLEST or (size <= LARGE_BYTES and bytes(body).count(b":") <= MAX_MEMBERS):
        return False
    return has_more_members(body, MAX_MEMBERS)


def in_pieces(members: Members) -> Pieces:
    """As `encode`, without a copy of the members that are large."""
    pieces: Pieces = []
    start = b"{"
    for key, value in members.items():
        start = b"%b%b:" % (start, encode(key))
        view = memoryview(value)
        if len(view) < _LARGE_MEMBER:
            start = b"".join((start, view, b","))
        else:
            pieces += (start, view)
            start = b","
    pieces.append(start.removesuffix(b",") + b"}")
    return pieces


def is_plain(members: Members) -> bool:
    """Whether all keys that could be a name are ASCII in lower case, so that each is what Go takes it for."""
    for key in members:
        if key not in _USUAL and len(key) <= _LONGEST_NAME and not (key.isascii() and key == key.lower()):
            return False
    return True


def _second_try(body: bytes, why: Exception) -> Members:
    """Read what Go reads and msgspec does not; else say what is wrong."""
    if _TRAILING in str(why):
        body = _first_value(body, str(why))
    elif b"\\u" not in body:
        raise BadBody(_explain(body, why)) from why
    mended = with_whole_pairs(body, _MAX_MENDED)
    if mended is None:
        raise BadBody(f"the request body has more than {_MAX_MENDED} halves of surrogate pairs")
    try:
        return _decoder.decode(mended)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as still:
        if _TRAILING in str(still) and mended is not body:
            return members_of(_first_value(mended, str(still)))
        raise BadBody(_explain(body, still)) from still


def _first_value(body: bytes, why: str) -> bytes:
    """The bytes up to where msgspec found text after the value: it names the index behind that byte."""
    at = _BYTE.search(why)
    return body[: int(at[1]) - 1] if at else body


def _explain(body: bytes, why: Exception) -> str:
    """Say what is wrong with a body, by what the decoder said."""
    start = body.lstrip(_SPACE)
    if start and start[0] not in b'{["-0123456789tfn':
        return f"invalid character {_go_quoted(start)} looking for beginning of value"
    if isinstance(why, msgspec.ValidationError):
        why = _syntax_error(body) or why
    text = str(why)
    if isinstance(why, RecursionError):
        return "the request body is nested too deeply"
    if isinstance(why, UnicodeDecodeError):
        return "the request body has a key that is not UTF-8"
    if "truncated" in text:
        return "unexpected EOF"
    if isinstance(why, msgspec.ValidationError):
        return f"the request body must be a JSON object: {text.lower()}"
    return f"the request body is not valid JSON: {text.removeprefix('JSON is malformed: ')}"


def _syntax_error(body: bytes) -> Exception | None:
    """What is wrong beside the type: msgspec minds the type before the syntax, Go the other way."""
    try:
        _any_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as why:
        return None if _TRAILING in str(why) else why
    return None


def _go_quoted(start: bytes) -> str:
    """The first byte as Go quotes it: bytes from 0x80 are read as Latin-1."""
    byte = start[0]
    if byte in _GO_ESCAPES:
        return f"'{_GO_ESCAPES[byte]}'"
    if byte == 0x27:
        return "'\\''"
    if byte == 0x5C:
        return "'\\\\'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    if 0x80 <= byte < 0xA1 or byte == 0xAD:
        return f"'\\u{byte:04x}'"
    return f"'{chr(byte)}'"


def fold(key: str) -> str:
    """A key as Go compares it with a field's name: letter case aside, also U+017F and U+212A."""
    return key.translate(_FOLDED).lower()


def _refuse_twins(members: Members) -> None:
    seen: dict[str, str] = {}
    for key in members:
        if len(key) <= _LONGEST_NAME and (twin := seen.setdefault(fold(key), key)) != key:
            raise BadBody(f"the keys {twin!r} and {key!r} are one to Ollama: send only one of them")


def find(members: Members, name: str) -> str | None:
    """The key under which a member stands, whatever its case; None where it is not there."""
    if name in members:
        return name
    if is_plain(members):
        return None
    for key in members:
        if len(key) <= _LONGEST_NAME and fold(key) == name:
            return key
    return None


def kind_of(value: msgspec.Raw) -> str:
    """The JSON type in Go's words: string, number, bool, array, object or null."""
    match bytes(memoryview(value)[:1]):
        case b'"':
            return "string"
        case b"{":
            return "object"
        case b"[":
            return "array"
        case b"t" | b"f":
            return "bool"
        case b"n":
            return "null"
        case _:
            return "number"


def text_of(value: msgspec.Raw) -> str:
    """A member that is a JSON string; bytes that are no UTF-8 become U+FFFD, as in Go."""
    raw = bytes(value)
    if raw.isascii() and b"\\" not in raw:
        return raw[1:-1].decode()
    return _text_decoder.decode(raw.decode(errors="replace"))


def plain_text(value: msgspec.Raw) -> str:
    """A member that is a JSON string; empty where it is none, or holds bytes that only `text_of` reads."""
    try:
        return _text_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def raw_text(text: str) -> msgspec.Raw:
    """A JSON string to put into members."""
    return msgspec.Raw(encode(text))
