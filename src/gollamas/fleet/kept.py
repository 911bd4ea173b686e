"""What is noted of each model that is kept in memory, and of each server that keeps some.

Owns shapes only; `fleet/keeping` decides by them.
"""

import math

from gollamas.fleet.wishes import Wish


class KeptModel:
    """A model on a server. Times are monotonic seconds."""

    def __init__(self, wish: Wish, server_id: str, order: int) -> None:
        self.wish = wish
        self.key = wish.key
        self.order = order
        self.ping = wish.pings.get(server_id)
        self.is_preloaded = server_id in wish.preloaded
        self.look_at = -math.inf  # when the next ping is due
        self.asked_at: float | None = None  # when it had the server asked, whose list was too old for it
        self.is_pinged = False  # a ping has found it missing, and its load has not begun
        self.retry_at = -math.inf
        self.failures = 0
        self.waits_since: float | None = None  # when a preload began to wait for quiet
        self.pushes = 0  # of its loads in a row, how many pushed another kept model out
        self.was_tried = False
        self.yields = False  # it does not fit beside an earlier one
        self.was_gone = False  # since it yields: that it is there then is somebody else's doing


class ServerWishes:
    """What is kept on one server."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptModel] = {}  # by key, in the order of the configuration
        self.yielding: list[KeptModel] = []
        self.loading: str | None = None
        self.loaded: str | None = None  # the last one, until it is known what left for it
        self.before: tuple[str, ...] = ()  # kept models that were there when its load began
        self.loaded_at = -math.inf
        self.check_after = 0  # what a list has to be asked for after that tells what left
        self.asked_at = -math.inf  # when a ping had the server asked last
        self.unlisted_since: float | None = None  # since when it is up and did not say what it has loaded
        self.runs = 0  # how many requests the server had run at the last look
        self.quiet_since = -math.inf
