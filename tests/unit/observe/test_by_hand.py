"""What the admin port takes and tells of what is done by hand."""

import json

import msgspec
import pytest

from gollamas.events import JobEnd
from gollamas.observe.by_hand import ByHand, OnServer, Wanted, by_hand_page, wanted

FINE = OnServer(server="a", model="m:latest", end="loaded", took_s=1.23456789, error=None)
FAILED = OnServer(server="b", model="m:latest", end="failed", took_s=0.0, error="connection refused")


def test_a_body_names_a_model_and_may_name_a_server() -> None:
    assert wanted(b'{"model":"m"}') == wanted(b'{"model":"m","server":null}') == Wanted(model="m")
    assert wanted(b'{"server":"a","model":"m"}') == Wanted(model="m", server="a")


def test_what_a_verb_writes_can_be_read() -> None:
    for one in (Wanted(model="m"), Wanted(model="m", server="a")):
        assert wanted(msgspec.json.encode(one)) == one


@pytest.mark.parametrize(
    "body",
    [
        b"", b"m", b"[]", b"{}", b"null", b'{"server":"a"}', b'{"model":null}', b'{"model":["m"]}',
        b'{"model":"m","server":1}', b'{"model":"m","sever":"a"}', b'{"model":"\xff"}', b"[" * 100_000,
        b'{"model":""}', b'{"model":"  "}',
    ],
)  # fmt: skip
def test_another_body_means_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"llama3\.2"):
        wanted(body)


def test_a_page_tells_of_each_server() -> None:
    page = by_hand_page(ByHand(servers=(FINE, FAILED)))
    assert page.endswith(b"\n")
    assert json.loads(page) == {
        "servers": [
            {"server": "a", "model": "m:latest", "end": "loaded", "took_s": 1.234568, "error": None},
            {"server": "b", "model": "m:latest", "end": "failed", "took_s": 0.0, "error": FAILED.error},
        ]
    }
    read = msgspec.json.decode(page, type=ByHand)
    assert (read.has_all_failed, [one.has_failed for one in read.servers]) == (False, [False, True])
    assert read.status == 200


def test_where_all_failed_a_page_says_so_in_one_sentence() -> None:
    done = ByHand(servers=(FAILED, msgspec.structs.replace(FAILED, server="c", error="x")))
    assert (done.has_all_failed, done.status) == (True, 502)
    assert json.loads(by_hand_page(done))["error"] == "b: connection refused; c: x"


def test_what_no_server_has_is_not_found() -> None:
    """Where one has failed in another way it may be there."""
    missing = msgspec.structs.replace(FAILED, end=JobEnd.MISSING, error="model 'm' not found")
    assert ByHand(servers=(missing, missing)).status == 404
    assert ByHand(servers=(missing, FAILED)).status == 502
    assert ByHand(servers=(missing, FINE)).status == 200


def test_a_reason_is_cut_and_shows_no_password_and_a_name_commands_no_terminal() -> None:
    why = "http://me:secret@gpu-2 said " + "x" * 1000
    page = by_hand_page(ByHand(servers=[msgspec.structs.replace(FAILED, model="\u202em", error=why)]))
    assert b"secret" not in page
    assert len(page) < 900
    assert b"\\u202e" in page
