"""Recorded exchanges of Ollama servers, replayed through the proxy: nothing changes.

What is routed by model comes from a server that sends the recorded bytes, at every way of splitting them.
What the proxy answers itself equals the recording of the newest version.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator

import msgspec
import pytest

from gollamas.api.routes import find
from gollamas.config.model import Expose
from tests.recorded import NEWEST, VERSIONS, Case, case, cases, shape
from tests.sockets.proxying import a_config, in_front_of, running, runs
from tests.sockets.raw import EMPTY_LIST, Fields, Message, Peer, RawServer, byte_by_byte

# Two spellings of one key are refused here, since a server would take either.
REFUSED = ("generate-case-keys", "generate-case-keys-other")
# What the proxy says before any server is asked.
OWN = (
    "generate-unknown-model",
    "generate-no-model",
    "generate-bad-name",
    "generate-empty-body",
    "generate-bad-json",
    "generate-wrong-type",
    "chat-unknown-model",
    "embed-unknown-model",
    "show-unknown-model",
    "v1-chat-unknown-model",
    "v1-chat-bad-json",
    "v1-embeddings-unknown-model",
    "v1-messages-unknown-model",
    "v1-responses-unknown-model",
    "v1-model-unknown",
    "encoding-gzip-body",
    "double-slash",
    "trailing-slash",
    "unknown-path",
    "wrong-method",
    "wrong-method-delete",
    "host-foreign",
    "origin-foreign",
    "preflight-foreign",
    "preflight-local",
    "root",
    "root-head",
    "version",
    "version-head",
    "ps-empty",
)
MODELS = ("smol", "minilm", "smol-ctx", "smol-small")


def path_of(one: Case) -> bytes:
    return one.raw_request.split(b" ")[1]


def routed() -> Iterator[Case]:
    """Every recorded exchange that goes to a server of its model."""
    for version in VERSIONS:
        for one in cases(version):
            route = find(path_of(one))
            is_ours = one.name in REFUSED or one.name in OWN
            if (
                route is not None
                and route.is_routed
                and one.request.head.method in route.allowed
                and not is_ours
            ):
                yield one


def told(one: Case) -> str:
    """Name a case in a test's name."""
    return f"{one.version}-{one.name}"


ROUTED = list(routed())
WAYS = ("whole", "byte by byte", "at random")
NEWEST_OF = {one.name: one.version for one in reversed(ROUTED)}  # the newest version that has it


def in_ways(*ways: str) -> pytest.MarkDecorator:
    """Take every routed exchange in each of these ways, byte by byte in its newest version alone."""
    taken = [
        pytest.param(one, way, id=f"{told(one)}-{way}")
        for one in ROUTED
        for way in ways
        if way != "byte by byte" or one.version == NEWEST_OF[one.name]
    ]
    return pytest.mark.parametrize(("one", "way"), taken)


# Of what is longer, figures of a vector or words of a vocabulary, the middle comes in one piece.
LONG_BYTES = 5_100


def split(data: bytes, way: str) -> Iterable[bytes]:
    if way == "whole":
        return [data]
    if way == "byte by byte":
        if len(data) <= LONG_BYTES:
            return byte_by_byte(data)
        return [*byte_by_byte(data[:2000]), data[2000:-1000], *byte_by_byte(data[-1000:])]
    chance = random.Random(data)  # noqa: S311 - repeatable, not secret
    places = sorted(chance.sample(range(1, len(data)), min(30, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def test_recordings_of_every_routed_path_are_there() -> None:
    assert {version for version in VERSIONS if any(one.version == version for one in ROUTED)} == set(VERSIONS)
    paths = {path_of(one).partition(b"?")[0] for one in ROUTED if one.version == NEWEST}
    assert paths >= {
        b"/api/generate",
        b"/api/chat",
        b"/api/embed",
        b"/api/embeddings",
        b"/api/show",
        b"/v1/chat/completions",
        b"/v1/completions",
        b"/v1/embeddings",
        b"/v1/responses",
        b"/v1/messages",
        b"/v1/models/smol",
    }


@in_ways(*WAYS)
@runs
async def test_a_recorded_answer_passes_unchanged(one: Case, way: str) -> None:
    async def replay(_: Message, peer: Peer) -> None:
        await peer.drip(split(one.raw_response, way))

    recorded = one.reply
    async with RawServer(handler=replay) as server, running(a_config([server], every(server))) as proxy:
        client = await proxy.connect()
        for _ in range(2 if way == "whole" else 1):  # the second on connections that are kept
            got = await client.ask(one.raw_request)
            assert (got.status, got.body, got.is_whole) == (recorded.status, recorded.body, True)
            assert got.end_to_end() == passed_on(recorded.fields)
            assert got.get(b"date") == recorded.get(b"date")
            assert (got.get(b"transfer-encoding") == b"chunked") is (recorded.chunks is not None)
        assert server.connections == 1


def every(server: RawServer) -> dict[str, list[RawServer]]:
    """Let a server run every model of the recordings."""
    return {name: [server] for name in MODELS}


def passed_on(fields: Fields) -> Fields:
    """Leave out what is of a hop, and CORS, which the proxy answers."""
    return [
        (name, value)
        for name, value in Message(b"", fields).end_to_end()
        if not name.startswith(b"access-control-")
    ]


@in_ways("whole", "byte by byte")
@runs
async def test_a_recorded_request_reaches_its_server_unchanged(one: Case, way: str) -> None:
    async with RawServer() as server, running(a_config([server], every(server))) as proxy:
        client = await proxy.connect()
        await client.drip(split(one.raw_request, way))
        assert (await client.answer()).status == 200
        (request,) = server.requests
        assert request.path == path_of(one)
        # The same members in the same order; blanks between them and text behind them are not kept.
        sent = one.request.body.decode()
        assert request.body.decode() == (compact(sent) if sent else "")
        assert request.get(b"user-agent") == one.request.head.get(b"user-agent")


def compact(text: str) -> str:
    """Give the first JSON value of a text as it is sent on: without blanks around its members."""
    value, end = json.JSONDecoder(object_pairs_hook=list).raw_decode(text)
    raw = text[:end]
    assert isinstance(value, list)
    members = msgspec.json.decode(raw.encode(), type=dict[str, msgspec.Raw])
    return msgspec.json.encode(members).decode()


REQUEST_ID = re.compile(rb'"req_[0-9a-f]+"')


@pytest.mark.parametrize("way", ["whole", "byte by byte"])
@pytest.mark.parametrize("name", OWN)
@runs
async def test_what_the_proxy_says_itself_is_what_ollama_says(name: str, way: str) -> None:
    recorded = case(NEWEST, name)
    reply = recorded.reply
    async with (
        RawServer(version=NEWEST.encode()) as server,
        in_front_of(server, models={"smol": [server]}) as proxy,
    ):
        client = await proxy.connect()
        await client.drip(split(recorded.raw_request, way))
        got = await client.answer(to_head=recorded.raw_request.startswith(b"HEAD"))
        body, wanted = (REQUEST_ID.sub(b'"req"', one) for one in (got.body, reply.body))
        assert (got.status, body) == (reply.status, wanted)
        assert got.end_to_end() == Message(b"", reply.fields).end_to_end()
        if wanted == reply.body:
            assert got.get(b"content-length") == reply.get(b"content-length")
        assert server.hits == 0


@pytest.mark.parametrize("name", REFUSED)
@runs
async def test_two_spellings_of_one_key_are_a_400(name: str) -> None:
    async with RawServer() as server, in_front_of(server, models={"smol": [server]}) as proxy:
        got = await proxy.ask(case(NEWEST, name).raw_request)
        assert got.status == 400
        assert "one to Ollama" in json.loads(got.body)["error"]
        assert server.hits == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["tags", "tags-three", "ps-one", "ps-two", "origin-local"])
@runs
async def test_a_listing_of_one_server_is_the_recorded_one(version: str, name: str) -> None:
    recorded = case(version, name)
    has_loaded = name.startswith("ps")
    tags = case(version, "tags-three").reply.body if has_loaded else recorded.reply.body
    ps = recorded.reply.body if has_loaded else EMPTY_LIST
    async with (
        RawServer(tags=tags, ps=ps) as server,
        in_front_of(server, models={}, expose=Expose.INSTALLED) as proxy,
    ):
        got = await proxy.ask(recorded.raw_request)
        assert (got.status, got.body) == (200, recorded.reply.body)
        assert got.end_to_end() == Message(b"", recorded.reply.fields).end_to_end()


@pytest.mark.parametrize("version", VERSIONS)
@runs
async def test_the_openai_list_of_one_server_is_the_recorded_one(version: str) -> None:
    tags = case(version, "tags-three").reply.body
    recorded = case(version, "v1-models")
    listed = {entry["id"] for entry in json.loads(recorded.reply.body)["data"]}
    async with (
        RawServer(tags=tags) as server,
        in_front_of(server, models={n: [server] for n in listed}) as proxy,
    ):
        got = await proxy.ask(recorded.raw_request)
        assert shape(json.loads(got.body)) == shape(json.loads(recorded.reply.body))
        assert {entry["id"] for entry in json.loads(got.body)["data"]} == listed
        assert got.end_to_end() == Message(b"", recorded.reply.fields).end_to_end()


@pytest.mark.parametrize(
    "one", [one for one in ROUTED if one.request.body and one.reply.status == 200], ids=told
)
@runs
async def test_an_alias_changes_its_own_name_back_and_nothing_else(one: Case) -> None:
    asked = asked_name(one)
    request = one.raw_request.replace(b'"%b"' % asked, b'"gpt-4o"', 1)
    shorter = len(asked) - len(b"gpt-4o")
    length = len(one.request.body)
    request = request.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length - shorter), 1)
    target = asked.decode()

    async def replay(_: Message, peer: Peer) -> None:
        await peer.drip(split(one.raw_response, "at random"))

    async with RawServer(handler=replay) as server:
        config = a_config([server], every(server), {"gpt-4o": target})
        async with running(config) as proxy:
            got = await proxy.ask(request)
            assert json.loads(server.requests[0].body)[key_of(one)] == target
            assert got.is_whole
            is_named = path_of(one) not in (b"/api/show", b"/api/embeddings")
            wanted = renamed(one.reply.body, asked) if is_named else one.reply.body
            assert got.body == wanted


def key_of(one: Case) -> str:
    body = json.JSONDecoder().raw_decode(one.request.body.decode())[0]
    return "model" if body.get("model") else "name"


def asked_name(one: Case) -> bytes:
    name: str = json.JSONDecoder().raw_decode(one.request.body.decode())[0][key_of(one)]
    return name.encode()


def renamed(body: bytes, old: bytes) -> bytes:
    """Change the name where it is a reply's own; no generated text of the recordings says `"model":`."""
    return body.replace(b'"model":"%b"' % old, b'"model":"gpt-4o"')
