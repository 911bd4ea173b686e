"""`gollamas status` beside a running proxy: on a terminal, in a pipe, as JSON; what that proxy imports."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.sockets.proxying import ROUTED, runs
from tests.sockets.raw import Client, RawServer, answer, get, post, says
from tests.sockets.running import Program, after, flags, program
from tests.sockets.test_state import PS, Begins

if sys.platform == "win32":
    pytest.skip("Windows has no pty", allow_module_level=True)

from tests.sockets.verbs import draw_verb, run_verb

BODY = b'{"model":"llama3.2"}'


@asynccontextmanager
async def busy_proxy() -> AsyncIterator[Program]:
    """Run a proxy with a server that has a model loaded and a request in flight, and one that is down."""
    stream = Begins()
    async with RawServer(handler=stream, ps=PS) as server, RawServer("two") as gone:
        await gone.shut()
        more = f"--proxy=gemma3=http://127.0.0.1:{gone.port}"
        async with program(*flags(server, more)) as serving:
            await serving.says(r'"server_up"')
            await serving.says(r'"server_down"')
            client = await serving.connect()
            await client.send(post("/api/chat", BODY, b"X-Request-Id: mine-1"))
            await stream.begun.get()
            await client.reader.readuntil(b"content")
            admin = await Client.connect(await serving.port("admin"))
            while b'"loaded":[{' not in (await admin.ask(get("/state"))).body:
                pass
            admin.close()
            yield serving


async def status(serving: Program, *more: str) -> bytes:
    """Run the verb against a proxy; what it printed where it was given a pipe."""
    done = await run_verb("status", await serving.port("admin"), *more)
    assert (done.code, done.error) == (0, "")
    return done.out


async def on_terminal(serving: Program, **env: str) -> str:
    """Run the verb on a terminal, and give what was drawn there."""
    drawn, done = await draw_verb("status", await serving.port("admin"), env=env)
    assert (done.code, done.error) == (0, "")
    return drawn


@runs
async def test_status_in_a_pipe_is_plain_text_of_all_that_goes_on() -> None:
    async with busy_proxy() as serving:
        text = (await status(serving)).decode()
        assert text.isascii()
        assert "\x1b" not in text
        for line in (
            r"^gollamas \S+, up for \S+$",
            r"^127\.0\.0\.1:\d+ +up +\S+ +0\.32\.15 +0 +2 +1 +lacks llama3\.2$",
            r"^127\.0\.0\.1:\d+ +down +\S+ +- +- +0 +0 +\S.*$",
            r"^llama3\.2:latest +127\.0\.0\.1:\d+ +8192 +- +\d+ K?B +33% +never$",
            r"^\d+\.\ds +llama3\.2 +127\.0\.0\.1:\d+ +/api/chat +200 +127\.0\.0\.1 +mine-1$",
        ):
            assert re.search(line, text, re.MULTILINE), (line, text)


@runs
async def test_status_as_json_is_what_the_admin_port_says() -> None:
    async with busy_proxy() as serving:
        found = json.loads(await status(serving, "--json"))
        assert [server["health"] for server in found["servers"]] == ["up", "down"]
        assert [(one["id"], one["model"]) for one in found["requests"]] == [("mine-1", ROUTED)]


@runs
async def test_status_on_a_terminal_is_drawn_in_colours_unless_there_are_to_be_none() -> None:
    async with busy_proxy() as serving:
        coloured, plain = await on_terminal(serving), await on_terminal(serving, NO_COLOR="1")
        assert "\x1b[32mup" in coloured
        assert "─" in coloured
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]", plain)
        for text in (coloured, plain):
            for word in ("SERVERS", "INSTALLED", "LOADED", "REQUESTS", "mine-1", "8192", "0.32.15"):
                assert word in text


@runs
async def test_jobs_and_what_is_owed_are_shown_in_a_pipe_and_on_a_terminal() -> None:
    """Where there are some: the state of an idle proxy has no such tables."""
    idle: dict[str, Any] = {
        "gollamas": "1.1.0",
        "time": "2026-11-30T12:00:00.000Z",
        "started_at": "2026-11-30T11:00:00.000Z",
        "not_ready": None,
        **{key: [] for key in ("servers", "requests", "jobs", "owed")},
    }
    targets = [
        {"server": "gpu-1", "status": "pulling 1234", "completed": 1_000_000_000, "total": 4_000_000_000},
        {"server": "gpu-2", "status": "verifying", "completed": None, "total": None},
    ]
    job = {"kind": "pull", "model": "smol", "age_s": 75.0, "is_waiting": False, "watchers": 2}
    owed = {"kind": "delete", "model": "gemma3", "server": "gpu-3", "age_s": 60.0}
    busy = {**idle, "jobs": [{**job, "targets": targets}], "owed": [owed]}
    async with RawServer(handler=says(answer(json.dumps(busy).encode()))) as server:
        done = await run_verb("status", server.port)
        drawn, on_terminal = await draw_verb("status", server.port)
    assert (done.code, done.error, on_terminal.code, on_terminal.error) == (0, "", 0, "")
    for line in (
        r"^pull +smol +gpu-1 +pulling 1234 +25% of 4\.0 GB +1m15s +2$",
        r"^pull +smol +gpu-2 +verifying +- +1m15s +2$",
        r"^delete +gemma3 +gpu-3 +1m$",
    ):
        assert re.search(line, done.out.decode(), re.MULTILINE), line
    for word in ("JOBS", "OWED", "─", "gpu-1", "25%", "verifying", "gemma3"):
        assert word in drawn
    async with RawServer(handler=says(answer(json.dumps(idle).encode()))) as server:
        done = await run_verb("status", server.port)
        drawn, on_terminal = await draw_verb("status", server.port)
    assert (done.code, on_terminal.code) == (0, 0)
    assert not {"JOBS", "OWED"} & {*done.out.decode().split(), *drawn.split()}


@runs
async def test_a_running_proxy_does_not_import_the_library_for_tables() -> None:
    async with (
        RawServer(handler=says(answer())) as server,
        program(*flags(server), by=after("export PYTHONPROFILEIMPORTTIME=1")) as serving,
    ):
        client, admin = await serving.connect(), await Client.connect(await serving.port("admin"))
        assert (await client.ask(post("/api/chat", BODY))).status == 200
        for page in ("/state", "/metrics", "/healthz"):
            assert (await admin.ask(get(page))).status == 200
        admin.close()
        serving.signal()
        assert await serving.ended() == 0
        imported = set(re.findall(r"^import time:.*\| +(\S+)$", serving.text, re.MULTILINE))
        assert "gollamas.app" in imported
        assert not {
            name for name in imported if name.partition(".")[0] in ("rich", "pygments", "markdown_it")
        }
