"""The models and blobs that a simulated server holds.

Owns which names exist and how they are found (Ollama's `server/routes.go`); loading is `sched`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gollamas import names
from gollamas.simulate.blobs import Blob
from gollamas.simulate.model import Model, original
from gollamas.simulate.refusal import Refusal

_DIGEST: Final = re.compile(r"sha256[:-][0-9a-f]{64}", re.ASCII)


@dataclass(slots=True)
class Creation:
    """A create that was begun."""

    model: str  # as lists show it
    source: str  # as it was sent: the model that it is made from; empty: files
    parameters: Mapping[str, Any]
    ended: Literal["", "made", "failed", "aborted"] = ""  # aborted: its client left; empty: it goes on


class Library:
    """Installed models by name, and blobs by digest; what was made and deleted is for tests to read."""

    def __init__(self, installed: tuple[str, ...], now: float) -> None:
        self._models: dict[str, Model] = {}
        self._blobs: dict[str, Blob] = {}
        self.creates: list[Creation] = []
        self.deletes: list[str] = []  # as lists showed them
        for age, text in enumerate(reversed(installed)):
            name = names.parse(text)
            if name is None:
                raise ValueError(f"{text!r} is no name of a model")
            self.put(original(name, now - 60.0 * (age + 1)))

    def all(self) -> list[Model]:
        """Every model, the newest first."""
        return sorted(self._models.values(), key=lambda model: -model.modified_at)

    def find(self, text: str) -> Model | None:
        """Give the model of this name in any spelling."""
        key = names.key_of(text)
        return self._models.get(key) if key else None

    def named(self, name: names.Name) -> Model | None:
        """Give the model of this name, which was read already."""
        return self._models.get(name.key)

    def find_exact(self, text: str) -> Model | None:
        """Give the model of this name in its own case: `/api/embeddings` and `from` in a create mind it."""
        model = self.find(text)
        return model if model is not None and model.name == names.parse(text) else None

    def put(self, model: Model) -> None:
        """Install a model, over the one of the same name if there is one, whose spelling stays."""
        key = model.name.key
        if (old := self._models.get(key)) is not None:
            model = model.renamed(old.name, model.modified_at)
        self._models[key] = model

    def remove(self, model: Model) -> None:
        """Delete a model; blobs of others stay."""
        self._models.pop(model.name.key, None)
        self.deletes.append(model.name.shortest)

    def has_layer(self, digest: str) -> bool:
        """Whether some model or blob has this digest (64 digits)."""
        return digest in self._blobs or any(
            digest == layer for model in self._models.values() for layer, _ in model.layers
        )

    def blob(self, digest: str) -> Blob | None:
        """Give a blob by `sha256:` and its digits."""
        return self._blobs.get(_digits(digest))

    def has_blob(self, digest: str) -> bool:
        """Whether a blob is there. Raises Refusal (400) for what is no digest."""
        return self.has_layer(_digits(digest))

    def put_blob(self, digest: str, blob: Blob) -> bool:
        """Keep a blob; whether it is new.

        Raises Refusal (400) when the digest is another; the blob is kept under its own even so.
        """
        if self.has_blob(digest):
            return False
        self._blobs[blob.digits] = blob
        if digest != f"sha256:{blob.digits}":
            raise Refusal(400, f'digest mismatch, expected "{digest}", got "sha256:{blob.digits}"')
        return True


def _digits(digest: str) -> str:
    if _DIGEST.fullmatch(digest) is None:
        raise Refusal(400, "invalid digest format")
    return digest[7:]
