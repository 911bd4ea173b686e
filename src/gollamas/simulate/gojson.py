"""JSON as Go's decoder reads it: the first value only, keys without regard to case, the last one wins.

Owns decoding and the decoder's error texts (`encoding/json` of Go 1.24 behind gin's binding). What the
members of a request are is in `fields`.
"""

import json
import re
from typing import Any, Final, NoReturn

_SPACE: Final = " \t\r\n"
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}
_KELVIN_AND_LONG_S: Final = str.maketrans({"\u212a": "k", "\u017f": "s"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class NoBodyError(ValueError):
    """Nothing but white space: what Go calls EOF."""


class GoSyntaxError(ValueError):
    """The text of a decoder's error."""


class Pairs(list[tuple[str, Any]]):
    """An object's members in the order and with the repetitions in which they were sent."""


def fold(key: str) -> str:
    """Give the form by which Go compares a key with the name of a field."""
    return key.translate(_KELVIN_AND_LONG_S).lower()


def decode(body: bytes) -> Any:
    """Give the first JSON value of a body; objects as `Pairs`.

    Raises NoBodyError where there is none and GoSyntaxError with Go's words where it is faulty.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise NoBodyError
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise GoSyntaxError("exceeded max depth") from None
    except ValueError:
        _explain(text, start)
    return value


def plain(value: Any) -> Any:
    """Give the same value with dictionaries for `Pairs`; exact keys, the last one wins."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    return value


def kind(value: Any) -> str:
    """Give what Go's errors call the type of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Pairs | dict) else "array"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=_refuse_constant)


def _explain(text: str, start: int) -> NoReturn:
    _Scanner(text).value(start)
    # Both readers follow RFC 8259; were this one to accept what the other refused, the body is still refused.
    raise GoSyntaxError("unexpected EOF")


class _Scanner:
    """Walks a faulty text to the place where Go's scanner stops."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, at: int) -> int:
        at = self._skip(at)
        char = self._char(at)
        if char == "{":
            return self._object(at + 1)
        if char == "[":
            return self._array(at + 1)
        if char == '"':
            return self._string(at + 1)
        if char in _LITERALS:
            return self._literal(at, _LITERALS[char])
        if char == "-" or (char.isascii() and char.isdigit()):
            return self._number(at)
        raise self._fault(char, "looking for beginning of value")

    def _object(self, at: int) -> int:
        at = self._skip(at)
        if self._char(at) == "}":
            return at + 1
        while True:
            at = self._skip(at)
            if (char := self._char(at)) != '"':
                raise self._fault(char, "looking for beginning of object key string")
            at = self._skip(self._string(at + 1))
            if (char := self._char(at)) != ":":
                raise self._fault(char, "after object key")
            at = self._skip(self.value(at + 1))
            char = self._char(at)
            if char == "}":
                return at + 1
            if char != ",":
                raise self._fault(char, "after object key:value pair")
            at += 1

    def _array(self, at: int) -> int:
        at = self._skip(at)
        if self._char(at) == "]":
            return at + 1
        while True:
            at = self._skip(self.value(at))
            char = self._char(at)
            if char == "]":
                return at + 1
            if char != ",":
                raise self._fault(char, "after array element")
            at += 1

    def _string(self, at: int) -> int:
        while (char := self._char(at)) != '"':
            if char < " ":
                raise self._fault(char, "in string literal")
            at += 1
            if char == "\\":
                at = self._escape(at)
        return at + 1

    def _escape(self, at: int) -> int:
        char = self._char(at)
        if char == "u":
            for offset in range(1, 5):
                digit = self._char(at + offset)
                if digit not in "0123456789abcdefABCDEF":
                    raise self._fault(digit, "in \\u hexadecimal character escape")
            return at + 5
        if char not in '"\\/bfnrt':
            raise self._fault(char, "in string escape code")
        return at + 1

    def _literal(self, at: int, word: str) -> int:
        for offset, wanted in enumerate(word):
            if (char := self._char(at + offset)) != wanted:
                raise self._fault(char, f"in literal {word} (expecting '{wanted}')")
        return at + len(word)

    def _number(self, at: int) -> int:
        if self._char(at) == "-":
            at += 1
            if not self._is_digit(at):
                raise self._fault(self._char(at), "in numeric literal")
        at = at + 1 if self._char(at) == "0" else self._digits(at)
        if self._text[at : at + 1] == ".":
            at += 1
            if not self._is_digit(at):
                raise self._fault(self._char(at), "after decimal point in numeric literal")
            at = self._digits(at)
        if self._text[at : at + 1] in ("e", "E"):
            at += 1
            if self._char(at) in "+-":
                at += 1
            if not self._is_digit(at):
                raise self._fault(self._char(at), "in exponent of numeric literal")
            at = self._digits(at)
        return at

    def _digits(self, at: int) -> int:
        while self._is_digit(at):
            at += 1
        return at

    def _is_digit(self, at: int) -> bool:
        char = self._text[at : at + 1]
        return char.isascii() and char.isdigit()

    def _skip(self, at: int) -> int:
        while self._text[at : at + 1] in (" ", "\t", "\r", "\n"):
            at += 1
        return at

    def _char(self, at: int) -> str:
        if at >= len(self._text):
            raise GoSyntaxError("unexpected EOF")
        return self._text[at]

    def _fault(self, char: str, where: str) -> GoSyntaxError:
        return GoSyntaxError(f"invalid character {_quoted(char)} {where}")


def _quoted(char: str) -> str:
    if char == "'":
        return "'\\''"
    if char == '"':
        return "'\"'"
    if char == "\ufffd":  # Go's scanner reads bytes
        return "'ï'"
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "\\": "\\\\", "\0": "\\x00"}
    text = named.get(char) or (char if char.isprintable() else f"\\x{ord(char):02x}")
    return f"'{text}'"
