"""What a policy fills in changes nothing else of a body: the rest stays byte for byte, in its order."""

import json
import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gollamas.api.inference import prepare, prepare_in_pieces
from gollamas.fleet.policy import Fill
from gollamas.wire.body import fold
from tests.unit.api.test_inference import named_by

PATHS = ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings"]

spaces = st.text(" \t\r\n", max_size=2)
# Each as it stands in a body: escapes, halves of surrogate pairs, numbers that no float holds.
halves = st.sampled_from(["\\ud800", "\\udfff", "\\uDc00\\uD83d"])
characters = st.one_of(
    st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"]), max_size=4),
    st.sampled_from(
        ['\\"', "\\\\", "\\/", "\\n", "\\u00e9", "\\ud83d\\ude00", "\\u0000", "num_ctx", "{", "]"]
    ),
)
strings = st.lists(characters, max_size=4).map(lambda parts: f'"{"".join(parts)}"')
numbers = st.sampled_from(
    ["0", "-0.0", "1e400", "1E+2", "123456789012345678901234567890.10", "-9223372036854775809", "4096"]
)
atoms = st.one_of(st.sampled_from(["null", "true", "false"]), numbers, strings)


def grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write arrays and objects, with any space."""
    return st.one_of(
        st.tuples(spaces, st.lists(inner, max_size=3)).map(lambda said: f"[{said[0]}{','.join(said[1])}]"),
        st.lists(st.tuples(strings, spaces, inner), max_size=3).map(
            lambda members: "{" + ",".join(f"{key}:{space}{value}" for key, space, value in members) + "}"
        ),
    )


raws = st.recursive(atoms, grouped, max_leaves=8)
keys = st.one_of(
    st.sampled_from(['"model2"', '"num_ctx"', '"n\\u0075m_ctx"', '"NUM_CTX"', '"seed"', '"num_gpu"', '""']),
    strings,
)
Said = list[tuple[str, str]]  # keys and values, as written
members = st.lists(st.tuples(keys, raws), max_size=6)
fills = st.builds(
    Fill,
    st.sampled_from([None, msgspec.Raw(b"-1"), msgspec.Raw(b'"1500000000ns"')]),
    st.sampled_from([None, 4096]),
    forces_keep_alive=st.booleans(),
    forces_num_ctx=st.booleans(),
)


def written(said: Said) -> bytes:
    """Write an object."""
    return ("{" + ", ".join(f"{key} : {value}" for key, value in said) + "}").encode()


def pairs_of(said: Said) -> dict[str, bytes]:
    """Give the members as a decoder has them: the last of one name counts, at the first one's place."""
    return {json.loads(key, strict=False): value.encode() for key, value in said}


def raw_members(body: bytes) -> dict[str, bytes]:
    """Read an object, its values as they stand."""
    return {
        key: bytes(value) for key, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()
    }


@given(st.sampled_from(PATHS), members, st.one_of(st.none(), st.just("null"), members), fills)
def test_all_else_stays_byte_for_byte_and_in_its_order(
    path: str, others: Said, options: Said | str | None, fill: Fill
) -> None:
    own = ("model", "options", "keep_alive", "stream", "shift")
    others = [pair for pair in others if fold(json.loads(pair[0], strict=False)) not in own]
    folded = [fold(key) for key in pairs_of(others)]
    if len(set(folded)) < len(folded):
        return  # two that are one to Ollama: it is refused
    said = [*others, ('"model"', '"m"')]
    if isinstance(options, list):
        said.insert(len(others) // 2, ('"options"', written(options).decode()))
    elif options is not None:
        said.append(('"options"', options))
    body = written(said)
    got = prepare(named_by(body, path), "m", fill)
    assert b"".join(prepare_in_pieces(named_by(body, path), "m", fill)) == got
    before, after = pairs_of(said), raw_members(got)
    assert after.pop("keep_alive", None) == (None if fill.keep_alive is None else bytes(fill.keep_alive))
    made = after.get("options")
    if "options" not in before and made is not None:
        assert after.pop("options") == b'{"num_ctx":4096}'
    assert list(after) == list(before)
    assert {key: value for key, value in after.items() if key != "options"} == {
        key: value for key, value in before.items() if key != "options"
    }
    if isinstance(options, list) and made is not None:
        check_options(options, made, fill)


def check_options(options: Said, made: bytes, fill: Fill) -> None:
    """See what became of `options`."""
    old = pairs_of(options)
    is_filled = fill.num_ctx is not None and (fill.forces_num_ctx or old.get("num_ctx", b"null") == b"null")
    if not is_filled:
        assert made == written(options)
        return
    new = raw_members(made)
    assert list(new) == list({**old, "num_ctx": b""})
    assert new == {**old, "num_ctx": b"4096"}


@given(st.sampled_from(PATHS), st.lists(halves, min_size=1, max_size=3), st.booleans())
def test_halves_of_surrogate_pairs_become_what_go_makes_of_them(
    path: str, broken: list[str], is_inside: bool
) -> None:
    """Wherever they stand, the context is filled in."""
    text = "-".join(broken)
    options = f'{{"stop":"a{text}b", "seed" : 1e400}}' if is_inside else '{"stop":"ab", "seed" : 1e400}'
    body = f'{{"model":"m", "x{text}":"{text}","options":{options}}}'.encode()
    got = raw_members(
        prepare(named_by(body, path), "m", Fill(None, 4096, forces_keep_alive=False, forces_num_ctx=True))
    )
    inner = raw_members(got["options"])
    assert (inner["num_ctx"], inner["seed"]) == (b"4096", b"1e400")
    marks = re.sub(r"\\u[0-9a-fA-F]{4}", "\ufffd", text)
    assert list(got) == ["model", "x" + marks, "options"]
    assert json.loads(inner["stop"]) == ("a" + marks + "b" if is_inside else "ab")
