"""What the registries have that a simulated server pulls from and pushes to.

Owns which models there are and in which version; who is reached is of the settings. A version is told by a
number, so that several servers that pull it get the same contents.
"""

from dataclasses import replace
from typing import Final

from gollamas import names
from gollamas.simulate.model import Model, original
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.settings import Settings

_MODELS: Final = frozenset(
    (
        "all-minilm",
        "codellama",
        "deepseek-r1",
        "gemma3",
        "gpt-oss",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.2-vision",
        "llama3.3",
        "llava",
        "mistral",
        "mxbai-embed-large",
        "nomic-embed-text",
        "phi3",
        "phi4",
        "qwen2.5",
        "qwen2.5-coder",
        "qwen3",
        "smollm",
        "smollm2",
        "tinyllama",
    )
)


class Catalog:
    """Some models of Ollama's library in every tag, and what a test published, on whatever host."""

    def __init__(self) -> None:
        self._published: dict[str, Model] = {}

    def publish(self, text: str, version: int, *, same_weights: bool = False) -> str:
        """Have a model pulled in this version from now on; give the digest that lists show of it then.

        Version 0 is what a server has that was told of the model at its start. Other versions have weights
        of their own, or with `same_weights` another system prompt over those of version 0.
        """
        name = names.parse(text)
        if name is None:
            raise ValueError(f"{text!r} is no name of a model")
        model = original(name, 0.0)
        if version and same_weights:
            model = replace(model, system=f"You are version {version}.")
        elif version:
            weights = replace(model.weights, origin=f"{model.weights.origin} version {version}")
            model = replace(model, weights=weights)
        self._published[name.key] = model
        return model.digest

    def find(self, name: names.Name, now: float) -> Model | None:
        """Give a model as it is now."""
        if (model := self._published.get(name.key)) is not None:
            return model.renamed(name, now)
        is_known = name.namespace == names.DEFAULT_NAMESPACE and name.model.lower() in _MODELS
        return original(name, now) if is_known else None

    def unreachable(
        self, settings: Settings, name: names.Name, request: str, *, insecure: bool
    ) -> Refusal | None:
        """Give what a real server says when it can't reach the registry of this name.

        `request` is what it asks for: the method and the rest of the path.
        """
        if name.host == names.DEFAULT_HOST:
            is_up = settings.registry
        else:
            is_up = any(key.startswith(f"{name.host.lower()}/") for key in self._published)
        if is_up:
            return None
        host, _, port = name.host.partition(":")
        if host in ("localhost", "127.0.0.1"):
            why = f"dial tcp 127.0.0.1:{port or 443}: connect: connection refused"
        else:
            why = f"dial tcp: lookup {host} on {settings.resolver}: no such host"
        method, _, path = request.partition(" ")
        url = f"{'http' if insecure else 'https'}://{name.host}/v2/{name.namespace}/{name.model}/{path}"
        return Refusal(500, f'{method} "{url}": {why}')
