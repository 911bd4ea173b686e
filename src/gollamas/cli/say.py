"""What the verbs print: results to standard output, faults and warnings to standard error."""

import sys
from collections.abc import Iterable
from typing import Final

from gollamas.config.faults import Faults

USAGE: Final = 2  # the exit code of every faulty command line or configuration


def say(text: str) -> None:
    """Print a result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print what is wrong."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain_of(faults: Faults) -> None:
    """Print the warnings, then every fault, one a line."""
    warn(faults.warnings)
    number = len(faults.faults)
    complain(f"gollamas: {number} {'fault' if number == 1 else 'faults'} in the configuration:")
    for fault in faults.faults:
        complain(f"  {fault}")


def warn(warnings: Iterable[str]) -> None:
    """Print warnings, one a line."""
    for warning in warnings:
        complain(f"gollamas: warning: {warning}")
