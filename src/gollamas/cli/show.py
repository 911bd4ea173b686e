"""`gollamas show MODEL[@SERVER] [--json]`: what a model is, as a server of it says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from gollamas.cli.answers import no_gollamas
from gollamas.cli.client_paths import SHOW
from gollamas.cli.clients_port import each, port_of, question, reply_of, warn_of, with_proxy
from gollamas.cli.say import say, say_bytes
from gollamas.cli.wanted import Named, models_named
from gollamas.config.faults import Findings
from gollamas.config.load import Loaded
from gollamas.observe.safe import escaped

_TIMEOUT: Final = 60.0  # seconds
_MOST_LINES: Final = 2  # of a license
_INDENT: Final = "  "


class ModelDetails(msgspec.Struct):
    """What every model says of itself."""

    format: str = ""
    family: str = ""
    parameter_size: str = ""
    quantization_level: str = ""


class ShownModel(msgspec.Struct):
    """What `/api/show` says, as far as it is shown."""

    details: ModelDetails
    model_info: dict[str, object] | None = None
    capabilities: list[str] | None = None
    parameters: str = ""
    system: str = ""
    license: str = ""
    remote_host: str = ""
    remote_model: str = ""


def run(argv: Sequence[str]) -> int:
    """Show it; 1 where there is none, 2 for a faulty command line."""
    return with_proxy("show", argv, _show)


def _show(loaded: Loaded) -> int:
    wanted = models_named("show", loaded.words)
    if len(wanted) > 1:
        findings = Findings()
        findings.fault("gollamas show", "it takes one model", f"Write `gollamas show {wanted[0].model}`")
        findings.raise_faults()
    port = port_of(loaded)

    def show(named: Named) -> None:
        reply = reply_of(port, question(SHOW, named, {"model": named.model}, timeout=_TIMEOUT))
        try:
            shown = msgspec.json.decode(reply.body, type=ShownModel)
        except (ValueError, RecursionError) as why:
            raise no_gollamas(port.url + SHOW, "its answer is not what gollamas sends") from why
        warn_of(named, reply)
        if loaded.own.get("json"):
            say_bytes(reply.body.rstrip(b"\n") + b"\n")
        else:
            say("\n".join(lines_of(shown)))

    return each(wanted, show)


def lines_of(shown: ShownModel) -> Iterator[str]:
    """Say it in the sections of `ollama show`."""
    sections = {
        "Model": _pairs(_facts(shown)),
        "Capabilities": list(shown.capabilities or ()),
        "Parameters": _pairs(_split(line) for line in _lines(shown.parameters)),
        "System": _lines(shown.system),
        "License": _license(shown.license),
    }
    is_first = True
    for title, lines in sections.items():
        if lines:
            yield from () if is_first else ("",)
            yield title
            yield from (f"{_INDENT}{escaped(line)}" for line in lines)
            is_first = False


def _facts(shown: ShownModel) -> Iterator[tuple[str, str]]:
    details, told = shown.details, shown.model_info or {}
    architecture = str(told.get("general.architecture") or details.family)
    yield "architecture", architecture
    yield "parameters", details.parameter_size or _number(told, "general.parameter_count")
    yield "context length", _number(told, f"{architecture}.context_length")
    yield "embedding length", _number(told, f"{architecture}.embedding_length")
    yield "quantization", details.quantization_level
    yield "format", details.format
    yield "remote model", shown.remote_model
    yield "remote host", shown.remote_host


def _number(told: Mapping[str, object], key: str) -> str:
    value = told.get(key)
    return f"{value}" if isinstance(value, int | float) else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Write names and values in two columns; a name without a value is left out."""
    known = [(name, value.strip()) for name, value in pairs if value.strip()]
    width = max((len(name) for name, _ in known), default=0)
    return [f"{name:<{width}}{_INDENT}{value}" for name, value in known]


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name, value


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _license(text: str) -> list[str]:
    lines = [line for line in _lines(text) if line]
    return lines[:_MOST_LINES] + (["..."] if len(lines) > _MOST_LINES else [])
