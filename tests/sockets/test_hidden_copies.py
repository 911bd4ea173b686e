"""Hidden copies that pulls leave on servers, which only operators see; the variants of a deleted model."""

import asyncio
import json
from typing import Any

import pytest

from gollamas.config.model import Address, Expose, Manage
from gollamas.events import VariantRemoved, Warned
from gollamas.fleet.variants import copy_name_of, name_of
from gollamas.names import key_of
from gollamas.observe.jsonlines import line
from gollamas.simulate.faults import Fails, Hangs
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, get, post
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet, fleet
from tests.sockets.test_variants import ALL, TWO, variants

ADMIN = Address(host="127.0.0.1", port=0)


async def digest_of(both: Fleet, model: str = CHAT) -> str:
    """Give the digest that the server has under a name now."""
    listed = json.loads((await both.ask_directly("/api/tags", {}, "GET")).body)["models"]
    return str(next(one["digest"] for one in listed if one["name"] == f"{model}:latest"))


async def copied(both: Fleet, model: str = CHAT) -> str:
    """Leave a hidden copy of a model on the server, as a pull does that crashed; its name."""
    name = copy_name_of(key_of(model) or "", await digest_of(both, model))
    assert (await both.ask_directly("/api/copy", {"source": model, "destination": name})).status == 200
    await both.look()
    return name


async def remade(both: Fleet) -> None:
    """Give the model other contents under its name."""
    await both.ask_directly("/api/create", {"model": CHAT, "from": CHAT, "system": "Be brief."})
    await both.look()


async def asked_admin(both: Fleet, data: bytes) -> Any:
    """Ask the admin port; what it answered."""
    address = both.proxy.app.admin_address
    assert address is not None
    client = await Client.connect(address.port)
    try:
        reply = await client.ask(data)
    finally:
        client.close()
    assert reply.status == 200
    return json.loads(reply.body)


async def listed(both: Fleet) -> list[tuple[str, str | None, int | None, bool, bool]]:
    """Say what the admin port lists: name, model, num_ctx, whether it is needed, and current."""
    found = (await asked_admin(both, get("/variants")))["variants"]
    return [(one["name"], one["model"], one["num_ctx"], one["is_needed"], one["is_current"]) for one in found]


async def prune(both: Fleet) -> Any:
    """Have the admin port remove what is not needed."""
    return await asked_admin(both, post("/variants/prune", b""))


@pytest.mark.parametrize("expose", ["configured", "running", "installed"])
@runs
async def test_no_listing_shows_a_hidden_copy_and_no_client_reaches_it(expose: str) -> None:
    async with fleet(expose=Expose(expose), admin=ADMIN) as both:
        name = await copied(both)
        for path in ("/api/tags", "/v1/models", "/api/ps"):
            assert set(await both.names(path)) <= {"smol:latest", "minilm:latest"}
        app = both.proxy.app
        log = b"".join(line(event, "") for event in both.proxy.events)
        for text in (log, b"".join(app._exposition.page("")[1]), b"".join(app._state.parts())):
            assert name.partition(":")[0].encode() not in text
        for path in ("/api/chat", "/v1/chat/completions", "/api/generate"):
            reply = await both.ask(path, name)
            assert (reply.status, both.ollama.asked(path)) == (404, [])


@runs
async def test_a_runner_shown_by_a_copy_s_name_is_the_model_s_while_that_has_the_same_contents() -> None:
    async with fleet(expose=Expose.RUNNING) as both:
        name = await copied(both)
        await both.ask_directly("/api/generate", {"model": name, "keep_alive": -1})
        shown = json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"]
        assert [one["name"] for one in shown] == [name]
        await both.look()
        (loaded,) = json.loads((await both.proxy.ask(get("/api/ps"))).body)["models"]
        assert (loaded["name"], loaded["digest"]) == ("smol:latest", await digest_of(both))
        await remade(both)
        shown = json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"]
        assert [one["name"] for one in shown] == [name]
        assert await both.names("/api/ps") == []


@runs
async def test_a_copy_that_was_left_is_listed_and_pruned() -> None:
    async with fleet(force_num_ctx={(CHAT_KEY, ""): 2048}, admin=ADMIN) as both:
        await both.ask("/v1/chat/completions")
        (variant,) = variants(both)
        name = await copied(both)
        assert await listed(both) == [
            (variant, "smol:latest", 2048, True, True),
            (name, "smol:latest", None, False, True),
        ]
        pruned = await prune(both)
        assert ([one["name"] for one in pruned["removed"]], pruned["failed"]) == ([name], [])
        assert variants(both) == [variant]
        assert [one[0] for one in await listed(both)] == [variant]
        (removed,) = both.proxy.events.of(VariantRemoved)
        assert (removed.model, removed.num_ctx, removed.why) == ("smol:latest", None, "no pull needs it")


@runs
async def test_a_copy_is_never_removed_without_being_asked_for() -> None:
    """Whether its model has other contents by now, or is gone: another proxy may be at it."""
    async with fleet(admin=ADMIN) as both:
        name = await copied(both)
        await remade(both)
        await both.settled()
        assert await listed(both) == [(name, "smol:latest", None, False, False)]
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        await both.look()
        await both.settled()
        assert await listed(both) == [(name, None, None, False, False)]
        assert variants(both) == [name]
        assert [one["name"] for one in (await prune(both))["removed"]] == [name]
        assert variants(both) == []


@runs
async def test_the_copy_of_a_pull_that_goes_on_is_needed_and_stays() -> None:
    async with fleet("one", "two", admin=ADMIN) as both:
        name = await copied(both)
        maker = both.proxy.app._duties.variants
        maker.hold_copy("two", name)  # of another server, so this one is not held
        assert [one[3] for one in await listed(both)] == [False]
        maker.hold_copy("one", name.upper())
        assert await listed(both) == [(name, "smol:latest", None, True, True)]
        assert await prune(both) == {"removed": [], "failed": []}
        assert variants(both) == [name]
        maker.release_copy("one", name)
        assert [one[3] for one in await listed(both)] == [False]
        assert len((await prune(both))["removed"]) == 1
        assert variants(both) == []


@runs
async def test_a_pull_that_begins_during_a_prune_keeps_its_copy() -> None:
    async with fleet(admin=ADMIN) as both:
        needed, left = await copied(both), await copied(both, EMBEDDER)  # the newest is listed first
        both.ollama.fail_next(Hangs(), path="/api/delete")
        async with asyncio.TaskGroup() as tasks:
            pruning = tasks.create_task(prune(both))
            await both.until(lambda: bool(both.ollama.asked("/api/delete")))
            both.proxy.app._duties.variants.hold_copy("one", needed)
            both.ollama.release()
        assert [one["name"] for one in pruning.result()["removed"]] == [left]
        assert variants(both) == [needed]


@runs
async def test_a_copy_that_can_t_be_removed_is_said_without_its_name_in_the_reason() -> None:
    async with fleet(admin=ADMIN) as both:
        name = await copied(both)
        both.ollama.fail_next(Fails(500, f"{name} is locked".encode()), path="/api/delete")
        (failed,) = (await prune(both))["failed"]
        assert (failed["variant"]["name"], failed["variant"]["num_ctx"]) == (name, None)
        assert name not in failed["why"]
        assert variants(both) == [name]


@pytest.mark.parametrize("loaded_as", [CHAT, "another"])
@runs
async def test_a_pull_unloads_what_it_replaced_and_not_what_another_name_has_loaded(loaded_as: str) -> None:
    """Both run the same weights: who asks for another name goes on with them."""
    async with fleet(manage=Manage.ALL, settings={"pull_seconds": 0.0}) as both:
        await both.ask_directly("/api/copy", {"source": CHAT, "destination": "another"})
        await both.ask_directly("/api/generate", {"model": loaded_as, "keep_alive": -1})
        both.ollama.publish(CHAT, 1)
        pulled = await both.proxy.ask(post("/api/pull", json.dumps({"model": CHAT}).encode()))
        assert b'"success"' in pulled.body
        shown = json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"]
        assert [one["name"] for one in shown] == ([] if loaded_as == CHAT else ["another:latest"])
        assert variants(both) == []


# -- the variants of a model that was deleted ------------------------------------------------------------


async def with_variants_of_both(both: Fleet) -> tuple[list[str], str]:
    """Have variants of two models, of the first one of older contents, too; the names of each."""
    await both.ask("/v1/chat/completions")
    await both.ask("/v1/embeddings", EMBEDDER)
    await remade(both)
    await both.settled()
    embedder = name_of(key_of(EMBEDDER) or "", await digest_of(both, EMBEDDER), 2048)
    # One of what the model is now, of which no list has told yet: else the older one would go by itself.
    current = name_of(CHAT_KEY, await digest_of(both), 512)
    body = {"model": current, "from": CHAT, "parameters": {"num_ctx": 512}}
    await both.ask_directly("/api/create", body)
    server = both.proxy.app.view.servers["one"]
    server.variants.made(current, server.memory.changed())
    return [name for name in variants(both) if name != embedder], embedder


@pytest.mark.parametrize("is_gone", [False, True])
@runs
async def test_all_variants_of_a_deleted_model_go_with_it_and_no_other(is_gone: bool) -> None:
    """The proxy has not heard yet that the model is gone, or it is not: none of them is asked for twice."""
    async with fleet(**TWO) as both:
        mine, other = await with_variants_of_both(both)
        assert len(mine) == 2
        server = both.proxy.app.view.servers["one"]
        if is_gone:
            await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        assert await both.proxy.app._duties.variants.remove_of(server, CHAT_KEY) == []
        assert variants(both) == [other]
        removed = both.proxy.events.of(VariantRemoved)
        assert sorted(one.num_ctx or 0 for one in removed) == [512, 2048]
        assert {one.why for one in removed} == {"its model was deleted"}
        assert await both.proxy.app._duties.variants.remove_of(server, CHAT_KEY) == []


@runs
async def test_what_could_not_be_removed_with_its_model_is_said_and_tried_again() -> None:
    async with fleet(num_ctx={ALL: 1024}) as both:
        await both.ask("/v1/chat/completions")
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        both.ollama.fail_next(Fails(500), path="/api/delete")
        server = both.proxy.app.view.servers["one"]
        assert await both.proxy.app._duties.variants.remove_of(server, CHAT_KEY) == [
            "its variant with num_ctx 1024 can't be removed: simulated failure"
        ]
        assert len(variants(both)) == 1
        await both.look()
        await both.settled()
        assert not variants(both)
        assert not both.proxy.events.of(Warned)


@runs
async def test_variants_that_are_being_removed_already_are_asked_for_once() -> None:
    async with fleet(num_ctx={ALL: 1024}) as both:
        await both.ask("/v1/chat/completions")
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        server = both.proxy.app.view.servers["one"]
        remove = both.proxy.app._duties.variants.remove_of
        for failed in await asyncio.gather(remove(server, CHAT_KEY), remove(server, CHAT_KEY)):
            assert failed == []
        await both.settled()  # a list that lacks the model may have come first
        assert len(both.ollama.asked("/api/delete")) == 2  # the model's, and one
        assert len(both.proxy.events.of(VariantRemoved)) == 1
