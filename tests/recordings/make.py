"""Writes the recorded answers that lie in the repository: what the simulated server says to these requests.

They stand in for those of real servers where these are not beside the repository, and a test compares them
with them where they are. Run `python -m tests.recordings.make` in the repository's root.
"""

import asyncio
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from gollamas.simulate.clock import WallClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import Served, serving
from gollamas.simulate.settings import Settings
from gollamas.wire.response import ResponseReader

VERSION: Final = "0.34.3"
FILE: Final = Path(__file__).parent / f"{VERSION}.json"

Asked = tuple[str, str, Any]  # method, path, body: bytes as they are, anything else as JSON
_SHORT: Final = {"max_tokens": 3}
_FEW: Final = {"num_predict": 3}
_GREETING: Final = [{"role": "user", "content": "Greet me."}]
_TWO_KEYS: Final = (
    b'{"MODEL":"nope","model":"smol","prompt":"Hello","stream":false,"options":{"num_predict":3}}'
)
_TRAILING: Final = _TWO_KEYS.replace(b'"MODEL":"nope",', b"") + b' {"model":"nope"}'
_NOWHERE: Final = {"model": "localhost:9/library/none", "insecure": True}
_FUNCTION: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
_NO_MODEL: Final = b"not a model"
_DIGEST: Final = f"sha256:{hashlib.sha256(_NO_MODEL).hexdigest()}"
_IN_CONTEXT: Final = {"model": "smol-ctx", "from": "smol", "parameters": {"num_ctx": 2048}}
_LOCAL: Final = ("Origin: http://localhost:3000",)
_FOREIGN: Final = ("Origin: https://example.com",)
_PREFLIGHT: Final = "Access-Control-Request-Method: POST"

# In this order: what is loaded and installed follows from it.
REQUESTS: Final[dict[str, Asked]] = {
    "root": ("GET", "/", b""),
    "root-head": ("HEAD", "/", b""),
    "version": ("GET", "/api/version", b""),
    "version-head": ("HEAD", "/api/version", b""),
    "tags": ("GET", "/api/tags", b""),
    "ps-empty": ("GET", "/api/ps", b""),
    "generate-load": ("POST", "/api/generate", {"model": "smol"}),
    "ps-one": ("GET", "/api/ps", b""),
    "generate-stream": ("POST", "/api/generate", {"model": "smol", "prompt": "Hello", "options": _FEW}),
    "generate-name-tag": (
        "POST",
        "/api/generate",
        {"model": "smol:latest", "prompt": "Hello", "stream": False, "options": _FEW},
    ),
    "generate-unknown-model": ("POST", "/api/generate", {"model": "nope", "prompt": "Hello"}),
    "generate-no-model": ("POST", "/api/generate", {"prompt": "Hello"}),
    "generate-bad-name": ("POST", "/api/generate", {"model": "a b", "prompt": "Hello"}),
    "generate-empty-body": ("POST", "/api/generate", b""),
    "generate-bad-json": ("POST", "/api/generate", b'{"model": "smol",'),
    "generate-wrong-type": ("POST", "/api/generate", {"model": 1, "prompt": "Hello"}),
    "generate-bad-option": ("POST", "/api/generate", {"model": "smol", "options": {"num_ctx": "much"}}),
    "generate-case-keys": ("POST", "/api/generate", _TWO_KEYS),
    "generate-case-keys-other": ("POST", "/api/generate", b'{"model":"smol","MODEL":"nope"}'),
    "generate-trailing-json": ("POST", "/api/generate", _TRAILING),
    "ps-context": ("GET", "/api/ps", b""),
    "generate-keep-forever": ("POST", "/api/generate", {"model": "smol", "keep_alive": -1, "stream": False}),
    "ps-forever": ("GET", "/api/ps", b""),
    "chat-stream": ("POST", "/api/chat", {"model": "smol", "messages": _GREETING, "options": _FEW}),
    "chat-tools-refused": (
        "POST", "/api/chat", {"model": "smol", "messages": _GREETING, "tools": [_FUNCTION]},
    ),
    "chat-unknown-model": ("POST", "/api/chat", {"model": "nope", "messages": _GREETING}),
    "embed": ("POST", "/api/embed", {"model": "smol", "input": "Hello"}),
    "embed-unknown-model": ("POST", "/api/embed", {"model": "nope", "input": "Hello"}),
    "embeddings": ("POST", "/api/embeddings", {"model": "smol", "prompt": "Hello"}),
    "embed-model": ("POST", "/api/embed", {"model": "minilm", "input": "Hello"}),
    "ps-two": ("GET", "/api/ps", b""),
    "show": ("POST", "/api/show", {"model": "smol"}),
    "show-name": ("POST", "/api/show", {"name": "smol"}),
    "show-unknown-model": ("POST", "/api/show", {"model": "nope"}),
    "v1-models": ("GET", "/v1/models", b""),
    "copy": ("POST", "/api/copy", {"source": "smol", "destination": "smol-copy"}),
    "tags-three": ("GET", "/api/tags", b""),
    "v1-model": ("GET", "/v1/models/smol", b""),
    "v1-model-unknown": ("GET", "/v1/models/nope", b""),
    "v1-chat-whole": ("POST", "/v1/chat/completions", {"model": "smol", "messages": _GREETING} | _SHORT),
    "v1-chat-stream": (
        "POST",
        "/v1/chat/completions",
        {"model": "smol", "messages": _GREETING, "max_tokens": 3, "stream": True},
    ),
    "v1-chat-unknown-model": ("POST", "/v1/chat/completions", {"model": "nope", "messages": _GREETING}),
    "v1-chat-no-messages": ("POST", "/v1/chat/completions", {"model": "smol"}),
    "v1-chat-bad-json": ("POST", "/v1/chat/completions", b'{"model":'),
    "v1-completions-stream": (
        "POST", "/v1/completions", {"model": "smol", "prompt": "Hello", "max_tokens": 3, "stream": True},
    ),
    "v1-embeddings": ("POST", "/v1/embeddings", {"model": "smol", "input": "Hello"}),
    "v1-embeddings-unknown-model": ("POST", "/v1/embeddings", {"model": "nope", "input": "Hello"}),
    "v1-responses-whole": (
        "POST", "/v1/responses", {"model": "smol", "input": "Hello", "max_output_tokens": 3},
    ),
    "v1-responses-stream": (
        "POST", "/v1/responses", {"model": "smol", "input": "Hello", "max_output_tokens": 3, "stream": True},
    ),
    "v1-responses-unknown-model": ("POST", "/v1/responses", {"model": "nope", "input": "Hello"}),
    "v1-messages-stream": (
        "POST", "/v1/messages", {"model": "smol", "messages": _GREETING, "max_tokens": 3, "stream": True},
    ),
    "v1-messages-unknown-model": (
        "POST", "/v1/messages", {"model": "nope", "messages": _GREETING, "max_tokens": 3},
    ),
    "unknown-path": ("GET", "/api/nothing", b""),
    "wrong-method": ("GET", "/api/chat", b""),
    "wrong-method-delete": ("POST", "/api/delete", {"model": "nope"}),
    "trailing-slash": ("GET", "/api/tags/", b""),
    "double-slash": ("GET", "//api/tags", b""),
    "origin-local": ("GET", "/api/tags", b""),
    "origin-foreign": ("GET", "/api/tags", b""),
    "preflight-local": ("OPTIONS", "/api/chat", b""),
    "preflight-foreign": ("OPTIONS", "/api/chat", b""),
    "host-foreign": ("GET", "/api/tags", b""),
    "encoding-gzip-body": ("POST", "/api/generate", gzip.compress(b'{"model":"smol"}', mtime=0)),
    "copy-unknown-model": ("POST", "/api/copy", {"source": "nope", "destination": "other"}),
    "delete": ("DELETE", "/api/delete", {"model": "smol-copy"}),
    "delete-unknown-model": ("DELETE", "/api/delete", {"model": "smol-copy"}),
    "pull-unreachable": ("POST", "/api/pull", _NOWHERE),
    "pull-unreachable-whole": ("POST", "/api/pull", {**_NOWHERE, "stream": False}),
    "create-context-stream": ("POST", "/api/create", _IN_CONTEXT),
    "create-context-whole": ("POST", "/api/create", {**_IN_CONTEXT, "stream": False}),
    "blob-post-wrong": ("POST", f"/api/blobs/sha256:{'0' * 64}", _NO_MODEL),  # keeps it under its own digest
    "blob-head": ("HEAD", f"/api/blobs/{_DIGEST}", b""),
    "blob-post-again": ("POST", f"/api/blobs/{_DIGEST}", _NO_MODEL),
    "blob-post-bad-digest": ("POST", "/api/blobs/sha256:xyz", _NO_MODEL),
    "create-files-bad": (
        "POST", "/api/create", {"model": "x", "files": {"x.gguf": _DIGEST}, "stream": False},
    ),
}  # fmt: skip
# Lines beside the usual ones.
_LINES: Final = {
    "origin-local": _LOCAL,
    "origin-foreign": _FOREIGN,
    "preflight-local": (*_LOCAL, _PREFLIGHT, "Access-Control-Request-Headers: content-type"),
    "preflight-foreign": (*_FOREIGN, _PREFLIGHT),
    "encoding-gzip-body": ("Content-Encoding: gzip",),
}


def _bytes_of(name: str) -> bytes:
    method, path, given = REQUESTS[name]
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: example.com" if name == "host-foreign" else "Host: localhost:11434",
        "User-Agent: recorder",
        *(
            ("Content-Type: application/json", f"Content-Length: {len(body)}")
            if method in ("POST", "DELETE")
            else ()
        ),
        *_LINES.get(name, ()),
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


async def _answer(served: Served, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(served.address.host, served.address.port)
    writer.write(raw)
    answer = b""
    judge = ResponseReader()
    judge.begin(is_head_request=raw.startswith(b"HEAD "))
    while not judge.is_complete:
        piece = await reader.read(65_536)
        assert piece, "the server left in the middle of its answer"
        judge.feed(piece)
        answer += piece
    writer.close()
    await writer.wait_closed()
    return answer


async def made() -> dict[str, dict[str, str]]:
    """Ask a simulated server everything."""
    settings = Settings(
        version=VERSION,
        models=("smol", "minilm"),
        load_seconds=0.0,
        tokens_per_second=0.0,
        prompt_tokens_per_second=0.0,
    )
    found = {}
    async with serving(SimulatedOllama(settings, WallClock())) as served:
        for name in REQUESTS:
            raw = _bytes_of(name)
            found[name] = {
                "request": raw.decode("latin-1"),
                "response": (await _answer(served, raw)).decode("latin-1"),
            }
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(asyncio.run(made()), indent=1) + "\n", encoding="utf-8")
