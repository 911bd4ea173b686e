"""Fleets for the tests of this folder, built of the real parts."""

from collections.abc import Mapping, Sequence

from gollamas import names
from gollamas.config.model import Alias, Config, Expose, Model, Server
from gollamas.events import Event
from gollamas.fleet.entries import Entry
from gollamas.fleet.routing import Found
from gollamas.fleet.view import View


def key_of(text: str) -> str:
    """Return the key of a name that is valid."""
    key = names.key_of(text)
    assert key is not None
    return key


def server(server_id: str, port: int = 11434) -> Server:
    """Return a server that is never called."""
    return Server(id=server_id, scheme="http", host="127.0.0.1", port=port)


def config(
    models: Mapping[str, Sequence[str]],
    aliases: Mapping[str, str] | None = None,
    servers: Sequence[str] = (),
    expose: Expose = Expose.CONFIGURED,
    list_aliases: bool = False,
) -> Config:
    """Return a configuration; servers are those named by the models and `servers`."""
    ids = dict.fromkeys([*servers, *(server_id for of_model in models.values() for server_id in of_model)])
    routes = [Model(name=name, key=key_of(name), servers=tuple(of)) for name, of in models.items()]
    others = [
        Alias(name=name, key=key_of(name), model=target, model_key=key_of(target))
        for name, target in (aliases or {}).items()
    ]
    return Config(
        servers={server_id: server(server_id) for server_id in ids},
        models={model.key: model for model in routes},
        aliases={alias.key: alias for alias in others},
        expose=expose,
        list_aliases=list_aliases,
    )


def view_of(made: Config, events: list[Event] | None = None) -> View:
    """Return a view of a configuration in which nothing is known yet."""
    view = View((events if events is not None else []).append)
    view.apply(made)
    return view


def entry(name: str, digest: str = "a" * 64, time_ns: int = 0) -> Entry:
    """Return an entry as a server lists it."""
    json = f'{{"name":"{name}","model":"{name}","digest":"{digest}"}}'.encode()
    return Entry(name, key_of(name), digest, json, time_ns)


def found(name: str, *servers: str) -> Found:
    """Return the route of a model on these servers."""
    return Found(key_of(name), name, servers)
