"""Through the proxy a real server's answers are those that it gives directly."""

import json
from typing import Any

import pytest

from tests.real.fleet import Place, RealFleet, models_in, multipart, seen
from tests.real.questions import ANSWERED, REFUSED, SHORT, Question
from tests.recorded import Reply, parse_reply


def answer(place: Place, question: Question, chat: str, embed: str) -> Reply:
    """Ask a question of somebody, about these models."""
    raw = place.raw(question.method, question.path, question.body(chat, embed))
    return parse_reply(raw, is_head=False)


@pytest.mark.parametrize("question", [*ANSWERED, *REFUSED], ids=lambda question: question.name)
def test_the_same_answer(fleet: RealFleet, question: Question) -> None:
    """Status, fields, kinds of lines and events, key order and error texts."""
    direct = answer(fleet.first, question, fleet.chat, fleet.embed)
    proxied = answer(fleet.proxy, question, fleet.chat, fleet.embed)
    assert seen(proxied) == seen(direct)


@pytest.mark.parametrize("question", ANSWERED, ids=lambda question: question.name)
def test_an_alias_on_every_endpoint(fleet: RealFleet, question: Question) -> None:
    """The answer has the same form, and the alias stands wherever the model's name stood."""
    direct = answer(fleet.first, question, fleet.chat, fleet.embed)
    proxied = answer(fleet.proxy, question, "an-alias", "an-embedder")
    assert seen(proxied) == seen(direct)
    if question.path != "/api/show":
        asked = {"an-alias", "an-embedder"} if models_in(direct.body) else set()
        assert models_in(proxied.body) <= asked
        assert bool(models_in(proxied.body)) == bool(models_in(direct.body))


def _spelt(name: str, spelling: str) -> str:
    if spelling == "upper":
        return name.upper()
    if spelling == "library" and "/" not in name:
        return f"library/{name}"
    return name.removesuffix(":latest")


@pytest.mark.parametrize("spelling", ["shortest", "upper", "library"])
def test_other_spellings(fleet: RealFleet, spelling: str) -> None:
    """A name in another spelling is answered in that spelling; `/api/embeddings` minds the case, not we."""
    chat, embed = _spelt(fleet.chat, spelling), _spelt(fleet.embed, spelling)
    ask = {"model": chat, "prompt": "Hi", "stream": False, "options": SHORT}
    assert fleet.proxy.json("POST", "/api/generate", ask)["model"] == chat
    assert fleet.proxy.json("POST", "/api/embeddings", {"model": embed, "prompt": "Hi"})["embedding"]


@pytest.mark.parametrize("name", ["chat", "alias", "spelt"])
def test_one_model_of_openai(fleet: RealFleet, name: str) -> None:
    """`GET /v1/models/:model` gives the name that was asked for."""
    asked = {"alias": "an-alias", "spelt": fleet.chat.upper()}.get(name, fleet.chat)
    direct = fleet.first.ask("GET", f"/v1/models/{fleet.chat}")
    proxied = fleet.proxy.ask("GET", f"/v1/models/{asked}")
    assert seen(proxied) == seen(direct)
    assert json.loads(proxied.body)["id"] == asked


def test_a_transcription(fleet: RealFleet) -> None:
    """The form arrives: the answer, a refusal of a model without ears, is the server's own."""
    body, content_type = multipart(fleet.chat)
    answers = [
        parse_reply(place.raw("POST", "/v1/audio/transcriptions", body, content_type), is_head=False)
        for place in (fleet.first, fleet.proxy)
    ]
    assert seen(answers[1]) == seen(answers[0])


def test_a_text_that_is_asked_twice_is_the_same(fleet: RealFleet) -> None:
    """With one seed and no temperature, the proxy's text is the server's, whole and in pieces."""
    ask: dict[str, Any] = {"model": fleet.chat, "prompt": "1 2 3 4", "raw": True, "options": SHORT}
    direct = fleet.first.json("POST", "/api/generate", {**ask, "stream": False})["response"]
    assert fleet.proxy.json("POST", "/api/generate", {**ask, "stream": False})["response"] == direct
    lines = fleet.proxy.ask("POST", "/api/generate", ask).body.splitlines()
    assert "".join(json.loads(line)["response"] for line in lines) == direct
    vectors = [
        place.json("POST", "/api/embed", {"model": fleet.embed, "input": "Hello"})["embeddings"]
        for place in (fleet.first, fleet.proxy)
    ]
    assert vectors[0][0] == pytest.approx(vectors[1][0], abs=1e-4)


def test_tools_are_answered_alike(fleet: RealFleet) -> None:
    """Tools reach the server: a call where the model is able to, else its refusal."""
    function = {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    ask = {
        "model": fleet.chat,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [{"type": "function", "function": function}],
        "stream": False,
        "options": {**SHORT, "num_predict": 64},
    }
    direct, proxied = (place.ask("POST", "/api/chat", ask) for place in (fleet.first, fleet.proxy))
    assert seen(proxied) == seen(direct)
