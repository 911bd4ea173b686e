"""The resulting configuration as YAML that can be loaded again, each part with its origin as a comment.

Owns quoting and the hiding of secrets; what it prints for a secret is `HIDDEN`.
"""

import json
import re
from typing import Final

from gollamas import names
from gollamas.config.faults import on_one_line
from gollamas.config.levels import Level, level_name
from gollamas.config.load import Loaded
from gollamas.config.model import Model, Server
from gollamas.config.options import (
    ALIASES,
    MODELS,
    POLICIES,
    POLICY_KEYS,
    ROUTES,
    SERVERS,
    VALUES,
    ValueOption,
)
from gollamas.config.secret import HIDDEN
from gollamas.config.values import Count

_COMMENT_COLUMN: Final = 40
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:+\-]*(?<!:)", re.ASCII)
# What any YAML reader, of 1.1 too, might take for something else than text.
_NO_TEXT: Final = re.compile(
    r"(?i)[-+.0-9][0-9a-fxo._:+\-]*|[-+]?\.(inf|nan)|true|false|null|yes|no|on|off|y|n"
)


_Lines = list[tuple[str, str]]  # each with its origin, empty where it has none of its own


def as_yaml(loaded: Loaded) -> str:
    """Write the whole configuration."""
    config = loaded.config
    lines = [_value_line(option, loaded) for option in VALUES]
    for key in POLICY_KEYS:
        lines += _policy(key, loaded, ("", "")) or [_nothing(key)]
    for option, entries in (
        (SERVERS, {name: _server(server, loaded) for name, server in config.servers.items()}),
        (MODELS, _models(loaded)),
        (
            ALIASES,
            {
                alias.key: [(f"{_quoted(alias.name)}: {_text(alias.model)}", "")]
                for alias in config.aliases.values()
            },
        ),
        (ROUTES, {path: [(f"- {_text(path)}", "")] for path in config.routes}),
    ):
        nothing = "[]" if option is ROUTES else "{}"
        lines.append((f"{option.key}:" if entries else f"{option.key}: {nothing}", ""))
        for name, ((first, _), *more) in entries.items():
            lines.append((f"  {first}", loaded.origins.get((option.key, name), "")))
            lines += _indented(_indented(more))
    return "".join(f"{_commented(line, origin)}\n" for line, origin in lines)


def _value_line(option: ValueOption, loaded: Loaded) -> tuple[str, str]:
    value = getattr(loaded.config, option.key)
    if isinstance(value, tuple):
        text = f"[{', '.join(map(_text, value))}]"
    else:
        shown = option.kind.show(value)
        is_plain = option.is_switch or value is None or isinstance(option.kind, Count)
        text = shown if is_plain else _text(shown)
    return f"{option.key}: {text}", loaded.origins[option.key, ""]


def _server(server: Server, loaded: Loaded) -> _Lines:
    tls = []
    if server.ca_file is not None:
        tls.append(f"ca: {_text(server.ca_file)}")
    if not server.verify:
        tls.append("verify: false")
    policies = _policies(loaded, ("", server.id))
    if not server.fields and not tls and not policies:
        return [(f"{_quoted(server.id)}: {_text(server.url)}", "")]
    lines = [(f"{_quoted(server.id)}:", ""), (f"url: {_text(server.url)}", "")]
    if server.fields:
        hidden = (f"{_text(name.decode())}: {_text(HIDDEN)}" for name, _ in server.fields)
        lines.append((f"headers: {{{', '.join(hidden)}}}", ""))
    if tls:
        lines.append((f"tls: {{{', '.join(tls)}}}", ""))
    return lines + policies


def _models(loaded: Loaded) -> dict[str, _Lines]:
    """Write the models that are configured, then others of which something is said."""
    config = loaded.config
    models = {key: _model(model, loaded) for key, model in config.models.items()}
    for key in dict.fromkeys(key for option in POLICIES for key, _ in getattr(config, option.key)):
        if key and key not in models and (name := names.parse(key)):
            models[key] = [(f"{_quoted(name.shortest)}:", ""), *_policies_of_model(key, loaded)]
    return models


def _model(model: Model, loaded: Loaded) -> _Lines:
    servers = f"[{', '.join(map(_text, model.servers))}]"
    if policies := _policies_of_model(model.key, loaded):
        return [(f"{_quoted(model.name)}:", ""), (f"servers: {servers}", ""), *policies]
    return [(f"{_quoted(model.name)}: {servers}", "")]


def _policies_of_model(key: str, loaded: Loaded) -> _Lines:
    per_server: _Lines = []
    for server in loaded.config.servers:
        if policies := _policies(loaded, (key, server)):
            per_server += [(f"{_quoted(server)}:", ""), *_indented(policies)]
    own = _policies(loaded, (key, ""))
    return [*own, ("per_server:", ""), *_indented(per_server)] if per_server else own


def _policies(loaded: Loaded, level: Level) -> _Lines:
    return [line for key in POLICY_KEYS for line in _policy(key, loaded, level)]


def _policy(key: str, loaded: Loaded, level: Level) -> _Lines:
    """Write what is said at one level; nothing where that is nothing."""
    lines: _Lines = []
    for option in POLICIES:
        levels = getattr(loaded.config, option.key)
        if option.policy == key and level in levels:
            origin = loaded.origins[option.key, level_name(level)]
            lines.append((f"{option.part or key}: {option.kind.show(levels[level])}", origin))
            if not option.part:
                return lines
    return [(f"{key}:", ""), *_indented(lines)] if lines else []


def _nothing(key: str) -> tuple[str, str]:
    """Write that nothing is said of all models."""
    has_parts = any(option.part for option in POLICIES if option.policy == key)
    return f"{key}: {'{}' if has_parts else 'null'}", ""


def _indented(lines: _Lines) -> _Lines:
    return [(f"  {line}", origin) for line, origin in lines]


def _text(text: str) -> str:
    """Quote what YAML would not read as this text, and what would be filled in as a variable."""
    return _quoted(text.replace("${", "$${"))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _commented(line: str, origin: str) -> str:
    return f"{line:<{_COMMENT_COLUMN}} # {on_one_line(origin)}" if origin else line
