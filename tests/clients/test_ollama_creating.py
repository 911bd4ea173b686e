"""Models are made by Ollama's Python client, sync and async: on three servers, one of them in trouble.

The sync client uploads with a length, the async one in chunks.
"""

import json
from pathlib import Path

import httpx
import pytest

from gollamas.simulate.faults import CutsOff, Drops, Fails, Fault
from tests.clients.calling import Client, bars, words
from tests.clients.three import BROKEN, SERVERS, Three, digest_of, in_turn, others, sent_once

CREATE = "/api/create"
FAILS = Fails(500, json.dumps({"error": BROKEN}).encode())


def is_the_progress_of(three: Three, made: str, said: list[str]) -> None:
    """Hold that a create was told once for all servers: each layer, the manifest, then `success`."""
    model = three.simulated.servers["first"].engine.library.find(made)
    assert model is not None
    *layers, manifest, last = said
    assert [manifest, last] == ["writing manifest", "success"]
    told = [layer.partition(" layer ") for layer in layers]
    assert {how for how, _, _ in told} <= {"using existing", "creating new"}
    assert [digest for _, _, digest in told] == [f"sha256:{digest}" for digest, _ in model.layers]


def notes_of(server: str, said: list[str]) -> int:
    """Count the lines that say that a server was left out."""
    return sum(line.startswith(f"{server} is down: the model was not ") for line in said)


@pytest.fixture
def uploaded(client: Client, gguf: Path) -> str:
    """Give the digest of a file that was uploaded to all servers."""
    digest = client.well("create_blob", gguf)
    assert isinstance(digest, str)
    return digest


# -- blobs ---------------------------------------------------------------------------------------------


def test_a_blob_is_kept_by_all_servers(three: Three, client: Client, gguf: Path) -> None:
    """Whole and once: uploaded again, it is sent to none of them."""
    for _ in range(2):
        digest = client.well("create_blob", gguf)
        assert digest == digest_of(gguf)
        assert three.who_has_blob(digest) == list(SERVERS)
        assert three.uploads(digest) == sent_once(gguf)


@in_turn
def test_a_blob_while_one_is_down(three: Three, client: Client, gguf: Path, server: str) -> None:
    """The others keep it; uploaded again, it goes to the one that has missed it."""
    with three.down(server):
        digest = client.well("create_blob", gguf)
        assert three.who_has_blob(digest) == others(server)
    assert three.who_has_blob(digest) == others(server)
    client.well("create_blob", gguf)
    assert three.uploads(digest) == sent_once(gguf)
    assert three.who_has_blob(digest) == list(SERVERS)


@in_turn
@pytest.mark.parametrize("fault", [FAILS, Drops()], ids=["fails", "dies"])
def test_a_blob_while_one_fails(three: Three, client: Client, gguf: Path, server: str, fault: Fault) -> None:
    """The others keep it, and all is well; what is then made of it names the one that lacks it."""
    with three.failing_uploads(server, digest_of(gguf), fault):
        digest = client.well("create_blob", gguf)
    assert three.who_has_blob(digest) == others(server)
    text = f"blob {digest} is not on server {server}: upload it first"
    assert client.refused("create", "from-a-part", files={gguf.name: digest}) == (400, text)
    assert three.who_has("from-a-part") == []
    client.well("create_blob", gguf)
    assert three.who_has_blob(digest) == list(SERVERS)


def test_a_blob_while_all_fail(three: Three, client: Client, gguf: Path) -> None:
    """The first one's status and words; it is nowhere, and can be uploaded again."""
    digest = digest_of(gguf)
    with (
        three.failing_uploads("first", digest, FAILS),
        three.failing_uploads("second", digest, Drops()),
        three.failing_uploads("third", digest, Fails(507, b'{"error":"another"}')),
    ):
        assert client.refused("create_blob", gguf) == (500, BROKEN)
    assert three.who_has_blob(digest) == []
    client.well("create_blob", gguf)
    assert three.who_has_blob(digest) == list(SERVERS)


# -- from files ----------------------------------------------------------------------------------------


def test_a_model_from_a_file(three: Three, client: Client, new: str, gguf: Path, uploaded: str) -> None:
    """One progress of all servers; the model is of this file, is listed at once, and answers."""
    files = {gguf.name: uploaded}
    first, *said = words(client.well("create", new, files=files, parameters={"num_ctx": 99}, stream=True))
    assert first == "parsing GGUF"
    is_the_progress_of(three, new, said)
    assert three.who_has(new) == list(SERVERS)
    for server in three.simulated.servers.values():
        model = server.engine.library.find(new)
        assert model is not None
        assert (model.weights.origin, model.parameters["num_ctx"]) == (uploaded, 99)
    assert new in [model.model for model in client.well("list").models]
    assert client.well("generate", new, "Hello").model == new


def test_a_whole_answer(three: Three, client: Client, new: str, gguf: Path, uploaded: str) -> None:
    """Its last word alone."""
    answer = client.well("create", new, files={gguf.name: uploaded})
    assert (answer.status, answer.digest, answer.total) == ("success", None, None)
    assert three.who_has(new) == list(SERVERS)


def test_a_file_that_is_no_model(three: Three, client: Client, new: str, tmp_path: Path) -> None:
    """All refuse it alike, so that no server is named."""
    file = tmp_path / "text.gguf"
    file.write_bytes(b"not a model, but " + str(tmp_path).encode())
    files = {file.name: client.well("create_blob", file)}
    text = "unsupported file type [110 111 116 32]"
    assert client.refused("create", new, files=files) == (500, text)
    assert client.refused("create", new, files=files, stream=True)[1] == text
    assert three.who_has(new) == []


@pytest.mark.parametrize("member", ["files", "adapters"])
def test_a_file_that_was_not_uploaded(
    three: Three, client: Client, new: str, gguf: Path, member: str
) -> None:
    """Refused with digest and server, before any server is asked to make something."""
    digest = digest_of(gguf)
    text = f"blob {digest} is not on server first: upload it first"
    source = {"from_": "smol"} if member == "adapters" else {}
    for stream in (False, True):
        told = client.told("create", new, **{member: {gguf.name: digest}}, **source, stream=stream)
        assert told.error is not None
        assert (told.error.status_code, told.error.error, told.lines) == (400, text, [])
    assert three.creates_of(new) == {server: [] for server in SERVERS}


# -- from a model --------------------------------------------------------------------------------------


def test_a_model_from_another(three: Three, client: Client, new: str) -> None:
    """All that it is to have reaches each server as it was sent."""
    more = {
        "parameters": {"num_ctx": 99, "stop": ["END"]},
        "system": "Be \u201ckind\u201d.",
        "template": "{{ .Prompt }}",
        "license": ["MIT", "Apache-2.0"],
        "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    }
    is_the_progress_of(three, new, words(client.well("create", new, from_="smol", **more, stream=True)))
    assert three.who_has(new) == list(SERVERS)
    for (asked,) in three.creates_of(new).values():
        assert {member: asked[member] for member in more} == more
        assert asked["from"] == "smol"
    shown = client.well("show", new)
    assert shown.template == more["template"]
    assert client.well("create", new, from_="smol").status == "success"


def test_a_model_from_another_with_an_adapter(
    three: Three, client: Client, new: str, gguf: Path, uploaded: str
) -> None:
    """The blob is on each server, and each is asked for the adapter."""
    assert client.well("create", new, from_="smol", adapters={gguf.name: uploaded}).status == "success"
    assert three.who_has(new) == list(SERVERS)
    for (asked,) in three.creates_of(new).values():
        assert (asked["from"], asked["adapters"]) == ("smol", {gguf.name: uploaded})


def test_a_source_that_no_server_has(three: Three, client: Client, new: str) -> None:
    """Each pulls it, in bars that only grow; then the model is made, and both are there."""
    lines = client.well("create", "from-" + new, from_=new, stream=True)
    source = three.simulated.servers["first"].engine.library.find(new)
    assert source is not None
    assert {digest: told[-1] for digest, told in bars(lines).items()} == {
        f"sha256:{digest}": (3 * size, 3 * size) for digest, size in source.layers
    }
    assert lines[-1].status == "success"
    said = words(lines)
    assert len(said) == len(set(said))
    assert three.who_has(new) == three.who_has("from-" + new) == list(SERVERS)


@in_turn
def test_a_source_that_one_server_lacks(three: Three, client: Client, new: str, server: str) -> None:
    """It alone pulls it."""
    client.well("pull", new)
    httpx.request(
        "DELETE", three.simulated.urls[server] + "/api/delete", json={"model": new}
    ).raise_for_status()
    lines = client.well("create", "from-" + new, from_=new, stream=True)
    source = three.simulated.servers[server].engine.library.find(new)
    assert source is not None
    digest, size = source.layers[0]
    assert bars(lines)[f"sha256:{digest}"][-1] == (size, size)
    assert lines[-1].status == "success"
    assert three.who_has(new) == three.who_has("from-" + new) == list(SERVERS)


def test_a_source_that_may_not_be_pulled(three: Three, client: Client, new: str) -> None:
    """Refused with the option's name, and no server is asked."""
    status, text = client.refused("create", new, from_="registry.example/team/smol")
    assert (status, "`registries`" in text) == (403, True)
    assert three.creates_of(new) == {server: [] for server in SERVERS}


def test_a_source_of_nobody_s(three: Three, client: Client, new: str) -> None:
    """Ollama's words, which all servers say alike."""
    text = "pull model manifest: file does not exist"
    assert client.refused("create", new, from_="no-such-model") == (500, text)
    assert client.refused("create", new, from_="no-such-model", stream=True)[1] == text
    assert three.who_has(new) == []


# -- one of three in trouble ---------------------------------------------------------------------------


@in_turn
def test_a_create_from_a_file_while_one_is_down(
    three: Three, client: Client, new: str, gguf: Path, server: str
) -> None:
    """One line names it, the others make the model; nothing is made there once it is back."""
    with three.down(server):
        files = {gguf.name: client.well("create_blob", gguf)}
        said = words(client.well("create", new, files=files, stream=True))
        assert notes_of(server, said) == 1
        assert said[-1] == "success"
        assert client.well("create", new, files=files).status == "success"
        assert three.who_has(new) == others(server)
    assert client.well("show", new).details.format == "gguf"
    assert three.who_has(new) == others(server)
    assert three.creates_of(new)[server] == []
    client.well("create_blob", gguf)
    assert client.well("create", new, files=files).status == "success"
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_create_from_a_model_while_one_is_down(three: Three, client: Client, new: str, server: str) -> None:
    """So it is of a model."""
    with three.down(server):
        said = words(client.well("create", new, from_="smol", stream=True))
        assert (notes_of(server, said), said[-1]) == (1, "success")
        assert three.who_has(new) == others(server)
    assert three.who_has(new) == others(server)
    assert three.creates_of(new)[server] == []


@in_turn
def test_a_create_from_a_file_while_one_fails(
    three: Three, client: Client, new: str, gguf: Path, uploaded: str, server: str
) -> None:
    """The others go on; then the error names it and its cause. Once more makes it whole."""
    files = {gguf.name: uploaded}
    with three.failing(server, CREATE):
        told = client.told("create", new, files=files, stream=True)
        assert told.error is not None
        assert told.error.error == f"server {server}: {BROKEN}"
        said = words(told.lines)
        assert (said[0], said[-1]) == ("parsing GGUF", "writing manifest")
        assert three.who_has(new) == others(server)
        assert client.refused("create", new, files=files) == (500, f"server {server}: {BROKEN}")
    assert client.well("create", new, files=files).status == "success"
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_create_from_a_model_while_one_fails(three: Three, client: Client, new: str, server: str) -> None:
    """So it is of a model."""
    with three.failing(server, CREATE):
        told = client.told("create", new, from_="smol", stream=True)
        assert told.error is not None
        assert told.error.error == f"server {server}: {BROKEN}"
        assert words(told.lines)[-1] == "writing manifest"
        assert client.refused("create", new, from_="smol") == (500, f"server {server}: {BROKEN}")
    assert three.who_has(new) == others(server)
    assert client.well("create", new, from_="smol").status == "success"
    assert three.who_has(new) == list(SERVERS)


@in_turn
def test_a_create_while_one_dies(three: Three, client: Client, new: str, server: str) -> None:
    """What ends in the middle of its lines has failed, and is named."""
    with three.faulty(server, lambda simulated: simulated.fail_next(CutsOff(after=1), path=CREATE)):
        told = client.told("create", new, from_="smol", stream=True)
    assert told.error is not None
    assert told.error.error.startswith(f"server {server}: ")
    assert "success" not in words(told.lines)
    assert three.who_has(new) == others(server)
