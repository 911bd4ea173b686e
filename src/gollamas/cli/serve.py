"""`gollamas serve`: start the proxy, or say everything that is wrong with its configuration."""

import os
from collections.abc import Sequence

from gollamas.cli import occupied
from gollamas.cli.say import USAGE, complain_of
from gollamas.config.faults import Faults
from gollamas.config.load import load_with_origins


def run(argv: Sequence[str]) -> int:
    """Run until stopped; 2 where the configuration is faulty, else what the application ends with."""
    try:
        loaded = load_with_origins(argv, os.environ)
        occupied.look_for_faults(loaded)
    except Faults as faults:
        complain_of(faults)
        return USAGE
    from gollamas.cli import process  # noqa: PLC0415 - a faulty configuration needs no server

    return process.run(loaded.config)
