"""A name that no client may see, changed wherever it stands in an answer.

Owns the spellings in which Ollama writes a name (types/model/name.go): as it was asked for, with every part,
as the path of a manifest. Refuses to know why it is hidden.
"""

from gollamas import names
from gollamas.wire.lines import NameEditor, Shape, quoted


class NameHider(NameEditor):
    """Changes a name into the client's, in whatever text of an answer it stands. In: as `NameEditor`."""

    __slots__ = ("_kept", "_longest", "_pairs")

    def __init__(self, upstream_name: bytes, client_name: bytes) -> None:
        super().__init__(Shape.WHOLE, upstream_name, client_name)
        old, new = names.parse(upstream_name.decode()), names.parse(client_name.decode(errors="replace"))
        pairs = [(upstream_name.decode(), client_name.decode(errors="replace"))]
        if old is not None and new is not None:
            # The longest first; what holds no more than the model's part of the name comes last.
            pairs = [(old.full, new.full), (_path(old), _path(new)), *pairs, (old.model, new.model)]
        self._pairs = [(known.encode(), quoted(shown.encode())[1:-1]) for known, shown in pairs]
        self._longest = max(len(known) for known, _ in self._pairs)
        self._kept = b""

    @property
    def held(self) -> bytes:
        """What is held back."""
        return self._kept

    def feed(self, piece: bytes) -> bytes:
        """Change one piece. Out: all bytes so far, but for a tail that may be the beginning of the name."""
        text = self._kept + piece
        size = 0 if text.endswith((b"\n", b"}")) else self._beginning(text)  # no name holds either
        self._kept = text[len(text) - size :]
        return self._changed(text[: len(text) - size])

    def flush(self) -> bytes:
        """Give what is still held when the answer ends."""
        kept, self._kept = self._kept, b""
        return self._changed(kept)

    def _changed(self, text: bytes) -> bytes:
        for known, shown in self._pairs:
            text = text.replace(known, shown)
        return text

    def _beginning(self, text: bytes) -> int:
        """How many bytes at the end of a text may be the beginning of the name."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - size :]
            if any(len(known) > size and known.startswith(tail) for known, _ in self._pairs):
                return size
        return 0


def _path(name: names.Name) -> str:
    return f"{name.host}/{name.namespace}/{name.model}/{name.tag}"
