"""`/api/push`: from one server that has the model and is up, once."""

import pytest

from gollamas.events import End, JobEnd
from gollamas.simulate.faults import CutsOff, Drops, Fails, HangsAfter
from tests.sockets.jobs import (
    AWAY,
    COPY,
    DELETE,
    MANIFEST,
    PUSH,
    SUCCESS,
    copy,
    done,
    ends,
    lines,
    push,
    refusal,
    servers,
    told,
    words,
)
from tests.sockets.proxying import runs
from tests.sockets.simulated import CHAT


@runs
async def test_one_server_that_has_the_model_pushes_it() -> None:
    async with servers("a", "b", "c") as both:
        await both.ask_directly(DELETE, {"model": CHAT}, "DELETE", "a")
        await both.look()
        found = lines(await both.proxy.ask(push()))
        assert words(found) == ["retrieving manifest", "pushing manifest", "success"]
        assert (MANIFEST in found, found[-1]) == (False, SUCCESS)
        layers = {line["digest"]: line for line in found if "digest" in line}
        assert len(layers) == 3
        assert all(line["completed"] == line["total"] for line in layers.values())
        assert [len(one.pushes) for one in both.ollamas.values()] == [0, 1, 0]
        assert told(both) == [("push", "b", CHAT, "done")]


@runs
async def test_one_that_is_down_is_not_the_one() -> None:
    async with servers("a", "b", **AWAY) as both:
        await both.take_down("a")
        got = await both.proxy.ask(push(stream=False))
        assert (got.status, got.body, got.all(b"warning")) == (200, b'{"status":"success"}', [])
        assert [len(one.pushes) for one in both.ollamas.values()] == [0, 1]
        assert ends(both) == {"b": JobEnd.DONE}


@runs
async def test_what_nobody_has_is_refused_in_a_server_s_words() -> None:
    async with servers("a", "b") as both:
        found = lines(await both.proxy.ask(push("nothing")))
        assert words(found) == ["retrieving manifest", "couldn't retrieve manifest"]
        assert found[-1]["error"].startswith("open /usr/share/ollama")
        status, text = refusal(await both.proxy.ask(push("nothing", stream=False)))
        assert (status, text) == (500, found[-1]["error"])


@pytest.mark.parametrize("fault", [CutsOff(0), CutsOff(2), Drops(), Fails(500)])
@runs
async def test_what_fails_is_not_tried_on_another_server(fault: CutsOff | Drops | Fails) -> None:
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(fault, path=PUSH)
        got = await both.proxy.ask(push())
        assert b'"error":"' in got.body.splitlines()[-1]
        assert [len(one.asked(PUSH)) for one in both.ollamas.values()] == [1, 0]
        assert ends(both) == {"a": JobEnd.FAILED}
        assert (await both.proxy.events.ended()).end is not End.DONE


@runs
async def test_a_client_that_leaves_stops_a_push() -> None:
    async with servers("a") as both:
        both.ollama.fail_next(HangsAfter(2), path=PUSH)
        client = await both.proxy.connect()
        await client.send(push())
        await both.until(lambda: both.ollama.hanging == 1)
        client.close()
        await both.until(lambda: both.ollama.hanging == 0)
        assert (await both.proxy.events.ended()).end is End.CLIENT_LEFT
        await both.proxy.events.until(lambda: ends(both) == {"a": JobEnd.STOPPED})


@runs
async def test_two_pushes_of_one_model_are_two() -> None:
    """Only a pull is shared: each client's push is a request to the registry."""
    async with servers("a", "b") as both:
        both.ollamas["a"].fail_next(HangsAfter(2), path=PUSH)
        first, second = await both.proxy.connect(), await both.proxy.connect()
        await first.send(push(stream=False))
        await both.until(lambda: both.ollamas["a"].hanging == 1)
        await second.send(push(stream=False))
        await both.until(lambda: len(both.proxy.app._duties.jobs.under_way()) == 2)
        both.ollamas["a"].release()
        for client in (first, second):
            assert (await client.answer()).body == b'{"status":"success"}'
        assert len(both.ollamas["a"].pushes) == 2


@runs
async def test_a_name_of_another_model_can_be_pushed_once_it_is_there() -> None:
    async with servers("a") as both:
        assert refusal(await both.proxy.ask(push("nothing", stream=False)))[0] == 500
        assert done(await both.proxy.ask(copy(CHAT, "me/mine"))) == []
        assert lines(await both.proxy.ask(push("me/mine")))[-1] == SUCCESS
        assert [one.model for one in both.ollama.pushes] == ["nothing:latest", "me/mine:latest"]
        assert len(both.ollama.asked(COPY)) == 1
