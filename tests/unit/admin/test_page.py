"""The files of the admin port's page: small, whole, and without what a hostile name could use."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

import gollamas.admin

PAGE: Final = Path(gollamas.admin.__file__).parent / "page"
FILES: Final = sorted(path.name for path in PAGE.iterdir())
SCRIPTS: Final = [name for name in FILES if name.endswith(".js")]

# What makes elements, code or requests out of text. The one address that is no request names SVG elements.
MAKES_CODE: Final = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|DOMParser|srcdoc|cssText"
    r"|\beval\b|\bFunction\(|setAttribute\(\s*\"(?:style|on)"
)
OTHER_HOST: Final = re.compile(r"(?:https?|wss?):|[\"'(]//")
SVG_NAMESPACE: Final = "http://www.w3.org/2000/svg"


class Elements(HTMLParser):
    """The elements of a document, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def text_of(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def document() -> list[tuple[str, dict[str, str | None]]]:
    return Elements(text_of("index.html")).elements


def test_all_of_the_page_is_smaller_than_80_kib() -> None:
    assert {"index.html", "page.css", "page.js", "icon.svg"} <= set(FILES)
    assert sum((PAGE / name).stat().st_size for name in FILES) < 80 * 1024


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_made_of_text_and_nothing_comes_from_another_host(name: str) -> None:
    text = text_of(name).replace(SVG_NAMESPACE, "")
    assert MAKES_CODE.findall(text) == []
    assert OTHER_HOST.findall(text) == []


def test_the_document_has_no_inline_script_and_no_inline_style() -> None:
    for tag, attributes in document():
        assert tag != "style", attributes
        assert tag != "script" or attributes["src"], attributes
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_what_the_document_and_the_scripts_name_is_there() -> None:
    """A script imports only files that are served, and finds only ids that the document has."""
    ids = {attributes["id"] for _, attributes in document() if "id" in attributes}
    named = {
        attributes[key]
        for tag, attributes in document()
        for key in ("src", "href")
        if tag != "a" and key in attributes
    }
    made = {f"{table}-filter" for table in ("servers", "models", "requests")}
    for name in SCRIPTS:
        named |= set(re.findall(r'from "\./([^"]+)"', text_of(name)))
        assert set(re.findall(r'byId\("([^"]+)"\)', text_of(name))) <= ids, name
    assert named == set(FILES) - {"index.html"}
    assert made <= ids


def test_no_id_is_given_twice_and_labels_name_one_that_is_there() -> None:
    elements = document()
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for key in ("aria-labelledby", "aria-describedby", "list"):
            assert attributes.get(key) in {*ids, None}


def test_without_javascript_the_document_says_where_the_same_is() -> None:
    (said,) = re.findall(r"<noscript>(.*?)</noscript>", text_of("index.html"), re.DOTALL)
    assert 'href="state"' in said
    assert "gollamas status" in said
