"""Bodies that go on in pieces, at every split of their bytes: what goes out is what came in."""

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_request import near_cuts, requests
from tests.unit.wire.readers import Takes, cut_at, first_request, streamed


@given(requests(), near_cuts, st.binary(max_size=20))
def test_what_goes_on_is_the_body_that_is_read_whole(data: bytes, places: list[int], behind: bytes) -> None:
    _, body, _ = first_request([data])
    takes = Takes()
    assert streamed(cut_at(data + behind, places), takes) == behind
    assert b"".join(takes.pieces) == body
    assert takes.told == [*takes.pieces, "whole"]
    assert all(takes.pieces)


@given(requests(), near_cuts, st.integers(1, 60))
def test_a_start_of_it_is_never_whole(data: bytes, places: list[int], missing: int) -> None:
    _, body, _ = first_request([data])
    takes = Takes()
    assert streamed(cut_at(data[:-missing], places), takes) is None
    assert "whole" not in takes.told
    assert bytes(body).startswith(b"".join(takes.pieces))
