"""What is replaced or deleted leaves the memory, and nothing of that is left behind, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gollamas.events import Warned
from gollamas.simulate.faults import Fails, FailsToPull, FillsDisk, Garbled, HangsPulling
from gollamas.simulate.server import SimulatedOllama
from tests.sockets.jobs import (
    COPY,
    DELETE,
    PULL,
    QUICK,
    SUCCESS,
    begun,
    copy,
    delete,
    done,
    has,
    held,
    hidden,
    in_memory,
    last_line,
    lines,
    load,
    pull,
    refusal,
    release,
    servers,
    tidied,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import get
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet
from tests.variants import COPY as LEFT_OVER

GENERATE = "/api/generate"
WRITTEN = 17  # lines of a pull of another version, up to the one behind the manifest
VARIANT = {"force_num_ctx": {(CHAT_KEY, ""): 2048}}


def renewed(both: Fleet) -> None:
    """Have the registry give another version of the model from now on."""
    for ollama in both.ollamas.values():
        ollama.publish(CHAT, 1)


def asked_by(ollama: SimulatedOllama, path: str) -> list[bytes]:
    """Give the bodies of requests for a path that name something of ours."""
    return [one.body for one in ollama.asked(path) if b"gollamas/" in one.body]


def weights(ollama: SimulatedOllama, name: str = CHAT) -> str:
    """Give the digest of a model's weights as they are on the disk."""
    model = ollama.engine.library.find(name)
    assert model is not None
    return model.weights.digest


@asynccontextmanager
async def in_use(both: Fleet, model: str = CHAT) -> AsyncIterator[None]:
    """Ask for a model all the while: no request may fail, and some are answered."""
    statuses: list[int] = []
    is_over = False

    async def ask() -> None:
        while not is_over:
            statuses.append((await both.ask("/api/chat", model)).status)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(ask())
        await both.until(lambda: len(statuses) >= 3)
        try:
            yield
        finally:
            count = len(statuses)
            await both.until(lambda: len(statuses) >= count + 3)
            is_over = True
    assert set(statuses) == {200}


# -- delete, copy --------------------------------------------------------------------------------------


@runs
async def test_what_is_deleted_leaves_the_memory_of_all_servers() -> None:
    async with servers("a", "b") as both:
        for name in both.ollamas:
            await load(both, name)
        assert done(await both.proxy.ask(delete())) == []
        for ollama in both.ollamas.values():
            assert in_memory(ollama) == []
            paths = [one.head.path for one in ollama.seen if one.head.method != b"GET"]
            assert paths.index(b"/api/delete") > paths.index(b"/api/generate", 1)  # while it has its name


@runs
async def test_what_was_loaded_past_us_leaves_too() -> None:
    """A moment before: it is looked at anew."""
    async with servers("a") as both:
        await both.ask_directly(GENERATE, {"model": CHAT, "keep_alive": -1})
        assert done(await both.proxy.ask(delete())) == []
        assert in_memory(both.ollama) == []


@runs
async def test_what_can_t_be_unloaded_is_not_deleted() -> None:
    async with servers("a", "b") as both:
        await load(both, "b")
        both.ollamas["b"].fail_next(Fails(500, b'{"error":"stuck"}'), path=GENERATE)
        status, text = refusal(await both.proxy.ask(delete()))
        assert (status, text) == (502, "server b: the model could not be unloaded: stuck")
        assert [has(one, CHAT) for one in both.ollamas.values()] == [False, True]
        assert done(await both.proxy.ask(delete())) == []
        assert in_memory(both.ollamas["b"]) == []


@runs
async def test_a_model_that_runs_as_its_variant_leaves_with_it() -> None:
    async with servers("a", **VARIANT) as both:
        assert (await both.ask("/v1/chat/completions")).status == 200
        await both.settled()
        await both.look()
        assert len(hidden(both.ollama)) == len(in_memory(both.ollama)) == 1
        assert done(await both.proxy.ask(delete())) == []
        assert (hidden(both.ollama), in_memory(both.ollama)) == ([], [])


@runs
async def test_a_copy_over_a_loaded_model_unloads_it_first() -> None:
    async with servers("a", "b") as both:
        old = [await load(both, name) for name in both.ollamas]
        assert done(await both.proxy.ask(copy(EMBEDDER, CHAT))) == []
        for ollama, before in zip(both.ollamas.values(), old, strict=True):
            assert before not in in_memory(ollama)
            assert weights(ollama) == weights(ollama, EMBEDDER) != before
            assert hidden(ollama) == []


@runs
async def test_a_copy_over_the_same_contents_unloads_nothing() -> None:
    async with servers("a") as both:
        done(await both.proxy.ask(copy(CHAT, "mine")))
        old = await load(both, "a")
        assert done(await both.proxy.ask(copy("mine", CHAT))) == []
        assert done(await both.proxy.ask(copy(CHAT, CHAT))) == []
        assert in_memory(both.ollama) == [old]


@runs
async def test_a_delete_waits_for_what_the_model_is_at_and_fails_no_request() -> None:
    async with servers("a", settings={**QUICK, "tokens_per_second": 200.0}) as both:
        asking = asyncio.ensure_future(both.ask("/api/generate"))
        await both.until(lambda: both.ollama.engine.running == 1)
        assert done(await both.proxy.ask(delete())) == []
        assert (await asking).status == 200
        await both.until(lambda: in_memory(both.ollama) == [])


# -- pull ----------------------------------------------------------------------------------------------


@runs
async def test_a_pull_that_changes_a_loaded_model_unloads_what_it_was() -> None:
    async with servers("a", "b") as both:
        old = [await load(both, name) for name in both.ollamas]
        renewed(both)
        assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
        await tidied(both)
        for ollama, before in zip(both.ollamas.values(), old, strict=True):
            assert weights(ollama) != before
            assert (in_memory(ollama), hidden(ollama)) == ([], [])
            (unloaded,) = asked_by(ollama, GENERATE)
            assert b'"keep_alive":0' in unloaded
        assert (await both.ask("/api/chat")).status == 200


@runs
async def test_a_pull_that_changes_nothing_unloads_nothing() -> None:
    async with servers("a") as both:
        old = await load(both, "a")
        assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
        await tidied(both)
        assert (in_memory(both.ollama), hidden(both.ollama)) == ([old], [])
        assert asked_by(both.ollama, GENERATE) == []


@pytest.mark.parametrize("fault", [FailsToPull(1), FailsToPull(4), FillsDisk(3)])
@runs
async def test_a_pull_that_fails_leaves_all_as_it_was(fault: FailsToPull | FillsDisk) -> None:
    async with servers("a") as both:
        old = await load(both, "a")
        renewed(both)
        both.ollama.fail_next_pull(fault)
        assert "error" in lines(await both.proxy.ask(pull(CHAT)))[-1]
        await tidied(both)
        assert (in_memory(both.ollama), hidden(both.ollama)) == ([old], [])
        assert weights(both.ollama) == old
        assert len(asked_by(both.ollama, DELETE)) == 1


@runs
async def test_a_pull_that_breaks_once_it_has_replaced_the_model_unloads_what_it_was() -> None:
    """Only its word of success is lost."""
    async with servers("a") as both:
        old = await load(both, "a")
        renewed(both)
        both.ollama.fail_next(Garbled(after=WRITTEN), path=PULL)
        found = lines(await both.proxy.ask(pull(CHAT)))
        assert found[-1] == {"error": "server a: its answer ended without reporting success"}
        await tidied(both)
        assert (old != weights(both.ollama), in_memory(both.ollama), hidden(both.ollama)) == (True, [], [])


@runs
async def test_a_client_that_leaves_its_pull_leaves_no_name_behind() -> None:
    async with servers("a", "b") as both:
        old = [await load(both, name) for name in both.ollamas]
        renewed(both)
        client = await held(both, CHAT, after=5)
        assert all(len(hidden(one)) == 1 for one in both.ollamas.values())
        client.close()
        await tidied(both)
        for ollama, before in zip(both.ollamas.values(), old, strict=True):
            assert (in_memory(ollama), hidden(ollama), weights(ollama)) == ([before], [], before)


@runs
async def test_the_end_of_the_process_leaves_no_name_behind() -> None:
    """And the client is told, by an error or by the end of its connection."""
    async with servers("a", "b") as both:
        for name in both.ollamas:
            await load(both, name)
        renewed(both)
        client = await held(both, CHAT, after=5)
        ollamas = both.ollamas
        assert all(len(hidden(one)) == 1 for one in ollamas.values())
        await begun(client)
        await both.proxy.app.stop(grace=0)
        rest = await client.gone()
        assert b'"error":"' in rest or not rest.endswith(b"0\r\n\r\n")
        assert b'"success"' not in rest
        assert all(hidden(one) == [] for one in ollamas.values())
        assert both.proxy.app._duties.jobs.under_way() == []
        await both.until(lambda: not any(pool.open for pool in both.proxy.app._pools))


@runs
async def test_a_pull_that_nobody_watches_ends_with_the_process_too() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        await load(both, "b")
        renewed(both)
        await both.take_down("b")
        lines(await both.proxy.ask(pull(CHAT)))
        both.ollamas["b"].fail_next_pull(HangsPulling(3))
        await both.bring_back("b")
        await both.until(lambda: bool(both.ollamas["b"].pulls) and both.ollamas["b"].pulls[-1].is_held)
        assert len(hidden(both.ollamas["b"])) == 1
        await both.proxy.app.stop(grace=0)
        assert hidden(both.ollamas["b"]) == []


@runs
async def test_where_a_variant_leads_to_the_same_weights_its_name_serves() -> None:
    async with servers("a", **VARIANT) as both:
        assert (await both.ask("/v1/chat/completions")).status == 200
        await both.settled()
        (variant,) = hidden(both.ollama)
        old = await load(both, "a")
        renewed(both)
        assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
        await tidied(both)
        await both.settled()
        assert asked_by(both.ollama, COPY) == []
        assert [variant.encode() in body for body in asked_by(both.ollama, GENERATE)] == [True]
        assert old not in in_memory(both.ollama)
        assert (await both.ask("/v1/chat/completions")).status == 200  # which makes one of the new contents
        await both.look()
        await both.settled()
        assert len(hidden(both.ollama)) == 1
        assert variant not in hidden(both.ollama)


@runs
async def test_where_no_copy_can_be_made_the_pull_is_done_and_the_log_says_what_stays() -> None:
    async with servers("a") as both:
        old = await load(both, "a")
        renewed(both)
        both.ollama.fail_next(Fails(500, b'{"error":"disk full"}'), path=COPY)
        assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
        (warned,) = both.proxy.events.of(Warned)
        assert "stays in memory until it expires: no copy of the name could be made: disk full" in warned.text
        assert old in in_memory(both.ollama)
        assert asked_by(both.ollama, DELETE) == []


@runs
async def test_a_name_that_can_t_be_removed_is_said_to_be_left_over_and_no_list_shows_it() -> None:
    async with servers("a") as both:
        both.ollama.fail_next(Fails(500, b'{"error":"read-only"}'), path=DELETE)
        assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
        await tidied(both)
        (warned,) = both.proxy.events.of(Warned)
        assert "`gollamas variants --prune` removes it" in warned.text
        assert "gollamas/" not in warned.text
        (left,) = hidden(both.ollama)
        assert left.endswith(":old")
        assert sorted(await both.names()) == ["minilm:latest", "smol:latest"]
        (state,) = both.proxy.app._duties.variants.states()
        assert (state.name, state.num_ctx, state.is_needed) == (left, LEFT_OVER.num_ctx, False)


@runs
async def test_no_list_shows_the_name_while_a_pull_goes_on_and_nobody_prunes_it() -> None:
    async with servers("a") as both:
        await load(both, "a")
        renewed(both)
        client = await held(both, CHAT, after=5)
        await both.look()
        assert sorted(await both.names()) == ["minilm:latest", "smol:latest"]
        assert b"gollamas" not in (await both.proxy.ask(get("/api/ps"))).body
        pruned = await both.proxy.app._duties.variants.prune()
        assert (pruned.removed, len(hidden(both.ollama))) == ([], 1)
        release(both)
        await begun(client)
        assert await last_line(client) == SUCCESS


# -- requests meanwhile --------------------------------------------------------------------------------


@runs
async def test_requests_for_a_model_never_fail_while_it_is_pulled_anew() -> None:
    async with servers("a", "b") as both:
        for name in both.ollamas:
            await load(both, name)
        old = weights(both.ollama)
        for version in (1, 2, 3):
            for ollama in both.ollamas.values():
                ollama.publish(CHAT, version)
            async with in_use(both):
                assert lines(await both.proxy.ask(pull(CHAT)))[-1] == SUCCESS
                await tidied(both)
            for ollama in both.ollamas.values():
                assert old not in in_memory(ollama)
                assert hidden(ollama) == []
            old = weights(both.ollama)


@runs
async def test_requests_for_a_model_never_fail_while_its_pull_hangs_fails_and_is_left() -> None:
    async with servers("a") as both:
        await load(both, "a")
        renewed(both)
        async with in_use(both):
            both.ollama.fail_next_pull(FailsToPull(4))
            await both.proxy.ask(pull(CHAT))
            client = await held(both, CHAT, after=5)
            client.close()
            await tidied(both)
        assert hidden(both.ollama) == []


@runs
async def test_requests_for_a_model_never_fail_while_another_is_copied_over_it() -> None:
    async with servers("a", "b") as both:
        both.ollama.publish("mine", 0)
        for ollama in both.ollamas.values():
            ollama.publish("mine", 3)
        lines(await both.proxy.ask(pull("mine")))
        for name in both.ollamas:
            await load(both, name)
        old = weights(both.ollama)
        async with in_use(both):
            assert done(await both.proxy.ask(copy("mine", CHAT))) == []
            await tidied(both)
        for ollama in both.ollamas.values():
            assert weights(ollama) == weights(ollama, "mine")
            assert old not in in_memory(ollama)
