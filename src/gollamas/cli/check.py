"""`gollamas check [--live]`: the resulting configuration, or everything that is wrong with it."""

import os
from collections.abc import Sequence

from gollamas.cli import occupied
from gollamas.cli.say import USAGE, complain_of, say, warn
from gollamas.cli.tables import TABLES
from gollamas.config.faults import Faults
from gollamas.config.load import load_with_origins
from gollamas.config.render import as_yaml


def run(argv: Sequence[str]) -> int:
    """Print YAML; 0, or 1 where `--live` finds something missing, or 2 for a faulty configuration."""
    try:
        loaded = load_with_origins(argv, os.environ, table=TABLES["check"])
        occupied.look_for_faults(loaded)
    except Faults as faults:
        complain_of(faults)
        return USAGE
    warn(loaded.config.warnings)
    say(as_yaml(loaded).rstrip("\n"))
    taken = occupied.not_to_be_had(loaded.config)
    if not loaded.own.get("live"):
        warn(taken)
        return 0
    from gollamas.cli.live import look  # noqa: PLC0415 - only this needs HTTP, TLS and threads

    report = look(loaded.config)
    say("# live:")
    for line in (*report.lines, *taken):
        say(f"#   {line}")
    return 0 if report.is_complete and not taken else 1
