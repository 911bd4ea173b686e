"""`gollamas rm MODEL[@SERVER]...`: has a running proxy delete models."""

from collections.abc import Sequence
from typing import Final

from gollamas.cli.client_paths import DELETE
from gollamas.cli.clients_port import done_of, each, port_of, question, warn_of, with_proxy
from gollamas.cli.say import say
from gollamas.cli.wanted import Named, models_named
from gollamas.config.load import Loaded

_TIMEOUT: Final = 300.0  # seconds; it waits behind other changes of the model, and servers unload it first


def run(argv: Sequence[str]) -> int:
    """Delete them, and print which are gone; 1 where one is not, 2 for a faulty command line."""
    return with_proxy("rm", argv, _remove)


def _remove(loaded: Loaded) -> int:
    port = port_of(loaded)

    def remove(named: Named) -> None:
        asked = question(DELETE, named, {"model": named.model}, timeout=_TIMEOUT, method="DELETE")
        warn_of(named, done_of(port, asked))
        say(f"deleted {named}")

    return each(models_named("rm", loaded.words), remove)
