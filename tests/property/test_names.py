"""Names in any spelling."""

from hypothesis import given
from hypothesis import strategies as st

from gollamas.names import key_of, parse

first = st.sampled_from("abcXYZ019_")
models = st.builds(lambda a, b: a + b, first, st.text("abXY01_-.", max_size=8))
spaces = st.builds(lambda a, b: a + b, first, st.text("abXY01_-", max_size=8))
hosts = st.builds(lambda a, b: a + b, first, st.text("abXY01_-.:", max_size=8))
tags = models.filter(lambda tag: tag.lower() != "local")


@st.composite
def names(draw: st.DrawFn) -> tuple[str, tuple[str, str, str, str]]:
    """Draw a name and its four parts."""
    host, space, model, tag = "registry.ollama.ai", "library", draw(models), "latest"
    text = model
    if draw(st.booleans()):
        space = draw(spaces)
        text = f"{space}/{model}"
        if draw(st.booleans()):
            host = draw(hosts)
            text = f"{host}/{text}"
    if draw(st.booleans()):
        tag = draw(tags)
        text += f":{tag}"
    return text, (host, space, model, tag)


@given(names())
def test_a_name_of_sound_parts_has_these_parts(drawn: tuple[str, tuple[str, str, str, str]]) -> None:
    text, parts = drawn
    name = parse(text)
    assert name == parts


@given(names(), st.sampled_from(["", " ", "\n"]), st.sampled_from(["", ":local", ":LOCAL"]), st.booleans())
def test_every_spelling_of_a_name_has_one_key(
    drawn: tuple[str, tuple[str, str, str, str]], blank: str, suffix: str, upper: bool
) -> None:
    text, parts = drawn
    name = parse(text)
    assert name is not None
    spelled = blank + (text.upper() if upper else text.lower()) + suffix + blank
    assert key_of(spelled) == name.key == "{}/{}/{}:{}".format(*parts).lower()
    assert key_of(name.shortest) == key_of(name.full) == key_of(f"https://{name.full}") == name.key


@given(st.text(max_size=20))
def test_any_text_is_a_name_of_plain_characters_or_none(text: str) -> None:
    name = parse(text)
    if name is not None:
        assert name.full.isascii()
        assert name.full.isprintable()
        assert parse(name.full) == name
        assert not {" ", '"', "'", "\\", "<", "%"} & set(name.full)
