"""Which server gets a request: pure, once per attempt.

Owns the order of the criteria. Refuses to know time, connections and limits: `admit` asks it, a table of
facts (`view`) answers it.
"""

from collections.abc import Collection, Sequence
from typing import Final

from gollamas.fleet.health import DOWN_STANDING
from gollamas.fleet.view import FEWEST, INSTALLED, LOADED, ONLY, ORDER, UP, Choice, View

# A server's score is one number, lower is better: standing, then what it has of the model, then requests
# in flight. HOT: one addition instead of a tuple; no server has 2^32 requests in flight.
_HAS_SHIFT: Final = 32
_STANDING_SHIFT: Final = 40
_NOT_LOADED: Final = 1 << _HAS_SHIFT
_LACKS_IT: Final = 2 << _HAS_SHIFT
_NEVER: Final = 1 << 60


def choose(view: View, candidates: Sequence[str], key: str, tried: Collection[str]) -> Choice | None:
    """Choose one of `candidates` (ids in configuration order) for the model `key`; None when none is left.

    Never a server that is down or stands in `tried`. Those that are up go before those never seen yet;
    then one that has the model loaded, one that did not say that it lacks the model, the one with the
    fewest requests of ours in flight, the first configured.
    """
    servers = view.servers
    if len(candidates) == 1 and not tried:
        only = servers.get(candidates[0])
        return only.choices[ONLY] if only is not None and only.standing != DOWN_STANDING else None
    best, best_score, next_score = None, _NEVER, _NEVER
    for server_id in candidates:
        server = servers.get(server_id)
        if server is None or server.standing == DOWN_STANDING or server_id in tried:
            continue
        score = (server.standing << _STANDING_SHIFT) + server.in_flight
        if key not in server.running:
            score += _LACKS_IT if server.lacks(key) else _NOT_LOADED
        if score < best_score:
            best, best_score, next_score = server, score, best_score
        elif score < next_score:
            next_score = score
    return best.choices[_why(best_score, next_score)] if best is not None else None


def _why(best: int, second: int) -> str:
    """Name the criterion that told the best from the second best."""
    if second == _NEVER:
        return ONLY
    if best == second:
        return ORDER
    if best >> _STANDING_SHIFT != second >> _STANDING_SHIFT:
        return UP
    if best >> _HAS_SHIFT == second >> _HAS_SHIFT:
        return FEWEST
    return INSTALLED if (best >> _HAS_SHIFT) & 0xFF else LOADED
