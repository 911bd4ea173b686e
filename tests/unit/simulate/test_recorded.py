"""The simulated server answers every recorded case as the real one did, values aside."""

import re
from typing import Any

import pytest

from gollamas.simulate.blobs import blob_of
from gollamas.simulate.clock import WallClock
from gollamas.simulate.server import SimulatedOllama
from gollamas.simulate.settings import VERSIONS as KNOWN
from gollamas.simulate.settings import Settings
from gollamas.wire.message import Answer
from tests.recorded import (
    VERSIONS,
    Case,
    Reply,
    body_shape,
    cases,
    cases_in_repository,
    chunk_shapes,
    needs_recordings,
)
from tests.recordings import make
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
    server = SimulatedOllama(settings, WallClock())
    by_name = {case.name: case for case in cases(version)}
    if by_name["blob-head-missing"].reply.status == 200:  # it lay there from an earlier recording
        blob = by_name["blob-post"].request
        server.engine.library.put_blob(blob.head.path.rpartition(b"/")[2].decode(), blob_of(blob.body))
    return server


async def pieces_of(answer: Answer) -> list[bytes] | None:
    """Give the chunks of an answer, None where it has a length."""
    if isinstance(answer.body, bytes):
        return None
    return [piece async for piece in answer.body]


def seen(reply: Reply, *, is_head: bool) -> list[Any]:
    """Give what of an answer does not differ from run to run."""
    if is_head:
        return [reply.status, reply.end_to_end()]
    content = body_shape(reply.body) if reply.chunks is None else chunk_shapes(reply.chunks)
    return [reply.status, reply.end_to_end(), reply.chunks is None, content]


def all_seen(found: list[Case]) -> dict[str, list[Any]]:
    """Give what is seen of each, by its name."""
    return {case.name: seen(case.reply, is_head=case.raw_request.startswith(b"HEAD ")) for case in found}


@runs
async def test_the_answers_in_the_repository_are_those_of_the_simulated_server() -> None:
    """If they are not: `python -m tests.recordings.make`."""
    kept = cases_in_repository(make.VERSION)
    now = await make.made()
    assert [(case.name, case.raw_request.decode("latin-1")) for case in kept] == [
        (name, said["request"]) for name, said in now.items()
    ]
    asked_now = [
        Case(make.VERSION, name, "", said["request"].encode("latin-1"), said["response"].encode("latin-1"))
        for name, said in now.items()
    ]
    assert all_seen(kept) == all_seen(asked_now)


@needs_recordings
def test_the_answers_in_the_repository_are_like_the_recorded_ones() -> None:
    real = all_seen(cases(make.VERSION))
    for name, found in all_seen(cases_in_repository(make.VERSION)).items():
        assert (name, found) == (name, real[name])


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


_PROMPT = re.compile(rb'"(?:prompt_eval_count|prompt_tokens|input_tokens)":(\d+)')
_CACHED = re.compile(rb'"(?:prompt_eval_cached_count|cached_tokens|cache_read_input_tokens)":(\d+)')


def cached(body: bytes) -> int | str | None:
    """Give how much of a prompt an answer says was cached: a count, or that it was all but the last token."""
    told, known = _PROMPT.findall(body), _CACHED.findall(body)
    if not known:
        return None
    in_all = int(told[-1]) + (int(known[-1]) if b"cache_read_input_tokens" in body else 0)
    return "all but one" if int(known[-1]) == in_all - 1 else int(known[-1])


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_what_was_cached_is_told_as_recorded(version: str) -> None:
    """Asked the same in the same order, as much is known: nothing after a load, a beginning, all but one."""
    server = simulated(version)
    found, wanted = [], []
    for case in cases(version):
        answer = await server.respond(case.request)
        pieces = await pieces_of(answer)
        body = b"".join(pieces) if pieces is not None else answer.body
        assert isinstance(body, bytes)
        found.append((case.name, cached(body)))
        wanted.append((case.name, cached(case.reply.body)))
    assert found == wanted


@needs_recordings
def test_every_recorded_version_is_one_that_is_simulated() -> None:
    """What the help of `gollamas simulate` names is what was compared here."""
    assert set(VERSIONS) <= set(KNOWN)
