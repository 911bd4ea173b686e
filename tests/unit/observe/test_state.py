"""The page of the fleet's state: what stands in it, how it is written, what it leaves out."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gollamas.config.model import Config
from gollamas.events import JobCause, JobKind, LoadCause, RequestEnded
from gollamas.fleet.entries import Entry, read
from gollamas.fleet.loading import Loading, ModelLoad
from gollamas.fleet.policy import Policies
from gollamas.fleet.runner_options import PLAIN, RunnerOptions
from gollamas.fleet.syncing import Lacking, SyncStatus
from gollamas.fleet.view import View
from gollamas.observe.jobs import OpenJob, OpenTarget, OwedJob
from gollamas.observe.metrics import Metrics
from gollamas.observe.moment import Moment, written
from gollamas.observe.observers import Observers
from gollamas.observe.page import Known, StatePage
from gollamas.observe.state import FleetState, OpenLoad, OpenRequest, UnderWay
from gollamas.observe.traffic import Traffic
from gollamas.observe.wrong import Happened
from tests.unit.fleet.fleets import config, entry, key_of, view_of

NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z
GIB = 1 << 30
KEY = key_of("m")
SMALL = RunnerOptions((2048, *PLAIN.values[1:-1], False))


QUIET = {
    "requests_per_s": 0.0,
    "tokens_per_s": 0.0,
    "in_flight": 0,
    "waiting": 0,
    "first_byte_p50_s": None,
    "first_byte_p95_s": None,
    "errors_per_s": 0.0,
}
GoesOn = OpenRequest | OpenLoad | OpenJob | OwedJob | Lacking


def page_of(
    view: View,
    made: Config,
    *under_way: GoesOn,
    at: float = 100.0,
    not_ready: str | None = None,
) -> StatePage:
    """Make the page of a proxy that has run since 40 by its clock, looked at when it says `at`."""
    times = iter((40.0, 40.0, at, at))
    requests = [one for one in under_way if isinstance(one, OpenRequest)]
    loads = [one for one in under_way if isinstance(one, OpenLoad)]
    jobs = [one for one in under_way if isinstance(one, OpenJob)]
    owed = [one for one in under_way if isinstance(one, OwedJob)]
    lacking = [one for one in under_way if isinstance(one, Lacking)]
    metrics = Metrics(lambda name: name)

    def now() -> Moment:
        return Moment(next(times), NOON)

    known = Known(
        version="9.9.9",
        view=view,
        config=lambda: made,
        policies=lambda: Policies(made),
        under_way=UnderWay(lambda: requests, lambda: loads, lambda: jobs, lambda: owed, lambda: lacking),
        not_ready=lambda: not_ready,
        traffic=Traffic(metrics, view, lambda: requests, now),
        ended=Observers(metrics, lambda _: None),
        happened=lambda _: Happened(owed=owed),
    )
    return StatePage(known, now)


def told(view: View, made: Config, *under_way: GoesOn, at: float = 100.0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(page_of(view, made, *under_way, at=at).parts()))
    return found


def running(name: str, at: int = 0, **members: object) -> Entry:
    """Make an instance as a server lists it."""
    json_ = msgspec.json.encode({"name": name, **members})
    return Entry(name, key_of(name), "a" * 64, json_, at)


def request(
    number: int = 7, model: str | None = "m", server: str | None = "a", age_s: float = 1.0
) -> OpenRequest:
    event = RequestEnded(f"id-{number}", "10.0.0.9", "POST", "/api/chat")
    event.model = model
    return OpenRequest(event, server, age_s)


def test_a_fleet_without_anything_is_told_of() -> None:
    made = config({})
    page = page_of(view_of(made), made, not_ready="no Ollama server is up")
    assert json.loads(b"".join(page.parts())) == {
        "gollamas": "9.9.9",
        "time": "2026-11-30T12:00:00.000Z",
        "started_at": "2026-11-30T11:59:00.000Z",
        "not_ready": "no Ollama server is up",
        "servers": [],
        "requests": [],
        "jobs": [],
        "owed": [],
        "sync": [],
        "models": [],
        "wrong": [],
        "traffic": {"time": "2026-11-30T12:00:00.000Z", **QUIET},
        "history": {
            "every_s": 5.0,
            "until": "2026-11-30T12:00:00.000Z",
            **{name: [value] for name, value in QUIET.items()},
        },
        "ended": [],
    }


def test_a_server_that_is_up_says_all_that_is_known_of_it() -> None:
    made = config({"m": ["a"], "N:7b": ["a"], "o": ["b"]})
    view = view_of(made)
    view.answered("a", "0.34.3", 70.5)
    tags = (
        b'{"models":[{"name":"m:latest","digest":"d1","size":%d,"modified_at":"2026-11-30T12:05:00.1234Z"},'
        b'{"name":"x","size":"much"}]}'
    )
    view.listed("a", read(tags % GIB, "modified_at"))
    view.ran(
        "a",
        [running("m:latest", 1_796_040_300_123_456_789, context_length=8192, size=3 * GIB, size_vram=GIB)],
    )
    view.servers["a"].in_flight = 2
    assert told(view, made)["servers"][0] == {
        "id": "a",
        "url": "http://127.0.0.1:11434",
        "health": "up",
        "why": None,
        "since": "2026-11-30T11:59:30.500Z",
        "version": "0.34.3",
        "in_flight": 2,
        "truncated": {},
        "models": ["m:latest", "x"],
        "installed": [
            {
                "model": "m:latest",
                "digest": "d1",
                "size": GIB,
                "modified_at": "2026-11-30T12:05:00.123Z",
            },
            {"model": "x", "digest": "", "size": None, "modified_at": None},
        ],
        "missing": ["N:7b"],
        "loaded": [
            {
                "model": "m:latest",
                "context_length": 8192,
                "runner_options": None,
                "size": 3 * GIB,
                "size_vram": GIB,
                "cpu_share": 0.667,
                "expires_at": "2026-11-30T12:05:00.123Z",
            }
        ],
        "loading": [],
    }


def test_prompts_that_were_cut_are_told_by_the_model_s_name() -> None:
    """As configured, else as the server lists it, else as the server was asked."""
    made = config({"m": ["a"]})
    view = view_of(made)
    view.listed("a", [entry("m:latest"), entry("X:7b")])
    view.servers["a"].truncated.update({KEY: 2, key_of("x:7b"): 1, "gone": 3})
    assert told(view, made)["servers"][0]["truncated"] == {"m": 2, "X:7b": 1, "gone": 3}


def test_an_instance_says_with_which_runner_options_it_was_asked_for() -> None:
    """None while it is not known: somebody else loaded it, or it is being loaded anew."""
    made = config({"m": ["a"]})
    view = view_of(made)
    view.answered("a", "0.34.3", 1.0)
    view.listed("a", [entry("m")])
    memory = view.servers["a"].memory

    def said() -> object:
        return told(view, made)["servers"][0]["loaded"][0]["runner_options"]

    view.ran("a", [running("m")])
    assert said() is None
    for options, text in ((PLAIN, {}), (SMALL, {"num_ctx": 2048, "shift": False})):
        memory.load_began("a" * 64, KEY)
        assert said() is None
        view.load_ended("a", "a" * 64, KEY, options, 1.0)
        view.ran("a", [running("m")])
        assert said() == text
    view.ran("a", [running("m"), running("m")])
    assert [one["runner_options"] for one in told(view, made)["servers"][0]["loaded"]] == [text, None]


@pytest.mark.parametrize(
    ("size", "size_vram", "share"),
    [
        (100, 100, 0.0),
        (100, 0, 1.0),
        (3, 2, 0.333),
        (100, 120, 0.0),
        (0, 0, None),
        (100, None, None),
        (None, 100, None),
    ],
)
def test_the_share_on_the_cpu_is_what_the_graphics_card_does_not_hold(
    size: int | None, size_vram: int | None, share: float | None
) -> None:
    made = config({"m": ["a"]})
    view = view_of(made)
    view.answered("a", "0.34.3", 1.0)
    view.ran("a", [running("m", size=size, size_vram=size_vram)])
    (loaded,) = told(view, made)["servers"][0]["loaded"]
    assert loaded["cpu_share"] == share


def test_the_loads_under_way_stand_at_their_server_with_who_waits() -> None:
    made = config({"m": ["a", "b"]})
    loading = Loading()
    loads = [
        ModelLoad(server, KEY, "m:latest", "1", options, cause)
        for server, options, cause in (
            ("a", PLAIN, LoadCause.COLD),
            ("a", SMALL, LoadCause.OPTIONS),
            ("b", PLAIN, LoadCause.COLD),
        )
    ]
    for load in loads:
        loading.want(load)
        loading.enter(load, "w")
    loading.wait(loads[1], "r-1")
    loading.wait(loads[1], "r" * 5000)
    under_way = [OpenLoad(load, 1.23456) for load in loading.all()]
    a, b = told(view_of(made), made, *under_way)["servers"]
    long_id = a["loading"][1]["waiting"][1]
    assert (len(long_id), long_id[:200]) == (256, "r" * 200)
    assert a["loading"] == [
        {
            "model": "m:latest",
            "runner_options": {},
            "why": "cold",
            "age_s": 1.235,
            "has_begun": True,
            "waiting": [],
        },
        {
            "model": "m:latest",
            "runner_options": {"num_ctx": 2048, "shift": False},
            "why": "options",
            "age_s": 1.235,
            "has_begun": False,
            "waiting": ["r-1", long_id],
        },
    ]
    assert [one["has_begun"] for one in b["loading"]] == [True]


def test_of_a_server_that_was_not_asked_to_an_end_nothing_is_known() -> None:
    made = config({"m": ["a"]})
    (server,) = told(view_of(made), made)["servers"]
    assert (server["health"], server["why"], server["since"], server["version"]) == (
        "unknown",
        None,
        None,
        None,
    )
    assert (server["models"], server["installed"]) == (None, None)
    assert (server["missing"], server["loaded"]) == ([], [])


def test_a_server_is_told_to_be_down_as_soon_as_the_log_says_so() -> None:
    made = config({"m": ["a"]})
    view = view_of(made)
    for saw in range(2):
        view.silent("a", f"refused {saw}", 70.0 + saw)
        (server,) = told(view, made)["servers"]
        assert (server["health"], server["why"]) == ("down", f"refused {saw}")
        assert server["since"] == "2026-11-30T11:59:30.000Z"


def test_a_server_that_is_down_says_why_and_has_nothing_loaded() -> None:
    made = config({"m": ["a"]})
    view = view_of(made)
    view.answered("a", "0.34.3", 50.0)
    view.listed("a", [entry("m")])
    view.ran("a", [running("m")])
    view.connect_failed("a", "http://user:secret@gpu-1 refused", 90.0)
    (server,) = told(view, made)["servers"]
    assert (server["health"], server["why"]) == ("down", "http://gpu-1 refused")
    assert (server["since"], server["version"]) == ("2026-11-30T11:59:50.000Z", "0.34.3")
    assert (server["models"], server["loaded"]) == (["m"], [])


@pytest.mark.parametrize(
    ("at", "time"),
    [
        (9_971_078_400_000_000_000, "2285-12-21T00:00:00.000Z"),  # a model that stays
        (-62135596800 * 1_000_000_000, None),  # Go's zero time, and what is no time
        (10**21, None),
    ],
)
def test_an_instance_without_what_newer_servers_say_has_nulls(at: int, time: str | None) -> None:
    made = config({"m": ["a"]})
    view = view_of(made)
    view.answered("a", "0.5.0", 1.0)
    view.ran("a", [running("m", at, size="big", context_length=None)])
    (loaded,) = told(view, made)["servers"][0]["loaded"]
    assert loaded == {
        "model": "m",
        "context_length": None,
        "runner_options": None,
        "size": None,
        "size_vram": None,
        "cpu_share": None,
        "expires_at": time,
    }


def test_servers_stand_in_the_order_of_the_configuration() -> None:
    made = config({"m": ["b", "a", "c"]})
    assert [server["id"] for server in told(view_of(made), made)["servers"]] == ["b", "a", "c"]


def test_a_request_says_who_asks_what_of_whom_and_for_how_long() -> None:
    made = config({"m": ["a"]})
    one = request(model="gpt-4o", age_s=12.34567)
    one.event.model_used, one.event.status = "m", 200
    one.event.error = "not told"
    assert told(view_of(made), made, one)["requests"] == [
        {
            "id": "id-7",
            "age_s": 12.346,
            "client": "10.0.0.9",
            "method": "POST",
            "route": "/api/chat",
            "model": "gpt-4o",
            "model_used": "m",
            "server": "a",
            "status": 200,
        }
    ]


@pytest.mark.parametrize("number", [1, 63, 64, 65, 128, 200])
def test_many_requests_are_written_in_parts_and_none_is_lost(number: int) -> None:
    made = config({"m": ["a", "b"]})
    requests = [request(one, model=None, server=None) for one in range(number)]
    parts = list(page_of(view_of(made), made, *requests).parts())
    found = msgspec.json.decode(b"".join(parts), type=FleetState)
    assert [one.id for one in found.requests] == [f"id-{one}" for one in range(number)]
    assert len(parts) == 13 + -(-number // 64)


def job(
    *targets: OpenTarget, kind: JobKind = JobKind.PULL, model: str = "m", is_waiting: bool = False
) -> OpenJob:
    return OpenJob(kind, model, JobCause.SYNC, 12.34567, is_waiting, 2, targets)


def test_a_job_says_how_far_each_of_its_servers_is() -> None:
    made = config({"m": ["a", "b"]})
    targets = OpenTarget("a", "pulling 1234", 7, 10), OpenTarget("b", "", None, None)
    waits = job(OpenTarget("a", "", None, None), kind=JobKind.DELETE, is_waiting=True)
    first, second = told(view_of(made), made, job(*targets), waits)["jobs"]
    assert first == {
        "kind": "pull",
        "model": "m",
        "why": "sync",
        "age_s": 12.346,
        "is_waiting": False,
        "watchers": 2,
        "targets": [
            {"server": "a", "status": "pulling 1234", "completed": 7, "total": 10},
            {"server": "b", "status": None, "completed": None, "total": None},
        ],
    }
    assert (second["kind"], second["is_waiting"]) == ("delete", True)


def test_what_is_owed_says_to_whom_and_since_when() -> None:
    made = config({"m": ["a"]})
    found = told(view_of(made), made, OwedJob(JobKind.DELETE, "m", "a", 61.23456))
    assert found["owed"] == [{"kind": "delete", "model": "m", "server": "a", "age_s": 61.235}]
    assert (found["jobs"], found["requests"]) == ([], [])


@pytest.mark.parametrize("number", [1, 64, 65, 130])
def test_many_jobs_are_written_in_parts_and_none_is_lost(number: int) -> None:
    made = config({})
    jobs = [job(model=f"m{one}") for one in range(number)]
    owed = [OwedJob(JobKind.PULL, f"m{one}", "a", 1.0) for one in range(number)]
    parts = list(page_of(view_of(made), made, *jobs, *owed).parts())
    found = msgspec.json.decode(b"".join(parts), type=FleetState)
    names = [f"m{one}" for one in range(number)]
    assert ([one.model for one in found.jobs], [one.model for one in found.owed]) == (names, names)
    assert len(parts) == 10 + 2 * -(-number // 64)


def test_what_a_server_says_of_a_job_is_cut_and_tells_no_password() -> None:
    """The name that a client wrote, too; in what is owed as in what goes on."""
    made = config({"m": ["a"]})
    name = "http://me:secret@x/" + "m" * 5000
    odd = job(OpenTarget("a", "\x1b[31m http://me:secret@x " + "s" * 5000, 1, 2), model=name)
    text = b"".join(page_of(view_of(made), made, odd, OwedJob(JobKind.PULL, name, "a", 1.0)).parts())
    assert text.decode().removesuffix("\n").isprintable()
    assert b"secret" not in text
    found = json.loads(text)
    assert found["jobs"][0]["targets"][0]["status"].startswith("\x1b[31m http://x ss")
    lengths = [len(found["jobs"][0]["targets"][0]["status"])]
    lengths += [len(found[where][0]["model"]) for where in ("jobs", "owed")]
    assert lengths == [256, 256, 256]


def test_each_part_tells_of_the_moment_when_it_is_written() -> None:
    """A configuration that comes in between takes no server out of a page that was begun."""
    made = config({"m": ["a", "b"]})
    view = view_of(made)
    parts = page_of(view, made).parts()
    got = [next(parts), next(parts)]
    view.apply(replace(made, servers={}, models={}))
    assert [one["id"] for one in json.loads(b"".join([*got, *parts]))["servers"]] == ["a", "b"]


@pytest.mark.parametrize("name", ["\x1b[31mred", "\u202eabc", "\udcff", "é\x9b0m", 'q"', "\u2028"])
def test_what_clients_write_commands_no_terminal_and_stays_json(name: str) -> None:
    made = config({"m": ["a"]})
    text = b"".join(page_of(view_of(made), made, request(model=name)).parts()).decode()
    assert text.removesuffix("\n").isprintable()
    (found,) = json.loads(text)["requests"]
    assert found["model"] in (name, "\\udcff")


def test_a_name_that_is_too_long_is_cut() -> None:
    made = config({"m": ["a"]})
    (found,) = told(view_of(made), made, request(model="x" * 5000))["requests"]
    assert len(found["model"]) == 256


def test_what_no_calendar_has_is_no_time() -> None:
    assert written(0) == "1970-01-01T00:00:00.000Z"
    assert written(10**18) is None
    assert written(-(10**18)) is None


def test_what_is_to_be_pulled_says_when_it_is_tried_again() -> None:
    made = config({"m": ["a", "b"]})
    failed = Lacking("m", "a", SyncStatus.FAILED, 2, "http://u:secret@x refused", 61.23456)
    waits = Lacking("m", "b", SyncStatus.WAITING, 0, "", None)
    assert told(view_of(made), made, failed, waits)["sync"] == [
        {
            "model": "m",
            "server": "a",
            "status": "failed",
            "failures": 2,
            "error": "http://x refused",
            "retry_in_s": 61.235,
        },
        {"model": "m", "server": "b", "status": "waiting", "failures": 0, "error": None, "retry_in_s": None},
    ]


def test_models_whose_servers_differ_are_looked_for_some_at_a_time() -> None:
    made = config({f"m{number}": ["a", "b"] for number in range(20)})
    view = view_of(made)
    for server, digest in (("a", "a"), ("b", "b")):
        view.answered(server, "0.34.3", 1.0)
        view.listed(server, [entry(model.name, digest * 64) for model in made.models.values()])
    parts = list(page_of(view, made).parts())
    assert b"" in parts
    found = msgspec.json.decode(b"".join(parts), type=FleetState)
    assert [one.model for one in found.wrong] == [f"m{number}" for number in range(20)]


def test_a_request_waits_until_a_server_is_asked_or_it_is_answered() -> None:
    one = request()
    assert one.waits
    one.event.model_used = "m"
    assert not one.waits
    one.event.model_used, one.event.status = None, 503
    assert not one.waits
