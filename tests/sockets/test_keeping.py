"""Models are in memory when the first client comes, and stay there."""

import asyncio
import json
from typing import Any

import pytest

from gollamas.config.model import EVERYWHERE, Address
from gollamas.events import LoadCause, LoadEnd, LoadEnded, Warned
from gollamas.names import key_of
from gollamas.simulate.faults import Fails, FailsToLoad, HangsLoading
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, get
from tests.sockets.simulated import CHAT, CHAT_KEY, EMBEDDER, Fleet, fleet

ALL = ("", "")
EMBEDDER_KEY = key_of(EMBEDDER) or ""
ADMIN = Address(host="127.0.0.1", port=0)


def loaded(both: Fleet, server: str = "one") -> list[str]:
    """Give what a server has in memory."""
    return sorted(one.model.name.shortest for one in both.ollamas[server].engine.sched.running())


async def ready(both: Fleet) -> tuple[int, bytes]:
    """Ask whether the proxy is ready."""
    address = both.proxy.app.admin_address
    assert address is not None
    client = await Client.connect(address.port)
    try:
        reply = await client.ask(get("/readyz"))
        return reply.status, reply.body
    finally:
        client.close()


@runs
async def test_models_are_loaded_in_the_order_of_the_configuration() -> None:
    policies: dict[str, Any] = {"force_num_ctx": {ALL: 2048}, "keep_alive": {ALL: -1.0}}
    async with fleet(preload={ALL: EVERYWHERE}, settings={"load_seconds": 0.05}, **policies) as both:
        await both.until(lambda: len(loaded(both)) == 2)
        loads = [(load.model, load.options) for load in both.ollama.loads]
        assert loads == [("smol:latest", {"num_ctx": 2048}), ("minilm:latest", {"num_ctx": 2048})]
        await both.proxy.events.until(lambda: len(both.proxy.events.of(LoadEnded)) == 2)
        assert {load.why for load in both.proxy.events.of(LoadEnded)} == {LoadCause.PRELOAD}
        for path, model in (("/v1/chat/completions", CHAT), ("/api/embed", EMBEDDER)):
            await both.ask(path, model)
        assert len(both.ollama.loads) == 2
        assert [body["keep_alive"] for body in both.touches()] == [-1, -1]


@runs
async def test_one_model_is_loaded_on_one_server_of_it() -> None:
    async with fleet("one", "two", preload={(CHAT_KEY, "two"): EVERYWHERE}) as both:
        await both.until(lambda: bool(loaded(both, "two")))
        await both.settled()
        assert (loaded(both), loaded(both, "two")) == ([], ["smol:latest"])


@runs
async def test_what_a_client_unloads_is_loaded_again() -> None:
    async with fleet(preload={(CHAT_KEY, ""): EVERYWHERE}) as both:
        await both.until(lambda: bool(loaded(both)))
        await both.ask("/api/generate", prompt="", keep_alive=0)
        await both.until(lambda: len(both.ollama.loads) == 2 and bool(loaded(both)))


@runs
async def test_what_expires_is_loaded_again() -> None:
    async with fleet(preload={(CHAT_KEY, ""): EVERYWHERE}, probe_interval=0.05) as both:
        await both.until(lambda: bool(loaded(both)))
        await both.ask_directly("/api/generate", {"model": CHAT, "keep_alive": 0})
        await both.until(lambda: len(both.ollama.loads) == 2 and bool(loaded(both)))


@runs
async def test_a_load_that_fails_is_tried_again() -> None:
    async with fleet(preload={(CHAT_KEY, ""): EVERYWHERE}, settings={"load_seconds": 0.05}) as both:
        both.ollama.fail_next_load(FailsToLoad())
        await both.until(lambda: bool(loaded(both)))
        await both.proxy.events.until(lambda: len(both.proxy.events.of(LoadEnded)) == 2)
        ends = [load.end for load in both.proxy.events.of(LoadEnded)]
        assert ends == [LoadEnd.FAILED, LoadEnd.LOADED]


@runs
async def test_so_many_instances_and_another_one_where_a_server_goes() -> None:
    async with fleet("one", "two", preload={(CHAT_KEY, ""): 1}) as both:
        await both.until(lambda: bool(loaded(both)))
        await both.settled()
        assert loaded(both, "two") == []
        for _ in range(2):
            both.proxy.app.view.connect_failed("one", "gone", 0.0)
        both.proxy.app._duties.keeper.wake()
        await both.until(lambda: bool(loaded(both, "two")))


@runs
async def test_ready_once_each_was_tried() -> None:
    async with fleet(
        preload={ALL: EVERYWHERE}, ready="preloaded", admin=ADMIN, settings={"load_seconds": 0.1}
    ) as both:
        assert await ready(both) == (503, b'{"error":"models are still being loaded: smol, minilm"}')
        both.ollama.fail_next_load(FailsToLoad())
        await both.proxy.events.until(lambda: len(both.proxy.events.of(LoadEnded)) >= 2)
        await both.until(lambda: not both.proxy.app._duties.keeper.not_tried())
        assert (await ready(both))[0] == 200


@pytest.mark.parametrize("word", ["listening", "preloaded"])
@runs
async def test_a_model_that_hangs_while_it_loads_holds_ready_up_only_where_that_is_wanted(word: str) -> None:
    async with fleet(
        preload={(CHAT_KEY, ""): EVERYWHERE}, ready=word, admin=ADMIN, probe_interval=0.05
    ) as both:
        both.ollama.fail_next_load(HangsLoading())
        await both.until(lambda: bool(both.empty()))
        looks = len(both.ollama.asked("/api/ps"))
        await both.until(lambda: len(both.ollama.asked("/api/ps")) > looks + 2)  # while it loads
        assert (await ready(both))[0] == (200 if word == "listening" else 503)


@runs
async def test_a_ping_loads_what_is_gone_and_extends_what_would_leave() -> None:
    async with fleet(ping={(CHAT_KEY, ""): 0.2}, settings={"keep_alive": 0.3}) as both:
        await both.until(lambda: bool(loaded(both)))
        await both.until(lambda: len(both.empty()) >= 4)  # touches
        assert [load.model for load in both.ollama.loads] == ["smol:latest"]
        assert both.proxy.events.of(LoadEnded)[0].why is LoadCause.PING


@runs
async def test_a_ping_sends_nothing_where_the_model_stays_for_ever() -> None:
    async with fleet(ping={(CHAT_KEY, ""): 0.1}, force_keep_alive={ALL: -1.0}) as both:
        await both.until(lambda: bool(loaded(both)))
        asked = len(both.ollama.asked("/api/ps"))
        await both.until(lambda: len(both.ollama.asked("/api/ps")) > asked + 4)  # it looks
        assert len(both.empty()) == 1


@runs
async def test_an_embedding_model_is_kept_in_its_own_way() -> None:
    async with fleet(ping={(EMBEDDER_KEY, ""): 0.2}, settings={"keep_alive": 0.3}) as both:
        await both.until(lambda: len(both.ollama.asked("/api/embed")) >= 3)
        assert not [one for one in both.ollama.asked("/api/generate") if b"minilm" in one.body]


@runs
async def test_two_that_do_not_fit_are_not_fought_over() -> None:
    async with fleet(
        preload={ALL: EVERYWHERE}, settings={"max_loaded": 1, "load_seconds": 0.06}, probe_interval=0.05
    ) as both:
        await both.proxy.events.until(lambda: bool(both.proxy.events.of(Warned)))
        (warned,) = both.proxy.events.of(Warned)
        assert warned.text == (
            "smol and minilm do not both fit into the memory of one: from now on minilm is loaded there "
            "only when a client asks for it"
        )
        await asyncio.sleep(0)
        assert loaded(both) == ["smol:latest"]
        assert [load.model for load in both.ollama.loads] == ["smol:latest", "minilm:latest", "smol:latest"]
        await both.ask("/api/embed", EMBEDDER)
        await both.look()
        assert (loaded(both), len(both.ollama.loads)) == (["minilm:latest"], 4)


@runs
async def test_what_is_unloaded_by_hand_stays_so_until_a_client_asks_for_it() -> None:
    async with fleet(preload={(CHAT_KEY, ""): EVERYWHERE}, admin=ADMIN, probe_interval=0.05) as both:
        await both.until(lambda: bool(loaded(both)))
        address = both.proxy.app.admin_address
        assert address is not None
        client = await Client.connect(address.port)
        body = json.dumps({"model": CHAT}).encode()
        raw = b"POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        assert (await client.ask(raw)).status == 200
        client.close()
        probes = len(both.ollama.asked("/api/ps"))
        await both.until(lambda: len(both.ollama.asked("/api/ps")) > probes + 4)
        assert loaded(both) == []
        await both.ask("/api/chat")
        await both.ask("/api/generate", prompt="", keep_alive=0)
        await both.until(lambda: bool(loaded(both)))  # kept again


@runs
async def test_a_model_that_the_server_does_not_have_is_loaded_once_it_has() -> None:
    async with fleet(
        preload={ALL: EVERYWHERE},
        models=(CHAT, "llama3.2"),
        settings={"models": (CHAT,), "pull_seconds": 0.0},
    ) as both:
        await both.until(lambda: loaded(both) == ["smol:latest"])
        await both.ask_directly("/api/pull", {"model": "llama3.2", "stream": False})
        await both.look()
        await both.until(lambda: loaded(both) == ["llama3.2:latest", "smol:latest"])


@runs
async def test_a_server_that_refuses_loads_ends_nothing() -> None:
    async with fleet("one", "two", preload={ALL: EVERYWHERE}) as both:
        both.ollamas["one"].fail_next(Fails(500), path="/api/generate", times=-1)
        await both.until(lambda: len(loaded(both, "two")) == 2)
        assert (await both.ask("/api/chat")).status == 200
