"""What a server says of its models, by release."""

from typing import Any

import pytest

from gollamas.simulate.server import SimulatedOllama
from tests.unit.simulate.running import ask, fast, runs

LENGTHS = {"context_length", "embedding_length"}


async def tags(server: SimulatedOllama) -> list[dict[str, Any]]:
    """Give the entries of `/api/tags`."""
    status, found = await ask(server, "/api/tags", method="GET")
    assert status == 200
    entries: list[dict[str, Any]] = found["models"]
    return entries


@runs
async def test_a_name_can_be_listed_twice() -> None:
    """Once per runner, with unlike digests, the first being the one that runs; others stand once."""
    server = fast(models=("smol", "llama3.2"), listed_twice=("LLAMA3.2:latest",))
    first, second, other = await tags(server)
    assert [entry["name"] for entry in (first, second, other)] == ["llama3.2:latest"] * 2 + ["smol:latest"]
    assert [first["runner"], second["runner"], "runner" in other] == ["llamacpp", "mlx", False]
    assert first["digest"] != second["digest"]
    await ask(server, "/api/generate", {"model": "llama3.2"})
    _, loaded = await ask(server, "/api/ps", method="GET")
    assert [entry["digest"] for entry in loaded["models"]] == [first["digest"]]


@pytest.mark.parametrize(
    ("version", "chat", "embedder", "capabilities"),
    [
        ("0.24.0", set(), set(), None),
        ("0.32.15", LENGTHS, set(), ["completion"]),
        ("0.34.3", LENGTHS, LENGTHS, ["embedding"]),
    ],
)
@runs
async def test_tags_say_what_their_release_reads_from_the_weights(
    version: str, chat: set[str], embedder: set[str], capabilities: list[str] | None
) -> None:
    """Of chat models their lengths from 0.30 on, of embedding models these and the ability from 0.34 on."""
    found = {entry["name"]: entry for entry in await tags(fast(models=("smol", "minilm"), version=version))}
    assert LENGTHS & set(found["smol:latest"]["details"]) == chat
    assert LENGTHS & set(found["minilm:latest"]["details"]) == embedder
    assert found["minilm:latest"].get("capabilities") == capabilities


@pytest.mark.parametrize(("version", "has_tensors"), [("0.32.15", True), ("0.34.3", False)])
@runs
async def test_show_lists_tensors_from_0_34_on_only_if_asked(version: str, *, has_tensors: bool) -> None:
    """Without them an answer is short enough to have a length."""
    server = fast(models=("smol",), version=version)
    _, shown = await ask(server, "/api/show", {"model": "smol"})
    assert ("tensors" in shown) is has_tensors
    _, verbose = await ask(server, "/api/show", {"model": "smol", "verbose": True})
    assert verbose["tensors"]


@runs
async def test_ps_names_no_parent() -> None:
    """Only tags and show say what a model was made from."""
    server = fast(models=("smol",))
    await ask(server, "/api/create", {"model": "variant", "from": "smol"})
    await ask(server, "/api/generate", {"model": "variant"})
    _, loaded = await ask(server, "/api/ps", method="GET")
    assert [entry["details"]["parent_model"] for entry in loaded["models"]] == [""]
    assert (await tags(server))[0]["details"]["parent_model"] == "smol:latest"


@runs
async def test_a_modelfile_quotes_what_would_be_read_otherwise() -> None:
    """Lines and spaces at an end, thrice where there is a quote within."""
    server = fast(models=("minilm",))
    texts = {"system": ' a"b', "license": ["one", "two\nthree"]}
    said = {"messages": [{"role": "user", "content": "Hi "}], "parameters": {"stop": "x"}}
    await ask(server, "/api/create", {"model": "mine", "from": "minilm", **texts, **said})
    _, shown = await ask(server, "/api/show", {"model": "mine"})
    _, _, rest = shown["modelfile"].partition("\nTEMPLATE ")
    assert rest == (
        '{{ .Prompt }}\nSYSTEM """ a"b"""\nPARAMETER stop x\n'
        'LICENSE one\nLICENSE "two\nthree"\nMESSAGE user "Hi "\n'
    )
