"""The admin port's pages."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import msgspec
import pytest

from gollamas.admin.permission import Permission
from gollamas.admin.service import MAX_BODY_BYTES, Admin, Changes, Reads, refuse
from gollamas.config.model import Config
from gollamas.errors import BadRequest, ModelNotFound
from gollamas.net.crowd import Crowd
from gollamas.net.downstream import ClientConnection
from gollamas.net.listener import Clients
from gollamas.net.rounds import Round
from gollamas.observe.by_hand import ByHand, OnServer, Wanted
from gollamas.observe.variants import Pruned, VariantFailure, VariantState
from gollamas.responder import Responder
from gollamas.wire.message import END_OF_HEAD as END
from gollamas.wire.message import Answer, Request
from tests.meta.documents import text_of as text_of_file
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


VARIANT = VariantState(
    server="gpu-1",
    model="llama3.2:latest",
    num_ctx=4096,
    is_needed=False,
    is_current=True,
    size=5,
    name="gollamas/llama3.2-1:ctx4096",
)


async def events() -> AsyncIterator[bytes]:
    """Tell one event."""
    yield b"event: state\ndata: {}\n\n"


READS = Reads(page, state, lambda: None, lambda: [VARIANT], events)


async def prune() -> Pruned:
    """Remove one, and fail to remove one."""
    why = "http://me:secret@gpu-2:11434 is down"
    return Pruned(removed=[VARIANT], failed=[VariantFailure(variant=VARIANT, why=why)])


async def load(wanted: Wanted) -> ByHand:
    """Load it on two servers, of which `broken` fails, or on the one that is named."""
    if wanted.model == "unknown":
        raise ModelNotFound("model 'unknown' not found")
    servers = ("fine", "broken") if wanted.server is None else (wanted.server,)
    why = "http://me:secret@gpu-2:11434 is down"
    return ByHand(
        servers=[
            OnServer(
                server=one, model=wanted.model, end="loaded" if one == "fine" else "failed", took_s=1 / 3,
                error=None if one == "fine" else why,
            )
            for one in servers
        ]
    )  # fmt: skip


async def unload(wanted: Wanted) -> ByHand:
    """Unload it everywhere."""
    done = OnServer(server=wanted.server or "all", model=wanted.model, end="unloaded", took_s=0, error=None)
    return ByHand(servers=[done])


def admin_of(reads: Reads, token: str | None = None) -> Admin:
    """Make an admin port on a loopback address."""
    changes = Changes(prune, load, unload, pull=load, delete=unload)
    return Admin(reads, changes, why_not_host, Permission(token, is_loopback=True))


def ask(
    path: bytes,
    method: bytes = b"GET",
    why_not: str | None = None,
    fields: tuple[tuple[bytes, bytes], ...] = (),
    token: str | None = None,
) -> Answer:
    head = make_head(method, path, list(fields), b"x=1")
    admin = admin_of(READS._replace(ready=lambda: why_not), token)
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

    admin = admin_of(READS._replace(metrics=lambda _: ("text/plain", parts()), state=parts))
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


@pytest.mark.parametrize("path", [b"/page", b"/metrics/", b"/api/tags", b"//metrics", b"/Metrics"])
def test_other_paths_are_not_found(path: bytes) -> None:
    answer = ask(path)
    assert (answer.status, kind_of(answer)) == (404, "application/json; charset=utf-8")
    pages = (
        "/, /metrics, /healthz, /readyz, /state, /events, /variants, /variants/prune, /load, /unload, /pull, "
        "/delete"
    )
    assert pages in json.loads(text_of(answer))["error"]


CHANGE = [b"/variants/prune", b"/load", b"/unload", b"/pull", b"/delete"]
READ = [b"/", b"/metrics", b"/healthz", b"/readyz", b"/state", b"/events", b"/variants"]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        *(
            (path, method, b"GET, HEAD")
            for path in READ
            for method in (b"POST", b"DELETE", b"OPTIONS", b"get")
        ),
        *(
            (path, method, b"POST")
            for path in CHANGE
            for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"post")
        ),
    ],
)
def test_other_methods_are_not_allowed(path: bytes, method: bytes, allowed: bytes) -> None:
    """Each page names those that it has, whoever asks."""
    for fields in ((), ((b"Origin", b"http://evil"),)):
        answer = ask(path, method, fields=fields, token="secret")
        assert answer.status == 405
        assert dict(answer.fields)[b"Allow"] == allowed
        assert allowed.decode() in json.loads(text_of(answer))["error"]


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_reading_needs_no_token_and_no_origin(path: bytes, method: bytes) -> None:
    answer = ask(path, method, fields=((b"Origin", b"http://elsewhere"),), token="secret")
    assert answer.status == 200


def test_events_are_a_stream_that_is_never_kept() -> None:
    answer = ask(b"/events")
    assert (answer.status, kind_of(answer)) == (200, "text/event-stream")
    assert dict(answer.fields)[b"Cache-Control"] == b"no-store"
    assert not isinstance(answer.body, bytes)


def test_one_who_watches_too_many_is_told_so() -> None:
    admin = admin_of(READS._replace(events=lambda: None))
    answer = asyncio.run(admin.respond(Request(make_head(b"GET", b"/events", [], b""), b"", "127.0.0.1")))
    assert (answer.status, dict(answer.fields)[b"Retry-After"]) == (503, b"5")
    assert "ask /state" in json.loads(text_of(answer))["error"]


def test_variants_are_json_with_their_names_and_never_kept() -> None:
    answer = ask(b"/variants")
    assert (answer.status, kind_of(answer)) == (200, "application/json; charset=utf-8")
    assert dict(answer.fields)[b"Cache-Control"] == b"no-store"
    assert json.loads(text_of(answer)) == {"variants": [msgspec.to_builtins(VARIANT)]}


def test_a_prune_says_what_it_removed_and_what_failed_without_a_password() -> None:
    answer = ask(b"/variants/prune", b"POST")
    assert (answer.status, kind_of(answer)) == (200, "application/json; charset=utf-8")
    assert dict(answer.fields)[b"Cache-Control"] == b"no-store"
    told = msgspec.to_builtins(VARIANT)
    assert json.loads(text_of(answer)) == {
        "removed": [told],
        "failed": [{"variant": told, "why": "http://gpu-2:11434 is down"}],
    }


def test_a_change_without_the_token_does_nothing() -> None:
    done: list[str] = []

    async def count() -> Pruned:
        done.append("pruned")
        return Pruned(removed=(), failed=())

    async def count_one(wanted: Wanted) -> ByHand:
        done.append(wanted.model)
        return await unload(wanted)

    permission = Permission("secret", is_loopback=True)
    admin = Admin(READS, Changes(count, count_one, count_one, count_one, count_one), why_not_host, permission)
    for fields, status in (([], 403), ([(b"Authorization", b"Bearer secret")], 200)):
        for path in CHANGE:
            request = Request(make_head(b"POST", path, fields), b'{"model":"m"}', "127.0.0.1")
            answer = asyncio.run(admin.respond(request))
            assert (answer.status, kind_of(answer)) == (status, "application/json; charset=utf-8")
        assert done == (["pruned", "m", "m", "m", "m"] if status == 200 else [])


def by_hand(path: bytes, body: bytes) -> Answer:
    """Have something loaded or unloaded."""
    request = Request(make_head(b"POST", path, []), body, "127.0.0.1")
    return asyncio.run(admin_of(READS).respond(request))


def test_a_load_by_hand_says_what_became_of_each_server_without_a_password() -> None:
    answer = by_hand(b"/load", b'{"model":"m"}')
    assert (answer.status, kind_of(answer)) == (200, "application/json; charset=utf-8")
    assert dict(answer.fields)[b"Cache-Control"] == b"no-store"
    why = "http://gpu-2:11434 is down"
    assert json.loads(text_of(answer)) == {
        "servers": [
            {"server": "fine", "model": "m", "end": "loaded", "took_s": 0.333333, "error": None},
            {"server": "broken", "model": "m", "end": "failed", "took_s": 0.333333, "error": why},
        ]
    }


def test_what_fails_everywhere_is_a_502_that_says_why() -> None:
    answer = by_hand(b"/load", b'{"model":"m","server":"broken"}')
    assert (answer.status, kind_of(answer)) == (502, "application/json; charset=utf-8")
    told = json.loads(text_of(answer))
    assert told["error"] == "broken: http://gpu-2:11434 is down"
    assert [one["end"] for one in told["servers"]] == ["failed"]


def test_an_unload_by_hand_has_the_same_form() -> None:
    answer = by_hand(b"/unload", b'{"model":"m","server":"one"}')
    assert answer.status == 200
    told = {"server": "one", "model": "m", "end": "unloaded", "took_s": 0, "error": None}
    assert json.loads(text_of(answer)) == {"servers": [told]}


@pytest.mark.parametrize("path", CHANGE[1:])
@pytest.mark.parametrize("body", [b"", b"{}", b"m", b'"m"', b'{"model":1}', b'{"model":"m","sever":"a"}'])
def test_a_body_that_does_not_say_what_is_meant_is_a_bad_request(path: bytes, body: bytes) -> None:
    """A member that is mistyped, too: it would mean all servers."""
    with pytest.raises(BadRequest) as refused:
        by_hand(path, body)
    answer = refuse(refused.value)
    assert (answer.status, "the body has to be like" in text_of(answer)) == (400, True)


def test_an_error_of_what_is_asked_for_is_the_answer() -> None:
    with pytest.raises(ModelNotFound):
        by_hand(b"/load", b'{"model":"unknown"}')


@pytest.mark.parametrize(
    "path", [b"/", b"/metrics", b"/healthz", b"/nothing", b"/variants", b"/variants/prune"]
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_host_that_is_not_ours_is_refused_whatever_it_asks_for(path: bytes, method: bytes) -> None:
    answer = ask(path, method, fields=((b"Host", b"evil"), (b"Authorization", b"Bearer x")), token="x")
    assert (answer.status, kind_of(answer)) == (403, "application/json; charset=utf-8")
    assert json.loads(text_of(answer)) == {"error": "evil is not allowed"}


def test_the_page_about_the_port_has_every_page_of_it_with_its_methods() -> None:
    rows = re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", text_of_file("docs/admin.md"), re.MULTILINE)
    listed = json.loads(text_of(ask(b"/nothing")))["error"].partition("there are ")[2]
    assert [path for path, _ in rows] == listed.split(", ")
    for path, methods in rows:
        assert dict(ask(path.encode(), b"PATCH").fields)[b"Allow"].decode() == methods


def test_the_page_about_the_port_has_every_key_of_a_variant() -> None:
    described = re.findall(r"^\| `(\w+)` \|", text_of_file("docs/admin.md"), re.MULTILINE)
    assert described == list(VariantState.__struct_fields__)


async def exchanged(sent: bytes) -> bytes:
    """Send bytes to an admin port on a real socket; all that comes back until it closes."""
    loop = asyncio.get_running_loop()
    admin = admin_of(READS._replace(ready=lambda: "no server is up"))
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


@pytest.mark.parametrize("target", [b"/", b"/?filter=a&servers=-in_flight", b"/?"])
def test_the_page_is_there_whatever_state_its_address_has(target: bytes) -> None:
    head = b"Host: x\r\nConnection: close\r\n"
    whole, _, body = asyncio.run(exchanged(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, head))).partition(END)
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/html; charset=utf-8\r\n" in whole
    assert body.lower().startswith(b"<!doctype html>")
    to_head = asyncio.run(exchanged(b"HEAD %b HTTP/1.1\r\n%b\r\n" % (target, head)))
    assert to_head == whole + END
    tag = whole.partition(b"\r\nETag: ")[2].partition(b"\r\n")[0]
    known = b"GET %b HTTP/1.1\r\n%bIf-None-Match: %b\r\n\r\n" % (target, head, tag)
    whole, _, body = asyncio.run(exchanged(known)).partition(END)
    assert (whole.startswith(b"HTTP/1.1 304 "), b"Content-Length" in whole, body) == (True, False, b"")


def test_a_body_that_nobody_wants_is_refused_in_json() -> None:
    got = asyncio.run(exchanged(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"))
    assert got.startswith(b"HTTP/1.1 413 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]
