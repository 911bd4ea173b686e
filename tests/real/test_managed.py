"""Models that are pulled, copied and deleted on each real server, and on a simulated one of its version.

The registry is the test's own: it gives the weights that the real server has already, under other names.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from gollamas import names
from tests.clients.programs import SimulatedFleet
from tests.real.fleet import Place, RealFleet
from tests.real.front import PULLED, digests
from tests.real.stand_in import stand_in
from tests.recorded import Reply, parse_reply
from tests.registry import Layer, Registry, weights_of

COPY: Final = "gt-copy:latest"
ABSENT: Final = "gt-absent"
# Names that Ollama refuses, reads in a way of its own, or does not know.
NAMES: Final = (
    "a b", "", "http://x", "http://h//m", "a/b/c/d", "x:", ":t", "/", "a//b", "/n/m", "-x", "x@sha256:00",
    "x:a:b", "x:a:local", "x:cloud:local", "x:local:local", "x:local:cloud", "x" * 81,
    ABSENT, f" {ABSENT} ", f"{ABSENT}:local", f"{ABSENT}:latest", "http://127.0.0.1:9/library/x",
)  # fmt: skip
# What is in the place of a member's value.
WRONG: Final[tuple[dict[str, Any], ...]] = (
    {"stream": "x"}, {"stream": 1}, {"insecure": "x"}, {"insecure": 1}, {"stream": None, "insecure": None},
    {"model": 5}, {"model": None}, {"model": {}}, {"name": 5}, {"username": 5}, {"source": 5},
    {"destination": []},
)  # fmt: skip
BODIES: Final = (b"", b"null", b"[]", b"5", b'"x"', b"{", b"nope")
ROUTES: Final = (
    ("POST", "/api/pull"),
    ("POST", "/api/push"),
    ("DELETE", "/api/delete"),
    ("POST", "/api/copy"),
)


@dataclass(frozen=True, slots=True)
class Twins:
    """A real server and a simulated one of its version, and how other contents are published to both."""

    real: Place
    simulated: Place
    name: str  # of the model that is published
    publish: Callable[[int], dict[Place, str]]  # a version; gives the digest that each shows

    def __iter__(self) -> Iterator[Place]:
        yield self.real
        yield self.simulated


@pytest.fixture(scope="module")
def twins(fleet: RealFleet) -> Iterator[list[Twins]]:
    """Make a twin of each real server, and leave no model behind."""
    versions = [place.json("GET", "/api/version")["version"] for place in fleet.servers.values()]
    servers = {
        name: stand_in(fleet, version=version) for name, version in zip(fleet.servers, versions, strict=True)
    }
    found = []
    with Registry() as registry, SimulatedFleet(servers) as running:
        model = registry.name(PULLED)
        for name, real in fleet.servers.items():
            simulated = Place(running.urls[name])
            layers = _layers(fleet, real)

            def publish(
                version: int, layers: Any = layers, real: Place = real, simulated: Place = simulated,
                name: str = name,
            ) -> dict[Place, str]:  # fmt: skip
                digest = registry.publish(PULLED, layers[version])
                return {real: digest, simulated: servers[name].publish(model, version)}

            found.append(Twins(real, simulated, model, publish))
        yield found


def _layers(fleet: RealFleet, place: Place) -> list[list[Layer]]:
    """Give two versions: the chat model's weights, and then the embedding model's."""
    try:
        chat, embed = (
            weights_of(place.json("POST", "/api/show", {"model": name})) for name in (fleet.chat, fleet.embed)
        )
    except OSError:
        pytest.skip(f"the store of {place.url} is not on this machine")
    return [[chat, Layer.parameters(num_ctx=512)], [embed, Layer.text("system", "Be brief.")]]


@contextmanager
def clean(place: Place, fleet: RealFleet, *names: str) -> Iterator[None]:
    """Begin with nothing loaded, and take away what was made."""
    place.unload(fleet.chat)
    try:
        yield
    finally:
        place.unload(fleet.chat)  # and whatever else runs over its weights
        for name in names:
            place.ask("DELETE", "/api/delete", {"model": name})


def said(reply: Reply) -> list[Any]:
    """Give what an answer says, without what differs from machine to machine."""
    body = re.sub(rb"open \S*/manifests/", b"open HOME/manifests/", reply.body)
    body = re.sub(rb"(?<=lookup )(\S+) on \S+:53", rb"\1", body)
    return [reply.status, reply.get(b"content-type"), reply.chunks is None, body]


def parsed(place: Place, method: str, path: str, body: bytes) -> Reply:
    """Ask with these very bytes."""
    return parse_reply(place.raw(method, path, body), is_head=False)


def copy(place: Place, source: str, destination: str) -> None:
    """Copy a model."""
    assert place.ask("POST", "/api/copy", {"source": source, "destination": destination}).status == 200


def pull(place: Place, name: str) -> list[str]:
    """Pull from a registry without TLS; give the words in their order, each once, without digests."""
    reply = place.ask("POST", "/api/pull", {"model": name, "insecure": True})
    lines = [json.loads(line) for line in reply.body.splitlines()]
    return list(dict.fromkeys("pulling" if "digest" in line else line["status"] for line in lines))


def unload(place: Place, name: str) -> list[Any]:
    """Ask for it; give status and what is said."""
    reply = place.ask("POST", "/api/generate", {"model": name, "keep_alive": 0})
    answer = json.loads(reply.body)
    return [reply.status, answer.get("done_reason") or answer["error"]]


def keep(place: Place, name: str) -> None:
    """Load a model for ever."""
    place.json("POST", "/api/generate", {"model": name, "keep_alive": -1})


def until_gone(place: Place, name: str) -> None:
    """Wait until a model is out of memory."""
    place.until(lambda found: name not in found)


def test_a_model_is_pulled_in_each_of_its_versions(fleet: RealFleet, twins: list[Twins]) -> None:
    """Its digest is the published one, what is current is said at once, and then it is deleted."""
    current = ["pulling manifest", "pulling", "verifying sha256 digest", "writing manifest", "success"]
    for pair in twins:
        shown = f"{pair.name}:latest"
        for version in (0, 1):
            published = pair.publish(version)
            for place in pair:
                words = [*current[:-1], *["removing unused layers"][:version], "success"]
                assert pull(place, pair.name) == words, place
                assert digests(place)[shown] == published[place]
                assert pull(place, pair.name) == current, place
        for place in pair:
            assert place.ask("DELETE", "/api/delete", {"model": pair.name}).status == 200
            assert shown not in digests(place)
            assert {fleet.chat, fleet.embed} <= digests(place).keys()


def test_a_model_that_is_pulled_over_stays_loaded(fleet: RealFleet, twins: list[Twins]) -> None:
    """For ever, under its name; only another name over the old weights unloads it."""
    for pair in twins:
        for place in pair:
            pair.publish(0)
            with clean(place, fleet, pair.name, COPY):
                pull(place, pair.name)
                keep(place, pair.name)
                copy(place, pair.name, COPY)
                pair.publish(1)
                pull(place, pair.name)
                assert unload(place, pair.name) == [200, "unload"]
                assert f"{pair.name}:latest" in place.loaded()
                assert unload(place, COPY) == [200, "unload"]
                until_gone(place, f"{pair.name}:latest")


@pytest.mark.parametrize("how", ["delete", "copy", "create"])
def test_a_model_whose_name_goes_stays_loaded(fleet: RealFleet, twins: list[Twins], how: str) -> None:
    """Deleted, or led to other weights by a copy or a create."""
    for place in (place for pair in twins for place in pair):
        with clean(place, fleet, COPY):
            copy(place, fleet.chat, COPY)
            keep(place, COPY)
            gone = [200, "unload"]
            if how == "delete":
                assert place.ask("DELETE", "/api/delete", {"model": COPY}).status == 200
                gone = [404, f"model '{COPY}' not found"]
            elif how == "copy":
                copy(place, fleet.embed, COPY)
            else:
                place.json("POST", "/api/create", {"model": COPY, "from": fleet.embed, "stream": False})
            assert unload(place, COPY) == gone, place
            assert COPY in place.loaded()
            assert unload(place, fleet.chat) == [200, "unload"]
            until_gone(place, COPY)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_wrong_bodies_are_refused_alike(twins: list[Twins], method: str, path: str) -> None:
    """Names that are none, members of wrong types, and what is no object."""
    bodies = [*BODIES]
    for text in NAMES:
        named = {"source": text, "destination": ABSENT} if path == "/api/copy" else {"model": text}
        bodies += [json.dumps({**named, **more}).encode() for more in ({}, {"stream": False})]
    bodies.append(json.dumps({"source": ABSENT, "destination": ABSENT.upper(), "model": ABSENT}).encode())
    good = {"model": "a b", "source": "a b", "destination": "a b"}
    bodies += [json.dumps({**good, **wrong}).encode() for wrong in WRONG]
    for pair in twins:
        for body in bodies:
            real, ours = (said(parsed(place, method, path, body)) for place in pair)
            assert ours == real, body


def test_a_copy_to_what_is_no_name_is_refused_alike(fleet: RealFleet, twins: list[Twins]) -> None:
    for pair in twins:
        for text in (text for text in NAMES if names.parse_bare(text) is None):
            body = {"source": fleet.chat, "destination": text}
            real, ours = (said(place.ask("POST", "/api/copy", body)) for place in pair)
            assert ours == real, text
            assert real[0] == 400, text
