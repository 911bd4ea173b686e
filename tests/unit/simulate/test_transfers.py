"""Pulls, pushes and copies: new versions, faults in the middle, and how each of them ended."""

import asyncio
from typing import Any

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.faults import CutsOff, FailsToPull, FillsDisk, HangsAfter, HangsPulling, RestartsLayer
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.transfers import Copy, Transfer
from gollamas.wire.message import CutOff
from tests.unit.simulate.running import ask, body_of, fast, loaded, request, runs

PULL = {"model": "smol"}


def words(lines: list[dict[str, Any]]) -> list[str]:
    """Give the status words in their order, each once, those of layers without their digests."""
    found = ["pulling" if "digest" in line else line["status"] for line in lines]
    return list(dict.fromkeys(found))


async def digests(server: SimulatedOllama) -> dict[str, str]:
    """Give the digest of each installed model."""
    _, found = await ask(server, "/api/tags", method="GET")
    return {entry["name"]: entry["digest"] for entry in found["models"]}


async def kept_for_ever(*models: str) -> SimulatedOllama:
    """Make a server that keeps `smol` in memory for ever."""
    server = fast(models=("smol", *models))
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": -1})
    return server


async def unload(server: SimulatedOllama, model: str) -> tuple[int, str]:
    """Ask for it; give status and what is said."""
    status, said = await ask(server, "/api/generate", {"model": model, "keep_alive": 0, "stream": False})
    return status, said.get("done_reason") or said["error"]


def _weights(server: SimulatedOllama) -> str:
    installed = server.engine.library.find("smol")
    assert installed is not None
    published = server.engine.catalog.find(installed.name, 0.0)
    assert published is not None
    return published.weights.digest


@runs
async def test_a_current_model_is_pulled_at_once() -> None:
    """Every layer is there; no time passes."""
    server = fast(models=("smol",), pull_seconds=10.0)
    assert server.publish("smol", 0) == (await digests(server))["smol:latest"]
    _, lines = await ask(server, "/api/pull", PULL)
    assert words(lines) == [
        "pulling manifest", "pulling", "verifying sha256 digest", "writing manifest", "success",
    ]  # fmt: skip
    assert all(line["completed"] == line["total"] for line in lines if "digest" in line)


@pytest.mark.parametrize("same_weights", [False, True])
@runs
async def test_a_new_version_changes_the_digest(same_weights: bool) -> None:
    """Only its new layers are fetched, and those of the old one are removed; again it is current."""
    server = fast(models=("smol",))
    old = await digests(server)
    new = server.publish("smol", 1, same_weights=same_weights)
    _, lines = await ask(server, "/api/pull", PULL)
    assert words(lines)[-3:] == ["writing manifest", "removing unused layers", "success"]
    fetched = {line["digest"] for line in lines if line.get("completed", 1) < line.get("total", 0)}
    assert len(fetched) == 1
    assert await digests(server) == {"smol:latest": new} != old
    _, again = await ask(server, "/api/pull", PULL)
    assert "removing unused layers" not in words(again)


@runs
async def test_a_version_is_the_same_on_every_server_and_on_any_host() -> None:
    """Each version differs from the others; what is published elsewhere makes its host reachable."""
    one, two = fast(models=()), fast(models=("h.example:5000/n/x",))
    assert len({one.publish("h.example:5000/n/x", version) for version in (0, 1, 2)}) == 3
    assert one.publish("h.example:5000/n/x", 2) == two.publish("H.example:5000/n/x", 2)
    for server in (one, two):
        _, lines = await ask(server, "/api/pull", {"model": "h.example:5000/n/x", "insecure": True})
        assert words(lines)[-1] == "success"
    assert await digests(one) == await digests(two)
    with pytest.raises(ValueError, match="no name"):
        one.publish("a b", 1)


@runs
async def test_a_loaded_model_whose_contents_are_pulled_over_stays() -> None:
    """No name reaches it but another one over the same weights; the new weights are loaded beside it."""
    server = await kept_for_ever()
    old = await digests(server)
    await ask(server, "/api/copy", {"source": "smol", "destination": "hidden"})
    server.publish("smol", 1)
    await ask(server, "/api/pull", PULL)
    assert await unload(server, "smol") == (200, "unload")
    _, shown = await ask(server, "/api/ps", method="GET")
    assert [(entry["name"], entry["digest"]) for entry in shown["models"]] == [
        ("smol:latest", old["smol:latest"])
    ]
    await ask(server, "/api/generate", {"model": "smol"})
    assert [name for name, _ in await loaded(server)] == ["smol:latest"] * 2
    assert await unload(server, "hidden") == (200, "unload")
    assert [name for name, _ in await loaded(server)] == ["smol:latest"]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/api/copy", "POST", {"source": "llama3.2", "destination": "smol"}),
        ("/api/create", "POST", {"model": "smol", "from": "llama3.2"}),
        ("/api/delete", "DELETE", {"model": "smol"}),
    ],
)
@runs
async def test_a_loaded_model_whose_name_goes_stays(path: str, method: str, body: dict[str, Any]) -> None:
    """An unload by the name does nothing, or finds nothing; by a name over the same weights it works."""
    server = await kept_for_ever("llama3.2")
    await ask(server, "/api/copy", {"source": "smol", "destination": "hidden"})
    assert (await ask(server, path, body, method))[0] == 200
    is_gone = path == "/api/delete"
    said = (404, "model 'smol' not found") if is_gone else (200, "unload")
    assert await unload(server, "smol") == said
    assert [name for name, _ in await loaded(server)] == ["smol:latest"]
    assert await unload(server, "hidden") == (200, "unload")
    assert await loaded(server) == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (FailsToPull(1, "pull model manifest: 500: "), "pull model manifest: 500: "),
        (FailsToPull(5), "max retries exceeded: unexpected EOF"),
        (FillsDisk(5), "write /o/blobs/sha256-{}-partial: no space left on device"),
    ],
)
@runs
async def test_a_pull_fails_where_it_is_told_to(
    fault: FailsToPull | FillsDisk, text: str, stream: bool
) -> None:
    """With a line of a stream or a 500, the old version stays, and the next pull is as ever."""
    server = fast(models=("smol",), home="/o")
    old = await digests(server)
    server.publish("smol", 1)
    server.fail_next_pull(fault)
    status, said = await ask(server, "/api/pull", {**PULL, "stream": stream})
    error = {"error": text.format(_weights(server))}
    if stream:
        assert [len(said), said[-1]] == [fault.after + 1, error]
    else:
        assert (status, said) == (500, error)
    assert await digests(server) == old
    assert (await ask(server, "/api/pull", {**PULL, "stream": False}))[1] == {"status": "success"}
    assert [one.ended for one in server.pulls] == ["failed", "done"]


@runs
async def test_a_layer_begins_anew() -> None:
    """Its progress falls back to nothing and goes on to the end."""
    server = fast(models=())
    server.publish("smol", 0)
    server.fail_next_pull(RestartsLayer(5))
    _, lines = await ask(server, "/api/pull", PULL)
    done = [line.get("completed", 0) for line in lines if line.get("digest") == lines[1]["digest"]]
    total = lines[1]["total"]
    steps = [total * step // 10 for step in range(11)]
    assert done == [*steps[:4], *steps[:4], *steps[4:]]
    assert words(lines)[-1] == "success"


@pytest.mark.parametrize("stream", [True, False])
@runs
async def test_a_pull_is_held_until_it_is_released(stream: bool) -> None:
    """At each of the lines that were named, whether they are sent or not; healing takes back the rest."""
    server = fast(models=("smol",))
    server.publish("smol", 1)
    server.fail_next_pull(HangsPulling(6), HangsPulling(3))
    server.fail_next_pull(HangsPulling(1))
    asked = asyncio.ensure_future(ask(server, "/api/pull", {**PULL, "stream": stream}))
    for after in (3, 6):
        await server.until(lambda: [one.is_held for one in server.pulls] == [True])
        assert (server.pulls[0].lines, server.pulls[0].ended) == (after, "")
        server.release()
        await server.until(lambda: not server.pulls[0].is_held)
    assert (await asked)[0] == 200
    server.heal()
    await ask(server, "/api/pull", PULL)
    assert [one.ended for one in server.pulls] == ["done", "done"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("is_held", [True, False])
@runs
async def test_a_client_that_leaves_ends_its_pull(stream: bool, is_held: bool) -> None:
    """Held or under way: nothing is installed, and the record says how it ended."""
    clock = HeldClock()
    server = fast(clock, models=(), pull_seconds=10.0)
    server.publish("smol", 0)
    if is_held:
        server.fail_next_pull(HangsPulling(2))
    asked = asyncio.ensure_future(ask(server, "/api/pull", {**PULL, "stream": stream}))
    await clock.advance(1.0)
    await server.until(lambda: server.pulls[0].lines >= 2)
    assert (server.pulls[0].ended, server.pulls[0].is_held) == ("", is_held)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert (server.pulls[0].ended, server.pulls[0].is_held) == ("aborted", False)
    assert await digests(server) == {}


@runs
async def test_a_client_that_leaves_ends_its_push() -> None:
    """As a pull."""
    clock = HeldClock()
    server = fast(clock, models=("smol",), pull_seconds=10.0)
    asked = asyncio.ensure_future(ask(server, "/api/push", PULL))
    await clock.advance(1.0)
    assert [one.ended for one in server.pushes] == [""]
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert [one.ended for one in server.pushes] == ["aborted"]


@runs
async def test_a_connection_that_breaks_ends_its_pull() -> None:
    """After so many lines, whether it is cut or hangs before."""
    server = fast(models=())
    server.publish("smol", 0)
    server.fail_next(CutsOff(3), path="/api/pull")
    answer = await server.respond(request("POST", "/api/pull", PULL))
    with pytest.raises(CutOff):
        await body_of(answer)
    server.fail_next(HangsAfter(3), path="/api/pull")
    asked = asyncio.ensure_future(ask(server, "/api/pull", PULL))
    await server.until(lambda: server.hanging == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert [(one.lines, one.ended) for one in server.pulls] == [(3, "aborted")] * 2


@runs
async def test_everything_that_came_or_went_is_recorded() -> None:
    """By the name that lists show, with how it ended; what a name alone refuses is not."""
    server = fast(models=("smol",))
    for path, body in (
        ("/api/pull", {"model": "Qwen3:8B", "insecure": True}),
        ("/api/pull", {"model": "none"}),
        ("/api/pull", {"model": "a b"}),
        ("/api/push", {"name": "library/smol"}),
        ("/api/push", {"model": "none"}),
        ("/api/push", {"model": "a b"}),
        ("/api/push", {"model": ""}),
        ("/api/copy", {"source": "smol", "destination": "Twin"}),
        ("/api/copy", {"source": "none", "destination": "twin"}),
        ("/api/copy", {"source": "none", "destination": "none"}),
        ("/api/copy", {"source": "none", "destination": "None"}),
        ("/api/copy", {"source": "a b", "destination": "twin"}),
    ):
        await ask(server, path, body)
    assert server.pulls[0] == Transfer("Qwen3:8B", insecure=True, lines=server.pulls[0].lines, ended="done")
    assert server.pulls[1:] == [Transfer("none:latest", insecure=False, lines=1, ended="failed")]
    assert [(one.model, one.ended) for one in server.pushes] == [
        ("smol:latest", "done"),
        ("none:latest", "failed"),
        ("a b", "failed"),
    ]
    assert server.copies == [
        Copy("smol", "Twin", "done"),
        Copy("none", "twin", "failed"),
        Copy("none", "none", "done"),  # onto itself, found or not
        Copy("none", "None", "failed"),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a b", "registry.ollama.ai/library/a b:latest"),
        (" smol ", "registry.ollama.ai/library/ smol :latest"),
        ("x:", "registry.ollama.ai/library/x:!MISSING!"),
        (":t", "registry.ollama.ai/library/!MISSING!:t"),
        ("/", "registry.ollama.ai/!MISSING!/!MISSING!:latest"),
        ("a//b", "a/!MISSING!/b:latest"),
        ("/n/m", "!MISSING!/n/m:latest"),
        ("http://x", "http:/!MISSING!/x:latest"),
        ("http://h//m", "h/!MISSING!/m:latest"),
        ("x:latest:local", "registry.ollama.ai/library/x:latest:local"),
    ],
)
@runs
async def test_a_push_spells_out_what_is_no_name(text: str, parts: str) -> None:
    """In the third line of a stream, and as a 500 without one."""
    server = fast(models=("smol",))
    error = {"error": f"unqualified name: {parts}"}
    assert await ask(server, "/api/push", {"model": text, "stream": False}) == (500, error)
    assert await ask(server, "/api/push", {"model": text}) == (
        200,
        [{"status": "retrieving manifest"}, {"status": "couldn't retrieve manifest"}, error],
    )


@pytest.mark.parametrize(
    ("path", "method", "body", "status", "text"),
    [
        ("/api/copy", "POST", {"source": " smol ", "destination": "x"}, 400, 'source " smol " is invalid'),
        ("/api/copy", "POST", {"source": "smol:local", "destination": "x"}, 404,
         'model "smol:local" not found'),
        ("/api/push", "POST", {"model": "smol:local"}, 500,
         "open /o/manifests/registry.ollama.ai/library/smol/local: no such file or directory"),
        ("/api/create", "POST", {"model": " x ", "from": "smol"}, 400, "invalid model name"),
        ("/api/pull", "POST", {"model": "x:cloud:local"}, 400,
         'use either :local or :cloud, not both: "x:cloud:local"'),
        ("/api/delete", "DELETE", {"model": "x:local:local"}, 400,
         'use either :local or :cloud, not both: "x:local:local"'),
        ("/api/generate", "POST", {"model": "x:local:cloud"}, 400,
         'use either :local or :cloud, not both: "x:local:cloud"'),
        ("/api/show", "POST", {"model": "x:local:cloud"}, 400,
         'use either :local or :cloud, not both: "x:local:cloud"'),
    ],
)  # fmt: skip
@runs
async def test_white_space_and_local_are_read_by_some_routes_alone(
    path: str, method: str, body: dict[str, Any], status: int, text: str
) -> None:
    """Pull and delete drop them; create, copy and push take them for parts of the name."""
    server = fast(models=("smol",), home="/o")
    assert await ask(server, path, {**body, "stream": False}, method) == (status, {"error": text})
    assert (await ask(server, "/api/delete", {"model": " SMOL:local "}, "DELETE"))[0] == 200
