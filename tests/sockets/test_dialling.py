"""Connections to servers: names with several addresses, TLS, and clients that leave while one is made."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gollamas.config.model import Config
from gollamas.events import End, RequestEnded
from gollamas.net.pool import Pool
from gollamas.net.rounds import Round
from tests.sockets.proxying import a_config, a_server, running, runs
from tests.sockets.raw import Message, Peer, RawServer, chunk, chunked_head, get, post
from tests.sockets.test_timeouts import black_hole

BODY = b'{"model":"llama3.2"}'


def with_server(config: Config, **changes: object) -> Config:
    """Change what is configured of the only server."""
    (server,) = config.servers.values()
    return replace(config, servers={server.id: replace(server, **changes)})  # type: ignore[arg-type]  # by name


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody signed, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
    ]
    try:
        subprocess.run(
            ["openssl", *words, names, "-keyout", path, "-out", path.with_suffix(".crt")],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


class TlsServer(RawServer):
    """A server behind TLS."""

    certificate: Path

    async def open(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]


def tls_server(certificate: Path) -> TlsServer:
    server = TlsServer()
    server.certificate = certificate
    return server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@runs
async def test_a_server_of_a_known_ca_is_used_over_tls(host: str, certificate: Path) -> None:
    async with tls_server(certificate) as server:
        config = with_server(a_config([server]), scheme="https", host=host, ca_file=str(certificate))
        async with running(config) as proxy:
            for _ in range(3):
                assert (await proxy.ask(post("/api/chat", BODY))).status == 200
            await proxy.events.up(server)
            assert server.connections == 1
            assert server.requests[0].get(b"host") == f"{host}:{server.port}".encode()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux has")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@runs
async def test_a_host_that_vanishes_is_found_by_the_kernel_over_tls_too(host: str, certificate: Path) -> None:
    async with tls_server(certificate) as server:
        one = replace(a_server(server), scheme="https", host=host, ca_file=str(certificate))
        pool = Pool(3.0, Round())
        connection = await pool.of(one).dial()
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        names = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        set_to = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        assert set_to == [1, 15, 5, 3, 30_000]
        pool.close()
        while pool.open:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)


@runs
async def test_a_server_of_an_unknown_ca_is_refused_in_words_unless_that_is_off(certificate: Path) -> None:
    async with tls_server(certificate) as server:
        config = with_server(a_config([server]), scheme="https")
        async with running(config) as proxy:
            got = await proxy.ask(post("/api/chat", BODY))
            assert got.status == 503
            assert "self-signed certificate" in json.loads(got.body)["error"].replace(
                "self signed", "self-signed"
            )
            assert server.hits == 0
        async with running(with_server(config, verify=False)) as proxy:
            assert (await proxy.ask(post("/api/chat", BODY))).status == 200


@runs
async def test_a_stream_over_tls_breaks_off_and_ends_like_any_other(certificate: Path) -> None:
    async def half(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b"{}\n"))
        peer.writer.transport.abort()

    async with tls_server(certificate) as server:
        server.handler = half
        config = with_server(a_config([server]), scheme="https", verify=False)
        async with running(config) as proxy:
            got = await proxy.ask(post("/api/generate", BODY))
            assert not got.is_whole
            assert got.body.startswith(b'{}\n{"error":')
            assert (await proxy.events.ended()).end is End.SERVER_BROKE


@runs
async def test_leaving_a_stream_over_tls_ends_it_at_the_server(certificate: Path) -> None:
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits(_: Message, peer: Peer) -> None:
        await peer.send(chunked_head() + chunk(b"{}\n"))
        await peer.gone()
        left.set_result(None)

    async with tls_server(certificate) as server:
        server.handler = waits
        config = with_server(a_config([server]), scheme="https", verify=False)
        async with running(config) as proxy:
            client = await proxy.connect()
            await client.send(post("/api/generate", BODY))
            await client.reader.readuntil(b"{}\n\r\n")
            client.close()
            async with asyncio.timeout(1):
                await left


@runs
async def test_a_name_with_an_address_that_refuses_is_reached_by_its_other_one() -> None:
    async with RawServer() as server, running(with_server(a_config([server]), host="localhost")) as proxy:
        assert (await proxy.ask(post("/api/chat", BODY))).status == 200
        assert server.requests[0].get(b"host") == b"localhost:%d" % server.port


@runs
async def test_a_name_that_is_not_known_is_a_503_that_says_so() -> None:
    async with (
        RawServer() as server,
        running(with_server(a_config([server]), host="no-such-host.invalid")) as proxy,
    ):
        got = await proxy.ask(post("/api/chat", BODY))
        assert got.status == 503
        assert "one" in json.loads(got.body)["error"]


@runs
async def test_leaving_while_a_connection_is_made_gives_everything_back() -> None:
    with black_hole() as port:
        silent = RawServer("silent", port=port)
        async with running(a_config([silent])) as proxy:
            client = await proxy.connect()
            await client.send(post("/api/chat", BODY))
            while not list(proxy.app.gauges.in_flight()):
                await proxy.ask(get("/"))
            client.reset()
            await proxy.events.until(
                lambda: any(event.end is End.CLIENT_LEFT for event in proxy.events.of(RequestEnded))
            )
            assert list(proxy.app.gauges.in_flight()) == []


@runs
async def test_the_end_of_the_grace_period_answers_a_request_that_waits_for_a_connection() -> None:
    with black_hole() as port:
        async with running(a_config([RawServer("silent", port=port)])) as proxy:
            client = await proxy.connect()
            await client.send(post("/v1/messages", BODY))
            while not list(proxy.app.gauges.in_flight()):
                await proxy.ask(get("/"))
            assert await proxy.app.stop(grace=0.01) == 1
            got = await client.answer()
            assert (got.status, got.get(b"connection")) == (503, b"close")
            assert json.loads(got.body)["error"]["message"] == "gollamas is shutting down: try again"
            assert list(proxy.app.gauges.in_flight()) == []
            (event,) = [event for event in proxy.events.of(RequestEnded) if event.route == "/v1/messages"]
            assert (event.status, event.end) == (503, End.REFUSED)


@runs
async def test_leaving_while_a_long_request_is_still_being_sent_ends_it_at_the_server() -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    body = b'{"model":"llama3.2","x":"' + b"a" * (32 << 20) + b'"}'
    began = asyncio.Event()
    goes_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
            writer.close()
            return
        began.set()
        await goes_on.wait()
        ended.set_result(len(await Peer(reader, writer).gone()))
        writer.close()

    async with RawServer() as server, running(a_config([server])) as proxy:
        await server.shut()
        lazy = await asyncio.start_server(slow, "127.0.0.1", server.port, limit=1024)
        client = await proxy.connect()
        await client.send(post("/api/chat", body))
        await began.wait()
        client.reset()
        await proxy.events.ended()
        goes_on.set()
        assert await ended < len(body)
        lazy.close()
