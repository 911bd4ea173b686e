"""The resulting configuration as YAML that can be loaded again, each part with its origin as a comment.

Owns quoting and the hiding of secrets; what it prints for a secret is `***`.
"""

import json
import re
from typing import Final

from gollamas.config.faults import on_one_line
from gollamas.config.load import Loaded
from gollamas.config.model import Server
from gollamas.config.options import ALIASES, MODELS, ROUTES, SERVERS, VALUES, ValueOption
from gollamas.config.values import Count

HIDDEN: Final = "***"
_COMMENT_COLUMN: Final = 40
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:+\-]*(?<!:)", re.ASCII)
# What any YAML reader, of 1.1 too, might take for something else than text.
_NO_TEXT: Final = re.compile(
    r"(?i)[-+.0-9][0-9a-fxo._:+\-]*|[-+]?\.(inf|nan)|true|false|null|yes|no|on|off|y|n"
)


def as_yaml(loaded: Loaded) -> str:
    """Write the whole configuration."""
    config = loaded.config
    lines = [_value_line(option, loaded) for option in VALUES]
    for option, entries in (
        (SERVERS, {name: _server(server) for name, server in config.servers.items()}),
        (MODELS, {model.key: _model(model.name, model.servers) for model in config.models.values()}),
        (
            ALIASES,
            {
                alias.key: [f"{_quoted(alias.name)}: {_text(alias.model)}"]
                for alias in config.aliases.values()
            },
        ),
        (ROUTES, {path: [f"- {_text(path)}"] for path in config.routes}),
    ):
        nothing = "[]" if option is ROUTES else "{}"
        lines.append(f"{option.key}:" if entries else f"{option.key}: {nothing}")
        for name, (first, *more) in entries.items():
            lines.append(_commented(f"  {first}", loaded.origins[option.key, name]))
            lines += (f"    {line}" for line in more)
    return "\n".join(lines) + "\n"


def _value_line(option: ValueOption, loaded: Loaded) -> str:
    value = getattr(loaded.config, option.key)
    if isinstance(value, tuple):
        text = f"[{', '.join(map(_text, value))}]"
    else:
        shown = option.kind.show(value)
        is_plain = option.is_switch or shown == "off" or isinstance(option.kind, Count)
        text = shown if is_plain else _text(shown)
    return _commented(f"{option.key}: {text}", loaded.origins[option.key, ""])


def _server(server: Server) -> list[str]:
    tls = []
    if server.ca_file is not None:
        tls.append(f"ca: {_text(server.ca_file)}")
    if not server.verify:
        tls.append("verify: false")
    if not server.fields and not tls:
        return [f"{_quoted(server.id)}: {_text(server.url)}"]
    lines = [f"{_quoted(server.id)}:", f"url: {_text(server.url)}"]
    if server.fields:
        hidden = (f"{_text(name.decode())}: {_text(HIDDEN)}" for name, _ in server.fields)
        lines.append(f"headers: {{{', '.join(hidden)}}}")
    if tls:
        lines.append(f"tls: {{{', '.join(tls)}}}")
    return lines


def _model(name: str, servers: tuple[str, ...]) -> list[str]:
    return [f"{_quoted(name)}: [{', '.join(map(_text, servers))}]"]


def _text(text: str) -> str:
    """Quote what YAML would not read as this text, and what would be filled in as a variable."""
    return _quoted(text.replace("${", "$${"))


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _commented(line: str, origin: str) -> str:
    return f"{line:<{_COMMENT_COLUMN}} # {on_one_line(origin)}"
