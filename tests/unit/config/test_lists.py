"""Several elements in one text: what separates them, which quotes are dropped, what a fault says of one."""

import pytest

from gollamas.config.faults import Unusable
from gollamas.config.lists import called, split_list, unquoted


@pytest.mark.parametrize(
    "text", ["a b", " a b ", "'a b'", '"a b"', " 'a b' ", "\"'a b'\"", "''a b", "' a b '", "\ta b\n"]
)
def test_blanks_and_quotes_around_a_text_are_dropped_as_ollama_does(text: str) -> None:
    """Any number of either quote at each end, paired or not."""
    assert unquoted(text) == "a b"


@pytest.mark.parametrize("text", ["", " ", "''", '""', "' '", "'", "\"'"])
def test_nothing_in_quotes_is_nothing(text: str) -> None:
    """As in an env file of Docker, which keeps the quotes of an empty value."""
    assert unquoted(text) == ""
    assert split_list(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "a,b",
        " a , b ",
        "a,b,",
        "a,b\n",
        "a\nb",
        "a\r\nb\r\n",
        "a,\nb,\n",
        "a\n,b",
        "a\n\n \nb",
        "\n  a\n  b\n",
        "'a','b'",
        "'a,b'",
        "\"a\", 'b'",
        "'a'\n\"b\"",
        "\"'a',\n'b',\n\"",
    ],
)
def test_commas_and_line_ends_separate(text: str) -> None:
    """One of each together is one separator; an empty last element is passed over."""
    assert split_list(text) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a,,b", "after `a`"),
        ("a,\n,b", "after `a`"),
        ("x,m=http://u:hunter2@h,,b", "after `m`"),
        ("http://u:hunter2@h,'',b", "after `http://***@h`"),
        (",a", "at its beginning"),
        (",,", "at its beginning"),
    ],
)
def test_an_empty_entry_is_told_by_its_neighbour(text: str, where: str) -> None:
    """By its name, never by its password."""
    with pytest.raises(Unusable, match="empty entry") as caught:
        split_list(text)
    assert where in caught.value.what
    assert "hunter2" not in caught.value.what


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a=http://x b=http://y", "a"),
        ("a=http://x\tb=http://y", "a"),
        ("a=http://x http://y", "a"),
        ("http://x http://y", "http://x"),
        ("http://x   c=gpu-1", "http://x"),
        ("m=gpu-1 n=gpu-2", "m"),
        ("http://u:hunter2@x http://u:hunter2@y", "http://***@x"),
        ("a=http://x;b=http://y", "a"),
        ("a=http://x; b=http://y", "a"),
        ("http://x/;http://y/", "http://x/"),
        ("m=gpu-1;n=gpu-2", "m"),
        ("h:1;h:2", "h:1"),
        ("m=gpu-1;", "m"),
        ("c=http://u:hunter2@x;d=http://u:hunter2@y", "c"),
        ("ok=http://o,m=gpu-1;n=gpu-2", "m"),
    ],
)
def test_blanks_and_semicolons_between_entries_are_told_to_be_commas(text: str, first: str) -> None:
    """The fault names the entry that is first of the two, and no password."""
    with pytest.raises(Unusable) as caught:
        split_list(text)
    assert f"`{first}`" in caught.value.what
    assert caught.value.instead.startswith("Put commas between the entries")
    assert "hunter2" not in caught.value.what


@pytest.mark.parametrize(
    "element",
    [
        "a = http://x",
        "c=http://u:a;b=c@h",
        "c=http://u:a;b@h:1/x",
        "a b=http://x",
        "x=a b",
        "m: http://x",
        "- http://x",
        "m=http;//h",
        "c=http://h/a,",
    ],
)
def test_what_is_one_entry_is_left_alone(element: str) -> None:
    """Blanks around `=`, a `;` in user info, a blank in a name (which is told as one)."""
    assert split_list(element) == [element.rstrip(",")]


@pytest.mark.parametrize(
    "text",
    ["c=http://u:hunter,2@h", "http://u:hun,ter,2@h:1/x", "a=http://a,c=https://u:hunter2,@h,d=http://d"],
)
def test_a_comma_in_a_password_is_told_once_and_quotes_no_part_of_it(text: str) -> None:
    """Each part would otherwise be an entry with a fault of its own."""
    with pytest.raises(Unusable) as caught:
        split_list(text)
    assert (caught.value.what, caught.value.instead) == (
        "user info has a comma in it, which separates entries",
        "Write it as `%2C`",
    )


@pytest.mark.parametrize(
    "text", ["a=http://h:1,b=http://u:p@g", "http://h:11434 , u:p@h:1", "http://a,b@h:1"]
)
def test_user_info_behind_a_comma_is_no_password_with_one(text: str) -> None:
    """What stands before the comma has a port, or none."""
    assert len(split_list(text)) == 2


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("m=http://u:p@h", "m"),
        (" m = h", "m"),
        ("http://u:p=q@h", "http://***@h"),
        ("http://u:p", "http://u:***"),
        ("gpu-1", "gpu-1"),
    ],
)
def test_an_element_is_called_by_its_name_or_its_text(element: str, name: str) -> None:
    """Without what may be secret."""
    assert called(element) == name
