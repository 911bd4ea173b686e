"""The admin port's pages."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from gollamas.admin.service import MAX_BODY_BYTES, Admin, refuse
from gollamas.config.model import Config
from gollamas.net.crowd import Crowd
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Clients
from gollamas.net.rounds import Round
from gollamas.responder import Responder
from gollamas.wire.message import Answer, Request
from tests.recorded import make_head


def page(accept: str) -> tuple[str, Iterator[bytes]]:
    """Give a page of two parts for any Accept field."""
    return f"text/{accept or 'plain'}", iter((b"a_gauge 3\n", b"# EOF\n"))


def state() -> Iterator[bytes]:
    """Give a page of two parts."""
    return iter((b'{"servers":[', b"]}\n"))


def why_not_host(host: bytes | None) -> str | None:
    """Let in whoever does not call us evil."""
    return "evil is not allowed" if host == b"evil" else None


def ask(
    path: bytes,
    method: bytes = b"GET",
    why_not: str | None = None,
    fields: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    head = make_head(method, path, list(fields), b"x=1")
    admin = Admin(page, state, lambda: why_not, why_not_host)
    return asyncio.run(admin.respond(Request(head, b"", "127.0.0.1")))


def text_of(answer: Answer) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def kind_of(answer: Answer) -> str:
    return dict(answer.fields)[b"Content-Type"].decode()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_metrics_are_a_page_of_all_its_parts(method: bytes) -> None:
    answer = ask(b"/metrics", method)
    assert (answer.status, kind_of(answer)) == (200, "text/plain")
    assert text_of(answer) == "a_gauge 3\n# EOF\n"


def test_metrics_come_as_the_accept_field_asks() -> None:
    assert kind_of(ask(b"/metrics", fields=((b"Accept", b"else"),))) == "text/else"


@pytest.mark.parametrize("path", [b"/metrics", b"/state"])
def test_what_clients_wait_for_goes_on_between_two_parts(path: bytes) -> None:
    turns: list[str] = []

    def parts() -> Iterator[bytes]:
        for name in ("first", "second"):
            asyncio.get_running_loop().call_soon(turns.append, "client")
            turns.append(name)
            yield b""

    admin = Admin(lambda _: ("text/plain", parts()), parts, lambda: None, why_not_host)
    asyncio.run(admin.respond(Request(make_head(b"GET", path, []), b"", "127.0.0.1")))
    assert turns == ["first", "client", "second", "client"]


def test_state_is_json_of_all_its_parts_and_never_kept() -> None:
    answer = ask(b"/state", why_not="no server is up")
    assert (answer.status, kind_of(answer)) == (200, "application/json; charset=utf-8")
    assert dict(answer.fields)[b"Cache-Control"] == b"no-store"
    assert text_of(answer) == '{"servers":[]}\n'


def test_health_is_ok_even_when_nothing_is_ready() -> None:
    assert ask(b"/healthz", why_not="no server is up").status == 200


def test_readiness_says_why_not() -> None:
    assert ask(b"/readyz").status == 200
    answer = ask(b"/readyz", why_not="no server is up")
    assert answer.status == 503
    assert json.loads(text_of(answer)) == {"error": "no server is up"}


@pytest.mark.parametrize("path", [b"/", b"/metrics/", b"/api/tags", b"//metrics", b"/Metrics"])
def test_other_paths_are_not_found(path: bytes) -> None:
    answer = ask(path)
    assert (answer.status, kind_of(answer)) == (404, "application/json; charset=utf-8")
    assert "/metrics, /healthz, /readyz, /state" in json.loads(text_of(answer))["error"]


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS", b"get"])
def test_other_methods_are_not_allowed(method: bytes) -> None:
    answer = ask(b"/metrics", method)
    assert answer.status == 405
    assert dict(answer.fields)[b"Allow"] == b"GET, HEAD"
    assert json.loads(text_of(answer))["error"]


@pytest.mark.parametrize("path", [b"/metrics", b"/healthz", b"/nothing"])
def test_a_host_that_is_not_ours_is_refused_whatever_it_asks_for(path: bytes) -> None:
    answer = ask(path, fields=((b"Host", b"evil"),))
    assert (answer.status, kind_of(answer)) == (403, "application/json; charset=utf-8")
    assert json.loads(text_of(answer)) == {"error": "evil is not allowed"}


async def exchanged(sent: bytes) -> bytes:
    """Send bytes to an admin port on a real socket; all that comes back until it closes."""
    loop = asyncio.get_running_loop()
    admin = Admin(page, state, lambda: "no server is up", why_not_host)
    tasks: list[asyncio.Task[None]] = []

    def spawn(coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        tasks.append(loop.create_task(coro, name=name))
        return tasks[-1]

    service = Responder(admin.respond, refuse, MAX_BODY_BYTES)
    clients = Clients(service, Config(), spawn, loop.time, Round(), Crowd())
    server = await loop.create_server(lambda: ClientConnection(clients), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(sent)
    got = await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    clients.abort()
    await asyncio.gather(*tasks, return_exceptions=True)
    return got


def test_pages_are_served_on_a_socket() -> None:
    head = b"Host: x\r\n\r\n"
    got = asyncio.run(
        exchanged(
            b"GET /healthz HTTP/1.1\r\n" + head + b"HEAD /metrics HTTP/1.1\r\nConnection: close\r\n" + head
        )
    )
    first, _, second = got.partition(b"ok\n")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.endswith(b"\r\n\r\n")


def test_a_body_that_nobody_wants_is_refused_in_json() -> None:
    got = asyncio.run(exchanged(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"))
    assert got.startswith(b"HTTP/1.1 413 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]
