"""The name editor at every split of the bytes, against an oracle that decodes whole documents."""

import itertools
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.lines import NameEditor, Shape, quoted

OLD, NEW = b"smol", b"gpt-4o"
STREAMS = [shape for shape in Shape if shape.value.lead is not None]

words = st.one_of(
    st.sampled_from(
        ["smol", '{"model":"smol"}', '"model":"smol"', "\\", '\\"', "model", "data: ", "\n", "é"]
    ),
    st.text(max_size=8),
)
keys = st.one_of(st.sampled_from(["model", "id", "response", "message", "arguments", 'a"model']), words)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
paths = st.sampled_from([("model",), ("id",), ("response", "model"), ("message", "model")])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, object]:
    """Draw an object that says `smol` in many places, among them those of the name."""
    document: dict[str, object] = draw(st.dictionaries(keys, values, max_size=4))
    if draw(st.booleans()):
        *outer, last = draw(paths)
        inner = document
        for key in outer:
            fresh: dict[str, object] = draw(st.dictionaries(keys, values, max_size=3))
            inner[key] = fresh
            inner = fresh
        inner[last] = "smol"
    order = draw(st.permutations(list(document)))
    return {key: document[key] for key in order}


def renamed(document: object, tree: object) -> bool:
    """Change the first member that is the name, as the tree says where; whether it was there."""
    if not isinstance(document, dict) or not isinstance(tree, dict):
        return False
    for key, value in document.items():
        inner = tree.get(key.encode(errors="replace"), False)
        if inner is None and isinstance(value, str):
            if value == "smol":
                document[key] = "gpt-4o"
            return True
        if isinstance(inner, dict) and renamed(value, inner):
            return True
    return False


def encoded(document: object, compact: bool) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":") if compact else None)
    return text.encode(errors="replace")


def edited(shape: Shape, whole: bytes, cuts: list[int]) -> bytes:
    """Edit the answer in pieces; no piece holds back more than a part of the name."""
    editor = NameEditor(shape, OLD, NEW)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    out = b"".join(editor.feed(whole[a:b]) for a, b in itertools.pairwise(places))
    held = editor.flush()
    assert len(held) < len(quoted(OLD))
    return out + held


@given(
    shape=st.sampled_from(STREAMS),
    lines=st.lists(st.tuples(documents(), st.booleans()), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_any_split_of_a_stream_changes_the_names_and_nothing_else(
    shape: Shape, lines: list[tuple[dict[str, object], bool]], cuts: list[int]
) -> None:
    lead, end = (b"", b"\n") if not shape.value.lead else (b"event: x\ndata: ", b"\n\n")
    sent = b"".join(lead + encoded(line, compact) + end for line, compact in lines)
    for line, _ in lines:
        renamed(line, shape.value.tree)
    wanted = b"".join(lead + encoded(line, compact) + end for line, compact in lines)
    assert edited(shape, sent, cuts) == wanted


@given(
    shape=st.sampled_from([shape for shape in Shape if shape not in STREAMS]),
    document=documents(),
    compact=st.booleans(),
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
def test_any_split_of_a_whole_body_changes_the_name_and_nothing_else(
    shape: Shape, document: dict[str, object], compact: bool, cuts: list[int]
) -> None:
    sent = encoded(document, compact)
    renamed(document, shape.value.tree)
    assert edited(shape, sent, cuts) == encoded(document, compact)


@given(shape=st.sampled_from(list(Shape)), junk=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_bytes_that_are_no_json_are_never_lost(shape: Shape, junk: bytes, cuts: list[int]) -> None:
    assert edited(shape, junk, cuts) == edited(shape, junk, [])
    if b'"smol"' not in junk:
        assert edited(shape, junk, cuts) == junk


@given(
    st.lists(st.sampled_from([b'{"model":"smol"', b",", b"}", b"\n", b'"', b"\\", b"data: ", b"[", b"]"])),
    st.lists(st.integers(0, 300), max_size=12),
)
def test_broken_documents_split_anywhere_come_out_the_same(tokens: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(tokens)
    for shape in Shape:
        whole = edited(shape, sent, [])
        assert edited(shape, sent, cuts) == whole
        assert re.sub(b'"gpt-4o"', b'"smol"', whole) == sent
