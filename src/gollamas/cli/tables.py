"""Which flags each verb takes: those of the configuration, those that it has for itself, or none.

Owns what the small verbs can be told. Read by the one parser, `config.flags`, and by the help, which has to
be quick: nothing here imports a server.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from gollamas import names
from gollamas.config.faults import Unusable
from gollamas.config.flags import SERVE, Table
from gollamas.config.host import ProxyHost
from gollamas.config.model import Address
from gollamas.config.options import OPTIONS, VALUES, FlagOption
from gollamas.config.values import Count, Listen, Switch
from gollamas.simulate.settings import VERSIONS, Settings

_LISTEN, _ADMIN, _LEVEL = VALUES[:3]
_SETTINGS: Final = Settings()
PLACE: Final = "MODEL[@SERVER]"
COPY: Final = "SOURCE[@SERVER] DESTINATION"


@dataclass(frozen=True, slots=True)
class Number:
    """A number, whole or not."""

    may_be_negative: bool = False
    placeholder: str = "NUMBER"

    @property
    def accepts(self) -> str:
        """The range, for people."""
        return "" if self.may_be_negative else "0 or more"

    def parse(self, text: str) -> float:
        """Read the number; raises Unusable where it is none, or out of range."""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise Unusable(f"`{text}` is no number", "Write it like `10` or `0.5`")
        if number < 0 and not self.may_be_negative:
            raise Unusable(f"`{text}` is less than 0", "Write 0 or more")
        return number

    def show(self, value: float) -> str:
        """Write the shortest form."""
        return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Release:
    """A version of Ollama."""

    placeholder: str = "VERSION"
    accepts: str = f"{', '.join(VERSIONS)} to the letter, others as their features go"

    def parse(self, text: str) -> str:
        """Give the version; raises Unusable where it is none."""
        if not text.partition("-")[0].replace(".", "").isdecimal():
            raise Unusable(f"`{text}` is no version", f"Write it like `{VERSIONS[0]}`")
        return text

    def show(self, value: str) -> str:
        """Write the version."""
        return value


@dataclass(frozen=True, slots=True)
class ModelName:
    """The name of a model."""

    placeholder: str = "NAME"
    accepts: str = ""

    def parse(self, text: str) -> str:
        """Give the name as it is written; raises Unusable where it is none."""
        if names.parse(text) is None:
            raise Unusable(f"`{text}` is no name of a model", "Write it like `llama3.2` or `qwen3:8b`")
        return text

    def show(self, value: str) -> str:
        """Write the name."""
        return value


def _simulated(key: str, kind: Count | Number | Release, help_text: str) -> FlagOption:
    """Declare an option whose default is the simulated server's own."""
    default = getattr(_SETTINGS, key)
    return FlagOption(
        key=key, flags=(f"--{key.replace('_', '-')}",), kind=kind, default=default, help=help_text
    )


_CHECK: Final = (
    FlagOption(key="live", flags=("--live",), kind=Switch(), help="ask each server what it has, too"),
)
_JSON: Final = FlagOption(key="json", flags=("--json",), kind=Switch(), help="print the JSON as it came")
_OWN_JSON: Final = FlagOption(key="json", flags=("--json",), kind=Switch(), help="print JSON for programs")
_HOST: Final = FlagOption(
    key="host",
    flags=("--host",),
    kind=ProxyHost(),
    variables=("GOLLAMAS_HOST",),
    help="where gollamas is; by default where `serve` would listen",
)
_INSECURE: Final = FlagOption(
    key="insecure", flags=("--insecure",), kind=Switch(), help="pull from a registry without TLS, too"
)
_PRUNE: Final = FlagOption(
    key="prune", flags=("--prune",), kind=Switch(), help="remove the variants that no policy needs"
)
_VERSION: Final = (
    FlagOption(key="full", flags=("--full",), kind=Switch(), help="say what it is built on, too"),
)
# An address that nobody asked for is the usual one, or else the next one that is free.
_DEMO: Final = (
    FlagOption(
        key="listen",
        flags=_LISTEN.flags,
        kind=_LISTEN.kind,
        variables=("GOLLAMAS_LISTEN",),
        help=f"where the proxy is reached; {_LISTEN.default_text} or the next port that is free",
    ),
    FlagOption(
        key="admin",
        flags=_ADMIN.flags,
        kind=_ADMIN.kind,
        help=f"{_ADMIN.help}; {_ADMIN.default_text} or the next port that is free",
    ),
    FlagOption(
        key="busy",
        flags=("--busy",),
        kind=Switch(),
        help="have clients keep the servers at work, and one of these go away at times",
    ),
    FlagOption(
        key="level",
        flags=_LEVEL.flags,
        kind=_LEVEL.kind,
        help=f"{_LEVEL.help}; {_LEVEL.default_text}, or warn with --busy",
    ),
)
_SIMULATE: Final = (
    FlagOption(
        key="listen",
        flags=_LISTEN.flags,
        kind=Listen(),
        default=Address(host="127.0.0.1", port=11500),
        help="where it is reached",
    ),
    _simulated("version", Release(), "the Ollama that it acts like"),
    FlagOption(
        key="models",
        flags=("--model",),
        kind=ModelName(),
        default=_SETTINGS.models,
        is_repeated=True,
        help="a model that is installed; again for another",
    ),
    _simulated("load_seconds", Number(), "how long a load takes"),
    _simulated("tokens_per_second", Number(), "how fast one answer comes; 0 is as fast as it goes"),
    _simulated(
        "keep_alive",
        Number(may_be_negative=True),
        "seconds that an idle model stays loaded; less than 0 is for ever",
    ),
    replace(
        _simulated("num_parallel", Count(1, 1000), "requests that a loaded model works on at a time"),
        flags=("--parallel",),
    ),
    _simulated("max_queue", Count(1, 1_000_000), "requests that may wait behind a load"),
    _simulated("max_loaded", Count(1, 1000), "models that are loaded at a time"),
    _simulated("context_length", Count(1, 100_000_000), "tokens of context where nothing else is said"),
)

TABLES: Final = {
    table.verb: table
    for table in (
        SERVE,
        Table("check", (*_CHECK, *OPTIONS)),
        Table("health", OPTIONS),
        Table("status", (_JSON, *OPTIONS)),
        Table("variants", (_PRUNE, _JSON, *OPTIONS)),
        Table("models", (_OWN_JSON, _HOST, *OPTIONS), PLACE),
        Table("ps", (_OWN_JSON, _HOST, *OPTIONS)),
        Table("show", (_JSON, _HOST, *OPTIONS), PLACE),
        Table("pull", (_JSON, _INSECURE, _HOST, *OPTIONS), PLACE),
        Table("cp", (_HOST, *OPTIONS), COPY),
        Table("rm", (_HOST, *OPTIONS), PLACE),
        Table("load", (_JSON, *OPTIONS), PLACE),
        Table("unload", (_JSON, *OPTIONS), PLACE),
        Table("demo", _DEMO),
        Table("simulate", _SIMULATE),
        Table("version", _VERSION),
        Table("help", ()),
    )
}
