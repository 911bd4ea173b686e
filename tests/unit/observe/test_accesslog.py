"""The log: what is written, in which form, and what never gets into a line."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas import events
from gollamas.config.words import LEVELS
from gollamas.observe import jsonlines, textlines
from gollamas.observe.accesslog import AccessLog
from gollamas.observe.kinds import KINDS, Level, level_of
from tests.happened import request_ended

ISSUED_KEYS = [
    "time",
    "level",
    "event",
    "request_id",
    "client",
    "method",
    "route",
    "model",
    "model_used",
    "num_ctx",
    "alias",
    "server",
    "status",
    "why",
    "wait_s",
    "load_s",
    "first_byte_s",
    "total_s",
    "tokens_in",
    "tokens_cached",
    "truncated",
    "tokens_out",
    "tokens_per_s",
    "bytes_in",
    "bytes_out",
    "end",
    "error",
    "path",
]
DOCUMENT = (Path(__file__).parents[3] / "docs" / "logging.md").read_text(encoding="utf-8")


def request(**changes: object) -> events.RequestEnded:
    said: dict[str, object] = {
        "request_id": "r1",
        "client": "10.0.0.5",
        "method": "POST",
        "route": "/api/chat",
        "status": 200,
    }
    return request_ended(**(said | changes))


FULL = request(
    model="gpt-4o",
    model_used="llama3.2",
    alias="gpt-4o",
    server="gpu-1",
    why="model loaded",
    wait_s=0.0123456789,
    first_byte_s=0.34,
    total_s=2.0123456789,
    tokens_in=12,
    tokens_out=87,
    tokens_per_s=41.23456,
    bytes_in=812,
    bytes_out=34211,
)
LOAD = events.LoadEnded(
    server="gpu-1",
    model="llama3.2:latest",
    options="num_ctx=8192,shift=false",
    why=events.LoadCause.OPTIONS,
    end=events.LoadEnd.LOADED,
    took_s=4.5,
    waited=3,
    error=None,
)
RELOAD = events.Reloaded(
    server="gpu-1", model="m", differs="num_ctx", before="num_ctx=2048", after="num_ctx=8192"
)
JOB = events.JobEnded(
    kind=events.JobKind.PULL,
    server="gpu-1",
    model="llama3.2",
    end=events.JobEnd.DONE,
    took_s=74.2,
    why=events.JobCause.CLIENT,
    is_owed=False,
    error=None,
)
CRASH = events.Crashed("prober", ValueError("bad\nhttp://u:secret@x/"))
STARTED = events.Started(
    listen=("127.0.0.1:11434",),
    admin=None,
    servers=(("gpu-1", "http://user:secret@gpu-1:11434"),),
    models=(("llama3.2", ("gpu-1",)),),
    aliases=(("gpt-4o", "llama3.2"),),
)
OTHERS: list[events.Event] = [
    events.AttemptFailed(
        request_id="r1", server="gpu-1", model="m", cause=events.Cause.CONNECT, why="refused", moves_on=True
    ),
    LOAD,
    RELOAD,
    JOB,
    events.VariantMade("gpu-1", "m", 4096, 0.0123),
    events.VariantRefused("gpu-1", "m", 4096, "no: http://user:secret@gpu-1:11434/"),
    events.VariantRemoved("gpu-1", None, 4096, "its model is gone"),
    events.ServerWentUp("gpu-1", "0.32.15"),
    events.ServerWentDown("gpu-1", "connect http://user:secret@gpu-1:11434: refused"),
    events.DigestsDiffer("m", ("gpu-1", "gpu-2")),
    STARTED,
    events.ConnectionsFull(10_000),
    events.ConnectionsFree(ended=620, refused=3),
    events.AcceptingPaused(open_files=961, limit=1024),
    events.AcceptingResumed(2.0),
    events.Draining(3, 30.0),
    events.Stopped(1),
    events.Warned("the admin port is taken"),
    events.ModelMissing("m", "gpu-1"),
    events.ModelFound("m", "gpu-1"),
    CRASH,
]
ALL = [FULL, *OTHERS]


def lines(
    *happened: events.Event, is_json: bool = False, level: Level = Level.INFO, colour: bool = False
) -> list[str]:
    out: list[bytes] = []

    def write(line: bytes) -> bool:
        out.append(line)
        return True

    log = AccessLog(write, lambda: 1795509415.4499, level=level, is_json=is_json, colour=colour)
    for event in happened:
        log(event)
    return [line.decode() for line in out]


def said(event: events.Event) -> dict[str, object]:
    (line,) = lines(event, is_json=True)
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_request_has_the_documented_keys_in_order() -> None:
    found = said(FULL)
    assert list(found) == ISSUED_KEYS
    assert found["time"] == "2026-11-24T08:36:55.449Z"
    assert (found["level"], found["event"], found["end"]) == ("info", "request", "done")
    assert (found["wait_s"], found["total_s"], found["tokens_per_s"]) == (0.012346, 2.012346, 41.23)


def test_what_is_not_known_is_null() -> None:
    found = said(request(status=None, end=events.End.CLIENT_LEFT))
    empty = {key for key, value in found.items() if value is None}
    tokens = {"tokens_in", "tokens_cached", "truncated", "tokens_out", "tokens_per_s"}
    assert empty == set(ISSUED_KEYS[7:18]) - {"total_s"} | tokens | {"error", "path"}
    assert found["end"] == "client_left"


def test_a_missing_model_and_its_end_name_model_and_server() -> None:
    """Whatever stands in a model's name, the line stays one line."""
    missing, found = events.ModelMissing("llama3.2", "gpu-1"), events.ModelFound("a\nb", "gpu-1")
    assert said(missing) | {"time": ""} == {
        "time": "",
        "level": "warn",
        "event": "model_missing",
        "model": "llama3.2",
        "server": "gpu-1",
    }
    assert [line.partition("Z ")[2] for line in lines(missing, found)] == [
        "warn  model_missing gpu-1 does not have this model, which it is to run; model=llama3.2\n",
        'info  model_found gpu-1 has this model now; model="a\\nb"\n',
    ]


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_every_kind_has_its_keys_and_its_word(event: events.Event) -> None:
    kind = KINDS[type(event)]
    found = said(event)
    assert list(found) == ["time", "level", "event", *kind.keys]
    assert (found["level"], found["event"]) == (kind.level.word, kind.word)
    (text,) = lines(event)
    assert text.startswith(f"2026-11-24T08:36:55.449Z {kind.level.word:<5} {kind.word} ")
    assert text.endswith("\n")


def test_every_event_has_a_kind_and_every_kind_is_tested() -> None:
    assert set(KINDS) == set(get_args(events.Event)) == {type(event) for event in ALL}


@pytest.mark.parametrize("event", KINDS, ids=lambda event: event.__name__)
def test_a_key_stands_in_the_event_alone(event: type) -> None:
    """But for one: a crash shows where it was. A request's end is the time of its line."""
    names = [member.name for member in fields(event) if member.name != "ended_at"]
    assert [name for name in names if name not in KINDS[event].keys] == []
    assert list(KINDS[event].keys) == names + (["traceback"] if event is events.Crashed else [])
    assert set(jsonlines._OTHERWISE.get(event, ())) <= set(KINDS[event].keys)


def test_the_document_lists_the_kinds_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .+ \| `([\w ]+)` \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(kind.word, kind.level.word, " ".join(kind.keys)) for kind in KINDS.values()]


def test_the_levels_are_those_of_the_configuration() -> None:
    assert tuple(level.word for level in Level) == LEVELS
    assert [level_of(name) for name in LEVELS] == list(Level)


@pytest.mark.parametrize("level", list(Level))
def test_a_level_holds_itself_and_worse(level: Level) -> None:
    written = {json.loads(line)["event"] for line in lines(*ALL, is_json=True, level=level)}
    log = AccessLog(lambda _: True, lambda: 0.0, level=level)
    assert written == {kind.word for type_, kind in KINDS.items() if log.wants(type_)}
    assert written == {kind.word for kind in KINDS.values() if kind.level >= level}


def test_a_request_reads_well() -> None:
    assert lines(FULL)[0] == (
        "2026-11-24T08:36:55.449Z info  request 200 POST /api/chat            gpu-1      gpt-4o->llama3.2"
        " total=2.01s first=340ms wait=12ms tokens=12/87 41.2/s bytes=812/34211 client=10.0.0.5 id=r1"
        ' why="model loaded"\n'
    )


def test_a_load_reads_well() -> None:
    failed = replace(LOAD, end=events.LoadEnd.FAILED, error="http://u:secret@gpu-1 has\nno memory", waited=0)
    asked = "in 4.50s why=options options=num_ctx=8192,shift=false"
    assert [line.partition("Z ")[2] for line in lines(LOAD, failed)] == [
        f"info  load gpu-1 llama3.2:latest loaded {asked} waited=3\n",
        f'info  load gpu-1 llama3.2:latest failed {asked} waited=0 error="http://gpu-1 has\\nno memory"\n',
    ]
    assert said(LOAD) | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "load",
        "server": "gpu-1",
        "model": "llama3.2:latest",
        "options": "num_ctx=8192,shift=false",
        "why": "options",
        "end": "loaded",
        "took_s": 4.5,
        "waited": 3,
        "error": None,
    }


def test_a_job_reads_well() -> None:
    """One line for each server: what, which model, how long, how it ended, why it failed, what is owed."""
    missed = replace(JOB, server="gpu-2", end=events.JobEnd.DOWN, took_s=0.0, is_owed=True)
    late = replace(JOB, kind=events.JobKind.DELETE, end=events.JobEnd.MISSING, why=events.JobCause.OWED)
    failed = replace(JOB, end=events.JobEnd.FAILED, error="http://u:secret@gpu-1 has\nno space")
    assert [line.partition("Z ")[2] for line in lines(JOB, missed, late, failed)] == [
        "info  job gpu-1 pull llama3.2 done in 74.20s\n",
        "info  job gpu-2 pull llama3.2 down in 0.0ms is_owed\n",
        "info  job gpu-1 delete llama3.2 missing in 74.20s why=owed\n",
        'info  job gpu-1 pull llama3.2 failed in 74.20s error="http://gpu-1 has\\nno space"\n',
    ]
    assert said(failed) | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "job",
        "kind": "pull",
        "server": "gpu-1",
        "model": "llama3.2",
        "end": "failed",
        "took_s": 74.2,
        "why": "client",
        "is_owed": False,
        "error": "http://gpu-1 has\nno space",
    }


@pytest.mark.parametrize("is_json", [False, True])
def test_what_a_client_and_a_server_wrote_of_a_job_is_cut_and_tells_no_password(is_json: bool) -> None:
    odd = replace(JOB, model="http://u:secret@x/" + "m" * 5000, error="\x1b[31m" + "e" * 5000)
    (text,) = lines(odd, is_json=is_json)
    assert text[:-1].isprintable()
    assert "secret" not in text
    assert "http://x/m" in text
    assert len(text) < 700


def test_a_reload_and_a_variant_read_well() -> None:
    made, refused, removed = OTHERS[4:7]
    assert [line.partition("Z ")[2] for line in lines(RELOAD, made, refused, removed)] == [
        'info  reload server=gpu-1 model=m differs=num_ctx before="num_ctx=2048" after="num_ctx=8192"\n',
        "info  variant_made server=gpu-1 model=m num_ctx=4096 took=12ms\n",
        'info  variant_refused server=gpu-1 model=m num_ctx=4096 why="no: http://gpu-1:11434/"\n',
        'info  variant_removed server=gpu-1 model=- num_ctx=4096 why="its model is gone"\n',
    ]
    assert said(removed)["model"] is None
    assert said(refused)["why"] == "no: http://gpu-1:11434/"


def test_a_context_that_a_policy_gave_is_seen() -> None:
    (text,) = lines(request(model="gpt-4o", model_used="llama3.2", num_ctx=8192))
    assert " gpt-4o->llama3.2 num_ctx=8192 total=" in text
    assert "num_ctx" not in lines(FULL)[0]
    assert said(request(num_ctx=8192))["num_ctx"] == 8192


def test_a_request_says_how_long_it_waited_for_loads() -> None:
    assert " wait=2.00s load=1.25s " in lines(request(wait_s=2.0, load_s=1.25))[0]
    assert "load=" not in lines(request(wait_s=2.0))[0]
    assert said(request(load_s=1.25))["load_s"] == 1.25


def test_a_prompt_that_was_cut_is_seen() -> None:
    for truncated, is_seen in ((True, True), (False, False), (None, False)):
        ended = request(tokens_in=64, tokens_out=4, truncated=truncated)
        assert said(ended)["truncated"] is truncated
        assert (" tokens=64/4 truncated " in lines(ended)[0]) is is_seen
        assert ("truncated" in lines(ended)[0]) is is_seen


def test_cached_tokens_are_seen_where_there_are_some() -> None:
    assert said(request(tokens_in=12, tokens_cached=0))["tokens_cached"] == 0
    assert " tokens=12/87 cached=11 " in lines(request(tokens_in=12, tokens_cached=11, tokens_out=87))[0]
    assert "cached" not in lines(request(tokens_in=12, tokens_cached=0))[0]


def test_a_refusal_says_why_and_where() -> None:
    refused = request(route="other", end=events.End.REFUSED, error="page not found", path="/v2/chat")
    (text,) = lines(refused)
    assert text.endswith(' end=refused error="page not found" path=/v2/chat\n')
    found = said(refused)
    assert (found["error"], found["path"]) == ("page not found", "/v2/chat")


def test_a_reason_is_cut_at_200_characters_and_a_path_at_80() -> None:
    long = request(error="e" * 5000, path="/" + "p" * 5000)
    found = said(long)
    assert (found["error"], found["path"]) == ("e" * 199 + "…", "/" + "p" * 78 + "…")
    assert said(request(error="e" * 200, path="/" + "p" * 79))["path"] == "/" + "p" * 79
    assert f" error={'e' * 199}…" not in (text := lines(long)[0])  # an ellipsis is no plain word
    assert f' error="{"e" * 199}…" path="/{"p" * 78}…"\n' in text


@pytest.mark.parametrize("is_json", [False, True])
def test_a_reason_and_a_path_tell_no_password(is_json: bool) -> None:
    (text,) = lines(request(error="no http://u:secret@x here", path="/http://u:secret@x/y"), is_json=is_json)
    assert "secret" not in text
    assert "http://x/y" in text


def test_a_client_that_left_is_seen() -> None:
    (text,) = lines(request(status=None, end=events.End.CLIENT_LEFT, tokens_out=3))
    assert " request --- POST " in text
    assert " tokens=-/3 " in text
    assert text.endswith(" end=client_left\n")


@pytest.mark.parametrize(
    ("status", "paint"), [(200, "\x1b[32m"), (404, "\x1b[33m"), (503, "\x1b[31m"), (None, "\x1b[33m")]
)
def test_colour_paints_and_changes_no_word(status: int | None, paint: str) -> None:
    event = request(status=status, end=events.End.TIMED_OUT)
    (plain,), (coloured,) = lines(event), lines(event, colour=True)
    assert paint in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain


@pytest.mark.parametrize("event", OTHERS, ids=lambda event: type(event).__name__)
def test_other_lines_have_colour_too(event: events.Event) -> None:
    (plain,), (coloured,) = lines(event), lines(event, colour=True)
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain != coloured


def test_colour_is_for_terminals_that_want_it() -> None:
    wants = textlines.wants_colour
    assert wants(is_terminal=True, environment={"TERM": "xterm"})
    assert wants(is_terminal=True, environment={"NO_COLOR": ""})
    assert not wants(is_terminal=True, environment={"NO_COLOR": "1"})
    assert not wants(is_terminal=True, environment={"TERM": "dumb"})
    assert not wants(is_terminal=False, environment={"TERM": "xterm"})


EVIL = [
    "a\r\nb",
    "\x1b[2J",
    "\x00",
    "\x7f",
    "\x9b31m",
    "\u202eabc",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\U000e0001",
    "\x85",
]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("is_json", [False, True])
def test_nothing_of_a_client_breaks_a_line(evil: str, is_json: bool) -> None:
    event = request(
        model=evil, method=evil, request_id=evil, model_used=evil, why=evil, error=evil, path=evil
    )
    (line,) = lines(event, events.Warned(evil), is_json=is_json)[:1]
    assert line[:-1].isprintable()
    assert line.endswith("\n")
    (line,) = lines(events.Warned(evil), is_json=is_json)
    assert line[:-1].isprintable()


@given(st.text(st.characters(exclude_categories=[])), st.text())
def test_any_text_is_one_printable_line_that_reads_back(model: str, why: str) -> None:
    event = request(model=model, why=why, error=model, path=model)
    found = said(event)
    if len(model) <= 256 and model.isascii():
        assert found["model"] == model
    assert found["why"] == why
    for line in lines(event) + lines(event, is_json=True):
        assert line[:-1].isprintable()


def test_a_value_cannot_pose_as_a_column() -> None:
    """Blanks, quotes and equals signs of a client stand in quotes."""
    (text,) = lines(request(model='x" status=200 server="y', request_id="a b"))
    assert ' "x\\" status=200 server=\\"y" ' in text
    assert ' id="a b"' in text
    assert ' "a->b" ' in lines(request(model="a->b"))[0]


def test_long_names_are_cut() -> None:
    found = said(request(model="m" * 1_000_000, request_id="r" * 1000))
    assert found["model"] == "m" * 255 + "…"
    assert found["request_id"] == "r" * 255 + "…"
    assert len(lines(request(model="m" * 1_000_000, request_id="r" * 1000))[0]) < 1000


@pytest.mark.parametrize("is_json", [False, True])
def test_no_line_tells_a_password(is_json: bool) -> None:
    written = "".join(lines(*OTHERS, is_json=is_json))
    assert "secret" not in written
    assert "http://gpu-1:11434" in written


def test_a_crash_says_where_in_indented_lines() -> None:
    try:
        raise CRASH.error
    except ValueError as error:
        (text,) = lines(events.Crashed("prober", error))
    first, *rest = text.splitlines()
    assert first.endswith(" error crashed prober: ValueError: bad\\nhttp://x/")
    assert any("test_accesslog.py" in line for line in rest)
    assert all(line.startswith("    ") for line in rest)
    assert "test_accesslog.py" in str(said(CRASH)["traceback"])


LIVES = [
    (
        events.ConnectionsFull(10_000),
        (
            "warn  connections_full max_connections=10000 is reached: the longest idle connection ends for a"
            " new one; where none is idle, the new one gets a 503"
        ),
    ),
    (events.ConnectionsFree(ended=620, refused=3), "info  connections_free ended=620 refused=3"),
    (
        events.AcceptingPaused(open_files=961, limit=1024),
        (
            "warn  accepting_paused open_files=961 limit=1024: new connections wait; raise the limit (ulimit"
            " -n, LimitNOFILE=)"
        ),
    ),
    (events.AcceptingResumed(2.0), "info  accepting_resumed paused=2.00s"),
    (events.Draining(3, 30.0), "info  draining open_requests=3 grace=30.00s"),
    (events.Stopped(1), "info  stopped cut=1"),
    (events.Warned("say \x1b[2J http://u:p@x/"), "warn  warning say \\x1b[2J http://x/"),
]


@pytest.mark.parametrize(("event", "text"), LIVES)
def test_what_becomes_of_the_proxy_reads_well(event: events.Event, text: str) -> None:
    assert [line.partition("Z ")[2] for line in lines(event)] == [text + "\n"]


def test_start_lists_names_with_their_targets() -> None:
    found = said(STARTED)
    assert found["servers"] == {"gpu-1": "http://gpu-1:11434"}
    assert found["models"] == {"llama3.2": ["gpu-1"]}
    assert found["aliases"] == {"gpt-4o": "llama3.2"}
    (text,) = lines(STARTED)
    assert text.endswith(
        " started listening on 127.0.0.1:11434; admin off; servers: gpu-1=http://gpu-1:11434;"
        " models: llama3.2 on gpu-1; aliases: gpt-4o=llama3.2\n"
    )


def test_a_start_with_nothing_configured_says_so() -> None:
    (text,) = lines(events.Started(listen=("[::]:1",), admin="x:2", servers=(), models=(), aliases=()))
    assert text.endswith(" listening on [::]:1; admin x:2; servers: none; models: as found\n")


def test_names_that_are_no_utf8_are_written_in_lists_too() -> None:
    found = said(events.DigestsDiffer("m\udc80", ("a\udc80", "b")))
    assert (found["model"], found["servers"]) == ("m\\udc80", ["a\\udc80", "b"])


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (None, "-"),
        (0.0, "0.0ms"),
        (0.0042, "4.2ms"),
        (0.00999, "10ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (100, "100s"),
    ],
)
def test_spans_show_their_size(span: float | None, text: str) -> None:
    assert textlines.seconds(span) == text


def test_time_is_that_of_each_line() -> None:
    out: list[bytes] = []
    clock = iter([0.0, 0.9999, 1.0, 86400.5])

    def write(line: bytes) -> bool:
        out.append(line)
        return True

    log = AccessLog(write, lambda: next(clock), is_json=True)
    for _ in range(4):
        log(FULL)
    assert [json.loads(line)["time"] for line in out] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "1970-01-01T00:00:01.000Z",
        "1970-01-02T00:00:00.500Z",
    ]


def test_lost_lines_are_told_of_when_somebody_reads_again() -> None:
    out: list[bytes] = []
    takes = iter([False, False, False, True, True, True])

    def write(line: bytes) -> bool:
        if next(takes):
            out.append(line)
            return True
        return False

    log = AccessLog(write, lambda: 0.0, is_json=True)
    for _ in range(5):
        log(FULL)
    found = [json.loads(line) for line in out]
    assert [line["event"] for line in found] == ["warning", "request", "request"]
    assert found[0]["text"].startswith("3 log lines were lost")
