"""A model with `sync` gets to all of its servers by itself, behind what clients ask for."""

import asyncio
import json
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from gollamas.events import JobCause, JobEnd, JobEnded, JobKind
from gollamas.fleet.syncing import Syncing
from gollamas.names import key_of
from gollamas.simulate.faults import FailsToPull, FillsDisk, HangsPulling
from tests.sockets.jobs import (
    AWAY,
    NEW,
    PULL,
    SUCCESS,
    begun,
    copy,
    delete,
    done,
    has,
    held,
    last_line,
    lines,
    pull,
    release,
    servers,
    tidied,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import post
from tests.sockets.simulated import CHAT, Fleet
from tests.sockets.test_state import ADMIN, state_of

TAGGED: Final = f"{NEW}:latest"  # as it is asked for, since it is not configured
OTHER: Final = "qwen3:4b"  # the registry has it, too
THIRD: Final = "gemma3:4b"


def levels(*names: str) -> dict[tuple[str, str], bool]:
    return {(key_of(name) or "", ""): True for name in names}


def begin(both: Fleet, *names: str, first_pause: float = 60.0, silence: float = 1800.0) -> Syncing:
    """Have these models be on all servers from now on; gives what decides about that, with these times."""
    app = both.proxy.app
    app.apply(replace(app._config, sync=levels(*names)))
    wishes = app._duties.keeper._wishes
    assert wishes is not None
    wishes.syncing.first_pause, wishes.syncing.silence = first_pause, silence
    return wishes.syncing


def synced(both: Fleet, server: str | None = None) -> list[JobEnded]:
    """Give the pulls that nobody asked for and that have ended, in order."""
    found = [event for event in both.proxy.events.of(JobEnded) if event.why is JobCause.SYNC]
    return [event for event in found if server in (None, event.server)]


def ends_on(both: Fleet, server: str) -> list[JobEnd]:
    return [event.end for event in synced(both, server)]


def lacking(both: Fleet) -> list[tuple[str, str, str]]:
    """Say what is not where it is to be: model, server, status."""
    return [(one.name, one.server_id, one.status.value) for one in both.proxy.app._duties.keeper.lacking()]


async def until_there(both: Fleet, *places: str, name: str = NEW) -> None:
    await both.until(lambda: all(has(both.ollamas[one], name) for one in places))
    await tidied(both)


def pulls_of(both: Fleet, server: str, name: str = NEW) -> int:
    """Count how often a server was asked to pull a model."""
    asked = [key_of(json.loads(one.body)["model"]) for one in both.ollamas[server].asked(PULL)]
    return asked.count(key_of(name))


# -- where it is missing -------------------------------------------------------------------------------


@runs
async def test_at_the_start_it_is_pulled_where_it_is_missing() -> None:
    async with servers("a", "b", sync=levels(NEW, CHAT)) as both:
        await until_there(both, "a", "b")
        found = sorted(synced(both), key=lambda event: event.server)
        assert [(one.kind, one.server, one.model, one.end, one.error) for one in found] == [
            (JobKind.PULL, "a", TAGGED, JobEnd.DONE, None),
            (JobKind.PULL, "b", TAGGED, JobEnd.DONE, None),
        ]
        assert (await both.ask("/api/chat", NEW)).status == 200
        assert [pulls_of(both, server, CHAT) for server in "ab"] == [0, 0]
        assert lacking(both) == []


@runs
async def test_what_has_been_pulled_is_not_pulled_again() -> None:
    async with servers("a", "b") as both:
        begin(both, NEW)
        await until_there(both, "a", "b")
        for _ in range(3):
            await both.look()
        assert (ends_on(both, "a"), ends_on(both, "b")) == ([JobEnd.DONE], [JobEnd.DONE])


@runs
async def test_a_server_that_has_it_is_left_alone_whatever_it_has_by_that_name() -> None:
    async with servers("a", "b", "c") as both:
        done_by = lines(await both.proxy.ask(pull(NEW, b"X-Gollamas-Server: a")))
        both.ollamas["b"].publish(NEW, 1)
        lines(await both.proxy.ask(pull(NEW, b"X-Gollamas-Server: b")))
        assert done_by[-1] == SUCCESS
        begin(both, NEW)
        await until_there(both, "c")
        assert [pulls_of(both, server) for server in "abc"] == [1, 1, 1]
        digests = [both.ollamas[server].engine.library.find(NEW) for server in "abc"]
        assert len({one.digest for one in digests if one is not None}) == 2


@runs
async def test_a_server_that_comes_later_pulls_when_it_is_there() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        begin(both, NEW)
        await until_there(both, "a")
        assert lacking(both) == [(TAGGED, "b", "waiting")]
        await both.bring_back("b")
        await until_there(both, "b")
        assert [pulls_of(both, server) for server in "ab"] == [1, 1]


@runs
async def test_a_server_that_goes_down_in_the_middle_goes_on_when_it_is_back() -> None:
    """At once, though it has failed: the minute that it would wait is of servers that are up."""
    async with servers("a", "b", **AWAY) as both:
        both.ollamas["b"].fail_next_pull(HangsPulling(2))
        begin(both, NEW)
        await both.until(lambda: bool(both.ollamas["b"].pulls and both.ollamas["b"].pulls[-1].is_held))
        await both.take_down("b")
        await both.until(lambda: ends_on(both, "b") == [JobEnd.FAILED])
        await both.bring_back("b")
        await until_there(both, "b")
        assert ends_on(both, "b") == [JobEnd.FAILED, JobEnd.DONE]
        assert ends_on(both, "a") == [JobEnd.DONE]


@runs
async def test_servers_that_come_and_go_end_up_alike() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        begin(both, NEW, OTHER, first_pause=0.01)
        for server in ("a", "b", "c", "b", "a"):
            await both.take_down(server)
            both.ollamas[server].fail_next_pull(FailsToPull(2))
            await both.bring_back(server)
        for name in (NEW, OTHER):
            await until_there(both, "a", "b", "c", name=name)
        assert lacking(both) == []
        await both.until(lambda: both.proxy.app._duties.jobs.room == 4)


# -- when it fails -------------------------------------------------------------------------------------


@runs
async def test_one_that_is_full_is_tried_again_and_the_others_do_not_wait_for_it() -> None:
    async with servers("a", "b", admin=ADMIN) as both:
        both.ollamas["b"].fail_next_pull(FillsDisk(3))
        begin(both, NEW)
        await until_there(both, "a")
        await both.until(lambda: ends_on(both, "b") == [JobEnd.FAILED])
        (event,) = synced(both, "b")
        assert event.error is not None
        assert event.error.endswith("no space left on device")
        (told,) = (await state_of(both.proxy))["sync"]
        assert 59 < told.pop("retry_in_s") <= 60
        assert told == {
            "model": TAGGED,
            "server": "b",
            "status": "failed",
            "failures": 1,
            "error": event.error,
        }
        assert (await both.ask("/api/chat", NEW)).status == 200


@runs
async def test_a_pull_that_failed_is_tried_again_until_it_is_there() -> None:
    async with servers("a") as both:
        for _ in range(3):
            both.ollama.fail_next_pull(FillsDisk(3))
        begin(both, NEW, first_pause=0.01)
        await until_there(both, "a")
        assert ends_on(both, "a") == [*[JobEnd.FAILED] * 3, JobEnd.DONE]


@runs
async def test_one_that_says_nothing_new_is_given_up_and_tried_again() -> None:
    async with servers("a") as both:
        both.ollama.fail_next_pull(HangsPulling(2))
        begin(both, NEW, first_pause=0.01, silence=0.3)
        await until_there(both, "a")
        first, *_, last = synced(both)
        assert (first.end, first.error) == (JobEnd.FAILED, "it reported nothing new for 30 minutes")
        assert last.end is JobEnd.DONE
        assert both.ollama.pulls[0].ended == "aborted"


# -- behind what clients ask for -----------------------------------------------------------------------


async def held_sync(both: Fleet, *names: str, on: str = "a") -> None:
    """Begin to sync, and wait until that pull hangs."""
    both.ollamas[on].fail_next_pull(HangsPulling(2))
    begin(both, *names)
    await both.until(lambda: bool(both.ollamas[on].pulls and both.ollamas[on].pulls[-1].is_held))


@runs
async def test_a_client_that_pulls_the_same_model_takes_it_over() -> None:
    async with servers("a", "b", admin=ADMIN) as both:
        await held_sync(both, NEW)
        (job, *_) = [
            one for one in (await state_of(both.proxy))["jobs"] if one["targets"][0]["server"] == "a"
        ]
        assert (job["kind"], job["model"], job["why"], job["watchers"]) == ("pull", TAGGED, "sync", 0)
        found = lines(await both.proxy.ask(pull()))
        assert (found[0], found[-1]) == ({"status": "pulling manifest"}, SUCCESS)
        await tidied(both)
        assert ends_on(both, "a") == [JobEnd.STOPPED]
        assert synced(both, "a")[0].error == "a client changes the model"
        assert all(has(both.ollamas[server], NEW) for server in "ab")
        assert lacking(both) == []


@runs
async def test_a_client_that_leaves_leaves_the_rest_to_the_sync() -> None:
    async with servers("a") as both:
        begin(both)
        client = await held(both)
        begin(both, NEW)
        client.close()
        await until_there(both, "a")
        assert ends_on(both, "a") == [JobEnd.DONE]


@runs
async def test_a_client_that_pulls_another_model_does_not_wait_for_a_slot() -> None:
    async with servers("a", manage_parallel=1) as both:
        await held_sync(both, NEW)
        assert lines(await both.proxy.ask(pull(OTHER)))[-1] == SUCCESS
        assert has(both.ollama, OTHER)
        await until_there(both, "a")
        first, second = synced(both)
        assert (first.end, first.error) == (JobEnd.STOPPED, "a client's pull or create goes first")
        assert second.end is JobEnd.DONE


@runs
async def test_nothing_is_begun_while_clients_wait_for_a_slot() -> None:
    async with servers("a", manage_parallel=1) as both:
        clients = [await held(both, THIRD)]
        begin(both, NEW)
        clients.append(await both.proxy.connect())
        await clients[1].send(pull(OTHER))
        assert await begun(clients[1]) == {"status": "pulling manifest"}
        await both.until(lambda: len(both.proxy.app._duties.jobs.under_way()) == 2)
        assert (lacking(both), pulls_of(both, "a")) == ([(TAGGED, "a", "waiting")], 0)
        release(both)
        assert await last_line(clients[1]) == SUCCESS
        await until_there(both, "a")
        order = [json.loads(one.body)["model"] for one in both.ollama.asked(PULL)]
        assert order == [THIRD, OTHER, TAGGED]
        for client in clients:
            client.close()


@runs
@pytest.mark.parametrize("parallel", [1, 3])
async def test_no_more_go_on_at_a_time_than_may(parallel: int) -> None:
    async with servers("a", "b", "c", manage_parallel=parallel) as both:
        for ollama in both.ollamas.values():
            for _ in range(2):
                ollama.fail_next_pull(HangsPulling(2))
        begin(both, NEW, OTHER)

        def begun_and_held(count: int) -> bool:
            found = [one for ollama in both.ollamas.values() for one in ollama.pulls]
            return len(found) == count and sum(one.is_held for one in found) == parallel

        for count in range(parallel, 7, parallel):
            await both.until(partial(begun_and_held, count))
            assert len(both.proxy.app._duties.jobs.under_way()) == parallel
            release(both)
        for name in (NEW, OTHER):
            await until_there(both, "a", "b", "c", name=name)


# -- what clients delete -------------------------------------------------------------------------------


@runs
async def test_a_delete_stops_it_and_ends_it() -> None:
    async with servers("a", "b") as both:
        await held_sync(both, NEW)
        await both.until(lambda: ends_on(both, "b") == [JobEnd.DONE])
        done(await both.proxy.ask(delete(NEW)))
        await tidied(both)
        assert ends_on(both, "a") == [JobEnd.STOPPED]
        await both.look()
        assert lacking(both) == [(TAGGED, "a", "deleted"), (TAGGED, "b", "deleted")]
        assert [pulls_of(both, server) for server in "ab"] == [1, 1]


@runs
@pytest.mark.parametrize("again", ["pull", "create", "copy"])
async def test_what_was_deleted_is_synced_again_once_it_is_pulled_or_created(again: str) -> None:
    """Though on one server alone: the model is wanted again."""
    async with servers("a", "b") as both:
        begin(both, NEW)
        await until_there(both, "a", "b")
        done(await both.proxy.ask(delete(NEW)))
        await both.look()
        only = b"X-Gollamas-Server: a"
        made: dict[str, bytes] = {
            "pull": pull(NEW, only),
            "create": post("/api/create", json.dumps({"model": NEW, "from": CHAT}).encode(), only),
            "copy": copy(CHAT, NEW, only),
        }
        assert (await both.proxy.ask(made[again])).status == 200
        await until_there(both, "a", "b")
        assert (pulls_of(both, "b"), lacking(both)) == (2, [])


@runs
async def test_a_delete_on_one_server_ends_it_there_alone() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        begin(both, NEW)
        await until_there(both, "a", "b", "c")
        done(await both.proxy.ask(delete(NEW, b"X-Gollamas-Server: b")))
        await both.take_down("c")
        both.ollamas["c"].engine.library.remove(_model(both, "c"))
        await both.bring_back("c")
        await until_there(both, "c")
        await both.look()
        assert (lacking(both), has(both.ollamas["b"], NEW)) == ([(TAGGED, "b", "deleted")], False)


@runs
async def test_a_server_that_was_down_for_the_delete_does_not_bring_it_back() -> None:
    async with servers("a", "b", **AWAY) as both:
        begin(both, NEW)
        await until_there(both, "a", "b")
        await both.take_down("b")
        done(await both.proxy.ask(delete(NEW)))
        await both.bring_back("b")
        await both.until(lambda: not has(both.ollamas["b"], NEW))
        await tidied(both)
        await both.look()
        assert lacking(both) == [(TAGGED, "a", "deleted"), (TAGGED, "b", "deleted")]
        assert [pulls_of(both, server) for server in "ab"] == [1, 1]


def _model(both: Fleet, server: str) -> Any:
    found = both.ollamas[server].engine.library.find(NEW)
    assert found is not None
    return found


@runs
async def test_another_configuration_begins_anew() -> None:
    async with servers("a") as both:
        await held_sync(both, NEW)
        begin(both, NEW)
        await until_there(both, "a")
        assert [(one.end, one.error) for one in synced(both)] == [
            (JobEnd.STOPPED, "the configuration has changed"),
            (JobEnd.DONE, None),
        ]
        assert both.proxy.app._duties.jobs.room == 4


# -- the end -------------------------------------------------------------------------------------------


@runs
async def test_the_end_of_the_process_waits_for_no_pull_of_its_own() -> None:
    async with servers("a") as both:
        await held_sync(both, NEW)
        both.proxy.app.drain()
        await asyncio.wait_for(both.proxy.events.until(lambda: bool(synced(both))), 5)
        (event,) = synced(both)
        assert (event.end, event.error) == (JobEnd.STOPPED, "gollamas is shutting down")
        await both.until(lambda: not both.proxy.app._duties.jobs.under_way())
        assert [one.ended for one in both.ollama.pulls] == ["aborted"]
