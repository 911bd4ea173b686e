"""From the name that a client wrote to the model and the servers that are to run it.

Owns aliases, equal spellings and what `expose` opens. Pure: the configured names are laid out once, what
servers list is read from the view. Refuses to choose among the servers.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final

from gollamas import names
from gollamas.config.model import Alias, Config, Expose
from gollamas.errors import BadRequest, NoServerLeft
from gollamas.fleet.policy import Policies, Policy
from gollamas.fleet.view import View


class Found:
    """A model that is routed.

    `model` is what the server is asked for: the alias's target, else the client's own spelling.
    `candidates` are ids of servers in configuration order, never empty. `alias` is the alias's name as
    configured, None where the client named the model itself. `policies` are those of the model by server,
    None where it has none.
    """

    __slots__ = ("alias", "candidates", "key", "model", "policies")

    def __init__(
        self,
        key: str,
        model: str,
        candidates: tuple[str, ...],
        alias: str | None = None,
        policies: Mapping[str, Policy] | None = None,
    ) -> None:
        self.key = key
        self.model = model
        self.candidates = candidates
        self.policies = policies
        self.alias = alias

    def name_minding_case(self, view: View, server_id: str) -> str:
        """Return the spelling that this server lists, for `/api/embeddings`, which minds case.

        Where the server lists none, or none that differs, it is `model`.
        """
        server = view.servers.get(server_id)
        entry = server.installed.get(self.key) if server is not None else None
        if entry is None or names.parse(entry.name) == names.parse(self.model):
            return self.model
        return entry.name


class Unknown:
    """No server is to run this model: a 404, after one look-up of `key` where `may_look_up`."""

    __slots__ = ("key", "may_look_up")

    def __init__(self, key: str, may_look_up: bool) -> None:
        self.key = key
        self.may_look_up = may_look_up


class Invalid:
    """What the client wrote is no name to Ollama: a 400."""

    __slots__ = ()


INVALID: Final = Invalid()


class Finding:
    """Where the requests go that a routing is for."""

    @abstractmethod
    def find(self, text: str, view: View) -> Found | Unknown | Invalid:
        """Say where a request for the model `text` goes, as far as the view knows now."""

    @abstractmethod
    def cannot_tell(self, view: View) -> NoServerLeft | None:
        """Return the error for a name that is unknown because no server can be asked; None when one is up.

        Where models are not configured but found, a 404 would say that a model is missing which is only away.
        """


class Routing(Finding):
    """The names of one configuration."""

    def __init__(self, config: Config) -> None:
        self._expose = config.expose
        self._models = config.models
        self._aliases = config.aliases
        self.policies = Policies(config)
        # HOT: the usual spellings find their route without a parse.
        self._exact: dict[str, Found] = {}
        for model in config.models.values():
            policies = self.policies.of(model.key)
            for text in _spellings(model.name, model.key):
                self._exact[text] = Found(model.key, text, model.servers, policies=policies)
        for alias in config.aliases.values():
            target = config.models.get(alias.model_key)
            if target is not None:
                policies = self.policies.of(target.key)
                found = Found(target.key, alias.model, target.servers, alias.name, policies)
                self._exact.update(dict.fromkeys(_spellings(alias.name, alias.key), found))

    def is_configured(self, key: str) -> bool:
        """Whether the configuration says which servers are to run this model."""
        return key in self._models

    def cannot_tell(self, view: View) -> NoServerLeft | None:
        """Return an error where no server is up."""
        return None if view.any_up else NoServerLeft(f"no server can be reached ({view.troubles})")

    def find(self, text: str, view: View) -> Found | Unknown | Invalid:
        """Say where a request for the model `text` goes, as far as the view knows now."""
        found = self._exact.get(text)
        if found is not None:
            return found
        key = names.key_of(text)
        if key is None:
            return INVALID
        alias = self._aliases.get(key)
        if alias is not None:
            return self._find_target(alias, view)
        return self._find_key(key, text, view)

    def _find_target(self, alias: Alias, view: View) -> Found | Unknown:
        found = self._find_key(alias.model_key, alias.model, view)
        if isinstance(found, Found):
            found.alias = alias.name
        return found

    def _find_key(self, key: str, text: str, view: View) -> Found | Unknown:
        model = self._models.get(key)
        if model is not None:
            return Found(key, text, model.servers, policies=self.policies.of(key))
        # A cloud name runs on any signed-in server though none lists it: only where it was asked for.
        if self._expose is Expose.CONFIGURED or names.is_cloud(key) or names.is_ours(key):
            return Unknown(key, may_look_up=False)
        servers = view.offered_on(key)
        if not servers:
            return Unknown(key, may_look_up=True)
        return Found(key, text, servers, policies=self.policies.of(key))


class OneServer(Finding):
    """Where a request goes that is limited to one server: of those that `whole` finds, to this one."""

    def __init__(self, whole: Routing, server_id: str) -> None:
        self._whole = whole
        self._server_id = server_id

    def cannot_tell(self, view: View) -> NoServerLeft | None:
        """Return an error where this server is not up."""
        server = view.servers.get(self._server_id)
        if server is not None and server.is_up:
            return None
        trouble = view.trouble_of(self._server_id)
        return NoServerLeft(f"the server that was asked for can't be reached ({trouble})")

    def find(self, text: str, view: View) -> Found | Unknown | Invalid:
        """Say the same as `whole`, of this server alone; raises BadRequest where the model is on others only.

        What the server has may not be known yet; then that is said, and the client may ask again.
        """
        found, server_id = self._whole.find(text, view), self._server_id
        if not isinstance(found, Found):
            return found
        if server_id in found.candidates:
            return Found(found.key, found.model, (server_id,), found.alias, found.policies)
        server = view.servers.get(server_id)
        if not self._whole.is_configured(found.key) and (server is None or not server.has_listed):
            trouble = view.trouble_of(server_id)
            raise NoServerLeft(f"model '{text}' is not available: no server can be reached ({trouble})")
        raise BadRequest(f"model '{text}' does not run on server '{server_id}'")


def _spellings(name: str, key: str) -> set[str]:
    """List how clients usually write a name: as configured, with its tag, without `latest`."""
    parsed = names.parse(name)
    shortest = parsed.shortest if parsed is not None else name
    return {name, shortest, shortest.removesuffix(":latest"), key}
