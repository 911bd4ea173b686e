"""Real Ollama servers that somebody named, and the program in front of them.

Owns finding their smallest models, asking by bytes, and the comparison of two answers. Loads and unloads
models; changes nothing else on a server.
"""

import json
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from tests.recorded import Reply, body_shape, event_shapes, parse_reply

PATIENCE: Final = 120.0  # seconds; a real load or generation on a slow machine
_OURS: Final = (b"x-request-id", b"x-gollamas-server", b"via")
_PER_CONNECTION: Final = (b"connection", b"keep-alive")
_STREAMS: Final = (b"application/x-ndjson", b"text/event-stream")


def named_urls() -> list[str]:
    """Give the servers that GOLLAMAS_TEST_OLLAMA names; skips the test where it names none."""
    found = [url.strip().rstrip("/") for url in os.environ.get("GOLLAMAS_TEST_OLLAMA", "").split(",")]
    urls = [url if "://" in url else f"http://{url}" for url in found if url]
    if not urls:
        pytest.skip("GOLLAMAS_TEST_OLLAMA names no server")
    return urls


@dataclass(frozen=True, slots=True)
class Place:
    """Something that answers HTTP: a server, or the proxy."""

    url: str

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def connect(self) -> socket.socket:
        """Open a connection."""
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE)

    def raw(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """Ask on a connection of its own and give every byte of the answer."""
        with self.connect() as sock:
            sock.sendall(request_bytes(method, path, body, content_type))
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def ask(self, method: str, path: str, value: Any = None) -> Reply:
        """Ask with a JSON body and take the answer apart."""
        body = b"" if value is None else json.dumps(value).encode()
        return parse_reply(self.raw(method, path, body), is_head=method == "HEAD")

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """Ask and read one JSON value; fails for anything but a 200."""
        reply = self.ask(method, path, value)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def loaded(self) -> set[str]:
        """Give the names that `/api/ps` shows."""
        while (reply := self.ask("GET", "/api/ps")).status == 500 and not reply.body:
            pass  # 0.24 trips now and then over a model that goes at that very moment
        assert reply.status == 200, reply
        return {entry["name"] for entry in json.loads(reply.body)["models"]}

    def until(self, holds: Callable[[set[str]], bool], seconds: float = PATIENCE) -> float:
        """Ask `/api/ps` until it shows what is wanted; give how long that took."""
        began = time.monotonic()
        while not holds(found := self.loaded()):
            assert time.monotonic() - began < seconds, found
        return time.monotonic() - began

    def unload(self, name: str) -> None:
        """Take a model out of memory and wait until it has gone."""
        self.json("POST", "/api/generate", {"model": name, "keep_alive": 0})
        self.until(lambda found: name not in found)


def request_bytes(method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Write a request that ends its connection."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: gollamas-tests\r\n"
    )
    sized = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{head}{sized}\r\n".encode() + body


def seen(reply: Reply, *, is_head: bool = False) -> list[Any]:
    """Give what of an answer must be the same whoever sent it: status, fields, kinds of lines, key order."""
    aside = (*_OURS, *_PER_CONNECTION)
    fields = [(name, value) for name, value in reply.end_to_end() if name.lower() not in aside]
    if is_head:
        return [reply.status, fields]
    is_stream = (reply.get(b"content-type") or b"") in _STREAMS
    return [reply.status, sorted(fields), event_shapes(reply.body) if is_stream else body_shape(reply.body)]


@dataclass(slots=True)
class RealFleet:
    """The servers, their smallest models, and the proxy in front of all."""

    servers: dict[str, Place]
    chat: str
    embed: str
    version: str
    capabilities: dict[str, list[str]]
    proxy: Place = field(default_factory=lambda: Place(""))

    @property
    def first(self) -> Place:
        """The server that others are compared with."""
        return next(iter(self.servers.values()))

    def trained(self, name: str) -> int:
        """Give the context that a model was trained for."""
        info: dict[str, Any] = self.first.json("POST", "/api/show", {"model": name})["model_info"]
        return int(info[f"{info['general.architecture']}.context_length"])

    def flags(self) -> list[str]:
        """Give the words that put the program in front of them, with an alias for either model."""
        words = ["--alias", f"an-alias={self.chat}", "--alias", f"an-embedder={self.embed}"]
        for name, server in self.servers.items():
            words += ["--connection", f"{name}={server.url}"]
            words += ["--proxy", f"{self.chat}={name}", "--proxy", f"{self.embed}={name}"]
        return words


def find_fleet() -> RealFleet:
    """Look at the named servers; each must have the smallest models of the first."""
    servers = {f"real-{index}": Place(url) for index, url in enumerate(named_urls(), start=1)}
    installed = [_installed(server) for server in servers.values()]
    shared = [entry for entry in installed[0] if all(entry["name"] in _names(other) for other in installed)]
    by_size = sorted(shared, key=lambda entry: int(entry["size"]))
    first = next(iter(servers.values()))
    able = {entry["name"]: _capabilities(first, entry["name"]) for entry in by_size}
    chats = [name for name, words in able.items() if "completion" in words]
    embedders = [name for name, words in able.items() if "embedding" in words]
    if not chats or not embedders:
        pytest.fail(f"every server needs a chat model and an embedding model; they share {able}")
    version = first.json("GET", "/api/version")["version"]
    return RealFleet(servers, chats[0], embedders[0], version, able)


def _installed(server: Place) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = server.json("GET", "/api/tags")["models"]
    except OSError as why:
        pytest.fail(f"{server.url} does not answer: {why}")
    return [entry for entry in found if not entry.get("remote_host")]


def _names(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}


def _capabilities(server: Place, name: str) -> list[str]:
    found: list[str] = server.json("POST", "/api/show", {"model": name})["capabilities"]
    return found


def models_in(body: bytes) -> set[str]:
    """Give every name that stands as a reply's own `model` or `id`, in whatever dialect."""
    return {name.decode() for name in re.findall(rb'"model":"([^"]*)"', body)}


def multipart(model: str) -> tuple[bytes, str]:
    """Write a transcription's form and its type."""
    parts = [
        b'Content-Disposition: form-data; name="model"\r\n\r\n' + model.encode(),
        b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n" + b"RIFF",
    ]
    return b"".join(
        b"--B\r\n" + part + b"\r\n" for part in parts
    ) + b"--B--\r\n", "multipart/form-data; boundary=B"
