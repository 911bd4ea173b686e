"""What a server is asked about a model: to load it, let it go, say what it is, make and remove a variant.

Owns paths and bodies: an empty native request in the server's own name of the model (docs/api.md of Ollama).
Of a client's request nothing but its runner options goes into a load: a mistake in it would fail all who
wait. Pure.
"""

from typing import Final

import msgspec

from gollamas.errors import LoadFailed
from gollamas.fleet.judging import ProbeReply
from gollamas.fleet.policy import written
from gollamas.fleet.runner_options import RunnerOptions

GENERATE: Final = "/api/generate"
EMBED: Final = "/api/embed"  # the only one that loads a model that only embeds
SHOW: Final = "/api/show"
CREATE: Final = "/api/create"
COPY: Final = "/api/copy"
DELETE: Final = "/api/delete"

_encode: Final = msgspec.json.Encoder().encode


class _Refusal(msgspec.Struct):
    error: str = ""


def load_body(path: str, name: str, options: RunnerOptions, keep_alive: float | None = None) -> bytes:
    """The body of a load on one of the two paths; with `keep_alive` (seconds) it says how long it stays."""
    body: dict[str, object] = {"model": name}
    if keep_alive is not None:
        body["keep_alive"] = msgspec.Raw(written(keep_alive))
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


def create_body(name: str, model: str, num_ctx: int) -> bytes:
    """The body of a request to make a variant of a model that is installed: one that is not, is pulled."""
    parameters = {"num_ctx": num_ctx}
    return _encode({"model": name, "from": model, "parameters": parameters, "stream": False})


def copy_body(source: str, destination: str) -> bytes:
    """The body of a request to give a model another name, too."""
    return _encode({"source": source, "destination": destination})


def blob_path(digest: str) -> str:
    """The path of a blob: it is asked for there, and uploaded."""
    return f"/api/blobs/{digest}"


def delete_body(name: str) -> bytes:
    """The body of a request to remove a variant."""
    return _encode({"model": name})


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
