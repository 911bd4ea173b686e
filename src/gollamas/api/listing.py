"""The answers that are merged from what all servers have: tags, ps, models, version.

Owns which entries stand in a listing and in what order; each entry's bytes are the server's own. Where `only`
names a server, it is that one's part: as much as if the others had nothing. Pure: what is known stands in the
view, how fresh it is was the prober's business. Shapes as recorded of Ollama 0.24.0 and 0.32.15.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from gollamas import names
from gollamas.config.model import Alias, Config, Expose
from gollamas.errors import NoServerLeft
from gollamas.fleet import version as versions
from gollamas.fleet.entries import Entry
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View
from gollamas.wire.message import Answer

NATIVE_JSON: Final = b"application/json; charset=utf-8"
OPENAI_JSON: Final = b"application/json"

_SECOND: Final = 1_000_000_000


def tags(config: Config, view: View, only: str | None = None) -> Answer:
    """Answer `/api/tags`: each model once, newest first, an alias (where they are listed) after its model."""
    aliases = _aliases_by_model(config)
    objects: list[bytes] = []
    for entry in _models(config, view, only):
        objects.append(entry.json)
        objects += [entry.renamed(_shown(alias)) for alias in aliases.get(entry.key, ())]
    return _native(_array(objects))


def ps(config: Config, view: View, only: str | None = None) -> Answer:
    """Answer `/api/ps`: each loaded copy once, the one that stays longest first.

    An alias adds none: it would count the same memory twice. A server that is down has nothing loaded that
    anybody could use.
    """
    up = [server for server in _servers(view, only).values() if not server.is_down]
    shows = _shows_copy(config)
    lists = [[entry for entry in server.running.values() if shows(server, entry.key)] for server in up]
    return _native(_array([entry.json for entry in _merged(lists)]))


def openai_models(config: Config, view: View, only: str | None = None) -> Answer:
    """Answer `/v1/models`: the models of `tags` in OpenAI's shape, with the line end that Ollama sends.

    Empty is `[]`, where Ollama itself says null (openai/openai.go), which some clients can't iterate.
    """
    aliases = _aliases_by_model(config)
    objects: list[bytes] = []
    for entry in _models(config, view, only):
        shown = [entry.name, *(_shown(alias) for alias in aliases.get(entry.key, ()))]
        objects += [_openai_model(name, entry.time_ns // _SECOND) for name in shown]
    body = b'{"object":"list","data":[' + b",".join(objects) + b"]}\n"
    return Answer(200, [(b"Content-Type", OPENAI_JSON)], body)


def version(view: View, only: str | None = None) -> Answer:
    """Answer `/api/version`: the lowest, so that a client asks for nothing that some server can't do.

    Servers that are down count only where no other has answered. Raises NoServerLeft before any has.
    """
    servers = _servers(view, only).values()
    said = [server.version for server in servers if server.version and not server.is_down]
    lowest = versions.lowest(said or [server.version for server in servers if server.version])
    if lowest is None:
        if only is not None:
            trouble = view.trouble_of(only)
            raise NoServerLeft(f"the server that was asked for has not answered yet ({trouble})")
        raise NoServerLeft(f"no Ollama server has answered yet ({view.troubles})")
    return _native(b'{"version":' + msgspec.json.encode(lowest) + b"}")


def _native(body: bytes) -> Answer:
    return Answer(200, [(b"Content-Type", NATIVE_JSON)], body)


def _array(objects: list[bytes]) -> bytes:
    return b'{"models":[' + b",".join(objects) + b"]}"


def _openai_model(name: str, created: int) -> bytes:
    parsed = names.parse(name)
    owner = parsed.namespace if parsed is not None else names.DEFAULT_NAMESPACE
    model = {"id": name, "object": "model", "created": created, "owned_by": owner}
    return msgspec.json.encode(model)


def _models(config: Config, view: View, only: str | None) -> Iterable[Entry]:
    """Give one entry per model that is shown: that of its first server which has it."""
    servers = _servers(view, only)
    owners = {key: _owner(servers, model.servers, key) for key, model in config.models.items()}
    if config.expose is not Expose.CONFIGURED:
        for key in {key for server in servers.values() for key in _offered(config, server)}:
            if key not in owners and not names.is_cloud(key):
                owners[key] = _owner(servers, _holders(config, view, key), key)
    lists = [
        [entry for entry in server.installed.values() if owners.get(entry.key) == server.id]
        for server in servers.values()
    ]
    return _merged(lists)


def _servers(view: View, only: str | None) -> Mapping[str, ServerView]:
    """Give the servers that are told of, in configuration order."""
    if only is None:
        return view.servers
    return {server_id: server for server_id, server in view.servers.items() if server_id == only}


def _offered(config: Config, server: ServerView) -> Iterable[str]:
    return server.running if config.expose is Expose.RUNNING else server.installed


def _holders(config: Config, view: View, key: str) -> tuple[str, ...]:
    """Order the servers whose entry may stand for a model that is not configured."""
    loaded = view.running_on(key) if config.expose is Expose.RUNNING else ()
    return loaded + view.installed_on(key)


def _owner(servers: Mapping[str, ServerView], server_ids: Iterable[str], key: str) -> str | None:
    for server_id in server_ids:
        server = servers.get(server_id)
        if server is not None and key in server.installed:
            return server_id
    return None


def _shows_copy(config: Config) -> Callable[[ServerView, str], bool]:
    """Say which loaded copies are shown: by default those on a server that is to run the model."""

    def shows(server: ServerView, key: str) -> bool:
        model = config.models.get(key)
        if model is not None and server.id in model.servers:
            return True
        return config.expose is not Expose.CONFIGURED and (model is not None or not names.is_cloud(key))

    return shows


def _merged(lists: list[list[Entry]]) -> Iterable[Entry]:
    """Merge the servers' lists, latest time first.

    Ollama sorts by whole seconds, so a server's own order stands within one; between servers the
    nanoseconds count.
    """
    for entries in lists:
        entries.sort(key=lambda entry: entry.time_ns // _SECOND, reverse=True)
    return heapq.merge(*lists, key=lambda entry: entry.time_ns, reverse=True)


def _aliases_by_model(config: Config) -> dict[str, list[Alias]]:
    if not config.list_aliases:
        return {}
    by_model: dict[str, list[Alias]] = {}
    for alias in config.aliases.values():
        by_model.setdefault(alias.model_key, []).append(alias)
    return by_model


def _shown(alias: Alias) -> str:
    """Write an alias as Ollama writes every name in a listing: with its tag."""
    parsed = names.parse(alias.name)
    return parsed.shortest if parsed is not None else alias.name
