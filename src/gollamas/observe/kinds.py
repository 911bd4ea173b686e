"""The kinds of log lines: the word and the level of each event.

Owns the order of levels and one row per event type, whose keys are the event's own members; knows nothing of
how a line looks. `docs/logging.md` shows the same rows, and a test compares them.
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import IntEnum
from typing import Final, NamedTuple

from gollamas import events


class Level(IntEnum):
    """How much a line matters; a log at one level holds that level and worse."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4

    @property
    def word(self) -> str:
        """The level as it is written."""
        return self.name.lower()


def level_of(name: str) -> Level:
    """Give the level of a name of the configuration, which has turned logrus's words into ours."""
    return Level[name.upper()]


class LineKind(NamedTuple):
    """One kind of line."""

    word: str  # in `event`
    level: Level
    keys: tuple[str, ...]  # in JSON, behind `time level event`


_ROWS: Final[Mapping[type, tuple[str, Level]]] = {
    # whatever its status: what a client did wrong is no warning to whoever runs the proxy
    events.RequestEnded: ("request", Level.INFO),
    events.AttemptFailed: ("attempt_failed", Level.INFO),
    events.LoadEnded: ("load", Level.INFO),
    events.JobEnded: ("job", Level.INFO),
    events.Reloaded: ("reload", Level.INFO),
    events.VariantMade: ("variant_made", Level.INFO),
    events.VariantRefused: ("variant_refused", Level.INFO),
    events.VariantRemoved: ("variant_removed", Level.INFO),
    events.ServerWentUp: ("server_up", Level.INFO),
    events.ServerWentDown: ("server_down", Level.WARN),
    events.DigestsDiffer: ("digests_differ", Level.WARN),
    events.ModelMissing: ("model_missing", Level.WARN),
    events.ModelFound: ("model_found", Level.INFO),
    events.Started: ("started", Level.INFO),
    events.ConnectionsFull: ("connections_full", Level.WARN),
    events.ConnectionsFree: ("connections_free", Level.INFO),
    events.AcceptingPaused: ("accepting_paused", Level.WARN),
    events.AcceptingResumed: ("accepting_resumed", Level.INFO),
    events.Draining: ("draining", Level.INFO),
    events.Stopped: ("stopped", Level.INFO),
    events.Warned: ("warning", Level.WARN),
    events.Crashed: ("crashed", Level.ERROR),
}
# What a line says beside the members of its event: the key, and the member that it is made of.
MADE: Final[Mapping[type, Mapping[str, str]]] = {events.Crashed: {"traceback": "error"}}
# What is no line's: its own time says it.
_LEFT_OUT: Final = "ended_at"


def _keys(event: type) -> tuple[str, ...]:
    told = [member.name for member in fields(event) if member.name != _LEFT_OUT]
    return (*told, *MADE.get(event, ()))


KINDS: Final[Mapping[type, LineKind]] = {
    event: LineKind(word, level, _keys(event)) for event, (word, level) in _ROWS.items()
}
