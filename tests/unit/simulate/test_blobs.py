"""Blobs as they come: in any pieces the same, and only small ones are kept."""

import hashlib
import itertools

import pytest

from gollamas.simulate.blobs import MOST_KEPT_BYTES, Incoming, blob_of


@pytest.mark.parametrize(
    "size", [0, 3, 4, 5, MOST_KEPT_BYTES, MOST_KEPT_BYTES + 1, MOST_KEPT_BYTES + 300_000]
)
@pytest.mark.parametrize("piece", [3, 256 * 1024, 2 * MOST_KEPT_BYTES])
def test_a_blob_is_the_same_in_any_pieces(size: int, piece: int) -> None:
    body = (b"GGUF" + bytes(range(251)) * (size // 251 + 1))[:size]
    cuts = [*range(0, min(size, 30), piece), *range(30, size, max(piece, 1000)), size]
    incoming = Incoming()
    for at, end in itertools.pairwise(cuts):
        incoming.add(body[at:end])
    blob = incoming.blob()
    assert blob == blob_of(body)
    assert (blob.digits, blob.length) == (hashlib.sha256(body).hexdigest(), size)
    assert blob.kind == body[:4]
    assert blob.body == (body if size <= MOST_KEPT_BYTES else b"")
