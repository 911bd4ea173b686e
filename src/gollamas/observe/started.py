"""What is told when the proxy listens."""

from gollamas.config.model import Config
from gollamas.events import Started


def started(config: Config, listen: tuple[str, ...], admin: str | None) -> Started:
    """Tell where it listens, and what it serves."""
    return Started(
        listen=listen,
        admin=admin,
        servers=tuple((server.id, server.url) for server in config.servers.values()),
        models=tuple((model.name, model.servers) for model in config.models.values()),
        aliases=tuple((alias.name, alias.model) for alias in config.aliases.values()),
    )
