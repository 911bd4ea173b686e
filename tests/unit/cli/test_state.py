"""The tables of `gollamas status`: what a person reads of the state, as plain text and drawn."""

import io
import re
from typing import Any

import msgspec
import pytest

from gollamas.cli.plain import PageRead, as_text, span
from gollamas.cli.state import heading_of, tables_of
from gollamas.cli.terminal import drawn
from gollamas.observe.state import (
    FleetState,
    JobState,
    LoadedModel,
    LoadingModel,
    OwedState,
    RequestState,
    ServerState,
    SyncState,
    TargetState,
)
from gollamas.observe.wrong import WrongState

NOW = "2026-11-30T12:00:00.000Z"
SERVERS = [
    ServerState(
        id="gpu-1",
        url="http://gpu-1:11434",
        health="up",
        why=None,
        since="2026-11-30T09:58:00.000Z",
        version="0.34.3",
        in_flight=1,
        truncated={},
        models=["llama3.2:latest", "qwen3:4b"],
        installed=None,
        missing=[],
        loaded=[
            LoadedModel(
                model="llama3.2:latest",
                context_length=8192,
                runner_options={"num_ctx": 8192, "use_mmap": False},
                size=4_000_000_000,
                size_vram=3_000_000_000,
                cpu_share=0.25,
                expires_at="2026-11-30T12:04:30.000Z",
            )
        ],
        loading=[
            LoadingModel(
                model="qwen3:4b",
                runner_options={},
                why="cold",
                age_s=12.34,
                has_begun=True,
                waiting=["r-1", "r-2", "r-3"],
            ),
            LoadingModel(
                model="qwen3:4b",
                runner_options={"num_ctx": 2048},
                why="options",
                age_s=2.0,
                has_begun=False,
                waiting=["r-4", "r-5", "r-6", "r-7", "r-8"],
            ),
        ],
    ),
    ServerState(
        id="gpu-2",
        url="http://gpu-2:11434",
        health="down",
        why="connection refused",
        since="2026-11-30T11:59:15.000Z",
        version=None,
        in_flight=0,
        truncated={},
        models=["llama3.2:latest"],
        installed=None,
        missing=["gemma3"],
        loaded=[],
        loading=[],
    ),
    ServerState(
        id="gpu-3",
        url="http://gpu-3:11434",
        health="unknown",
        why=None,
        since=None,
        version=None,
        in_flight=0,
        truncated={},
        models=None,
        installed=None,
        missing=[],
        loaded=[],
        loading=[],
    ),
]
REQUEST = RequestState(
    id="r-1",
    age_s=75.0,
    client="10.0.0.9",
    method="POST",
    route="/api/chat",
    model="gpt-4o",
    model_used="llama3.2",
    server="gpu-1",
    status=200,
)


def state(**changed: Any) -> FleetState:
    members = {
        "gollamas": "1.1.0",
        "time": NOW,
        "started_at": "2026-11-30T11:00:00.000Z",
        "not_ready": None,
        "servers": SERVERS,
        "requests": [REQUEST],
        "jobs": [],
        "owed": [],
        "sync": [],
        **changed,
    }
    return FleetState(**members)


def text_of(made: FleetState) -> str:
    return as_text(page_of(made))


def page_of(made: FleetState) -> PageRead:
    return PageRead(heading_of(made), tables_of(made))


def test_the_whole_state_as_plain_text() -> None:
    assert text_of(state()).splitlines() == [
        "gollamas 1.1.0, up for 1h",
        "",
        "SERVERS",
        "SERVER  HEALTH   SINCE  VERSION  MODELS  LOADED  REQUESTS  WHY",
        "gpu-1   up       2h2m   0.34.3   2       1       1         -",
        "gpu-2   down     45s    -        1       0       0         connection refused; lacks gemma3",
        "gpu-3   unknown  -      -        -       0       0         -",
        "",
        "INSTALLED",
        "MODEL            SERVERS",
        "llama3.2:latest  gpu-1, gpu-2 (down)",
        "qwen3:4b         gpu-1",
        "",
        "LOADED",
        "MODEL            SERVER  CONTEXT  OPTIONS                      SIZE    CPU  EXPIRES",
        "llama3.2:latest  gpu-1   8192     num_ctx=8192 use_mmap=false  4.0 GB  25%  in 4m30s",
        "",
        "LOADING",
        "MODEL     SERVER  OPTIONS       WHY                    AGE   WAITING",
        "qwen3:4b  gpu-1   default       cold                   12s   r-1, r-2, r-3",
        "qwen3:4b  gpu-1   num_ctx=2048  options, not sent yet  2.0s  r-4, r-5, r-6 and 2 more",
        "",
        "REQUESTS",
        "AGE    MODEL             SERVER  ROUTE      STATUS  CLIENT    ID",
        "1m15s  gpt-4o->llama3.2  gpu-1   /api/chat  200     10.0.0.9  r-1",
    ]


@pytest.mark.parametrize(
    ("asked", "used", "cell"),
    [
        ("gpt-4o", "llama3.2", "gpt-4o->llama3.2"),
        ("gpt-4o", None, "gpt-4o"),
        ("Llama3.2:latest", "llama3.2", "Llama3.2:latest"),
        (None, None, "-"),
    ],
)
def test_an_alias_is_told_of_with_its_model(asked: str | None, used: str | None, cell: str) -> None:
    request = msgspec.structs.replace(REQUEST, model=asked, model_used=used)
    assert tables_of(state(requests=[request]))[-1].rows[0][1] == cell


def test_a_fleet_without_anything_says_so() -> None:
    made = state(servers=[], requests=[], not_ready="no Ollama server is up")
    assert text_of(made).splitlines() == [
        "gollamas 1.1.0, up for 1h: no Ollama server is up",
        "",
        "SERVERS",
        "no server is configured",
        "",
        "INSTALLED",
        "no server has said that it has a model",
        "",
        "LOADED",
        "no model is loaded",
        "",
        "LOADING",
        "no model is being loaded",
        "",
        "REQUESTS",
        "nothing is being answered",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (10, "10s"), (59.9, "59s"), (60, "1m"), (61, "1m1s"),
        (3599, "59m59s"), (3600, "1h"), (7260, "2h1m"), (86400, "1d"), (90000, "1d1h"), (864000, "10d"),
    ],
)  # fmt: skip
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size", "cpu", "expires_at", "cells"),
    [
        (None, None, None, ("-", "-", "-")),
        (4_000_000, 1.0, "2318-01-01T00:00:00.000Z", ("4 MB", "100%", "never")),
        (8_000_000_000, 0.0, NOW, ("8.0 GB", "0%", "now, or after its request")),
        (0, None, "2026-11-30T12:00:05.500Z", ("0 B", "-", "in 5.5s")),
    ],
)
def test_what_is_loaded_says_its_size_and_when_it_goes(
    size: int | None, cpu: float | None, expires_at: str | None, cells: tuple[str, ...]
) -> None:
    one = LoadedModel(
        model="m",
        context_length=None,
        runner_options=None,
        size=size,
        size_vram=None,
        cpu_share=cpu,
        expires_at=expires_at,
    )
    server = ServerState(
        **{name: getattr(SERVERS[0], name) for name in ServerState.__struct_fields__} | {"loaded": [one]}
    )
    assert tables_of(state(servers=[server]))[2].rows == [("m", "gpu-1", "-", "-", *cells)]


def test_a_server_that_cuts_prompts_is_told_of() -> None:
    members = {name: getattr(SERVERS[0], name) for name in ServerState.__struct_fields__}
    server = ServerState(**members | {"truncated": {"llama3.2": 3, "qwen3:4b": 1}})
    assert tables_of(state(servers=[server]))[0].rows[0][-1] == (
        "prompts of llama3.2 cut: 3; prompts of qwen3:4b cut: 1"
    )


def target(
    server: str, status: str | None = None, completed: int | None = None, total: int | None = None
) -> TargetState:
    return TargetState(server=server, status=status, completed=completed, total=total)


def job(*targets: TargetState, **changed: Any) -> JobState:
    members = {
        "kind": "pull",
        "model": "llama3.2",
        "why": "client",
        "age_s": 75.0,
        "is_waiting": False,
        "watchers": 2,
        **changed,
    }
    return JobState(**members, targets=list(targets))


def test_a_job_has_a_row_for_each_server_and_what_is_owed_has_its_own() -> None:
    pull = job(
        target("gpu-1", "pulling 1234", 3_990_000_000, 4_000_000_000),
        target("gpu-2", "pulling manifest"),
        target("gpu-3", "pulling 1234", None, 4_000_000_000),
        target("gpu-4", "success", 5_000_000, 5_000_000),
    )
    waits = job(target("gpu-1"), kind="delete", why="owed", is_waiting=True, age_s=2.0, watchers=0)
    owed = OwedState(kind="delete", model="qwen3:4b", server="gpu-5", age_s=7260.0)
    lines = text_of(state(servers=[], requests=[], jobs=[pull, waits], owed=[owed])).splitlines()
    assert lines[lines.index("JOBS") : lines.index("REQUESTS")] == [
        "JOBS",
        "JOB            MODEL     SERVER  STATUS                               DONE           AGE    CLIENTS",
        "pull           llama3.2  gpu-1   pulling 1234                         99% of 4.0 GB  1m15s  2",
        "pull           llama3.2  gpu-2   pulling manifest                     -              1m15s  2",
        "pull           llama3.2  gpu-3   pulling 1234                         0% of 4.0 GB   1m15s  2",
        "pull           llama3.2  gpu-4   success                              100% of 5 MB   1m15s  2",
        "delete (owed)  llama3.2  gpu-1   waits for another job of this model  -              2.0s   0",
        "",
        "OWED",
        "JOB     MODEL     SERVER  AGE",
        "delete  qwen3:4b  gpu-5   2h1m",
        "",
    ]


def test_what_is_to_be_pulled_says_when_it_is_tried_again_and_why_it_was_not_done() -> None:
    members: dict[str, Any] = {"model": "llama3.2", "failures": 0, "error": None, "retry_in_s": None}
    failed = {"status": "failed", "failures": 2, "error": "no space left on device", "retry_in_s": 61.0}
    sync = [
        SyncState(**{**members, "server": "gpu-1", **failed}),
        SyncState(**members, server="gpu-2", status="pulling"),
    ]
    lines = text_of(state(servers=[], requests=[], sync=sync)).splitlines()
    assert lines[lines.index("SYNC") : lines.index("REQUESTS")] == [
        "SYNC",
        "TO BE PULLED  SERVER  STATUS   RETRY    FAILED  WHY",
        "llama3.2      gpu-1   failed   in 1m1s  2       no space left on device",
        "llama3.2      gpu-2   pulling  -        -       -",
        "",
    ]


def test_where_there_is_no_job_and_nothing_owed_nothing_is_said_of_them() -> None:
    def titles(**changed: Any) -> list[str]:
        return [table.title for table in tables_of(state(**changed))]

    usual = ["SERVERS", "INSTALLED", "LOADED", "LOADING", "REQUESTS"]
    owed = OwedState(kind="pull", model="m", server="a", age_s=1.0)
    assert titles() == usual
    assert titles(jobs=[job(target("a"))]) == [*usual[:4], "JOBS", "REQUESTS"]
    assert titles(owed=[owed]) == [*usual[:4], "OWED", "REQUESTS"]


def test_what_is_wrong_comes_first_and_what_to_do_stands_beside_it() -> None:
    wrong = [
        WrongState(
            kind="server_down", text="gpu-2 is down: refused", advice="Start it.",
            since="2026-11-30T11:59:15.000Z", server="gpu-2",
        ),
        WrongState(kind="on_cpu", text="25 % of \x1b[31m is on the CPU of gpu-1", advice="Do less."),
    ]  # fmt: skip
    lines = text_of(state(wrong=wrong)).splitlines()
    assert lines[2:7] == [
        "WRONG NOW",
        "SINCE  WHAT                                     WHAT TO DO",
        "45s    gpu-2 is down: refused                   Start it.",
        "-      25 % of \\x1b[31m is on the CPU of gpu-1  Do less.",
        "",
    ]


HOSTILE = "\x1b[31m[bold]m\u202e"


def with_a_hostile_name() -> FleetState:
    members = {name: getattr(REQUEST, name) for name in RequestState.__struct_fields__}
    return state(servers=[], requests=[RequestState(**members | {"model": HOSTILE})])


def test_what_a_server_says_of_a_job_commands_no_terminal() -> None:
    made = state(jobs=[job(target("gpu-1", "\x1b[2Jpulling"), model=HOSTILE)])
    text = text_of(made)
    assert r"\x1b[2Jpulling" in text
    assert r"\x1b[31m[bold]m\u202e" in text
    assert "\x1b" not in text


def test_a_name_that_a_client_made_up_commands_no_terminal() -> None:
    assert r"\x1b[31m[bold]m\u202e" in text_of(with_a_hostile_name())


class Terminal(io.StringIO):
    """A terminal of 100 columns that can show all letters."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_terminal_gets_the_same_cells_drawn_in_colours(terminal: Terminal) -> None:
    owed = OwedState(kind="pull", model="m", server="a", age_s=1.0)
    made = state(jobs=[job(target("a", "pulling 1234", 1, 2))], owed=[owed])
    text = drawn(page_of(made), terminal)
    for table in tables_of(made):
        assert table.title in text
        assert all(word in text for row in table.rows for cell in row for word in cell.split())
    assert "\x1b[32mup" in text
    assert "\x1b[31mdown" in text
    assert "─" in text
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(("length", "is_whole"), [(24, True), (200, False)])
def test_an_id_of_ours_is_whole_on_a_narrow_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, length: int, is_whole: bool
) -> None:
    """It is looked for in the log; a longer one leaves the other columns room."""
    monkeypatch.setenv("COLUMNS", "80")
    request = msgspec.structs.replace(
        REQUEST, id="1" * length, client="2001:db8::1:2:3:4", route="/v1/messages"
    )
    made = state(requests=[request])
    lines = drawn(page_of(made), terminal).splitlines()
    assert any(request.id in line for line in lines) is is_whole
    assert any("gpt-4o" in line for line in lines)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) <= 80


def test_a_terminal_without_colours_gets_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made = state()
    text = drawn(page_of(made), terminal)
    assert not {"\x1b[32m", "\x1b[31m"} & set(text)
    assert "[3" not in text
    assert "─" in text


def test_on_a_terminal_too_a_name_is_no_command_and_no_markup(terminal: Terminal) -> None:
    made = with_a_hostile_name()
    text = drawn(page_of(made), terminal)
    assert r"\x1b[31m[bold]m\u202e" in text
    assert "SERVERS: no server is configured" in text


def test_no_line_is_wider_than_the_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    made = state()
    assert all(len(line) <= 60 for line in drawn(page_of(made), terminal).splitlines())
