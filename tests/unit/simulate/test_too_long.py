"""A prompt that is longer than the context is cut, or refused where the client says so."""

from typing import Any

import pytest

from tests.unit.simulate.running import ask, fast, runs


def asked(words: int) -> dict[str, Any]:
    """Make a request of that many words for a context of a hundred tokens."""
    text = "word " * words
    return {
        "model": "smol",
        "prompt": text,
        "messages": [{"role": "user", "content": text}],
        "options": {"num_ctx": 100},
        "stream": False,
    }


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize(
    ("version", "options", "left"),
    [
        ("0.24.0", {}, 100),
        ("0.32.15", {}, 52),
        ("0.34.3", {}, 52),
        ("0.34.3", {"num_keep": 24}, 62),
        ("0.34.3", {"num_keep": 1000}, 99),
        ("0.34.3", {"num_keep": -1}, 52),
    ],
)
@runs
async def test_a_prompt_is_cut_to_what_leaves_room(
    version: str, options: dict[str, int], left: int, path: str
) -> None:
    """Unless the client says no."""
    body = asked(300)
    body["options"] |= options
    status, found = await ask(fast(models=("smol",), version=version), path, body)
    assert (status, found["prompt_eval_count"]) == (200, left)


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize(
    ("version", "fits", "text"),
    [
        ("0.32.15", 90, "the input length exceeds the context length"),
        (
            "0.34.3",
            240,
            (
                '{"error":{"code":400,"message":"request (309 tokens) exceeds the available context size'
                ' (256 tokens), try increasing it","type":"exceed_context_size_error",'
                '"n_prompt_tokens":309,"n_ctx":256}}'
            ),
        ),
    ],
)
@runs
async def test_a_prompt_that_is_not_to_be_cut_is_refused(
    version: str, path: str, fits: int, text: str
) -> None:
    """The newer runner has a context of whole pages, and words of its own."""
    server = fast(models=("smol",), version=version)
    assert (await ask(server, path, {**asked(fits), "truncate": False}))[0] == 200
    assert await ask(server, path, {**asked(300), "truncate": False}) == (400, {"error": text})
