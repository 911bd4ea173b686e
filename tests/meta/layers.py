"""The layers of the house, and a reader of imports that holds them: run by `make lint`, and by a test.

Owns the order of the layers and what may not be imported below `system`; knows nothing of what modules do.
An import goes to an earlier layer or stays in its own, where none leads back to where it began;
`TYPE_CHECKING` blocks and functions included.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ORDER: Final = (
    "names",
    "errors",
    "events",
    "config",
    "wire",
    "fleet",
    "api",
    "observe",
    "system",
    "net",
    "responder",
    "proxy",
    "background",
    "admin",
    "simulate",
    "app",
    "cli",
)
# Time, chance and I/O are arguments below `system`.
FORBIDDEN: Final = frozenset(
    ("asyncio", "random", "secrets", "select", "selectors", "socket", "ssl", "threading", "time", "uvloop")
)
PURE: Final = ORDER[: ORDER.index("system")]
# Bytes and sockets know nothing of models.
NOT_FOR_NET: Final = frozenset(("fleet", "api", "observe"))
# The one entry point beside the layers: it may import the command line alone.
ENTRY: Final = "__main__"


class Import(NamedTuple):
    """A module that a file names, absolute, and the line where it does."""

    module: str
    line: int


def layer_of(module: str) -> str | None:
    """Name the layer of a dotted module of ours; None for the package itself and for other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "gollamas" and len(parts) > 1 else None


def module_of(path: Path, root: Path) -> str:
    """Give the dotted name of a file below `root`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    """Every import of a parsed file, wherever it stands, relative ones made absolute."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(base, node.lineno)
            # `from gollamas import net` names a layer in what is imported.
            yield from (
                Import(f"{base}.{name.name}", node.lineno) for name in node.names if base == "gollamas"
            )


def faults_of(source: str, module: str, *, is_package: bool) -> list[str]:
    """Say what a file's imports break, one sentence each; an unknown layer is a fault too."""
    own = layer_of(module)
    faults = []
    if own is not None and own not in (*ORDER, ENTRY):
        faults.append(f"{module}: {own} is no layer of ours")
    for found in imports_of(ast.parse(source), module, is_package=is_package):
        theirs = layer_of(found.module)
        top = found.module.split(".")[0]
        if own is None and theirs is not None and theirs in ORDER:
            faults.append(f"{module}:{found.line}: the package itself imports {found.module}")
        if own in ORDER and theirs in ORDER and ORDER.index(theirs) > ORDER.index(own):
            faults.append(f"{module}:{found.line}: {own} imports {found.module}, a later layer")
        if own in ("system", "net") and theirs in NOT_FOR_NET:
            faults.append(f"{module}:{found.line}: {own} imports {found.module}, which knows of models")
        if theirs == "simulate" and own in ORDER and own not in ("simulate", "cli"):
            faults.append(
                f"{module}:{found.line}: {own} imports {found.module}, which is for the demo and tests"
            )
        if own == ENTRY and theirs is not None and theirs != "cli":
            faults.append(f"{module}:{found.line}: the entry point imports {found.module}")
        if own in PURE and top in FORBIDDEN:
            faults.append(f"{module}:{found.line}: {own} imports {found.module}, which is for later ones")
        if top in ("tests", "pytest", "unittest"):
            faults.append(f"{module}:{found.line}: {found.module} is for tests")
    return faults


def cycles_of(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Find the groups of modules that import one another, by way of others too (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        path.append(module)
        for other in imports.get(module, ()):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in path:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1 or module in imports.get(module, ()):
                found.append(sorted(group))

    for module in imports:
        if module not in index:
            visit(module)
    return found


def cycles_below(root: Path) -> list[str]:
    """Say which modules import one another, typing included; a package counts as what its file imports."""
    trees = {module_of(path, root): path for path in sorted((root / "gollamas").rglob("*.py"))}
    imports: dict[str, list[str]] = {}
    for module, path in trees.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        is_package = path.name == "__init__.py"
        named = {one.module for one in imports_of(tree, module, is_package=is_package)}
        named |= {
            f"{found.module}.{name}"
            for found in _froms(tree, module, is_package=is_package)
            for name in found.names
        }
        imports[module] = sorted(name for name in named if name in trees and name != module)
    return [f"these import one another: {', '.join(group)}" for group in cycles_of(imports)]


class From(NamedTuple):
    """A module of which names are imported, some of them perhaps modules."""

    module: str
    names: list[str]


def _froms(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[From]:
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield From(base, [name.name for name in node.names])


def faults_below(root: Path) -> list[str]:
    """Collect the faults of every file of the package below `root` (the `src` folder), cycles included."""
    return [
        *(
            fault
            for path in sorted((root / "gollamas").rglob("*.py"))
            for fault in faults_of(
                path.read_text(encoding="utf-8"), module_of(path, root), is_package=path.name == "__init__.py"
            )
        ),
        *cycles_below(root),
    ]


if __name__ == "__main__":
    sys.exit("\n".join(faults_below(Path(__file__).parents[2] / "src")) or 0)
