"""Log lines for programs: one JSON object per event.

Owns order and form of the members; the same keys always, null where there is nothing to say. Spans are
seconds, sizes are bytes.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from gollamas import events
from gollamas.observe.kinds import KINDS, MADE
from gollamas.observe.safe import LONGEST_ERROR, LONGEST_PATH, cut, escaped_json, without_user_info

_Write = Callable[[Any], object]

_encode: Final = msgspec.json.Encoder().encode


def _error(error: BaseException) -> str:
    return without_user_info(f"{type(error).__name__}: {error}")


def _traceback(error: BaseException) -> str:
    return without_user_info("".join(traceback.format_exception(error)))


def _text(value: object) -> object:
    """Write a member that may quote somebody else."""
    return without_user_info(value) if isinstance(value, str) else value


# What is written otherwise than it stands in an event: cut, rounded, with ids and names as keys.
_OTHERWISE: Final[Mapping[type, Mapping[str, _Write]]] = {
    events.RequestEnded: {
        "request_id": cut,
        "model": cut,
        "tokens_per_s": lambda speed: round(speed, 2),
        "error": lambda text: cut(without_user_info(text), LONGEST_ERROR),
        "path": lambda text: cut(without_user_info(text), LONGEST_PATH),
    },
    events.JobEnded: {
        "model": lambda text: cut(without_user_info(text)),
        "error": lambda text: cut(without_user_info(text), LONGEST_ERROR),
    },
    events.Started: {
        "servers": lambda pairs: {id_: without_user_info(url) for id_, url in pairs},
        "models": dict,
        "aliases": dict,
    },
    events.Crashed: {"error": _error, "traceback": _traceback},
}


def _filler(event: type) -> Callable[[events.Event, str], object]:
    """A function that fills a line of this kind, by its row in the table.

    HOT: written out, as dataclasses write theirs: 4 us on CPython 3.11 for a request, by a loop 5.
    """
    kind = KINDS[event]
    made, otherwise = MADE.get(event, {}), _OTHERWISE.get(event, {})
    # The texts of a request that are not named there are our own or the configuration's.
    rest = None if event is events.RequestEnded else _text
    known: dict[str, object] = {
        "line": msgspec.defstruct(event.__name__, ["time", "level", "event", *kind.keys])
    }
    values = ["time", repr(kind.level.word), repr(kind.word)]
    for key in kind.keys:
        member = f"event.{made.get(key, key)}"
        write = otherwise.get(key, rest)
        if write is not None:
            known[f"write_{key}"] = write
            member = f"None if (value := {member}) is None else write_{key}(value)"
        elif key.endswith("_s"):
            member = f"None if (value := {member}) is None else round(value, 6)"
        values.append(member)
    source = f"lambda event, time: line({', '.join(values)})"
    return cast("Callable[[events.Event, str], object]", eval(source, known))  # noqa: S307 - our own names


_FILLERS: Final = {event: _filler(event) for event in KINDS}


def line(event: events.Event, time: str) -> bytes:
    """Write an event, without a line end."""
    return encoded(_FILLERS[type(event)](event, time))


def encoded(value: object) -> bytes:
    """Encode, with everything escaped that a terminal or a line reader would take for a command."""
    try:
        text = _encode(value)
    except UnicodeEncodeError:  # an unpaired surrogate, from bytes that were no UTF-8
        text = _encode(_paired(value))
    if text.isascii() and b"\x7f" not in text:
        return text  # control characters below U+0020 are escaped in JSON anyway
    return escaped_json(text.decode()).encode()


def _paired(value: object) -> object:
    """Replace unpaired surrogates in every text of a value."""
    if isinstance(value, msgspec.Struct):
        return _paired({name: getattr(value, name) for name in value.__struct_fields__})
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_paired(key): _paired(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_paired(inner) for inner in value]
    return value
