"""The suite looks at the code that it says it looks at."""

from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"


def pytest_configure() -> None:
    """Refuse to test what was compiled before a source changed: types and constants of all are built in."""
    compiled = [path for path in SOURCES.rglob("*") if path.suffix in (".so", ".pyd")]
    if not compiled:
        return
    oldest = min(path.stat().st_mtime for path in compiled)
    for source in SOURCES.rglob("*.py"):
        layer = source.relative_to(SOURCES).parts[1]
        if layer not in ("admin", "cli", "simulate") and source.stat().st_mtime > oldest:
            pytest.exit(f"{source.name} has changed since it was compiled: make setup", returncode=2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest: at the end, one worker would wait for the other's."""
    items.sort(key=lambda item: -_limit(item))


def _limit(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark is not None and mark.args else 0.0
