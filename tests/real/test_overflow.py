"""A prompt that a real server has cut, and a simulated one like it, is told by the count of its tokens."""

import re
import signal
from typing import Any, Final

from tests.clients.programs import started
from tests.real.fleet import Place, RealFleet
from tests.real.test_policies import asks
from tests.real.test_proxied_loads import FEW, Loading

LONG: Final = "hello world, this is a long prompt " * 100
REQUEST: Final = re.compile(r" request 200 POST (\S+) .* tokens=\d+/\d+(?: cached=\d+)?( truncated)?")


def long_and_short(model: str) -> list[tuple[str, dict[str, Any]]]:
    """Give a request that is too long for 256 tokens and one that is not, in some dialects."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for text in (LONG, "Hi"):
        messages = [{"role": "user", "content": text}]
        asked += [
            ("/api/generate", {"model": model, "prompt": text, "stream": False, "options": FEW}),
            ("/api/chat", {"model": model, "messages": messages, "stream": False, "options": FEW}),
            ("/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 2}),
            ("/v1/messages", {"model": model, "messages": messages, "max_tokens": 2}),
        ]
    return asked


def test_a_prompt_that_was_cut_is_told(fleet: RealFleet, place: Place, words: list[str]) -> None:
    with started(*words, "--force-num-ctx", "256") as program:
        proxied = Loading(program)
        asked = long_and_short(fleet.chat)
        for path, body in asked:
            asks(proxied, path, body)
        assert program.ended(signal.SIGTERM) == 0, program.said
    assert place.loaded() == {fleet.chat}
    told = REQUEST.findall(program.said)
    assert [path for path, _ in told] == [path for path, _ in asked]
    assert [bool(truncated) for _, truncated in told] == [True] * 4 + [False] * 4
