"""The answer to an unload of a model that stays is the one that Ollama gives."""

import json
from datetime import datetime

import pytest

from gollamas.api.routes import ROUTES
from gollamas.api.unloading import unloaded
from tests.recorded import VERSIONS, body_shape, case, needs_recordings
from tests.unit.api.test_inference import route_of

AT = 1795509415.4490004  # 2026-11-24T08:36:55.449Z
CHAT = "/api/chat"


def body_of(path: str, model: str = "smol", unix: float = AT) -> bytes:
    """Give the body of an answer."""
    body = unloaded(route_of(path), model, unix).body
    assert isinstance(body, bytes)
    return body


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
def test_an_unload_by_chat_is_answered_as_every_version_answers_it(version: str) -> None:
    reply = case(version, "chat-unload").reply
    answer = unloaded(route_of(CHAT), "smol", AT)
    assert answer.status == reply.status
    assert body_shape(body_of(CHAT)) == body_shape(reply.body)
    assert list(json.loads(body_of(CHAT))) == list(json.loads(reply.body))
    assert dict(answer.fields)[b"Content-Type"] == reply.get(b"content-type")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unload_by_generate_is_answered_as_a_load_is_but_for_its_reason(version: str) -> None:
    recorded = json.loads(case(version, "generate-load").reply.body)
    made = json.loads(body_of("/api/generate"))
    assert list(made) == list(recorded)
    assert made | {"created_at": "", "done_reason": "load"} == recorded | {"created_at": "", "model": "smol"}
    assert made["done_reason"] == "unload"


def test_each_answer_says_what_its_route_says() -> None:
    at = b"2026-11-24T08:36:55.449000Z"
    assert body_of(CHAT) == (
        b'{"model":"smol","created_at":"' + at + b'","message":{"role":"assistant","content":""}'
        b',"done":true,"done_reason":"unload"}'
    )
    assert body_of("/api/generate") == (
        b'{"model":"smol","created_at":"' + at + b'","response":"","done":true,"done_reason":"unload"}'
    )
    assert body_of("/api/embed") == b'{"model":"smol","embeddings":[]}'
    assert body_of("/api/embeddings") == b'{"embedding":[]}'


def test_the_routes_that_unload_are_those_that_read_options() -> None:
    assert [route.path for route in ROUTES if route.unloaded] == [
        route.path for route in ROUTES if route.takes_options
    ]


@pytest.mark.parametrize("model", ['a"b', "é", "50%", "%(at)b", "x\\y"])
def test_the_name_is_the_client_s_own_whatever_stands_in_it(model: str) -> None:
    for path in (CHAT, "/api/generate", "/api/embed"):
        assert json.loads(body_of(path, model))["model"] == model


def test_the_time_is_one_that_go_reads() -> None:
    said = json.loads(body_of(CHAT))["created_at"]
    assert datetime.fromisoformat(said).timestamp() == pytest.approx(AT, abs=1e-3)
    assert json.loads(body_of(CHAT, unix=0.0))["created_at"].startswith("1970-01-01T00:00:00")
