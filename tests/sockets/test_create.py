"""`/api/create` on all servers of a model."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from gollamas.config.model import Expose, Manage
from gollamas.events import End, JobEnd, JobEnded
from gollamas.simulate.faults import Fails, Hangs, HangsAfter
from tests.sockets.proxying import runs
from tests.sockets.raw import Message, get, post
from tests.sockets.simulated import Fleet, fleet

OPEN: dict[str, Any] = {"manage": Manage.ALL, "expose": Expose.INSTALLED, "settings": {"pull_seconds": 0.0}}
GGUF = b"GGUF" + b"0" * 1000
DIGEST = f"sha256:{hashlib.sha256(GGUF).hexdigest()}"


def create(**members: object) -> bytes:
    return post("/api/create", json.dumps({"model": "new", **members}).encode())


def lines(got: Message) -> list[dict[str, Any]]:
    assert (got.status, got.get(b"content-type")) == (200, b"application/x-ndjson")
    return [json.loads(line) for line in got.body.splitlines()]


def ends(both: Fleet) -> dict[str, JobEnd]:
    return {event.server: event.end for event in both.proxy.events.of(JobEnded)}


@runs
async def test_from_a_model_on_all_servers() -> None:
    async with fleet("a", "b", **OPEN) as both:
        found = lines(await both.proxy.ask(create(**{"from": "smol", "parameters": {"num_ctx": 99}})))
        assert found[-2:] == [{"status": "writing manifest"}, {"status": "success"}]
        assert ends(both) == {"a": JobEnd.DONE, "b": JobEnd.DONE}
        assert "new:latest" in await both.names()
        got = await both.proxy.ask(create(**{"from": "smol", "stream": False}))
        assert (got.status, got.body, got.get(b"content-type")) == (
            200, b'{"status":"success"}', b"application/json",
        )  # fmt: skip


@runs
async def test_from_an_uploaded_file() -> None:
    async with fleet("a", "b", **OPEN) as both:
        missing = await both.proxy.ask(create(files={"x.gguf": DIGEST}, stream=False))
        assert (missing.status, json.loads(missing.body)["error"]) == (
            400, f"blob {DIGEST} is not on server a: upload it first",
        )  # fmt: skip
        assert (await both.proxy.ask(post(f"/api/blobs/{DIGEST}", GGUF))).status == 201
        found = lines(await both.proxy.ask(create(files={"x.gguf": DIGEST})))
        assert found[0] == {"status": "parsing GGUF"}
        assert found[-1] == {"status": "success"}


@runs
async def test_a_source_that_a_server_lacks_is_pulled_or_refused() -> None:
    async with fleet("a", "b", **OPEN) as both:
        assert lines(await both.proxy.ask(create(**{"from": "llama3.2"})))[-1] == {"status": "success"}
        got = await both.proxy.ask(create(**{"from": "evil.example/u/x"}))
        assert got.status == 403
    async with fleet("a", "b", models=("smol", "minilm")) as both:
        got = await both.proxy.ask(post("/api/create", b'{"model":"smol","from":"llama3.2"}'))
        assert (got.status, json.loads(got.body)["error"]) == (404, "model 'llama3.2' not found on server a")


@runs
async def test_a_model_that_clients_can_t_use_is_no_source() -> None:
    async with fleet("a", models=("smol", "minilm")) as both:
        await both.ask_directly("/api/copy", {"source": "minilm", "destination": "secret"})
        await both.look()
        got = await both.proxy.ask(post("/api/create", b'{"model":"smol","from":"secret"}'))
        assert (got.status, json.loads(got.body)["error"]) == (404, "model 'secret' not found on server a")
        assert not both.ollama.asked("/api/create")


@runs
async def test_any_number_of_files_is_asked_for_over_few_connections() -> None:
    async with fleet("a", **OPEN) as both:
        assert (await both.proxy.ask(post(f"/api/blobs/{DIGEST}", GGUF))).status == 201
        files = {f"{number}": f"sha256:{number:064x}" for number in range(1000)}
        got = await both.proxy.ask(create(files=files, stream=False))
        assert (got.status, json.loads(got.body)["error"]) == (
            400, f"blob {files['0']} is not on server a: upload it first",
        )  # fmt: skip
        assert len(both.ollama.seen) < 100


@runs
async def test_one_that_fails_is_named() -> None:
    async with fleet("a", "b", **OPEN) as both:
        both.ollamas["b"].fail_next(Fails(500, b'{"error":"no"}'), path="/api/create")
        found = lines(await both.proxy.ask(create(**{"from": "smol"})))
        assert found[-1] == {"error": "server b: no"}
        got = await both.proxy.ask(create(stream=False))
        assert (got.status, got.body) == (400, b"{\"error\":\"neither 'from' or 'files' was specified\"}")


# -- from a model --------------------------------------------------------------------------------------


def bodies(both: Fleet, name: str = "a") -> list[dict[str, Any]]:
    """Give the creates that a server got."""
    return [json.loads(one.body) for one in both.ollamas[name].asked("/api/create")]


def made(both: Fleet, model: str = "new") -> set[str]:
    """Name the servers that have a model."""
    return {name for name, one in both.ollamas.items() if one.engine.library.find(model) is not None}


@runs
async def test_words_of_all_servers_go_out_once() -> None:
    async with fleet("a", "b", "c", **OPEN) as both:
        found = lines(await both.proxy.ask(create(**{"from": "smol"})))
        told = [line["status"] for line in found]
        assert len(told) == len(set(told))
        alone = await both.ask_directly("/api/create", {"model": "new", "from": "smol"})
        assert told == [json.loads(line)["status"] for line in alone.body.splitlines()]


@runs
async def test_an_alias_is_no_source_of_its_own() -> None:
    async with fleet("a", "b", aliases={"short": "smol"}, **OPEN) as both:
        assert lines(await both.proxy.ask(create(**{"from": "short"})))[-1] == {"status": "success"}
        assert [body["from"] for name in "ab" for body in bodies(both, name)] == ["smol", "smol"]


@runs
async def test_every_other_member_reaches_the_servers_byte_for_byte() -> None:
    rest = b'"system":"\\u00e9 \\/","parameters":{"temperature":1.0,"stop":["<|>"]},"license":["a"]'
    async with fleet("a", "b", **OPEN) as both:
        got = await both.proxy.ask(post("/api/create", b'{"model":"new","from":"smol",%b}' % rest))
        assert lines(got)[-1] == {"status": "success"}
        for ollama in both.ollamas.values():
            (asked,) = ollama.asked("/api/create")
            for value in (b'"\\u00e9 \\/"', b'{"temperature":1.0,"stop":["<|>"]}', b'["a"]'):
                assert value in asked.body


@runs
async def test_what_nobody_may_is_refused_before_anything_is_sent() -> None:
    async with fleet("a", "b", aliases={"short": "smol"}) as both:
        for members, status, text in (
            ({"model": "new", "from": "smol"}, 403, "'new' can't be created through gollamas:"),
            ({"model": "smol", "from": "gollamas/x"}, 404, "model 'gollamas/x' not found"),
            ({"model": "gollamas/x", "from": "smol"}, 400, "'gollamas/x' can't be created: names"),
            ({"model": "short", "from": "smol"}, 400, "'short' can't be created: it is an alias of 'smol'"),
            ({"model": "smol", "from": "x", "remote_host": "https://a"}, 403, "'smol' can't be created with"),
            ({"model": "smol", "from": "evil.example/u/x"}, 403, "model 'evil.example/u/x' can't be"),
        ):  # fmt: skip
            got = await both.proxy.ask(post("/api/create", json.dumps(members).encode()))
            assert (got.status, json.loads(got.body)["error"][: len(text)]) == (status, text)
        assert bodies(both, "a") == bodies(both, "b") == []


@runs
async def test_a_source_that_one_server_lacks_is_pulled_there() -> None:
    async with fleet("a", "b", **OPEN) as both:
        pulled = await both.ask_directly("/api/pull", {"model": "llama3.2"}, server="a")
        assert pulled.status == 200
        found = lines(await both.proxy.ask(create(**{"from": "llama3.2"})))
        assert found[-1] == {"status": "success"}
        assert made(both) == made(both, "llama3.2") == {"a", "b"}
        assert any(line.get("total") for line in found)  # the bars of the one that pulled


@runs
async def test_a_source_that_one_server_lacks_and_may_not_pull_changes_nothing() -> None:
    async with fleet("a", "b", expose=Expose.INSTALLED) as both:
        await both.ask_directly("/api/pull", {"model": "llama3.2"}, server="a")
        await both.look()
        got = await both.proxy.ask(post("/api/create", b'{"model":"smol","from":"llama3.2","stream":false}'))
        text = json.loads(got.body)["error"]
        assert (got.status, text[:-1], text[-1] in "ab") == (
            404,
            "model 'llama3.2' not found on server ",
            True,
        )
        assert bodies(both, "a") == bodies(both, "b") == []


# -- from blobs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["files", "draft_files", "adapters"])
@runs
async def test_a_blob_that_one_server_lacks_changes_nothing_anywhere(member: str) -> None:
    async with fleet("a", "b", **OPEN) as both:
        upload = post(f"/api/blobs/{DIGEST}", GGUF, b"X-Gollamas-Server: a")
        assert (await both.proxy.ask(upload)).status == 201
        got = await both.proxy.ask(create(**{"from": "smol", member: {"x.gguf": DIGEST}}))
        assert (got.status, json.loads(got.body)["error"]) == (
            400, f"blob {DIGEST} is not on server b: upload it first",
        )  # fmt: skip
        assert bodies(both, "a") == bodies(both, "b") == []
        assert made(both) == set()
        limited = post(
            "/api/create",
            json.dumps({"model": "new", "files": {"x.gguf": DIGEST}}).encode(),
            b"X-Gollamas-Server: a",
        )
        assert lines(await both.proxy.ask(limited))[-1] == {"status": "success"}
        assert made(both) == {"a"}


# -- what goes wrong -----------------------------------------------------------------------------------


@runs
async def test_one_that_is_down_is_named_in_a_line_and_not_made_up_for() -> None:
    async with fleet("a", "b", probe_interval=0.05, **OPEN) as both:
        await both.take_down("b")
        found = lines(await both.proxy.ask(create(**{"from": "smol"})))
        assert {"status": "b is down: the model was not created there"} in found
        assert found[-1] == {"status": "success"}
        whole = await both.proxy.ask(create(**{"from": "smol", "stream": False}))
        assert whole.get(b"warning") == b'199 gollamas "b is down: the model was not created there"'
        assert made(both) == {"a"}
        await both.bring_back("b")
        assert list(both.proxy.app._duties.jobs.owed()) == []
        assert bodies(both, "b") == []


@runs
async def test_where_one_fails_the_others_go_on_and_whole_it_is_its_status() -> None:
    async with fleet("a", "b", **OPEN) as both:
        both.ollamas["a"].fail_next(Fails(400, b'{"error":"no"}'), path="/api/create")
        got = await both.proxy.ask(create(**{"from": "smol", "stream": False}))
        assert (got.status, json.loads(got.body)) == (400, {"error": "server a: no"})
        assert ends(both) == {"a": JobEnd.FAILED, "b": JobEnd.DONE}
        assert made(both) == {"b"}


@runs
async def test_where_all_fail_the_first_error_is_passed_as_it_was_said() -> None:
    async with fleet("a", "b", **OPEN) as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(Fails(500, b'{"error":"disk full"}'), path="/api/create")
        got = await both.proxy.ask(create(**{"from": "smol", "stream": False}))
        assert (got.status, got.body) == (500, b'{"error":"disk full"}')


@runs
async def test_a_model_that_is_loaded_leaves_the_memory_before_it_is_replaced() -> None:
    async with fleet("a", "b", **OPEN) as both:
        for name in "ab":
            await both.ask_directly("/api/generate", {"model": "smol", "keep_alive": -1}, server=name)
        await both.look()
        assert set(await both.names("/api/ps")) == {"smol:latest"}
        got = await both.proxy.ask(post("/api/create", b'{"model":"smol","from":"minilm"}'))
        assert lines(got)[-1] == {"status": "success"}
        for ollama in both.ollamas.values():
            asked = [
                (one.head.path, json.loads(one.body).get("keep_alive"))
                for path in ("/api/generate", "/api/create")
                for one in ollama.asked(path)
            ]
            assert asked == [(b"/api/generate", -1), (b"/api/generate", 0), (b"/api/create", None)]
        assert await both.names("/api/ps") == []


@runs
async def test_a_client_that_leaves_stops_it() -> None:
    async with fleet("a", "b", **OPEN) as both:
        for ollama in both.ollamas.values():
            ollama.fail_next(HangsAfter(after=1), path="/api/create")
        client = await both.proxy.connect()
        await client.send(create(**{"from": "smol"}))
        await client.reader.readuntil(b"\r\n\r\n")
        client.close()
        assert (await both.proxy.events.ended()).end is End.CLIENT_LEFT
        await both.proxy.events.until(lambda: len(both.proxy.events.of(JobEnded)) == 2)
        assert ends(both) == dict.fromkeys("ab", JobEnd.STOPPED)
        assert lines(await both.proxy.ask(create(**{"from": "smol"})))[-1] == {"status": "success"}


@runs
async def test_manage_parallel_counts_creates_and_pulls_together() -> None:
    async with fleet("a", manage_parallel=1, **OPEN) as both:
        both.ollama.fail_next(Hangs(), path="/api/create")
        first, second, third = [await both.proxy.connect() for _ in range(3)]
        await first.send(create(**{"from": "smol", "stream": False}))
        await both.until(lambda: len(both.ollama.asked("/api/create")) == 1)
        await second.send(post("/api/create", b'{"model":"other","from":"smol","stream":false}'))
        await third.send(post("/api/pull", b'{"model":"llama3.2","stream":false}'))
        await both.until(lambda: len(both.proxy.app._duties.jobs.under_way()) == 3)
        assert (await both.proxy.ask(get("/api/version"))).status == 200
        assert (len(both.ollama.asked("/api/create")), both.ollama.asked("/api/pull")) == (1, [])
        both.ollama.release()
        assert [(await client.answer()).status for client in (second, third)] == [200, 200]
        first.close()


@runs
async def test_what_all_refuse_is_told_as_the_first_says_it() -> None:
    """Ollama's Content-Type names a charset where it refuses to begin, and none once it has begun."""
    for content_type in (b"application/json; charset=utf-8", b"application/json"):
        for streams in (True, False):
            async with fleet("a", "b", **OPEN) as both:
                for name, ollama in both.ollamas.items():
                    words = b'{"error":"no, says %b"}' % name.encode()
                    ollama.fail_next(Fails(400, words, content_type), path="/api/create")
                got = await both.proxy.ask(create(**{"from": "smol", "stream": streams}))
                assert (got.status, got.get(b"content-type")) == (400, content_type)
                assert got.body == b'{"error":"no, says a"}'


@runs
async def test_a_source_in_another_case_is_the_one_that_is_there() -> None:
    async with fleet("a", "b", **OPEN) as both:
        assert lines(await both.proxy.ask(create(**{"from": "SMOL"})))[-1] == {"status": "success"}
        assert [body["from"] for name in "ab" for body in bodies(both, name)] == [
            "smol:latest",
            "smol:latest",
        ]


@runs
async def test_its_model_is_used_while_another_is_made_over_it_and_nothing_old_stays_loaded() -> None:
    async with fleet("a", **OPEN) as both:
        assert (await both.ask("/api/chat", keep_alive=-1)).status == 200
        both.ollama.fail_next(HangsAfter(after=1), path="/api/create")
        async with asyncio.TaskGroup() as group:
            body = json.dumps({"model": "smol", "from": "minilm"}).encode()
            making = group.create_task(both.proxy.ask(post("/api/create", body)))
            await both.until(lambda: both.ollama.hanging == 1)
            assert (await both.ask("/api/chat", keep_alive=-1)).status == 200
            both.ollama.release()
        assert lines(making.result())[-1] == {"status": "success"}
        await both.settled()
        assert json.loads((await both.ask_directly("/api/ps", {}, "GET")).body)["models"] == []
        tags = json.loads((await both.ask_directly("/api/tags", {}, "GET")).body)["models"]
        assert not [one["name"] for one in tags if one["name"].startswith("gollamas/")]
