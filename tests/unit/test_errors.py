"""Every failure says its status, whose fault it is, and what may follow."""

import pytest

from gollamas import errors
from gollamas.errors import ProxyError

ALL = sorted(
    (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ProxyError)),
    key=lambda one: one.__name__,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadRequest, 400), (errors.BodyTooLarge, 413),
        (errors.ModelNotFound, 404), (errors.LoopDetected, 508),
        (errors.NoServerLeft, 503),
        (errors.ServerRefused, 502), (errors.ServerBroke, 502),
        (errors.ServerTooSlow, 504), (errors.ShuttingDown, 503),
        (errors.ResourcesExhausted, 503), (errors.TooManyOpenFiles, 503),
        (errors.TooManyClients, 503), (errors.UploadsFull, 503),
        (errors.NotServed, 404), (errors.ServerNotFound, 404),
        (errors.Forbidden, 403), (errors.ModelBusy, 503),
    ],
)  # fmt: skip
def test_an_error_has_a_status(error: type[ProxyError], status: int) -> None:
    assert error.status == status
    assert error in ALL


def test_an_error_that_passes_by_itself_says_when_to_come_back() -> None:
    assert {one for one in ALL if one.retry_after is not None} == {
        errors.NoServerLeft, errors.ResourcesExhausted, errors.TooManyOpenFiles, errors.TooManyClients,
        errors.ShuttingDown, errors.UploadsFull, errors.ModelBusy,
    }  # fmt: skip
    assert all(one.status == 503 for one in ALL if one.retry_after is not None)


@pytest.mark.parametrize("error", [one for one in ALL if one is not errors.LoadFailed])
def test_an_error_keeps_the_text_that_the_client_reads(error: type[ProxyError]) -> None:
    raised = error("model 'x' not found")
    assert raised.text == str(raised) == "model 'x' not found"
    assert 400 <= raised.status < 600


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_load_that_failed_has_the_status_and_the_text_of_its_server(status: int) -> None:
    raised = errors.LoadFailed(status, "no memory")
    assert (raised.status, raised.text, str(raised)) == (status, "no memory", "no memory")
    assert raised.is_missing is (status == 404)
