"""Where log lines go: a file descriptor, most often that of stderr.

Owns writing without waiting: a reader that has stopped reading loses lines and delays no request, one that
has gone away ends the log and nothing else. Knows nothing of what a line says.
"""

import errno
import os
import select
import stat
import sys
from typing import Final

# A pipe that poll calls writable takes so many bytes at once (POSIX, PIPE_BUF; 512 is the least allowed).
_AT_ONCE_BYTES: Final = getattr(select, "PIPE_BUF", 512)
_AT_ONCE_FILE_BYTES: Final = 65536
_GONE: Final = frozenset((errno.EPIPE, errno.EBADF, errno.EIO))


class LogWriter:
    """Writes lines to a descriptor. An `observe.accesslog.Write`.

    What is no longer than `at_once_bytes` is written whole or not at all.
    """

    __slots__ = ("_fd", "_is_broken_off", "_is_gone", "_may_wait", "at_once_bytes")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_gone = False
        self._is_broken_off = False  # the last line lacks its end
        self._may_wait = _may_wait(fd)
        # A line end may come before it: see `_is_broken_off`.
        self.at_once_bytes: int = (_AT_ONCE_BYTES if self._may_wait else _AT_ONCE_FILE_BYTES) - 1

    def __call__(self, line: bytes) -> bool:
        """Write a line now, whole or not at all where it fits into one write; whether it went out."""
        if self._is_gone:
            return False
        if self._is_broken_off:
            line = b"\n" + line
        here = 0
        try:
            while here < len(line):
                if self._may_wait and not select.select((), (self._fd,), (), 0)[1]:
                    break
                end = here + _AT_ONCE_BYTES if self._may_wait else len(line)
                here += os.write(self._fd, line[here:end])
        except BlockingIOError:
            pass  # somebody else made it non-blocking
        except (OSError, ValueError) as error:
            self._is_gone = isinstance(error, ValueError) or error.errno in _GONE
        if here:
            self._is_broken_off = here < len(line)
        return here >= len(line)


def _may_wait(fd: int) -> bool:
    """Whether a write could wait for a reader: files never do, and only POSIX can ask."""
    if sys.platform == "win32":
        return False
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)
