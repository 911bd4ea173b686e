"""README's lines without pipx: an isolated build, and an environment without what we develop with."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.meta.building import (
    C_CODE,
    PACKAGE,
    compiled_below,
    copied,
    quick_pip,
)
from tests.meta.documents import ROOT
from tests.meta.machines import lines

# What pip says where nobody answers; it would ask six times, and wait for minutes where packets get lost.
SILENCE: Final = re.compile(r"Retrying \(Retry\(.*connection broken by")
IMPATIENT: Final = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "20"}


@pytest.mark.timeout(300)
def test_the_lines_without_pipx_install_what_make_runs_and_it_ends_as_it_should(
    tmp_path: Path, compiler: dict[str, str]
) -> None:
    """It tells its version, starts, answers, ends with 0 by a signal and with 1 where its address is taken.

    They are run in a copy of the repository. What is compiled then, and the C code of that, is what
    `make setup` has made here.
    """
    sources = copied(tmp_path / "gollamas")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PATH": f"{sys.prefix}/bin:{env['PATH']}", "HOME": str(tmp_path)}
    env |= IMPATIENT | quick_pip() | compiler
    made, installed = *lines("sh", "python3 -m venv"), *lines("sh", "~/.local")
    home = tmp_path / ".local/share/gollamas"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{made} && {installed} && {home}/bin/gollamas --version"],
        env=env,
        cwd=sources,
        check=False,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode and SILENCE.search(said):
        pytest.skip("no package registry answers, and an isolated build needs one")
    assert done.returncode == 0, said
    assert re.search(r"^gollamas \d+\.\d+\.\d+$", done.stdout, re.MULTILINE)
    compiled_here = compiled_below(PACKAGE)
    words = ["--compiled"] if compiled_here else []
    tried = subprocess.run(
        [home / "bin/python", ROOT / "tests/meta/installed.py", *words],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (tried.returncode, tried.stderr) == (0, ""), tried.stdout
    if compiled_here:
        (package,) = home.glob("lib/python3.*/site-packages/gollamas")
        assert compiled_below(package) == compiled_here
        assert (sources / C_CODE).read_bytes() == (ROOT / C_CODE).read_bytes()
