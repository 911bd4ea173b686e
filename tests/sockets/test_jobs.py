"""Jobs of one model wait for each other on all of its servers; those of unlike models go side by side."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from gollamas.events import End, JobEnd, JobEnded, JobKind, RequestEnded
from gollamas.simulate.faults import Fails, FailsToPull, Hangs, HangsAfter, HangsPulling
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.serving import serving
from gollamas.simulate.settings import Settings
from tests.sockets.jobs import (
    COPY,
    DELETE,
    NEW,
    PULL,
    SUCCESS,
    begun,
    copy,
    delete,
    done,
    ends,
    has,
    held,
    hidden,
    last_line,
    lines,
    pull,
    push,
    refusal,
    release,
    servers,
    tidied,
    told,
    until_ended,
)
from tests.sockets.proxying import Running, a_config, running, runs
from tests.sockets.raw import Client, RawServer, get, post
from tests.sockets.simulated import CHAT, EMBEDDER, Fleet
from tests.sockets.test_state import ADMIN, state_of


def jobs(proxy: Running) -> list[tuple[str, str, bool]]:
    """Say which jobs are under way, and whether they wait."""
    return [(one.kind, one.model, one.is_waiting) for one in proxy.app._duties.jobs.under_way()]


async def waiting(both: Fleet, data: bytes) -> Client:
    """Send a request whose job has to wait; its client."""
    count = len(jobs(both.proxy))
    client = await both.proxy.connect()
    await client.send(data)
    await both.until(lambda: len(jobs(both.proxy)) == count + 1)
    assert jobs(both.proxy)[-1][2]
    return client


# -- order ---------------------------------------------------------------------------------------------


@runs
async def test_a_delete_waits_for_a_pull_of_its_model_on_all_servers() -> None:
    """On those, too, that have pulled it already."""
    async with servers("a", "b") as both:
        pulling = await held(both, on=["a"])
        await until_ended(both, 1)
        assert ends(both) == {"b": JobEnd.DONE}
        deleting = await waiting(both, delete(NEW))
        assert jobs(both.proxy) == [("pull", NEW, False), ("delete", NEW, True)]
        assert not any(one.asked(DELETE) for one in both.ollamas.values())
        release(both)
        assert done(await deleting.answer()) == []
        assert not any(has(one, NEW) for one in both.ollamas.values())
        await begun(pulling)
        assert await last_line(pulling) == SUCCESS
        assert [one[0] for one in told(both)] == ["pull", "pull", "delete", "delete"]


@pytest.mark.parametrize("data", [delete(NEW), copy(NEW, "mine"), copy(CHAT, NEW)])
@runs
async def test_what_would_wait_too_long_behind_a_pull_is_told_so_and_never_done(data: bytes) -> None:
    async with servers("a", "b") as both:
        both.proxy.app._duties.jobs.patience = 0.02
        await both.ask_directly(COPY, {"source": CHAT, "destination": NEW})  # so that it is a source
        await both.look()
        pulling = await held(both)
        got = await both.proxy.ask(data)
        text = f"model '{NEW}' is being pulled: try again when that is done"
        assert (refusal(got), got.get(b"retry-after")) == ((503, text), b"30")
        await both.until(lambda: len(jobs(both.proxy)) == 1)
        release(both)
        await begun(pulling)
        assert await last_line(pulling) == SUCCESS
        await tidied(both)
        sent = [
            one for ollama in both.ollamas.values() for path in (COPY, DELETE) for one in ollama.asked(path)
        ]
        assert [one for one in sent if b"gollamas/" not in one.body] == [both.ollama.asked(COPY)[0]]
        assert all(has(one, NEW) for one in both.ollamas.values())
        assert (await both.proxy.ask(delete(NEW))).status == 200


@runs
async def test_a_pull_waits_behind_a_pull_for_as_long_as_its_client_does() -> None:
    """One that is not part of the first is behind it; its client hears at once that it is begun."""
    async with servers("a", "b") as both:
        both.proxy.app._duties.jobs.patience = 0.0
        first = await held(both)
        second = await waiting(both, pull(NEW, insecure=True))
        assert (await begun(second))["status"] == "pulling manifest"
        assert [len(one.pulls) for one in both.ollamas.values()] == [1, 1]
        release(both)
        assert await last_line(second) == SUCCESS
        assert [one.insecure for one in both.ollama.pulls] == [False, True]
        first.close()


@runs
async def test_unlike_models_go_side_by_side() -> None:
    async with servers("a", "b") as both:
        pulling = await held(both)
        assert done(await both.proxy.ask(copy(CHAT, "mine"))) == []
        assert done(await both.proxy.ask(delete(EMBEDDER))) == []
        assert lines(await both.proxy.ask(pull("mistral")))[-1] == SUCCESS
        assert lines(await both.proxy.ask(push()))[-1] == SUCCESS
        assert jobs(both.proxy) == [("pull", NEW, False)]
        pulling.close()


@pytest.mark.parametrize("data", [copy(CHAT, "mine"), copy(EMBEDDER, CHAT)], ids=["source", "destination"])
@runs
async def test_a_copy_waits_for_its_source_and_for_its_destination(data: bytes) -> None:
    async with servers("a", "b") as both:
        await held(both, CHAT)
        copying = await waiting(both, data)
        release(both)
        assert done(await copying.answer()) == []
        assert [one[0] for one in told(both)] == ["pull", "pull", "copy", "copy"]


@runs
async def test_what_comes_behind_a_copy_waits_for_both_of_its_models() -> None:
    async with servers("a", "b") as both:
        await held(both, CHAT)
        copying = await waiting(both, copy(CHAT, "mine"))
        deleting = await waiting(both, delete("mine"))
        other = await waiting(both, delete(CHAT))
        release(both)
        for client in (copying, deleting, other):
            assert done(await client.answer()) == []
        order = [(one[0], one[2]) for one in told(both)]
        assert order[:4] == [("pull", CHAT)] * 2 + [("copy", "mine")] * 2
        assert sorted(order[4:]) == [("delete", "mine")] * 2 + [("delete", CHAT)] * 2
        assert not any(has(one, name) for one in both.ollamas.values() for name in (CHAT, "mine"))


@runs
async def test_many_jobs_of_one_model_are_done_in_the_order_in_which_they_came() -> None:
    async with servers("a") as both:
        await held(both, CHAT)
        asked = [copy(EMBEDDER, CHAT), delete(), copy(EMBEDDER, CHAT), copy(CHAT, "mine"), delete()]
        clients = [await waiting(both, data) for data in asked]
        release(both)
        for client in clients:
            assert done(await client.answer()) == []
        assert [one[0] for one in told(both)] == ["pull", "copy", "delete", "copy", "copy", "delete"]


# -- leaving -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [delete(NEW), copy(CHAT, NEW), pull(NEW, insecure=True), push(NEW)])
@runs
async def test_a_client_that_leaves_while_its_job_waits_withdraws_it(data: bytes) -> None:
    path = data.split(b" ")[1].decode()
    async with servers("a", "b") as both:
        pulling = await held(both)
        leaving = await waiting(both, data)
        behind = await waiting(both, delete(NEW))
        counts = [len(one.asked(path)) for one in both.ollamas.values()]
        leaving.close()
        await both.proxy.events.until(lambda: bool(both.proxy.events.of(RequestEnded)))
        assert both.proxy.events.of(RequestEnded)[0].end is End.CLIENT_LEFT
        await both.until(lambda: len(jobs(both.proxy)) == 2)
        assert {one.end for one in both.proxy.events.of(JobEnded)} == {JobEnd.STOPPED}
        assert [len(one.asked(path)) for one in both.ollamas.values()] == counts
        release(both)
        assert done(await behind.answer()) == []
        await begun(pulling)
        assert await last_line(pulling) == SUCCESS


@pytest.mark.parametrize("leave", [Client.close, Client.reset])
@pytest.mark.parametrize("data", [delete(), copy(EMBEDDER, CHAT)])
@runs
async def test_what_has_begun_is_done_though_its_client_leaves(
    data: bytes, leave: Callable[[Client], None]
) -> None:
    path = data.split(b" ")[1].decode()
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(Hangs(), path=path)
        client = await both.proxy.connect()
        await client.send(data)
        await both.until(lambda: both.ollamas["a"].hanging == 1)
        leave(client)
        behind = await waiting(both, delete())
        release(both)
        assert (await behind.answer()).status == (404 if path == DELETE else 200)
        assert [one[3] for one in told(both)][:2] == ["done", "done"]


@runs
async def test_a_client_that_only_sends_no_more_has_its_delete_answered() -> None:
    """As Ollama answers it."""
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(Hangs(), path=DELETE)
        client = await both.proxy.connect()
        await client.send(delete())
        await both.until(lambda: both.ollamas["a"].hanging == 1)
        client.half_close()
        await both.look()
        release(both)
        assert done(await client.answer()) == []


# -- how many at a time --------------------------------------------------------------------------------


@runs
async def test_no_more_pulls_go_on_at_a_time_than_manage_parallel() -> None:
    """Of all models together, and whatever comes behind them."""

    def begun_and_held() -> tuple[int, int]:
        pulls = [one for ollama in both.ollamas.values() for one in ollama.pulls]
        return len(pulls), sum(one.is_held for one in pulls)

    async def until_one_more(number: int) -> None:
        await both.until(lambda: begun_and_held() == (number, 1))

    async with servers("a", "b", manage_parallel=1) as both:
        for ollama in both.ollamas.values():
            ollama.fail_next_pull(HangsPulling(2))
            ollama.fail_next_pull(HangsPulling(2))
        clients = [await both.proxy.connect() for _ in range(2)]
        for client, name in zip(clients, (NEW, "mistral"), strict=True):
            await client.send(pull(name))
            assert (await begun(client))["status"] == "pulling manifest"
        for number in (1, 2, 3, 4):
            await until_one_more(number)
            await both.look()
            assert begun_and_held() == (number, 1)
            assert done(await both.proxy.ask(copy(CHAT, "mine"))) == []  # which waits for no pull
            release(both)
        for client in clients:
            assert await last_line(client) == SUCCESS


@runs
async def test_probes_loads_and_clients_never_wait_for_a_pull() -> None:
    """Though more pulls hang than go on at a time."""
    async with servers("a", manage_parallel=2) as both:
        clients = [await held(both, name) for name in (NEW, "mistral")]
        clients.append(await both.proxy.connect())
        await clients[-1].send(pull("phi3"))
        await both.until(lambda: len(jobs(both.proxy)) == 3)
        counts = [len(both.ollama.asked(path)) for path in ("/api/tags", "/api/ps")]
        await both.look()
        assert [len(both.ollama.asked(path)) for path in ("/api/tags", "/api/ps")] > counts
        assert (await both.ask("/api/chat")).status == 200
        assert (await both.ask("/v1/embeddings", EMBEDDER)).status == 200
        assert (await both.proxy.ask(get("/api/tags"))).status == 200
        requests, probes, ours = both.proxy.app._pools
        assert (len(ours.open), len(requests.open) >= 1, len(probes.open) >= 1) == (2, True, True)
        for client in clients:
            client.close()
        await both.until(lambda: not ours.open)


# -- whatever happens ----------------------------------------------------------------------------------


@runs
async def test_jobs_leave_no_idle_connections() -> None:
    async with servers("a", "b") as both:
        pool = both.proxy.app._pools[2]
        for _ in range(5):
            done(await both.proxy.ask(copy(CHAT, "mine")))
            done(await both.proxy.ask(delete("mine")))
        await both.until(lambda: not pool.open)
        assert [len(one.deletes) for one in both.ollamas.values()] == [5, 5]


@pytest.mark.parametrize("seed", range(4))
@runs
async def test_many_jobs_at_once_leave_nothing_behind(seed: int) -> None:
    """Some of whose clients leave, and some of whose servers fail."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    names = (CHAT, EMBEDDER, "mine")
    async with servers("a", "b", "c") as both:
        clients = []
        for _ in range(25):
            name = chance.choice(names)
            made = chance.choice((pull(name), delete(name), copy(chance.choice(names), name), push(name)))
            if chance.random() < 0.2:
                ollama = chance.choice(list(both.ollamas.values()))
                ollama.publish(name, chance.randrange(3))
                ollama.fail_next_pull(FailsToPull(chance.randrange(1, 15)))
            client = await both.proxy.connect()
            await client.send(made)
            clients.append(client)
            if chance.random() < 0.3:
                clients.pop(chance.randrange(len(clients))).reset()
            if chance.random() < 0.3:
                assert (await both.proxy.ask(get("/api/tags"))).status == 200
        for client in clients:
            assert (await client.answer()).is_whole
        await tidied(both)
        assert both.proxy.app._duties.jobs._queues.all() == []
        await both.settled()
        assert [one for ollama in both.ollamas.values() for one in hidden(ollama)] == []
        await both.look()
        there = {one.name.shortest for ollama in both.ollamas.values() for one in ollama.engine.library.all()}
        assert set(await both.names()) == there
        # Those for names of ours may be used again.
        await both.until(lambda: len(both.proxy.app._pools[2].open) <= len(both.ollamas))


@runs
async def test_a_job_outlives_the_configuration_that_it_began_with() -> None:
    """Also on a server that is configured no more, whose connection is let go when it has ended."""
    async with servers("a", "b") as both:
        config = both.proxy.app._config
        pulling = await held(both)
        models = {key: replace(model, servers=("a",)) for key, model in config.models.items()}
        both.proxy.app.apply(replace(config, servers={"a": config.servers["a"]}, models=models))
        assert (await both.proxy.ask(delete(CHAT))).status == 200
        assert has(both.ollamas["b"], CHAT)
        release(both)
        await begun(pulling)
        assert await last_line(pulling) == SUCCESS
        assert all(has(one, NEW) for one in both.ollamas.values())
        await tidied(both)
        await both.until(lambda: not both.proxy.app._pools[2].open)


@runs
async def test_a_pull_may_be_silent_for_longer_than_any_limit_of_answers() -> None:
    limits = {"first_byte_timeout": 0.1, "idle_timeout": 0.1, "load_timeout": 0.1}
    async with servers("a", "b", **limits) as both:
        both.ollamas["a"].fail_next(Hangs(), path=PULL)
        both.ollamas["b"].fail_next_pull(HangsPulling(4))
        client = await both.proxy.connect()
        await client.send(pull())
        await both.until(lambda: both.ollamas["a"].hanging == 1 and bool(both.ollamas["b"].pulls))
        for ollama in both.ollamas.values():
            ollama.fail_next(HangsAfter(1), path="/api/generate")
        cut = await both.proxy.ask(post("/api/generate", b'{"model":"smol","prompt":"hi"}'))
        assert b"error" in cut.body  # so a limit has passed
        assert both.ollamas["a"].hanging >= 1
        release(both)
        await begun(client)
        assert await last_line(client) == SUCCESS


@runs
async def test_a_job_that_comes_before_any_server_was_seen_waits_for_that() -> None:
    ollamas = [SimulatedOllama(Settings(models=(CHAT,))) for _ in "ab"]
    async with serving(ollamas[0]) as first, serving(ollamas[1]) as second:
        ends = [RawServer("a", port=first.address.port), RawServer("b", port=second.address.port)]
        async with running(a_config(ends, {CHAT: ends})) as proxy:
            assert done(await proxy.ask(delete())) == []
            assert not any(has(one, CHAT) for one in ollamas)


@pytest.mark.parametrize("data", [delete(), copy(CHAT, "mine")])
@runs
async def test_a_server_that_the_probes_find_down_ends_its_part_of_any_job(data: bytes) -> None:
    path = data.split(b" ")[1].decode()
    async with servers("a", "b", probe_interval=0.05) as both:
        both.ollamas["b"].fail_next(Hangs(), path=path)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(both.proxy.ask(data))
            await both.until(lambda: both.ollamas["b"].hanging == 1)
            both.ollamas["b"].fail_next(Fails(500), path="/api/version", times=-1)
        status, text = refusal(asking.result())
        assert (status, text.startswith("server b: it is down: ")) == (502, True)
        assert ends(both) == {"a": JobEnd.DONE, "b": JobEnd.FAILED}
        release(both)
        await both.until(lambda: not both.ollamas["b"].hanging)


# -- what is shown -------------------------------------------------------------------------------------


@runs
async def test_state_shows_jobs_under_way_with_each_target_s_progress() -> None:
    async with servers("a", "b", admin=ADMIN) as both:
        pulling = await held(both, on=["b"], after=3)
        await until_ended(both, 1)
        deleting = await waiting(both, delete(NEW))
        first, second = (await state_of(both.proxy))["jobs"]
        model = both.ollamas["a"].engine.library.find(NEW)
        assert model is not None
        assert (first["kind"], first["model"], first["is_waiting"], first["watchers"]) == (
            "pull",
            NEW,
            False,
            1,
        )
        at_a, at_b = first["targets"]
        assert (at_a["server"], at_a["status"], at_a["completed"], at_a["total"]) == (
            "a", "done", model.size, model.size,
        )  # fmt: skip
        assert (at_b["server"], at_b["total"]) == ("b", model.layers[0][1])
        assert at_b["status"] == f"pulling {model.layers[0][0][:12]}"
        assert (second["kind"], second["is_waiting"], second["age_s"] <= first["age_s"]) == (
            "delete",
            True,
            True,
        )
        assert [one["completed"] for one in second["targets"]] == [None, None]
        release(both)
        assert done(await deleting.answer()) == []
        await tidied(both)
        assert (await state_of(both.proxy))["jobs"] == []
        pulling.close()


@runs
async def test_the_event_of_a_request_names_its_model_and_tells_its_end() -> None:
    async with servers("a") as both:
        await both.proxy.ask(delete(f"library/{CHAT}"))
        await both.proxy.ask(delete())
        ended = await both.proxy.events.ended(2)
        first = both.proxy.events.of(RequestEnded)[0]
        assert (first.route, first.model, first.status, first.end, first.error) == (
            DELETE, f"library/{CHAT}", 200, End.DONE, None,
        )  # fmt: skip
        assert (ended.status, ended.error) == (404, "model 'smol' not found")
        assert [(one.kind, one.model) for one in both.proxy.events.of(JobEnded)] == [
            (JobKind.DELETE, f"library/{CHAT}"),
            (JobKind.DELETE, CHAT),
        ]
        assert json.loads(both.ollama.asked(DELETE)[0].body) == {"model": f"library/{CHAT}"}
