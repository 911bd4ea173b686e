"""Who may change which models servers have, and where: what is refused reaches no server."""

import json
from typing import Any

import pytest

from gollamas.config.model import Expose, Manage
from gollamas.events import JobEnd
from tests.sockets.jobs import (
    AWAY,
    CHANGES,
    COPY,
    DELETE,
    NEW,
    PULL,
    QUICK,
    change,
    changed,
    copy,
    delete,
    done,
    ends,
    has,
    lines,
    pull,
    push,
    refusal,
    servers,
    told,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import post
from tests.sockets.simulated import CHAT, EMBEDDER, fleet

ALIAS = "gpt-4o"
TO_A, TO_B = b"X-Gollamas-Server: a", b"X-Gollamas-Server: b"
NOT_A = "json: cannot unmarshal number into Go struct field"
# Every way to write a name of ours.
OURS = (
    "gollamas/x", "GOLLAMAS/x:y", "Gollamas/x", "registry.ollama.ai/gollamas/x",
    "REGISTRY.ollama.AI/goLLamas/x:1", "https://registry.ollama.ai/gollamas/x",
)  # fmt: skip


# -- manage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_where_manage_is_off_nobody_changes_anything(path: str) -> None:
    async with fleet("a", "b", manage=Manage.OFF, expose=Expose.INSTALLED) as both:
        for name in (CHAT, NEW):
            status, text = refusal(await both.proxy.ask(change(path, name)))
            assert (status, f"'{name}'" in text, "`manage` is `off`" in text) == (403, True, True)
        assert changed(both) == []
        assert (await both.proxy.ask(post("/api/show", b'{"model":"smol"}'))).status == 200


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_by_default_only_configured_models_are_changed(path: str) -> None:
    async with fleet("a", "b", settings=QUICK) as both:
        status, text = refusal(await both.proxy.ask(change(path, NEW)))
        assert status == 403
        assert text.endswith("`manage` is `configured`; add it to `models`, or set `manage: all`")
        assert changed(both) == []
        assert (await both.proxy.ask(change(path, EMBEDDER))).status == 200
        assert set(changed(both)) == {path}


@runs
async def test_all_changes_any_name_on_the_servers_that_are_named_for_it() -> None:
    """And a configured model on its own servers, whatever is named."""
    async with servers("a", "b", "c", manage_servers=("b", "c")) as both:
        lines(await both.proxy.ask(pull()))
        assert [has(one, NEW) for one in both.ollamas.values()] == [False, True, True]
        lines(await both.proxy.ask(pull(CHAT)))
        assert [len(one.pulls) for one in both.ollamas.values()] == [1, 2, 2]
        done(await both.proxy.ask(delete(NEW)))
        assert not any(b"llama3.2" in one.body for one in both.ollamas["a"].seen)


@runs
async def test_without_manage_servers_any_name_goes_to_all() -> None:
    async with servers("a", "b") as both:
        lines(await both.proxy.ask(pull()))
        assert all(has(one, NEW) for one in both.ollamas.values())


# -- registries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [pull, push])
@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("evil.example/a/b", "evil.example"),
        ("https://evil.example/a/b", "evil.example"),
        ("evil.example:5000/a/b:c", "evil.example:5000"),
        ("hf.co:8443/a/b", "hf.co:8443"),
        ("registry.ollama.ai:443/library/smol", "registry.ollama.ai:443"),
        ("EVIL.Example/a/b", "evil.example"),
    ],
)
@runs
async def test_another_registry_is_refused_before_anything_is_sent(ask: Any, name: str, host: str) -> None:
    async with servers("a", "b") as both:
        status, text = refusal(await both.proxy.ask(ask(name)))
        assert status == 403
        assert text.endswith(f"{host}: add it to `registries` to allow it")
        assert changed(both) == []


@runs
async def test_what_is_listed_and_what_is_configured_is_reached() -> None:
    mine, listed = "mine.example:5000/a/b", "other.example/a/b"
    async with servers("a", registries=("registry.ollama.ai", "other.example"), models=(CHAT, mine)) as both:
        both.ollama.publish(listed, 0)
        both.ollama.publish(mine, 1)
        assert lines(await both.proxy.ask(pull(mine)))[-1] == {"status": "success"}
        assert lines(await both.proxy.ask(pull("https://OTHER.example/a/b")))[-1] == {"status": "success"}
        assert refusal(await both.proxy.ask(pull("hf.co/a/b")))[0] == 403
        assert len(both.ollama.asked(PULL)) == 2


@runs
async def test_insecure_is_passed_on_as_it_came() -> None:
    async with servers("a") as both:
        lines(await both.proxy.ask(pull(insecure=True)))
        lines(await both.proxy.ask(push(insecure=True)))
        lines(await both.proxy.ask(pull(insecure=False)))
        lines(await both.proxy.ask(pull()))
        assert [one.insecure for one in (*both.ollama.pulls, *both.ollama.pushes)] == [
            True, False, False, True,
        ]  # fmt: skip
        bodies = [json.loads(one.body) for one in both.ollama.asked(PULL)]
        assert [one.get("insecure") for one in bodies] == [True, False, None]


# -- names ---------------------------------------------------------------------------------------------


@runs
async def test_an_alias_leads_to_its_model_for_push_delete_and_the_source_of_a_copy() -> None:
    async with servers("a", "b", aliases={ALIAS: CHAT}) as both:
        lines(await both.proxy.ask(push(ALIAS)))
        assert [one.model for one in both.ollama.pushes] == ["smol:latest"]
        assert done(await both.proxy.ask(copy(ALIAS, "mine"))) == []
        assert all(has(one, "mine") for one in both.ollamas.values())
        assert done(await both.proxy.ask(delete(f"{ALIAS}:latest"))) == []
        assert not any(has(one, CHAT) for one in both.ollamas.values())
        assert not any(ALIAS.encode() in one.body for ollama in both.ollamas.values() for one in ollama.seen)


@pytest.mark.parametrize("name", [ALIAS, f"{ALIAS}:latest", f"library/{ALIAS}", f"LIBRARY/{ALIAS.upper()}"])
@runs
async def test_an_alias_can_t_be_pulled_or_copied_to(name: str) -> None:
    async with servers("a", aliases={ALIAS: CHAT}) as both:
        for path in (PULL, COPY):
            status, text = refusal(await both.proxy.ask(change(path, name)))
            assert (status, text.endswith("it is an alias of 'smol'")) == (400, True)
        assert changed(both) == []


@pytest.mark.parametrize("name", OURS)
@runs
async def test_names_of_ours_are_changed_by_nobody_and_are_not_there_elsewhere(name: str) -> None:
    async with servers("a") as both:
        for path in (PULL, COPY, DELETE):
            status, text = refusal(await both.proxy.ask(change(path, name)))
            assert (path, status) == (path, 400)
            assert text.endswith("names under gollamas/ belong to gollamas itself")
        for data in (push(name), copy(name, "mine"), post("/api/show", json.dumps({"model": name}).encode())):
            status, text = refusal(await both.proxy.ask(data))
            assert (status, text.endswith("not found")) == (404, True)
        assert changed(both) == []


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (pull("a b"), 400, "invalid model name"),
        (pull(""), 400, "invalid model name"),
        (delete("a b"), 400, 'name "a b" is invalid'),
        (delete(""), 400, "model is required"),
        (push(""), 400, "model is required"),
        (copy("a b", "mine"), 400, 'source "a b" is invalid'),
        (copy(CHAT, "a b"), 400, 'destination "a b" is invalid'),
        (post(PULL, b"{"), 400, "unexpected EOF"),
        (post(PULL, b""), 400, "missing request body"),
        (
            post(PULL, b'{"model":1}'),
            400,
            f"{NOT_A} PullRequest.model of type string",
        ),
    ],
)
@runs
async def test_what_ollama_would_refuse_is_refused_in_its_words(data: bytes, status: int, text: str) -> None:
    async with servers("a") as both:
        assert refusal(await both.proxy.ask(data)) == (status, text)
        assert changed(both) == []


# -- one server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_a_change_goes_to_the_one_server_that_a_request_names(path: str) -> None:
    async with servers("a", "b", "c") as both:
        assert (await both.proxy.ask(change(path, EMBEDDER, TO_B))).status == 200
        assert [len(one.asked(path)) for one in both.ollamas.values()] == [0, 1, 0]
        assert not any(b"gollamas-server" in one.head.names for one in both.ollamas["b"].asked(path))
        assert ends(both) == {"b": JobEnd.DONE}


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_a_server_that_is_unknown_or_not_the_model_s_is_a_400_that_names_no_other(path: str) -> None:
    async with servers("gpu-1", "gpu-2", "gpu-3", manage_servers=("gpu-1", "gpu-2")) as both:
        for field, named in (
            (b"X-Gollamas-Server: gpu-9", "gpu-9"),
            (b"X-Gollamas-Server: gpu-3", "gpu-3"),
            (b"X-Gollamas-Server: gpu-1, gpu-2", ""),
            (b"X-Gollamas-Server:", ""),
        ):
            status, text = refusal(await both.proxy.ask(change(path, NEW, field)))
            assert status == 400
            assert [one for one in ("gpu-1", "gpu-2", "gpu-3", "gpu-9") if one in text] == [named] * bool(
                named
            )
        assert changed(both) == []


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_no_other_server_does_what_the_one_that_is_named_can_t(path: str) -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        got = await both.proxy.ask(change(path, EMBEDDER, TO_B))
        assert (got.status, got.get(b"retry-after")) == (503, b"5")
        assert (changed(both), told(both)) == ([], [])


@runs
async def test_the_field_never_widens_what_a_request_could_reach() -> None:
    async with fleet("a", "b", manage=Manage.OFF) as both:
        for path in CHANGES:
            assert refusal(await both.proxy.ask(change(path, CHAT, TO_A)))[0] == 403
        assert changed(both) == []


# -- bodies and routes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHANGES)
@runs
async def test_a_body_that_is_too_large_for_names_is_not_read(path: str) -> None:
    async with servers("a") as both:
        padded = json.dumps({"model": CHAT, "source": CHAT, "destination": "x", "p": "a" * 70_000}).encode()
        data = post(path, padded)
        got = await both.proxy.ask(data.replace(b"POST", b"DELETE", 1) if path == DELETE else data)
        assert refusal(got)[0] == 413
        fits = post(path, padded.replace(b"a" * 70_000, b"a" * 60_000))
        got = await both.proxy.ask(fits.replace(b"POST", b"DELETE", 1) if path == DELETE else fits)
        assert (got.status, changed(both)) == (200, [path])
