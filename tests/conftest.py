"""The suite looks at the code that it says it looks at."""

import gc
import os
import sys
from collections.abc import Generator
from importlib.abc import PathEntryFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

import pytest
from hypothesis import settings

SOURCES = Path(__file__).parents[1] / "src"
BYTECODE = Path(__file__).parents[1] / ".venv" / "bytecode"
IS_PLAIN = os.environ.get("GOLLAMAS_PURE") == "1"
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("untimed")


# Kept even where the environment says that none is written, but beside the sources. Without it each worker
# takes half a minute to read the tests, and each program that they start several times as long to start.
sys.dont_write_bytecode = False
sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _plain(folder: str) -> PathEntryFinder:
    """Find modules of ours as Python, whatever was compiled beside them: coverage sees no C."""
    if not Path(folder).is_relative_to(SOURCES):
        raise ImportError
    return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


if IS_PLAIN:
    sys.path_hooks.insert(0, _plain)
    sys.path_importer_cache.clear()


def pytest_configure() -> None:
    """Refuse to test what was compiled before a source changed: types and constants of all are built in."""
    compiled = [path for path in SOURCES.rglob("*") if path.suffix in (".so", ".pyd")]
    if IS_PLAIN or not compiled:
        return
    oldest = min(path.stat().st_mtime for path in compiled)
    for source in SOURCES.rglob("*.py"):
        layer = source.relative_to(SOURCES).parts[1]
        if layer not in ("admin", "cli", "simulate") and source.stat().st_mtime > oldest:
            pytest.exit(f"{source.name} has changed since it was compiled: make setup", returncode=2)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what a run lacked that had no answers of real servers to compare with."""
    from tests import recorded  # noqa: PLC0415 - it imports what is tested, which `_plain` has to find

    if not recorded.IS_REAL:
        left_out = [
            one for one in terminalreporter.getreports("skipped") if recorded.LACKING in str(one.longrepr)
        ]
        terminalreporter.write_line(
            f"{len(left_out)} tests left out, and others run on one version of simulated answers alone: "
            f"{recorded.LACKING} ({recorded.FOLDER})"
        )


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have each worker begin with another part of a folder: what one has rewritten is kept for all."""
    report = yield
    if isinstance(collector, pytest.Dir):
        first = len(report.result) * WORKER // WORKERS
        report.result = [*report.result[first:], *report.result[:first]]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are read, and never at what is there then: it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Begin with what may take longest: at the end, one worker would wait for the other's."""
    items.sort(key=lambda item: item.path)  # in whatever order they were read: all workers shuffle the same
    yield
    items.sort(key=lambda item: -_limit(item))


def _limit(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark is not None and mark.args else 0.0
