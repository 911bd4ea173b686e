"""What a simulated model says: words, JSON, thoughts, vectors; the same for the same question.

Owns the making of contents; no model is behind it, only a hash.
"""

import hashlib
import math
import random
from collections.abc import Mapping
from typing import Any, Final

_SENTENCES: Final = (
    "Hello from a simulated model.",
    "No weights were asked for this answer, only a hash of your question.",
    "A river of tokens runs past the window, one after another.",
    "Every word arrives on its own, as it would from a real server.",
    "The same question with the same seed gives the same answer.",
    "If you can read this, the way from the client to the server works.",
    "Llamas are good at carrying things and patient with their load.",
    "A longer answer would only say the same in more words.",
)


def chance(*parts: object) -> random.Random:
    """Make a source of numbers that depends on nothing but the parts."""
    return random.Random(hashlib.sha256(repr(parts).encode()).digest())  # noqa: S311 - nothing secret comes of it


def count_tokens(text: str) -> int:
    """About as many tokens as a tokenizer would make: a word, or four bytes of a long one."""
    return sum(1 + len(word) // 8 for word in text.split())


def tokens(source: random.Random) -> list[str]:
    """Make a few sentences, a word a token; together they are the text."""
    chosen = source.sample(_SENTENCES, k=source.randint(2, 4))
    words = " ".join(chosen).split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(words)]


def logprob(token: str, alternatives: int, source: random.Random) -> dict[str, Any]:
    """Say how likely a token was, and which others there were."""
    value: dict[str, Any] = {
        "token": token,
        "logprob": -round(source.uniform(0.01, 3), 8),
        "bytes": list(token.encode()),
    }
    if alternatives:
        others = [{"token": word, "logprob": -3.5, "bytes": list(word.encode())} for word in _OTHERS]
        value["top_logprobs"] = [dict(value), *others][:alternatives]
    return value


_OTHERS: Final = tuple(f" {word}" for word in " ".join(_SENTENCES).split()[:20])


def split(text: str, size: int = 6) -> list[str]:
    """Make a text in pieces, as a tokenizer might cut it."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def instance(schema: Any, source: random.Random, depth: int = 0) -> Any:
    """Make a value that a JSON schema allows; anything that is no schema gives a short object."""
    if not isinstance(schema, Mapping):
        return {"answer": source.choice(_SENTENCES)}
    allowed = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if isinstance(allowed, list) and allowed:
        return allowed[0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "array":
        return [instance(schema.get("items", {}), source, depth + 1)] if depth < _MAX_DEPTH else []
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and depth < _MAX_DEPTH:
        return {str(key): instance(item, source, depth + 1) for key, item in properties.items()}
    return {} if kind == "object" else _SCALARS.get(kind, "simulated")


_MAX_DEPTH: Final = 8
_SCALARS: Final[dict[Any, Any]] = {
    "string": "simulated",
    "integer": 42,
    "number": 4.2,
    "boolean": True,
    "null": None,
}


def vector(text: str, length: int) -> list[float]:
    """Make a vector of length 1 for a text."""
    source = chance("vector", text)
    raw = [source.uniform(-1, 1) for _ in range(length)]
    norm = math.sqrt(sum(item * item for item in raw)) or 1.0
    # No value so small that Python and Go would print it differently.
    return [round(item / norm, 8) if abs(item / norm) > 1e-4 else 0.001 for item in raw]


def cut(values: list[float], length: int) -> list[float]:
    """Give the first `length` values, brought back to length 1."""
    short = values[:length]
    norm = math.sqrt(sum(item * item for item in short)) or 1.0
    return [round(item / norm, 8) for item in short]
