"""The walks of the design lead through code that is there: each file and each name in them is looked up."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final

import pytest

from tests.meta.building import PACKAGE
from tests.meta.documents import ROOT, text_of

_PAGE: Final = "docs/design.md"
_WALKS: Final = (
    "A request's body, from socket to socket",
    "A piece of an answer, back to the client",
    "A retry",
    "A load",
    "A policy",
    "A model that is kept",
    "A model is pulled",
    "A model is to be on all of its servers",
    "A blob is uploaded",
    "A configuration",
    "An event",
)
_LEAST_NAMES: Final = 6
_FILE: Final = re.compile(r"[\w/]+\.py")
_QUOTED: Final = re.compile(r"`([^`]+)`")


def walks_of(page: str) -> dict[str, list[str]]:
    """Find what stands below each heading of the third level: its steps, one a line."""
    walks = re.findall(r"^### (.+)\n((?:(?!#).*\n)*)", page, re.MULTILINE)
    return {heading: text.splitlines() for heading, text in walks}


def names_in(step: str) -> Iterator[tuple[str, str]]:
    """Yield each file of a step with no name, and each name with the file that stands before it."""
    file = ""
    for word in _QUOTED.findall(step):
        if _FILE.fullmatch(word):
            file = word
            yield file, ""
        else:
            yield file, word


def faults_of(step: str) -> list[str]:
    """Say which files are not there, and which names are not defined where the step says."""
    return [f"{file}: {name}" for file, name in names_in(step) if not is_defined(file, name)]


def is_defined(file: str, name: str) -> bool:
    """Whether a file of the package defines a name, or a class of its own that has it as a member."""
    if not _FILE.fullmatch(file) or not (PACKAGE / file).is_file():
        return False
    owner, dot, member = name.partition(".")
    if not owner:
        return True
    found = _defined_in(_parsed(file).body).get(owner)
    if not dot:
        return found is not None
    return isinstance(found, ast.ClassDef) and member in _members_of(file, found)


@cache
def _parsed(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def _defined_in(body: Iterable[ast.stmt]) -> Mapping[str, ast.stmt]:
    """Find what is defined at one level; what is imported is not."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=targets):
                found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
    return found


def _members_of(file: str, owner: ast.ClassDef) -> set[str]:
    """List what a class defines or sets on itself, and what it inherits from classes of ours."""
    members = {*_defined_in(owner.body), *_set_on_self(owner)}
    for base in owner.bases:
        name = ast.unparse(base).partition("[")[0]
        home = _imported(file).get(name, file)
        found = _defined_in(_parsed(home).body).get(name)
        if isinstance(found, ast.ClassDef):
            members |= _members_of(home, found)
    return members


def _set_on_self(owner: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(owner):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def _imported(file: str) -> dict[str, str]:
    """Find the files of the package that a file imports names from, by name."""
    return {
        alias.name: path
        for node in ast.walk(_parsed(file))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gollamas.")
        for alias in node.names
        if (PACKAGE / (path := f"{(node.module or '').partition('.')[2].replace('.', '/')}.py")).is_file()
    }


def test_the_page_has_its_walks() -> None:
    """What goes through the code is followed, in this order."""
    assert tuple(walks_of(text_of(_PAGE))) == _WALKS


@pytest.mark.parametrize("walk", _WALKS)
def test_every_name_of_a_walk_is_defined_where_it_says(walk: str) -> None:
    """No step names what was renamed or has moved, and no walk does without names."""
    steps = walks_of(text_of(_PAGE))[walk]
    assert [fault for step in steps for fault in faults_of(step)] == []
    assert len({(file, name) for step in steps for file, name in names_in(step) if name}) >= _LEAST_NAMES


def test_every_file_on_the_page_is_there() -> None:
    """In the walks and beside them: below the package, or in the repository."""
    files = {word for word in _QUOTED.findall(text_of(_PAGE)) if _FILE.fullmatch(word)}
    assert files
    assert [file for file in files if not ((PACKAGE / file).is_file() or (ROOT / file).is_file())] == []


@pytest.mark.parametrize(
    "step",
    [
        "`net/gone.py` is not there.",
        "`net/pool` is no file.",
        "`Kept.take` stands behind no file.",
        "`net/pool.py`: `Kept.taken` is no method.",
        "`net/pool.py`: `kept` is nothing.",
        "`net/pool.py`: `Kept.take.pop` is too deep.",
        "`net/pool.py`: `IDLE_SECONDS.real` is no member of a class of ours.",
        "`net/pool.py`: `ServerConnection` is only imported.",
        "`net/pool.py`: `take` is a method without its class.",
        "`net/pool.py` and `net/rounds.py`: `Kept.take` stands behind another file.",
        "`net/downstream.py`: `ClientConnection.create_task` is no method of a base.",
    ],
)
def test_a_planted_wrong_name_is_found(step: str) -> None:
    assert len(faults_of(step)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "No name.",
        "`app.py` is a file.",
        "`net/pool.py`: `Kept`, `Kept.take`, `Pool.of`, `IDLE_SECONDS`, then `net/rounds.py`: `Round.run`.",
        "`net/pool.py`: `Kept.round` is set by a method.",
        "`fleet/attempts.py`: `Step` is an alias, `Outcome.BUSY` a member, `Attempts._next` private.",
        "`config/model.py`: `Config.max_body` is a field.",
        "`proxy/exchange.py`: `Exchange.conclude` is inherited by way of another file.",
        "`responder.py`: `Stream.client_left` is inherited.",
        "`proxy/waiting.py`: `attend` is a coroutine.",
    ],
)
def test_a_right_name_is_none(step: str) -> None:
    assert faults_of(step) == []
