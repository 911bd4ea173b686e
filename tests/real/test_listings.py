"""Listings of real servers: entries are the servers' own, and what was just done shows at once."""

import json
import time
from typing import Any

import pytest

from tests.clients.programs import proxy
from tests.real.fleet import Place, RealFleet, seen
from tests.real.questions import SHORT


def entries(place: Place, path: str) -> dict[str, Any]:
    """Give the entries of a listing by name."""
    return {entry["name"]: entry for entry in place.json("GET", path)["models"]}


def test_tags(fleet: RealFleet) -> None:
    """The two configured models and no other, each entry as the first server has it."""
    direct, proxied = entries(fleet.first, "/api/tags"), entries(fleet.proxy, "/api/tags")
    assert proxied == {name: direct[name] for name in (fleet.chat, fleet.embed)}
    assert json.dumps(proxied[fleet.chat]) == json.dumps(direct[fleet.chat])  # the order of keys, too
    order = [name for name in direct if name in proxied]
    assert list(proxied) == order


def test_models_of_openai(fleet: RealFleet) -> None:
    """The same two in OpenAI's shape."""
    direct, proxied = (place.json("GET", "/v1/models") for place in (fleet.first, fleet.proxy))
    assert list(proxied) == list(direct)
    assert proxied["data"] == [entry for entry in direct["data"] if entry["id"] in (fleet.chat, fleet.embed)]


def test_everything_installed_on_all(fleet: RealFleet) -> None:
    """Given plain addresses, the proxy lists each model of each server once, and none of its own variants."""
    urls = [server.url for server in fleet.servers.values()]
    with proxy(*urls) as proxied:
        found = [entry["name"] for entry in Place(proxied.url).json("GET", "/api/tags")["models"]]
    wanted = {name for server in fleet.servers.values() for name in entries(server, "/api/tags")}
    assert sorted(found) == sorted(name for name in wanted if not name.startswith("gollamas/"))


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_head_is_get_without_its_body(fleet: RealFleet, path: str) -> None:
    """As on the server: status and fields."""
    direct, proxied = (place.ask("HEAD", path) for place in (fleet.first, fleet.proxy))
    assert seen(proxied, is_head=True) == seen(direct, is_head=True)
    assert proxied.body == b""


@pytest.mark.parametrize("path", ["/api/ps", "/api/status", "/v1/models"])
def test_head_where_the_server_has_none(fleet: RealFleet, path: str) -> None:
    """The server's 405."""
    direct, proxied = (place.ask("HEAD", path) for place in (fleet.first, fleet.proxy))
    assert proxied.status == 405
    assert seen(proxied, is_head=True) == seen(direct, is_head=True)


def test_version_status_and_root(fleet: RealFleet) -> None:
    """The lowest version as an object, the status's form, and the words that clients look for."""
    versions = {server.json("GET", "/api/version")["version"] for server in fleet.servers.values()}
    assert fleet.proxy.json("GET", "/api/version")["version"] in versions
    answers = [fleet.proxy.ask("GET", path) for path in ("/api/version", "/")]
    assert [seen(one) for one in answers] == [
        seen(fleet.first.ask("GET", path)) for path in ("/api/version", "/")
    ]
    status = fleet.proxy.json("GET", "/api/status")
    assert status == {"cloud": {"disabled": True, "source": "config"}}
    direct = fleet.first.ask("GET", "/api/status")
    if direct.status == 200:  # since 0.16.2
        assert list(json.loads(direct.body)["cloud"]) == list(status["cloud"])


def test_what_was_asked_shows_as_loaded_and_then_as_gone(fleet: RealFleet) -> None:
    """`ps` right after an answer shows its model as the server does; after an unload it does not."""
    ask = {"model": fleet.chat, "prompt": "Hi", "stream": False, "options": SHORT}
    reply = fleet.proxy.ask("POST", "/api/generate", ask)
    proxied = entries(fleet.proxy, "/api/ps")[fleet.chat]
    name = (reply.get(b"x-gollamas-server") or b"").decode()
    direct = entries(fleet.servers[name], "/api/ps")[fleet.chat]
    assert json.dumps({**proxied, "expires_at": ""}) == json.dumps({**direct, "expires_at": ""})
    for server in fleet.servers.values():
        server.unload(fleet.chat)
    fleet.proxy.until(lambda found: fleet.chat not in found, 5.0)
    fleet.proxy.json("POST", "/api/generate", ask)
    assert fleet.chat in fleet.proxy.loaded()
    unloaded = fleet.proxy.json("POST", "/api/generate", {"model": fleet.chat, "keep_alive": 0})
    assert unloaded["done_reason"] == "unload"
    assert fleet.proxy.until(lambda found: fleet.chat not in found, 5.0) < 1.0


def test_a_server_that_has_it_loaded_is_chosen(fleet: RealFleet) -> None:
    """Loaded on one server only, whichever it is, the model is answered there."""
    for name, server in fleet.servers.items():
        for other in fleet.servers.values():
            other.unload(fleet.embed)
        server.json("POST", "/api/embed", {"model": fleet.embed})
        began = time.monotonic()
        while copies(fleet.proxy) != sorted(copy for one in fleet.servers.values() for copy in copies(one)):
            assert time.monotonic() - began < 10.0
        reply = fleet.proxy.ask("POST", "/api/embed", {"model": fleet.embed, "input": "Hello"})
        assert reply.get(b"x-gollamas-server") == name.encode()


def copies(place: Place) -> list[tuple[str, str]]:
    """Give every loaded copy, by its name and its end."""
    return sorted((entry["name"], entry["expires_at"]) for entry in place.json("GET", "/api/ps")["models"])
