"""Models that a simulated server has: what they are made of and what `/api/show` says of them.

Owns descriptions and digests; who has which is in `library`. A model of any name can be made: its
size and abilities are guessed from the name as a person would.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gollamas import names

_SIZE: Final = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.ASCII)
_EMBEDDING: Final = ("embed", "minilm", "bge", "bert")
_VISION: Final = ("vision", "llava", "-vl", "gemma3", "moondream")
_THINKING: Final = ("deepseek-r1", "qwen3", "gpt-oss", "magistral")
_TOOLS: Final = ("llama3.1", "llama3.2", "llama3.3", "qwen", "mistral", "gpt-oss", "granite", "command-r")
_SIZES: Final = {"all-minilm": "23m", "llama3.2": "3b", "smollm2": "1.7b", "smol": "135m", "minilm": "23m"}

TEMPLATE: Final = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)


def digest_of(*parts: object) -> str:
    """64 hexadecimal digits that depend on nothing but the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of a model: two models with the same ones share a runner."""

    family: str = "llama"
    basename: str = "llama"
    parameters: int = 3_000_000_000
    quantization: str = "Q4_K_M"
    trained_context: int = 131_072
    embedding_length: int = 2048
    blocks: int = 28
    capabilities: tuple[str, ...] = ("completion",)
    origin: str = ""  # tells apart weights that are alike in everything else

    @property
    def digest(self) -> str:
        """The blob's digest, without its prefix."""
        return digest_of(
            "weights", self.origin, self.family, self.basename, self.parameters, self.quantization
        )

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.parameters * (16 if self.quantization == "F16" else 5) // 8

    @property
    def is_embedding(self) -> bool:
        """Whether it is made for embeddings and cannot generate."""
        return "embedding" in self.capabilities

    @property
    def parameter_size(self) -> str:
        """As Ollama shows it: `134.52M`, `3.2B`."""
        if self.parameters >= 1_000_000_000:
            return f"{self.parameters / 1e9:.1f}B"
        return f"{self.parameters / 1e6:.2f}M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model under one name. `modified_at` is in seconds since 1970."""

    name: names.Name
    weights: Weights
    modified_at: float
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"stop": ["<|im_end|>"]})
    template: str = TEMPLATE
    system: str = ""
    license: tuple[str, ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()
    parent: str = ""  # the name that it was made from

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Digest and size of each part but the configuration."""
        found = [(self.weights.digest, self.weights.size)]
        texts = (self.template, self.system, "\n".join(self.license), self.messages, dict(self.parameters))
        return found + [(digest_of("layer", text), len(str(text))) for text in texts if text]

    @property
    def digest(self) -> str:
        """The manifest's digest: equal for copies, other for models that derive from one another."""
        return digest_of("manifest", self.parent, [digest for digest, _ in self.layers])

    @property
    def size(self) -> int:
        """Bytes on disk of all layers."""
        return sum(size for _, size in self.layers)

    def renamed(self, name: names.Name, now: float) -> "Model":
        """Give the same contents under another name."""
        return replace(self, name=name, modified_at=now)

    def details(self, *, parent: str = "") -> dict[str, Any]:
        """Give the `details` of a listing; not all of them name the parent."""
        return {
            "parent_model": parent,
            "format": "gguf",
            "family": self.weights.family,
            "families": [self.weights.family],
            "parameter_size": self.weights.parameter_size,
            "quantization_level": self.weights.quantization,
        }


def weights_named(name: names.Name) -> Weights:
    """Weights as somebody would expect them behind this name."""
    text = f"{name.model}:{name.tag}".lower()
    found = _SIZE.search(text.partition(":")[2]) or _SIZE.search(text)
    size = found.group() if found else _SIZES.get(name.model.lower(), "7b")
    count = round(float(size[:-1]) * (1_000_000_000 if size[-1] == "b" else 1_000_000))
    origin = f"{name.host}/{name.namespace}/{name.model}:{name.tag}".lower()
    if any(word in text for word in _EMBEDDING):
        return Weights(
            family="bert",
            basename=name.model,
            parameters=count,
            quantization="F16",
            trained_context=512,
            embedding_length=384,
            blocks=6,
            capabilities=("embedding",),
            origin=origin,
        )
    able = [word for word, marks in _ABILITIES if any(mark in text for mark in marks)]
    return Weights(
        family=next((family for mark, family in _FAMILIES if mark in text), "llama"),
        basename=name.model,
        parameters=count,
        trained_context=8192 if count < 1_000_000_000 else 131_072,
        embedding_length=576 if count < 1_000_000_000 else 4096,
        blocks=30,
        capabilities=("completion", *able),
        origin=origin,
    )


def original(name: names.Name, now: float) -> Model:
    """Make the model that a registry has under this name, unless a test published another one."""
    weights = weights_named(name)
    if weights.is_embedding:
        return Model(name=name, weights=weights, modified_at=now, parameters={}, template="{{ .Prompt }}")
    return Model(name=name, weights=weights, modified_at=now)


_FAMILIES: Final = (
    ("deepseek", "qwen2"),
    ("qwen3", "qwen3"),
    ("qwen", "qwen2"),
    ("gemma", "gemma3"),
    ("phi", "phi3"),
)
_INSERT: Final = ("coder", "codellama", "codegemma", "starcoder", "codestral")
_ABILITIES: Final = (("insert", _INSERT), ("vision", _VISION), ("tools", _TOOLS), ("thinking", _THINKING))
