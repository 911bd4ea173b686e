"""Models that are pulled, copied, deleted and shown through the program, on all real servers at once."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest

from gollamas import names
from tests.real.fleet import request_bytes
from tests.real.front import CURRENT, NOWHERE, PULLED, SOON, Front, delete, digests, lines, until
from tests.real.loading import say
from tests.real.test_cli import Shell
from tests.real.test_managed import ABSENT, BODIES, COPY, NAMES, ROUTES, WRONG, copy, parsed, pull, said
from tests.recorded import Reply, parse_reply
from tests.registry import Layer

# What is no object is told of in our own words, for inference too; `null` is as good as one to Ollama.
NO_OBJECTS: Final = (b"null", b"[]", b"5", b'"x"', b"nope")


# -- copy, show, delete --------------------------------------------------------------------------------


def test_a_copy_is_listed_shown_and_routed_at_once_and_gone_at_once(front: Front) -> None:
    """On every server, and what each of them says is what the proxy says."""
    chat, place = front.fleet.chat, front.proxy
    got = place.ask("POST", "/api/copy", {"source": chat, "destination": COPY})
    assert (got.status, got.body, got.get(b"warning")) == (200, b"", None)
    assert COPY in digests(place)
    assert COPY in {model["id"] for model in place.json("GET", "/v1/models")["data"]}
    for name, server in front.servers.items():
        assert digests(server)[COPY] == digests(server)[chat]
        assert front.on(name, "/api/generate", say(COPY))["model"] == COPY
        assert front.on(name, "/api/show", {"model": COPY}) == server.json(
            "POST", "/api/show", {"model": COPY}
        )
    got = delete(place, COPY)
    assert (got.status, got.body, got.get(b"warning")) == (200, b"", None)
    assert COPY not in digests(place)
    assert not any(COPY in digests(server) for server in front.servers.values())
    for method, path, body in (
        ("DELETE", "/api/delete", {"model": COPY}),
        ("POST", "/api/show", {"model": COPY}),
        ("POST", "/api/generate", say(COPY)),
        ("POST", "/api/copy", {"source": COPY, "destination": ABSENT}),
    ):
        ours, real = (said(one.ask(method, path, body)) for one in (place, front.fleet.first))
        assert ours == real, path
        assert ours[0] == 404


def test_a_copy_is_made_where_the_source_is(front: Front) -> None:
    """A server that lacks it is named."""
    first, *others = front.servers
    copy(front.servers[first], front.fleet.chat, COPY)
    try:
        got = front.proxy.ask("POST", "/api/copy", {"source": COPY, "destination": "gt-second"})
        assert (got.status, got.body) == (200, b"")
        assert [value for name, value in got.fields if name.lower() == b"warning"] == [
            f'199 gollamas "{name} does not have the model"'.encode() for name in others
        ]
        assert "gt-second:latest" in digests(front.proxy)
        assert delete(front.proxy, "gt-second").status == 200
    finally:
        assert delete(front.proxy, COPY).status == 200


# -- pull ----------------------------------------------------------------------------------------------


def test_a_new_model_is_pulled_to_every_server_in_one_progress(front: Front) -> None:
    """A layer that nobody has yet comes when every server has told of it."""
    fresh = Layer.text("license", f"Made at {time.time_ns()}. " + "All of it. " * 20_000)
    published = front.registry.publish(PULLED, [*front.layers[1], fresh])
    front.registry.keep_back(fresh)
    whole = len(front.servers) * fresh.size
    with front.proxy.connect() as sock:
        body = {"model": front.name, "insecure": True}
        sock.sendall(request_bytes("POST", "/api/pull", json.dumps(body).encode()))
        raw = b""
        while b'"%b","total":%d' % (fresh.digest.encode(), whole) not in raw:
            raw += (piece := sock.recv(65536))
            assert piece, raw
        front.registry.release(fresh)
        raw += b"".join(iter(lambda: sock.recv(65536), b""))
    got = lines(parse_reply(raw, is_head=False))
    assert [line["status"] for line in got if "digest" not in line] == [
        word for word in CURRENT if word != "pulling"
    ]
    assert got[-1] == {"status": "success"}
    layers: dict[str, list[dict[str, Any]]] = {}
    for line in got:
        if "digest" in line:
            layers.setdefault(line["digest"], []).append(line)
    for told in layers.values():
        completed = [line.get("completed", 0) for line in told]
        assert completed == sorted(completed)
        assert all(line.get("completed", 0) <= line.get("total", 0) for line in told)
        assert told[-1]["completed"] == told[-1]["total"]
    assert layers[fresh.digest][-1]["total"] == whole
    assert digests(front.proxy)[f"{front.name}:latest"] == published
    for name, server in front.servers.items():
        assert digests(server)[f"{front.name}:latest"] == published
        front.on(name, "/api/show", {"model": front.name})
    assert delete(front.proxy, front.name).status == 200


def test_a_pull_of_what_is_current_is_answered_quickly(front: Front) -> None:
    pull(front.proxy, front.name)
    began = time.monotonic()
    assert pull(front.proxy, front.name) == CURRENT
    assert time.monotonic() - began < SOON
    body = {"model": front.name, "insecure": True, "stream": False}
    ours, real = (said(place.ask("POST", "/api/pull", body)) for place in (front.proxy, front.fleet.first))
    assert ours == real
    assert delete(front.proxy, front.name).status == 200


@pytest.mark.parametrize("streams", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("insecure", [True, False], ids=["insecure", "with TLS"])
def test_a_registry_that_fails_is_told_of_as_one_ollama_does(
    front: Front, streams: bool, insecure: bool
) -> None:
    """It lacks the model or one of its layers, it does not listen, or it speaks no TLS."""
    lost = Layer.text("system", "Nobody has this.")
    front.registry.publish("gt-lost", [front.layers[0][0], lost])
    front.registry.withdraw(lost)
    for name in (front.registry.name(ABSENT), front.registry.name("gt-lost"), f"{NOWHERE}/library/x"):
        body = {"model": name, "insecure": insecure, "stream": streams}
        ours, real = (said(one.ask("POST", "/api/pull", body)) for one in (front.proxy, front.fleet.first))
        assert _errors(ours) == _errors(real), name
        assert not any(f"{name}:latest" in digests(server) for server in front.servers.values())


def _errors(told: list[Any]) -> list[Any]:
    """Give of what was said how it was framed, its first line, and its last: how far it came differs."""
    status, content_type, has_length, body = told
    found = body.splitlines()
    assert b'"error"' in found[-1]
    return [status, content_type, has_length, found[0], found[-1]]


@pytest.mark.parametrize("streams", [True, False], ids=["streaming", "whole"])
def test_a_server_whose_pull_fails_is_named_and_the_others_have_the_model(
    front: Front, streams: bool
) -> None:
    """One has the layer already that the registry lacks."""
    here, *others = front.servers
    if not others:
        pytest.skip("needs two servers")
    lost = Layer.text("system", f"Only {here} has this.")
    assert isinstance(lost.content, bytes)
    made = front.servers[here].raw("POST", f"/api/blobs/{lost.digest}", lost.content)
    assert made.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")), made
    front.registry.publish(PULLED, [front.layers[0][0], lost])
    front.registry.withdraw(lost)
    body = {"model": front.name, "insecure": True, "stream": streams}
    (alone,) = json.loads(
        front.servers[others[0]].ask("POST", "/api/pull", {**body, "stream": False}).body
    ).values()
    got = front.proxy.ask("POST", "/api/pull", body)
    told = "; ".join(f"server {name}: {alone}" for name in others)
    assert json.loads(got.body.splitlines()[-1]) == {"error": told}
    assert got.status == (200 if streams else 500)
    for name, server in front.servers.items():
        assert (f"{front.name}:latest" in digests(server)) == (name == here)
    assert delete(front.proxy, front.name).status == 200


@pytest.mark.parametrize("streams", [True, False], ids=["streaming", "whole"])
def test_a_client_that_leaves_stops_a_pull_on_every_server(front: Front, streams: bool) -> None:
    """And the next pull of the model is none the worse for it."""
    fresh = Layer.text("license", f"Kept back at {time.time_ns()}.")
    front.registry.publish(PULLED, [front.layers[0][0], fresh])
    front.registry.keep_back(fresh)
    with front.proxy.connect() as sock:
        body = {"model": front.name, "insecure": True, "stream": streams}
        sock.sendall(request_bytes("POST", "/api/pull", json.dumps(body).encode()))
        until(lambda: len(front.registry.waiting) == len(front.servers))
    until(lambda: not front.registry.waiting)
    assert not any(f"{front.name}:latest" in digests(server) for server in front.servers.values())
    front.registry.release(fresh)
    assert pull(front.proxy, front.name) == CURRENT
    assert delete(front.proxy, front.name).status == 200


# -- the official command ------------------------------------------------------------------------------


def test_the_official_command(front: Front, tmp_path: Path) -> None:
    """It pulls, pushes, copies, shows, lists and removes, as with one server."""
    shell = Shell(front.proxy.address, str(tmp_path / "proxy"))
    direct = Shell(front.fleet.first.address, str(tmp_path / "direct"))
    shell.said("pull", "--insecure", front.name)
    shell.said("pull", "--insecure", front.name)
    shell.said("push", "--insecure", front.name)
    assert sum(asked.startswith("PUT ") for asked in front.registry.asked) == 1
    assert shell.said("cp", front.name, COPY) == direct.said("cp", front.name, "gt-second").replace(
        "gt-second", COPY
    )
    assert COPY in shell.said("list")
    assert shell.said("show", COPY) == direct.said("show", COPY)
    assert shell.said("rm", COPY) == f"deleted '{COPY}'\n"
    assert shell.said("rm", "gt-second", front.name) == f"deleted 'gt-second'\ndeleted '{front.name}'\n"
    assert not any(name in shell.said("list") for name in (COPY, PULLED, "gt-second"))


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_wrong_bodies_and_names_are_refused_as_one_ollama_does(front: Front, method: str, path: str) -> None:
    bodies = [*BODIES]
    for text in NAMES:
        named = {"source": text, "destination": ABSENT} if path == "/api/copy" else {"model": text}
        bodies += [json.dumps({**named, **more}).encode() for more in ({}, {"stream": False})]
        if path == "/api/copy" and names.parse_bare(text) is None:
            bodies.append(json.dumps({"source": front.fleet.chat, "destination": text}).encode())
    good = {"model": "a b", "source": "a b", "destination": "a b"}
    bodies += [json.dumps({**good, **wrong}).encode() for wrong in WRONG]
    for body in bodies:
        ours, real = (told(parsed(place, method, path, body)) for place in (front.proxy, front.fleet.first))
        if body in NO_OBJECTS:
            assert ours[:2] == real[:2] or body == b"null", body
            assert b"the request body " in ours[2]
        elif path == "/api/copy" and _is_onto_itself(body):
            assert (ours[0], real[0]) == (404, 200), body
        else:
            assert ours == real, body


def told(reply: Reply) -> list[Any]:
    """Give status, content type and body of an answer."""
    status, content_type, _, body = said(reply)
    return [status, content_type, body]


def _is_onto_itself(body: bytes) -> bool:
    """Whether a copy is of a name onto itself: Ollama does not look whether such a model is there."""
    if body in BODIES:
        return False
    asked = json.loads(body)
    source, destination = (
        names.parse_bare(text) if isinstance(text := asked.get(member), str) else None
        for member in ("source", "destination")
    )
    return source is not None and destination is not None and source.key == destination.key
