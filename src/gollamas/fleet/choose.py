"""Which server gets a request: pure, once per attempt.

Owns the order of the criteria. Refuses to know time, connections and limits: `admit` asks it, a table of
facts (`view`) answers it.
"""

from collections.abc import Collection, Sequence
from typing import Final

from gollamas.fleet.health import DOWN_STANDING
from gollamas.fleet.server_view import FEWEST, INSTALLED, LOADED, ONLY, ORDER, UP, Choice
from gollamas.fleet.view import View

# A server's score is one number, lower is better: its standing, its group, then requests in flight. HOT: a
# few additions instead of a tuple; no server has 2^31 requests in flight.
_GROUP_SHIFT: Final = 32
_STANDING_SHIFT: Final = 40
_ANY: Final = 1 << _GROUP_SHIFT  # doubled requests in flight, odd where the model is not loaded
_LACKS_IT: Final = 2 << _GROUP_SHIFT
_NEVER: Final = 1 << 60
# Requests of ours, of any model, that a server may have before it is too busy to be preferred: one that runs
# and one that is there when it ends. With no such bound all wait for one server while the others idle.
_BUSY: Final = 2


def choose(view: View, candidates: Sequence[str], key: str, tried: Collection[str]) -> Choice | None:
    """Choose one of `candidates` (ids in configuration order) for the model `key`; None when none is left.

    Never a server that is down or stands in `tried`. Those that are up go before those never seen yet, and
    those that said that they lack the model last of each. Then one goes first that has the model loaded, or
    is loading it, and has fewer than two requests of ours in flight, of several the one with the fewest.
    Where there is none, it is the one with the fewest of all, on a tie one that has it loaded, then the first
    configured.
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
        score = in_flight = server.in_flight
        if key not in server.instances:
            score += in_flight + (_LACKS_IT if server.lacks(key) else _ANY + 1)
        elif in_flight >= _BUSY:
            score += in_flight + _ANY
        if server.standing:
            score += server.standing << _STANDING_SHIFT
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
    group = best >> _GROUP_SHIFT
    if group != second >> _GROUP_SHIFT:
        return INSTALLED if group & 0xFF else LOADED
    return LOADED if group & 0xFF and best >> 1 == second >> 1 else FEWEST
