"""What is done on one route and not on another is a column of `api/routes`: nobody else compares paths."""

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from gollamas.api import routes
from gollamas.cli import client_paths
from tests.meta.building import PACKAGE

# The table itself, what probes, loads and verbs ask, the option that adds paths (it stands below the table; a
# test compares the two), and the stand-in server, which has a table of its own.
_NAMES_PATHS: Final = (
    "api/routes.py",
    "config/paths.py",
    "cli/client_paths.py",
    "fleet/judging.py",
    "fleet/load_requests.py",
    "simulate/",
)


def paths_in(source: str) -> Iterator[str]:
    """Yield what names one of Ollama's paths, or compares a route's: as it is written."""
    tree = ast.parse(source)
    prose = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in prose:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str) and text.startswith(("/api/", "/v1/")):
                yield ast.unparse(node)
        elif isinstance(node, ast.Compare):
            if any(map(_is_of_route, [node.left, *node.comparators])):
                yield ast.unparse(node)
        elif isinstance(node, ast.Attribute) and _is_of_route(node.value):
            yield ast.unparse(node)  # a method of the text: startswith, find, ...


def _is_of_route(node: ast.expr) -> bool:
    """Whether this is the path of a route: `route.path`, `self.route.upstream`."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("path", "upstream"):
        return False
    return ast.unparse(node.value).rpartition(".")[2] == "route"


def test_only_the_table_of_routes_knows_paths() -> None:
    named = {
        path.relative_to(PACKAGE).as_posix(): found
        for path in PACKAGE.rglob("*.py")
        if (found := list(paths_in(path.read_text(encoding="utf-8"))))
    }
    assert "api/routes.py" in named
    assert not [file for file in named if not file.startswith(_NAMES_PATHS)], named


def test_what_the_verbs_ask_is_in_the_table() -> None:
    asked = [value for name, value in vars(client_paths).items() if name.isupper()]
    assert len(asked) == 7
    assert not [path for path in asked if routes.find(path.encode()) is None]


@pytest.mark.parametrize(
    "source",
    [
        'TAKEN = {"/api/chat": 1}',
        'path == b"/v1/messages"',
        'f"/api/{name}"',
        "if route.path == ASKED: ...",
        "ASKED != self.route.path",
        "call.route.path in SOME",
        "route.path.startswith(START)",
        "match(self.route.upstream.find)",
    ],
)
def test_a_path_elsewhere_is_found(source: str) -> None:
    assert list(paths_in(source))


@pytest.mark.parametrize(
    "source",
    ['"""/api/show is asked."""', "event.route = route.path", 'head.path == "/"', "LATER.get(path)"],
)
def test_a_path_that_is_passed_on_is_not(source: str) -> None:
    assert not list(paths_in(source))
