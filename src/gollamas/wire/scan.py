"""Bytes that are counted by hand, where to search or to match costs a request more than it may.

Owns each index that is a register of the machine (`i64`) and each table of letters; what a find means is for
who asks. Each function has a twin that says plainly what is found, and tests compare the two on any bytes.
Where nothing is compiled the twin runs instead, if it is the quicker one: the interpreter searches quicker
than it loops, but takes longer over each find than over a byte.
"""

import re
import string
from collections.abc import Set as AbstractSet
from itertools import islice, pairwise
from mmap import mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64  # to the compiler an index that fits a register, else an int

_IS_COMPILED: Final = not __file__.endswith(".py")

_BLANK: Final = 0x20
_QUOTE: Final = 0x22
_COMMA: Final = 0x2C
_COLON: Final = 0x3A
_BRACKET: Final = 0x5B
_BACKSLASH: Final = 0x5C
_BRACKET_END: Final = 0x5D
_UNDERSCORE: Final = 0x5F
_BRACE: Final = 0x7B
_BRACE_END: Final = 0x7D
_CR: Final = 0x0D
_LF: Final = 0x0A
_ZERO: Final = 0x30


# -- lines of a head -----------------------------------------------------------------------------------


def line_at(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Where the name of the field that begins at `start` ends, and where the next line begins.

    Looks at the first `size` bytes only; the second is 0 where they do not hold the whole line, with its
    CRLF. A name ends at a colon, at a CR, or where those bytes end.
    """
    if not _IS_COMPILED:
        return line_at_plainly(data, start, size)
    end: i64 = size
    at: i64 = start
    while at < end:
        code: i64 = data[at]
        if code in (_COLON, _CR):
            break
        at += 1
    name_end = at
    at += 1  # of the two bytes of a line's end one stands at every other place
    while at < end:
        code = data[at]
        if code <= _CR:
            if code == _LF and data[at - 1] == _CR:
                return name_end, at + 1
            if code == _CR and at + 1 < end and data[at + 1] == _LF:
                return name_end, at + 2
        at += 2
    return name_end, 0


def line_at_plainly(data: bytes, start: int, size: int) -> tuple[int, int]:
    """As `line_at`."""
    cr = data.find(b"\r", start, size)
    end = cr if cr >= 0 else size
    colon = data.find(b":", start, end)
    crlf = data.find(b"\r\n", end, size)
    return colon if colon >= 0 else end, crlf + 2 if crlf >= 0 else 0


def value_in(data: bytes, start: int, end: int) -> bytes:
    """The value of a field that stands there, behind its colon: without the blanks in front of it."""
    if start + 1 < end and data[start] == _BLANK and data[start + 1] > _BLANK:
        return data[start + 1 : end]  # nearly every field
    return value_in_plainly(data, start, end)


def value_in_plainly(data: bytes, start: int, end: int) -> bytes:
    """As `value_in`."""
    return data[start:end].lstrip(b" \t") if start < end else b""


def blanks_in(data: bytes, size: int) -> tuple[int, int]:
    """Where the first two bytes stand that are a blank or a control; `size` for one that is not there."""
    if not _IS_COMPILED:
        return blanks_in_plainly(data, size)
    end: i64 = size
    at: i64 = 0
    while at < end and data[at] > _BLANK:
        at += 1
    first = at
    at += 1
    while at < end and data[at] > _BLANK:
        at += 1
    return first, min(end, at)


_BLANK_OR_CONTROL: Final = re.compile(rb"[\x00-\x20]")


def blanks_in_plainly(data: bytes, size: int) -> tuple[int, int]:
    """As `blanks_in`."""
    blanks = islice(_BLANK_OR_CONTROL.finditer(data, 0, size), 2)
    first, second, *_ = *(blank.start() for blank in blanks), size, size
    return first, second


# -- values of a head ----------------------------------------------------------------------------------

# What nearly every client writes, by its code: 2 in a host and in a target, 1 in a target alone.
_IN_NAME: Final = 2
_IS_USUAL: Final = bytes(
    _IN_NAME if chr(code) in string.ascii_letters + string.digits + "-." else int(chr(code) in "/_~")
    for code in range(256)
)
_USUAL_TARGET: Final = re.compile(rb"/[A-Za-z0-9./_~-]{0,254}")
_USUAL_HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(?::([0-9]{1,5}))?")
_MAX_PORT: Final = 65535
_MAX_DIGITS: Final = 18  # as many as surely fit 64 bits


def is_usual_target(target: bytes) -> bool:
    """Whether this is a short path with nothing in it that is read in a special way."""
    if not _IS_COMPILED:
        return is_usual_target_plainly(target)
    size: i64 = len(target)
    at: i64 = 0
    while at < size and _IS_USUAL[target[at]]:
        at += 1
    return at == size and size < 256 and target.startswith(b"/")


def is_usual_target_plainly(target: bytes) -> bool:
    """As `is_usual_target`."""
    return _USUAL_TARGET.fullmatch(target) is not None


def is_usual_host(host: bytes) -> bool:
    """Whether this is a name or an IPv4 address, with a port of at most five digits or none."""
    if not _IS_COMPILED:
        return is_usual_host_plainly(host)
    size: i64 = len(host)
    at: i64 = 0
    while at < size and _IS_USUAL[host[at]] == _IN_NAME:
        at += 1
    if at == size:
        return at > 0
    return at > 0 and host[at] == _COLON and size - at <= 6 and 0 <= number_in(host[at + 1 :]) <= _MAX_PORT


def is_usual_host_plainly(host: bytes) -> bool:
    """As `is_usual_host`."""
    match = _USUAL_HOST.fullmatch(host)
    return match is not None and int(match[1] or 0) <= _MAX_PORT


def number_in(value: bytes) -> int:
    """What at most eighteen digits say; -1 where it is anything else."""
    if not _IS_COMPILED:
        return number_in_plainly(value)
    size: i64 = len(value)
    if not 0 < size <= _MAX_DIGITS:
        return -1
    number: i64 = 0
    at: i64 = 0
    while at < size:
        digit: i64 = value[at] - _ZERO
        if not 0 <= digit <= 9:
            return -1
        number = number * 10 + digit
        at += 1
    return number


def number_in_plainly(value: bytes) -> int:
    """As `number_in`."""
    return int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else -1


# -- names of fields -----------------------------------------------------------------------------------

_MOST: Final = 64  # the names that are told apart are shorter
_LETTER: Final = 0x1F  # its bits that are one in both cases


def outlines_of(names: AbstractSet[bytes]) -> bytes:
    """A table by a name's first letter and its length: 1 where one of these names has both."""
    table = bytearray((_LETTER + 1) * _MOST)
    for name in names:
        table[(name[0] & _LETTER) * _MOST + len(name)] = 1
    return bytes(table)


def may_be_among(table: bytes, letter: int, size: int) -> bool:
    """Whether a name that begins so and is so long may be one of the table's, in whichever case."""
    first: i64 = letter
    length: i64 = size
    return length < _MOST and table[(first & _LETTER) * _MOST + length] == 1


def may_be_among_plainly(names: AbstractSet[bytes], letter: int, size: int) -> bool:
    """As `may_be_among` with the table of these names, which are in lower case."""
    return any(len(name) == size and (name[0] ^ letter) & _LETTER == 0 for name in names)


# -- members of a body ---------------------------------------------------------------------------------

_WINDOW: Final = 64 * 1024
_SHORT_STRING: Final = 256
# A whole string, or what there is of one; or a byte of structure.
_MARK: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[,{}\[\]]', re.DOTALL)


def has_more_members(body: bytes | bytearray | mmap, most: int) -> bool:
    """Whether a JSON object has more than `most` members, before any of them is built.

    Looks at what stands outside of strings only; of a body that is no JSON it may say anything.
    """
    depth: i64 = 0
    commas: i64 = 0
    skipped: i64 = 0  # of the next window: the character behind a backslash
    in_string = False
    for start in range(0, len(body), _WINDOW):
        window = bytes(body[start : start + _WINDOW])
        end: i64 = len(window)
        at = skipped
        while at < end:
            if in_string:
                at, in_string = _leave_string(window, at, end)
                continue
            code: i64 = window[at]
            at += 1
            if code == _QUOTE:
                in_string = True
            elif code == _COMMA and depth == 1:
                commas += 1
                if commas >= most:
                    return True
            elif code in (_BRACE, _BRACKET):
                depth += 1
            elif code in (_BRACE_END, _BRACKET_END):
                depth -= 1
                if depth == 0:
                    return False
        skipped = at - end
    return False


def _leave_string(data: bytes, start: int, size: int) -> tuple[int, bool]:
    """Where a string ends, as far as it stands there, and whether it goes on."""
    at: i64 = start
    end: i64 = size
    near: i64 = min(at + _SHORT_STRING, end)
    while at < near:
        code: i64 = data[at]
        if code == _QUOTE:
            return at + 1, False
        at += 2 if code == _BACKSLASH else 1
    if at >= end:
        return at, True
    # A picture is searched ten times as quickly as it is looped over.
    quote = data.find(b'"', at)
    backslash = data.find(b"\\", at, quote if quote >= 0 else size)
    if backslash >= 0:
        return backslash, True
    return (quote + 1, False) if quote >= 0 else (size, True)


def has_more_members_plainly(body: bytes | bytearray | mmap, most: int) -> bool:
    """As `has_more_members`."""
    depth = commas = 0
    for match in _MARK.finditer(body):
        mark = match[0]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
            if depth == 0:
                return False
        elif mark == b"," and depth == 1:
            commas += 1
            if commas >= most:
                return True
    return False


_HIGH: Final = 1
_LOW: Final = 2
_HALVES: Final = bytes(
    _HIGH if code in b"89abAB" else _LOW if code in b"cdefCDEF" else 0 for code in range(256)
)
_HEX: Final = bytes(int(code in b"0123456789abcdefABCDEF") for code in range(256))
_ESCAPE_BYTES: Final = 6  # of \u and four digits
_U: Final = 0x75
_D: Final = (0x44, 0x64)
_ALONE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def with_whole_pairs(body: bytes, most: int) -> bytes | None:
    """JSON text with U+FFFD for each half of a surrogate pair that stands alone, as Go reads it.

    None where there are more than `most` of them.
    """
    changed: bytearray | None = None
    count: i64 = 0
    size: i64 = len(body)
    at: i64 = _backslash(body, 0, size)
    while at >= 0:
        half: i64 = _half(body, at, size)
        if half == 0:
            at += 2
        elif half == _HIGH and _half(body, at + _ESCAPE_BYTES, size) == _LOW:
            at += 2 * _ESCAPE_BYTES
        else:
            if changed is None:
                changed = bytearray(body)
            count += 1
            if count > most:
                return None
            changed[at : at + _ESCAPE_BYTES] = b"\\ufffd"
            at += _ESCAPE_BYTES
        at = _backslash(body, at, size)
    return body if changed is None else bytes(changed)


def with_whole_pairs_plainly(body: bytes, most: int) -> bytes | None:
    """As `with_whole_pairs`."""
    alone = [found for found in _ALONE.finditer(body) if not found[2]]
    if len(alone) > most:
        return None
    return _ALONE.sub(lambda found: found[0] if found[2] else found[1] + b"\\ufffd", body)


def _half(data: bytes, start: int, size: int) -> int:
    """Which half of a surrogate pair the escape is that begins at `start`; 0 where it is none."""
    at: i64 = start
    if at + _ESCAPE_BYTES > size or data[at] != _BACKSLASH or data[at + 1] != _U:
        return 0
    if data[at + 2] not in _D or not _HEX[data[at + 4]] or not _HEX[data[at + 5]]:
        return 0
    return _HALVES[data[at + 3]]


def _backslash(data: bytes, start: int, size: int) -> int:
    """Where the next backslash is; -1 where there is none."""
    at: i64 = start
    end: i64 = size
    near: i64 = min(at + _SHORT_STRING, end)
    while at < near:
        if data[at] == _BACKSLASH:
            return at
        at += 1
    return data.find(b"\\", at)


# -- names in an object --------------------------------------------------------------------------------


def has_underscore(data: bytes, around: AbstractSet[int]) -> bool:
    """Whether an underscore stands between two bytes of `around`, or a backslash anywhere.

    In `around` each pair is its first byte times 256, and its second.
    """
    if not _IS_COMPILED:
        return has_underscore_plainly(data, around)
    last: i64 = len(data) - 1
    at: i64 = 0
    while at <= last:
        code: i64 = data[at]
        if code == _BACKSLASH:
            return True
        if code == _UNDERSCORE and 0 < at < last and data[at - 1] * 256 + data[at + 1] in around:
            return True
        at += 1
    return False


def has_underscore_plainly(data: bytes, around: AbstractSet[int]) -> bool:
    """As `has_underscore`."""
    parts = data.split(b"_")
    pairs = [one[-1] * 256 + other[0] for one, other in pairwise(parts) if one and other]
    return b"\\" in data or not around.isdisjoint(pairs)
