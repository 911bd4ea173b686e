"""Every failure says its status, whose fault it is, and what may follow."""

import pytest

from gollamas import errors
from gollamas.errors import Blame, ProxyError

ALL = sorted(
    (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ProxyError)),
    key=lambda one: one.__name__,
)


@pytest.mark.parametrize(
    ("error", "status", "blame"),
    [
        (errors.BadRequest, 400, Blame.CLIENT), (errors.BodyTooLarge, 413, Blame.CLIENT),
        (errors.ModelNotFound, 404, Blame.CLIENT), (errors.LoopDetected, 508, Blame.OURS),
        (errors.NotYetSupported, 501, Blame.OURS), (errors.NoServerLeft, 503, Blame.OURS),
        (errors.ServerRefused, 502, Blame.SERVER), (errors.ServerBroke, 502, Blame.SERVER),
        (errors.ServerTooSlow, 504, Blame.SERVER), (errors.ShuttingDown, 503, Blame.OURS),
        (errors.ResourcesExhausted, 503, Blame.OURS), (errors.TooManyOpenFiles, 503, Blame.OURS),
        (errors.TooManyClients, 503, Blame.OURS), (errors.UploadsFull, 503, Blame.OURS),
        (errors.NotServed, 404, Blame.CLIENT),
    ],
)  # fmt: skip
def test_an_error_has_a_status_and_someone_to_blame(
    error: type[ProxyError], status: int, blame: Blame
) -> None:
    assert (error.status, error.blame) == (status, blame)
    assert error in ALL


def test_only_a_server_that_was_never_asked_leaves_the_request_to_another() -> None:
    assert [one for one in ALL if one.retriable] == [errors.ServerRefused]


def test_an_error_that_passes_by_itself_says_when_to_come_back() -> None:
    assert {one for one in ALL if one.retry_after is not None} == {
        errors.NoServerLeft, errors.ResourcesExhausted, errors.TooManyOpenFiles, errors.TooManyClients,
        errors.ShuttingDown, errors.UploadsFull,
    }  # fmt: skip
    assert all(one.status == 503 for one in ALL if one.retry_after is not None)


def test_a_connection_ends_only_where_its_bytes_are_in_the_way_or_we_end() -> None:
    assert {one for one in ALL if one.closes} == {
        errors.BodyTooLarge, errors.UploadsFull, errors.NotServed, errors.ShuttingDown, errors.TooManyClients,
    }  # fmt: skip


@pytest.mark.parametrize("error", ALL)
def test_an_error_keeps_the_text_that_the_client_reads(error: type[ProxyError]) -> None:
    raised = error("model 'x' not found")
    assert raised.text == str(raised) == "model 'x' not found"
    assert 400 <= raised.status < 600
