"""What a server is asked to load a model, and what its answer means."""

import json
from typing import NamedTuple

import pytest

from gollamas.fleet.load_requests import (
    EMBED,
    GENERATE,
    blob_path,
    copy_body,
    create_body,
    delete_body,
    failure,
    is_well,
    load_body,
    show_body,
    unload_body,
)
from gollamas.fleet.runner_options import PLAIN, RunnerOptions, runner_options
from gollamas.wire.body import members_of


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    location: str = ""


def options_of(body: bytes) -> RunnerOptions:
    found = runner_options(members_of(body), is_plain=True, takes_shift=True)
    assert found is not None
    return found


ALL = options_of(b'{"options":{"num_ctx":2048,"use_mmap":false,"temperature":1},"shift":true}')


def test_a_load_is_empty_and_has_exactly_the_runner_options() -> None:
    assert json.loads(load_body(GENERATE, "m:latest", PLAIN)) == {"model": "m:latest", "stream": False}
    options = {"num_ctx": 2048, "use_mmap": False}
    assert json.loads(load_body(GENERATE, "m", ALL)) == {
        "model": "m",
        "options": options,
        "stream": False,
        "shift": True,
    }
    assert json.loads(load_body(EMBED, "m", ALL)) == {"model": "m", "options": options}


@pytest.mark.parametrize(
    ("seconds", "written"), [(-1.0, b"-1"), (600.0, b"600"), (0.0, b"0"), (0.5, b'"500000000ns"')]
)
def test_a_load_says_how_long_its_model_is_to_stay(seconds: float, written: bytes) -> None:
    assert load_body(EMBED, "m", PLAIN, seconds) == b'{"model":"m","keep_alive":%b}' % written
    assert load_body(GENERATE, "m", PLAIN, seconds) == (
        b'{"model":"m","keep_alive":%b,"stream":false}' % written
    )
    assert b"keep_alive" not in load_body(GENERATE, "m", ALL)


def test_a_variant_differs_from_its_model_in_its_context_alone() -> None:
    assert json.loads(create_body("gollamas/m-0:ctx4096", "m:latest", 4096)) == {
        "model": "gollamas/m-0:ctx4096",
        "from": "m:latest",
        "parameters": {"num_ctx": 4096},
        "stream": False,
    }
    assert json.loads(delete_body("gollamas/m-0:ctx4096")) == {"model": "gollamas/m-0:ctx4096"}


def test_an_unload_has_a_keep_alive_of_zero_and_a_question_the_name_alone() -> None:
    assert json.loads(unload_body("m")) == {"model": "m", "keep_alive": 0, "stream": False}
    assert json.loads(show_body("m")) == {"model": "m"}


@pytest.mark.parametrize(("status", "well"), [(200, True), (299, True), (199, False), (300, False)])
def test_any_status_of_success_is_well(status: int, well: bool) -> None:
    assert is_well(Reply(status)) is well


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"no memory"}', "no memory"),
        (b'{"error":""}', "server a answered 500"),
        (b"{}", "server a answered 500"),
        (b'{"error":5}', "server a answered 500"),
        (b"<html>", "server a answered 500"),
        (b'{"error":"\xff"}', "server a answered 500"),
    ],
)
def test_a_failure_has_the_server_s_own_words_and_status(body: bytes, text: str) -> None:
    error = failure("a", Reply(500, body))
    assert (error.status, error.text) == (500, text)


def test_a_copy_names_both_and_a_blob_is_asked_for_by_its_digest() -> None:
    assert json.loads(copy_body("m:1b", "gollamas/m-0:old")) == {
        "source": "m:1b",
        "destination": "gollamas/m-0:old",
    }
    assert blob_path("sha256:00") == "/api/blobs/sha256:00"
