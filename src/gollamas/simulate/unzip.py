"""Bodies that were compressed with zstd, which Ollama reads on some of its `/v1` routes."""

import sys
from typing import Final

from gollamas.simulate.refusal import Refusal
from gollamas.wire.message import Request

_MAX_BYTES: Final = 20 * 1024 * 1024


def unzipped(request: Request) -> bytes:
    """Give the body as it was before it was compressed; other encodings pass as they are.

    Raises Refusal (400) for what is no zstd or grows too large.
    """
    if (request.head.get(b"content-encoding") or b"").strip().lower() != b"zstd":
        return request.body
    plain = _decoded(request.body)
    if plain is None:
        raise Refusal(400, "failed to decompress zstd body", is_early=True)
    return plain


def _decoded(body: bytes) -> bytes | None:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - the standard library's, from 3.14 on

        try:
            return zstd.ZstdDecompressor().decompress(body, _MAX_BYTES)
        except zstd.ZstdError:
            return None
    import zstandard  # noqa: PLC0415 - needed before 3.14 only

    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            return bytes(reader.read(_MAX_BYTES))
    except zstandard.ZstdError:
        return None
