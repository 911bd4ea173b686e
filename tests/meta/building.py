"""Building gollamas anew for a test, away from the tree that is tested.

Knows what a build needs and makes, and how to make it quickly; nothing of who installs it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from tests.meta.documents import ROOT

PACKAGE: Final = ROOT / "src/gollamas"
C_CODE: Final = "build/__native_gollamas.c"  # below where it was built
_MADE_OF: Final = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")
_MADE: Final = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.egg-info")

# Of two levels the last one counts. Paths of headers are left out: each build has an environment of its own,
# with the same headers of the same Python and mypyc.
_COMPILER: Final = """#!/bin/sh
for word; do
    [ "$last" != -o ] || target=$word
    last=$word
done
key=$(for word; do
    case $word in
    -I*) ;;
    *.c | *.h | *.o) cat "$word" ;;
    *) echo "$word" ;;
    esac
done | cat - build/*.h | cksum | tr ' ' -)
made="{made}/$key"
if [ -f "$made" ]; then exec cp "$made" "$target"; fi
{real} "$@" -O0 -g0 -fno-lto || exit
[ ! -f "$target" ] || cp "$target" "$made"
"""


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


def virtual_environment(folder: Path) -> Path:
    """Make an empty environment that has pip, ours: to unpack Python's own takes seconds; give its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    ours = Path(sysconfig.get_path("purelib"))
    theirs = folder / ours.relative_to(sys.prefix)
    for path in (ours / "pip", *ours.glob("pip-*.dist-info")):
        shutil.copytree(path, theirs / path.name)
    return python


def quick_pip() -> dict[str, str]:
    """Give the variables of a pip that fetches nothing twice, wherever HOME is, and compiles what is used."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], check=False, capture_output=True, text=True
    )
    cache = {} if asked.returncode else {"PIP_CACHE_DIR": asked.stdout.strip()}  # it may be off
    return {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | cache


def quick_compiler(folder: Path) -> dict[str, str]:
    """Give the variables of a build that leaves optimising out: same C code, a quarter of the time.

    What builds with one folder compile of the same words and files is compiled once.
    """
    compiler = folder / "cc"
    real = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler.write_text(_COMPILER.format(real=real, made=folder), encoding="utf-8")
    compiler.chmod(0o755)
    return {"CC": str(compiler)}
