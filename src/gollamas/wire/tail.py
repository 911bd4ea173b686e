"""What an answer says about itself at its end: tokens and durations.

Owns where each dialect's last object keeps its counts. Reads at most the last 4 KiB, never decodes an
answer, and says None where the answer does not say; no tail is an error.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

TAIL_BYTES: Final = 4096  # enough for the counts of every dialect; what stands before them can be megabytes

_NANOSECONDS: Final = 1e-9


class Telling(Enum):
    """The ways of telling counts."""

    NATIVE = "native"  # /api/generate, chat, embed
    OPENAI = "openai"  # /v1/chat/completions, completions, embeddings
    RESPONSES = "responses"
    MESSAGES = "messages"


@dataclass(slots=True, init=False)
class Counts:
    """What the end of an answer says; None where it does not."""

    tokens_in: int | None  # of the prompt, whether they were cached or not
    tokens_out: int | None
    eval_seconds: float | None  # spent on tokens_out
    load_seconds: float | None  # until the model was ready; about 1 ms when it was loaded
    tokens_cached: int | None  # of tokens_in; known since 0.33.3, though on /v1/responses 0 says nothing
    done: bool  # the answer ended as its dialect ends one, not only its bytes

    def __init__(
        self,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        eval_seconds: float | None = None,
        load_seconds: float | None = None,
        tokens_cached: int | None = None,
        *,
        done: bool = False,
    ) -> None:
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        self.eval_seconds = eval_seconds
        self.load_seconds = load_seconds
        self.tokens_cached = tokens_cached
        self.done = done


_NATIVE: Final = Telling.NATIVE  # HOT: CPython 3.11 looks a member of an Enum up by a slow path
_NOTHING: Final = Counts()
_DONE: Final = Counts(done=True)
_REASON: Final = re.compile(rb'(?:,"done_reason":"[^"\\]*")?\}\s*')
_DIGITS: Final = re.compile(rb"\d{1,18}")


# The members with which a native answer ends, in nanoseconds.
_METRICS: Final[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "Metrics",
        [
            ("total_duration", int),
            ("load_duration", int | None, None),
            ("prompt_eval_count", int | None, None),
            ("prompt_eval_cached_count", int | None, None),
            ("prompt_eval_duration", int | None, None),
            ("eval_count", int | None, None),
            ("eval_duration", int | None, None),
        ],
    )
)


def counts(tail: bytes, telling: Telling) -> Counts:
    """Read the counts from the end of an answer that came whole.

    In: its last bytes, as the server sent them (a longer tail is cut to TAIL_BYTES), and how it tells.
    """
    if len(tail) > TAIL_BYTES:
        tail = tail[-TAIL_BYTES:]
    if telling is _NATIVE:
        return _native(tail)
    if telling is Telling.OPENAI:
        return _usage(tail, b'"prompt_tokens":', b'"completion_tokens":', b"data: [DONE]")
    if telling is Telling.RESPONSES:
        said = _usage(tail, b'"input_tokens":', b'"output_tokens":', b'"type":"response.completed"')
        if said.tokens_cached == 0:  # servers that do not know write it here
            said.tokens_cached = None
        return said
    said = _usage(
        tail, b'"input_tokens":', b'"output_tokens":', b'"type":"message_stop"', b'"cache_read_input_tokens":'
    )
    if said.tokens_in is not None and said.tokens_cached is not None:
        said.tokens_in += said.tokens_cached  # this dialect tells the rest of the prompt alone
    return said


def _native(tail: bytes) -> Counts:
    # HOT: 2 us. All counts follow `total_duration` (api/types.go, Metrics), behind generated text, tool
    # arguments, log probabilities and `context`; so what follows is small, flat and ends the line. Members
    # of these names inside tool arguments are followed by more than one brace, which is no object.
    _, found, metrics = tail.rpartition(b',"total_duration":')
    if not found:
        # loads, unloads and the last word of a stream without metrics: nothing but the reason follows
        place = tail.rfind(b'"done":true')
        return _DONE if place >= 0 and _REASON.fullmatch(tail, place + 11) else _NOTHING
    try:
        said = _METRICS.decode(b'{"total_duration":' + metrics)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    spent, load = said.eval_duration, said.load_duration
    return Counts(
        said.prompt_eval_count,
        said.eval_count,
        None if spent is None else spent * _NANOSECONDS,
        None if load is None else load * _NANOSECONDS,
        said.prompt_eval_cached_count,
        done=True,
    )


def _usage(
    tail: bytes, word_in: bytes, word_out: bytes, end: bytes, word_cached: bytes = b'"cached_tokens":'
) -> Counts:
    """Read the last `usage` object; only that of a finished stream or of a whole body counts.

    A stream that breaks off may have said an estimate (`message_start`) or zeros (completions).
    """
    is_stream = b"\ndata: " in tail or tail.startswith(b"data: ")  # no JSON text contains a raw line feed
    if is_stream and end not in tail[tail.rfind(b"\ndata: ") + 1 :]:
        return _NOTHING
    place = tail.rfind(b'"usage":{')
    if place < 0:
        return _DONE if is_stream else _NOTHING
    return Counts(
        _number(tail, word_in, place),
        _number(tail, word_out, place),
        tokens_cached=_number(tail, word_cached, place),
        done=True,
    )


def _number(tail: bytes, word: bytes, place: int) -> int | None:
    place = tail.find(word, place)
    digits = _DIGITS.match(tail, place + len(word)) if place >= 0 else None
    return int(digits.group()) if digits else None
