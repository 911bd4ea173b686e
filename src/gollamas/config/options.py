"""Every option, declared once: its place in the file, its flags, its variables, its kind and what it is for.

Flags, variables, the file's keys, the help, the documentation and the JSON Schema are all read from here; the
default of each is the one of `Config`. No option's variable may begin like those that Kubernetes injects
beside a Service called gollamas: `GOLLAMAS_PORT`, `GOLLAMAS_SERVICE_`.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from gollamas.config import words
from gollamas.config.kept_values import ALL, TRUE, InstanceCount, PingPause, Whether
from gollamas.config.list_values import ORIGINS, REGISTRIES, SERVER_IDS
from gollamas.config.model import Config
from gollamas.config.paths import WRITTEN
from gollamas.config.policy_values import KeepAlive, NumCtx
from gollamas.config.secret import Secret
from gollamas.config.values import (
    Count,
    Duration,
    FilePath,
    FlagKind,
    Listen,
    Size,
    Switch,
    ValueKind,
)

_PREFIX: Final = "GOLLAMAS_"
DEFAULT: Final = "default"
FORCE: Final = "force"
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    """What all options have. `flags` take a value or one entry, `plural` flags a comma list."""

    key: str  # in Config and, with the exceptions that `in_file` makes, in the file
    help: str
    flags: tuple[str, ...] = ()
    plural: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()  # the first that is set wins

    @property
    def in_file(self) -> str:
        """How the file says it."""
        return self.key

    @property
    def accepts(self) -> str:
        """The range of its value, for people."""
        return ""

    @property
    def default_text(self) -> str:
        """The default for people; empty where there is none."""
        return ""

    @property
    def is_switch(self) -> bool:
        """Whether its flag may stand without a value."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesOption(_Declared):
    """Entries, NAME=TARGET or a path; those of all sources add up."""

    entry: str

    @property
    def written(self) -> str:
        """How an entry is written."""
        return self.entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _ValuedOption(_Declared):
    """What has a value of some kind."""

    kind: FlagKind

    @property
    def written(self) -> str:
        """The word for its kind."""
        return self.kind.placeholder

    @property
    def accepts(self) -> str:
        """The range of its kind."""
        return self.kind.accepts

    @property
    def is_switch(self) -> bool:
        """Whether it is a boolean."""
        return isinstance(self.kind, Switch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOption(_ValuedOption):
    """One value of the configuration; the nearest source wins."""

    kind: ValueKind

    @property
    def default(self) -> Any:
        """The value where nobody says anything; None for `config`, too."""
        return _DEFAULTS.get(self.key)

    @property
    def default_text(self) -> str:
        """The default as it would be written; empty where that is nothing."""
        return "" if self.default is None else self.kind.show(self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsOption(_ValuedOption):
    """One value for all, for a server, a model or a model on a server; `Config` has all that were said."""

    kind: ValueKind
    policy: str  # the key in the file: two options may be one policy
    part: str  # the key below that; empty where the value stands alone
    kind_of_one: ValueKind | None = None  # of a model on a server, where that is another
    is_of_servers: bool = True  # whether it may be said of a server alone
    implied: str = ""  # the value of an entry that is a name alone; where there is one, all models are `all`
    default_text: str = ""  # what holds where nothing is said

    @property
    def written(self) -> str:
        """How an entry is written, of which a comma list is made."""
        kind = self.kind.placeholder
        if self.implied:
            return f"{ALL}|MODEL[@SERVER][={kind}],..."
        return f"[[MODEL][@SERVER]=]{kind},..." if self.is_of_servers else f"[MODEL[@SERVER]=]{kind},..."

    @property
    def in_file(self) -> str:
        """The short form where there is one."""
        if self.is_short:
            return self.policy
        return f"{self.policy}: {{{self.part}: {self.kind.placeholder}}}"

    @property
    def is_short(self) -> bool:
        """Whether the file takes its value right behind the key of the policy."""
        return self.part in {"", DEFAULT}

    @property
    def forms(self) -> tuple[str, ...]:
        """Every way to write an entry."""
        if self.implied:
            return ALL, "MODEL", "MODEL@SERVER"
        kind = self.kind.placeholder
        return kind, f"MODEL={kind}", f"MODEL@SERVER={kind}"

    def kind_for(self, *, is_one: bool) -> ValueKind:
        """Give the kind of its value, for one model on one server or farther off."""
        return self.kind_of_one if is_one and self.kind_of_one else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagOption(_ValuedOption):
    """What one verb has for itself, beside the configuration or without one."""

    default: Any = None
    is_repeated: bool = False  # its value is a tuple, and each flag adds to it

    @property
    def default_text(self) -> str:
        """The default as it would be written; empty where that is nothing."""
        if self.default is None:
            return ""
        values = self.default if self.is_repeated else (self.default,)
        return ", ".join(map(self.kind.show, values))


Option = EntriesOption | ValueOption | LevelsOption | FlagOption


def _option(key: str, kind: ValueKind, help_text: str, *more_flags: str, bare: bool = False) -> ValueOption:
    """Declare an option whose flag and variable are made from its key."""
    variable = key.upper()
    return ValueOption(
        key=key,
        kind=kind,
        help=help_text,
        flags=("--" + key.replace("_", "-"), *more_flags),
        variables=(_PREFIX + variable, variable) if bare else (_PREFIX + variable,),
    )


def _entries(key: str, flag: str, plural: str, entry: str, help_text: str) -> EntriesOption:
    variable = plural.removeprefix("--").upper()
    return EntriesOption(
        key=key,
        help=help_text,
        flags=(flag,),
        plural=(plural,),
        variables=(_PREFIX + variable, variable),
        entry=entry,
    )


def _policy(policy: str, part: str, kind: ValueKind, help_text: str) -> LevelsOption:
    key = policy if part == DEFAULT else f"{part}_{policy}"
    return _levels(key, kind, help_text, policy=policy, part=part)


def _levels(key: str, kind: ValueKind, help_text: str, **more: Any) -> LevelsOption:
    """Declare what has levels, with a flag and a variable that are made from its key."""
    return LevelsOption(
        key=key,
        kind=kind,
        help=help_text,
        flags=("--" + key.replace("_", "-"),),
        variables=(_PREFIX + key.upper(),),
        **{"policy": key, "part": "", **more},
    )


_DEFAULTS: Final = {field.name: field.default for field in fields(Config) if field.default is not MISSING}

CONFIG: Final = ValueOption(
    key="config",
    kind=FilePath(),
    help="a YAML file that says any of these",
    flags=("--config",),
    variables=("GOLLAMAS_CONFIG",),
)
SERVERS: Final = _entries(
    "servers", "--connection", "--connections", "[ID=]URL", "a server, and what to call it"
)
MODELS: Final = _entries(
    "models",
    "--proxy",
    "--proxies",
    "MODEL=URL|ID",
    "a model and a server that runs it; again for another server",
)
ALIASES: Final = _entries("aliases", "--alias", "--aliases", "ALIAS=MODEL", "another name for a model")
# No bare variable: the Go program has none of this name, and others may.
ROUTES: Final = EntriesOption(
    key="routes",
    help="a path under /v1 that Ollama has and gollamas does not know: its POSTs go where their model is",
    flags=("--route",),
    plural=("--routes",),
    variables=(_PREFIX + "ROUTES",),
    entry=WRITTEN,
)
POLICIES: Final = (
    _policy("keep_alive", DEFAULT, KeepAlive(), "how long a model stays loaded where a request does not say"),
    _policy("keep_alive", FORCE, KeepAlive(), "how long a model stays loaded, whatever a request says"),
    _policy(
        "num_ctx", DEFAULT, NumCtx(may_be_loaded=True), "the context of a model where a request does not say"
    ),
    _policy("num_ctx", FORCE, NumCtx(), "the context of a model, whatever a request says"),
    _levels(
        "limit_num_ctx",
        NumCtx(is_limit=True),
        "the largest context that a request may ask for",
        policy="limit",
        part="num_ctx",
    ),
    _levels(
        "on_limit",
        words.ON_LIMIT,
        "what to do with a request that asks for more: refuse it, or lower what it asks for",
        default_text="error",
    ),
    _levels(
        "on_overflow",
        words.ON_OVERFLOW,
        "what to do with a prompt that is longer than the context: let Ollama cut it, or have it refused",
        default_text="pass",
    ),
    _levels(
        "preload",
        InstanceCount(),
        "models that are kept loaded, from the start on, on all of their servers or on a number of them",
        kind_of_one=InstanceCount(may_be_number=False),
        is_of_servers=False,
        implied=TRUE,
    ),
    _levels(
        "ping",
        PingPause(),
        "how often to check that a model is loaded, to reload it if not, and to extend its keep_alive",
        is_of_servers=False,
    ),
    _levels(
        "sync",
        Whether(),
        "models that are pulled on those of their servers that lack them",
        is_of_servers=False,
        implied=TRUE,
    ),
)
POLICY_KEYS: Final = tuple(dict.fromkeys(option.policy for option in POLICIES))
# Those that may be said of a server alone.
SERVER_POLICY_KEYS: Final = tuple(dict.fromkeys(option.policy for option in POLICIES if option.is_of_servers))

VALUES: Final = (
    _option(
        "listen",
        Listen(usual=_DEFAULTS["listen"]),
        "where clients connect",
        "--address",
        "--addr",
        "-a",
        bare=True,
    ),
    _option(
        "admin",
        Listen(may_be_off=True, usual=_DEFAULTS["admin"]),
        "where metrics, health and state are served",
    ),
    _option(
        "level",
        words.LEVEL,
        "the least serious lines that are logged",
        "--error-level",
        bare=True,
    ),
    # No flag: a command line is seen by all users of the machine.
    ValueOption(
        key="admin_token",
        kind=Secret(),
        help="the secret that whoever changes state at the admin address has to send",
        variables=(_PREFIX + "ADMIN_TOKEN",),
    ),
    _option("log_format", words.LOG_FORMAT, "how log lines look"),
    _option("expose", words.EXPOSE, "which models are listed and routed; installed where none is configured"),
    _option(
        "manage",
        words.MANAGE,
        "which models clients may pull, push, create, copy and delete; all where expose is installed",
    ),
    _option(
        "manage_servers",
        SERVER_IDS,
        "where models that are not configured go under manage: all; else everywhere",
    ),
    _option("registries", REGISTRIES, "hosts that clients may have models pulled from and pushed to"),
    _option(
        "manage_parallel", Count(1, 1000), "how many pulls and creates may run at once, each on one server"
    ),
    _option(
        "ready",
        words.READY,
        "when /readyz reports ready: once clients can connect, or once each preload has been tried",
    ),
    _option("list_aliases", Switch(), "list aliases beside their models", bare=True),
    ValueOption(
        key="origins",
        kind=ORIGINS,
        help="web origins that may call us, beside those of Ollama's defaults",
        flags=("--origins",),
        variables=("GOLLAMAS_ORIGINS", "OLLAMA_ORIGINS"),
    ),
    _option("server_header", Switch(), "say in X-Gollamas-Server which server answered"),
    _option(
        "replay_inference", Switch(), "ask once more where a kept-alive connection died before any answer"
    ),
    _option("max_head", Size(1024, 1024**2), "how long the head of a request may be, in all"),
    _option("max_fields", Count(10, 1000), "how many fields the head of a request may have"),
    _option("max_body", Size(1, 1024**4), "how long a JSON request may be"),
    _option(
        "max_upload", Size(1, 1024**4), "how long a form (a recording to transcribe) may be, and all at once"
    ),
    _option("connect_timeout", Duration(0.001, _DAY), "how long a connection to a server may take"),
    _option("load_timeout", Duration(0.001, _DAY), "how long a server may take to load a model"),
    _option("first_byte_timeout", Duration(0.001, _DAY), "how long a streamed answer may take to begin"),
    _option("idle_timeout", Duration(0.001, _DAY), "how long a server may be silent within an answer"),
    _option("header_timeout", Duration(0.001, _DAY), "how long a client may take to send a request's head"),
    _option("body_timeout", Duration(0.001, _DAY), "how long a client may be silent within a request"),
    _option(
        "write_timeout",
        Duration(0.001, _DAY),
        "how long a client may take no byte of its answer, or a server none of an upload",
    ),
    _option("client_idle_timeout", Duration(0.001, _DAY), "how long a client's idle connection stays open"),
    _option("max_connections", Count(1, 1_000_000), "how many clients may be connected at once"),
    _option("probe_interval", Duration(0.01, _DAY), "time between two looks at a server"),
    _option("grace", Duration(0.0, _DAY), "how long answers may go on after a request to stop"),
)
ENTRIES: Final = (SERVERS, MODELS, ALIASES, ROUTES)
# In the order of the documentation: what people set first stands first.
OPTIONS: Final[tuple[Option, ...]] = (
    VALUES[0],
    SERVERS,
    MODELS,
    ALIASES,
    CONFIG,
    *POLICIES,
    ROUTES,
    *VALUES[1:],
)
