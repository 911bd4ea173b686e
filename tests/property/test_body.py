"""Any JSON, and any bytes, as the reader of bodies takes them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gollamas.wire.body import BadBody, encode, find, fold, in_pieces, members_of, text_of
from gollamas.wire.scan import has_more_members, has_more_members_plainly

texts = st.text(max_size=8)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=15,
)
keys = st.one_of(
    st.sampled_from(["model", "Model", "stream", "\u017ftream", "keep_alive", "\u212aeep_alive"]), texts
)
objects = st.dictionaries(keys, values, max_size=6)
spaces = st.text(" \t\r\n", max_size=3)


@given(objects, st.booleans(), spaces)
def test_members_are_counted_as_a_decoder_counts_them(
    document: dict[str, Any], ascii_only: bool, before: str
) -> None:
    body = (before + json.dumps(document, ensure_ascii=ascii_only)).encode()
    for look in (has_more_members, has_more_members_plainly):
        assert not look(body, max(1, len(document)))
        if len(document) > 1:
            assert look(body, len(document) - 1)


@given(objects)
def test_pieces_are_the_encoded_body(document: dict[str, Any]) -> None:
    if not has_twins(document):
        members = members_of(json.dumps(document).encode())
        assert b"".join(in_pieces(members)) == encode(members)


def has_twins(document: dict[str, Any]) -> bool:
    return len({fold(key) for key in document}) < len(document)


@given(objects, st.booleans(), spaces, spaces)
def test_an_object_passes_with_its_values_or_has_twins(
    document: dict[str, Any], ascii_only: bool, before: str, behind: str
) -> None:
    body = (before + json.dumps(document, ensure_ascii=ascii_only) + behind).encode()
    try:
        members = members_of(body)
    except BadBody:
        assert has_twins(document)
        return
    assert not has_twins(document)
    assert list(members) == list(document)
    assert json.loads(encode(members)) == document
    for key, value in document.items():
        assert json.loads(bytes(members[key])) == value
        if isinstance(value, str):
            assert text_of(members[key]) == value


@given(objects.filter(lambda document: not has_twins(document)), st.binary(max_size=20))
def test_bytes_behind_an_object_change_nothing(document: dict[str, Any], behind: bytes) -> None:
    body = json.dumps(document).encode()
    assert members_of(body + behind) == members_of(body)


@given(st.lists(st.tuples(st.sampled_from(["model", "x"]), values), min_size=1, max_size=5))
def test_of_equal_keys_the_last_one_counts(pairs: list[tuple[str, Any]]) -> None:
    body = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
    assert json.loads(encode(members_of(body.encode()))) == dict(pairs)


units = st.sampled_from(
    [
        r"\ud800", r"\udbff", r"\udc00", r"\uDFFF", r"\ud83d\ude00", r"\\", r"\"", r"\n", r"\u0041", "u",
        "d800", "é", "x",
    ]
)  # fmt: skip


@given(st.lists(units, max_size=8).map("".join))
def test_halves_of_pairs_anywhere_are_read_as_go_reads_them(inner: str) -> None:
    body = f'{{"model":"{inner}"}}'.encode()
    # Python joins the halves of a pair and keeps a lone one.
    lone = "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in json.loads(f'"{inner}"'))
    assert text_of(members_of(body)["model"]) == lone
    assert json.loads(encode(members_of(body)))["model"] == lone


@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    b"{", b"}", b"[", b"]", b'"', b":", b",", b'"model"', b'"a"', b"1", b"-", b"\\",
                    b"\\ud800", b"null", b" ",
                ]
            ),
            max_size=16,
        ).map(b"".join),
    )
)  # fmt: skip
def test_any_bytes_are_read_or_refused_and_what_is_read_is_sound(body: bytes) -> None:
    try:
        members = members_of(body)
    except BadBody:
        return
    again = encode(members)
    assert members_of(again) == members
    find(members, "model")


@given(objects, st.integers(0, 200))
def test_an_object_that_is_cut_is_refused(document: dict[str, Any], at: int) -> None:
    whole = json.dumps(document).encode()
    part = whole[: at % len(whole)]
    try:
        members_of(part)
    except BadBody:
        return
    raise AssertionError("a part of an object was read")
