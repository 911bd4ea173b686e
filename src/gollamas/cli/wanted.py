"""The models that a verb is told on its command line, `MODEL` or `MODEL@SERVER`."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from gollamas import names
from gollamas.cli.tables import TABLES
from gollamas.config.address import shown, surely_names_in
from gollamas.config.faults import Findings

_MORE: Final = {"cp": " llama3.2-before"}  # what is written behind the model


class Named(NamedTuple):
    """A model, on one server or on all of its own."""

    model: str
    server: str | None

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"{self.model}@{self.server}" if self.server else self.model


def models_named(verb: str, words: Sequence[str]) -> list[Named]:
    """Read the words of a command line, of which there is at least one; raises Faults."""
    findings = Findings()
    found = [one for word in words if (one := _named(verb, word, findings))]
    if not words:
        on_server = _on_server(verb)
        findings.fault(f"gollamas {verb}", "no model is named", _example(verb), (on_server,))
    findings.raise_faults()
    return found


def _named(verb: str, word: str, findings: Findings) -> Named | None:
    """Read one word; None where it is faulty."""
    model, at, server = word.partition("@")
    if names.parse(model) and "://" not in word and (server or not at) and word.isprintable():
        return Named(model, server or None)
    quoted, form = surely_names_in(word), TABLES[verb].words
    place = f"argument `{word if quoted else shown(word)}`"
    findings.fault(place, f"this is not a {form}", _example(verb), (*quoted, form, _on_server(verb)))
    return None


def _example(verb: str) -> str:
    return f"Write it like `gollamas {verb} llama3.2{_MORE.get(verb, '')}` or `{_on_server(verb)}`"


def _on_server(verb: str) -> str:
    return f"gollamas {verb} llama3.2@gpu-1{_MORE.get(verb, '')}"
