"""The files of the page, as a browser gets them."""

import asyncio
import zipfile
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from gollamas.admin.files import page_files
from gollamas.wire.message import Answer
from gollamas.wire.message import Request as Asked
from tests.recorded import make_head

FILES = {
    "index.html": (b"/", b"<!doctype html>", b"text/html; charset=utf-8"),
    "page.css": (b"/page.css", b"body {}", b"text/css; charset=utf-8"),
    "page.js": (b"/page.js", "let ü".encode(), b"text/javascript; charset=utf-8"),
    "icon.svg": (b"/icon.svg", b"<svg/>", b"image/svg+xml"),
}
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture(params=["folder", "zip"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Traversable:
    """Give a page, and what else may lie beside it, as a folder or in a zip file."""
    others = {"page.py": b"", "page.js.orig": b"x", "notes": b"x", "deeper.html/page.js": b"x"}
    contents = {name: contents for name, (_, contents, _) in FILES.items()} | others
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "page.zip", "w") as packed:
            for name, data in contents.items():
                packed.writestr(f"gollamas/{name}", data)
        return zipfile.Path(tmp_path / "page.zip", "gollamas/")
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def ask(folder: Traversable, path: bytes, *fields: tuple[bytes, bytes]) -> Answer:
    """Ask for a file."""
    head = make_head(b"GET", path, list(fields))
    return asyncio.run(page_files(folder)[path].respond(Asked(head, b"", "127.0.0.1")))


def test_what_belongs_to_a_page_is_served_and_nothing_else(folder: Traversable) -> None:
    assert set(page_files(folder)) == {path for path, _, _ in FILES.values()}
    for path, contents, kind in FILES.values():
        answer = ask(folder, path)
        assert (answer.status, answer.body) == (200, contents)
        assert dict(answer.fields)[b"Content-Type"] == kind


@pytest.mark.parametrize("folder", ["folder"], indirect=True)
def test_each_file_is_told_to_reach_nothing_but_this_port(folder: Traversable) -> None:
    for path, _, _ in FILES.values():
        fields = dict(ask(folder, path).fields)
        assert fields[b"Content-Security-Policy"] == POLICY
        assert fields[b"X-Content-Type-Options"] == b"nosniff"
        assert fields[b"Referrer-Policy"] == b"no-referrer"
        assert fields[b"Cache-Control"] == b"no-cache"


@pytest.mark.parametrize("folder", ["folder"], indirect=True)
def test_a_file_that_a_browser_has_is_not_sent_again(folder: Path) -> None:
    tag = dict(ask(folder, b"/page.js").fields)[b"ETag"]
    assert tag.startswith(b'"')
    for known in (tag, b"W/" + tag, b'"other", ' + tag, b"*"):
        answer = ask(folder, b"/page.js", (b"If-None-Match", known))
        assert (answer.status, answer.body, dict(answer.fields)[b"ETag"]) == (304, b"", tag)
        assert dict(answer.fields)[b"Content-Security-Policy"] == POLICY
    for other in (b'"other"', b"", tag[1:-1], b'"' + tag[1:5] + b'"'):
        assert ask(folder, b"/page.js", (b"If-None-Match", other)).status == 200
    (folder / "page.js").write_bytes(b"let v")
    assert ask(folder, b"/page.js", (b"If-None-Match", tag)).status == 200
