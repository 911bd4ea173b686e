"""Faults: what they say, and what they must not."""

import pytest

from gollamas.config.faults import Fault, Faults, Findings, nearest, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h/x", "http://***@h/x"),
        ("c=http://u:p@h", "c=http://***@h"),
        ("`c=u:p@h` has", "`c=***@h` has"),
        ("`u:p q@h` and `v@i`", "`***@h` and `***@i`"),
        ("http://u:p@q@h", "http://***@h"),
        ("write `@` as `%40`", "write `@` as `%40`"),
        ("http://h:1/x", "http://h:1/x"),
        ("`http://u:p`q@h:x` has", "`http://***@h:x` has"),
        ("the file a@b", "the file ***@b"),
        ("a\nb\x1b[1m\u00fc", "a\\nb\\x1b[1m\u00fc"),
    ],
)
def test_user_info_is_hidden_anywhere(text: str, shown: str) -> None:
    """Up to the last `@` of a word or of what stands in quotes; control characters are spelled out."""
    assert without_secrets(text) == shown


def test_an_at_sign_in_a_known_name_is_shown() -> None:
    """Where it was said to be a name, quoted or as a word; what is beside it stays hidden."""
    text = "`x@y` stands at c@d:1, (not `v@w`): http://u:p@h."
    assert without_secrets(text, ("x@y", "c@d:1")) == ("`x@y` stands at c@d:1, (not `***@w`): http://***@h.")
    assert without_secrets("`a\n@b`", ("a\n@b",)) == "`a\\n@b`"


def test_the_place_of_a_fault_is_no_secret() -> None:
    """A file's path may have an `@` in it."""
    assert str(Fault("/me@corp/g.yaml:1", "b@c", "D")) == "/me@corp/g.yaml:1: ***@c. D."


def test_what_was_lost_is_remembered_by_option_and_name() -> None:
    """Without a name it may be any of the option's entries."""
    findings = Findings()
    findings.lose("servers", "a")
    findings.lose("models")
    assert findings.has_lost("servers", "a")
    assert findings.has_lost("servers")
    assert not findings.has_lost("servers", "b")
    assert findings.has_lost("models", "b")
    assert not findings.has_lost("aliases")


def test_a_fault_is_one_sentence_with_its_place() -> None:
    """Place, what is wrong, what to write instead."""
    assert str(Fault("--a", "b is c", "Write d")) == "--a: b is c. Write d."


def test_faults_are_raised_together() -> None:
    """With the warnings that were found on the way; the same fault once; none is no exception."""
    findings = Findings()
    findings.raise_faults()
    findings.warn("x", "http://u:p@h")
    findings.fault("--a", "b", "C")
    findings.fault("--a", "b", "C")
    findings.fault("--b", "b", "C")
    with pytest.raises(Faults, match=r"--a: b\. C\.\n--b: b\. C\.") as caught:
        findings.raise_faults()
    assert caught.value.warnings == ("x: http://***@h",)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("proxi", "proxy"),
        ("PROXYS", "proxys"),
        ("modles", "models"),
        ("xyz", None),
        ("", None),
        ("mode", "models"),
        ("pods", None),
    ],
)
def test_the_nearest_name_has_the_fewest_edits(word: str, name: str | None) -> None:
    """Among those that are like it at all; case does not matter."""
    assert nearest(word, ("proxies", "proxy", "proxys", "models")) == name
