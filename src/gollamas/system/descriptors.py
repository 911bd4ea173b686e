"""File descriptors: how many this process may have, and how many it has.

Owns the limit and the reserve below it, which is for connections to servers, the admin port and files. What
is open is counted from the connections that are known, since to ask the kernel at each would cost as much as
the connection itself.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

RESERVE: Final = 64
_ROOM: Final = 16  # more than the reserve must be free before what stopped goes on
_GUESSED: Final = 32  # open at the start, where the kernel doesn't list them
_MOST: Final = 1 << 20  # asked for where the hard limit is none


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard one, or as far as the kernel lets it."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else hard
    while soft not in (resource.RLIM_INFINITY, wanted) and wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS has a lower limit of its own
            wanted //= 2
        else:
            return


def limit() -> int | None:
    """How many files may be open; None where nothing limits them."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - Windows has none

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


class Descriptors:
    """Counts descriptors: `connections` says how many of them are connections now.

    `free` closes connections that nobody waits for, and says whether there were any.
    """

    def __init__(
        self, most: int | None, connections: Callable[[], int], free: Callable[[], bool] = lambda: False
    ) -> None:
        self.limit = sys.maxsize if most is None else most
        self._reserve = min(RESERVE, self.limit // 4)
        self.free = free
        self._connections = connections
        self._most = self.limit - self._reserve
        self._others = _GUESSED

    def measure(self) -> None:
        """Look at what is open beside connections."""
        for place in ("/proc/self/fd", "/dev/fd"):
            try:
                self._others = sum(1 for _ in Path(place).iterdir()) - 1 - self._connections()
            except OSError:
                continue
            return

    @property
    def in_use(self) -> int:
        """How many are open."""
        return self._others + self._connections()

    @property
    def is_short(self) -> bool:
        """Whether no more than the reserve is free."""
        return self._others + self._connections() > self._most  # HOT: for each connection

    @property
    def is_roomy(self) -> bool:
        """Whether clearly more than the reserve is free."""
        return self.in_use <= self._most - min(_ROOM, self.limit // 16)

    def most_clients(self, wanted: int) -> int:
        """How many clients there is room for, each with a connection to a server."""
        if 2 * wanted <= self.limit:
            return wanted
        return max(1, (self.limit - self._reserve) // 2)
