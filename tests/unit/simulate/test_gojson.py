"""JSON as Go's decoder reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.simulate import gojson


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"model": "smol", ', "unexpected EOF"),
        (b'{"model"', "unexpected EOF"),
        (b"tru", "unexpected EOF"),
        (b'"\\u12', "unexpected EOF"),
        (b"\x1f\x8b\x08", "invalid character '\\x1f' looking for beginning of value"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"{model: 1}", "invalid character 'm' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b": 2}', "invalid character '\"' after object key:value pair"),
        (b'{"a": 1,}', "invalid character '}' looking for beginning of object key string"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"nule", "invalid character 'e' in literal null (expecting 'l')"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"-a", "invalid character 'a' in numeric literal"),
        (b"[1.a]", "invalid character 'a' after decimal point in numeric literal"),
        (b"[1e]", "invalid character ']' in exponent of numeric literal"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
    ],
)
def test_faults_have_the_words_of_go(body: bytes, fault: str) -> None:
    """A faulty body is described as `encoding/json` describes it."""
    with pytest.raises(gojson.GoSyntaxError) as raised:
        gojson.decode(body)
    assert str(raised.value) == fault


@pytest.mark.parametrize("body", [b"", b" \n\t"])
def test_nothing_is_no_body(body: bytes) -> None:
    """White space alone is the end of the input."""
    with pytest.raises(gojson.NoBodyError):
        gojson.decode(body)


def test_only_the_first_value_is_read() -> None:
    """What follows the first value is nobody's business."""
    assert gojson.plain(gojson.decode(b' {"a": 1} {"a": 2} nonsense')) == {"a": 1}


def test_keys_are_folded_as_go_folds_them() -> None:
    """Case, the long s and the kelvin sign make no difference."""
    assert {gojson.fold(key) for key in ("keep_alive", "KEEP_ALIVE", "\u212aeep_alive")} == {"keep_alive"}


def test_half_a_surrogate_pair_is_replaced() -> None:
    """An unpaired surrogate is read as U+FFFD."""
    assert gojson.plain(gojson.decode(b'"a\\ud800b"')) == "a\ufffdb"


def test_a_deep_nesting_is_refused_and_not_a_crash() -> None:
    """Nesting that can't be read is a fault of the body."""
    with pytest.raises(gojson.GoSyntaxError, match="exceeded max depth"):
        gojson.decode(b"[" * 200_000)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.data(),
)
def test_every_cut_of_a_document_is_an_unexpected_end(value: object, data: st.DataObject) -> None:
    """An object that is cut off anywhere ends unexpectedly, nothing else is said of it."""
    body = json.dumps({"value": value}).encode()
    cut = data.draw(st.integers(1, len(body) - 1))
    with pytest.raises(gojson.GoSyntaxError, match=r"^unexpected EOF$"):
        gojson.decode(body[:cut])


@given(st.binary(max_size=40))
def test_no_body_is_a_crash(body: bytes) -> None:
    """Any bytes are a value, no body, or a fault in Go's words."""
    try:
        gojson.decode(body)
    except gojson.GoSyntaxError as fault:
        text = str(fault)
    except gojson.NoBodyError:
        text = "" if not body.strip() else "nothing was read"
    else:
        text = ""
    assert text in ("", "unexpected EOF") or text.startswith("invalid character '")
