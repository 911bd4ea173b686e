"""What a server is asked to load a model, to let it go and to say what it is, and what its answers mean.

Owns paths and bodies: an empty native request in the server's own name of the model (docs/api.md of Ollama).
Of a client's request nothing but its runner options goes into a load: a mistake in it would fail all who
wait. Pure.
"""

from typing import Final

import msgspec

from gollamas.errors import LoadFailed
from gollamas.fleet.judging import ProbeReply
from gollamas.fleet.runner_options import RunnerOptions

GENERATE: Final = "/api/generate"
EMBED: Final = "/api/embed"  # the only one that loads a model that only embeds
SHOW: Final = "/api/show"

_encode: Final = msgspec.json.Encoder().encode


class _Refusal(msgspec.Struct):
    error: str = ""


def load_body(path: str, name: str, options: RunnerOptions) -> bytes:
    """The body of a load on one of the two paths."""
    body: dict[str, object] = {"model": name}
    if named := options.options:
        body["options"] = named
    if path == GENERATE:
        body["stream"] = False
        if options.shift is not None:
            body["shift"] = options.shift
    return _encode(body)


def unload_body(name: str) -> bytes:
    """The body of an unload, which goes to GENERATE for a model of any kind."""
    return _encode({"model": name, "keep_alive": 0, "stream": False})


def show_body(name: str) -> bytes:
    """The body of a question what a model is."""
    return _encode({"model": name})


def is_well(reply: ProbeReply) -> bool:
    """Whether a load or an unload was done."""
    return 200 <= reply.status < 300


def failure(server_id: str, reply: ProbeReply) -> LoadFailed:
    """What an answer other than that says: the server's own words, where it has some."""
    try:
        said = msgspec.json.decode(reply.body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = ""
    return LoadFailed(reply.status, said or f"server {server_id} answered {reply.status}")
