"""Building gollamas anew for a test, away from the tree that is tested.

Knows what a build needs and makes; nothing of who installs it.
"""

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Final

from tests.meta.documents import ROOT

PACKAGE: Final = ROOT / "src/gollamas"
C_CODE: Final = "build/__native_gollamas.c"  # below where it was built
_MADE_OF: Final = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")
_MADE: Final = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.egg-info")


def copied(folder: Path) -> Path:
    """Copy what a build needs, without what was built here."""
    folder.mkdir()
    for name in _MADE_OF:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=_MADE)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def compiled_below(folder: Path) -> set[str]:
    """List the modules below a folder that are machine code."""
    made = (path for path in folder.rglob("*") if path.suffix in (".so", ".pyd"))
    return {str(path.relative_to(folder)) for path in made}


def quick_compiler(folder: Path) -> dict[str, str]:
    """Give the variables of a build that leaves optimising out: same C code, a quarter of the time."""
    compiler = folder / "cc"
    real = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler.write_text(f'#!/bin/sh\nexec {real} "$@" -O0\n', encoding="utf-8")  # the last level counts
    compiler.chmod(0o755)
    return {"CC": str(compiler)}
