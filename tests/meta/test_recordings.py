"""A run without the answers of real servers says what it lacks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.documents import ROOT


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_without_real_answers_says_how_many_tests_it_lacks(workers: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", workers, "tests/unit/simulate/test_recorded.py"],
        cwd=ROOT,
        env={**os.environ, "GOLLAMAS_TEST_RECORDED": str(ROOT / "nothing")},
        capture_output=True,
        text=True,
        check=True,
    )
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert skipped is not None
    assert f"{skipped[1]} tests left out, and others run on one version of simulated answers" in done.stdout


def test_a_list_of_cases_that_is_empty_is_an_error(tmp_path: Path) -> None:
    case = tmp_path / "test_nothing.py"
    case.write_text("import pytest\n@pytest.mark.parametrize('x', [])\ndef test(x): pass\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-c", ROOT / "pyproject.toml", case],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Empty parameter set in 'test'" in done.stdout
