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
# with the same headers of the same Python and mypyc. Where all C is what it was when this tree was compiled,
# so is what comes of it: an object is the mark then, and to link one is to copy.
_COMPILER: Final = """#!/bin/sh
for word; do
    [ "$last" != -o ] || target=$word
    case $word in
    *.c) source=$word ;;
    *.o) object=$word ;;
    esac
    last=$word
done
as_here() {{
    [ -n "{here}" ] || return
    case $source in
    build/*) for file in "$source" build/*.h; do cmp -s "$file" "{here}/$file" || return; done ;;
    *) [ -z "$source" ] && [ "$(head -c 9 "$object")" = "made here" ] ;;
    esac
}}
if as_here; then
    if [ -n "$source" ]; then echo "made here" >"$target"; exit; fi
    exec cp "{here}/src/${{target#build/lib*/}}" "$target"
fi
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
    """Give the variables of a build that compiles nothing twice.

    C code that is compiled in the tree that is tested is taken from there. All else is compiled without
    optimising, in a quarter of the time, and once by what builds with one folder.
    """
    compiler = folder / "cc"
    real = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    here = ROOT if _is_compiled_as_it_stands() else ""
    compiler.write_text(_COMPILER.format(real=real, made=folder, here=here), encoding="utf-8")
    compiler.chmod(0o755)
    return {"CC": str(compiler)}


def _is_compiled_as_it_stands() -> bool:
    """Tell whether what is compiled here is of the C code that is here, by the flags that are asked for."""
    made = [path.stat().st_mtime for path in PACKAGE.parent.glob("gollamas__mypyc.*")]  # linked last
    made_of = [ROOT / C_CODE, ROOT / "setup.py", ROOT / "pyproject.toml"]
    return bool(made) and all(path.exists() and path.stat().st_mtime <= min(made) for path in made_of)
