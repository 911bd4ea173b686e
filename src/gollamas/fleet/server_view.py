"""What we know of one server at one moment.

Owns the facts that the view holds of each; who writes them, and who hears of a change, is the view's.
"""

from math import inf
from typing import Final, NamedTuple

from gollamas import names
from gollamas.config.model import Server
from gollamas.fleet.entries import Entry
from gollamas.fleet.health import DOWN_STANDING, STANDING, UP_STANDING, Health
from gollamas.fleet.instances import Memory
from gollamas.fleet.variants import Variants

ONLY: Final = "only server"
UP: Final = "server is up"
LOADED: Final = "model loaded"
INSTALLED: Final = "model installed"
FEWEST: Final = "fewest in flight"
ORDER: Final = "configuration order"


class Choice(NamedTuple):
    """A server, and the criterion that told it from the next best."""

    server_id: str
    why: str


class ServerView:
    """What we know of one server. Times are monotonic seconds, None for never."""

    __slots__ = (
        "choices",
        "has_listed",
        "has_shown",
        "health",
        "id",
        "in_flight",
        "in_flight_by_model",
        "installed",
        "instances",
        "is_well",
        "loaded",
        "memory",
        "missing",
        "running",
        "runs",
        "server",
        "shown_after",
        "shown_at",
        "since",
        "standing",
        "truncated",
        "variants",
        "version",
        "version_at",
        "why_down",
    )

    def __init__(self, server: Server) -> None:
        self.id = server.id
        self.server = server
        self.health = Health.UNKNOWN
        self.standing = STANDING[Health.UNKNOWN]
        self.since: float | None = None  # when it came to be what people are told that it is
        self.is_well = False  # it answered last: no probe was in vain since
        self.why_down = ""  # what went wrong last, empty while all is well
        self.version: str | None = None  # the last that it said
        self.version_at: float | None = None
        self.installed: dict[str, Entry] = {}  # by key, in the server's order
        self.has_listed = False  # what it has installed, at least once
        self.missing: frozenset[str] = frozenset()  # keys that it is to run, cloud ones apart, and lacks
        self.running: dict[str, Entry] = {}  # by key, the first of each
        self.loaded: tuple[Entry, ...] = ()  # all that it lists as loaded, one name perhaps more than once
        self.variants = Variants()  # of ours, which no listing shows
        self.memory = Memory()
        self.instances = self.memory.by_key  # HOT: what is loaded or about to be, by each of its names
        self.has_shown = False  # what it has loaded, since it came up
        self.shown_after = 0  # what our changes were when its last list of that was asked for
        self.shown_at = -inf  # when it came
        self.runs = 0  # requests that it was sent and that run a model
        self.truncated: dict[str, int] = {}  # by key, prompts that were cut
        self.in_flight = 0
        self.in_flight_by_model: dict[str, int] = {}  # by key, no zeros
        # HOT: made once, so that a choice allocates nothing.
        self.choices = {why: Choice(server.id, why) for why in (ONLY, UP, LOADED, INSTALLED, FEWEST, ORDER)}

    @property
    def is_up(self) -> bool:
        """Whether the last probes found it (one silence is forgiven)."""
        return self.standing == UP_STANDING

    @property
    def is_down(self) -> bool:
        """Whether no request is to be sent to it."""
        return self.standing == DOWN_STANDING

    def lacks(self, key: str) -> bool:
        """Whether it said that it does not have this model; cloud names are never listed."""
        return self.has_listed and key not in self.installed and not names.is_cloud(key)
