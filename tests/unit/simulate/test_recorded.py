"""The simulated server answers every recorded case as the real one did, values aside."""

import re

import pytest

from gollamas.simulate.clock import WallClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import Settings
from gollamas.wire.message import Answer
from tests.recorded import VERSIONS, body_shape, cases, chunk_shapes, needs_recordings
from tests.unit.simulate.running import runs


def simulated(version: str) -> SimulatedOllama:
    """Make a server configured like the recorded one."""
    bodies = b"".join(case.raw_response for case in cases(version))
    home = re.search(rb"open (\S+)/manifests/", bodies)
    resolver = re.search(rb"lookup \S+ on (\S+): no such host", bodies)
    assert home is not None
    assert resolver is not None
    settings = Settings(
        version=version,
        models=("smol", "minilm"),
        load_seconds=0.0,
        tokens_per_second=0.0,
        prompt_tokens_per_second=0.0,
        registry=False,
        home=home.group(1).decode(),
        resolver=resolver.group(1).decode(),
    )
    return SimulatedOllama(settings, WallClock())


async def pieces_of(answer: Answer) -> list[bytes] | None:
    """Give the chunks of an answer, None where it has a length."""
    if isinstance(answer.body, bytes):
        return None
    return [piece async for piece in answer.body]


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_each_recorded_case(version: str) -> None:
    """Status, fields, framing, key order, kinds of chunks and error texts are those of the recording."""
    server = simulated(version)
    differences = []
    for case in cases(version):
        expected = case.reply
        answer = await server.respond(case.request)
        chunks = await pieces_of(answer)
        body = answer.body if isinstance(answer.body, bytes) else b"".join(chunks or [])
        found = [answer.status, answer.fields]
        wanted = [expected.status, expected.end_to_end()]
        if not case.raw_request.startswith(b"HEAD "):
            found += [chunks is None, body_shape(body) if chunks is None else chunk_shapes(chunks)]
            is_whole = expected.chunks is None
            wanted += [
                is_whole,
                body_shape(expected.body) if is_whole else chunk_shapes(expected.chunks or []),
            ]
        if found != wanted:
            differences.append((case.name, wanted, found))
    assert differences == []
