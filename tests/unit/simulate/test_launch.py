"""Which options load a model anew, by release, and what a load is remembered by."""

from typing import Any

import pytest

from gollamas.simulate.settings import VERSIONS
from tests.reloads import CHAT, EMBED, SCRIPTS, Script
from tests.unit.simulate.running import ask, fast, loaded, loads, runs

MODELS = {CHAT: "smol", EMBED: "all-minilm"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
@runs
async def test_a_load_follows_where_the_release_compares(version: str, script: Script) -> None:
    """The requests of a script load where a real server of this release does."""
    server = fast(version=version, models=tuple(MODELS.values()))
    seen = ""
    for step in script.steps:
        before = len(server.loads)
        path, body = script.request(MODELS[script.kind], step)
        assert (await ask(server, path, body))[0] == 200
        seen += "L" if len(server.loads) > before else "-"
    assert seen == script.expected(version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("num_ctx", [8192, 16384, 20000])
@runs
async def test_a_context_above_the_trained_one_is_shown_as_that(version: str, num_ctx: int) -> None:
    """Whatever is compared, `/api/ps` shows what the model was trained for."""
    server = fast(version=version, models=("smol",))
    await ask(server, "/api/generate", {"model": "smol", "options": {"num_ctx": num_ctx}})
    assert await loaded(server) == [("smol:latest", 8192)]


@pytest.mark.parametrize(("num_ctx", "shown"), [(0, 4), (-1, 4), (3.9, 4), (5.9, 5), (1e30, 4)])
@runs
async def test_the_least_context_is_four(num_ctx: float, shown: int) -> None:
    """Nothing and less count as 4, a fraction is cut, and what is no integer of Go's is its lowest one."""
    server = fast(models=("smol",))
    await ask(server, "/api/generate", {"model": "smol", "options": {"num_ctx": num_ctx}})
    assert await loaded(server) == [("smol:latest", shown)]


@runs
async def test_a_load_is_kept_with_what_was_asked_for() -> None:
    """Runner options as they were sent, `shift` among them; what says nothing of the runner is left out."""
    server = fast(models=("smol", "all-minilm"))
    options: dict[str, Any] = {"num_ctx": 2048.5, "num_gpu": None, "seed": 1}
    await ask(server, "/api/chat", {"model": "SMOL", "messages": [], "options": options, "shift": False})
    await ask(server, "/api/embed", {"model": "all-minilm"})
    await ask(server, "/v1/completions", {"model": "smol", "prompt": "x", "max_tokens": 1})
    assert [(load.model, load.options, load.ended) for load in server.loads] == [
        ("smol:latest", {"num_ctx": 2048.5, "shift": False}, "loaded"),
        ("all-minilm:latest", {}, "loaded"),
        ("smol:latest", {}, "loaded"),
    ]
    assert [context for _, context in loads(server)] == [2048, 512, 4096]


@pytest.mark.parametrize(("version", "status"), [("0.24.0", 200), ("0.32.15", 500)])
@runs
async def test_an_option_that_a_release_does_not_know_has_no_type(version: str, status: int) -> None:
    """Drafts came with 0.30."""
    server = fast(version=version, models=("smol",))
    body = {"model": "smol", "options": {"draft_num_predict": "x"}}
    assert (await ask(server, "/api/generate", body))[0] == status


@pytest.mark.parametrize(
    ("options", "on_gpu"), [({}, "all"), ({"num_ctx": 8192}, "some"), ({"num_gpu": 0}, "none")]
)
@runs
async def test_what_is_too_large_for_the_gpu_lies_on_the_cpu(options: dict[str, Any], on_gpu: str) -> None:
    """A context that is too large shows as a `size_vram` below the `size`."""
    server = fast(models=("smol",), vram_bytes=100_000_000)
    await ask(server, "/api/generate", {"model": "smol", "options": options})
    _, found = await ask(server, "/api/ps", method="GET")
    (entry,) = found["models"]
    expected = {"all": entry["size"], "some": 100_000_000, "none": 0}[on_gpu]
    assert entry["size_vram"] == expected
    assert entry["size"] > 100_000_000 or on_gpu != "some"


@runs
async def test_a_gpu_reads_files_by_mapping_them() -> None:
    """Without one they are read whole, so that `use_mmap` false is what is there already."""
    server = fast(models=("smol",), vram_bytes=1_000_000_000)
    for options in ({}, {"use_mmap": False}, {"use_mmap": False}):
        await ask(server, "/api/generate", {"model": "smol", "options": options})
    assert len(server.loads) == 2
