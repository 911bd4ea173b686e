"""`ollama run typo` and `ollama pull typo`: what is said while no pull is served."""

import json

import pytest

from gollamas.config.model import Expose
from gollamas.events import End
from tests.sockets.proxying import in_front_of, one_server, opened, runs
from tests.sockets.raw import Message, RawServer, get, post

LISTED = b'{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","size":1,"digest":"%b"}]}' % (
    b"d" * 64
)
NOT_YET = "gollamas does not serve /api/pull yet"
SECRET = "hunter2"


def error_of(got: Message) -> str:
    assert (got.status, got.get(b"content-type")) == (501, b"application/json; charset=utf-8")
    members = json.loads(got.body)
    assert list(members) == ["error"]  # which `ollama` shows
    return str(members["error"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"typo"}', b'{"name":"typo","stream":false}', b'{"Model":"typo","insecure":true}',
        b' {"model":"","name":"typo"}\n',
    ],
)  # fmt: skip
@runs
async def test_ollama_run_typo_is_told_which_servers_lack_the_model_and_what_pulls_it(body: bytes) -> None:
    one = RawServer("gpu-1")
    two = RawServer("gpu-2", fields=((b"Authorization", SECRET.encode()),))
    async with opened(one, two), in_front_of(one, two, models={}, expose=Expose.INSTALLED) as proxy:
        shown = await proxy.ask(post("/api/show", b'{"model":"typo"}'))
        assert shown.status == 404  # what has `ollama run` pull
        assert error_of(await proxy.ask(post("/api/pull", body))) == (
            f"none of the servers (gpu-1, gpu-2) has the model 'typo'. {NOT_YET}. "
            f"Pull it on gpu-1: OLLAMA_HOST=http://127.0.0.1:{one.port} ollama pull typo"
        )
        event = await proxy.events.ended(2)
        assert (event.status, event.end, event.route, event.model) == (501, End.REFUSED, "/api/pull", "typo")
        assert event.error is not None
        assert SECRET not in repr(proxy.events)
        assert one.hits == two.hits == 0


@runs
async def test_a_pull_is_sent_to_a_server_of_the_models_configuration() -> None:
    one, two = RawServer("gpu-1"), RawServer("gpu-2", tags=LISTED)
    models = {"m:1b": [two], "llama3.2": [one, two]}
    async with opened(one, two), in_front_of(one, two, models=models, aliases={"gpt-4o": "m:1b"}) as proxy:
        host = f"OLLAMA_HOST=http://127.0.0.1:{two.port} ollama pull"
        for name in (b"m:1b", b"gpt-4o"):
            text = error_of(await proxy.ask(post("/api/pull", b'{"model":"%b"}' % name)))
            assert text.startswith("none of the servers that are to run it (gpu-2) has the model 'm:1b'")
            assert text.endswith(f"Pull it on gpu-2: {host} m:1b")
        text = error_of(await proxy.ask(post("/api/pull", b'{"model":"llama3.2"}')))
        assert text.startswith("the model 'llama3.2' is on gpu-2 already. ")
        assert text.endswith(f"{host} llama3.2")


@runs
async def test_a_model_that_has_come_since_is_seen() -> None:
    """As after the command that was shown: what servers have is looked at anew."""
    async with (
        RawServer() as server,
        in_front_of(server, models={}, expose=Expose.INSTALLED, probe_interval=3600.0) as proxy,
    ):
        server.tags = LISTED

        def is_seen() -> bool:
            return bool(proxy.app.view.servers["one"].installed)

        while True:  # a list that is less than a second old is taken as it is
            text = error_of(await proxy.ask(post("/api/pull", b'{"model":"llama3.2"}')))
            assert ("is on one already" in text) is is_seen()
            if is_seen():
                break


@pytest.mark.parametrize(
    "data",
    [
        post("/api/pull", b""),
        post("/api/pull", b"{}"),
        post("/api/pull", b"nothing"),
        post("/api/pull", b'["typo"]'),
        post("/api/pull", b'{"model":7}'),
        post("/api/pull", b'{"model":"typo"}', b"Content-Encoding: gzip")[:-1] + b" ",
        post("/api/pull", b'{"model":"' + b"x" * 100_000 + b'"}'),
        get("/api/pull", b"Content-Length: 60000000", method=b"POST"),
        get("/api/pull", b"Content-Length: 60000000", b"Expect: 100-continue", method=b"POST"),
    ],
    ids=["empty", "no name", "no JSON", "a list", "a number", "coded", "a long name", "large", "large, asks"],
)
@runs
async def test_a_pull_whose_body_cannot_be_read_is_a_501_that_says_so(data: bytes) -> None:
    async with one_server() as (server, proxy):
        text = error_of(await proxy.ask(data))
        assert text == f"{NOT_YET}: send it to an Ollama server directly"
        assert server.hits == 0


@runs
async def test_a_connection_goes_on_behind_a_pull() -> None:
    async with one_server() as (_, proxy):
        client = await proxy.connect()
        for _ in range(2):
            assert error_of(await client.ask(post("/api/pull", b'{"model":"typo"}')))
        assert (await client.ask(get("/"))).body == b"Ollama is running"
        assert (await client.ask(get("/api/pull"))).status == 405
        foreign = post("/api/pull", b'{"model":"typo"}', b"Origin: http://evil.example")
        assert (await client.ask(foreign)).status == 403
