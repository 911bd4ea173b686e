"""The signals that a running verb hears: SIGINT and SIGTERM end it, SIGHUP may.

Owns telling a terminal that closes, which wants all that was started from it to end, from somebody who sends
SIGHUP to have a configuration read again. Knows nothing of how a verb ends.
"""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_TERMINAL: Final = "/dev/tty"  # the one of our session, whatever our streams are
_GONE: Final = frozenset((errno.ENXIO, errno.EIO, errno.ENOTTY, errno.ENODEV))
# A shell that ends tells its jobs first, and the kernel takes the terminal from them afterwards.
_UNTIL_IT_IS_GONE: Final = 1.0


def hear(stop: Callable[[], None], passed_over: Callable[[], None]) -> None:
    """Have the running loop call `stop` for each SIGINT and SIGTERM, and once where our terminal closes.

    Any other SIGHUP is `passed_over`: without a terminal (a service, a container), under nohup, or from
    somebody while the terminal is there. To be called before anything is printed: who reads it may press
    Ctrl-C at once.
    """
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    outlives_it = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # what nohup asks for
    hangups = _Hangups(stop, passed_over, has_terminal=not outlives_it and _opens(_TERMINAL))
    loop.add_signal_handler(signal.SIGHUP, hangups.on_signal)


class _Hangups:
    """What each SIGHUP means."""

    def __init__(
        self, stop: Callable[[], None], passed_over: Callable[[], None], *, has_terminal: bool
    ) -> None:
        self._stop = stop
        self._passed_over = passed_over
        self._has_terminal = has_terminal
        self._is_ending = False

    def on_signal(self) -> None:
        """Judge one SIGHUP; a shell and the kernel may both send one for the same closing."""
        self._look()
        if self._is_ending:
            return
        self._passed_over()
        if self._has_terminal:
            asyncio.get_running_loop().call_later(_UNTIL_IT_IS_GONE, self._look)

    def _look(self) -> None:
        if self._has_terminal and not self._is_ending and _is_gone(_TERMINAL):
            self._is_ending = True
            self._stop()


def _opens(terminal: str) -> bool:
    return _why_not(terminal) is None


def _is_gone(terminal: str) -> bool:
    """Whether it has been taken from us; that no file can be opened at all says nothing about it."""
    return _why_not(terminal) in _GONE


def _why_not(terminal: str) -> int | None:
    try:
        os.close(os.open(terminal, os.O_RDONLY | os.O_NOCTTY))
    except OSError as error:
        return error.errno
    return None
