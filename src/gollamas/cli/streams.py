"""Standard input, output and error, whoever started us: each is there, and one that fails stays quiet.

Owns the three descriptors; knows nothing of what is written.
"""

import os
import sys
from typing import Final, TextIO

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def open_missing() -> None:
    """Open to the null device what of the three was closed when we were started.

    Before anything else is opened: that would get their numbers, and a client's connection, or the log, what
    is meant for standard output. Python has no stream for what was closed either.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest number, which is this one
            os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(null, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def silence(stream: TextIO) -> None:
    """Send to the null device what a stream still holds, which would else fail once more at our end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
