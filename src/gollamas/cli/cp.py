"""`gollamas cp SOURCE[@SERVER] DESTINATION`: has a running proxy copy a model."""

from collections.abc import Sequence
from typing import Final

from gollamas.cli.client_paths import COPY
from gollamas.cli.clients_port import done_of, each, port_of, question, warn_of, with_proxy
from gollamas.cli.say import say
from gollamas.cli.tables import COPY as WRITTEN
from gollamas.cli.wanted import Named, models_named
from gollamas.config.faults import Findings
from gollamas.config.load import Loaded

_TIMEOUT: Final = 300.0  # seconds; it waits behind other changes of both names, and servers unload them first


def run(argv: Sequence[str]) -> int:
    """Copy it, and say so; 1 where that failed, 2 for a faulty command line."""
    return with_proxy("cp", argv, _copy)


def _copy(loaded: Loaded) -> int:
    source, destination = _named(loaded.words)
    port = port_of(loaded)

    def copy(named: Named) -> None:
        members = {"source": named.model, "destination": destination}
        warn_of(named, done_of(port, question(COPY, named, members, timeout=_TIMEOUT)))
        say(f"copied {named} to {destination}")

    return each([source], copy)


def _named(words: Sequence[str]) -> tuple[Named, str]:
    """Read source and destination; raises Faults."""
    findings = Findings()
    example = "Write it like `gollamas cp llama3.2 llama3.2-before`"
    if len(words) != 2:
        findings.fault("gollamas cp", f"it takes two names: `{WRITTEN}`", example, (WRITTEN,))
        findings.raise_faults()
    source, destination = models_named("cp", words)
    meant = f"gollamas cp {source.model}@{destination.server} {destination.model}"
    if destination.server:
        findings.fault(
            f"argument `{destination}`",
            "the server stands behind the source",
            f"Write `{meant}`",
            (str(destination), meant),
        )
    findings.raise_faults()
    return source, destination.model
