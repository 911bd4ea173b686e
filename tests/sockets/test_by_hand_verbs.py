"""`gollamas load` and `gollamas unload` as processes, against a proxy with simulated servers."""

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gollamas.config.model import Address
from gollamas.simulate.faults import FailsToLoad
from tests.sockets.proxying import runs
from tests.sockets.raw import Message, Peer, RawServer, answer
from tests.sockets.simulated import CHAT, EMBEDDER, Fleet, fleet

if sys.platform == "win32":
    pytest.skip("Windows has no pty", allow_module_level=True)

from tests.sockets.verbs import draw_verb, run_verb

VERBS = ["load", "unload"]
TOKEN = "s3cret"


@asynccontextmanager
async def by_hand(*names: str, **options: Any) -> AsyncIterator[tuple[Fleet, int]]:
    """Run servers and a proxy; and the port of its administration."""
    async with fleet(*names, admin=Address(host="127.0.0.1", port=0), **options) as both:
        address = both.proxy.app.admin_address
        assert address is not None
        yield both, address.port


def without_times(out: bytes) -> list[str]:
    """Give the lines, without how long it took."""
    return [line.rpartition(" in ")[0] or line for line in out.decode().splitlines()]


@runs
async def test_they_say_what_became_of_each_server_in_a_pipe() -> None:
    async with by_hand("one", "two") as (both, port):
        done = await run_verb("load", port, CHAT, f"{EMBEDDER}@two")
        assert (done.code, done.error, b"\x1b" in done.out) == (0, "", False)
        assert without_times(done.out) == [
            "smol:latest on one: loaded",
            "smol:latest on two: loaded",
            "minilm:latest on two: loaded",
        ]
        assert [len(one.loads) for one in both.ollamas.values()] == [1, 2]
        done = await run_verb("unload", port, f"{CHAT}@one", EMBEDDER)
        assert (done.code, done.error) == (0, "")
        assert without_times(done.out) == [
            "smol:latest on one: unloaded",
            "minilm:latest on one: was not loaded",
            "minilm:latest on two: unloaded",
        ]


@runs
async def test_on_a_terminal_a_load_says_that_it_waits() -> None:
    async with by_hand() as (_, port):
        drawn, done = await draw_verb("load", port, f"{CHAT}@one", stderr_too=True)
        first, second = drawn.splitlines()
        assert (done.code, first) == (0, "gollamas: loading smol on one, which may take minutes ...")
        assert second.startswith("smol:latest on one: loaded in ")
        drawn, done = await draw_verb("unload", port, CHAT, stderr_too=True)
        assert (done.code, len(drawn.splitlines())) == (0, 1)


@runs
async def test_on_a_terminal_that_shows_results_alone_nothing_else_is_said() -> None:
    async with by_hand() as (_, port):
        drawn, done = await draw_verb("load", port, CHAT)
        assert (done.code, done.error, len(drawn.splitlines())) == (0, "", 1)


@runs
async def test_json_is_what_the_proxy_said_one_line_a_model() -> None:
    async with by_hand("one", "two") as (_, port):
        done = await run_verb("load", port, "--json", CHAT, EMBEDDER)
        assert (done.code, done.error) == (0, "")
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert [[(one["server"], one["model"], one["end"]) for one in line["servers"]] for line in lines] == [
            [("one", "smol:latest", "loaded"), ("two", "smol:latest", "loaded")],
            [("one", "minilm:latest", "loaded"), ("two", "minilm:latest", "loaded")],
        ]


@runs
async def test_a_failure_is_told_of_and_exits_1() -> None:
    async with by_hand("one", "two") as (both, port):
        both.ollamas["two"].fail_next_load(FailsToLoad("out of memory"))
        done = await run_verb("load", port, CHAT)
        assert (done.code, done.error) == (1, "")
        first, second = done.out.decode().splitlines()
        assert first.startswith("smol:latest on one: loaded in ")
        assert second.startswith("smol:latest on two: failed after ")
        assert second.endswith(" s: out of memory")
        both.ollamas["two"].fail_next_load(FailsToLoad("out of memory"))
        done = await run_verb("load", port, "--json", f"{CHAT}@two")
        assert (done.code, json.loads(done.out)["servers"][0]["error"]) == (1, "out of memory")


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_what_is_unknown_is_named_and_the_rest_is_done(verb: str) -> None:
    async with by_hand() as (_, port):
        done = await run_verb(verb, port, "nothing", f"{CHAT}@nowhere", CHAT)
        assert done.code == 1
        assert done.error.splitlines() == [
            "gollamas: model 'nothing' not found",
            "gollamas: no server 'nowhere' is configured; there are one",
        ]
        assert done.out.startswith(b"smol:latest on one: ")


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_the_token_is_that_of_the_variable_or_of_the_file(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(f"admin_token: {TOKEN}\n", encoding="utf-8")
    async with by_hand(admin_token=TOKEN) as (both, port):
        for env in ({}, {"GOLLAMAS_ADMIN_TOKEN": "wrong"}):
            done = await run_verb(verb, port, CHAT, EMBEDDER, env=env)
            assert (done.code, done.out, done.error.count("\n")) == (1, b"", 1)
            assert done.error.startswith(f"gollamas: http://127.0.0.1:{port}/{verb} is refused: ")
            assert "GOLLAMAS_ADMIN_TOKEN" in done.error
            assert both.empty() == []
        for env in ({"GOLLAMAS_ADMIN_TOKEN": TOKEN}, {"GOLLAMAS_CONFIG": str(path)}):
            assert (await run_verb(verb, port, CHAT, env=env)).code == 0


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_where_nobody_is_the_address_and_its_variable_are_named(verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = await run_verb(verb, port, CHAT, EMBEDDER)
    assert (done.code, done.out, done.error.count("\n")) == (1, b"", 1)
    assert f"nobody answers at http://127.0.0.1:{port}/{verb}: Connection refused" in done.error
    assert "GOLLAMAS_ADMIN" in done.error


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_what_else_listens_there_is_said_to_be_no_gollamas(verb: str) -> None:
    async def other(_: Message, peer: Peer) -> None:
        await peer.send(answer(b"Hello"))

    async def no_http(_: Message, peer: Peer) -> None:
        await peer.send(b"+OK POP3\r\n")
        peer.close()

    for handler, why in ((other, "its answer is not what gollamas sends"), (no_http, "it speaks no HTTP")):
        async with RawServer(handler=handler) as server:
            done = await run_verb(verb, server.port, CHAT)
            assert (done.code, done.out, done.error.count("\n")) == (1, b"", 1)
            assert (
                f"what answers at http://127.0.0.1:{server.port}/{verb} is not gollamas: {why}" in done.error
            )


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_a_faulty_command_line_exits_2(verb: str) -> None:
    for more in ((), ("smol@",), ("a b",), ("http://one:11434",)):
        done = await run_verb(verb, 1, *more)
        assert (done.code, done.out) == (2, b"")
        assert f"`gollamas {verb} llama3.2@gpu-1`" in done.error


@pytest.mark.parametrize("verb", VERBS)
@runs
async def test_with_administration_off_they_say_so(verb: str) -> None:
    done = await run_verb(verb, 1, CHAT, "--admin=off")
    assert (done.code, done.out) == (1, b"")
    assert "administration is off here" in done.error
