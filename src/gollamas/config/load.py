"""Flags, environment and file become one frozen `Config`, or every fault at once.

Owns the order of the work and what needs the whole picture; reading, precedence and meaning are in its
neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gollamas.config.contradictions import Whole
from gollamas.config.faults import Findings, Unusable
from gollamas.config.flags import SERVE, Table
from gollamas.config.given import DEFAULT, Gathered, Given, ReadFile
from gollamas.config.levels import Targets, all_levels
from gollamas.config.manage import look_at_manage, manage_of, managed_servers
from gollamas.config.model import Config, Expose, Model
from gollamas.config.options import ALIASES, MODELS, ROUTES, SERVERS, VALUES
from gollamas.config.paths import paths_of
from gollamas.config.routes import aliases_of, models_of
from gollamas.config.servers import Servers
from gollamas.config.sources import Sources, gather

Origins = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each part of it comes from.

    Origins are by the option's key and, for entries, the server's id or the name's key, for what is said at
    several levels the `level_name`; "" for values. `own` are the values of what the verb has for itself,
    `words` those that it is told beside its flags, where it takes any.
    """

    config: Config
    origins: Origins
    own: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()


def read_text(path: str) -> str:
    """Read a file's text; raises OSError, or UnicodeDecodeError where it is not UTF-8."""
    return Path(path).read_text(encoding="utf-8")


def load(argv: Sequence[str], environ: Mapping[str, str], read_file: ReadFile = read_text) -> Config:
    """Read the configuration of a command line (without program and verb); raises Faults."""
    return load_with_origins(argv, environ, read_file).config


def load_values(
    argv: Sequence[str],
    environ: Mapping[str, str],
    read_file: ReadFile = read_text,
    table: Table = SERVE,
) -> Loaded:
    """As `load_with_origins`, without servers, models and aliases: for a verb that asks the running proxy."""
    findings = Findings()
    said = gather(Sources(argv, environ, read_file, table), findings)
    values, origins = _values(said, findings)
    findings.raise_faults()
    return Loaded(Config(**values), origins, said.own, said.words)


def load_with_origins(
    argv: Sequence[str],
    environ: Mapping[str, str],
    read_file: ReadFile = read_text,
    table: Table = SERVE,
) -> Loaded:
    """As `load`, with the origin of each part; for a verb that has more options than `serve`, too."""
    findings = Findings()
    said = gather(Sources(argv, environ, read_file, table), findings)
    values, origins = _values(said, findings)
    if not (said.servers or said.models or findings.faults):
        findings.fault(
            "gollamas",
            "no server is named",
            "Write one, like `gollamas http://gpu-1:11434`, or try it without any: `gollamas demo`",
        )
    servers = Servers(read_file, findings)
    servers.add(said.servers)
    models, model_places = models_of(said.models, servers.find, findings)
    has_models = bool(said.models) or findings.has_lost(MODELS.key)
    values["expose"] = _expose(values, origins, has_models=has_models, findings=findings)
    values["manage"] = manage_of(values, origins)
    values["manage_servers"] = managed_servers(values, origins, servers)
    aliases, alias_places = aliases_of(said.aliases, models, values["expose"], findings)
    targets = Targets(servers, models, aliases, values["expose"], findings)
    levels, level_places = all_levels(said, targets)
    Whole(levels, level_places, targets).look(Given(values["ready"], origins["ready", ""]))
    route_places = paths_of(said.routes, findings)
    _look_at_ports(values, origins, findings)
    findings.raise_faults()
    look_at_manage(values, origins, findings)
    if values["expose"] is Expose.CONFIGURED and models:
        _look_for_idle_servers(servers, models, findings)
    for key, places in (
        (SERVERS.key, {name: (placed.place,) for name, placed in servers.placed.items()}),
        (MODELS.key, model_places),
        (ALIASES.key, alias_places),
        (ROUTES.key, route_places),
    ):
        origins |= {(key, name): ", ".join(where) for name, where in places.items()}
    config = Config(
        **values,
        **levels,
        servers={name: placed.server for name, placed in servers.placed.items()},
        models=models,
        aliases=aliases,
        routes=tuple(route_places),
        warnings=tuple(findings.warnings),
    )
    return Loaded(config, origins | level_places, said.own)


def _look_for_idle_servers(servers: Servers, models: Mapping[str, Model], findings: Findings) -> None:
    used = {server for model in models.values() for server in model.servers}
    for name, placed in servers.placed.items():
        if name not in used:
            findings.warn(
                placed.place,
                f"the server `{name}` is to run no model, so clients can use nothing that it has",
            )


def _values(said: Gathered, findings: Findings) -> tuple[dict[str, Any], Origins]:
    """Give the value of each option and its origin: the default where nobody said anything usable."""
    values: dict[str, Any] = {}
    origins: Origins = {}
    for option in VALUES:
        given = said.values.get(option.key)
        values[option.key] = option.default
        origins[option.key, ""] = DEFAULT
        if given is None:
            continue
        origins[option.key, ""] = given.place
        try:
            values[option.key] = option.kind.parse(given.text)
        except Unusable as why:
            findings.unusable(given.place, why)
            findings.lose(option.key)
    values["admin_is_default"] = origins["admin", ""] == DEFAULT
    return values, origins


def _expose(
    values: Mapping[str, Any],
    origins: Origins,
    *,
    has_models: bool,
    findings: Findings,
) -> Expose:
    """Without any model, servers show what they have, except where somebody said otherwise."""
    expose: Expose = values["expose"]
    if findings.has_lost("expose"):
        return Expose.INSTALLED  # with what it was to be, nothing may be wrong
    if has_models:
        return expose
    if origins["expose", ""] == DEFAULT:
        origins["expose", ""] = f"{DEFAULT} where no model is configured"
        return Expose.INSTALLED
    if expose is Expose.CONFIGURED:
        findings.warn(
            origins["expose", ""],
            "only configured models are exposed and none is configured, so every request ends as 404; "
            "add one, as in `--proxy llama3.2=http://gpu-1:11434`, or write `installed`",
        )
    return expose


def _look_at_ports(values: Mapping[str, Any], origins: Origins, findings: Findings) -> None:
    listen, admin = values["listen"], values["admin"]
    listen_origin = origins["listen", ""]
    if findings.has_lost("listen") or findings.has_lost("admin"):
        return
    if admin is not None and admin == listen and admin.port and not values["admin_is_default"]:
        findings.fault(
            origins["admin", ""],
            f"administration is to listen on {admin}, where clients connect ({listen_origin})",
            "Give it another port, like `127.0.0.1:11435`, or `off`",
        )
