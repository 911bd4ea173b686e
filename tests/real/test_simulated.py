"""The simulated server answers as the real one of its version does, to every question of these tests."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from tests.clients.programs import SimulatedFleet
from tests.real.fleet import Place, RealFleet, seen
from tests.real.questions import ANSWERED, REFUSED, Question
from tests.real.stand_in import stand_in
from tests.recorded import Reply, parse_reply

_TOKENS: Final = re.compile(rb"(?<=request \()\d+(?= tokens\))|(?<=n_prompt_tokens\\\":)\d+")
# How far a model gets with a schema in a few tokens is its own affair.
_QUESTIONS = [question for question in (*ANSWERED, *REFUSED) if "schema" not in question.name]


@pytest.fixture(scope="module")
def simulated(fleet: RealFleet) -> Iterator[Place]:
    """Run a simulated server of the same version, whose models have the same names and abilities."""
    with SimulatedFleet({"simulated": stand_in(fleet)}) as running:
        yield Place(running.urls["simulated"])


@pytest.mark.parametrize("question", _QUESTIONS, ids=lambda question: question.name)
def test_the_simulated_server_answers_alike(fleet: RealFleet, simulated: Place, question: Question) -> None:
    """Status, fields, framing, kinds of lines and events, key order and error texts."""
    body = question.body(fleet.chat, fleet.embed)
    real, ours = (
        without_chance(parse_reply(place.raw(question.method, question.path, body), is_head=False))
        for place in (fleet.first, simulated)
    )
    assert [*seen(ours), ours.chunks is None] == [*seen(real), real.chunks is None]


def without_chance(reply: Reply) -> Reply:
    """Leave aside whether the model or the limit ended an answer, and how many tokens a prompt makes."""
    body = reply.body.replace(b'"length"', b'"stop"').replace(b'"max_tokens"', b'"end_turn"')
    return replace(reply, body=_TOKENS.sub(b"some", body))
