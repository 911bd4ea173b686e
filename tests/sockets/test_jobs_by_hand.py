"""Pulls and deletes by hand: POST /pull and /delete on the admin port of a proxy with simulated servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gollamas.background.fanout import Jobs
from gollamas.config.model import Expose, Manage, Model
from gollamas.events import JobEnd
from gollamas.simulate.faults import Fails, FailsToPull, HangsPulling
from tests.sockets.jobs import (
    AWAY,
    NEW,
    changed,
    ends,
    has,
    held,
    in_memory,
    load,
    release,
    servers,
    tidied,
    told,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, get, post
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet
from tests.sockets.test_by_hand import ADMIN, ask, to_admin

NO_BODY = "the body has to be like"


@asynccontextmanager
async def fleet(*names: str, **options: Any) -> AsyncIterator[Fleet]:
    """Run servers and a proxy that lets clients change nothing."""
    async with servers(*names, **{"admin": ADMIN, "manage": Manage.OFF, **options}) as both:
        yield both


async def done(
    both: Fleet, path: str, status: int = 200, **body: Any
) -> list[tuple[str, str, str, str | None]]:
    """Have it done; of each server its id, its name of the model, how it ended and why it failed."""
    got = await ask(both, path, **body)
    assert (got.status, got.get(b"content-type")) == (status, b"application/json; charset=utf-8"), got
    told = json.loads(got.body)["servers"]
    assert all(one.keys() == {"server", "model", "end", "took_s", "error"} for one in told)
    return [(one["server"], one["model"], one["end"], one["error"]) for one in told]


async def refused(both: Fleet, path: str, **body: Any) -> tuple[int, str]:
    """Have it refused; the status, and what is said."""
    got = await ask(both, path, **body)
    said = json.loads(got.body)
    assert said.keys() == {"error"}, got
    return got.status, said["error"]


# -- pulls ---------------------------------------------------------------------------------------------


@runs
async def test_a_pull_by_hand_goes_to_all_servers_whatever_clients_may() -> None:
    async with fleet("a", "b") as both:
        assert await done(both, "/pull", model=NEW) == [
            ("a", "llama3.2:latest", "done", None),
            ("b", "llama3.2:latest", "done", None),
        ]
        assert [has(one, NEW) for one in both.ollamas.values()] == [True, True]
        assert told(both) == [("pull", "a", NEW, JobEnd.DONE), ("pull", "b", NEW, JobEnd.DONE)]
        client = await to_admin(both)
        page = (await client.ask(get("/metrics"))).body
        client.close()
        assert b'gollamas_jobs_total{kind="pull",end="done"} 2' in page


@runs
async def test_a_pull_by_hand_goes_to_the_server_that_is_named() -> None:
    async with fleet("a", "b") as both:
        assert await done(both, "/pull", model=NEW, server="b") == [("b", "llama3.2:latest", "done", None)]
        assert [len(one.pulls) for one in both.ollamas.values()] == [0, 1]


@runs
async def test_a_model_goes_where_a_client_s_would() -> None:
    """A configured one to its servers, any other to those that are named for it."""
    async with fleet("a", "b", "c", manage_servers=("b", "c")) as both:
        assert [one[0] for one in await done(both, "/pull", model=NEW)] == ["b", "c"]
        assert [one[0] for one in await done(both, "/pull", model=CHAT)] == ["a", "b", "c"]
        status, why = await refused(both, "/pull", model="new", server="a")
        assert (status, why) == (400, "model 'new' does not run on server 'a'; it does on b, c")


@pytest.mark.parametrize("name", ["smol", "SMOL:latest", "gpt-4o", "GPT-4o:latest"])
@runs
async def test_a_model_is_meant_by_any_spelling_and_by_its_alias(name: str) -> None:
    async with fleet("a", aliases={"gpt-4o": CHAT}) as both:
        assert await done(both, "/pull", model=name) == [("a", "smol:latest", "done", None)]
        (body,) = [json.loads(one.body) for one in both.ollama.asked("/api/pull")]
        assert body["model"] == (CHAT if "gpt" in name.lower() else name)
        assert await done(both, "/delete", model=name) == [("a", "smol:latest", "done", None)]
        assert not has(both.ollama, CHAT)


@runs
async def test_a_pull_is_seen_while_it_goes_on_and_shared_with_a_client_s() -> None:
    async with fleet("a", "b", manage=Manage.ALL) as both:
        client = await held(both)
        hand = asyncio.ensure_future(done(both, "/pull", model=NEW, server="b"))
        await both.until(lambda: both.proxy.app._duties.jobs.under_way()[0].watchers == 2)
        admin = await to_admin(both)
        (job,) = json.loads((await admin.ask(get("/state"))).body)["jobs"]
        admin.close()
        assert (job["kind"], job["model"], job["watchers"]) == ("pull", NEW, 2)
        assert [one["server"] for one in job["targets"]] == ["a", "b"]
        release(both)
        assert await hand == [("b", "llama3.2:latest", "done", None)]
        assert [len(one.pulls) for one in both.ollamas.values()] == [1, 1]
        client.close()


@pytest.mark.parametrize("how", ["reset", "fin"])
@runs
async def test_whoever_asks_and_leaves_ends_a_pull(how: str) -> None:
    """As on the main port, where closing the program that pulls is all that a user can do."""
    async with fleet("a") as both:
        client = await held_by_hand(both)
        if how == "reset":
            client.reset()
        else:
            client.half_close()
        await tidied(both)
        assert ends(both) == {"a": JobEnd.STOPPED}
        client.close()


async def held_by_hand(both: Fleet) -> Client:
    """Begin a pull by hand that hangs; whoever asked for it."""
    both.ollama.fail_next_pull(HangsPulling(2))
    client = await to_admin(both)
    await client.send(post("/pull", json.dumps({"model": NEW}).encode()))
    await both.until(lambda: bool(both.ollama.pulls) and both.ollama.pulls[-1].is_held)
    return client


@runs
async def test_a_client_that_only_sends_no_more_gets_the_answer_of_a_delete() -> None:
    async with fleet("a") as both:
        client = await to_admin(both)
        await client.send(post("/delete", json.dumps({"model": CHAT}).encode()))
        client.half_close()
        got = await client.answer()
        assert (got.status, not has(both.ollama, CHAT)) == (200, True)
        client.close()


@runs
async def test_a_pull_may_take_longer_than_a_client_may_be_idle() -> None:
    quick = {"client_idle_timeout": 0.1, "idle_timeout": 0.1, "first_byte_timeout": 0.1, "write_timeout": 0.1}
    async with fleet("a", settings={"pull_seconds": 0.5}, **quick) as both:
        assert await done(both, "/pull", model=NEW) == [("a", "llama3.2:latest", "done", None)]


@runs
async def test_a_server_that_fails_is_told_of_beside_one_that_pulls() -> None:
    async with fleet("a", "b") as both:
        both.ollamas["a"].fail_next_pull(FailsToPull(2, "http://me:secret@x: no space left"))
        assert await done(both, "/pull", model=NEW) == [
            ("a", "llama3.2", "failed", "http://x: no space left"),
            ("b", "llama3.2:latest", "done", None),
        ]


@runs
async def test_where_all_servers_fail_it_is_a_502() -> None:
    async with fleet("a", "b") as both:
        got = await ask(both, "/pull", model="nowhere")
        said = json.loads(got.body)
        assert (got.status, [one["end"] for one in said["servers"]]) == (502, ["failed", "failed"])
        why = "pull model manifest: file does not exist"
        assert said["error"] == f"a: {why}; b: {why}"


# -- deletes -------------------------------------------------------------------------------------------


@runs
async def test_a_delete_by_hand_takes_the_model_out_of_the_memory_first() -> None:
    async with fleet("a", "b") as both:
        await load(both, "a")
        assert await done(both, "/delete", model=CHAT) == [
            ("a", "smol:latest", "done", None),
            ("b", "smol:latest", "done", None),
        ]
        assert [in_memory(one) for one in both.ollamas.values()] == [[], []]
        assert [has(one, CHAT) for one in both.ollamas.values()] == [False, False]


@runs
async def test_a_server_that_lacks_the_model_is_no_failure_where_another_one_had_it() -> None:
    async with fleet("a", "b") as both:
        await done(both, "/delete", model=CHAT, server="b")
        assert await done(both, "/delete", model=CHAT) == [
            ("a", "smol:latest", "done", None),
            ("b", "smol", "missing", None),
        ]


@pytest.mark.parametrize("where", [{}, {"server": "b"}])
@runs
async def test_a_model_that_nobody_has_is_not_found(where: dict[str, str]) -> None:
    async with fleet("a", "b") as both:
        got = await ask(both, "/delete", model=NEW, **where)
        said = json.loads(got.body)
        assert (got.status, {one["end"] for one in said["servers"]}) == (404, {"missing"})
        assert said["error"].endswith("b: model 'llama3.2' not found")


@runs
async def test_what_is_left_on_a_server_that_is_not_to_have_it_can_be_deleted() -> None:
    """But it can't be pulled there."""
    async with fleet("a", "b") as both:
        config = both.proxy.app._config
        models = {CHAT_KEY: Model(name=CHAT, key=CHAT_KEY, servers=("a",))}
        both.proxy.app.apply(replace(config, models=models))
        why = "model 'smol' does not run on server 'b'; it does on a"
        assert await refused(both, "/pull", model=CHAT, server="b") == (400, why)
        assert await done(both, "/delete", model=CHAT, server="b") == [("b", "smol:latest", "done", None)]
        assert [has(one, CHAT) for one in both.ollamas.values()] == [True, False]
        assert await refused(both, "/delete", model=CHAT, server="b") == (400, why)


@runs
async def test_a_delete_behind_a_pull_of_the_model_is_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fleet("a") as both:
        monkeypatch.setattr(both.proxy.app._duties.jobs, "patience", 0.05)
        client = await held_by_hand(both)
        why = "model 'llama3.2' is being pulled: try again when that is done"
        assert await refused(both, "/delete", model=NEW) == (503, why)
        release(both)
        assert (await client.answer()).status == 200
        client.close()


# -- what is down --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "word", "model"), [("/pull", "pulled", NEW), ("/delete", "deleted", CHAT)])
@runs
async def test_a_server_that_is_down_is_owed_the_change(path: str, word: str, model: str) -> None:
    async with fleet("a", "b", **AWAY) as both:
        await both.take_down("a")
        assert [one[1:] for one in await done(both, path, model=model) if one[0] == "a"] == [
            (
                "smol:latest" if model == CHAT else model,
                "down",
                f"server a is down: the model will be {word} there when it is back",
            )
        ]
        await both.bring_back("a")
        await both.until(lambda: has(both.ollamas["a"], model) == (path == "/pull"))
        await tidied(both)


@pytest.mark.parametrize("path", ["/pull", "/delete"])
@runs
async def test_where_all_servers_are_down_nothing_is_begun_and_nothing_owed(path: str) -> None:
    async with fleet("a", "b", **AWAY) as both:
        await both.take_down("a")
        status, why = await refused(both, path, model=CHAT, server="a")
        assert (status, "no server can be reached (a: " in why) == (503, True)
        assert both.proxy.app._duties.jobs.owed() == []


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/pull", "/delete"])
@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"model": "a b"}, 400, "'a b' is no name of a model"),
        ({"model": "x" * 9000}, 400, "xxx…' is no name of a model"),
        ({"model": "<img src=x onerror=alert(1)>"}, 400, "is no name of a model"),
        ({"model": "gollamas/smol-1a2b:ctx2048"}, 400, "names under gollamas/ belong to gollamas itself"),
        ({"model": "GOLLAMAS/x"}, 400, "names under gollamas/ belong to gollamas itself"),
        ({"model": CHAT, "server": "nowhere"}, 404, "no server 'nowhere' is configured; there are a, b"),
        ({"model": CHAT, "server": "A"}, 404, "no server 'A' is configured"),
        ({"model": CHAT, "server": ""}, 404, "no server '' is configured"),
        ({"model": ""}, 400, "`model` is empty"),
        ({}, 400, NO_BODY),
        ({"model": CHAT, "sever": "a"}, 400, "sever"),
        ({"model": CHAT, "insecure": True}, 400, "insecure"),
        ({"model": [CHAT]}, 400, NO_BODY),
    ],
)
@runs
async def test_what_is_not_meant_reaches_no_server(
    path: str, body: dict[str, Any], status: int, why: str
) -> None:
    async with fleet("a", "b") as both:
        said = await refused(both, path, **body)
        assert (said[0], why in said[1], len(said[1]) < 600) == (status, True, True), said
        assert changed(both) == []


@pytest.mark.parametrize("path", ["/pull", "/delete"])
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[" * 9000, b'{"model":"\xff"}', b'{"model":"\\ud800"}', b'{"model":"m"}{"model":"n"}'],
)
@runs
async def test_a_hostile_body_is_a_bad_request(path: str, body: bytes) -> None:
    async with fleet("a") as both:
        client = await to_admin(both)
        got = await client.ask(post(path, body))
        client.close()
        assert (got.status, changed(both)) == (400, [])


@runs
async def test_registries_hold_for_an_operator_too() -> None:
    async with fleet("a") as both:
        status, why = await refused(both, "/pull", model="elsewhere.example/library/x")
        assert status == 403
        assert why == "models can't be pulled from elsewhere.example: add it to `registries` to allow it"
        assert changed(both) == []


@runs
async def test_the_rule_for_changes_holds() -> None:
    async with fleet("a", admin_token="s3cret") as both:
        for path in ("/pull", "/delete"):
            for field in ((), (b"Authorization: Bearer wrong",), (b"Origin: http://evil",)):
                assert (await ask(both, path, *field, model=CHAT)).status == 403
        assert changed(both) == []
        assert (await ask(both, "/pull", b"Authorization: Bearer s3cret", model=CHAT)).status == 200
        assert (await ask(both, "/delete", b"Authorization: Bearer s3cret", model=EMBEDDER)).status == 200


@runs
async def test_a_server_s_refusal_is_passed_in_its_words() -> None:
    async with fleet("a", expose=Expose.INSTALLED) as both:
        both.ollama.fail_next(Fails(500, b'{"error":"disk is read-only"}'), path="/api/delete")
        got = await ask(both, "/delete", model=CHAT)
        assert (got.status, json.loads(got.body)["servers"][0]["error"]) == (502, "disk is read-only")


@runs
async def test_jobs_end_with_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits hears of it."""
    ended: list[int] = []
    close = Jobs.close

    async def closing(jobs: Jobs) -> None:
        await close(jobs)
        ended.append(1)

    monkeypatch.setattr(Jobs, "close", closing)
    async with fleet("a") as both:
        client = await held_by_hand(both)
        stopping = asyncio.ensure_future(both.proxy.app.stop())
        got = await client.answer()
        said = json.loads(got.body)
        assert (got.status, said["servers"][0]["end"]) == (502, "stopped")
        await stopping
        client.close()
