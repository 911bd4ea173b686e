"""Where a request names its model and how, the whole way: through the proxy to a server and back."""

import json
from urllib.parse import unquote

import pytest

from tests.sockets.proxying import in_front_of, one_server, runs
from tests.sockets.raw import Message, RawServer, answer, get, post, says

MODEL, ALIAS, CLOUD = "llama3.2", "gpt-4o-mini", "big:cloud"
PATHS = ("/api/chat", "/api/show", "/v1/chat/completions", "/v1/messages")
MULTIPART = b"Content-Type: multipart/form-data; boundary=X"


def error_of(got: Message) -> str:
    error = json.loads(got.body)["error"]
    return str(error if isinstance(error, str) else error["message"])


# -- this machine or the cloud -------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("asked", ["llama3.2:local", "LLAMA3.2:latest:Local"])
@runs
async def test_local_says_where_to_look_and_is_for_the_server_to_read(asked: str, path: str) -> None:
    async with one_server() as (server, proxy):
        server.handler = says(answer(json.dumps({"model": asked, "done": True}).encode()))
        got = await proxy.ask(post(path, json.dumps({"model": asked}).encode()))
        assert (got.status, json.loads(got.body)["model"]) == (200, asked)
        assert json.loads(server.requests[0].body) == {"model": asked}


@runs
async def test_an_alias_may_be_asked_for_with_local_too() -> None:
    asked = f"{ALIAS}:local"
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(b'{"model":"llama3.2","done":true}'))
        got = await proxy.ask(post("/api/chat", json.dumps({"model": asked}).encode()))
        assert (got.status, json.loads(got.body)["model"]) == (200, asked)
        assert json.loads(server.requests[0].body) == {"model": MODEL}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("asked", ["big:cloud", "BIG:Cloud"])
@runs
async def test_a_cloud_name_goes_to_the_server_that_is_configured_for_it(asked: str, path: str) -> None:
    async with (
        RawServer("one") as one,
        RawServer("two") as two,
        in_front_of(one, two, models={MODEL: [one], CLOUD: [two]}) as proxy,
    ):
        two.handler = says(answer(json.dumps({"model": asked, "done": True}).encode()))
        got = await proxy.ask(post(path, json.dumps({"model": asked}).encode()))
        assert (got.status, json.loads(got.body)["model"]) == (200, asked)
        assert (one.hits, json.loads(two.requests[0].body)) == (0, {"model": asked})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "asked", ["big:local:cloud", "big:cloud:local", "big:8b-cloud:LOCAL", "llama3.2:local:cloud"]
)
@runs
async def test_local_and_cloud_at_once_are_a_400_in_ollamas_words(asked: str, path: str) -> None:
    async with RawServer() as server, in_front_of(server, models={MODEL: [server], CLOUD: [server]}) as proxy:
        got = await proxy.ask(post(path, json.dumps({"model": asked}).encode()))
        assert (got.status, error_of(got)) == (400, f'use either :local or :cloud, not both: "{asked}"')
        assert server.hits == 0


@runs
async def test_local_and_cloud_at_once_in_a_path_are_a_400_too() -> None:
    async with RawServer() as server, in_front_of(server, models={CLOUD: [server]}) as proxy:
        got = await proxy.ask(get("/v1/models/big:local:cloud"))
        assert (got.status, error_of(got)) == (
            400,
            'use either :local or :cloud, not both: "big:local:cloud"',
        )
        assert server.hits == 0


# -- in the query ----------------------------------------------------------------------------------------


def form(model: str | None) -> bytes:
    """Make a form with a recording, and a model where one is given."""
    part = b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n' % (model or "").encode()
    file = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--X--\r\n'
    return file if model is None else part + file


@pytest.mark.parametrize(
    ("query", "part", "goes_on"),
    [
        ("?model=llama3.2", None, "?model=llama3.2"),
        ("?model=llama3%2E2&x=1", None, "?model=llama3.2"),
        ("?model=llama3.2", "nobody", "?model=llama3.2"),
        ("?model=llama3.2", "llama3.2", ""),
        (f"?model={ALIAS}", None, "?model=llama3.2"),
        (f"?x=1&model={ALIAS}", MODEL, "?model=llama3.2"),
        (f"?model={ALIAS}", ALIAS, ""),
        ("?model=", "llama3.2", ""),
        ("?x=model", ALIAS, ""),
        ("?model=llama3.2%3Alatest", "x", "?model=llama3.2:latest"),
    ],
)
@runs
async def test_a_transcriptions_model_may_stand_in_the_query_which_counts_more(
    query: str, part: str | None, goes_on: str
) -> None:
    async with one_server(aliases={ALIAS: MODEL}) as (server, proxy):
        server.handler = says(answer(b'{"text":"hello"}'))
        got = await proxy.ask(post(f"/v1/audio/transcriptions{query}", form(part), MULTIPART))
        assert (got.status, got.body) == (200, b'{"text":"hello"}')
        (request,) = server.requests
        path, mark, sent = request.path.decode().partition("?")
        assert (path, mark + unquote(sent)) == ("/v1/audio/transcriptions", goes_on)
        used = goes_on.removeprefix("?model=") or MODEL
        assert request.body == form(None if part is None else used)


@runs
async def test_a_query_names_no_model_elsewhere() -> None:
    async with one_server() as (server, proxy):
        got = await proxy.ask(post("/api/chat?model=nobody", b'{"model":"llama3.2"}'))
        assert (got.status, server.requests[0].path) == (200, b"/api/chat")
        assert (await proxy.ask(post("/api/chat?model=llama3.2", b"{}"))).status == 400
        assert server.hits == 1
