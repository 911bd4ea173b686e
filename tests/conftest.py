"""The suite looks at the code that it says it looks at."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_configure() -> None:
    """Refuse to test a compiled module whose source has changed since."""
    built = ROOT / ".venv/.built"
    if not built.exists():
        return
    for compiled in (ROOT / "src/gollamas").rglob("*.so"):
        source = compiled.with_name(compiled.name.partition(".")[0] + ".py")
        if not source.exists() or source.stat().st_mtime > built.stat().st_mtime:
            pytest.exit(f"{source.name} has changed since it was compiled: make setup", returncode=2)
