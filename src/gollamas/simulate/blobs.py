"""Blobs as they come: hashed on the way, so that one of gigabytes costs no memory.

Owns what is kept of a blob; where it comes from and what it is good for is known elsewhere.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

MOST_KEPT_BYTES: Final = 1024 * 1024  # a longer blob is known by its digest and its length alone
_KIND_BYTES: Final = 4  # at its start, which tell a file's kind


@dataclass(frozen=True, slots=True)
class Blob:
    """A whole blob; `body` is empty where it is too long to be kept."""

    digits: str  # of its digest
    length: int
    kind: bytes  # its first bytes
    body: bytes


class Incoming:
    """A blob that has not come to its end: `add` what comes, then take the `blob`."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._length = 0
        self._kept = bytearray()

    def add(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(piece)
        self._length += len(piece)
        if self._length <= MOST_KEPT_BYTES:
            self._kept += piece
        else:
            del self._kept[_KIND_BYTES:]
            self._kept += piece[: _KIND_BYTES - len(self._kept)]

    def blob(self) -> Blob:
        """Give the blob, now that it is whole."""
        kept = bytes(self._kept)
        body = kept if self._length <= MOST_KEPT_BYTES else b""
        return Blob(self._hash.hexdigest(), self._length, kept[:_KIND_BYTES], body)


def blob_of(body: bytes) -> Blob:
    """Make a blob of all its bytes."""
    incoming = Incoming()
    incoming.add(body)
    return incoming.blob()
