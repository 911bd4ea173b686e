"""Models that are made through the program, on all real servers at once."""

import asyncio
import json
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import ollama
import pytest

from tests.real.blobs import digest_of, has, new_bytes, on_servers, upload
from tests.real.fleet import Place, find_fleet, request_bytes
from tests.real.front import NOWHERE, Front, delete, digests, left_as_they_were, lines, running
from tests.real.test_cli import Shell
from tests.real.test_managed import BODIES, COPY, NAMES, copy, parsed, pull, said
from tests.real.test_proxied_jobs import NO_OBJECTS, told
from tests.recorded import Reply, parse_reply
from tests.registry import Registry

MADE: Final = "gt-made:latest"
NOBODYS: Final = f"sha256:{'0' * 64}"
_HEADER_BYTES: Final = 4096
_HI: Final = [{"role": "user", "content": "Hi"}]
_CREATE: Final = "/api/create"


def new_weights(front: Front, folder: Path) -> Path:
    """Write the chat model's weights under another name of their own, by which their digest is a new one."""
    content = front.layers[0][0].content
    assert isinstance(content, Path)
    weights = bytearray(content.read_bytes())
    key = b"general.name"
    at = weights.index(key, 0, _HEADER_BYTES) + len(key) + 4  # behind the type of the value
    (length,) = struct.unpack_from("<Q", weights, at)
    named = f"{time.time_ns()}".encode()[-length:].rjust(length, b"x")
    weights[at + 8 : at + 8 + length] = named
    path = folder / "new.gguf"
    path.write_bytes(weights)
    return path


def create(place: Place, **members: Any) -> Reply:
    return place.ask("POST", _CREATE, {"model": MADE, **members})


def check_it_is_made(front: Front, model: str = MADE) -> None:
    """Hold that a model is on every server, and that each has the program chat with it at once."""
    assert model in digests(front.proxy)
    assert model in {entry["id"] for entry in front.proxy.json("GET", "/v1/models")["data"]}
    for name, server in front.servers.items():
        assert model in digests(server)
        asked = {"model": model, "messages": _HI, "stream": False, "options": {"num_predict": 2}}
        answer = front.on(name, "/api/chat", asked)
        assert (answer["model"], answer["done"]) == (model, True)
        server.unload(model)


def check_nothing_is_made(front: Front) -> None:
    assert MADE not in digests(front.proxy)
    assert not any(MADE in digests(server) for server in front.servers.values())


# -- create by clients ---------------------------------------------------------------------------------


class _Command:
    """The official command, with a Modelfile."""

    def __init__(self, front: Front, folder: Path) -> None:
        self._shell = Shell(front.proxy.address, str(folder / "home"))
        self._folder = folder

    def from_file(self, path: Path) -> None:
        self._make(f"FROM ./{path.name}\nPARAMETER num_ctx 512\n")

    def from_model(self, model: str) -> None:
        self._make(f"FROM {model}\nPARAMETER num_ctx 512\nSYSTEM Be brief.\n")

    def _make(self, text: str) -> None:
        modelfile = self._folder / "Modelfile"
        modelfile.write_text(text)
        self._shell.said("create", MADE, "-f", str(modelfile))
        assert MADE in self._shell.said("list")


class _Package:
    """The Python package, which sends a file with its length."""

    def __init__(self, front: Front, _: Path) -> None:
        self._url = front.proxy.url

    def from_file(self, path: Path) -> None:
        with closing(ollama.Client(host=self._url)) as client:
            digest = client.create_blob(path)
            made = client.create(MADE, files={path.name: digest}, parameters={"num_ctx": 512})
        assert made.status == "success"

    def from_model(self, model: str) -> None:
        with closing(ollama.Client(host=self._url)) as client:
            progress = [
                line.status for line in client.create(MADE, from_=model, system="Be brief.", stream=True)
            ]
        assert progress[-2:] == ["writing manifest", "success"]
        assert len(progress) == len(set(progress)), progress


class _AsyncPackage:
    """Its other client, which sends a file in chunks."""

    def __init__(self, front: Front, _: Path) -> None:
        self._url = front.proxy.url

    def from_file(self, path: Path) -> None:
        async def made() -> list[str | None]:
            client = ollama.AsyncClient(host=self._url)
            try:
                digest = await client.create_blob(path)
                asked = await client.create(MADE, files={path.name: digest}, stream=True)
                return [line.status async for line in asked]
            finally:
                await client._client.aclose()

        progress = asyncio.run(made())
        assert progress[0] == "parsing GGUF"
        assert progress[-1] == "success"
        assert len(progress) == len(set(progress)), progress

    def from_model(self, model: str) -> None:
        async def made() -> ollama.ProgressResponse:
            client = ollama.AsyncClient(host=self._url)
            try:
                return await client.create(MADE, from_=model, parameters={"num_ctx": 512})
            finally:
                await client._client.aclose()

        assert asyncio.run(made()).status == "success"


CLIENTS: Final = (_Command, _Package, _AsyncPackage)
_IDS: Final = ("command", "package", "async package")


@pytest.mark.parametrize("client", CLIENTS, ids=_IDS)
def test_a_model_is_made_from_a_file_on_every_server(
    front: Front, tmp_path: Path, client: Callable[[Front, Path], Any]
) -> None:
    """Its weights are new to all of them; they are gone from each with the model."""
    weights = new_weights(front, tmp_path)
    digest = digest_of(weights.read_bytes())
    assert not has(front.proxy, digest)
    assert not any(on_servers(front, digest))
    client(front, tmp_path).from_file(weights)
    assert has(front.proxy, digest)
    assert all(on_servers(front, digest))
    check_it_is_made(front)
    for server in front.servers.values():
        shown = server.json("POST", "/api/show", {"model": MADE})["modelfile"]
        assert digest.replace(":", "-") in shown
    assert delete(front.proxy, MADE).status == 200
    assert not any(on_servers(front, digest))


@pytest.mark.parametrize("client", CLIENTS, ids=_IDS)
def test_a_model_is_made_from_a_model_on_every_server(
    front: Front, tmp_path: Path, client: Callable[[Front, Path], Any]
) -> None:
    client(front, tmp_path).from_model(front.fleet.chat)
    check_it_is_made(front)
    for name, server in front.servers.items():
        shown = server.json("POST", "/api/show", {"model": MADE})
        assert front.on(name, "/api/show", {"model": MADE}) == shown
        assert "num_ctx" in shown.get("parameters", "") or shown["system"] == "Be brief."
    assert delete(front.proxy, MADE).status == 200
    check_nothing_is_made(front)


def test_progress_is_that_of_one_ollama(front: Front) -> None:
    """Also where one server has the layers that the others make; `stream: false` is answered with success."""
    asked = {"from": front.fleet.chat, "system": new_bytes().decode(), "parameters": {"num_ctx": 512}}
    real, ours = (create(place, **asked) for place in (front.fleet.first, front.proxy))
    alone, all_of_them = ([line["status"] for line in lines(one)] for one in (real, ours))
    assert alone[-2:] == all_of_them[-2:] == ["writing manifest", "success"]
    assert len(all_of_them) == len(set(all_of_them))
    assert {word.split()[-1] for word in alone} <= {word.split()[-1] for word in all_of_them}
    made_anew = {word for word in alone if word.startswith("creating new layer")}
    assert made_anew
    assert made_anew.isdisjoint(all_of_them) == (len(front.servers) == 1)
    whole = [said(create(place, stream=False, **asked)) for place in (front.proxy, front.fleet.first)]
    assert whole[0] == whole[1]
    assert delete(front.proxy, MADE).status == 200


# -- what stands in the way ----------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False], ids=["streaming", "whole"])
def test_a_missing_blob_is_named_with_its_server_and_nothing_is_made(front: Front, streams: bool) -> None:
    first, *others = front.servers
    got = create(front.proxy, files={"a.gguf": NOBODYS}, stream=streams)
    error = f"blob {NOBODYS} is not on server {first}: upload it first"
    assert (got.status, json.loads(got.body)) == (400, {"error": error})
    content = new_bytes()
    assert upload(front.servers[first], content).status == 201
    for other in others[:1]:  # one that the first has alone
        got = create(front.proxy, files={"a.gguf": digest_of(content)}, stream=streams)
        error = f"blob {digest_of(content)} is not on server {other}: upload it first"
        assert (got.status, json.loads(got.body)) == (400, {"error": error})
    check_nothing_is_made(front)


def test_a_source_that_one_server_alone_has_is_pulled_by_the_others(front: Front) -> None:
    """Their registry speaks no TLS, which is what each of them says of it; the one that has it makes it."""
    here, *others = front.servers
    if not others:
        pytest.skip("needs two servers")
    pull(front.servers[here], front.name)
    asked = {"from": front.name, "stream": False}
    (alone,) = json.loads(create(front.servers[others[0]], **asked).body).values()
    assert front.registry.host in alone
    got = create(front.proxy, **asked)
    told = "; ".join(f"server {name}: {alone}" for name in others)
    assert (got.status, json.loads(got.body)) == (500, {"error": told})
    for name, server in front.servers.items():
        assert (MADE in digests(server)) == (name == here)
    assert front.on(here, "/api/generate", {"model": MADE, "keep_alive": 0})["done_reason"] == "unload"
    assert delete(front.proxy, MADE).status == 200
    assert delete(front.proxy, front.name).status == 200


def test_a_source_that_may_not_be_pulled_is_refused_before_anything_is_made(registry: Registry) -> None:
    """Its registry is not among those that are allowed, or it is configured for one server alone."""
    servers = find_fleet()
    here, *others = servers.servers
    if not others:
        pytest.skip("needs two servers")
    only_here = ["--proxy", f"{COPY}={here}", "--manage", "all"]
    with left_as_they_were(servers), running(servers, registry, *only_here) as front:
        got = create(front.proxy, **{"from": "registry.example/u/x"})
        error = "model 'registry.example/u/x' can't be pulled from registry.example: "
        assert (got.status, json.loads(got.body)["error"]) == (
            403, f"{error}add it to `registries` to allow it",
        )  # fmt: skip
        copy(front.servers[here], servers.chat, COPY)
        got = create(front.proxy, **{"from": COPY})
        error = f"model '{COPY}' not found on server {others[0]}"
        assert (got.status, json.loads(got.body)) == (404, {"error": error})
        check_nothing_is_made(front)
        assert delete(front.proxy, COPY).status == 200


def test_a_server_that_is_down_is_named_and_the_others_make_the_model(registry: Registry) -> None:
    """Its blobs are not waited for either."""
    servers = find_fleet()
    words = ["--connection", f"away=http://{NOWHERE}"]
    with left_as_they_were(servers), running(servers, registry, *words) as front:
        content = new_bytes()
        assert not has(front.proxy, digest_of(content))
        assert upload(front.proxy, content).status == 201
        assert has(front.proxy, digest_of(content))
        missed = "away is down: the model was not created there"
        got = create(front.proxy, **{"from": servers.chat})
        told_of = [line["status"] for line in lines(got)]
        assert (told_of.count(missed), told_of[-1]) == (1, "success")
        got = create(front.proxy, **{"from": servers.chat, "stream": False})
        assert (got.status, got.body) == (200, b'{"status":"success"}')
        assert got.get(b"warning") == f'199 gollamas "{missed}"'.encode()
        check_it_is_made(front)
        assert delete(front.proxy, MADE).status == 200


def test_a_request_for_one_server_changes_that_one_alone(front: Front) -> None:
    for name in front.servers:
        content = new_bytes(len(name))
        asked = request_bytes("POST", f"/api/blobs/{digest_of(content)}", content)
        assert _limited(front, name, asked).status == 201
        assert on_servers(front, digest_of(content)) == [other == name for other in front.servers]
        asked = request_bytes("HEAD", f"/api/blobs/{digest_of(content)}", b"")
        assert [_limited(front, other, asked).status for other in front.servers] == [
            200 if other == name else 404 for other in front.servers
        ]
        body = json.dumps({"model": MADE, "from": front.fleet.chat}).encode()
        assert lines(_limited(front, name, request_bytes("POST", _CREATE, body)))[-1] == {"status": "success"}
        assert {other for other, server in front.servers.items() if MADE in digests(server)} == {name}
        assert delete(front.proxy, MADE).status == 200


def _limited(front: Front, server: str, asked: bytes) -> Reply:
    """Ask one server alone."""
    with front.proxy.connect() as sock:
        sock.sendall(asked.replace(b"\r\n", b"\r\nX-Gollamas-Server: %b\r\n" % server.encode(), 1))
        raw = b"".join(iter(lambda: sock.recv(65536), b""))
    return parse_reply(raw, is_head=asked.startswith(b"HEAD"))


@pytest.mark.parametrize("how", ["native", "v1", "variant"])
def test_a_model_that_is_kept_for_ever_leaves_the_memory_when_another_is_made_over_it(
    keeping: Front, how: str
) -> None:
    copy(keeping.proxy, keeping.fleet.chat, COPY)
    keeping.keep_for_ever(COPY, how)
    got = keeping.proxy.ask("POST", _CREATE, {"model": COPY, "from": keeping.fleet.embed})
    assert lines(got)[-1] == {"status": "success"}
    keeping.check_memory_is_empty()
    for name in keeping.servers:
        answer = keeping.on(name, "/api/embed", {"model": COPY, "input": "a", "keep_alive": 0})
        assert answer["model"] == COPY
    assert delete(keeping.proxy, COPY).status == 200


# -- what is refused -----------------------------------------------------------------------------------

# What is in the place of a member's value, or beside it.
WRONG: Final[tuple[dict[str, Any], ...]] = (
    {"model": 5}, {"model": None}, {"model": {}}, {"model": "", "name": "a b"}, {"name": 5},
    {"stream": "x"}, {"stream": 1}, {"from": 5}, {"from": []}, {"from": "a b"}, {"from": ""}, {"from": None},
    {"files": 5}, {"files": []}, {"files": {}}, {"files": {"a": 5}}, {"files": {"a": "x"}},
    {"adapters": 5}, {"adapters": {"a": 5}}, {"adapters": {"a": "x"}},
    {"template": 5}, {"template": "{{"}, {"system": 5}, {"license": 5}, {"parameters": 5}, {"parameters": []},
    {"messages": 5}, {"messages": ["x"]}, {"quantize": 5}, {"quantize": "nope"}, {"remote_host": 5},
    {"info": 5}, {"draft_files": 5}, {"requires": 5},
)  # fmt: skip


def test_wrong_bodies_of_a_create_are_refused_as_one_ollama_does(front: Front) -> None:
    """Where servers of unlike versions differ, those that fail are named; where all do, the first speaks."""
    bodies = [*BODIES]
    for text in NAMES:
        bodies += [json.dumps({"model": text, **more}).encode() for more in ({}, {"stream": False})]
    there = front.layers[0][0].digest  # to be refused for its path alone
    wrongs = [*WRONG, {"files": {"../a": there}}, {"files": {"/a": there}}]
    for wrong in wrongs:
        for good in ({"model": MADE}, {"model": MADE, "from": front.fleet.chat}):
            bodies += [json.dumps({"stream": streams, **good, **wrong}).encode() for streams in (True, False)]
    refused = 0
    for body in bodies:
        ours = told(parsed(front.proxy, "POST", _CREATE, body))
        made = {name: _taken_away(server) for name, server in front.servers.items()}
        real = {name: told(parsed(server, "POST", _CREATE, body)) for name, server in front.servers.items()}
        assert {name: _taken_away(server) for name, server in front.servers.items()} == made, body
        first, *others = real.values()
        errors = {name: error for name, told_by in real.items() if (error := _error(told_by[2]))}
        refused += len(errors) == len(real)
        if body in NO_OBJECTS:
            assert ours[:2] == first[:2], body
            assert b"the request body " in ours[2]
        elif all(other == first for other in others):
            assert ours == first, body
        elif len(errors) == len(real):
            assert _error(ours[2]) == _error(first[2]), body
        else:
            named = "; ".join(f"server {name}: {error}" for name, error in errors.items())
            assert _error(ours[2]) == named, body
    assert refused > len(bodies) // 2


def _error(body: bytes) -> str:
    """Give the error that an answer ends with; empty where it ends well."""
    error: str = json.loads(body.splitlines()[-1]).get("error", "")
    return error


def _taken_away(server: Place) -> bool:
    """Whether the model was made; it is deleted then."""
    if MADE not in digests(server):
        return False
    assert delete(server, MADE).status == 200
    return True
