"""A small registry of models on loopback, from which a real Ollama pulls with `insecure: true`.

Owns manifests by name and tag and blobs by digest, as `/v2/` gives them; asks for no token. What is
published under a name may be replaced at any time: that is a new version. A push of a model whose blobs were
all published is taken, and changes nothing. A blob may be kept back, or withdrawn.
"""

import hashlib
import json
import re
import select
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_OURS: Final = "application/vnd.ollama.image."
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)")
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a model: `model` (its weights), `template`, `params`, `system`, `license`."""

    kind: str
    digest: str  # with its prefix
    size: int
    content: bytes | Path

    @classmethod
    def text(cls, kind: str, content: str) -> Self:
        """Make a layer of a text."""
        body = content.encode()
        return cls(kind, "sha256:" + hashlib.sha256(body).hexdigest(), len(body), body)

    @classmethod
    def parameters(cls, **values: Any) -> Self:
        """Make the layer that holds a model's own options."""
        return cls.text("params", json.dumps(values))

    @classmethod
    def blob(cls, kind: str, path: Path) -> Self:
        """Make a layer of a file that is named by its digest, as those in an Ollama's store are."""
        return cls(kind, path.name.replace("-", ":"), path.stat().st_size, path)

    def read(self, start: int, count: int) -> bytes:
        """Give a piece of it."""
        if isinstance(self.content, bytes):
            return self.content[start : start + count]
        with self.content.open("rb") as file:
            file.seek(start)
            return file.read(count)


def _as_json(kind: str, value: Mapping[str, Any]) -> Layer:
    return Layer.text(kind, json.dumps(value, separators=(",", ":")))


def weights_of(shown: Mapping[str, Any]) -> Layer:
    """Give the weights of an installed model from what `/api/show` says of it.

    Raises OSError where the server's store is not on this machine.
    """
    (path,) = re.findall(r"^FROM (.*/sha256-[0-9a-f]{64})$", shown["modelfile"], re.MULTILINE)
    return Layer.blob("model", Path(path))


class Registry:
    """Serves for as long as its block lasts, in threads of its own."""

    def __init__(self) -> None:
        self._manifests: dict[str, Layer] = {}  # by `library/name/tag`
        self._blobs: dict[str, Layer] = {}
        self._kept_back: set[str] = set()  # digests of blobs
        self.waiting: set[object] = set()  # who waits for one of these, until it is released or they leave
        self.asked: list[str] = []  # method and path of each request, in the order in which they came
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        """What a name on it begins with."""
        return f"127.0.0.1:{self._server.server_port}"

    def name(self, model: str) -> str:
        """Give the full name under which a server pulls a model: `name`, or `name:tag`."""
        return f"{self.host}/library/{model}"

    def publish(self, model: str, layers: Sequence[Layer], *, family: str = "llama") -> str:
        """Publish a model (`name`, or `name:tag`), in place of what was there before.

        Gives the digest that `/api/tags` of a server shows once it has pulled it.
        """
        config = {
            "model_format": "gguf",
            "model_family": family,
            "model_families": [family],
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
        root = _as_json("config", config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": root.digest, "size": root.size},
            "layers": [
                {"mediaType": _OURS + layer.kind, "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
        for layer in (root, *layers):
            self._blobs[layer.digest] = layer
        name, _, tag = model.partition(":")
        written = _as_json("manifest", manifest)
        self._manifests[f"library/{name}/{tag or 'latest'}"] = written
        return written.digest.removeprefix("sha256:")

    def keep_back(self, layer: Layer) -> None:
        """Answer nobody who asks for this blob until it is released."""
        self._kept_back.add(layer.digest)

    def release(self, layer: Layer) -> None:
        """Answer those who wait for this blob, and whoever comes."""
        self._kept_back.discard(layer.digest)

    def is_kept_back(self, layer: Layer) -> bool:
        """Whether a blob is not given yet."""
        return layer.digest in self._kept_back

    def withdraw(self, layer: Layer) -> None:
        """Have a blob no more; the manifests that name it stay."""
        del self._blobs[layer.digest]

    def find(self, path: str) -> Layer | None:
        """Give what is at a path."""
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            return self._manifests.get(f"{found[1]}/{found[2]}")
        found = re.fullmatch(r"/v2/.+/blobs/(.+)", path)
        return self._blobs.get(found[1]) if found else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, registry: Registry) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.registry = registry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.registry.asked.append(f"PUT {self.path}")
        self._head(HTTPStatus.CREATED, 0)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        registry = self.server.registry
        registry.asked.append(f"{self.command} {self.path}")
        is_redirected = self.headers.get("Host", "").startswith("localhost:")
        layer = registry.find(self.path)
        if layer is None:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self._whole(HTTPStatus.NOT_FOUND, Layer.text("", json.dumps(error)))
        elif self.command == "GET" and "/blobs/" in self.path and not is_redirected:
            # Ollama takes blobs only from where a redirect leads, on another host than the registry's.
            place = f"http://localhost:{self.server.server_port}{self.path}"
            self._head(HTTPStatus.TEMPORARY_REDIRECT, 0, Location=place)
        elif self.command == "GET" and not self._waited(layer):
            self.close_connection = True
        elif part := _RANGE.fullmatch(self.headers.get("Range", "")):
            start, end = int(part[1]), int(part[2]) + 1
            shown = {"Content-Range": f"bytes {start}-{end - 1}/{layer.size}"}
            self._head(HTTPStatus.PARTIAL_CONTENT, end - start, **shown)
            self._send(layer, start, end)
        else:
            self._whole(HTTPStatus.OK, layer)

    def _waited(self, layer: Layer) -> bool:
        """Wait as long as a blob is kept back; whether who asked is still there."""
        registry = self.server.registry
        registry.waiting.add(self)
        try:
            while registry.is_kept_back(layer):
                if select.select([self.connection], [], [], 0.02)[0]:
                    return False  # the end: nobody sends more before this is answered
            return True
        finally:
            registry.waiting.discard(self)

    def _whole(self, status: HTTPStatus, layer: Layer) -> None:
        self._head(status, layer.size)
        if self.command == "GET":
            self._send(layer, 0, layer.size)

    def _head(self, status: HTTPStatus, length: int, **fields: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **fields}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, layer: Layer, start: int, end: int) -> None:
        try:
            while start < end:
                piece = layer.read(start, min(_CHUNK_BYTES, end - start))
                self.wfile.write(piece)
                start += len(piece)
        except ConnectionError:  # a pull that was given up
            self.close_connection = True
