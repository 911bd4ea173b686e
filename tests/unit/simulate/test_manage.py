"""Models come and go."""

import hashlib
from typing import Any

import pytest

from gollamas.simulate.server import SimulatedOllama
from tests.unit.simulate.running import ask, fast, request, runs


async def listed(server: SimulatedOllama) -> list[str]:
    """Give the names of the installed models."""
    _, found = await ask(server, "/api/tags", method="GET")
    return [entry["name"] for entry in found["models"]]


@runs
async def test_a_pull_reports_its_progress_and_installs() -> None:
    """Progress grows to the total, the last word is success, and the model is listed first."""
    server = fast(models=("smol",))
    _, lines = await ask(server, "/api/pull", {"model": "llama3.2:1b"})
    words = [line["status"] for line in lines]
    assert words[0] == "pulling manifest"
    assert words[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    layer = [line for line in lines if line.get("digest") == lines[1]["digest"]]
    assert "completed" not in layer[0]
    assert layer[-1]["completed"] == layer[-1]["total"]
    assert await listed(server) == ["llama3.2:1b", "smol:latest"]
    assert await ask(server, "/api/pull", {"name": "llama3.2:1b", "stream": False}) == (
        200,
        {"status": "success"},
    )


@pytest.mark.parametrize("name", ["nobody/nothing", "no-such-model"])
@runs
async def test_an_unknown_model_is_not_pulled(name: str) -> None:
    """The failure is a line of the stream, and a 500 of a whole answer."""
    server = fast()
    fault = {"error": "pull model manifest: file does not exist"}
    assert (await ask(server, "/api/pull", {"model": name}))[1] == [{"status": "pulling manifest"}, fault]
    assert await ask(server, "/api/pull", {"model": name, "stream": False}) == (500, fault)


@runs
async def test_a_model_can_be_made_of_a_blob() -> None:
    """The blob is sent once, found by HEAD, and becomes a model that runs."""
    server = fast(models=("smol",))
    blob = b"GGUF and so on"
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    assert (await server.respond(request("HEAD", f"/api/blobs/{digest}"))).status == 404
    assert (await ask(server, f"/api/blobs/{digest}", blob))[0] == 201
    assert (await ask(server, f"/api/blobs/{digest}", blob))[0] == 200
    assert (await server.respond(request("HEAD", f"/api/blobs/{digest}"))).status == 200
    _, lines = await ask(
        server, "/api/create", {"model": "mine", "files": {"a.gguf": digest}, "system": "Be brief."}
    )
    assert lines[-1] == {"status": "success"}
    _, shown = await ask(server, "/api/show", {"model": "mine"})
    assert shown["system"] == "Be brief."
    assert (await ask(server, "/api/generate", {"model": "mine", "prompt": "Hi", "stream": False}))[0] == 200


@pytest.mark.parametrize(
    ("version", "blob", "status", "text"),
    [
        ("0.32.15", b"not a model", 400, "supplied file was not in GGUF format"),
        ("0.34.3", b"not a model", 500, "unsupported file type [110 111 116 32]"),
        ("0.34.3", b"abc", 500, "unexpected EOF"),
        ("0.34.3", b"", 500, "EOF"),
    ],
)
@runs
async def test_a_blob_that_is_no_model_is_refused(version: str, blob: bytes, status: int, text: str) -> None:
    """Each release in its own words; the newer one counts it as its own failure."""
    server = fast(version=version)
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    await ask(server, f"/api/blobs/{digest}", blob)
    body = {"model": "mine", "files": {"a.gguf": digest}, "stream": False}
    assert await ask(server, "/api/create", body) == (status, {"error": text})


@pytest.mark.parametrize(
    ("path", "digest", "status", "text"),
    [
        ("x.gguf", "nope", 400, "invalid digest for x.gguf: invalid digest format"),
        ("x", f"sha256:{'0' * 64}", 400, f"blob not found for x (digest sha256:{'0' * 64}): open "),
        ("x.gguf", f"sha256:{'0' * 64}", 500, "open "),
    ],
)
@runs
async def test_a_file_that_was_not_sent_is_refused(path: str, digest: str, status: int, text: str) -> None:
    """What a file is shows in its name or else in its bytes, which are looked at first."""
    body = {"model": "mine", "files": {path: digest}, "stream": False}
    found, answer = await ask(fast(), "/api/create", body)
    assert (found, answer["error"][: len(text)]) == (status, text)


@pytest.mark.parametrize(("version", "parent"), [("0.32.15", ""), ("0.34.3", "a.gguf")])
@runs
async def test_a_model_made_of_a_file_names_it_as_its_parent(version: str, parent: str) -> None:
    """From 0.34 on."""
    server = fast(version=version)
    digest = "sha256:" + hashlib.sha256(b"GGUF").hexdigest()
    await ask(server, f"/api/blobs/{digest}", b"GGUF")
    await ask(server, "/api/create", {"model": "mine", "files": {"a.gguf": digest}})
    _, shown = await ask(server, "/api/show", {"model": "mine"})
    assert shown["details"]["parent_model"] == parent


@runs
async def test_a_copy_has_the_same_digest_and_a_variant_another() -> None:
    """Copies are equal in everything but the name; a parameter makes another model of the same weights."""
    server = fast(models=("smol",))
    assert await ask(server, "/api/copy", {"source": "smol", "destination": "twin"}) == (200, b"")
    await ask(server, "/api/create", {"model": "variant", "from": "smol", "parameters": {"num_ctx": 99}})
    _, found = await ask(server, "/api/tags", method="GET")
    digests = {entry["name"]: entry["digest"] for entry in found["models"]}
    assert digests["twin:latest"] == digests["smol:latest"] != digests["variant:latest"]
    _, shown = await ask(server, "/api/show", {"model": "variant"})
    assert "num_ctx                        99" in shown["parameters"]
    assert shown["details"]["parent_model"] == "smol:latest"


@runs
async def test_create_pulls_what_it_is_made_from() -> None:
    """A known model is fetched on the way, an unknown one is a failure with a status."""
    server = fast(models=())
    assert await ask(server, "/api/create", {"model": "a", "from": "qwen3", "stream": False}) == (
        200,
        {"status": "success"},
    )
    assert sorted(await listed(server)) == ["a:latest", "qwen3:latest"]
    missing = {"error": "pull model manifest: file does not exist"}
    assert await ask(server, "/api/create", {"model": "b", "from": "nope", "stream": False}) == (500, missing)
    assert await ask(server, "/api/create", {"model": "b"}) == (
        400,
        {"error": "neither 'from' or 'files' was specified"},
    )


@runs
async def test_delete_needs_no_case_and_no_tag() -> None:
    """Any spelling of the name deletes, by `name` too."""
    server = fast(models=("smol", "llama3.2"))
    assert (await ask(server, "/api/delete", {"model": "", "name": "library/SMOL"}, "DELETE"))[0] == 200
    assert await listed(server) == ["llama3.2:latest"]
    assert await ask(server, "/api/delete", {"name": "smol"}, "DELETE") == (
        404,
        {"error": "model 'smol' not found"},
    )
    assert await ask(server, "/api/delete", {"name": "a b"}, "DELETE") == (
        400,
        {"error": 'name "a b" is invalid'},
    )


@runs
async def test_an_empty_server_lists_nothing() -> None:
    """Natively an empty list, for OpenAI null."""
    server = fast(models=())
    assert await ask(server, "/api/tags", method="GET") == (200, {"models": []})
    assert await ask(server, "/v1/models", method="GET") == (200, {"object": "list", "data": None})


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/pull", {}, 400, "invalid model name"),
        ("/api/push", {}, 400, "model is required"),
        ("/api/copy", {}, 400, 'source "" is invalid'),
        ("/api/copy", {"source": "smol", "destination": "a b"}, 400, 'destination "a b" is invalid'),
        ("/api/create", {}, 400, "invalid model name"),
    ],
)
@runs
async def test_refusals(path: str, body: Any, status: int, text: str) -> None:
    """Each route refuses in its own words."""
    assert await ask(fast(models=("smol",)), path, body) == (status, {"error": text})


@runs
async def test_a_push_reports_its_progress() -> None:
    """Each layer is sent, then the manifest."""
    _, lines = await ask(fast(models=("smol",)), "/api/push", {"model": "smol"})
    assert [lines[0]["status"], lines[-2]["status"], lines[-1]["status"]] == [
        "retrieving manifest",
        "pushing manifest",
        "success",
    ]
