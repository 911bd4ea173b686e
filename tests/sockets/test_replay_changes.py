"""Recorded changes, shows and blobs, asked of the proxy: it answers as Ollama did.

In front of a server that sends the recorded bytes, the answer is the recorded one to the byte. In front of a
simulated server of the recorded version, which is asked all of them in their order, it is so but for what
differs from run to run: digests, and the values of a description. How many lines a chunk has is our own.
"""

import re
from typing import Any, Final

import pytest

from gollamas.config.model import Config, Expose, Manage
from gollamas.simulate.serving import serving
from tests.recorded import NEWEST, VERSIONS, Case, body_shape, case, cases, needs_recordings
from tests.sockets.proxying import a_config, in_front_of, running, runs
from tests.sockets.raw import EMPTY_LIST, Message, Peer, RawServer, answer
from tests.sockets.test_replay import WAYS, split
from tests.unit.simulate.running import body_of
from tests.unit.simulate.test_recorded import simulated

PULL, PUSH, CREATE = b"/api/pull", b"/api/push", b"/api/create"
COPY, DELETE, SHOW, BLOBS = b"/api/copy", b"/api/delete", b"/api/show", b"/api/blobs/"
OURS: Final = (PULL, PUSH, CREATE, COPY, DELETE, SHOW, BLOBS)
OPEN: Final[dict[str, Any]] = {
    "manage": Manage.ALL,
    "expose": Expose.INSTALLED,
    "registries": (*Config().registries, "localhost:9"),
}
# What a job's server was asked that the client wants whole: the same, in lines.
STREAMED: Final = {
    "pull-unreachable-whole": "pull-unreachable",
    "create-context-whole": "create-context-stream",
}
_HAS_BLOB, _LACKS_BLOB = (answer(b"", status=status) for status in (b"200 OK", b"404 Not Found"))
# The proxy says these itself, in the words of the newest version: no server has to be asked.
OWN: Final = ("show-unknown-model",)
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")


def path_of(one: Case) -> bytes:
    """Give the path that was asked, of a blob without its digest."""
    path = one.raw_request.split(b" ")[1]
    return BLOBS if path.startswith(BLOBS) else path


def asks_head(one: Case) -> bool:
    return one.raw_request.startswith(b"HEAD ")


CHANGES: Final = [
    one
    for version in VERSIONS
    for one in cases(version)
    if path_of(one) in (PULL, PUSH, CREATE, COPY, DELETE)
]
ABOUT_BLOBS: Final = [one for version in VERSIONS for one in cases(version) if path_of(one) == BLOBS]


def told(one: Case) -> str:
    """Name a case in a test's name."""
    return f"{one.version}-{one.name}"


def is_right(got: Message, one: Case) -> None:
    """Hold that an answer has the recorded status, fields and framing."""
    wanted = one.reply
    assert got.is_whole
    assert (got.status, got.end_to_end()) == (wanted.status, Message(b"", wanted.fields).end_to_end())
    assert got.get(b"transfer-encoding") == wanted.get(b"transfer-encoding")


@needs_recordings
def test_recordings_of_every_change_are_there() -> None:
    for version in VERSIONS:
        found = [one for one in cases(version) if path_of(one) in OURS]
        assert {path_of(one) for one in found} == set(OURS)
        statuses = {(path_of(one), one.reply.status) for one in found}
        assert statuses >= {(PULL, 200), (PULL, 500), (PUSH, 200), (COPY, 404), (DELETE, 404), (SHOW, 404)}
        assert statuses >= {(CREATE, 200), (CREATE, 500), (BLOBS, 200), (BLOBS, 400)}


# -- to the byte ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("one", CHANGES, ids=told)
@runs
async def test_a_recorded_answer_of_one_server_is_the_client_s(one: Case, way: str) -> None:
    said = case(one.version, STREAMED.get(one.name, one.name)).raw_response

    async def replay(request: Message, peer: Peer) -> None:
        if request.start.startswith(b"HEAD "):  # whether it has the blobs of a create
            await peer.send(_HAS_BLOB)
        else:
            await peer.drip(split(said, way))

    tags = case(one.version, "tags" if "unknown" in one.name else "tags-three").reply.body
    version = one.version.encode()
    async with (
        RawServer(version=version, tags=tags, ps=EMPTY_LIST, loader=replay) as server,
        in_front_of(server, models={}, **OPEN) as proxy,
    ):
        got = await proxy.ask(one.raw_request)
        is_right(got, one)
        assert got.body == one.reply.body
        asked = [request.path for request in server.loads if not request.start.startswith(b"HEAD ")]
        is_own = one.reply.status == 405 or one.name == "copy-unknown-model"
        if one.name.startswith("create-context"):  # there is a model of that name: it gets another one first
            assert (asked[0], asked[-1]) == (b"/api/copy", b"/api/delete")
            asked = asked[1:-1]
        assert asked == ([] if is_own else [path_of(one)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("one", ABOUT_BLOBS, ids=told)
@runs
async def test_what_one_server_says_of_a_blob_is_the_client_s(one: Case, way: str) -> None:
    async def replay(request: Message, peer: Peer) -> None:
        if request.start.startswith(b"HEAD ") and not asks_head(one):
            await peer.send(_HAS_BLOB if one.reply.status == 200 else _LACKS_BLOB)
        else:
            await peer.drip(split(one.raw_response, way))

    async with (
        RawServer(version=one.version.encode(), loader=replay) as server,
        in_front_of(server, models={}, **OPEN) as proxy,
    ):
        got = await proxy.ask(one.raw_request, to_head=asks_head(one))
        is_right(got, one)
        assert asks_head(one) or got.body == one.reply.body
        assert got.get(b"content-length") == (one.reply.get(b"content-length") or b"0")
        uploads = [request.body for request in server.loads if request.start.startswith(b"POST ")]
        is_sent = one.reply.status != 200 and one.name != "blob-post-bad-digest" and not asks_head(one)
        assert uploads == ([one.request.body] if is_sent else [])


# -- all in their order --------------------------------------------------------------------------------


async def asked_in_order(version: str) -> list[tuple[Case, Message]]:
    """Ask for every recorded case in its order, those of here through the proxy; give what came of them."""
    ollama = simulated(version)
    answered: list[tuple[Case, Message]] = []
    async with serving(ollama) as place:
        server = RawServer(port=place.address.port)
        async with running(a_config([server], {}, **OPEN)) as proxy:
            await proxy.events.up(server)
            for one in cases(version):
                if path_of(one) in OURS:
                    answered.append((one, await proxy.ask(one.raw_request, to_head=asks_head(one))))
                else:
                    await body_of(await ollama.respond(one.request))
    return answered


@needs_recordings
@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_each_recorded_case_in_its_order(version: str) -> None:
    for one, got in await asked_in_order(version):
        by = one if one.name not in OWN else case(NEWEST, one.name)
        is_right(got, by)
        if path_of(one) == SHOW:
            assert body_shape(got.body) == body_shape(by.reply.body)
        elif not asks_head(one):
            assert _DIGEST.sub(b"", got.body) == _DIGEST.sub(b"", by.reply.body)
