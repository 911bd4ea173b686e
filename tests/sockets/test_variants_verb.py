"""What changes state on a running admin port: who may, and `gollamas variants` beside it."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from gollamas.admin.permission import Permission
from gollamas.admin.service import MAX_BODY_BYTES, Admin, Changes, Reads, refuse
from gollamas.api.gate import Gate
from gollamas.config.model import Address
from gollamas.observe.by_hand import ByHand, Wanted
from gollamas.observe.variants import Pruned, VariantFailure, VariantState
from gollamas.responder import Responder
from tests.sockets.proxying import in_front_of, runs
from tests.sockets.raw import Client, Message, Peer, RawServer, answer, get, post
from tests.sockets.serving import serving

if sys.platform == "win32":
    pytest.skip("Windows has no pty", allow_module_level=True)

from tests.sockets.verbs import draw_verb, run_verb
from tests.variants import COPY, LEFT_OVER, NEEDED

TOKEN = "s3cret"
BEARER = b"Authorization: Bearer s3cret"
PRUNE = "/variants/prune"
ADMIN = Address(host="127.0.0.1", port=0)
SET_IT = "set admin_token (GOLLAMAS_ADMIN_TOKEN)"


@dataclass
class Variants:
    """The variants that an admin port has to do with; `why` is why none can be removed."""

    port: int = 0
    found: list[VariantState] = field(default_factory=lambda: [NEEDED, LEFT_OVER])
    why: str | None = None

    async def prune(self) -> Pruned:
        """Remove what is not needed."""
        gone = [one for one in self.found if not one.is_needed]
        if self.why is not None:
            return Pruned(removed=[], failed=[VariantFailure(variant=one, why=self.why) for one in gone])
        self.found = [one for one in self.found if one.is_needed]
        return Pruned(removed=gone, failed=[])

    async def ask(self, data: bytes) -> Message:
        """Ask the port on a connection of its own."""
        client = await Client.connect(self.port)
        try:
            return await client.ask(data)
        finally:
            client.close()


async def nothing(_: Wanted) -> ByHand:
    """Load and unload nothing."""
    return ByHand(servers=())


@asynccontextmanager
async def admin_port(token: str | None = None, *, is_loopback: bool = True) -> AsyncIterator[Variants]:
    """Serve an admin port that takes itself for one on a loopback address, or on another."""
    variants = Variants()
    gate = Gate((), is_loopback=is_loopback, port=0, hostnames=(), is_own=lambda _: False)
    admin = Admin(
        Reads(
            lambda _: ("text/plain", iter(())),
            lambda: iter(()),
            lambda: None,
            lambda: variants.found,
            lambda: None,
        ),
        Changes(variants.prune, nothing, nothing, nothing, nothing),
        gate.why_not_host,
        Permission(token, is_loopback=is_loopback),
    )
    async with serving(Responder(admin.respond, refuse, MAX_BODY_BYTES)) as served:
        variants.port = served.port
        yield variants


def error_of(got: Message) -> str:
    assert got.get(b"content-type") == b"application/json; charset=utf-8"
    return str(json.loads(got.body)["error"])


@pytest.mark.parametrize(
    ("token", "is_loopback", "lines", "why"),
    [
        (None, True, (), None),
        (None, True, (BEARER,), None),
        (None, False, (), SET_IT),
        (None, False, (BEARER,), SET_IT),
        *(
            (TOKEN, is_loopback, lines, why)
            for is_loopback in (True, False)
            for lines, why in (
                ((BEARER,), None),
                ((b"authorization: bearer s3cret",), None),
                ((), "this needs the proxy's admin token"),
                ((b"Authorization: Basic s3cret",), "this needs the proxy's admin token"),
                ((b"Authorization: Bearer s3cre",), "this is not the proxy's admin token"),
                ((BEARER, BEARER), "this is not the proxy's admin token"),
            )
        ),
    ],
)
@runs
async def test_what_changes_state_needs_the_token_where_one_is_set_or_others_can_connect(
    token: str | None, is_loopback: bool, lines: tuple[bytes, ...], why: str | None
) -> None:
    async with admin_port(token, is_loopback=is_loopback) as variants:
        got = await variants.ask(post(PRUNE, b"", *lines))
        if why is None:
            assert got.status == 200
            assert json.loads(got.body) == {"removed": [msgspec.to_builtins(LEFT_OVER)], "failed": []}
            assert variants.found == [NEEDED]
        else:
            assert got.status == 403
            assert why in error_of(got)
            assert variants.found == [NEEDED, LEFT_OVER]
        assert (await variants.ask(get("/variants"))).status == 200


@pytest.mark.parametrize("origin", ["null", "http://evil", "http://127.0.0.1:1", "http://localhost:1", ""])
@runs
async def test_a_page_of_another_site_changes_nothing(origin: str) -> None:
    for token in (None, TOKEN):
        async with admin_port(token) as variants:
            got = await variants.ask(post(PRUNE, b"", BEARER, f"Origin: {origin}".encode()))
            assert got.status == 403
            assert "another site" in error_of(got)
            assert variants.found == [NEEDED, LEFT_OVER]
            assert (await variants.ask(get("/variants", f"Origin: {origin}".encode()))).status == 200


def own_post(authority: str, *lines: bytes) -> bytes:
    """Write a POST to an authority from a page of its own."""
    head = f"POST {PRUNE} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\n"
    return head.encode() + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
@runs
async def test_a_page_of_this_address_may_change_something(scheme: str) -> None:
    async with admin_port() as variants:
        authority = f"127.0.0.1:{variants.port}"
        origin = f"Origin: {scheme}://{authority}".encode()
        assert (await variants.ask(own_post(authority, origin))).status == 200
        assert variants.found == [NEEDED]


@runs
async def test_a_name_of_another_site_that_leads_here_is_refused_though_its_page_has_that_name() -> None:
    """By Host on a loopback address, for want of the token on any other."""
    for token, is_loopback, why in ((None, True, "Host evil.com is not allowed"), (None, False, SET_IT)):
        async with admin_port(token, is_loopback=is_loopback) as variants:
            got = await variants.ask(own_post("evil.com", b"Origin: http://evil.com"))
            assert got.status == 403
            assert why in error_of(got)
            assert variants.found == [NEEDED, LEFT_OVER]


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (PRUNE, "GET", b"POST"),
        (PRUNE, "HEAD", b"POST"),
        (PRUNE, "DELETE", b"POST"),
        (PRUNE, "OPTIONS", b"POST"),
        ("/variants", "POST", b"GET, HEAD"),
        ("/state", "POST", b"GET, HEAD"),
    ],
)
@runs
async def test_a_method_that_a_page_lacks_is_a_405_with_those_that_it_has(
    path: str, method: str, allow: bytes
) -> None:
    async with admin_port() as variants:
        client = await Client.connect(variants.port)
        line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        got = await client.ask(line, to_head=method == "HEAD")
        client.close()
        assert (got.status, got.get(b"allow")) == (405, allow)
        assert variants.found == [NEEDED, LEFT_OVER]


@runs
async def test_a_prune_may_have_a_small_body_that_says_nothing() -> None:
    async with admin_port() as variants:
        assert (await variants.ask(post(PRUNE, b"{}"))).status == 200
        assert (await variants.ask(post(PRUNE, b"x" * (MAX_BODY_BYTES + 1)))).status == 413


@runs
async def test_a_proxy_asks_for_the_token_that_it_is_configured_with() -> None:
    async with (
        RawServer() as server,
        in_front_of(server, admin=ADMIN, admin_token=TOKEN) as locked,
        in_front_of(server, admin=ADMIN) as open_,
    ):
        for proxy, lines, status in ((locked, (), 403), (locked, (BEARER,), 200), (open_, (), 200)):
            assert proxy.app.admin_address is not None
            client = await Client.connect(proxy.app.admin_address.port)
            assert (await client.ask(post(PRUNE, b"", *lines))).status == status
            client.close()
        assert (await locked.ask(post(PRUNE, b"", BEARER))).status == 404


@runs
async def test_the_verb_lists_and_prunes_in_a_pipe() -> None:
    async with admin_port() as variants:
        listed = await run_verb("variants", variants.port)
        assert (listed.code, listed.error, b"\x1b" in listed.out) == (0, "", False)
        assert listed.out.startswith(
            b"2 variants, 1 needed by no policy: gollamas variants --prune\n\nVARIANTS"
        )
        assert b"llama3.2:latest  gpu-1   512 " in listed.out
        pruned = await run_verb("variants", variants.port, "--prune")
        assert (pruned.code, pruned.error) == (0, "")
        assert pruned.out.startswith(b"1 variant removed\n\nREMOVED")
        assert b"gollamas/llama3.2-1b:ctx512" in pruned.out
        again = await run_verb("variants", variants.port, "--prune")
        line = b"nothing to remove: there is no variant that no policy needs\n"
        assert again == (0, line, "")


@runs
async def test_the_verb_prints_json_as_it_came() -> None:
    async with admin_port() as variants:
        for more, data in (((), get("/variants")), (("--prune",), post(PRUNE, b""))):
            variants.found = [NEEDED, LEFT_OVER]
            asked = await variants.ask(data)
            variants.found = [NEEDED, LEFT_OVER]
            assert await run_verb("variants", variants.port, "--json", *more) == (0, asked.body, "")


@runs
async def test_the_verb_draws_tables_on_a_terminal() -> None:
    async with admin_port() as variants:
        listed, done = await draw_verb("variants", variants.port)
        assert (done.code, done.error) == (0, "")
        for word in ("VARIANTS", "─", "llama3.2:latest", "gpu-1", "4096", "512", "older", "ctx512", "2.0 GB"):
            assert word in listed
        variants.why = "connection refused"
        failed, done = await draw_verb("variants", variants.port, "--prune")
        assert (done.code, done.error) == (1, "")
        for word in ("0 variants removed, 1 could not be removed", "FAILED", "connection refused"):
            assert word in failed
        assert "REMOVED" not in failed


@runs
async def test_a_hidden_copy_is_shown_and_pruned_in_a_pipe_and_on_a_terminal() -> None:
    async with admin_port() as variants:
        variants.found = [NEEDED, COPY]
        drawn, on_terminal = await draw_verb("variants", variants.port)
        done = await run_verb("variants", variants.port)
        assert (on_terminal.code, done.code, done.error) == (0, 0, "")
        heading = "1 variant and 1 hidden copy, 1 needed by no policy or pull"
        for text in (drawn, done.out.decode()):
            assert heading in " ".join(text.split())
            assert ":old" in text
        assert done.out.rstrip().endswith(
            b"gpu-1   -        2.0 GB  current   gollamas/llama3.2-1c:old      no"
        )
        done = await run_verb("variants", variants.port, "--prune")
        assert (done.code, done.out.splitlines()[0]) == (0, b"1 hidden copy removed")
        assert variants.found == [NEEDED]


@runs
async def test_what_could_not_be_removed_is_said_in_a_pipe_and_the_verb_exits_1() -> None:
    async with admin_port() as variants:
        variants.why = "connection refused"
        done = await run_verb("variants", variants.port, "--prune")
        assert (done.code, done.error) == (1, "")
        assert b"FAILED" in done.out
        assert done.out.endswith(b"connection refused\n")
        done = await run_verb("variants", variants.port, "--prune", "--json")
        assert (done.code, json.loads(done.out)["failed"][0]["why"]) == (1, "connection refused")


@pytest.mark.parametrize(
    ("token", "is_loopback", "sent", "why"),
    [
        (TOKEN, True, None, "this needs the proxy's admin token"),
        (TOKEN, True, "wrong", "this is not the proxy's admin token"),
        (None, False, None, SET_IT),
        (None, False, TOKEN, SET_IT),
    ],
)
@runs
async def test_a_refusal_says_which_variable_to_set(
    token: str | None, is_loopback: bool, sent: str | None, why: str
) -> None:
    env = {} if sent is None else {"GOLLAMAS_ADMIN_TOKEN": sent}
    async with admin_port(token, is_loopback=is_loopback) as variants:
        done = await run_verb("variants", variants.port, "--prune", env=env)
        assert (done.code, done.out) == (1, b"")
        assert done.error.count("\n") == 1
        assert done.error.startswith(f"gollamas: http://127.0.0.1:{variants.port}{PRUNE} is refused: ")
        assert why in done.error
        assert "GOLLAMAS_ADMIN_TOKEN" in done.error
        assert variants.found == [NEEDED, LEFT_OVER]


@runs
async def test_the_verb_sends_the_token_of_the_variable_or_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(f"admin_token: {TOKEN}\n", encoding="utf-8")
    for env in ({"GOLLAMAS_ADMIN_TOKEN": TOKEN}, {"GOLLAMAS_CONFIG": str(path)}):
        async with admin_port(TOKEN, is_loopback=False) as variants:
            done = await run_verb("variants", variants.port, "--prune", env=env)
            assert (done.code, done.error) == (0, "")
            assert variants.found == [NEEDED]


@runs
async def test_the_verb_sends_the_token_only_where_it_changes_something() -> None:
    heads: list[Message] = []

    async def keep(asked: Message, peer: Peer) -> None:
        heads.append(asked)
        await peer.send(answer(b'{"variants":[],"removed":[],"failed":[]}'))

    async with RawServer(handler=keep) as server:
        for more in ((), ("--prune",)):
            done = await run_verb("variants", server.port, *more, env={"GOLLAMAS_ADMIN_TOKEN": TOKEN})
            assert (done.code, done.error) == (0, "")
    assert [asked.get(b"authorization") for asked in heads] == [None, b"Bearer s3cret"]
