"""Models that differ from another one only in their context: how they are made, run and deleted."""

import asyncio
from typing import Any

import pytest

from gollamas.simulate.clock import HeldClock
from gollamas.simulate.faults import Fails, Hangs
from gollamas.simulate.goformat import timestamp
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import FOREVER, VERSIONS
from tests.unit.simulate.running import ask, fast, loaded, loads, runs

CHAT = "gollamas/smol-1a2b:ctx2048"
EMBED = "gollamas/minilm-3c4d:ctx256"
HI = [{"role": "user", "content": "Hi"}]
SHORT = {"num_ctx": 2048}


def body(name: str = CHAT, source: str = "smol", num_ctx: int = 2048) -> dict[str, Any]:
    """Write a create as the proxy sends it."""
    return {"model": name, "from": source, "parameters": {"num_ctx": num_ctx}, "stream": False}


async def with_variants(clock: HeldClock | None = None, **settings: Any) -> SimulatedOllama:
    """Make a server with a variant of a chat model and one of an embedding model."""
    server = fast(clock, models=("smol", "minilm"), **settings)
    assert await ask(server, "/api/create", body()) == (200, {"status": "success"})
    assert (await ask(server, "/api/create", body(EMBED, "minilm", 256)))[0] == 200
    return server


async def tags(server: SimulatedOllama) -> dict[str, dict[str, Any]]:
    """Give the entries of `/api/tags` by name."""
    _, found = await ask(server, "/api/tags", method="GET")
    return {entry["name"]: entry for entry in found["models"]}


async def expiry(server: SimulatedOllama) -> str:
    """Give when the only loaded model goes."""
    _, found = await ask(server, "/api/ps", method="GET")
    (entry,) = found["models"]
    return str(entry["expires_at"])


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_a_variant_is_a_model_of_its_own_over_the_same_weights(version: str) -> None:
    """It has a digest and parameters of its own; template and abilities stay, and it needs no space."""
    server = await with_variants(version=version)
    found = await tags(server)
    assert found[CHAT]["digest"] != found["smol:latest"]["digest"]
    assert 0 < found[CHAT]["size"] - found["smol:latest"]["size"] < 100
    parents = {"smol:latest", "minilm:latest"} if version != "0.24.0" else {""}
    assert {found[name]["details"]["parent_model"] for name in (CHAT, EMBED)} == parents
    for variant, source in ((CHAT, "smol"), (EMBED, "minilm")):
        _, mine = await ask(server, "/api/show", {"model": variant})
        _, theirs = await ask(server, "/api/show", {"model": source})
        assert mine["details"] == {**theirs["details"], "parent_model": f"{source}:latest"}
        for same in ("template", "capabilities", "model_info"):
            assert mine[same] == theirs[same]
        weights = next(line for line in theirs["modelfile"].splitlines() if line.startswith("FROM "))
        assert weights in mine["modelfile"].splitlines()
        num_ctx = variant.rpartition("ctx")[2]
        assert f"num_ctx                        {num_ctx}" in mine["parameters"].splitlines()
        assert f"PARAMETER num_ctx {num_ctx}" in mine["modelfile"].splitlines()


@runs
async def test_a_context_of_a_million_is_shown_with_an_exponent() -> None:
    """Numbers of a Modelfile are floats."""
    server = fast(models=("smol",))
    await ask(server, "/api/create", body(num_ctx=1048576))
    _, shown = await ask(server, "/api/show", {"model": CHAT})
    assert "num_ctx                        1.048576e+06" in shown["parameters"].splitlines()
    assert "PARAMETER num_ctx 1.048576e+06" in shown["modelfile"].splitlines()


@runs
async def test_a_variant_has_one_digest_however_often_it_is_made() -> None:
    """Under any name, from any spelling of its model but that of another case, which would be pulled."""
    server = await with_variants()
    digest = (await tags(server))[CHAT]["digest"]
    bodies = (
        body(),
        body(source="registry.ollama.ai/library/smol:latest"),
        body(CHAT.upper()),
        body("other"),
    )
    answers = await asyncio.gather(*(ask(server, "/api/create", one) for one in bodies))
    assert [status for status, _ in answers] == [200] * 4
    found = await tags(server)
    assert {found[name]["digest"] for name in (CHAT, "other:latest")} == {digest}
    assert CHAT.upper() not in found
    assert await ask(server, "/api/create", body(source="SMOL")) == (
        500,
        {"error": "pull model manifest: file does not exist"},
    )
    assert (await ask(server, "/api/create", body("of-a-copy", CHAT)))[0] == 200
    assert (await tags(server))["of-a-copy:latest"]["digest"] != digest, "its parent is another"


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_a_variant_shares_the_runner_of_those_who_ask_for_its_context(version: str) -> None:
    """In every dialect, whoever loaded it and gave it its name, and also when it is made anew meanwhile."""
    for first in ("smol", CHAT):
        server = await with_variants(version=version)
        await ask(server, "/api/generate", {"model": first, "options": SHORT})
        for path, asked in (
            ("/api/generate", {"model": "smol", "prompt": "Hi", "options": SHORT}),
            ("/v1/chat/completions", {"model": CHAT, "messages": HI}),
            ("/v1/completions", {"model": CHAT, "prompt": "Hi"}),
            ("/v1/responses", {"model": CHAT, "input": "Hi"}),
            ("/v1/messages", {"model": CHAT, "messages": HI, "max_tokens": 5}),
            ("/api/create", body()),
            ("/api/chat", {"model": CHAT, "messages": HI}),
        ):
            assert (await ask(server, path, asked))[0] == 200
        name = "smol:latest" if first == "smol" else CHAT
        assert loads(server) == [(name, 2048)]
        assert await loaded(server) == [(name, 2048)]
        await ask(server, "/v1/chat/completions", {"model": "smol", "messages": HI})
        assert loads(server)[1:] == [("smol:latest", 4096)]


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_a_variant_of_an_embedding_model_shares_its_runner(version: str) -> None:
    """Natively and on `/v1`, and an empty request loads it."""
    server = await with_variants(version=version)
    await ask(server, "/api/embed", {"model": "minilm", "options": {"num_ctx": 256}})
    for path, asked in (
        ("/v1/embeddings", {"model": EMBED, "input": "Hi"}),
        ("/api/embed", {"model": EMBED, "input": "Hi"}),
        ("/api/embed", {"model": "minilm", "input": "Hi", "options": {"num_ctx": 256}}),
    ):
        assert (await ask(server, path, asked))[0] == 200
    assert loads(server) == [("minilm:latest", 256)]


@runs
async def test_a_deleted_variant_stays_loaded() -> None:
    """Its name is a 404, natively and on `/v1`, its model goes on with its runner."""
    server = await with_variants()
    await ask(server, "/v1/chat/completions", {"model": CHAT, "messages": HI})
    assert (await ask(server, "/api/delete", {"model": CHAT}, "DELETE"))[0] == 200
    assert await loaded(server) == [(CHAT, 2048)]
    gone = {"error": f"model '{CHAT}' not found"}
    assert await ask(server, "/api/generate", {"model": CHAT, "keep_alive": 0}) == (404, gone)
    status, said = await ask(server, "/v1/chat/completions", {"model": CHAT, "messages": HI})
    assert (status, said["error"]["message"]) == (404, gone["error"])
    asked = {"model": "smol", "prompt": "Hi", "options": SHORT}
    assert (await ask(server, "/api/generate", asked))[0] == 200
    assert loads(server) == [(CHAT, 2048)]


@pytest.mark.parametrize("by", ["smol", CHAT])
@runs
async def test_a_touch_sets_how_long_a_model_stays(by: str) -> None:
    """By either name, without a load; what says nothing of it leaves it, and a load takes the server's."""
    clock = HeldClock()
    server = await with_variants(clock, keep_alive=77.0)
    await ask(server, "/api/generate", {"model": "smol", "options": SHORT})
    assert await expiry(server) == timestamp(clock.now() + 77)
    for keep_alive, seconds in (("33m", 1980.0), (-1, FOREVER), ("-1m", FOREVER), (9, 9.0)):
        asked = {"model": by, "options": SHORT, "keep_alive": keep_alive}
        assert (await ask(server, "/api/generate", asked))[1]["done_reason"] == "load"
        assert await expiry(server) == timestamp(clock.now() + seconds)
        await clock.advance(5.0)
        await ask(server, "/v1/chat/completions", {"model": CHAT, "messages": HI})
        assert await expiry(server) == timestamp(clock.now() + seconds)
    assert loads(server) == [("smol:latest", 2048)]
    await ask(server, "/api/generate", {"model": "smol", "keep_alive": -1})
    assert loads(server)[1:] == [("smol:latest", 4096)], "a touch that asks for another context is a load"
    assert await expiry(server) == timestamp(clock.now() + FOREVER)
    await ask(server, "/v1/messages", {"model": CHAT, "messages": HI, "max_tokens": 5})
    assert await expiry(server) == timestamp(clock.now() + 77)


@runs
async def test_a_touch_of_a_busy_model_shows_when_it_is_idle() -> None:
    """It is answered at once; what was said last counts when the last request has ended."""
    clock = HeldClock()
    server = await with_variants(clock, tokens_per_second=1.0)
    asked = {"model": CHAT, "messages": HI, "max_tokens": 4}
    speaking = asyncio.ensure_future(ask(server, "/v1/chat/completions", asked))
    await clock.advance(1.0)
    before = await expiry(server)
    assert (await ask(server, "/api/generate", {"model": CHAT, "keep_alive": "9m"}))[0] == 200
    assert (await expiry(server), speaking.done()) == (before, False)
    await clock.advance(3.0)
    assert (await speaking)[0] == 200
    assert await expiry(server) == timestamp(clock.now() + 540)


@pytest.mark.parametrize(
    ("path", "asked", "text"),
    [
        ("/api/chat", {"messages": HI}, f'"{EMBED}" does not support chat'),
        ("/api/generate", {"prompt": "Hi"}, f'"{EMBED}" does not support generate'),
        ("/v1/chat/completions", {"messages": HI}, f'"{EMBED}" does not support chat'),
        ("/v1/completions", {"prompt": "Hi"}, f'"{EMBED}" does not support generate'),
        ("/v1/responses", {"input": "Hi"}, f'"{EMBED}" does not support chat'),
        ("/v1/messages", {"messages": HI, "max_tokens": 5}, f'"{EMBED}" does not support chat'),
        ("/api/chat", {"model": CHAT, "messages": HI, "think": True}, f'"{CHAT}" does not support thinking'),
        (
            "/v1/chat/completions",
            {"model": CHAT, "messages": HI, "reasoning_effort": "high"},
            f'"{CHAT}" does not support thinking',
        ),
        (
            "/v1/chat/completions",
            {"model": CHAT, "messages": HI, "tools": [{"type": "function", "function": {"name": "f"}}]},
            f"registry.ollama.ai/{CHAT} does not support tools",
        ),
        (
            "/v1/completions",
            {"model": CHAT, "prompt": "Hi", "suffix": "!"},
            f"registry.ollama.ai/{CHAT} does not support insert",
        ),
    ],
)
@runs
async def test_an_error_names_the_variant(path: str, asked: dict[str, Any], text: str) -> None:
    """As it was asked for in quotes, in full without them."""
    server = await with_variants()
    status, said = await ask(server, path, {"model": EMBED, **asked})
    error = said["error"]
    assert (status, error if isinstance(error, str) else error["message"]) == (400, text)


@runs
async def test_creates_and_deletes_are_recorded() -> None:
    """Those that came to nothing too, but not what a fault answered."""
    server = await with_variants()
    await ask(server, "/api/create", body(source="none"))
    server.fail_next(Fails(403), path="/api/create")
    await ask(server, "/api/create", body())
    assert [(one.model, one.source, one.parameters, one.ended) for one in server.creates] == [
        (CHAT, "smol", {"num_ctx": 2048}, "made"),
        (EMBED, "minilm", {"num_ctx": 256}, "made"),
        (CHAT, "none", {"num_ctx": 2048}, "failed"),
    ]
    assert len(server.asked("/api/create")) == 4
    await ask(server, "/api/delete", {"model": EMBED}, "DELETE")
    await ask(server, "/api/delete", {"model": "none"}, "DELETE")
    assert server.deletes == [EMBED]


@runs
async def test_a_client_that_leaves_ends_a_create_that_pulls() -> None:
    """The record says so."""
    clock = HeldClock()
    server = fast(clock, models=(), pull_seconds=10.0)
    asked = asyncio.ensure_future(ask(server, "/api/create", body(source="qwen3")))
    await clock.advance(1.0)
    assert [one.ended for one in server.creates] == [""]
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert [one.ended for one in server.creates] == ["aborted"]


@pytest.mark.parametrize(
    ("status", "error"), [(403, b'{"error":"this server is read-only"}'), (400, b'{"error":"no such thing"}')]
)
@runs
async def test_a_server_may_refuse_to_create_and_to_delete(status: int, error: bytes) -> None:
    """With any status and words, until it is healed; all else goes on, and nothing is made or deleted."""
    server = await with_variants()
    for path in ("/api/create", "/api/delete"):
        server.fail_next(Fails(status, error), path=path, times=-1)
    for _ in range(2):
        assert (await ask(server, "/api/create", body("other")))[0] == status
        assert (await ask(server, "/api/delete", {"model": CHAT}, "DELETE"))[0] == status
    assert set(await tags(server)) == {CHAT, EMBED, "smol:latest", "minilm:latest"}
    assert (await ask(server, "/v1/chat/completions", {"model": CHAT, "messages": HI}))[0] == 200
    server.heal()
    assert (await ask(server, "/api/create", body("other")))[0] == 200
    assert (await ask(server, "/api/delete", {"model": CHAT}, "DELETE"))[0] == 200


@runs
async def test_a_create_may_hang() -> None:
    """Nothing is made until it is released."""
    server = fast(models=("smol",))
    server.fail_next(Hangs(), path="/api/create")
    asked = asyncio.ensure_future(ask(server, "/api/create", body()))
    await server.until(lambda: server.hanging == 1)
    assert (set(await tags(server)), server.creates) == ({"smol:latest"}, [])
    server.release()
    assert (await asked)[0] == 200
    assert [one.ended for one in server.creates] == ["made"]


@pytest.mark.parametrize(("version", "status"), [("0.5.4", 400), ("0.5.5", 200)])
@runs
async def test_releases_before_0_5_5_make_no_variant(version: str, status: int) -> None:
    """They read a Modelfile and nothing else."""
    server = fast(models=("smol",), version=version)
    said = {"error": "path or Modelfile are required"} if status == 400 else {"status": "success"}
    assert await ask(server, "/api/create", body()) == (status, said)
