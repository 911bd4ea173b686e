"""Requests that can carry no context go to a variant of their model, which nobody sees."""

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from gollamas.background import variants as making
from gollamas.config.model import Expose
from gollamas.events import (
    AttemptFailed,
    Cause,
    End,
    RequestEnded,
    VariantMade,
    VariantRefused,
    VariantRemoved,
    Warned,
)
from gollamas.fleet.variants import name_of
from gollamas.names import key_of
from gollamas.observe.jsonlines import line
from gollamas.simulate.faults import Drops, Fails, Hangs
from gollamas.simulate.settings import VERSIONS
from tests.sockets.proxying import runs
from tests.sockets.raw import get, post
from tests.sockets.simulated import CHAT, CHAT_KEY, DIALECTS, EMBEDDER, Fleet, asks, fleet

ALL = ("", "")
TWO: dict[str, Any] = {"force_num_ctx": {ALL: 2048}}
V1 = [path for path in DIALECTS if path.startswith("/v1/")]
STREAMED = ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"]


def variants(both: Fleet) -> list[str]:
    """Give the names of variants that the server has."""
    return [one.name.shortest for one in both.ollama.engine.library.all() if one.name.namespace == "gollamas"]


async def expected(both: Fleet, model: str = CHAT, num_ctx: int = 2048) -> str:
    """Give the name that a model's variant is to have, by what the server lists."""
    listed = json.loads((await both.ask_directly("/api/tags", {}, "GET")).body)["models"]
    digest = next(one["digest"] for one in listed if one["name"] == f"{model}:latest")
    return name_of(key_of(model) or "", digest, num_ctx)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", V1)
@runs
async def test_every_dialect_that_can_carry_none_is_served_by_a_variant(path: str, version: str) -> None:
    model = EMBEDDER if "embeddings" in path else CHAT
    async with fleet(version=version, **TWO) as both:
        reply = await both.ask(path, model)
        assert (reply.status, b"gollamas" in reply.body) == (200, False)
        assert json.loads(reply.body)["model"] == model
        assert variants(both) == [await expected(both, model)]
        (asked,) = both.ollama.asked(path)
        assert json.loads(asked.body)["model"] == variants(both)[0]
        assert [(load.model, load.options) for load in both.ollama.loads] == [
            (f"{model}:latest", {"num_ctx": 2048})
        ]


@pytest.mark.parametrize("alias", [None, "gpt-4o"])
@pytest.mark.parametrize("path", STREAMED)
@runs
async def test_a_stream_carries_the_client_s_name(path: str, alias: str | None) -> None:
    async with fleet(**TWO, aliases={"gpt-4o": CHAT}) as both:
        reply = await both.ask(path, alias or CHAT, stream=True)
        assert reply.status == 200
        assert b"gollamas" not in reply.body
        assert b'"model":"%b"' % (alias or CHAT).encode() in reply.body


@runs
async def test_a_default_makes_a_variant_as_a_force_does() -> None:
    async with fleet(num_ctx={(CHAT_KEY, ""): 1024}) as both:
        await both.ask("/v1/chat/completions")
        assert variants(both) == [await expected(both, CHAT, 1024)]


@runs
async def test_a_form_and_a_configured_route_go_to_the_variant() -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmol\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
    )
    async with fleet(**TWO, routes=("/v1/rerank",)) as both:
        name = await expected(both)
        kind = b"Content-Type: multipart/form-data; boundary=b"
        await both.proxy.ask(post("/v1/audio/transcriptions", form, kind))
        await both.proxy.ask(post("/v1/rerank", b'{"model":"smol","query":"a"}'))
        sent = [one.body for one in both.ollama.seen if one.head.path.startswith(b"/v1/")]
        assert [name.encode() in body for body in sent] == [True, True]
        assert variants(both) == [name]


# -- hidden ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expose", ["configured", "running", "installed"])
@runs
async def test_no_listing_shows_a_variant(expose: str) -> None:
    async with fleet(**TWO, expose=Expose(expose)) as both:
        await both.ask("/v1/chat/completions")
        (name,) = variants(both)
        # As after a crash of ours, or by somebody else: the server shows the variant itself.
        await both.ask_directly("/api/generate", {"model": CHAT, "keep_alive": 0})
        await both.ask_directly("/v1/chat/completions", {"model": name, **DIALECTS["/v1/chat/completions"]})
        await both.look()
        for path in ("/api/tags", "/v1/models"):
            assert set(await both.names(path)) <= {"smol:latest", "minilm:latest"}
        assert await both.names("/api/ps") == ["smol:latest"]
        (loaded,) = json.loads((await both.proxy.ask(get("/api/ps"))).body)["models"]
        assert (loaded["model"], loaded["context_length"]) == ("smol:latest", 2048)
        tags = json.loads((await both.ask_directly("/api/tags", {}, "GET")).body)["models"]
        assert loaded["digest"] == next(one["digest"] for one in tags if one["name"] == "smol:latest")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/show", {}),
        ("/api/chat", {"messages": []}),
        ("/api/generate", {}),
        ("/v1/chat/completions", {"messages": []}),
        ("/v1/messages", {"messages": [], "max_tokens": 1}),
        ("/api/embed", {"input": "a"}),
    ],
)
@runs
async def test_a_client_can_t_ask_for_a_variant(path: str, body: dict[str, Any]) -> None:
    async with fleet(**TWO, expose=Expose.INSTALLED) as both:
        await both.ask("/v1/chat/completions")
        (name,) = variants(both)
        await both.look()
        before = len(both.ollama.seen)
        for spelling in (
            name,
            name.upper(),
            f"registry.ollama.ai/{name}",
            "gollamas/nothing",
            f"{name}:local",
        ):
            reply = await both.proxy.ask(post(path, json.dumps({"model": spelling, **body}).encode()))
            unknown = await both.proxy.ask(post(path, json.dumps({"model": "nothing", **body}).encode()))
            assert reply.status == unknown.status == 404, spelling
        looked_up = [one.head.path for one in list(both.ollama.seen)[before:]]
        assert looked_up.count(b"/api/tags") <= 1  # for the other name, which is looked up once


@runs
async def test_its_page_is_not_there() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        assert (await both.proxy.ask(get("/v1/models/gollamas"))).status == 404


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"])
@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_an_error_names_the_model_as_the_client_does(path: str, version: str) -> None:
    async with fleet(version=version, **TWO) as both:
        through = await both.ask(path, EMBEDDER)
        directly = await both.ask_directly(path, {"model": EMBEDDER, **DIALECTS[path]})
        assert (through.status, _told(through.body)) == (directly.status, _told(directly.body))
        assert through.status >= 400


def _told(body: bytes) -> Any:
    error = json.loads(body)["error"]
    return error["message"] if isinstance(error, dict) else error


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (b"application/json", b'{"usage":{"model":"%b"},"object":"list"}'),
        (b"text/event-stream", b'data: {"error":{"message":"open registry.ollama.ai/%b: no"}}\n\n'),
    ],
)
@runs
async def test_an_answer_of_any_kind_names_no_variant(content_type: bytes, said: bytes) -> None:
    async with fleet(**TWO, routes=("/v1/rerank",)) as both:
        name = (await expected(both)).encode()
        both.ollama.fail_next(Fails(200, said % name, content_type), path="/v1/rerank")
        reply = await both.proxy.ask(post("/v1/rerank", b'{"model":"smol"}'))
        assert (reply.status, b"gollamas" in reply.body, b"smol" in reply.body) == (200, False, True)


@runs
async def test_neither_log_nor_metrics_nor_state_name_a_variant() -> None:
    async with fleet(**TWO, force_keep_alive={ALL: -1.0}) as both:
        await both.ask("/v1/chat/completions")
        await both.ask("/v1/messages", EMBEDDER)
        await both.look()
        name = variants(both)[0].partition(":")[0]
        app = both.proxy.app
        log = "".join(str(line(event, "")) for event in both.proxy.events)
        page = b"".join(app._exposition.page("")[1])
        state = b"".join(app._state.parts())
        assert b"smol" in state
        for text in (log.encode(), page, state):
            assert name.encode() not in text
            assert b"gollamas/" not in text.replace(b"gollamas/0", b"")


# -- made -----------------------------------------------------------------------------------------------


@runs
async def test_six_at_once_make_one() -> None:
    async with fleet(**TWO) as both:
        found = await asyncio.gather(*(both.ask("/v1/chat/completions") for _ in range(6)))
        assert {one.status for one in found} == {200}
        assert [one.model for one in both.ollama.creates] == variants(both)
        assert [(one.source, one.parameters) for one in both.ollama.creates] == [
            ("smol:latest", {"num_ctx": 2048})
        ]


@runs
async def test_one_that_is_there_is_used() -> None:
    async with fleet(**TWO) as both:
        name = await expected(both)
        await both.ask_directly("/api/create", {"model": name, "from": CHAT, "parameters": {"num_ctx": 2048}})
        await both.look()
        await both.ask("/v1/chat/completions")
        assert len(both.ollama.creates) == 1


@runs
async def test_one_that_has_gone_is_made_again() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        (name,) = variants(both)
        await both.ask_directly("/api/delete", {"model": name}, "DELETE")
        reply = await both.ask("/v1/chat/completions")
        assert (reply.status, variants(both)) == (200, [name])
        assert len(both.proxy.events.of(VariantMade)) == 2


@runs
async def test_one_that_goes_again_and_again_is_made_once_for_a_request() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        both.ollama.fail_next(
            Fails(404, b'{"error":{"message":"model \'gollamas/x\' not found"}}'),
            path="/v1/chat/completions",
            times=2,
        )
        assert (await both.ask("/v1/chat/completions")).status == 404


@runs
async def test_never_of_a_model_that_the_server_does_not_list() -> None:
    """Ollama would pull it."""
    async with fleet(**TWO, models=(CHAT,), settings={"models": (EMBEDDER,)}) as both:
        reply = await both.ask("/v1/chat/completions")
        assert (reply.status, both.ollama.creates) == (404, [])


@runs
async def test_a_client_that_leaves_ends_no_making() -> None:
    async with fleet(**TWO) as both:
        both.ollama.fail_next(Hangs(), path="/api/create")
        client = await both.proxy.connect()
        await client.send(asks("/v1/chat/completions"))
        await both.until(lambda: both.ollama.hanging == 1)
        second = asyncio.ensure_future(both.ask("/v1/chat/completions"))
        client.close()
        ended = await both.proxy.events.ended()
        assert ended.end is End.CLIENT_LEFT
        both.ollama.release()
        assert (await second).status == 200


@runs
async def test_a_server_that_breaks_off_is_left_for_another() -> None:
    async with fleet("one", "two", **TWO) as both:
        both.ollamas["one"].fail_next(Drops(), path="/api/create", times=-1)
        assert (await both.ask("/v1/chat/completions")).status == 200
        (failed,) = both.proxy.events.of(AttemptFailed)
        assert (failed.server, failed.cause, failed.moves_on) == ("one", Cause.LOAD, True)
        assert failed.why.startswith("server one did not make smol:latest ready for num_ctx 2048: ")
        assert len(both.ollamas["two"].creates) == 1


@runs
async def test_where_it_is_the_only_one_the_client_is_told() -> None:
    async with fleet(**TWO) as both:
        both.ollama.fail_next(Drops(), path="/api/create", times=-1)
        reply = await both.ask("/v1/chat/completions")
        assert reply.status == 502
        assert b"did not make smol:latest ready for num_ctx 2048" in reply.body


@runs
async def test_none_is_made_of_what_has_just_gone() -> None:
    """A list is as old as the last look at it, and Ollama would pull the model."""
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        for name in (variants(both)[0], CHAT):
            await both.ask_directly("/api/delete", {"model": name}, "DELETE")
        assert (await both.ask("/v1/chat/completions")).status == 404
        assert len(both.ollama.creates) == 1


@runs
async def test_the_variant_of_a_model_that_has_gone_is_not_run() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        await both.ask_directly("/api/generate", {"model": CHAT, "keep_alive": 0})
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        both.proxy.app.view.servers["one"].memory.unloaded(CHAT_KEY)
        reply = await both.ask("/v1/chat/completions")
        assert (reply.status, b"gollamas" in reply.body) == (404, False)
        assert [load.model for load in both.ollama.loads] == ["smol:latest"]


@runs
async def test_a_path_that_the_server_does_not_have_is_no_variant_that_has_gone() -> None:
    async with fleet(**TWO, routes=("/v1/rerank",)) as both:
        for _ in range(3):
            assert (await both.proxy.ask(post("/v1/rerank", b'{"model":"smol"}'))).status == 404
        assert len(both.ollama.creates) == 1


@runs
async def test_a_server_that_another_takes_the_place_of_makes_no_loop() -> None:
    """The request keeps the configuration that it began with, and that server is watched no more."""
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        both.ollama.fail_next(Hangs(), path="/v1/chat/completions")
        asked = asyncio.ensure_future(both.ask("/v1/chat/completions"))
        await both.until(lambda: both.ollama.hanging == 1)
        config = both.proxy.app._config
        other = dataclasses.replace(config.servers["one"], fields=((b"X-A", b"b"),))
        both.proxy.app.apply(dataclasses.replace(config, servers={"one": other}))
        for name in variants(both):
            await both.ask_directly("/api/delete", {"model": name}, "DELETE")
        both.ollama.release()
        assert (await asked).status in (200, 404)


# -- refused --------------------------------------------------------------------------------------------


def refuses(both: Fleet, times: int = 9) -> None:
    """Have the server create nothing."""
    both.ollama.fail_next(Fails(403, b'{"error":"read-only"}'), path="/api/create", times=times)


@runs
async def test_a_server_that_refuses_runs_the_model_itself() -> None:
    async with fleet(**TWO, force_keep_alive={ALL: -1.0}) as both:
        refuses(both)
        for path in V1:
            assert (await both.ask(path, EMBEDDER if "embed" in path else CHAT)).status == 200
        loads = [(load.model, load.options) for load in both.ollama.loads]
        assert loads == [("smol:latest", {}), ("minilm:latest", {})]
        assert {one.num_ctx for one in both.proxy.events.of(RequestEnded)} == {None}
        (warned,) = both.proxy.events.of(Warned)
        assert warned.text == (
            "one makes no variant of smol:latest with num_ctx 2048 (read-only): there, requests to /v1 run "
            "the model itself, with the server's own context"
        )
        assert len(both.proxy.events.of(VariantRefused)) == 2  # of two models
        page = b"".join(both.proxy.app._exposition.page("")[1])
        assert b'gollamas_variants_refused_total{server="one"} 2' in page


@pytest.mark.parametrize("returns", [True, False])
@runs
async def test_it_is_asked_again_once_it_returns_or_has_another_version(returns: bool) -> None:
    async with fleet(**TWO) as both:
        refuses(both, times=1)
        await both.ask("/v1/chat/completions")
        view = both.proxy.app.view
        if returns:
            for _ in range(2):
                view.connect_failed("one", "gone", 0.0)
        view.answered("one", view.servers["one"].version if returns else "0.99.0", 0.0)
        await both.ask("/v1/chat/completions")
        assert len(variants(both)) == 1


@runs
async def test_a_failure_that_may_pass_is_tried_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_PAUSE", 0.0)
    async with fleet(**TWO) as both:
        both.ollama.fail_next(Fails(500), path="/api/create")
        await both.ask("/v1/chat/completions")
        await both.look()
        await both.ask("/v1/chat/completions")
        assert len(variants(both)) == 1


@runs
async def test_an_old_server_refuses() -> None:
    async with fleet(version="0.5.4", **TWO) as both:
        assert (await both.ask("/v1/chat/completions")).status == 200
        assert len(both.proxy.events.of(VariantRefused)) == 1


# -- removed --------------------------------------------------------------------------------------------


async def remade(both: Fleet) -> None:
    """Give the model other contents under its name."""
    await both.ask_directly("/api/create", {"model": CHAT, "from": CHAT, "system": "Be brief."})
    await both.look()


@runs
async def test_what_other_contents_left_is_removed_once_the_new_one_is_there() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        (old,) = variants(both)
        await remade(both)
        await both.settled()
        assert variants(both) == [old]  # nothing has taken its place yet
        await both.ask("/v1/chat/completions")
        await both.proxy.events.until(lambda: bool(both.proxy.events.of(VariantRemoved)))
        assert variants(both) == [await expected(both)] != [old]
        (removed,) = both.proxy.events.of(VariantRemoved)
        assert (removed.server, removed.model, removed.num_ctx) == ("one", "smol:latest", 2048)
        assert removed.why == "its model has other contents"


@runs
async def test_all_of_a_model_s_go_when_it_is_gone() -> None:
    async with fleet(num_ctx={ALL: 1024}) as both:
        await both.ask("/v1/chat/completions")
        await both.ask("/v1/embeddings", EMBEDDER)
        keeps = await expected(both, EMBEDDER, 1024)
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        await both.look()
        await both.settled()
        assert variants(both) == [keeps]


@runs
async def test_one_that_can_t_be_removed_is_told_of_once() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        await both.ask_directly("/api/delete", {"model": CHAT}, "DELETE")
        both.ollama.fail_next(Fails(500), path="/api/delete", times=5)
        for _ in range(3):
            await both.look()
            await both.settled()
        (warned,) = both.proxy.events.of(Warned)
        assert warned.text == (
            "a variant with num_ctx 2048 is left over on one (its model is gone) and can't be removed: "
            "simulated failure; it keeps weights on the disk, and `gollamas variants` names it"
        )
        assert len(both.ollama.asked("/api/delete")) == 2  # the model's, and one try


@runs
async def test_a_policy_that_is_changed_leaves_the_old_one_to_other_proxies() -> None:
    async with fleet(**TWO) as both:
        await both.ask("/v1/chat/completions")
        (old,) = variants(both)
        config = both.proxy.app._config
        both.proxy.app.apply(dataclasses.replace(config, force_num_ctx={ALL: 4096}))
        await both.ask("/v1/chat/completions")
        await both.look()
        await both.settled()
        assert sorted(variants(both)) == sorted([old, await expected(both, CHAT, 4096)])
        held = [(one.variant.num_ctx, one.is_needed) for one in both.proxy.app._duties.variants.all()]
        assert sorted(held) == [(2048, False), (4096, True)]
