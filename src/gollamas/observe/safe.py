"""Text of clients and servers made fit for a line of a log.

Owns what is escaped, cut and left out: a line stays one line, a terminal obeys nothing that is in it, no
URL shows its user info.
"""

import re
from typing import Final

LONGEST: Final = 256  # characters of one value; a name longer than Ollama allows is somebody's test of us
LONGEST_ERROR: Final = 200
LONGEST_PATH: Final = 80

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s\"']*@")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    r"""Write all that is not printable as an escape: control characters, ANSI, line and direction marks."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _SHORT.get(char) or _escape(char) for char in text)


def escaped_json(text: str) -> str:
    """Do the same in JSON text without a line end, where unprintable characters stand in strings only."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape_json(char) for char in text)


def cut(text: str, longest: int = LONGEST) -> str:
    """Shorten what is too long for a line."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def without_user_info(text: str) -> str:
    """Leave out name and password of every URL in a text."""
    return _USER_INFO.sub("", text) if "@" in text else text


def _escape(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _escape_json(char: str) -> str:
    number = ord(char)
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)  # a surrogate pair (RFC 8259, section 7)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
