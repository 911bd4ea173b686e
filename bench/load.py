"""Load: by wrk where it is there, else by the small C program beside this file.

Both send the same bytes, each connection one request at a time.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WRK: Final = """\
local requests, turn = {%s}, 0
function request()
    turn = turn %% #requests + 1
    return requests[turn]
end
function done(summary, latency)
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    local said = '\\n{"answers":%%d,"bad":%%d,"broken":%%d,"p50_us":%%d,"p99_us":%%d}\\n'
    local p50, p99 = latency:percentile(50), latency:percentile(99)
    io.write(string.format(said, summary.requests, errors.status, broken, p50, p99))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a port, and by how many at once."""

    port: int
    connections: int
    requests: Sequence[bytes]
    zeros: int = 0  # behind each, by our own program only


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load saw."""

    faults: int  # answers that were none of 200 and 201, connections that broke
    p50_us: float
    p99_us: float
    late_p50_us: float
    late_p99_us: float


def own_command(load: Load, seconds: float, folder: Path) -> list[str]:
    """Give the command of our own program."""
    file = folder / "requests"
    file.write_bytes(b"".join(request + b"\0" for request in load.requests))
    words = [load.port, load.connections, seconds, file, load.zeros]
    return [str(folder / "load"), *map(str, words)]


def wrk_command(program: str, load: Load, seconds: float, folder: Path) -> list[str]:
    """Give the command of wrk, which knows whole seconds only."""
    script = folder / "wrk.lua"
    # A text of JSON in ASCII is one of Lua's, but for \u, which nothing here needs.
    script.write_text(_WRK % ",\n".join(json.dumps(request.decode()) for request in load.requests))
    words = [f"-c{load.connections}", f"-d{math.ceil(seconds)}s", "--timeout", "60s", "-s", str(script)]
    return [program, "-t1", *words, f"http://127.0.0.1:{load.port}"]


def outcome(said: str) -> Outcome:
    """Read what either of them says at its end."""
    values = json.loads(said.strip().splitlines()[-1])
    return Outcome(
        faults=values["bad"] + values["broken"],
        p50_us=float(values["p50_us"]),
        p99_us=float(values["p99_us"]),
        late_p50_us=float(values.get("late_p50_us", 0)),
        late_p99_us=float(values.get("late_p99_us", 0)),
    )
