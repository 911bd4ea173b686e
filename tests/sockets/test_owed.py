"""What a server missed while it was down is done once when it returns, unless somebody changed the model."""

import json
from dataclasses import replace

import pytest

from gollamas.events import JobCause, JobEnd, JobEnded, JobKind
from gollamas.simulate.faults import FailsToPull, HangsPulling
from gollamas.simulate.serving import serving
from tests.sockets.jobs import (
    AWAY,
    COPY,
    DELETE,
    NEW,
    PULL,
    SUCCESS,
    changed,
    copy,
    delete,
    done,
    has,
    held,
    lines,
    pull,
    release,
    servers,
    tidied,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, post
from tests.sockets.simulated import CHAT, EMBEDDER, Fleet
from tests.sockets.test_state import ADMIN, state_of


def owed(both: Fleet) -> list[tuple[str, str, str]]:
    """Say what is owed: kind, model, server."""
    return [(one.kind, one.model, one.server) for one in both.proxy.app._duties.jobs.owed()]


def late(both: Fleet) -> list[JobEnded]:
    """Give the parts that were owed, in the order in which they ended."""
    return [event for event in both.proxy.events.of(JobEnded) if event.why is JobCause.OWED]


async def listed(both: Fleet, name: str) -> None:
    """Wait until a server that is back has said what it has, and what followed from that is over."""
    await both.look()
    await tidied(both)
    assert both.proxy.app.view.servers[name].has_listed


@runs
async def test_a_delete_is_done_when_the_server_returns() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        done(await both.proxy.ask(delete()))
        assert owed(both) == [("delete", CHAT, "b")]
        await both.bring_back("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        (event,) = late(both)
        assert (event.kind, event.server, event.end, event.is_owed) == (
            JobKind.DELETE,
            "b",
            JobEnd.DONE,
            False,
        )
        assert not has(both.ollamas["b"], CHAT)
        assert owed(both) == []
        assert (await both.ask("/api/chat")).status == 404


@runs
async def test_a_server_that_refuses_the_connection_is_owed_what_it_missed() -> None:
    """Before any probe has found out."""
    async with servers("a", "b", probe_interval=1.0) as both:
        await both.sockets["b"].aclose()
        found = lines(await both.proxy.ask(pull()))
        assert {"status": "b is down: the model will be pulled there when it is back"} in found
        assert found[-1] == SUCCESS
        assert owed(both) == [("pull", NEW, "b")]
        await both.bring_back("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        assert has(both.ollamas["b"], NEW)


@runs
async def test_a_delete_is_not_done_where_the_model_changed_meanwhile() -> None:
    async with servers("a", "b", "c", **AWAY) as both:
        for name in "bc":
            await both.take_down(name)
        done(await both.proxy.ask(delete()))
        await directly(both, "b", {"source": EMBEDDER, "destination": CHAT})
        for name in "bc":
            await both.bring_back(name)
        await both.proxy.events.until(lambda: len(late(both)) == 2)
        await listed(both, "b")
        assert (has(both.ollamas["b"], CHAT), has(both.ollamas["c"], CHAT)) == (True, False)
        assert both.ollamas["b"].asked(DELETE) == []
        (dropped,) = [event for event in late(both) if event.server == "b"]
        assert dropped.end is JobEnd.STOPPED
        assert dropped.error == (
            f"b missed the delete of {CHAT} and is owed it no more: "
            "what it has by that name is not what it had"
        )


async def directly(both: Fleet, server: str, body: dict[str, str]) -> None:
    """Copy on a server that nobody can reach: as somebody does who sits at it."""
    async with serving(both.ollamas[server]) as elsewhere:
        client = await Client.connect(elsewhere.address.port)
        assert (await client.ask(post(COPY, json.dumps(body).encode()))).status == 200
        client.close()


@runs
async def test_a_pull_is_not_done_where_the_model_came_meanwhile() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        await directly(both, "b", {"source": CHAT, "destination": NEW})
        await both.bring_back("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        assert late(both)[0].end is JobEnd.STOPPED
        assert both.ollamas["b"].pulls == []


@pytest.mark.parametrize("last", ["pull", "delete"])
@runs
async def test_a_later_job_of_the_model_replaces_what_was_owed(last: str) -> None:
    async with servers("a", "b", **AWAY) as both:
        for ollama in both.ollamas.values():
            ollama.publish(CHAT, 1)
        await both.take_down("b")
        for kind in ("delete", "pull") if last == "pull" else ("pull", "delete"):
            await both.proxy.ask(pull(CHAT) if kind == "pull" else delete())
        assert owed(both) == [(last, CHAT, "b")]
        await both.bring_back("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        assert [(one.kind, one.end) for one in late(both)] == [(last, JobEnd.DONE)]
        assert changed(both).count(PULL if last == "delete" else DELETE) == 1  # at the one that was up
        assert has(both.ollamas["b"], CHAT) is (last == "pull")


@runs
async def test_a_copy_over_the_model_replaces_it_too_and_is_owed_to_nobody() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        assert done(await both.proxy.ask(copy(CHAT, NEW))) == ["b is down and has not copied the model"]
        assert owed(both) == []
        await both.bring_back("b")
        await listed(both, "b")
        assert late(both) == []
        assert both.ollamas["b"].asked(COPY) == []


@runs
async def test_a_pull_that_its_client_left_is_owed_to_nobody() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        client = await held(both, on=["a"])
        assert owed(both) == [("pull", NEW, "b")]
        client.close()
        await both.until(lambda: owed(both) == [])
        await both.bring_back("b")
        await listed(both, "b")
        assert both.ollamas["b"].pulls == []


@runs
async def test_what_is_owed_is_tried_once() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.ollamas["b"].fail_next_pull(FailsToPull(2))
        await both.bring_back("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        assert late(both)[0].end is JobEnd.FAILED
        assert owed(both) == []
        await both.take_down("b")
        await both.bring_back("b")
        await listed(both, "b")
        assert len(both.ollamas["b"].pulls) == 1


@runs
async def test_a_server_that_goes_down_in_its_owed_pull_is_owed_it_no_more() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.ollamas["b"].fail_next_pull(HangsPulling(2))
        await both.bring_back("b")
        await both.until(lambda: bool(both.ollamas["b"].pulls) and both.ollamas["b"].pulls[-1].is_held)
        await both.take_down("b")
        await both.proxy.events.until(lambda: bool(late(both)))
        assert (late(both)[0].end, owed(both)) == (JobEnd.FAILED, [])


@runs
async def test_clients_see_and_may_join_a_pull_that_was_owed() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.ollamas["b"].fail_next_pull(HangsPulling(3))
        await both.bring_back("b")
        await both.until(lambda: bool(both.ollamas["b"].pulls) and both.ollamas["b"].pulls[-1].is_held)
        client = await both.proxy.connect()
        await client.send(pull(NEW, b"X-Gollamas-Server: b", stream=False))
        (job,) = both.proxy.app._duties.jobs.under_way()
        await both.until(lambda: both.proxy.app._duties.jobs.under_way()[0].watchers == 1)
        assert [one.server for one in job.targets] == ["b"]
        other = await both.proxy.connect()
        await other.send(pull(NEW, b"X-Gollamas-Server: b"))
        await both.until(lambda: both.proxy.app._duties.jobs.under_way()[0].watchers == 2)
        other.close()
        await both.until(lambda: both.proxy.app._duties.jobs.under_way()[0].watchers == 1)
        release(both)
        assert (await client.answer()).body == b'{"status":"success"}'
        assert len(both.ollamas["b"].pulls) == 1


@runs
async def test_what_is_owed_is_shown_and_told() -> None:
    async with servers("a", "b", admin=ADMIN, **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        done(await both.proxy.ask(delete()))
        found = (await state_of(both.proxy))["owed"]
        assert [(one["kind"], one["model"], one["server"]) for one in found] == [
            ("pull", NEW, "b"),
            ("delete", CHAT, "b"),
        ]
        assert found[0]["age_s"] >= found[1]["age_s"] >= 0
        missed = [event for event in both.proxy.events.of(JobEnded) if event.is_owed]
        assert [(one.kind, one.server, one.end) for one in missed] == [
            (JobKind.PULL, "b", JobEnd.DOWN), (JobKind.DELETE, "b", JobEnd.DOWN),
        ]  # fmt: skip
        await both.bring_back("b")
        await both.proxy.events.until(lambda: len(late(both)) == 2)
        assert (await state_of(both.proxy))["owed"] == []


@runs
async def test_a_server_that_is_configured_no_more_is_owed_nothing() -> None:
    """Nor another one of its name."""
    async with servers("a", "b", **AWAY) as both:
        config = both.proxy.app._config
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        models = {key: replace(model, servers=("a",)) for key, model in config.models.items()}
        both.proxy.app.apply(replace(config, servers={"a": config.servers["a"]}, models=models))
        assert owed(both) == []
        both.proxy.app.apply(config)
        await both.bring_back("b")
        await listed(both, "b")
        assert (late(both), both.ollamas["b"].pulls) == ([], [])


@runs
async def test_a_reload_that_leaves_the_server_keeps_what_it_is_owed() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.proxy.app.apply(replace(both.proxy.app._config, aliases={}))
        assert owed(both) == [("pull", NEW, "b")]


@runs
async def test_requests_go_on_while_a_server_catches_up() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.ollamas["b"].fail_next_pull(HangsPulling(2))
        await both.bring_back("b")
        await both.until(lambda: bool(both.ollamas["b"].pulls) and both.ollamas["b"].pulls[-1].is_held)
        assert (await both.ask("/api/chat", NEW)).status == 200
        assert (await both.proxy.ask(post("/api/show", b'{"model":"llama3.2"}'))).status == 200
        release(both)
        await both.proxy.events.until(lambda: bool(late(both)))
        assert late(both)[0].end is JobEnd.DONE
