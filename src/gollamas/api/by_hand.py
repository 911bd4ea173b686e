"""Changes of models that an operator asks for, by the admin port.

Owns what holds for them of the rules for clients: whether a client may change a model (`manage`) says nothing
about who runs the fleet; `registries`, and that names under `gollamas/` are ours, does. Pure.
"""

from dataclasses import replace

import msgspec

from gollamas import names
from gollamas.api.manage import Change, Rules, route_of
from gollamas.config.model import Config, Manage
from gollamas.events import JobKind


def change_by_hand(config: Config, kind: JobKind, model: str) -> Change:
    """Make the change of a model, which its name or an alias means, on all servers that it goes to.

    Raises ProxyError for what is no name, and for what nobody may change.
    """
    name = names.parse(model)
    alias = None if name is None else config.aliases.get(name.key)
    body = msgspec.json.encode({"model": model if alias is None else alias.model})
    return Rules(replace(config, manage=Manage.ALL)).read(route_of(kind), body)
