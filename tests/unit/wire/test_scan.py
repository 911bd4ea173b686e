"""The limits of what is counted by hand, one by one."""

import string
from collections.abc import Callable
from types import ModuleType

import pytest

from gollamas.wire import fields, scan
from tests.unit.wire.scanning import by_hand

MODULES = [scan, by_hand]
LETTERS = [letter.encode() for letter in string.ascii_letters]


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("size", [62, 63, 64, 65, 1000])
def test_a_name_of_63_bytes_is_told_apart_and_a_longer_one_is_none_of_them(letter: bytes, size: int) -> None:
    names = frozenset({letter.lower() + b"x" * 62})
    table = by_hand.outlines_of(names)
    assert by_hand.may_be_among(table, letter[0], size) is (size == 63)
    assert scan.may_be_among_plainly(names, letter[0], size) is (size == 63)
    assert not by_hand.may_be_among(table, letter[0] ^ 1, size)


def test_a_name_passes_unseen_unless_one_that_matters_begins_so_and_is_so_long() -> None:
    known = {spelt: name for spelt, name in fields._KNOWN.items() if spelt.islower()}
    for letter in LETTERS:
        for size in range(66):
            like = [
                name for spelt, name in known.items() if (len(spelt), spelt[:1]) == (size, letter.lower())
            ]
            passes = all(name.for_servers and not name.for_us for name in like)
            assert fields.passes_to_server(letter[0], size) is passes, (letter, size)
            passes = all(name.for_clients and not name.for_us for name in like)
            assert fields.passes_to_client(letter[0], size) is passes, (letter, size)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("size", "is_usual"), [(0, False), (1, True), (254, True), (255, True), (256, False), (257, False)]
)
def test_a_usual_target_has_at_most_255_bytes(module: ModuleType, size: int, is_usual: bool) -> None:
    assert module.is_usual_target((b"/" + b"a" * 300)[:size]) is is_usual


@pytest.mark.parametrize("module", MODULES)
def test_each_byte_is_usual_in_a_target_and_in_a_host_or_not(module: ModuleType) -> None:
    for code in range(256):
        in_host = chr(code) in string.ascii_letters + string.digits + "-."
        assert module.is_usual_host(b"a%ca" % code) is in_host
        assert module.is_usual_target(b"/a%ca" % code) is (in_host or chr(code) in "/_~")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"", -1), (b"0", 0), (b"9", 9), (b"/", -1), (b":", -1), (b"1/", -1), (b"1:", -1), (b"007", 7),
        (b"9" * 17, 10**17 - 1), (b"9" * 18, 10**18 - 1), (b"9" * 19, -1), (b"+1", -1), (b" 1", -1),
    ],
)  # fmt: skip
def test_eighteen_digits_are_a_number_and_nineteen_are_not(
    module: ModuleType, value: bytes, number: int
) -> None:
    assert module.number_in(value) == number


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("data", "size", "found"),
    [
        (b"a:b\r\n", 5, (1, 5)), (b"a:b\r\n", 4, (1, 0)), (b"ab\r\n", 4, (2, 4)), (b"\r\n", 2, (0, 2)),
        (b"a:b\rx", 5, (1, 0)), (b"ab", 2, (2, 0)), (b"", 0, (0, 0)), (b"a:bc\r\n", 6, (1, 6)),
        (b"a:bc\r\n", 5, (1, 0)), (b"a:b\rc\r\n", 7, (1, 7)), (b"a:bc\rd\r\n", 8, (1, 8)),
        (b"a:b\nd\r\n", 7, (1, 7)), (b"a:bc\nd\r\n", 8, (1, 8)), (b"a\rb:\r\n", 6, (1, 6)),
        (b"a:\n\r\n", 5, (1, 5)),
    ],
)  # fmt: skip
def test_a_line_ends_by_its_line_end(
    module: ModuleType, data: bytes, size: int, found: tuple[int, int]
) -> None:
    if data.endswith(b"\n") or module is by_hand:
        assert module.line_at(data, 0, size) == found


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("data", "found"),
    [(b"GET / x", (3, 5)), (b"GET", (3, 3)), (b"GET /", (3, 5)), (b" \t", (0, 1)), (b"", (0, 0))],
)
def test_blanks_are_found_in_their_order(module: ModuleType, data: bytes, found: tuple[int, int]) -> None:
    assert module.blanks_in(data, len(data)) == found


@pytest.mark.parametrize(
    ("body", "has_more"), [(b'{"a":[1,2],"b":1}', False), (b'{"a":1,"b":2,"c":3}', True), (b'{"a":"', False)]
)
def test_members_are_counted_at_the_first_level(body: bytes, has_more: bool) -> None:
    assert by_hand.has_more_members(body, 2) is has_more
    assert scan.has_more_members_plainly(body, 2) is has_more


@pytest.mark.parametrize("mend", [by_hand.with_whole_pairs, scan.with_whole_pairs_plainly])
def test_a_half_of_a_surrogate_pair_alone_is_mended(mend: Callable[[bytes, int], bytes | None]) -> None:
    assert mend(rb"\ud83d\ude00 \\ud83d \u0041", 0) == rb"\ud83d\ude00 \\ud83d \u0041"
    assert mend(rb"\ud83d \ude00", 2) == rb"\ufffd \ufffd"
    assert mend(rb"\ud83d \ude00", 1) is None


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 257, 258, 300, 64 * 1024 - 8, 64 * 1024, 70_000])
@pytest.mark.parametrize("fill", [b"a", b"{", b",", b'\\"', b"\\\\", b"x" * 255 + b"\\\\"])
def test_members_are_counted_whatever_stands_in_strings(module: ModuleType, length: int, fill: bytes) -> None:
    """Short strings are looped over and long ones searched, a window at a time."""
    text = b'"' + fill * (length // len(fill)) + b'"'
    for inner in (text, b"[%b,%b]" % (text, text), b'{"a":%b,"b":%b}' % (text, text)):
        body = b'{"a":%b,"b":%b,"c":0},{"d":0,"e":0}' % (inner, text)
        assert module.has_more_members(body, 2)
        assert not module.has_more_members(body, 3)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("body", [b"", b"{", b'{"a', b'{"a\\', b'{"a":1', b"{}", b"[1,2,3"])
def test_a_body_that_is_cut_has_no_more_members_than_were_seen(module: ModuleType, body: bytes) -> None:
    assert not module.has_more_members(body, 3)


@pytest.mark.parametrize("look", [by_hand.has_underscore, scan.has_underscore, scan.has_underscore_plainly])
@pytest.mark.parametrize(
    ("data", "is_there"),
    [
        (b"", False),
        (b"m_c", True),
        (b'{"num_ctx":1}', True),
        (b'{"num_predict":1}', False),
        (b"_c", False),
        (b"m_", False),
        (b"m__c", False),
        (b"a\\b", True),
        (b"m_d m_c", True),
    ],
)
def test_an_underscore_counts_between_two_bytes_only(
    look: Callable[[bytes, frozenset[int]], bool], data: bytes, is_there: bool
) -> None:
    assert look(data, frozenset({ord("m") * 256 + ord("c")})) is is_there
