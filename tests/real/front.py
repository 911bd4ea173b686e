"""A proxy in front of all real servers that changes which models they have, and a registry to pull from.

Owns putting it there, and holds that the servers are left as they were. What is made begins with `gt-`. No
other proxy may be in front of them meanwhile: it would remove what this one leaves behind.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.programs import proxy
from tests.real.fleet import Place, RealFleet, request_bytes
from tests.real.loading import variants
from tests.recorded import Reply, parse_reply
from tests.registry import Layer, Registry, weights_of

PULLED: Final = "gt-pulled"
# The words of a pull of what is there already.
CURRENT: Final = ["pulling manifest", "pulling", "verifying sha256 digest", "writing manifest", "success"]
NOWHERE: Final = "127.0.0.1:9"  # nobody listens there
_REGISTRIES: Final = ("registry.ollama.ai", NOWHERE, "http", "h", "a")  # those of names in the tests, too
_HI: Final = [{"role": "user", "content": "Hi"}]
_FOR_EVER: Final = "2200"  # the year after which a model that is kept so leaves
SOON: Final = 10.0  # seconds, in which a server has ended the runner of what it unloads


@dataclass(slots=True)
class Front:
    """A proxy in front of the real servers, and the registry that it may pull from."""

    fleet: RealFleet
    registry: Registry
    proxy: Place
    layers: list[list[Layer]]  # of three versions of a model

    @property
    def servers(self) -> dict[str, Place]:
        """The real servers, by what the proxy calls them."""
        return self.fleet.servers

    @property
    def name(self) -> str:
        """The model that is pulled."""
        return self.registry.name(PULLED)

    def on(self, server: str, path: str, value: Any) -> Any:
        """Ask through the proxy, one server alone, and read one JSON value."""
        wanted = b"\r\nX-Gollamas-Server: %b\r\n" % server.encode()
        asked = request_bytes("POST", path, json.dumps(value).encode()).replace(b"\r\n", wanted, 1)
        with self.proxy.connect() as sock:
            sock.sendall(asked)
            reply = parse_reply(b"".join(iter(lambda: sock.recv(65536), b"")), is_head=False)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def keep_for_ever(self, model: str, how: str) -> None:
        """Load a model on every server, which never unloads it by itself.

        In: `native` asks for that; `v1` has a variant made, whose requests share the model's runner; where
        how is `variant`, a server has loaded it by that name, as it does for another proxy.
        """
        for name, server in self.servers.items():
            before = variants(server)
            if how == "native":
                self.on(name, "/api/generate", {"model": model, "keep_alive": -1})
            else:
                self.on(name, "/v1/chat/completions", {"model": model, "messages": _HI, "max_tokens": 1})
                (variant,) = variants(server) - before
            if how == "variant":
                _until_kept(server)  # the proxy has said so
                server.unload(model)
                server.until(lambda found: not found, SOON)
                server.json("POST", "/api/generate", {"model": variant, "keep_alive": -1})
                assert server.loaded() == {variant}
            _until_kept(server)

    def check_memory_is_empty(self) -> None:
        """Hold that no server has anything loaded, by whatever name."""
        for server in self.servers.values():
            server.until(lambda found: not found, SOON)


def is_kept(server: Place) -> bool:
    entries = server.json("GET", "/api/ps")["models"]
    return [entry["expires_at"] > _FOR_EVER for entry in entries] == [True]


def _until_kept(server: Place) -> None:
    until(lambda: is_kept(server))


def until(holds: Callable[[], bool], seconds: float = SOON) -> None:
    """Look until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)  # between two looks


@contextmanager
def left_as_they_were(servers: RealFleet) -> Iterator[None]:
    """Begin with nothing loaded; hold that no model is left behind, and take away what is."""
    before = {name: digests(server) for name, server in servers.servers.items()}
    _unload_all(servers)
    try:
        yield
    finally:
        _unload_all(servers)
        left = {name: set(digests(server)) - set(before[name]) for name, server in servers.servers.items()}
        for name, models in left.items():
            for model in models:
                servers.servers[name].ask("DELETE", "/api/delete", {"model": model})
    assert not any(left.values()), left
    assert {name: digests(server) for name, server in servers.servers.items()} == before


def _unload_all(servers: RealFleet) -> None:
    for server in servers.servers.values():
        for name in (servers.chat, servers.embed):
            server.unload(name)  # and whatever else runs over its weights


@contextmanager
def running(servers: RealFleet, registry: Registry, *more: str) -> Iterator[Front]:
    """Run the program in front of all that the servers have; no probe but the first tells it anything."""
    shown = (
        servers.first.json("POST", "/api/show", {"model": name}) for name in (servers.chat, servers.embed)
    )
    try:
        chat, embed = (weights_of(model) for model in shown)
    except OSError:
        pytest.skip(f"the store of {servers.first.url} is not on this machine")
    layers = [
        [chat, Layer.parameters(num_ctx=512)],
        [embed, Layer.text("system", "Be brief.")],
        [chat, Layer.parameters(num_ctx=768)],
    ]
    words = [word for name, at in servers.servers.items() for word in ("--connection", f"{name}={at.url}")]
    words += ["--expose", "installed", "--registries", ",".join((registry.host, *_REGISTRIES))]
    with proxy(*words, "--probe-interval", "1h", *more) as program:
        place = Place(program.url)
        until(lambda: place.json("GET", "/api/tags")["models"] != [])
        registry.publish(PULLED, layers[0])
        yield Front(servers, registry, place, layers)


def digests(place: Place) -> dict[str, str]:
    """Give the digest of each installed model."""
    return {entry["name"]: entry["digest"] for entry in place.json("GET", "/api/tags")["models"]}


def delete(place: Place, name: str) -> Reply:
    """Delete a model."""
    return place.ask("DELETE", "/api/delete", {"model": name})


def lines(reply: Reply) -> list[dict[str, Any]]:
    """Give the lines of an answer that streams."""
    assert (reply.status, reply.get(b"content-type")) == (200, b"application/x-ndjson"), reply
    return [json.loads(line) for line in reply.body.splitlines()]


def copies_in_log() -> int | None:
    """Count the copies that the first server has made, by its log; None where nobody named that."""
    path = os.environ.get("GOLLAMAS_TEST_OLLAMA_LOG")
    return None if not path else Path(path).read_bytes().count(b'"/api/copy"')
