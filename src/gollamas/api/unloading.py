"""The answer to a client's unload of a model that stays, since the operator keeps it in memory.

Owns what Ollama would have said (the recorded answers of 0.24.0 and 0.34.3). Pure.
"""

from datetime import UTC, datetime

from gollamas.api import dialects
from gollamas.api.routes import Route
from gollamas.wire import body as bodies
from gollamas.wire.message import Answer


def unloaded(route: Route, model: str, unix: float) -> Answer:
    """Say that a model has left. In: its name as the client wrote it, the time in seconds since 1970."""
    at = datetime.fromtimestamp(unix, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    body = route.unloaded % {b"model": bodies.encode(model), b"at": at.encode()}
    return Answer(200, [dialects.JSON], body)
