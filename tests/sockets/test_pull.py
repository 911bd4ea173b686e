"""`/api/pull` on all servers of a model at once: one progress, told as one Ollama would."""

import asyncio
import json
from typing import Any

from gollamas.config.model import Expose
from gollamas.events import End, JobCause, JobEnd, JobEnded, JobKind, RequestEnded, Warned
from gollamas.simulate.faults import (
    CutsOff,
    Drops,
    Fails,
    FailsToPull,
    FillsDisk,
    Garbled,
    Hangs,
    HangsAfter,
    RestartsLayer,
)
from tests.sockets.jobs import (
    MANIFEST,
    NEW,
    PULL,
    QUICK,
    SUCCESS,
    a_line,
    begun,
    ends,
    has,
    lines,
    pull,
    servers,
    words,
)
from tests.sockets.proxying import runs
from tests.sockets.raw import get, post
from tests.sockets.simulated import fleet

DELETE = post("/api/delete", b'{"model":"smol"}').replace(b"POST ", b"DELETE ", 1)
DISK_FULL = "write /root/.ollama/models/blobs/x: no space left on device"


# -- one progress --------------------------------------------------------------------------------------


@runs
async def test_a_pull_goes_to_every_server_and_is_told_as_one() -> None:
    async with servers("a", "b", "c") as both:
        found = lines(await both.proxy.ask(pull()))
        assert (found[0], found[-1]) == (MANIFEST, SUCCESS)
        assert words(found) == [
            "pulling manifest", "verifying sha256 digest", "writing manifest", "success",
        ]  # fmt: skip
        layers: dict[str, list[dict[str, Any]]] = {}
        for line in found:
            if "digest" in line:
                layers.setdefault(line["digest"], []).append(line)
        assert len(layers) == 3
        for told in layers.values():
            completed = [line.get("completed", 0) for line in told]
            assert completed == sorted(completed)
            assert all(line.get("completed", 0) <= line["total"] for line in told)
            assert told[-1]["completed"] == told[-1]["total"]
            assert told[0]["status"] == f"pulling {told[0]['digest'][7:19]}"
        one = both.ollama.engine.library.find(NEW)
        assert one is not None
        assert {line["total"] for line in found if "digest" in line} >= {3 * size for _, size in one.layers}
        for ollama in both.ollamas.values():
            (asked,) = ollama.asked(PULL)
            assert json.loads(asked.body) == {"model": NEW, "stream": True}
            assert ollama.engine.library.find(NEW) is not None
        assert ends(both) == dict.fromkeys("abc", JobEnd.DONE)


@runs
async def test_the_next_listing_shows_it_and_requests_reach_it_at_once() -> None:
    async with servers("a", "b", expose=Expose.INSTALLED) as both:
        lines(await both.proxy.ask(pull()))
        assert f"{NEW}:latest" in await both.names()
        views = both.proxy.app.view.servers
        assert all(f"registry.ollama.ai/library/{NEW}:latest" in view.installed for view in views.values())
        assert (await both.ask("/api/chat", NEW)).status == 200


@runs
async def test_whole_it_is_the_last_object_as_recorded() -> None:
    async with servers("a", "b") as both:
        got = await both.proxy.ask(pull(stream=False))
        assert (got.status, got.get(b"content-type"), got.body) == (
            200, b"application/json", b'{"status":"success"}',
        )  # fmt: skip
        assert got.get(b"warning") is None
        assert got.get(b"content-length") == b"20"


@runs
async def test_by_default_a_pull_goes_to_the_servers_of_its_configured_model() -> None:
    async with fleet("a", "b", settings=QUICK, models=("smol", "minilm")) as both:
        assert lines(await both.proxy.ask(pull("smol")))[0] == MANIFEST
        refused = await both.proxy.ask(pull())
        assert (refused.status, "`manage` is `configured`" in refused.body.decode()) == (403, True)
        assert not any(b"llama" in asked.body for one in both.ollamas.values() for asked in one.asked(PULL))


@runs
async def test_the_first_line_goes_out_before_any_server_has_answered() -> None:
    async with servers("a", "b") as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(Hangs(), path=PULL)
        client = await both.proxy.connect()
        await client.send(pull())
        assert await begun(client) == MANIFEST
        client.close()
        await both.proxy.events.ended()


# -- what goes wrong -----------------------------------------------------------------------------------


@runs
async def test_one_that_fails_is_named_in_the_end_and_the_others_go_on() -> None:
    async with servers("a", "b", "c") as both:
        both.ollamas["b"].fail_next(
            Garbled(after=3, instead=json.dumps({"error": DISK_FULL}).encode() + b"\n"), path=PULL
        )
        found = lines(await both.proxy.ask(pull()))
        assert found[-1] == {"error": f"server b: {DISK_FULL}"}
        assert SUCCESS not in found
        assert ends(both) == {"a": JobEnd.DONE, "b": JobEnd.FAILED, "c": JobEnd.DONE}
        for name in "ac":
            assert both.ollamas[name].engine.library.find(NEW) is not None
        event = await both.proxy.events.ended()
        assert (event.status, event.end, event.error) == (200, End.REFUSED, f"server b: {DISK_FULL}")
        whole = both.ollamas["b"]
        whole.fail_next(Garbled(after=1, instead=b'{"error":"no"}\n'), path=PULL)
        got = await both.proxy.ask(pull(stream=False))
        assert (got.status, got.get(b"content-type")) == (500, b"application/json")
        assert json.loads(got.body) == {"error": "server b: no"}


@runs
async def test_a_full_disk_is_told_with_its_server_and_a_registry_that_refuses_in_its_words() -> None:
    async with servers("a", "b") as both:
        both.ollamas["b"].fail_next_pull(FillsDisk(5))
        found = lines(await both.proxy.ask(pull()))
        assert found[-1]["error"].startswith("server b: write /usr/share/ollama/.ollama/blobs/")
        assert found[-1]["error"].endswith("-partial: no space left on device")
        text = "pull model manifest: pull access denied"
        for ollama in both.ollamas.values():
            ollama.fail_next_pull(FailsToPull(1, text))
        assert lines(await both.proxy.ask(pull()))[-1] == {"error": text}
        both.ollamas["a"].fail_next_pull(FailsToPull(1, text))
        assert lines(await both.proxy.ask(pull()))[-1] == {"error": f"server a: {text}"}


@runs
async def test_a_layer_that_begins_anew_never_falls_and_ends_at_its_total() -> None:
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next_pull(RestartsLayer(6))
        both.ollamas["b"].fail_next_pull(RestartsLayer(9), RestartsLayer(11))
        found = lines(await both.proxy.ask(pull()))
        assert found[-1] == SUCCESS
        layers: dict[str, list[dict[str, Any]]] = {}
        for line in found:
            if "digest" in line:
                layers.setdefault(line["digest"], []).append(line)
        for told in layers.values():
            completed = [line.get("completed", 0) for line in told]
            assert completed == sorted(completed)
            assert told[-1]["completed"] == told[-1]["total"]


@runs
async def test_a_server_that_has_the_model_already_is_done_at_once_and_the_others_pull() -> None:
    async with servers("a", "b") as both:
        await both.proxy.ask(pull(NEW, b"X-Gollamas-Server: a"))
        found = lines(await both.proxy.ask(pull()))
        assert found[-1] == SUCCESS
        layers = {line["digest"]: line for line in found if "digest" in line}
        one = both.ollamas["a"].engine.library.find(NEW)
        assert one is not None
        assert {digest[7:]: line["total"] for digest, line in layers.items()} == {
            digest: 2 * size for digest, size in one.layers
        }
        assert has(both.ollamas["b"], NEW)


@runs
async def test_where_all_fail_the_first_error_is_passed_as_recorded() -> None:
    async with servers("a", "b") as both:
        found = lines(await both.proxy.ask(pull("no-such-model")))
        assert found == [MANIFEST, {"error": "pull model manifest: file does not exist"}]
        got = await both.proxy.ask(pull("no-such-model", stream=False))
        assert (got.status, got.body) == (500, b'{"error":"pull model manifest: file does not exist"}')
        for ollama in both.ollamas.values():
            ollama.fail_next(Fails(400, b'{"error":"bad"}'), path=PULL)
        got = await both.proxy.ask(pull(stream=False))
        assert (got.status, got.body) == (400, b'{"error":"bad"}')


@runs
async def test_one_that_dies_in_the_middle_is_named() -> None:
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(CutsOff(after=3), path=PULL)
        found = lines(await both.proxy.ask(pull()))
        assert found[-1]["error"].startswith("server a: ")
        assert ends(both) == {"a": JobEnd.FAILED, "b": JobEnd.DONE}
        layers = {line["digest"]: line for line in found if "digest" in line}
        assert all(line["completed"] == line["total"] for line in layers.values())
        assert len(both.ollamas["a"].asked(PULL)) == 1  # it is not sent again


@runs
async def test_one_that_ends_without_a_word_of_success_has_failed() -> None:
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(Garbled(after=4), path=PULL)
        found = lines(await both.proxy.ask(pull()))
        assert found[-1] == {"error": "server a: its answer ended without reporting success"}


@runs
async def test_one_that_the_probes_find_down_ends_its_part() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        both.ollamas["a"].fail_next(HangsAfter(after=2), path=PULL)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(both.proxy.ask(pull()))
            await both.until(lambda: both.ollamas["a"].hanging == 1)
            both.ollamas["a"].fail_next(Fails(500), path="/api/version", times=-1)
        found = lines(asking.result())
        assert found[-1]["error"].startswith("server a: it is down: ")
        assert ends(both) == {"a": JobEnd.FAILED, "b": JobEnd.DONE}
        await both.until(lambda: both.ollamas["a"].hanging == 0)


@runs
async def test_one_that_is_down_is_named_and_is_owed_the_pull() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        await both.take_down("b")
        note = "b is down: the model will be pulled there when it is back"
        found = lines(await both.proxy.ask(pull()))
        assert [line for line in found if line.get("status") == note] == [{"status": note}]
        assert found[-1] == SUCCESS
        got = await both.proxy.ask(pull(stream=False))
        assert (got.status, got.get(b"warning")) == (200, f'199 gollamas "{note}"'.encode())
        assert ends(both)["b"] is JobEnd.DOWN
        await both.bring_back("b")
        await both.proxy.events.until(lambda: ends(both)["b"] is JobEnd.DONE)
        assert both.ollamas["b"].engine.library.find(NEW) is not None
        assert [event.why for event in both.proxy.events.of(JobEnded) if event.server == "b"] == [
            JobCause.CLIENT, JobCause.CLIENT, JobCause.OWED,
        ]  # fmt: skip


@runs
async def test_a_pull_that_is_stopped_takes_nothing_of_what_a_later_job_is_owed() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        await both.take_down("b")
        both.ollama.fail_next(Hangs(), path=PULL)
        client = await both.proxy.connect()
        await client.send(pull("smol"))
        await both.until(lambda: both.ollama.hanging == 1)
        jobs = both.proxy.app._duties.jobs
        asking = asyncio.ensure_future(both.proxy.ask(DELETE))
        await both.until(lambda: len(jobs.under_way()) == 2)
        assert [one.kind for one in jobs.owed()] == [JobKind.PULL]  # until it is the other one's turn
        client.close()
        got = await asking
        note = "b is down: the model will be deleted there when it is back"
        assert (got.status, got.get(b"warning")) == (200, f'199 gollamas "{note}"'.encode())
        assert [one.kind for one in jobs.owed()] == [JobKind.DELETE]
        await both.bring_back("b")
        await both.until(lambda: both.ollamas["b"].engine.library.find("smol") is None)


@runs
async def test_a_delete_that_does_not_get_its_turn_leaves_what_was_owed() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        await both.take_down("b")
        both.ollama.fail_next(HangsAfter(after=2), path=PULL)
        client = await both.proxy.connect()
        await client.send(pull("smol"))
        await both.until(lambda: both.ollama.hanging == 1)
        jobs = both.proxy.app._duties.jobs
        jobs.patience = 0.05
        got = await both.proxy.ask(DELETE)
        assert (got.status, got.get(b"retry-after")) == (503, b"30")
        await both.until(lambda: len(jobs.under_way()) == 1)
        assert [one.kind for one in jobs.owed()] == [JobKind.PULL]
        both.ollama.release()
        await both.bring_back("b")
        await both.proxy.events.until(
            lambda: any(one.why is JobCause.OWED for one in both.proxy.events.of(JobEnded))
        )
        assert len(both.ollamas["b"].asked(PULL)) == 1
        client.close()


@runs
async def test_what_is_owed_is_not_begun_while_gollamas_shuts_down() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        await both.take_down("b")
        lines(await both.proxy.ask(pull()))
        both.proxy.app.drain()
        await both.bring_back("b")
        count = len(both.ollamas["b"].asked("/api/tags"))
        await both.until(lambda: len(both.ollamas["b"].asked("/api/tags")) >= count + 2)
        assert not both.ollamas["b"].asked(PULL)
        assert len(both.proxy.app._duties.jobs.owed()) == 1


@runs
async def test_where_all_are_down_nothing_is_begun() -> None:
    async with servers("a", "b", probe_interval=0.05) as both:
        for name in both.ollamas:
            await both.take_down(name)
        got = await both.proxy.ask(pull())
        assert (got.status, got.get(b"retry-after")) == (503, b"5")
        assert json.loads(got.body)["error"].startswith(f"model '{NEW}' can't be pulled: no server can be")
        assert not both.proxy.events.of(JobEnded)


# -- what it replaces ----------------------------------------------------------------------------------


@runs
async def test_the_copy_of_what_it_may_replace_is_asked_for_once() -> None:
    async with servers("a", models=("smol",)) as both:
        for _ in range(2):  # from the second on there is a connection that was used
            lines(await both.proxy.ask(pull()))
        count = len(both.ollama.asked("/api/copy"))
        both.ollama.fail_next(Drops(), path="/api/copy")
        lines(await both.proxy.ask(pull()))
        assert len(both.ollama.asked("/api/copy")) == count + 1
        (warned,) = both.proxy.events.of(Warned)
        assert "no copy of the name could be made: it" in warned.text


@runs
async def test_where_no_copy_can_be_made_the_log_says_so_without_its_name() -> None:
    async with servers("a", models=("smol",)) as both:
        lines(await both.proxy.ask(pull()))
        lines(await both.proxy.ask(pull()))
        name = json.loads(both.ollama.asked("/api/copy")[-1].body)["destination"]
        refused = Fails(404, json.dumps({"error": f"model '{name}' not found"}).encode())
        both.ollama.fail_next(refused, path="/api/copy")
        lines(await both.proxy.ask(pull()))
        (warned,) = both.proxy.events.of(Warned)
        assert warned.text.endswith("no copy of the name could be made: model 'the hidden name' not found")


# -- who watches ---------------------------------------------------------------------------------------


@runs
async def test_two_share_one_pull_which_ends_with_the_last_of_them() -> None:
    async with servers("a", "b") as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(HangsAfter(after=4), path=PULL)
        first, second = await both.proxy.connect(), await both.proxy.connect()
        await first.send(pull())
        assert await begun(first) == MANIFEST
        await both.until(lambda: all(one.hanging for one in both.ollamas.values()))
        await second.send(pull(f"library/{NEW}:latest"))
        assert (await begun(second))["status"].startswith("pulling ")
        first.close()
        await both.proxy.events.ended()
        assert all(one.hanging == 1 for one in both.ollamas.values())
        for ollama in both.ollamas.values():
            ollama.release()
        while await a_line(second) != SUCCESS:
            pass
        assert all(len(one.asked(PULL)) == 1 for one in both.ollamas.values())
        assert ends(both) == {"a": JobEnd.DONE, "b": JobEnd.DONE}


@runs
async def test_a_client_that_leaves_stops_it() -> None:
    async with servers("a", "b") as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(HangsAfter(after=4), path=PULL)
        client = await both.proxy.connect()
        await client.send(pull())
        await both.until(lambda: all(one.hanging for one in both.ollamas.values()))
        client.close()
        await both.until(lambda: not any(one.hanging for one in both.ollamas.values()))
        await both.proxy.events.until(lambda: len(ends(both)) == 2)
        assert set(ends(both).values()) == {JobEnd.STOPPED}
        assert (await both.proxy.events.ended()).end is End.CLIENT_LEFT
        assert all(one.engine.library.find(NEW) is None for one in both.ollamas.values())


@runs
async def test_a_client_that_ends_its_side_with_the_request_has_left_too() -> None:
    async with servers("a") as both:
        client = await both.proxy.connect()
        await client.send(pull())
        client.writer.write_eof()
        assert (await both.proxy.events.ended()).end is End.CLIENT_LEFT
        await both.proxy.events.until(lambda: ends(both) == {"a": JobEnd.STOPPED})
        assert not both.ollama.asked(PULL)


@runs
async def test_other_requests_go_on_during_a_pull() -> None:
    async with servers("a", "b") as both:
        both.ollama.fail_next(HangsAfter(after=4), path=PULL)
        client = await both.proxy.connect()
        await client.send(pull())
        await both.until(lambda: both.ollama.hanging == 1)
        assert (await both.proxy.ask(get("/api/version"))).status == 200
        assert (await both.ask("/api/chat")).status == 200
        assert JobKind.PULL in {job.kind for job in both.proxy.app._duties.jobs.under_way()}
        client.close()
        await both.proxy.events.until(lambda: len(both.proxy.events.of(RequestEnded)) >= 3)
