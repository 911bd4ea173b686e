"""How durations, sizes, switches, words and addresses to listen on are read and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gollamas.config.faults import Unusable
from gollamas.config.lists import split_list
from gollamas.config.model import Address, Expose
from gollamas.config.values import (
    Count,
    Duration,
    FilePath,
    Listen,
    OneOf,
    Size,
    Switch,
    ValueKind,
)
from gollamas.config.words import EXPOSE

DURATION = Duration(0.0, 86400.0)
SIZE = Size(0, 1024**4)
COUNT = Count(1, 10_000)
LEVEL = OneOf(("info", "warn"), {"warning": "warn"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3s", 3.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        (" 2 ", 2.0),
        ("0.25", 0.25),
        (".5s", 0.5),
        ("2.s", 2.0),
        ("1h1m1s1ms", 3661.001),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("1000000ns", 0.001),
        ("0", 0.0),
    ],
)
def test_a_duration_is_read_as_in_go(text: str, seconds: float) -> None:
    """Units add up, a plain number is seconds."""
    assert DURATION.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "3x", "-3s", "3 s", "1d", "1:30", "1e3", "0x10", "nan", "inf", "true", "25h", "\u0663s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Other units, signs, exponents, other digits and what is out of range are refused."""
    with pytest.raises(Unusable):
        DURATION.parse(text)


@given(st.one_of(st.integers(0, 86400).map(float), st.floats(0, 86400, allow_subnormal=False)))
def test_a_duration_is_shown_as_it_is_read(seconds: float) -> None:
    """Whatever is shown parses to the same seconds."""
    assert DURATION.parse(DURATION.show(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600.0, "10m"), (75.0, "1m15s"), (0.5, "500ms"), (0.0, "0s"), (3600.0, "1h"), (1.5, "1.5s")],
)
def test_a_duration_is_shown_short(seconds: float, text: str) -> None:
    """The units that are needed and no other."""
    assert DURATION.show(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * 1024**2),
        ("64 mib", 64 * 1024**2),
        ("64Mi", 64 * 1024**2),
        ("1GB", 10**9),
        ("1g", 10**9),
        ("512", 512),
        ("512B", 512),
        ("1.5KiB", 1536),
        ("2kB", 2000),
        ("1TiB", 1024**4),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    """`i` makes a unit binary, a plain number is bytes."""
    assert SIZE.parse(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1X", "1 2", "1e6", "2TiB", "0x10", "1iB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Unknown units, signs, exponents and what is out of range are refused."""
    with pytest.raises(Unusable):
        SIZE.parse(text)


@given(st.integers(0, 1024**4))
def test_a_size_is_shown_as_it_is_read(size: int) -> None:
    """Whatever is shown parses to the same bytes."""
    assert SIZE.parse(SIZE.show(size)) == size


@pytest.mark.parametrize(("text", "number"), [("1", 1), (" 0500 ", 500), ("10000", 10_000)])
def test_a_count_is_a_whole_number(text: str, number: int) -> None:
    """In digits alone; what is shown is read again."""
    assert COUNT.parse(text) == number == COUNT.parse(COUNT.show(number))


@pytest.mark.parametrize("text", ["", "0", "10001", "-1", "1.5", "1e3", "1_000", "10k", "\u0661", "9" * 5000])
def test_what_is_no_count_or_out_of_range_is_refused(text: str) -> None:
    """Signs, fractions, units and digits of other scripts, however long."""
    with pytest.raises(Unusable, match=r"whole number|out of range"):
        COUNT.parse(text)


@pytest.mark.parametrize("value", [True, False])
def test_a_switch_takes_the_forms_of_go(value: bool) -> None:
    """strconv.ParseBool's words and no others."""
    words = ["1", "t", "T", "true", "TRUE", "True"] if value else ["0", "f", "F", "false", "FALSE", "False"]
    assert all(Switch().parse(word) is value for word in words)
    assert Switch().parse(Switch().show(value)) is value


@pytest.mark.parametrize("text", ["", "yes", "on", "tRUE", "2", "off"])
def test_another_word_is_no_switch(text: str) -> None:
    """YAML 1.1's words and odd spellings are refused."""
    with pytest.raises(Unusable, match="neither true nor false"):
        Switch().parse(text)


def test_a_choice_knows_synonyms_and_the_nearest_word() -> None:
    """Case does not matter, a synonym means its word, a mistyped word is answered with the nearest."""
    assert [LEVEL.parse(text) for text in ("INFO", " warning ")] == ["info", "warn"]
    with pytest.raises(Unusable) as near:
        LEVEL.parse("inof")
    assert "Write `info`" in near.value.instead
    with pytest.raises(Unusable) as far:
        LEVEL.parse("xyz")
    assert far.value.instead == "Write one of: info, warn"
    assert EXPOSE.parse("Running") is Expose.RUNNING
    with pytest.raises(Unusable) as meant:
        OneOf(("text", "json"), meant={"logfmt": "text"}).parse("LogFmt")
    assert meant.value.instead == "Write `text`, or another of: text, json"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:11434", "localhost", 11434),
        (":11434", "", 11434),
        ("*:80", "", 80),
        ("10.0.0.1:0", "10.0.0.1", 0),
        ("[::1]:11434", "::1", 11434),
        ("[::]:65535", "::", 65535),
        (" gpu_1.lan:1 ", "gpu_1.lan", 1),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    """An empty host and `*` are every address, IPv6 stands in brackets."""
    assert Listen().parse(text) == Address(host=host, port=port)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("11434", "`localhost:11434`"),
        ("localhost", "`localhost:11434`"),
        ("[::1]", "`[::1]:11434`"),
        ("::1:11434", "`[::1]:11434`"),
        ("http://0.0.0.0:80/", "Write `0.0.0.0:80`"),
        ("http//0.0.0.0:80", "Write `0.0.0.0:80`"),
        ("http://0.0.0.0", "Write `0.0.0.0:11434`"),
        ("http://:80", "Write `:80`"),
        ("http://u:p@h/x", "Write `h:11434`"),
        ("http://[::1]/", "Write `[::1]:11434`"),
        ("a b", "Write HOST:PORT"),
        ("a/b", "Write HOST:PORT"),
        ("localhost:http", "HOST:PORT"),
        ("localhost:65536", "HOST:PORT"),
        ("localhost:", "HOST:PORT"),
        ("a b:1", "HOST:PORT"),
        ("[nonsense]:1", "HOST:PORT"),
        ("off", "`off:11434`"),
        ("", "HOST:PORT"),
    ],
)
def test_what_is_no_address_says_what_to_write(text: str, instead: str) -> None:
    """The hint is an address that would be taken."""
    with pytest.raises(Unusable) as caught:
        Listen().parse(text)
    assert instead in caught.value.instead


@pytest.mark.parametrize("text", ["off", "OFF", "false"])
def test_administration_may_be_off(text: str) -> None:
    """`off`, and YAML 1.1's reading of it, mean no address."""
    assert Listen(may_be_off=True).parse(text) is None
    assert Listen(may_be_off=True).show(None) == "off"


def test_a_list_skips_its_empty_end_only() -> None:
    """Blanks and line ends around elements are dropped, a last comma is none, two in a row are refused."""
    assert split_list(" a ,\n b,") == ["a", "b"]
    assert split_list("") == split_list(" , ".strip(" ,")) == []
    for text in ("a,,b", ",a", ",,"):
        with pytest.raises(Unusable, match="empty entry"):
            split_list(text)


def test_a_path_is_a_text() -> None:
    """Any text but an empty one."""
    assert FilePath().parse("a b.yaml") == FilePath().show("a b.yaml")
    with pytest.raises(Unusable):
        FilePath().parse(" ")


@pytest.mark.parametrize(
    "kind",
    [
        DURATION,
        SIZE,
        COUNT,
        Switch(),
        LEVEL,
        EXPOSE,
        Listen(),
        Listen(may_be_off=True),
        FilePath(),
    ],
)
def test_every_kind_describes_itself(kind: ValueKind) -> None:
    """Each has a word for help, a range for people and a schema."""
    assert kind.placeholder.isupper()
    assert kind.accepts
    assert kind.schema()
