"""When a server is trusted: a table.

Owns the states, the signals and what follows from each pair; knows neither probes nor clocks. Thresholds
are those of the proxies that went before: down after two silences in a row, up after one
answer, down at once when a request's connection is refused. A server that has never answered is told of as
down after its first silence, and is the last resort until the second; one that answered as no Ollama does
is not used at all.
"""

from enum import Enum, StrEnum
from typing import Final


class Health(StrEnum):
    """What we think of a server."""

    UNKNOWN = "unknown"  # never asked to an end
    DOUBTED = "doubted"  # never answered, asked once in vain
    UP = "up"
    SUSPECT = "suspect"  # still used: one probe was in vain
    DOWN = "down"


class Saw(Enum):
    """What a probe or a request saw."""

    ANSWER = "answer"  # a probe was answered, or a request as only Ollama answers it
    SILENCE = "silence"  # a probe failed, whatever the reason
    OTHER = "other"  # a probe was answered as no Ollama does
    REFUSAL = "refusal"  # a request of a client could not connect


_NEXT: Final = {
    (Health.UNKNOWN, Saw.ANSWER): Health.UP,
    (Health.UNKNOWN, Saw.SILENCE): Health.DOUBTED,
    (Health.UNKNOWN, Saw.OTHER): Health.DOWN,
    (Health.UNKNOWN, Saw.REFUSAL): Health.DOWN,
    (Health.DOUBTED, Saw.ANSWER): Health.UP,
    (Health.DOUBTED, Saw.SILENCE): Health.DOWN,
    (Health.DOUBTED, Saw.OTHER): Health.DOWN,
    (Health.DOUBTED, Saw.REFUSAL): Health.DOWN,
    (Health.UP, Saw.ANSWER): Health.UP,
    (Health.UP, Saw.SILENCE): Health.SUSPECT,
    (Health.UP, Saw.OTHER): Health.SUSPECT,
    (Health.UP, Saw.REFUSAL): Health.DOWN,
    (Health.SUSPECT, Saw.ANSWER): Health.UP,
    (Health.SUSPECT, Saw.SILENCE): Health.DOWN,
    (Health.SUSPECT, Saw.OTHER): Health.DOWN,
    (Health.SUSPECT, Saw.REFUSAL): Health.DOWN,
    (Health.DOWN, Saw.ANSWER): Health.UP,
    (Health.DOWN, Saw.SILENCE): Health.DOWN,
    (Health.DOWN, Saw.OTHER): Health.DOWN,
    (Health.DOWN, Saw.REFUSAL): Health.DOWN,
}

UP_STANDING: Final = 0
UNSEEN_STANDING: Final = 1
DOWN_STANDING: Final = 2

# How the choice ranks a server; lower is better, and DOWN_STANDING is never chosen.
STANDING: Final = {
    Health.UP: UP_STANDING,
    Health.SUSPECT: UP_STANDING,
    Health.UNKNOWN: UNSEEN_STANDING,
    Health.DOUBTED: UNSEEN_STANDING,
    Health.DOWN: DOWN_STANDING,
}

# What the log calls down: said once, when a server comes to be one of these.
TOLD_DOWN: Final = frozenset({Health.DOUBTED, Health.DOWN})

# What people are told at `/state`: down is what the log calls so.
TOLD_AS: Final = {
    Health.UNKNOWN: "unknown",
    Health.DOUBTED: "down",
    Health.UP: "up",
    Health.SUSPECT: "suspect",
    Health.DOWN: "down",
}


def after(health: Health, saw: Saw) -> Health:
    """Return the state that follows a signal."""
    return _NEXT[health, saw]
