"""What a model is beside its name: which weights it runs, and whether it only embeds.

Owns what is read of `/api/show`. Pure.
"""

import re
from typing import Final, NamedTuple

import msgspec

# A modelfile names its weights by the path of a blob; one made of a model on another server by its own.
_FROM: Final = re.compile(r"^FROM\s+.*[/\\]blobs[/\\](sha256[-:][0-9a-f]{64})\s*$", re.MULTILINE)


class Facts(NamedTuple):
    """`weights` is the digest of the blob that a runner is made of, empty where it is not told."""

    weights: str
    only_embeds: bool


class _Shown(msgspec.Struct):
    modelfile: str = ""
    capabilities: list[str] | None = None


_decoder: Final = msgspec.json.Decoder(_Shown)


def read(body: bytes) -> Facts | None:
    """Read the answer to `/api/show`; None where it is none."""
    try:
        shown = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = _FROM.search(shown.modelfile)
    can = shown.capabilities or ()
    return Facts(found[1] if found else "", "embedding" in can and "completion" not in can)
