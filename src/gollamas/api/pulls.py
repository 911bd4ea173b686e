"""What is said to who asks for a pull, which is not served yet: where the model is, or how to get it.

Owns the words. They go to people, by way of `ollama run` and `ollama pull`; the command in them is to be
pasted, so no byte of it is the client's unless a model's name may hold it, and no secret of a URL is in it.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Final

from gollamas import names
from gollamas.config.model import Config, Expose
from gollamas.fleet.server_view import ServerView
from gollamas.fleet.view import View

_NOT_SERVED: Final = "gollamas does not serve /api/pull yet"
_SAFE: Final = re.compile(r"[A-Za-z0-9_.:/\-]+", re.ASCII)  # what names are made of, and no shell minds
_MOST_IDS: Final = 20  # of servers in one sentence


def advice(text: str, config: Config, view: View) -> str:
    """Say where the model `text` is, or that no server has it and the command that pulls it on one."""
    parsed = names.parse(text)
    if parsed is None:
        return f"{_NOT_SERVED}, and what it was asked for is no model's name"
    key = parsed.key
    name = text.strip() if _SAFE.fullmatch(text.strip()) else parsed.shortest
    called = f"the model '{name}'"
    alias = config.aliases.get(key)
    if alias is not None:
        key, name = alias.model_key, alias.model
        called = f"the model '{name}' (which '{alias.name}' stands for)"
    model = config.models.get(key)
    ids = model.servers if model is not None else tuple(view.servers)
    servers = [view.servers[server_id] for server_id in ids if server_id in view.servers]
    if not servers:  # they are configured no more
        return f"{_NOT_SERVED}: pull {called} on an Ollama server directly"
    holders = [server for server in servers if key in server.installed]
    if not holders:
        said = _is_nowhere(called, servers, view.installed_on(key), is_configured=model is not None)
        chosen = _best(servers)
        too = ""
        if model is None and config.expose is Expose.CONFIGURED:
            too = f", and start gollamas with --proxy {_entry(name, chosen)}, too"
        return f"{said}. {_NOT_SERVED}. Pull it on {chosen.id}{too}: {_command(chosen, name)}"
    where = f"{called} is on {_listed([server.id for server in holders])}"
    if model is None and not view.offered_on(key):
        added = f"--proxy {_entry(name, holders[0])}, or with --expose installed"
        return f"{where}, but gollamas is not to serve it: start it with {added}"
    return f"{where} already. {_NOT_SERVED}. To bring it up to date: {_command(_best(holders), name)}"


def _is_nowhere(
    called: str, servers: Sequence[ServerView], elsewhere: Sequence[str], *, is_configured: bool
) -> str:
    """Say so of the servers that are to run the model: of all where it is not configured."""
    asked = [server.id for server in servers if server.has_listed]
    silent = [server.id for server in servers if not server.has_listed]
    which = " that are to run it" if is_configured else ""
    if asked:
        said = f"none of the servers{which} ({_listed(asked)}) has {called}"
        if silent:
            said += f" ({_listed(silent)} could not be asked)"
    else:
        said = f"none of the servers{which} ({_listed(silent)}) could be asked for {called}"
    return f"{said}; it is on {_listed(elsewhere)}" if elsewhere else said


def _best(servers: Sequence[ServerView]) -> ServerView:
    """The first that is up and lets in who brings no secret, as far as there is such a one."""
    return min(servers, key=lambda server: (not server.is_up, bool(server.server.fields)))


def _command(server: ServerView, name: str) -> str:
    return f"OLLAMA_HOST={shlex.quote(server.server.url)} ollama pull {shlex.quote(name)}"


def _entry(name: str, server: ServerView) -> str:
    return shlex.quote(f"{name}={server.id}")


def _listed(ids: Sequence[str]) -> str:
    """Name servers, some of them where they are very many."""
    more = len(ids) - _MOST_IDS
    return ", ".join(ids) if more <= 0 else f"{', '.join(ids[:_MOST_IDS])} and {more} more"
