"""What the metrics tell of the present: read from the view when somebody scrapes.

Owns under which name a model is counted, so that no series is made of what clients think up, and that each
series stands once. Pure: it changes nothing, and asks no server.
"""

from collections.abc import Callable, Iterable

from gollamas import names
from gollamas.config.model import Config, Expose
from gollamas.fleet.view import View
from gollamas.observe.metrics import OTHER

Connections = Callable[[], Iterable[tuple[str, int]]]


class Gauges:
    """The gauges of one view. An `exposition.Source`.

    `config` is the one that is served by; `connections` gives each side's open ones.
    """

    def __init__(self, view: View, config: Config, connections: Connections) -> None:
        self._view = view
        self.config = config
        self.connections = connections

    def label(self, name: str) -> str | None:
        """The spelling under which a model is counted; None where it is neither routed nor on a server."""
        key = names.key_of(name)
        if key is None:
            return None
        config, view = self.config, self._view
        if (alias := config.aliases.get(key)) is not None:
            key = alias.model_key
        if (model := config.models.get(key)) is not None:
            return model.name
        if config.expose is Expose.CONFIGURED:
            return None
        for server_id in view.installed_on(key):
            return view.servers[server_id].installed[key].name
        for server_id in view.running_on(key):
            return view.servers[server_id].running[key].name
        return None

    def in_flight(self) -> Iterable[tuple[str, str, int]]:
        """Give model, server and open requests."""
        found: dict[tuple[str, str], int] = {}
        for server in self._view.servers.values():
            for key, count in server.in_flight_by_model.items():
                labels = self._named(key), server.id
                found[labels] = found.get(labels, 0) + count
        return [(model, server_id, count) for (model, server_id), count in found.items()]

    def servers(self) -> Iterable[tuple[str, bool]]:
        """Give every server and whether it is up."""
        return [(server.id, server.is_up) for server in self._view.servers.values()]

    def loaded(self) -> Iterable[tuple[str, str, bool]]:
        """Give model, server and whether it is loaded there; without the 0 where no route leads."""
        found = {(model.name, id_): False for model in self.config.models.values() for id_ in model.servers}
        for server in self._view.servers.values():
            if not server.is_down:  # what it said last is of no use to anybody
                found |= {(self._named(key), server.id): True for key in server.running}
        return [(model, server_id, is_loaded) for (model, server_id), is_loaded in found.items()]

    def differing(self) -> Iterable[tuple[str, bool]]:
        """Give each model and whether its servers have unlike contents under its name."""
        found: dict[str, bool] = {}
        for key, differs in self._view.differing():
            model = self._named(key)
            found[model] = found.get(model, False) or differs
        return found.items()

    def _named(self, key: str) -> str:
        return self.label(key) or OTHER
