"""`gollamas load MODEL[@SERVER]... [--json]`: has a running proxy load models."""

from collections.abc import Sequence

from gollamas.cli.by_hand import run_by_hand


def run(argv: Sequence[str]) -> int:
    """Load them, and print what became of it."""
    return run_by_hand("load", argv)
