"""What is counted by hand and what is said plainly are one, on any bytes."""

import mmap

from hypothesis import example, given
from hypothesis import strategies as st

from gollamas.wire import scan
from tests.unit.wire.scanning import by_hand


def pieces(*some: bytes, most: int = 20) -> st.SearchStrategy[bytes]:
    """Draw bytes that hold what a scanner looks for, beside any bytes at all."""
    return st.lists(st.one_of(st.sampled_from(some), st.binary(max_size=3)), max_size=most).map(b"".join)


LINES = pieces(b"a", b":", b"\r", b"\n", b"\r\n", b" ", b"GET /x HTTP/1.1\r\n")
NAMES = frozenset({b"host", b"te", b"x-request-id", b"via", b"a" * 63})


@given(LINES, st.integers(0, 80), st.integers(0, 80))
@example(b"a:b\r\n", 0, 4)
@example(b"\r\n", 0, 2)
@example(b"a\rb:\r\n", 0, 7)
def test_lines_end_where_they_end(data: bytes, start: int, size: int) -> None:
    size = min(size, len(data))
    start = min(start, size)
    found = by_hand.line_at(data, start, size)
    assert found == scan.line_at_plainly(data, start, size) == scan.line_at(data, start, size)
    # Once more, by a reader that knows neither.
    line, line_end, _ = data[start:size].partition(b"\r\n")
    name = line.split(b":")[0].split(b"\r")[0]
    if not line_end:  # then the last byte may be a CR, which ends a name too
        name = name.removesuffix(b"\r")
    assert found == (start + len(name), start + len(line) + 2 if line_end else 0)


@given(pieces(b" ", b"\t", b"x", b"\x0b", b"\r"), st.integers(0, 40), st.integers(0, 40))
def test_a_value_begins_behind_its_blanks(data: bytes, start: int, end: int) -> None:
    end = min(end, len(data))
    found = by_hand.value_in(data, start, end)
    assert found == scan.value_in_plainly(data, start, end) == scan.value_in(data, start, end)


@given(pieces(b" ", b"\x20\x20", b"\x1f", b"\x21", b"\x00", b"GET", b"/"), st.integers(0, 40))
def test_the_first_two_blanks_are_found(data: bytes, size: int) -> None:
    size = min(size, len(data))
    found = by_hand.blanks_in(data, size)
    assert found == scan.blanks_in_plainly(data, size) == scan.blanks_in(data, size)
    places = [at for at in range(size) if data[at] <= 0x20]
    assert found == tuple((*places, size, size)[:2])


@given(
    st.one_of(st.from_regex(rb"/[a-zA-Z0-9./_~-]{0,300}[^/]?"), pieces(b"/", b"a", b"?", b"%41", b".", b"\n"))
)
@example(b"/" + b"a" * 254)
@example(b"/" + b"a" * 255)
@example(b"/a\n")
@example(b"")
def test_a_target_is_usual_or_not(target: bytes) -> None:
    found = by_hand.is_usual_target(target)
    assert found is scan.is_usual_target_plainly(target) is scan.is_usual_target(target)


@given(
    st.one_of(
        st.from_regex(rb"[a-zA-Z0-9.-]*(:[0-9]{0,6})?", fullmatch=True),
        pieces(b"a", b".", b"-", b":", b"80", b"65535", b"65536", b"_", b"[::1]", b"\n"),
    )
)
@example(b"a:65535")
@example(b"a:65536")
@example(b"a:00000")
@example(b"a:")
@example(b"a:80\n")
@example(b":80")
@example(b"a_b")
def test_a_host_is_usual_or_not(host: bytes) -> None:
    found = by_hand.is_usual_host(host)
    assert found is scan.is_usual_host_plainly(host) is scan.is_usual_host(host)


@given(
    st.one_of(st.integers(0, 10**20).map(lambda n: b"%d" % n), pieces(b"0", b"9", b"/", b":", b"-", b"\xb2"))
)
@example(b"9" * 18)
@example(b"9" * 19)
@example(b"0" * 18)
@example(b"")
def test_digits_are_a_number_or_none(value: bytes) -> None:
    found = by_hand.number_in(value)
    assert found == scan.number_in_plainly(value) == scan.number_in(value)
    assert found == (int(value) if len(value) <= 18 and value.isdigit() else -1)


@given(st.frozensets(st.binary(min_size=1, max_size=63)), st.binary(min_size=1, max_size=70))
def test_a_name_may_be_among_those_of_its_outline(names: frozenset[bytes], written: bytes) -> None:
    table = scan.outlines_of(names)
    for name in (written, *names):
        found = by_hand.may_be_among(table, name[0], len(name))
        assert found is scan.may_be_among_plainly(names, name[0], len(name))
        assert found or name not in names


BODIES = pieces(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b'\\"', b'"a":1,', b'"a,b\\",{"', most=40)


@given(BODIES, st.integers(1, 4))
@example(b'{"a":"\\', 1)
@example(b'{"a":"x,\\"}', 1)
@example(b"],{,", 1)
def test_members_are_counted_in_any_bytes(body: bytes, most: int) -> None:
    found = by_hand.has_more_members(body, most)
    assert found is scan.has_more_members_plainly(body, most) is scan.has_more_members(body, most)
    assert found is by_hand.has_more_members(bytearray(body), most)


@given(BODIES, BODIES, st.integers(0, 8), st.integers(250, 262), st.integers(1, 3))
def test_members_are_counted_over_long_strings_and_large_bodies(
    start: bytes, end: bytes, near: int, length: int, most: int
) -> None:
    """What is searched behind 256 bytes of a string, and what stands where one window ends and one begins."""
    text = b'"' + b"x" * length + end
    body = b"{" + start + b" " * (64 * 1024 - 4 - near) + text + text
    space = mmap.mmap(-1, len(body))
    space[:] = body
    found = by_hand.has_more_members(space, most)
    assert found is scan.has_more_members_plainly(space, most)
    space.close()


@given(pieces(b"\\", b"\\u", b"d8", b"DC00", b"\\ud83d", b"\\uDE00", b"\\ude", b"u"))
def test_halves_of_surrogate_pairs_are_found_as_a_pattern_finds_them(text: bytes) -> None:
    for most in (0, 1, 1000):
        found = by_hand.with_whole_pairs(text, most)
        assert found == scan.with_whole_pairs_plainly(text, most) == scan.with_whole_pairs(text, most)


AROUND = frozenset({ord("m") * 256 + ord("c"), ord("n") * 256 + ord("g")})


@given(pieces(b"_", b"num_ctx", b"main_gpu", b"m_", b"_c", b"n", b"g", b"\\", b"top_p"))
@example(b"_c")
@example(b"m_")
@example(b"m__c")
def test_an_underscore_between_two_bytes_is_found(data: bytes) -> None:
    found = by_hand.has_underscore(data, AROUND)
    assert found is scan.has_underscore_plainly(data, AROUND) is scan.has_underscore(data, AROUND)
    assert found is (b"m_c" in data or b"n_g" in data or b"\\" in data)
