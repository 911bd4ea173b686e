"""Blobs that are uploaded and looked for through the program, on all real servers at once."""

import socket
import struct
from pathlib import Path
from typing import Final

import pytest

from tests.real.blobs import digest_of, has, new_bytes, on_servers, upload
from tests.real.fleet import request_bytes
from tests.real.front import Front, until
from tests.real.test_managed import said
from tests.recorded import parse_reply
from tests.registry import weights_of

NOBODYS: Final = f"sha256:{'0' * 64}"
_CHUNK_BYTES: Final = 60_000


def chunked(path: str, content: bytes) -> bytes:
    """Write a request whose body comes in chunks."""
    pieces = [content[at : at + _CHUNK_BYTES] for at in range(0, len(content), _CHUNK_BYTES)]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + b"".join(chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunks"])
def test_a_blob_is_on_every_server_once_it_is_answered(front: Front, in_chunks: bool) -> None:
    content = new_bytes(3_000_000)
    digest = digest_of(content)
    path = f"/api/blobs/{digest}"
    for place in (front.proxy, *front.servers.values()):
        assert said(place.ask("HEAD", path))[0] == 404
    for status in (201, 200):
        if in_chunks:
            with front.proxy.connect() as sock:
                sock.sendall(chunked(path, content))
                got = parse_reply(b"".join(iter(lambda: sock.recv(65536), b"")), is_head=False)
        else:
            got = upload(front.proxy, content)
        assert (got.status, got.body, got.get(b"warning")) == (status, b"", None)
        assert (has(front.proxy, digest), all(on_servers(front, digest))) == (True, True)
    for server in front.servers.values():
        assert upload(server, content[:9], digest).status == 200  # it has it, and does not read


def test_a_blob_goes_to_the_servers_that_lack_it(front: Front) -> None:
    """To look for it finds it only where every server has it."""
    for name, server in front.servers.items():
        content = new_bytes(len(name))
        digest = digest_of(content)
        assert upload(server, content).status == 201
        assert on_servers(front, digest) == [other == name for other in front.servers]
        is_alone = len(front.servers) == 1
        assert has(front.proxy, digest) == is_alone
        assert upload(front.proxy, content).status == (200 if is_alone else 201)
        assert all(on_servers(front, digest))
        assert has(front.proxy, digest)


def test_a_client_that_waits_to_be_told_to_go_on_is_told_so(front: Front) -> None:
    content = new_bytes(300_000)
    asked = request_bytes("POST", f"/api/blobs/{digest_of(content)}", content)
    head = asked.removesuffix(content).replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)
    for first in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
        with front.proxy.connect() as sock:
            sock.sendall(head)
            raw = sock.recv(len(first), socket.MSG_WAITALL)
            assert raw == first
            if b" 100 " in first:
                sock.sendall(content)
                raw = b"".join(iter(lambda: sock.recv(65536), b""))
                assert parse_reply(raw, is_head=False).status == 201
    assert all(on_servers(front, digest_of(content)))


@pytest.mark.parametrize("digest", [NOBODYS, "sha256:xyz", "x", "sha256:" + "A" * 63, f"sha256-{'0' * 63}"])
def test_a_wrong_digest_is_refused_in_the_servers_words(front: Front, digest: str) -> None:
    content = new_bytes()
    path = f"/api/blobs/{digest}"
    ours, real = (said(upload(place, content, digest)) for place in (front.proxy, front.fleet.first))
    assert ours == real
    assert ours[0] == 400
    ours, real = (said(place.ask("HEAD", path)) for place in (front.proxy, front.fleet.first))
    assert (ours[0], ours[3]) == (real[0], real[3])
    assert not any(on_servers(front, NOBODYS))


@pytest.mark.parametrize("form", ["length", "chunks", "inside a chunk"])
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_an_upload_that_is_cut_is_on_no_server(front: Front, form: str, how: str) -> None:
    """Neither under the digest that was asked for nor under that of what had come."""
    content = new_bytes(2 * _CHUNK_BYTES)
    path = f"/api/blobs/{digest_of(content)}"
    if form == "length":
        asked = request_bytes("POST", path, content)[: -_CHUNK_BYTES // 2]
        came = content[: -_CHUNK_BYTES // 2]
    else:
        asked, came = chunked(path, content), content[: 2 * _CHUNK_BYTES]
        at = asked.index(came[_CHUNK_BYTES:]) + _CHUNK_BYTES + 2  # behind the second chunk
        asked = asked[:at] if form == "chunks" else asked[: at - 1000]
        came = came if form == "chunks" else came[:-998]
    before = _begun(front)
    with front.proxy.connect() as sock:
        sock.sendall(asked)
        until(lambda: all(new - old for new, old in zip(_begun(front), before, strict=True)))
        if how == "RST":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: not any(new - old for new, old in zip(_begun(front), before, strict=True)))
    assert not any(on_servers(front, digest_of(content)))
    assert not any(on_servers(front, digest_of(came)))
    assert upload(front.proxy, content).status == 201
    assert all(on_servers(front, digest_of(content)))


def _begun(front: Front) -> list[set[str]]:
    """Give what each server keeps of uploads that are under way."""
    found = []
    for server in front.servers.values():
        shown = server.json("POST", "/api/show", {"model": front.fleet.chat})
        store = weights_of(shown).content
        assert isinstance(store, Path)
        parts = {path.name for path in store.parent.iterdir()}
        found.append({name for name in parts if len(name.removeprefix("sha256-")) < len(NOBODYS) - 7})
    return found
