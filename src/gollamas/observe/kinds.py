"""The kinds of log lines: the word and the level of each event.

Owns the order of levels and one row per event type; knows nothing of how a line looks. `docs/logging.md`
shows the same rows, and a test compares them.
"""

from collections.abc import Mapping
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


class Kind(NamedTuple):
    """One kind of line."""

    word: str  # in `event`
    level: Level
    keys: tuple[str, ...]  # in JSON, behind `time level event`


KINDS: Final[Mapping[type, Kind]] = {
    events.RequestEnded: Kind(
        "request",
        Level.INFO,  # whatever its status: what a client did wrong is no warning to whoever runs the proxy
        (
            "request_id",
            "client",
            "method",
            "route",
            "model",
            "model_used",
            "alias",
            "server",
            "status",
            "why",
            "wait_s",
            "first_byte_s",
            "total_s",
            "tokens_in",
            "tokens_cached",
            "tokens_out",
            "tokens_per_s",
            "bytes_in",
            "bytes_out",
            "end",
            "error",
            "path",
        ),
    ),
    events.AttemptFailed: Kind(
        "attempt_failed", Level.INFO, ("request_id", "server", "model", "cause", "why", "moves_on")
    ),
    events.ServerWentUp: Kind("server_up", Level.INFO, ("server", "version")),
    events.ServerWentDown: Kind("server_down", Level.WARN, ("server", "why")),
    events.DigestsDiffer: Kind("digests_differ", Level.WARN, ("model", "servers")),
    events.ModelMissing: Kind("model_missing", Level.WARN, ("model", "server")),
    events.ModelFound: Kind("model_found", Level.INFO, ("model", "server")),
    events.Started: Kind("started", Level.INFO, ("listen", "admin", "servers", "models", "aliases")),
    events.ConnectionsFull: Kind("connections_full", Level.WARN, ("max_connections",)),
    events.ConnectionsFree: Kind("connections_free", Level.INFO, ("ended", "refused")),
    events.AcceptingPaused: Kind("accepting_paused", Level.WARN, ("open_files", "limit")),
    events.AcceptingResumed: Kind("accepting_resumed", Level.INFO, ("paused_s",)),
    events.Draining: Kind("draining", Level.INFO, ("open_requests", "grace_s")),
    events.Stopped: Kind("stopped", Level.INFO, ("cut",)),
    events.Warned: Kind("warning", Level.WARN, ("text",)),
    events.Crashed: Kind("crashed", Level.ERROR, ("where", "error", "traceback")),
}
