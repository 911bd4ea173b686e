"""The page of the fleet's state: what stands in it, how it is written, what it leaves out."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gollamas.config.model import Config
from gollamas.events import RequestEnded
from gollamas.fleet.entries import Entry
from gollamas.fleet.view import View
from gollamas.observe.state import FleetState, Moment, OpenRequest, StatePage, written
from tests.unit.fleet.fleets import config, entry, key_of, view_of

NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z
GIB = 1 << 30


def page_of(
    view: View, made: Config, *requests: OpenRequest, at: float = 100.0, not_ready: str | None = None
) -> StatePage:
    """Make the page of a proxy that has run since 40 by its clock, looked at when it says `at`."""
    times = iter((40.0, at, at))
    return StatePage(
        "9.9.9", view, lambda: Moment(next(times), NOON), lambda: made, lambda: requests, lambda: not_ready
    )


def told(view: View, made: Config, *requests: OpenRequest, at: float = 100.0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(page_of(view, made, *requests, at=at).parts()))
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
    }


def test_a_server_that_is_up_says_all_that_is_known_of_it() -> None:
    made = config({"m": ["a"], "N:7b": ["a"], "o": ["b"]})
    view = view_of(made)
    view.answered("a", "0.34.3", 70.5)
    view.listed("a", [entry("m:latest"), entry("x")])
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
        "models": ["m:latest", "x"],
        "missing": ["N:7b"],
        "loaded": [
            {
                "model": "m:latest",
                "context_length": 8192,
                "size": 3 * GIB,
                "size_vram": GIB,
                "expires_at": "2026-11-30T12:05:00.123Z",
            }
        ],
    }


def test_of_a_server_that_was_not_asked_to_an_end_nothing_is_known() -> None:
    made = config({"m": ["a"]})
    (server,) = told(view_of(made), made)["servers"]
    assert (server["health"], server["why"], server["since"], server["version"]) == (
        "unknown",
        None,
        None,
        None,
    )
    assert (server["models"], server["missing"], server["loaded"]) == (None, [], [])


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
        "size": None,
        "size_vram": None,
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
    assert len(parts) == 5 + -(-number // 64)


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
