"""Which digest a path names, who may upload where, and what is told of an upload."""

from typing import Any

import pytest

from gollamas.api.blobs import BlobOutcome, Stored, digest_in, is_digest, servers_for_blobs, stored
from gollamas.config.model import Config, Manage
from gollamas.errors import BadRequest, ProxyError
from tests.unit.api.test_manage import a_config

HEX = "0123456789abcdef" * 4
ALL: dict[str, Any] = {"manage": Manage.ALL}


def path(digest: str) -> bytes:
    return f"/api/blobs/{digest}".encode()


def test_a_digest_is_64_hex_digits_in_lower_case_behind_its_algorithm() -> None:
    assert digest_in(path(f"sha256:{HEX}")) == f"sha256:{HEX}"
    assert is_digest(f"sha256:{HEX}")


@pytest.mark.parametrize(
    "digest",
    [
        f"sha256-{HEX}", f"sha256:{HEX.upper()}", f"SHA256:{HEX}", f"sha256:{HEX[:-1]}", f"sha256:{HEX}0",
        HEX, "sha256:", "", f"sha512:{HEX}", f"sha256:{HEX[:-1]}g", f"sha256:{HEX}\n", f"sha256:{HEX} ",
        f"sha256:{HEX[:-1]}٣", "sha256:../../etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_digest_is_refused_in_the_recorded_words(digest: str) -> None:
    with pytest.raises(BadRequest, match=r"^invalid digest format$"):
        digest_in(path(digest))
    assert not is_digest(digest)


def refused(config: Config, only: str | None = None, *, changes: bool = True) -> tuple[int, str]:
    with pytest.raises(ProxyError) as caught:
        servers_for_blobs(config, only, changes=changes)
    return caught.value.status, caught.value.text


@pytest.mark.parametrize("changes", [True, False])
def test_a_blob_goes_to_all_servers_or_those_that_are_named(changes: bool) -> None:
    assert list(servers_for_blobs(a_config(**ALL), None, changes=changes)) == ["a", "b", "c"]
    some = a_config(manage_servers=("c", "a"), **ALL)
    assert sorted(servers_for_blobs(some, None, changes=changes)) == ["a", "c"]


def test_by_default_it_goes_to_the_servers_of_any_configured_model_in_their_order() -> None:
    config = a_config({"m": ("c",), "n": ("c", "a")})
    assert servers_for_blobs(config, None, changes=True) == ("a", "c")


def test_a_request_may_be_limited_to_one_server_and_reaches_no_more_by_that() -> None:
    config = a_config(manage_servers=("a", "b"), **ALL)
    assert servers_for_blobs(config, "b", changes=True) == ("b",)
    assert refused(config, "c") == (400, "blobs are not uploaded to server 'c'")
    assert servers_for_blobs(a_config({"m": ("a",)}), "a", changes=False) == ("a",)
    assert refused(a_config({"m": ("a",)}), "b", changes=False) == (
        400,
        "blobs are not uploaded to server 'b'",
    )


def test_while_manage_is_off_blobs_are_only_looked_for() -> None:
    config = a_config(manage=Manage.OFF)
    assert refused(config) == (403, "blobs can't be uploaded through gollamas: `manage` is `off`")
    assert servers_for_blobs(config, None, changes=False) == ("a", "b")


def test_without_a_configured_model_there_is_no_server_for_a_blob() -> None:
    assert refused(a_config({})) == (
        403,
        "blobs can't be uploaded through gollamas: no model is configured, and `manage` is not `all`",
    )


@pytest.mark.parametrize("manage", [Manage.OFF, Manage.CONFIGURED])
def test_without_a_configured_model_blobs_are_looked_for_on_all_servers(manage: Manage) -> None:
    assert servers_for_blobs(a_config({}, manage=manage), None, changes=False) == ("a", "b", "c")


# -- what is told of an upload -------------------------------------------------------------------------


def test_it_is_a_201_where_one_was_written_and_a_200_where_all_had_it() -> None:
    had, made = BlobOutcome("a", 200, had_it=True), BlobOutcome("b", 201)
    assert stored([had, made]) == Stored(201, [], b"", "")
    assert stored([had, had]) == Stored(200, [], b"", "")
    assert stored([BlobOutcome("a", 200), had]) == Stored(
        201, [], b"", ""
    )  # another one uploaded it meanwhile


def test_those_that_fell_out_are_named() -> None:
    kept = [
        BlobOutcome("a", 502, why="it reset the connection"),
        BlobOutcome("b", 201),
        BlobOutcome("c", 500, b"full"),
    ]
    assert stored(kept) == Stored(
        201,
        [
            (b"Warning", b'199 gollamas "a does not have the blob: it reset the connection"'),
            (b"Warning", b'199 gollamas "c does not have the blob: it answered 500"'),
        ],
        b"",
        "",
    )
    had = [BlobOutcome("a", 200, had_it=True), BlobOutcome("b", 504, why="it stalled")]
    assert stored(had) == Stored(
        200, [(b"Warning", b'199 gollamas "b does not have the blob: it stalled"')], b"", ""
    )


def test_where_all_fail_it_is_the_first_one_s_error() -> None:
    first, second = b'{"error":"first"}', b'{"error":"second"}'
    kept = [BlobOutcome("a", 400, first), BlobOutcome("b", 500, second)]
    assert stored(kept) == Stored(400, [], first, "first")
    broke = [BlobOutcome("a", 502, why="it broke"), BlobOutcome("b", 504, why="it stalled")]
    assert stored(broke) == Stored(502, [], b"", "server a: it broke")


def test_a_server_s_own_word_counts_before_ours() -> None:
    said = b'{"error":"digest mismatch"}'
    kept = [BlobOutcome("a", 502, why="it broke"), BlobOutcome("b", 400, said)]
    assert stored(kept) == Stored(400, [], said, "digest mismatch")


@pytest.mark.parametrize("page", [b"", b"<html>", b"{}", b'{"error":1}', b'{"error":"\xff"}', b"[" * 5000])
@pytest.mark.parametrize(("answered", "told"), [(500, 500), (413, 413), (307, 502)])
def test_a_page_of_what_stands_in_front_of_a_server_is_not_passed(
    page: bytes, answered: int, told: int
) -> None:
    assert stored([BlobOutcome("a", answered, page)]) == Stored(
        told, [], b"", f"server a answered {answered}"
    )


def test_only_a_server_that_said_so_lacks_it() -> None:
    assert BlobOutcome("a", 404).is_missing
    assert not BlobOutcome("a", 404).is_there
    assert not BlobOutcome("a", 502, why="it broke").is_missing
    assert not BlobOutcome("a", 200, had_it=True).is_missing
    assert BlobOutcome("a", 201).is_there
    assert not BlobOutcome("a", 307).is_there
