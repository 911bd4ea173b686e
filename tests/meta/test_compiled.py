"""What is compiled: the modules that setup.py names, and what their classes may inherit from.

mypyc lays a class out by its base. An isolated build, as pip makes it, sees no package that is needed at run
time, so a class of one of them would be laid out as something else there and crash.
"""

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.meta.building import PACKAGE, compiled_below
from tests.meta.documents import text_of

SOURCES: Final = PACKAGE.parent


def compiled_modules() -> list[Path]:
    """Read the table of setup.py."""
    (table,) = re.findall(r"^COMPILED = (\{.*?^\})", text_of("setup.py"), re.MULTILINE | re.DOTALL)
    layers = ast.literal_eval(table)
    return [PACKAGE / f"{layer}/{name}.py" for layer, names in layers.items() for name in names]


class Base(NamedTuple):
    """What a class inherits from, in the end: a dotted name that is not ours, and how we came to it."""

    origin: str
    by: str

    @property
    def is_foreign(self) -> bool:
        """Whether it belongs to neither Python nor us; a name that can't be followed is foreign too."""
        top = self.origin.partition(".")[0]
        return top != "builtins" and top not in sys.stdlib_module_names


def all_bases(source: str) -> Iterator[Base]:
    """Follow every class of a module, nested ones included, to bases that are not ours; metaclasses too."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node, tree)


def _of_class(node: ast.ClassDef, tree: ast.Module) -> Iterator[Base]:
    for base in (*node.bases, *(keyword.value for keyword in node.keywords)):
        yield from _of_expression(base, tree, node.name)


def _of_expression(node: ast.expr, tree: ast.Module, by: str) -> Iterator[Base]:
    while isinstance(node, ast.Subscript | ast.Call):  # Generic[T], NamedTuple("Name", ...)
        node = node.value if isinstance(node, ast.Subscript) else node.func
    yield from _of_name(ast.unparse(node), tree, by)


def _of_name(dotted: str, tree: ast.Module, by: str) -> Iterator[Base]:
    """Follow a name as it stands in a module: a class, another name for one, an import, a builtin."""
    first, _, rest = dotted.partition(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == dotted:
            yield from _of_class(node, tree)
            return
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if dotted in [ast.unparse(target) for target in targets]:
                yield from _of_expression(node.value, tree, by)
                return
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in node.names:
                whole = f"{node.module}.{name.name}" if isinstance(node, ast.ImportFrom) else name.name
                if first == (name.asname or name.name.partition(".")[0]):
                    whole = whole if name.asname or isinstance(node, ast.ImportFrom) else first
                    yield from _of_import(f"{whole}.{rest}".rstrip("."), by)
                    return
    yield Base(f"builtins.{dotted}" if hasattr(builtins, dotted) else dotted, by)


def _of_import(dotted: str, by: str) -> Iterator[Base]:
    parts = dotted.split(".")
    if parts[0] != "gollamas":
        yield Base(dotted, by)
        return
    for cut in range(len(parts) - 1, 0, -1):
        for path in (SOURCES.joinpath(*parts[:cut], "__init__.py"), SOURCES.joinpath(*parts[:cut])):
            file = path.with_suffix(".py")
            if file.is_file():
                yield from _of_name(
                    ".".join(parts[cut:]), ast.parse(file.read_text(encoding="utf-8")), f"{by} by {dotted}"
                )
                return


def test_what_is_compiled_is_there() -> None:
    """Each module that setup.py names exists without a coroutine, and was compiled unless nothing was."""
    named = set(compiled_modules())
    assert not [path for path in named if "async def" in path.read_text(encoding="utf-8")]
    made = {PACKAGE / f"{name.partition('.')[0]}.py" for name in compiled_below(PACKAGE)}
    assert made in (named, set())


def test_bytes_are_counted_by_hand_in_one_module() -> None:
    """No other has an index that is a register, and each function there has a twin that says it plainly."""
    by_hand = [path for path in PACKAGE.rglob("*.py") if "i64" in path.read_text(encoding="utf-8")]
    assert by_hand == [PACKAGE / "wire/scan.py"]
    tree = ast.parse(by_hand[0].read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    counted = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and "i64" in ast.unparse(node)
    }
    assert len(counted) > 5
    assert {f"{name}_plainly" for name in counted} <= names


@pytest.mark.parametrize("path", compiled_modules(), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_compiled_class_inherits_from_another_distribution(path: Path) -> None:
    """Each base of a compiled class is ours, with all of its own bases, or Python's."""
    found = list(all_bases(path.read_text(encoding="utf-8")))
    assert not [base for base in found if base.is_foreign]


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("from a.b import C\nclass D(C): ...", "a.b.C"),
        ("from a.b import C as E\nclass D(E[int]): ...", "a.b.C"),
        ("import a.b\nclass D(a.b.C): ...", "a.b.C"),
        ("import a.b as c\nclass D(c.C): ...", "a.b.C"),
        ("from a import C\nclass D:\n    class E(C): ...", "a.C"),
        ("def f():\n    from a import C\n    class D(C): ...", "a.C"),
        ("from a import C\nclass D(C): ...\nclass E(D): ...", "a.C"),
        ("from a import C\nE = C\nclass D(E): ...", "a.C"),
        ("from a import new\nclass D(new('E')): ...", "a.new"),
        ("from a import C\nclass D(metaclass=C): ...", "a.C"),
        ("class D(C): ...", "C"),
        ("from gollamas.config.document import MappingNode\nclass D(MappingNode): ...",
         "ruamel.yaml.nodes.MappingNode"),
        ("from gollamas.config import document\nclass D(document.YAML): ...", "ruamel.yaml.YAML"),
    ],
)  # fmt: skip
def test_a_base_of_another_distribution_is_found(source: str, origin: str) -> None:
    """However it is named, and through classes of ours."""
    assert origin in {base.origin for base in all_bases(source) if base.is_foreign}


@pytest.mark.parametrize(
    "source",
    [
        "class D: ...",
        "class D(Exception): ...",
        "import asyncio\nclass D(asyncio.Protocol): ...",
        "from typing import NamedTuple\nD = NamedTuple('D', [])\nclass E(D): ...",
        "from enum import Enum\nclass D(str, Enum): ...",
        "from gollamas.errors import ProxyError\nclass D(ProxyError): ...",
        "from gollamas import events\nclass D(events.RequestEnded): ...",
    ],
)
def test_a_base_of_ours_or_of_python_is_none(source: str) -> None:
    """Nothing else is found by mistake."""
    assert not [base for base in all_bases(source) if base.is_foreign]
