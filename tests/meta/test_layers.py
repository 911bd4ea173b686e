"""The layers of the house hold, and the reader that says so sees what it should."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.meta.documents import text_of
from tests.meta.layers import (
    ENTRY,
    ORDER,
    cycles_below,
    cycles_of,
    faults_below,
    faults_of,
    layer_of,
    module_of,
)

SRC = Path(__file__).parents[2] / "src"


def test_imports_go_to_earlier_layers_only() -> None:
    """No file imports a later layer, and nothing below `system` imports time, chance or I/O."""
    assert faults_below(SRC) == []


def test_no_class_has_the_name_of_another_one() -> None:
    """One word, one class: in the whole package, but for the simulated Ollama, which has words of its own."""
    modules = [path for path in (SRC / "gollamas").rglob("*.py") if "simulate" not in path.parts]
    names = Counter(
        node.name.strip("_")
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 100
    assert [name for name, count in names.items() if count > 1] == []


def test_no_file_is_too_long_to_read() -> None:
    """At most 400 lines a file."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in (SRC / "gollamas").rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_file_belongs_to_a_layer() -> None:
    """Each module of the package stands in the list of layers."""
    modules = [module_of(path, SRC) for path in (SRC / "gollamas").rglob("*.py")]
    assert {layer_of(module) for module in modules} <= {None, ENTRY, *ORDER}


@pytest.mark.parametrize(
    "source",
    [
        "import gollamas.net.pool",
        "from gollamas.net import pool",
        "from gollamas import net",
        "from ..net import pool",
        "from .. import net",
        "from ..net.pool import Pool",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gollamas.net.pool import Pool",
        "def late() -> None:\n    import gollamas.cli.main",
        "import time",
        "import asyncio.events",
        "from random import random",
        "from socket import socket as plug",
        "import gollamas.names, gollamas.app",
        "from unittest import mock",
    ],
)
def test_a_planted_import_is_found(source: str) -> None:
    """Every spelling of an import that a layer below `system` may not have is one fault or more."""
    assert faults_of(source, "gollamas.fleet.choose", is_package=False)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from gollamas.fleet.view import View", "gollamas.net.pool"),
        ("from gollamas.api import routes", "gollamas.net.ask"),
        ("from gollamas.observe.metrics import Metrics", "gollamas.net.listener"),
        ("from gollamas.simulate.server import SimulatedOllama", "gollamas.app"),
    ],
)
def test_sockets_know_no_models_and_the_proxy_no_stand_in(source: str, module: str) -> None:
    assert faults_of(source, module, is_package=False)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("from gollamas.names import key_of\nimport re", "gollamas.fleet.choose"),
        ("from . import view\nfrom .view import View", "gollamas.fleet.choose"),
        ("import asyncio, time, random, socket", "gollamas.net.pool"),
        ("from gollamas import __version__", "gollamas.wire.head"),
        ("from gollamas.cli.main import main", "gollamas.__main__"),
        ("import gollamas", "gollamas.names"),
    ],
)
def test_a_rightful_import_is_none(source: str, module: str) -> None:
    """What the layers allow is no fault."""
    assert faults_of(source, module, is_package=False) == []


def test_modules_that_import_one_another_are_found() -> None:
    assert cycles_of({"a": ["b"], "b": ["c"], "c": []}) == []
    assert cycles_of({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}) == [["a", "b", "c"]]
    assert cycles_of({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}) == [["a", "b"], ["c", "d"]]


def test_a_cycle_that_types_alone_make_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "gollamas" / "net"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text("from gollamas.net import two\n")
    (folder / "two.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gollamas.net.one import One\n"
    )
    assert cycles_below(tmp_path) == ["these import one another: gollamas.net.one, gollamas.net.two"]


def test_a_package_resolves_its_own_relative_imports() -> None:
    """In an `__init__` one dot is the package itself, not its parent."""
    assert faults_of("from .pool import Pool", "gollamas.net", is_package=True) == []
    assert faults_of("from ..app import run", "gollamas.net", is_package=True)


def test_a_file_outside_the_layers_is_a_fault() -> None:
    """A new folder or module needs a place in the order before it is used."""
    assert faults_of("", "gollamas.helpers.text", is_package=False)


def test_the_page_shows_the_layers_in_their_order() -> None:
    """The design's table is the order that is held."""
    page = text_of("docs/design.md")
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == ORDER
