"""Model names as Ollama reads them.

Owns parsing, the canonical form and equality of names (Ollama's `types/model/name.go`); knows
nothing of servers or routes. Two names are one model exactly when their keys are equal.
"""

import re
from typing import Final, NamedTuple

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"
_OURS: Final = f"{DEFAULT_HOST}/gollamas/"

# Lengths and alphabets of `isValidPart`: 350 bytes for a host, 80 for the rest; ASCII only.
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,349}", re.ASCII)
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]{0,79}", re.ASCII)
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}", re.ASCII)


class Name(NamedTuple):
    """The four parts of a model's name, in the spelling that was given."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def key(self) -> str:
        """The form by which names are compared: all four parts, in lower case."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}".lower()

    @property
    def shortest(self) -> str:
        """What `/api/tags` shows: default host and namespace left out, the tag always there."""
        short = f"{self.model}:{self.tag}"
        is_default_host = self.host.lower() == DEFAULT_HOST
        if is_default_host and self.namespace.lower() == DEFAULT_NAMESPACE:
            return short
        if is_default_host:
            return f"{self.namespace}/{short}"
        return f"{self.host}/{self.namespace}/{short}"

    @property
    def full(self) -> str:
        """Every part spelled out, as Ollama writes it into some of its errors."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"


def parse(text: str) -> Name | None:
    """Split a name into its parts, defaults filled in; None where Ollama calls it invalid.

    White space around it is dropped, and so is a `:local` suffix (Ollama 0.18), which only says where to
    look. `:cloud` stays, as a tag of its own.
    """
    rest = text.strip()
    if rest[-6:].lower() == ":local":
        rest = rest[:-6]
        if is_cloud(rest) or rest[-6:].lower() == ":local":
            return None
    return parse_bare(rest)


def parse_bare(text: str) -> Name | None:
    """Split a name as create, copy and push do: white space is not ignored, `:local` is a tag."""
    rest = text
    tag = DEFAULT_TAG
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1 :]
    host, namespace = DEFAULT_HOST, DEFAULT_NAMESPACE
    rest, slash, model = rest.rpartition("/")
    if slash:
        left, slash, namespace = rest.rpartition("/")
        if slash:
            _, scheme, after = left.partition("://")  # of a name with all its parts alone
            host = (after or DEFAULT_HOST) if scheme else left
    if (
        _PART.fullmatch(model)
        and _PART.fullmatch(tag)
        and _NAMESPACE.fullmatch(namespace)
        and _HOST.fullmatch(host)
    ):
        return Name(host, namespace, model, tag)
    return None


def key_of(text: str) -> str | None:
    """The key of a name in any spelling; None where Ollama calls it invalid."""
    name = parse(text)
    return name.key if name else None


def is_host(text: str) -> bool:
    """Whether a name may have this host."""
    return _HOST.fullmatch(text) is not None


def is_ours(key: str) -> bool:
    """Whether the name belongs to the proxy itself: models under `gollamas/` are its own."""
    return key.startswith(_OURS)


def is_cloud(text: str) -> bool:
    """Whether Ollama (0.18 and later) would send this name to its cloud: `x:cloud`, `x:8b-cloud`."""
    name = text.strip().lower()
    return name.endswith((":cloud", "-cloud")) and name.rfind(":") > name.rfind("/")


def names_both_sources(text: str) -> bool:
    """Whether a name says twice where to look, as `x:cloud:local` does, which Ollama refuses."""
    name = text.strip().lower()
    if name.endswith(":local"):
        rest = name.removesuffix(":local")
        return is_cloud(rest) or rest.endswith(":local")
    return is_cloud(name) and name[: -len(":cloud")].endswith(":local")
