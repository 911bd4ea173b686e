"""`pip install .` as a user runs it: an isolated build, and an environment without what we develop with."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.meta.building import (
    C_CODE,
    PACKAGE,
    compiled_below,
    copied,
    quick_pip,
    virtual_environment,
)
from tests.meta.documents import ROOT

# What pip says where nobody answers; it would ask six times, and wait for minutes where packets get lost.
SILENCE: Final = re.compile(r"Retrying \(Retry\(.*connection broken by")
IMPATIENT: Final = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "20"}


@pytest.mark.timeout(300)
def test_pip_installs_the_program_that_make_runs_and_it_ends_as_it_should(
    tmp_path: Path, compiler: dict[str, str]
) -> None:
    """It starts, answers, ends with 0 by a signal and with 1 where its address is taken.

    What is compiled in it, and the C code of that, is what `make setup` has made here.
    """
    sources = copied(tmp_path / "gollamas")
    python = virtual_environment(tmp_path / "venv")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= IMPATIENT | quick_pip() | compiler
    done = subprocess.run(
        [python, "-m", "pip", "install", sources],
        env=env,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode and SILENCE.search(said):
        pytest.skip("no package registry answers, and an isolated build needs one")
    assert done.returncode == 0, said
    compiled_here = compiled_below(PACKAGE)
    words = ["--compiled"] if compiled_here else []
    tried = subprocess.run(
        [python, ROOT / "tests/meta/installed.py", *words],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (tried.returncode, tried.stderr) == (0, ""), tried.stdout
    if compiled_here:
        (installed,) = tmp_path.glob("venv/lib/python3.*/site-packages/gollamas")
        assert compiled_below(installed) == compiled_here
        assert (sources / C_CODE).read_bytes() == (ROOT / C_CODE).read_bytes()
