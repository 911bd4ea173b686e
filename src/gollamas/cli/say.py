"""What the verbs print: results to standard output, faults and warnings to standard error."""

import sys
from collections.abc import Callable, Iterable
from typing import Final

from gollamas.cli.streams import silence
from gollamas.config.faults import Faults

USAGE: Final = 2  # the exit code of every faulty command line or configuration
_TYPED: Final = ("-", "argument `", "gollamas ")  # how places begin that are words of a command line


class NotSaid(Exception):
    """Standard output does not take the result."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.nobody_reads = isinstance(error, BrokenPipeError)  # whoever did has seen enough


def say(text: str) -> None:
    """Print a result; raises NotSaid."""
    _write(lambda: sys.stdout.write(f"{text}\n"))


def say_bytes(data: bytes) -> None:
    """Print a result as it came, in whatever letters the console has; raises NotSaid."""
    _write(lambda: sys.stdout.buffer.write(data))


def _write(write: Callable[[], object]) -> None:
    try:
        write()
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        raise NotSaid(error) from error


def complain(text: str) -> None:
    """Print what is wrong. Where that can't be written either, the exit code alone tells it."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def complain_of(faults: Faults) -> None:
    """Print the warnings, then every fault, one a line."""
    warn(faults.warnings)
    number = len(faults.faults)
    are_typed = all(fault.place.startswith(_TYPED) for fault in faults.faults)
    where = "on the command line" if are_typed else "in the configuration"
    complain(f"gollamas: {number} {'fault' if number == 1 else 'faults'} {where}:")
    for fault in faults.faults:
        complain(f"  {fault}")


def complain_of_each(verb: str, faults: Faults) -> None:
    """Print every fault of a verb that has no configuration, one a line."""
    for fault in faults.faults:
        complain(f"gollamas {verb}: {fault}")


def warn(warnings: Iterable[str]) -> None:
    """Print warnings, one a line."""
    for warning in warnings:
        complain(f"gollamas: warning: {warning}")
