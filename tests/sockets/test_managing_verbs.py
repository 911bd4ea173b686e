"""The verbs that tell of models and change them, as processes against a proxy with simulated servers."""

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gollamas.config.model import Address, Manage
from gollamas.simulate.faults import FailsToPull, HangsPulling
from tests.sockets.jobs import AWAY, NEW, has, held, release, servers
from tests.sockets.proxying import runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, chunk
from tests.sockets.simulated import CHAT, EMBEDDER, Fleet

if sys.platform == "win32":
    pytest.skip("Windows has no pty", allow_module_level=True)

from tests.sockets.verbs import Done, draw_verb, on_terminal, run_verb

TO_HOST = ("show", "pull", "cp", "rm")
FULL = "no space left on device; make room there, then pull again: servers go on with what they have"
CURSOR_AWAY, CURSOR_BACK = "\x1b[?25l", "\x1b[?25h"


@asynccontextmanager
async def managed(*names: str, **options: Any) -> AsyncIterator["Verbs"]:
    """Run servers and a proxy with an admin port; and what runs verbs against both."""
    async with servers(*names, admin=Address(host="127.0.0.1", port=0), **options) as both:
        for ollama in both.ollamas.values():
            ollama.publish(NEW, 0)
        yield Verbs(both)


class Verbs:
    """Runs verbs against a proxy."""

    def __init__(self, both: Fleet) -> None:
        self.both = both
        address = both.proxy.app.admin_address
        assert address is not None
        self.admin_port = address.port
        self.host = f"--host=127.0.0.1:{both.proxy.port}"

    async def run(self, verb: str, *more: str, env: Mapping[str, str] | None = None) -> Done:
        """Run one in pipes."""
        return await run_verb(verb, self.admin_port, self.host, *more, env=env)

    async def said(self, verb: str, *more: str) -> list[str]:
        """Run one that succeeds without a word beside its result; give its lines."""
        done = await self.run(verb, *more)
        assert (done.code, done.error, b"\x1b" in done.out) == (0, "", False), done
        return done.out.decode().splitlines()

    def on_terminal(self, verb: str, *more: str) -> Any:
        """Run one on a terminal."""
        return on_terminal(verb, f"--admin=127.0.0.1:{self.admin_port}", self.host, *more)


def has_it(both: Fleet, name: str) -> list[str]:
    return [server for server, ollama in both.ollamas.items() if has(ollama, name)]


def rows(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines[1:]]


@runs
async def test_in_pipes_each_verb_does_its_work_and_says_so() -> None:
    async with managed("one", "two", "three") as verbs:
        both = verbs.both
        lines = await verbs.said("pull", f"{NEW}@two")
        assert [lines[0], lines[-1]] == [f"{NEW}@two: pulling manifest", f"{NEW}@two: success"]
        assert has_it(both, NEW) == ["two"]
        lines = await verbs.said("pull", NEW, CHAT)
        assert {line.partition(":")[0] for line in lines} == {NEW, CHAT}
        assert [line for line in lines if line.endswith("success")] == [f"{NEW}: success", f"{CHAT}: success"]
        assert len(lines) <= 2 * (4 + 5 * 11)
        assert has_it(both, NEW) == ["one", "two", "three"]
        assert await verbs.said("cp", CHAT, "kept") == [f"copied {CHAT} to kept"]
        assert await verbs.said("cp", f"{CHAT}@one", "mine") == [f"copied {CHAT}@one to mine"]
        assert (has_it(both, "kept"), has_it(both, "mine")) == (["one", "two", "three"], ["one"])
        assert await verbs.said("rm", f"{NEW}@one", "kept") == [f"deleted {NEW}@one", "deleted kept"]
        assert (has_it(both, NEW), has_it(both, "kept")) == (["two", "three"], [])
        both.ollamas["two"].publish(EMBEDDER, 1)
        assert (await verbs.said("pull", "--json", f"{EMBEDDER}@two"))[-1] == '{"status":"success"}'
        await both.ask_directly("/api/generate", {"model": CHAT, "keep_alive": -1}, server="three")
        await both.look()
        done = await asyncio.gather(
            *(verbs.said(verb) for verb in ("models", "ps")),
            *(verbs.said(verb, "--json") for verb in ("models", "ps")),
            verbs.said("models", f"{EMBEDDER}@two"),
            verbs.said("show", CHAT),
            verbs.said("show", "--json", f"{CHAT}@two"),
        )
        table, running, placed, loaded, one, shown, shown_json = done
        assert [row[:2] for row in rows(table) if row and row[0] == f"{CHAT}:latest"] == [
            [f"{CHAT}:latest", name] for name in ("one", "two", "three")
        ]
        assert [row[-1] for row in rows(table) if row and row[0] == f"{EMBEDDER}:latest"] == [
            "older",
            "newest",
            "older",
        ]
        assert (
            table[-1]
            == f"Contents differ between servers: `gollamas pull {EMBEDDER}:latest` makes them alike."
        )
        assert [row[:2] for row in rows(running)] == [[f"{CHAT}:latest", "three"]]
        marked = {(each["model"], each["server"]): each for each in json.loads(placed[0])}
        assert marked[f"{EMBEDDER}:latest", "two"]["note"] == "newest"
        assert marked[f"{CHAT}:latest", "three"]["is_loaded"]
        assert [(each["server"], each["is_loading"]) for each in json.loads(loaded[0])] == [("three", False)]
        assert [row[1] for row in rows(one)] == ["two"]
        assert shown[0] == "Model"
        assert any(line.split() == ["context", "length", "8192"] for line in shown)
        assert json.loads(shown_json[0])["details"]["format"] == "gguf"


@runs
async def test_on_a_terminal_a_pull_draws_a_bar_for_each_server_and_gives_the_cursor_back() -> None:
    async with managed("one", "two") as verbs:
        client = await held(verbs.both, NEW, after=4)
        async with verbs.on_terminal("pull", NEW) as pulling:  # shares the pull that hangs
            await pulling.until(r"one .*%.* pulling [0-9a-f]{12}(?s:.*)two .*%.* pulling [0-9a-f]{12}")
            assert pulling.drawn.startswith(f"pulling {NEW}")
            release(verbs.both)
            assert await pulling.ended() == 0
        client.close()
        end = pulling.drawn.rpartition("\x1b[1A")[2]
        assert [line.split()[0] for line in pulling.drawn.rpartition("\x1b[2K")[2].splitlines()[:1]] == [
            "one"
        ]
        assert end.count("100%") == end.count("done") == 2
        assert end.count(CURSOR_BACK) == 1
        assert CURSOR_AWAY not in end
        assert has_it(verbs.both, NEW) == ["one", "two"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@runs
async def test_a_pull_on_a_terminal_that_is_interrupted_ends_and_leaves_it_whole(
    number: signal.Signals, code: int
) -> None:
    async with managed("one") as verbs:
        (await held(verbs.both, CHAT, on=["one"])).close()
        client = await held(verbs.both, NEW, after=4)
        async with verbs.on_terminal("pull", NEW) as pulling:
            await pulling.until("one .*pulling [0-9a-f]{12}")
            client.close()  # else it would go on for this one
            pulling.process.send_signal(number)
            assert await pulling.ended() == code
        assert "Traceback" not in pulling.drawn
        assert pulling.drawn.rindex(CURSOR_BACK) > pulling.drawn.rindex(CURSOR_AWAY)
        await verbs.both.until(lambda: verbs.both.ollama.pulls[-1].ended == "aborted")
        assert not has(verbs.both.ollama, NEW)


async def pulling_in_a_pipe(
    verbs: Verbs,
) -> tuple[Client, asyncio.subprocess.Process, asyncio.StreamReader]:
    """Start a pull that hangs, whose output goes into a pipe: a client of it, its process, that output."""
    client = await held(verbs.both, NEW, after=4)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gollamas", "pull", verbs.host, NEW),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    return client, process, process.stdout


@runs
async def test_a_pull_in_a_pipe_that_is_interrupted_says_so() -> None:
    async with managed("one") as verbs:
        client, process, stdout = await pulling_in_a_pipe(verbs)
        await stdout.readuntil(b"pulling manifest\n")
        client.close()
        process.send_signal(signal.SIGINT)
        _, error = await process.communicate()
        assert process.returncode == 130
        assert error.startswith(b"gollamas: interrupted; servers keep what they have fetched")
        await verbs.both.until(lambda: verbs.both.ollama.pulls[-1].ended == "aborted")


@runs
async def test_on_a_terminal_the_bar_of_a_server_that_has_failed_says_so_while_others_go_on() -> None:
    async with managed("one", "two") as verbs:
        verbs.both.ollamas["two"].fail_next_pull(FailsToPull(4, "no space left on device"))
        verbs.both.ollamas["one"].fail_next_pull(HangsPulling(4))
        async with verbs.on_terminal("pull", NEW) as pulling:
            await pulling.until("two .*failed")
            release(verbs.both)
            assert await pulling.ended() == 1
        bars, _, end = pulling.drawn.rpartition(CURSOR_BACK)
        assert re.search(r"one .*100%.* done.*\s*two .*failed", bars.rpartition("\x1b[2K")[2])
        assert end.strip() == f"gollamas: {NEW}: server two: {FULL}"


@runs
async def test_on_a_terminal_a_pull_that_fails_everywhere_says_so_of_each_server() -> None:
    async with managed("one", "two") as verbs:
        for ollama in verbs.both.ollamas.values():
            ollama.fail_next_pull(FailsToPull(4, "no space left on device"))
        async with verbs.on_terminal("pull", NEW) as pulling:
            assert await pulling.ended() == 1
        bars, _, end = pulling.drawn.rpartition(CURSOR_BACK)
        last = bars.rpartition("\x1b[2K")[2].splitlines()
        assert last
        assert all("failed" in line for line in last if line)
        assert end.strip() == f"gollamas: {NEW}: {FULL}"


@runs
async def test_a_terminal_without_an_admin_port_gets_lines_and_tables_without_servers() -> None:
    async with managed("one", "two") as verbs:
        drawn, done = await draw_verb("pull", 1, verbs.host, CHAT)
        assert (done.code, done.error) == (0, "")
        assert drawn.splitlines()[0] == f"{CHAT}: pulling manifest"
        assert "\x1b" not in drawn
        ended = await asyncio.gather(
            *(
                run_verb(verb, 1, verbs.host, *more)
                for verb in ("models", "ps")
                for more in ((), ("--json",))
            ),
            run_verb("models", 1, verbs.host, f"{CHAT}@one"),
        )
        for done in ended:
            assert "nobody answers at http://127.0.0.1:1/state" in done.error
            assert "GOLLAMAS_ADMIN" in done.error
        models, models_json, ps, ps_json, on_server = ended
        assert [row[0] for row in rows(models.out.decode().splitlines())] == [
            f"{CHAT}:latest",
            f"{EMBEDDER}:latest",
        ]
        assert [(one["model"], one["server"]) for one in json.loads(models_json.out)] == [
            (f"{CHAT}:latest", None),
            (f"{EMBEDDER}:latest", None),
        ]
        assert (ps.out, ps_json.out) == (b"no model is loaded\n", b"[]\n")
        assert [done.code for done in ended] == [0, 0, 0, 0, 1]
        assert on_server.out == b""


@runs
@pytest.mark.parametrize("terminal", ["", "dumb", "unknown"])
async def test_on_a_terminal_that_can_not_draw_there_is_text_alone(terminal: str) -> None:
    async with managed("one") as verbs:
        for words in (["pull", CHAT], ["models"], ["ps"], ["show", CHAT]):
            drawn, done = await draw_verb(
                words[0], verbs.admin_port, verbs.host, *words[1:], env={"TERM": terminal}
            )
            assert (done.code, done.error, "\x1b" in drawn) == (0, "", False), words


@runs
async def test_what_fails_on_some_servers_names_them_and_exits_1() -> None:
    async with managed("one", "two", "three") as verbs:
        for name in ("two", "three"):
            verbs.both.ollamas[name].fail_next_pull(FailsToPull(2, "no space left on device"))
        done = await verbs.run("pull", NEW, "nothing", CHAT)
        no_such_model = "pull model manifest: file does not exist"
        assert done.code == 1
        assert done.error.splitlines() == [
            f"gollamas: {NEW}: server two: no space left on device; server three: {FULL}",
            f"gollamas: nothing: {no_such_model}; its registry has no such model or tag",
        ]
        assert done.out.endswith(f"{CHAT}: success\n".encode())
        assert has_it(verbs.both, NEW) == ["one"]


@runs
async def test_what_a_server_that_is_down_is_owed_is_said_beside_the_result() -> None:
    async with managed("one", "two", **AWAY) as verbs:
        await verbs.both.take_down("two")
        pulled = await verbs.run("pull", NEW)
        assert (pulled.code, pulled.out.splitlines()[-1]) == (0, f"{NEW}: success".encode())
        assert pulled.error == (
            f"gollamas: warning: {NEW}: two is down: the model will be pulled there when it is back\n"
        )
        async with verbs.on_terminal("pull", NEW) as pulling:
            assert await pulling.ended() == 0
        assert "two is down: the model will be pulled there" in pulling.drawn.rpartition(CURSOR_BACK)[2]
        running = await verbs.said("ps")
        assert running == ["no model is loaded", "", "two is down: connection refused"]
        deleted, table = await asyncio.gather(verbs.run("rm", EMBEDDER), verbs.run("models", CHAT))
        assert (deleted.code, deleted.out) == (0, f"deleted {EMBEDDER}\n".encode())
        assert deleted.error == (
            f"gollamas: warning: {EMBEDDER}: two is down: the model will be deleted there when it is back\n"
        )
        assert [row[1:3] for row in rows(table.out.decode().splitlines())][1] == ["two", "(down)"]


@runs
async def test_what_is_unknown_or_forbidden_says_why_and_what_to_do() -> None:
    async with managed("one", manage=Manage.CONFIGURED) as verbs:
        unknown = await asyncio.gather(
            verbs.run("show", "nothing"),
            verbs.run("cp", "nothing", CHAT),
            verbs.run("models", "nothing"),
            *(verbs.run(verb, f"{CHAT}@nowhere") for verb in ("show", "pull", "rm")),
            *(verbs.run(verb, NEW) for verb in ("pull", "rm")),
        )
        for done in unknown:
            assert (done.code, done.out, done.error.count("\n")) == (1, b"", 1), done
        show, copy, models, *on_server, pull, remove = unknown
        assert (
            show.error
            == "gollamas: nothing: model 'nothing:latest' not found: `gollamas models` shows what there is\n"
        )
        assert 'model "nothing" not found: `gollamas models`' in copy.error
        assert models.error == "gollamas: no server has nothing\n"
        for done in on_server:
            assert "no server 'nowhere' is configured: `gollamas status` shows the servers" in done.error
        for done in (pull, remove):
            assert "through gollamas" in done.error
            assert "`manage`" in done.error


@runs
async def test_of_what_models_can_not_show_it_says_why() -> None:
    """An alias stands for its model, and a server that is unknown is named."""
    async with managed("one", "two", aliases={"gpt-4": CHAT}) as verbs:
        lines = await verbs.said("models", "GPT-4@one", "gpt-4@two")
        assert [row[:2] for row in rows(lines)] == [[f"{CHAT}:latest", name] for name in ("one", "two")]
        nowhere = await verbs.run("models", f"{CHAT}@nowhere")
        assert (nowhere.code, nowhere.out) == (1, b"")
        why = "no server 'nowhere' is configured: `gollamas status` shows the servers"
        assert nowhere.error == f"gollamas: {CHAT}@nowhere: {why}\n"


@runs
@pytest.mark.parametrize("admin", ["", "off"])
async def test_each_model_that_no_server_has_is_named_beside_those_that_are_there(admin: str) -> None:
    async with managed("one", manage=Manage.CONFIGURED) as verbs:
        flags = ("--admin", admin) if admin else ()
        models = await verbs.run("models", "nothing", CHAT, "nothing:7b", *flags)
        assert models.code == 1
        assert [line.split()[0] for line in models.out.decode().splitlines()] == ["MODEL", f"{CHAT}:latest"]
        assert models.error.splitlines()[-1] == "gollamas: no server has nothing, nothing:7b"


@runs
async def test_an_admin_port_is_told_from_that_of_clients() -> None:
    async with managed("one") as verbs:
        place = f"127.0.0.1:{verbs.admin_port}"
        for words in (["show", CHAT], ["pull", CHAT], ["rm", CHAT], ["cp", CHAT, "kept"]):
            done = await verbs.run(*words, "--host", place)
            assert done.code == 1
            assert f"gollamas: what answers at http://{place}/api/" in done.error
            assert " is an admin port; " in done.error
            assert "GOLLAMAS_HOST says where gollamas is" in done.error


@runs
async def test_where_nobody_is_the_address_and_its_variable_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    env = {"GOLLAMAS_HOST": f"127.0.0.1:{port}"}
    words = {"cp": ["a", "b"], "models": [], "ps": []}
    verbs = (*TO_HOST, "models", "ps")
    ended = await asyncio.gather(
        *(
            run_verb(
                verb,
                1,
                *words.get(
                    verb,
                    [
                        CHAT,
                    ],
                ),
                env=env,
            )
            for verb in verbs
        )
    )
    for verb, done in zip(verbs, ended, strict=True):
        assert (done.code, done.out) == (1, b"")
        *before, last = done.error.splitlines()
        assert f"nobody answers at http://127.0.0.1:{port}/api/" in last
        assert "Connection refused" in last
        assert "GOLLAMAS_HOST" in last
        assert len(before) == (verb in ("models", "ps"))
        assert not before or ("http://127.0.0.1:1/state" in before[0] and "GOLLAMAS_ADMIN" in before[0])


@runs
async def test_a_pull_that_breaks_off_says_how_to_go_on() -> None:
    async def breaks_off(_: Message, peer: Peer) -> None:
        begun = chunk(b'{"status":"pulling manifest"}\n')
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begun)
        peer.close()

    async def ends_early(_: Message, peer: Peer) -> None:
        await peer.send(answer(b'{"status":"pulling manifest"}\n'))

    for handler in (breaks_off, ends_early):
        async with RawServer(handler=handler) as server:
            done = await run_verb("pull", 1, f"--host=127.0.0.1:{server.port}", CHAT)
        assert (done.code, done.out) == (1, b"smol: pulling manifest\n")
        assert done.error == (
            "gollamas: smol: the answer broke off; pull again: servers go on with what they have\n"
        )


@runs
async def test_a_pull_whose_output_nobody_reads_any_more_ends() -> None:
    """As with `| head -1`: the proxy sees the client leave."""
    async with managed("one") as verbs:
        client, process, stdout = await pulling_in_a_pipe(verbs)
        assert await stdout.readline() == f"{NEW}: pulling manifest\n".encode()
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        release(verbs.both)
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 1
        client.close()
