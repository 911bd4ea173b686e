"""A name that is hidden at any split of the bytes, beside a replacement in the whole text."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.hiding import NameHider

VARIANT, MODEL = "gollamas/m-0123:ctx8", "Llama"
FULL, FULL_MODEL = f"registry.ollama.ai/{VARIANT}", "registry.ollama.ai/library/Llama:latest"

parts = st.one_of(
    st.sampled_from([VARIANT, FULL, VARIANT[:-1], FULL[:25], VARIANT[3:], "gollamas/", "registry.", MODEL]),
    st.sampled_from(["x" * 200, "é", '"', "\\"]),
    st.text(max_size=5),
)
texts = st.lists(parts, max_size=25).map("".join)


def pieces_of(data: bytes, places: list[int]) -> list[bytes]:
    """Split bytes at these places."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(cuts)]


@given(texts, st.lists(st.integers(0, 200_000), max_size=40), st.booleans(), texts)
def test_any_split_gives_what_a_replacement_in_the_whole_gives(
    text: str, places: list[int], is_long: bool, more: str
) -> None:
    """Only so much is held as may be the beginning of a name."""
    if is_long:
        text += "x" * 65_000 + more
    hider = NameHider(VARIANT.encode(), MODEL.encode())
    passed = b""
    for piece in pieces_of(text.encode(), places):
        passed += hider.feed(piece)
        assert len(hider.held) < len(FULL)
    expected = text.replace(FULL, FULL_MODEL).replace(VARIANT, MODEL).replace("m-0123", MODEL)
    assert (passed + hider.flush()).decode() == expected
