"""Bytes that are counted by hand, where to search or to match costs a request more than it may.

Owns each index that is a register of the machine (`i64`) and each table of letters; what a find means is for
who asks. Each function has a twin that says plainly what is found, and tests compare the two on any bytes.
The twin also runs where nothing is compiled: the interpreter searches quicker than it loops.
"""

import re
import string
from collections.abc import Set as AbstractSet
from itertools import islice
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
_BRACE: Final = 0x7B
_BRACE_END: Final = 0x7D
_CR: Final = 0x0D
_LF: Final = 0x0A
_ZERO: Final = 0x30


# -- lines of a head -----------------------------------------------------------------------------------


def line_at(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Where the name of the field that begins at `start` ends, and where the next line begins.

    Looks at the first `size` bytes only; the second is 0 where they do not hold the whole line. A line
    without a colon, as the empty one is, ends with its name.
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
    while at < end and data[at] != _CR:
        at += 1
    following: i64 = 0
    if at + 1 < end and data[at + 1] == _LF:
        following = at + 2
    return name_end, following


def line_at_plainly(data: bytes, start: int, size: int) -> tuple[int, int]:
    """As `line_at`."""
    cr = data.find(b"\r", start, size)
    end = cr if cr >= 0 else size
    colon = data.find(b":", start, end)
    is_whole = data.startswith(b"\r\n", end, size)
    return colon if colon >= 0 else end, end + 2 if is_whole else 0


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
    if not _IS_COMPILED:
        return has_more_members_plainly(body, most)
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
