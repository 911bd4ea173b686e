"""What is wrong with a server reads the same in the log, in the error of a request and in `check --live`.

And a server is up by what it answers: a probe or a request, as Ollama answers them.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gollamas.background import prober
from gollamas.cli.live import look
from gollamas.config.model import Config
from gollamas.events import DigestsDiffer, ModelFound, ModelMissing, ServerWentDown, ServerWentUp, Warned
from tests.sockets.proxying import Running, a_config, running, runs
from tests.sockets.raw import Message, Peer, RawServer, answer, chunk, chunked_head, get, post, says
from tests.sockets.test_dialling import certificate, tls_server, with_server
from tests.sockets.test_listings import listed

__all__ = ["certificate"]  # a fixture

BODY = b'{"model":"llama3.2"}'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first request of a server that says nothing of its models wait for that less than a second."""
    monkeypatch.setattr(prober, "LOOK_UP_WAIT", 0.05)


class Other(RawServer):
    """A server that answers everything with the same bytes, probes too."""

    said = b""

    async def _probe(self, path: bytes, peer: Peer) -> None:
        del path
        await peer.send(self.said)
        peer.close()


def other(said: bytes) -> Other:
    made = Other(handler=says(said))
    made.said = said
    return made


def answered(status: bytes, body: bytes = b"", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)


HTML = answered(b"404 Not Found", b"<html>nginx</html>", b"Content-Type: text/html\r\n")
NOT_OLLAMA = {
    "no Ollama is there": HTML,
    "is no JSON": answered(b"200 OK", b"<html>Welcome</html>", b"Content-Type: text/html\r\n"),
    "names no version": answered(b"200 OK", b"{}"),
    "set `headers:`": answered(b"401 Unauthorized", b"x", b'WWW-Authenticate: Basic realm="x"\r\n'),
    "redirects to https://gpu.lan/x": answered(
        b"301 Moved", b"", b"Location: https://u:p@gpu.lan/x?token=1\r\n"
    ),
    "write https://": answered(b"400 Bad Request", b"Client sent an HTTP request to an HTTPS server.\n"),
    "answered 502": answered(b"502 Bad Gateway", b"<html>"),
    "it speaks TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "it is not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "it closed the connection": b"",
}


async def reason(proxy: Running, config: Config, server: RawServer) -> str:
    """Give what the log says of a server; an error of a request and `check --live` must say the same."""
    why = (await proxy.events.down(server)).why
    while not proxy.app.view.servers[server.name].is_down:
        await proxy.ask(get("/"))
    got = await proxy.ask(post("/api/chat", BODY))
    assert got.status == 503
    assert f"({server.name}: {why})" in json.loads(got.body)["error"]
    report = await asyncio.to_thread(look, config, 2.0)
    assert report.lines[0].endswith(f"FAILS: {why}")
    return why


@pytest.mark.parametrize("words", NOT_OLLAMA)
@runs
async def test_what_is_no_ollama_is_never_up_nor_asked_and_the_reason_is_the_same_everywhere(
    words: str,
) -> None:
    async with other(NOT_OLLAMA[words]) as server:
        config = a_config([server], probe_interval=0.1)
        async with running(config) as proxy:
            assert words in await reason(proxy, config, server)
            assert server.hits == 0
            assert proxy.events.of(ServerWentUp) == []
            assert len(proxy.events.of(ServerWentDown)) == 1
            assert proxy.app._why_not_ready() == "no Ollama server is up"


class Versioned(RawServer):
    """A server that answers the question for its version with `said`."""

    said = b'{"version":"0.32.15"}'

    async def _probe(self, path: bytes, peer: Peer) -> None:
        if path == b"/api/version":
            await peer.send(answer(self.said))
        else:
            await super()._probe(path, peer)


@pytest.mark.parametrize(
    "said",
    [b"{}", b'{"version":""}', b'{"version":null}', b'{"version":1}', b'{"Version":"0.32.15"}',
     b'{"version":"%b"}' % (b"1" * 101), b'{"version":"0.1\\u0007"}'],
)  # fmt: skip
@runs
async def test_a_200_without_a_version_is_no_sign_of_health(said: bytes) -> None:
    """Neither from the start nor later; what names one, of up to a hundred letters, is."""
    why = "/api/version names no version: this is no Ollama"
    async with Versioned() as server:
        server.said = said
        async with running(a_config([server], probe_interval=0.05)) as proxy:
            assert (await proxy.events.down(server)).why == why
            assert (await proxy.ask(post("/api/chat", BODY))).status == 503
            server.said = b'{"version":"%b"}' % (b"1" * 100)
            await proxy.events.up(server)
            assert proxy.events.of(ServerWentUp) == [ServerWentUp("one", "1" * 100)]
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200
            server.said = said
            await proxy.events.until(lambda: len(proxy.events.of(ServerWentDown)) == 2)
            assert proxy.events.of(ServerWentDown)[-1].why == why
            assert (await proxy.ask(post("/api/chat", BODY))).status == 503
            assert server.hits == 1


@runs
async def test_a_refused_connection_at_the_start_is_down_at_once_and_the_same_everywhere() -> None:
    server = RawServer()
    await server.__aenter__()
    await server.__aexit__()
    config = a_config([server], probe_interval=0.1)
    async with running(config) as proxy:
        assert await reason(proxy, config, server) == "connection refused"
        assert proxy.events.of(Warned) == []
        await server.open()
        await proxy.events.up(server)
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        await server.shut()
        assert len(proxy.events.of(ServerWentDown)) == 1


@runs
async def test_a_name_with_two_addresses_that_refuse_is_refused() -> None:
    server = RawServer()
    await server.__aenter__()
    await server.__aexit__()
    config = with_server(a_config([server], probe_interval=0.1), host="localhost")
    async with running(config) as proxy:
        assert await reason(proxy, config, server) == "connection refused"


@runs
async def test_an_unknown_ca_comes_with_the_option_that_helps(certificate: Path) -> None:
    async with tls_server(certificate) as server:
        config = with_server(a_config([server], probe_interval=0.1), scheme="https")
        async with running(config) as proxy:
            why = await reason(proxy, config, server)
            assert why.startswith("its certificate is not trusted (self")
            assert why.endswith("set `tls: {ca: FILE}` for this server, or `tls: {verify: false}`")


@runs
async def test_a_certificate_of_another_name_is_said_so(certificate: Path) -> None:
    async with tls_server(certificate) as server:
        config = with_server(
            a_config([server], probe_interval=0.1), scheme="https", host="127.0.0.2", ca_file=str(certificate)
        )
        await server.shut()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        listener = await asyncio.start_server(server._serve, "127.0.0.2", server.port, ssl=context)
        async with running(config) as proxy:
            assert (await reason(proxy, config, server)).startswith("its certificate is not for 127.0.0.2: ")
        listener.close()


@runs
async def test_tls_spoken_to_a_port_of_plain_http_is_said_so() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request")
        writer.close()

    async with RawServer() as server:
        await server.shut()
        listener = await asyncio.start_server(plain, "127.0.0.1", server.port)
        config = with_server(a_config([server], probe_interval=0.1), scheme="https")
        async with running(config) as proxy:
            assert await reason(proxy, config, server) == (
                "it speaks no TLS: write http:// in its URL, or the port of its TLS"
            )
        listener.close()


# -- up by a request -----------------------------------------------------------------------------------

NDJSON = chunked_head() + chunk(b'{"done":true}\n') + b"0\r\n\r\n"
EVENTS = chunked_head(b"text/event-stream") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
V1_JSON = answered(b"200 OK", b"{}", b"Content-Type: application/json\r\n")
WEB_PAGE = answered(b"200 OK", b"<html>", b"Content-Type: text/html\r\n")


@asynccontextmanager
async def with_silent_probes(said: bytes) -> AsyncIterator[Running]:
    """Run a proxy in front of a server that answers requests with these bytes, and no probe."""
    server = RawServer(handler=says(said), version=None)
    async with server, running(a_config([server])) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/chat", NDJSON),
        ("/api/chat", answer()),
        ("/api/generate", NDJSON),
        ("/api/embed", answer()),
        ("/v1/chat/completions", EVENTS),
        ("/v1/chat/completions", V1_JSON),
        ("/v1/messages", EVENTS),
        ("/v1/embeddings", V1_JSON),
    ],
)
@runs
async def test_an_answer_that_only_ollama_gives_puts_its_server_up(path: str, said: bytes) -> None:
    async with with_silent_probes(said) as proxy:
        assert (await proxy.ask(post(path, BODY))).status == 200
        assert proxy.events.of(ServerWentUp) == [ServerWentUp("one", "unknown")]
        assert proxy.app._why_not_ready() is None
        assert (await proxy.ask(post(path, BODY))).status == 200
        assert len(proxy.events.of(ServerWentUp)) == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/chat", WEB_PAGE),
        ("/v1/chat/completions", WEB_PAGE),
        ("/v1/chat/completions", NDJSON),
        ("/api/chat", EVENTS),
        ("/api/embed", NDJSON),
        ("/api/show", answer()),
        ("/api/chat", answer(b'{"error":"x"}', status=b"404 Not Found")),
        ("/api/chat", answer(b'{"error":"x"}', status=b"500 Internal Server Error")),
    ],
)
@runs
async def test_any_other_answer_proves_nothing(path: str, said: bytes) -> None:
    async with with_silent_probes(said) as proxy:
        await proxy.ask(post(path, BODY))
        assert proxy.events.of(ServerWentUp) == []
        assert not proxy.app.view.any_up


@runs
async def test_a_server_whose_probes_fail_while_it_answers_is_up_as_soon_as_its_answer_begins() -> None:
    goes_on = asyncio.Event()

    async def slow(_: Message, peer: Peer) -> None:
        await goes_on.wait()
        await peer.send(chunked_head() + chunk(b"{}\n"))
        await peer.gone()

    async with RawServer(handler=slow) as server, running(a_config([server], probe_interval=0.05)) as proxy:
        await proxy.events.up(server)
        client = await proxy.connect()
        await client.send(post("/api/chat", BODY))
        while not server.hits:
            await proxy.ask(get("/"))
        server._server.close()  # no new connection; the request's stays
        proxy.app._ask.pool.close()
        assert (await proxy.events.down(server)).why == "connection refused"
        goes_on.set()
        await client.reader.readuntil(b"{}\n\r\n")
        assert len(proxy.events.of(ServerWentUp)) == 2


# -- lists and models ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/v1/models"])
@runs
async def test_a_list_while_no_server_was_reached_is_empty_and_the_log_says_once_why(path: str) -> None:
    server = RawServer()
    await server.__aenter__()
    await server.__aexit__()
    async with running(a_config([server], probe_interval=0.1)) as proxy:
        await proxy.events.down(server)
        for _ in range(3):
            got = await proxy.ask(get(path))
            assert got.status == 200
            assert json.loads(got.body) in ({"models": []}, {"object": "list", "data": []})
        assert [event.text for event in proxy.events.of(Warned)] == [
            "a client was given an empty list: no server has been reached yet (one: connection refused)"
        ]


@runs
async def test_a_missing_model_is_one_event_and_so_is_its_end() -> None:
    async with (
        RawServer() as server,
        running(
            a_config([server], models={"llama3.2": [server], "c:cloud": [server]}, probe_interval=0.05)
        ) as proxy,
    ):
        await proxy.events.until(lambda: bool(proxy.events.of(ModelMissing)))
        seen = len(server.probes)
        while len(server.probes) < seen + 9:
            await proxy.ask(get("/"))
        assert proxy.events.of(ModelMissing) == [ModelMissing("llama3.2", "one")]
        assert proxy.events.of(ModelFound) == []
        server.tags = listed(("llama3.2:latest", 1, "a"))
        await proxy.events.until(lambda: bool(proxy.events.of(ModelFound)))
        assert proxy.events.of(ModelFound) == [ModelFound("llama3.2", "one")]


@runs
async def test_a_name_that_one_server_lists_twice_is_listed_once_with_the_first_contents() -> None:
    twice = listed(("llama3.2:latest", 2, "a"), ("llama3.2:latest", 1, "b"))
    once = listed(("llama3.2:latest", 1, "b"))
    async with (
        RawServer("one", tags=twice) as one,
        RawServer("two", tags=once) as two,
        running(a_config([one, two])) as proxy,
    ):
        await proxy.events.up(one, two)
        (entry,) = json.loads((await proxy.ask(get("/api/tags"))).body)["models"]
        assert entry["digest"] == "a" * 64
        assert len(json.loads((await proxy.ask(get("/v1/models"))).body)["data"]) == 1
        assert proxy.events.of(DigestsDiffer) == []
