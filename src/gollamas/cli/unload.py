"""`gollamas unload MODEL[@SERVER]... [--json]`: has a running proxy unload models."""

from collections.abc import Sequence

from gollamas.cli.by_hand import run_by_hand


def run(argv: Sequence[str]) -> int:
    """Unload them, and print what became of it."""
    return run_by_hand("unload", argv)
