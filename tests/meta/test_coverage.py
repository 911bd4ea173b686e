"""What is measured for coverage: every layer that does no I/O, whole."""

import tomllib
from typing import Final

from tests.meta.documents import text_of
from tests.meta.layers import ENTRY, ORDER, PURE

COVERAGE: Final = tomllib.loads(text_of("pyproject.toml"))["tool"]["coverage"]
# Those of one file.
_FILES: Final = ("responder", "app", ENTRY)


def test_all_layers_that_do_no_io_are_measured_and_no_other() -> None:
    others = [layer for layer in (*ORDER, ENTRY) if layer not in PURE]
    left_out = [f"src/gollamas/{layer}{'.py' if layer in _FILES else '/*'}" for layer in others]
    assert sorted(COVERAGE["run"]["omit"]) == sorted(left_out)
    assert COVERAGE["run"]["branch"]


def test_a_branch_that_is_not_reached_fails() -> None:
    assert COVERAGE["report"]["fail_under"] == 100
    assert "$(BIN)/coverage report" in text_of("Makefile")
    assert "check: lint cover test " in text_of("Makefile")
