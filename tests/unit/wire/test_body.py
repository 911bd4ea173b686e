"""JSON bodies as Go's decoder reads them, one level deep."""

import json
import time
import tracemalloc

import msgspec
import pytest

from gollamas.wire.body import (
    BadBody,
    encode,
    find,
    fold,
    in_pieces,
    kind_of,
    members_of,
    raw_text,
    text_of,
)
from gollamas.wire.scan import has_more_members, has_more_members_plainly


def texts_of(body: bytes) -> dict[str, str]:
    """Give a body's members as the bytes that they are."""
    return {key: bytes(value).decode("latin-1") for key, value in members_of(body).items()}


def refusal_of(body: bytes) -> str:
    """Give what is said against a body."""
    with pytest.raises(BadBody) as caught:
        members_of(body)
    return str(caught.value)


def raw(text: str) -> msgspec.Raw:
    """Make a member."""
    return msgspec.Raw(text.encode())


def test_members_stay_the_bytes_that_they_were() -> None:
    body = b' {"model" : "a\\u0041", "options":{ "x" : 1.50e+1 },\n"n":[1 ,2],"b":true,"z":null} '
    assert texts_of(body) == {
        "model": '"a\\u0041"',
        "options": '{ "x" : 1.50e+1 }',
        "n": "[1 ,2]",
        "b": "true",
        "z": "null",
    }
    assert encode(members_of(body)) == (
        b'{"model":"a\\u0041","options":{ "x" : 1.50e+1 },"n":[1 ,2],"b":true,"z":null}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"mod\\u0065l":"a","model":"b"}',
        b'{"model":7,"x":1,"\\u006dodel":"b"}',
    ],
)
def test_of_one_key_twice_the_last_counts(body: bytes) -> None:
    members = members_of(body)
    assert bytes(members["model"]) == b'"b"'
    assert encode(members).count(b"model") == 1


@pytest.mark.parametrize(
    ("body", "first", "second"),
    [
        (b'{"model":"a","Model":"b"}', "model", "Model"),
        (b'{"MODEL":"a","model":"b"}', "MODEL", "model"),
        (b'{"stream":true,"\\u017ftream":false}', "stream", "\u017ftream"),
        ('{"\u017ftream":true,"stream":false}'.encode(), "\u017ftream", "stream"),
        ('{"keep_alive":1,"\u212aeep_alive":2}'.encode(), "keep_alive", "\u212aeep_alive"),
        (b'{"Model":"a","MODEL":"b"}', "Model", "MODEL"),
    ],
)
def test_two_keys_that_are_one_to_go_are_refused(body: bytes, first: str, second: str) -> None:
    assert refusal_of(body) == f"the keys {first!r} and {second!r} are one to Ollama: send only one of them"


@pytest.mark.parametrize(
    "body", [b"{}", b'{"":1}', b'{"1":1,"2":2}', b'{"M":1,"N":2}', b'{"a":{"b":1,"B":2}}']
)
def test_keys_that_differ_are_no_twins(body: bytes) -> None:
    assert encode(members_of(body)) == body


@pytest.mark.parametrize(
    "behind",
    [
        b"x", b' {"model":"b"}', b"\n\n}", b"\x00", b"]", b',"model":"b"', b"\xff", b'"', b"{" * 3000,
        b"nul", b" \\ud800", b'{"\\ud800',
    ],
)  # fmt: skip
def test_what_follows_the_first_value_is_dropped(behind: bytes) -> None:
    assert encode(members_of(b'{"model":"a","b":[1,{}]}' + behind)) == b'{"model":"a","b":[1,{}]}'
    assert encode(members_of(b' \t{"model":"a"}  ' + behind)) == b'{"model":"a"}'


def test_an_empty_object_before_another_is_all_that_is_read() -> None:
    assert members_of(b'{}{"model":"a"}') == members_of(b'{} \n{"model":"a"}') == {}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (r"\ud800", "\ufffd"), (r"\uDC00", "\ufffd"), (r"a\ud800b", "a\ufffdb"),
        (r"\ud83d\ude00", "\U0001f600"), (r"\ud800\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"), (r"\\ud800", "\\ud800"), (r"\\\ud800", "\\\ufffd"),
        (r"\\\\ud800\udfff", "\\\\ud800\ufffd"), (r"\ud800\n", "\ufffd\n"),
        (r"\ud800\ud800", "\ufffd\ufffd"), (r"\udc00\ud800", "\ufffd\ufffd"),
    ],
)  # fmt: skip
def test_half_a_surrogate_pair_is_read_as_go_reads_it(given: str, read: str) -> None:
    body = f'{{"model":"{given}","s":"\\ud800"}}'.encode()
    assert text_of(members_of(body)["model"]) == read
    assert text_of(members_of(body + b' {"behind":"\\ud800"} x')["model"]) == read
    assert text_of(members_of(f'{{"model":"{given}"}}'.encode())["model"]) == read
    assert json.loads(encode(members_of(body)))["model"] == read


def test_half_a_surrogate_pair_in_a_key_is_read_too() -> None:
    assert list(members_of(b'{"a\\ud800":1}')) == ["a\ufffd"]


DEEP = 200_000  # Python 3.11 reads 997 levels, 3.14 as many as its stack holds


@pytest.mark.parametrize("start", [b"[", b'{"a":', b'{"a":['])
def test_nesting_beyond_the_decoder_is_refused(start: bytes) -> None:
    assert refusal_of(b'{"model":"a","x":' + start * DEEP)


def test_nesting_beyond_the_decoder_is_told() -> None:
    assert "nested too deeply" in refusal_of(b'{"model":"a","x":' + b"[" * DEEP + b"]" * DEEP + b"}")


def test_nesting_that_people_use_is_read() -> None:
    nested = b"[" * 500 + b"]" * 500
    assert encode(members_of(b'{"x":' + nested + b"}")) == b'{"x":' + nested + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"\r\n\t ", b"{", b'{"model": "smol", ', b'{"a', b'{"a":', b'{"a":tru', b'"abc', b"tru",
        b'{"a":"b\\',
    ],
)  # fmt: skip
def test_an_end_that_comes_too_soon_is_unexpected(body: bytes) -> None:
    assert refusal_of(body) == "unexpected EOF"


@pytest.mark.parametrize(
    ("start", "quoted"),
    [
        (b"\x1f\x8b", r"\x1f"), (b"hello", "h"), (b"<html>", "<"), (b"'a'", r"\'"), (b"\\", r"\\"),
        (b"\xef\xbb\xbf{}", "ï"), (b"\xff\xfe{\x00", "ÿ"), (b"\x00", r"\x00"), (b"\x07", r"\a"),
        (b"\x0b", r"\v"), (b"\x08", r"\b"), (b"\x0c", r"\f"), (b"\x7f", r"\x7f"), (b"\x80", r"\u0080"),
        (b"\xa0", r"\u00a0"), (b"\xad", r"\u00ad"), (b"NaN", "N"), (b"Infinity", "I"), (b"}", "}"),
        (b"]", "]"), (b",", ","), (b"+1", "+"), (b".5", "."), (b"model=a", "m"), (b"--boundary", None),
    ],
)  # fmt: skip
def test_a_first_byte_that_begins_no_value_is_named_as_go_does(start: bytes, quoted: str | None) -> None:
    text = f"invalid character '{quoted}' looking for beginning of value"
    for body in (start, b" \r\n\t" + start):
        assert (refusal_of(body) == text) is (quoted is not None)


@pytest.mark.parametrize("body", [b"[1]", b'"a"', b"7", b"-1.5", b"true", b"null", b'[{"model":"a"}]'])
def test_a_value_that_is_no_object_is_refused(body: bytes) -> None:
    assert refusal_of(body).startswith("the request body must be a JSON object: ")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN}', b'{"a":Infinity}', b'{"a":01}', b'{"a":1.}', b'{"a":+1}', b"{'a':1}", b'{"a":1,}',
        b'{"a" 1}', b"{a:1}", b'{"a":"\x01"}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":1 "b":2}',
        b'{"a":[1}', b'{"a":tRue}', b'{"\\ud800":x}', b'{"a":"b\nc"}', b'{"a":"\\ud800",}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place(body: bytes) -> None:
    text = refusal_of(body)
    assert text.startswith("the request body is not valid JSON: ")
    assert "byte" in text


def test_a_key_that_is_no_utf_8_is_refused() -> None:
    assert refusal_of(b'{"\xff":1}') == "the request body has a key that is not UTF-8"
    assert refusal_of(b'{"\xff":"\\ud800"}') == "the request body has a key that is not UTF-8"


def test_a_value_that_is_no_utf_8_is_read_as_go_reads_it() -> None:
    body = b'{"model":"a\xffb\xe9","x":"\xff"}'
    assert text_of(members_of(body)["model"]) == "a\ufffdb\ufffd"
    assert encode(members_of(body)) == body


@pytest.mark.parametrize("number", ["9" * 4301, "1e999", "-0", "1" * 100_000])
def test_a_number_of_any_size_passes_untouched(number: str) -> None:
    body = f'{{"model":"a","seed":{number}}}'.encode()
    assert encode(members_of(body)) == body


def of_members(count: int, value: bytes = b"0") -> bytes:
    """Make an object of so many members."""
    return b"{" + b",".join(b'"k%d":%b' % (n, value) for n in range(count)) + b"}"


@pytest.mark.parametrize(
    "value", [b"0", b'"a,b{[\\",\\\\"', b'{"a":[1,2,3],"b":{}}', b'"' + b"x" * 300 + b'"']
)
def test_a_thousand_members_are_read_and_no_more(value: bytes) -> None:
    for count in (999, 1000):
        assert len(members_of(of_members(count, value))) == count
    for count in (1001, 1002):
        with pytest.raises(BadBody, match="more than 1000 members"):
            members_of(of_members(count, value))


def test_the_same_key_twice_is_two_members() -> None:
    with pytest.raises(BadBody, match="more than 1000 members"):
        members_of(b"{" + b",".join([b'"k":0'] * 1001) + b"}")


def test_only_the_first_level_and_the_first_value_are_counted() -> None:
    inner = of_members(2000)
    assert len(members_of(b'{"a":%b,"b":[%b]}' % (inner, inner))) == 2
    assert len(members_of(b'{"a":1} ' + inner)) == 1


@pytest.mark.parametrize("cut", range(60, 70))
def test_members_are_counted_wherever_a_window_ends(cut: int) -> None:
    """An escaped quote, a backslash and a string's end fall on the border of two windows."""
    text = b"x" * (64 * 1024 - cut) + b'\\"' * 20 + b"\\\\" * 20
    for count in (1000, 1001):
        body = b'{"a":"%b",%b' % (text, of_members(count - 1)[1:])
        for look in (has_more_members, has_more_members_plainly):
            assert look(body, 1000) == (count > 1000)


def test_many_members_are_refused_before_they_are_built() -> None:
    body = of_members(200_000)
    tracemalloc.start()
    try:
        with pytest.raises(BadBody, match="members"):
            members_of(body)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_large_members_are_passed_without_a_copy() -> None:
    large = b'"' + b"A" * 100_000 + b'"'
    body = bytearray(b'{"model":"a", "images":[%b],"x":%b,"y":1}' % (large, large))
    members = members_of(body)
    pieces = in_pieces(members)
    assert b"".join(pieces) == encode(members)
    assert [len(piece) for piece in pieces if isinstance(piece, memoryview)] == [len(large) + 2, len(large)]
    assert in_pieces({}) == [b"{}"]
    assert b"".join(in_pieces(members_of(b'{"a":1,"b":[]}'))) == b'{"a":1,"b":[]}'


@pytest.mark.parametrize(
    ("key", "folded"),
    [
        ("model", "model"), ("MoDeL", "model"), ("\u017ftream", "stream"), ("\u212aeep", "keep"), ("É", "é"),
        ("", ""),
    ],
)  # fmt: skip
def test_letter_case_is_folded_as_in_go(key: str, folded: str) -> None:
    assert fold(key) == folded


def test_a_member_is_found_whatever_its_case() -> None:
    members = {"Model": raw("1"), "\u017ftream": raw("2"), "name": raw("3")}
    assert find(members, "model") == "Model"
    assert find(members, "stream") == "\u017ftream"
    assert find(members, "name") == "name"
    assert find(members, "other") is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('"a"', "string"), ("{}", "object"), ("[]", "array"), ("true", "bool"), ("false", "bool"),
        ("null", "null"), ("0", "number"), ("-1", "number"),
    ],
)  # fmt: skip
def test_a_members_kind_is_named_as_in_go(text: str, kind: str) -> None:
    assert kind_of(raw(text)) == kind
    assert kind_of(members_of(f'{{"x": {text}}}'.encode())["x"]) == kind


@pytest.mark.parametrize("text", ["", "smol", 'a"b', "a\\b", "é", "\u2028", "\x00", "\U0001f600", "a\nb"])
def test_a_text_put_in_is_the_text_read_out(text: str) -> None:
    assert text_of(raw_text(text)) == text
    assert text_of(members_of(json.dumps({"x": text}).encode())["x"]) == text
    assert text_of(members_of(json.dumps({"x": text}, ensure_ascii=False).encode())["x"]) == text


MIB = 1 << 20


@pytest.mark.timed
@pytest.mark.parametrize(
    ("inner", "read"),
    [
        (b"\\ud83d\\ude00" * (MIB // 12) + b"\\ud83d", b"\\ud83d\\ude00" * (MIB // 12) + b"\\ufffd"),
        (b"\\\\" * (MIB // 2) + b"\\ud83d", b"\\\\" * (MIB // 2) + b"\\ufffd"),
        (b"x" * 16 * MIB + b"\\ud83d", b"x" * 16 * MIB + b"\\ufffd"),
        (b"\\udc00" * 50_000, b"\\ufffd" * 50_000),
    ],
    ids=["pairs", "backslashes", "a picture", "halves"],
)
def test_half_a_pair_in_a_long_text_costs_little(inner: bytes, read: bytes) -> None:
    """A client that cuts a text may cut an emoji in two; others wait while that is mended."""
    began = time.process_time()
    members = members_of(b'{"model":"m","prompt":"%b"}' % inner)
    assert time.process_time() - began < 0.5
    assert bytes(members["prompt"]) == b'"%b"' % read


def test_very_many_halves_of_pairs_are_refused() -> None:
    assert "halves" in refusal_of(b'{"prompt":"' + b"\\ud83d" * 100_001 + b'"}')


def test_a_key_that_no_field_has_is_not_compared() -> None:
    long = "K" * MIB
    members = members_of(f'{{"{long}":1,"{long.lower()}":2}}'.encode())
    assert len(members) == 2
    assert find(members, "k") is None


def test_a_long_list_is_one_member() -> None:
    body = b'{"input":[%b]}' % b",".join([b"1234"] * 50_000)
    assert len(members_of(body)) == 1
    assert len(members_of(b'{"input":[%b]}' % b",".join([b'{"a":1}'] * 60_000))) == 1
