"""The JSON Schema of the YAML file, for editors: made from the options.

Owns the shapes of servers, models and aliases in it; the values' shapes are those of their kinds.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from gollamas.config.options import (
    ALIASES,
    MODELS,
    POLICIES,
    POLICY_KEYS,
    ROUTES,
    SERVER_POLICY_KEYS,
    SERVERS,
    VALUES,
)
from gollamas.config.paths import EXAMPLE

_TEXT: Final = {"type": ["string", "number", "boolean"]}
_SERVER_LIST: Final = {"anyOf": [{"type": "array", "items": _TEXT, "minItems": 1}, _TEXT]}


def schema() -> dict[str, Any]:
    """Describe the whole file."""
    properties: dict[str, Any] = {
        SERVERS.key: {
            "description": _sentence(SERVERS.help),
            "anyOf": [_servers(), _plain_servers(), _NOTHING],
        },
        MODELS.key: {"description": _sentence(MODELS.help), "anyOf": [_models(), _NOTHING]},
        ALIASES.key: {"description": _sentence(ALIASES.help), "anyOf": [_mapping(_TEXT), _NOTHING]},
        ROUTES.key: {"description": _sentence(ROUTES.help), "anyOf": [_paths(), _NOTHING]},
    }
    for option in VALUES:
        text = f"{_sentence(option.help)} Accepts: {option.accepts}."
        if option.default_text:
            text += f" Default: {option.default_text}."
        properties[option.key] = {"description": text, "anyOf": [option.kind.schema(), _NOTHING]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of gollamas",
        **_object({**properties, **_policies()}),
    }


def schema_text() -> str:
    """Write the schema as the file that is shipped."""
    return json.dumps(schema(), indent=2) + "\n"


_NOTHING: Final = {"type": "null"}


def _servers() -> dict[str, Any]:
    url = {"type": "string", "examples": ["http://gpu-1:11434"]}
    tls = _object(
        {"ca": {"type": "string", "description": "A PEM file of certificates to trust."}, "verify": _TEXT}
    )
    parts = {
        "url": url,
        "headers": {
            "anyOf": [_mapping(_TEXT), _NOTHING],
            "description": "Added to each request to the server.",
        },
        "tls": {"anyOf": [tls, _NOTHING]},
        **_policies(SERVER_POLICY_KEYS),
    }
    return _mapping({"anyOf": [url, {**_object(parts), "required": ["url"]}]})


def _plain_servers() -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}}


def _paths() -> dict[str, Any]:
    path = {"type": "string", "examples": [EXAMPLE]}
    return {"anyOf": [{"type": "array", "items": path}, path]}


def _models() -> dict[str, Any]:
    per_server = _mapping({"anyOf": [_object(_policies(is_one=True)), _NOTHING]})
    parts = {
        "servers": {"anyOf": [_SERVER_LIST, _NOTHING]},
        **_policies(),
        "per_server": {
            "description": "What holds for this model on one of its servers, by the server's id.",
            "anyOf": [per_server, _NOTHING],
        },
    }
    # Without servers it says something of a model that is configured elsewhere, or not at all.
    needed = [{"required": [key]} for key in parts]
    return _mapping({"anyOf": [_SERVER_LIST, {**_object(parts), "anyOf": needed}]})


def _policies(keys: Iterable[str] = POLICY_KEYS, *, is_one: bool = False) -> dict[str, Any]:
    """Describe each policy: a value alone, or parts of it by name, or either; for one model on one server."""
    policies: dict[str, Any] = {}
    for key in keys:
        shapes: list[dict[str, Any]] = []
        parts: dict[str, Any] = {}
        description = ""
        for option in (option for option in POLICIES if option.policy == key):
            kind = option.kind_for(is_one=is_one)
            text = f"{_sentence(option.help)} Accepts: {kind.accepts}."
            if option.default_text:
                text += f" Default: {option.default_text}."
            description = description or text
            if option.is_short:
                shapes.append(dict(kind.schema()))
            if option.part:
                parts[option.part] = {"description": text, "anyOf": [kind.schema(), _NOTHING]}
        if parts:
            shapes.append(_object(parts))
        policies[key] = {"description": description, "anyOf": [*shapes, _NOTHING]}
    return policies


def _mapping(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
