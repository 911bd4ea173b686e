"""The project around the code agrees with itself: locks, declared dependencies, version, make, CI, links."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gollamas
from tests.meta.documents import ROOT, links_of, text_of, tracked_files

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-wheels.lock")
PROJECT = tomllib.loads(text_of("pyproject.toml"))
PINNED = re.compile(r"^(?P<pin>[a-zA-Z0-9._-]+==[^ ;\\]+)(?P<marker> ; [^\\]+)? \\$", re.MULTILINE)
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
)


def pins_of(lock: str) -> dict[str, tuple[str, str]]:
    """Read a lock: name to version and marker."""
    pins: dict[str, tuple[str, str]] = {}
    for found in PINNED.finditer(text_of(lock)):
        name, _, version = found["pin"].partition("==")
        pins[canonicalize_name(name)] = (version, (found["marker"] or "").removeprefix(" ; ").strip())
    return pins


def declared(group: str | None) -> Iterator[Requirement]:
    """List what pyproject.toml asks for, at run time or in a group and the groups in it."""
    if group is None:
        yield from map(Requirement, PROJECT["project"]["dependencies"])
        return
    for entry in PROJECT["dependency-groups"][group]:
        if isinstance(entry, dict):
            yield from declared(entry["include-group"])
        else:
            yield Requirement(entry)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    """A lock pins each package to one version, by hash, and names no index, file or URL."""
    text = text_of(lock)
    entries = [line for line in text.splitlines() if line and line[0] not in "# "]
    assert entries
    assert all(PINNED.match(line + "\n") or PINNED.match(line) for line in entries)
    assert len(
        re.findall(r"^[a-zA-Z0-9][^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    ) == len(entries)
    assert "://" not in text
    assert not re.search(
        r"^-|index|find-links", re.sub(r"(?m)^ *#.*$", "", text).replace("--hash", ""), re.MULTILINE
    )


def test_the_lock_of_the_clients_in_javascript_has_hashes_and_no_address() -> None:
    text = text_of("tests/clients/javascript/package-lock.json")
    _, *packages = json.loads(text)["packages"].values()
    assert len(packages) > 2
    assert all(package["version"] and package["integrity"].startswith("sha512-") for package in packages)
    assert "://" not in text


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("requirements.lock", [None]),
        ("requirements-dev.lock", [None, "dev", "build"]),
        ("requirements-build.lock", ["build"]),
        ("requirements-wheels.lock", ["wheels"]),
    ],
)
def test_a_lock_satisfies_what_is_declared(lock: str, groups: list[str | None]) -> None:
    """Each declared dependency is pinned to a version that it accepts."""
    pins = pins_of(lock)
    for wanted in (requirement for group in groups for requirement in declared(group)):
        version, _ = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version, prereleases=True), wanted


@pytest.mark.parametrize("lock", LOCKS[:-1])  # the last one is for the workflow alone
def test_a_lock_is_closed(lock: str) -> None:
    """What a pinned package needs here is pinned too."""
    pins = pins_of(lock)
    for name, (_, marker) in pins.items():
        if marker and not Marker(marker).evaluate():
            continue
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is pinned and not installed: make setup")
        for text in needed:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in pins, f"{name} needs {requirement.name}"


def test_the_locks_agree() -> None:
    """A package has one version, whichever lock names it."""
    dev = pins_of("requirements-dev.lock")
    for lock in ("requirements.lock", "requirements-build.lock"):
        for name, (version, _) in pins_of(lock).items():
            assert dev[name][0] == version


def test_every_build_has_one_compiler() -> None:
    """Pip's isolated build, which reads no lock, compiles with the mypy that the locks name."""
    requires = map(Requirement, PROJECT["build-system"]["requires"])
    wanted = {requirement.name: requirement.specifier for requirement in requires}
    assert set(wanted) == {requirement.name for requirement in declared("build")} - {"build"}
    for pins in map(pins_of, ("requirements-dev.lock", "requirements-build.lock")):
        assert str(wanted["mypy"]) == f"=={pins['mypy'][0]}"
        assert all(specifier.contains(pins[name][0]) for name, specifier in wanted.items())


def test_at_most_twelve_packages_at_run_time() -> None:
    """What is installed with gollamas stays few, their own dependencies counted."""
    assert len(pins_of("requirements.lock")) <= 12


def test_each_import_is_declared_and_each_dependency_imported() -> None:
    """The package imports what pyproject.toml names, all of it and nothing else.

    What only type checkers and the compiler read comes with them.
    """
    distributions = packages_distributions()
    wanted = {canonicalize_name(requirement.name) for requirement in declared(None)}
    with_types = wanted | set(pins_of("requirements-build.lock"))
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            tops = (
                {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"gollamas", "compression"}
            )
            for top in tops:
                # A namespace package (ruamel) may belong to several distributions.
                owners = {canonicalize_name(owner) for owner in distributions[top]}
                if id(node) in for_types:
                    assert owners & with_types, f"{path}: {top} is not locked"
                    continue
                assert owners & wanted, f"{path}: {top} is not declared"
                found |= owners & wanted
    assert found == wanted


def test_one_version() -> None:
    """pyproject.toml, the package and the changelog name the same version."""
    version = PROJECT["project"]["version"]
    assert gollamas.__version__ == version
    assert f"## [{version}]" in text_of("CHANGELOG.md")


def test_every_target_of_the_pages_is_there() -> None:
    """A `make` word in the pages, the CI and the workflows is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert {"setup", "run", "test", "check", "bench", "test-real", "lint", "lock"} <= targets
    for page in (*PAGES, ".ci/run"):
        for words in re.findall(
            r"(?:^|`|\$ )make(?: --[a-z-]+)*((?: [a-z][a-z-]*(?![a-z=-]))+)", text_of(page), re.MULTILINE
        ):
            assert set(words.split()) <= targets, page


def test_setup_does_nothing_twice(tmp_path: Path) -> None:
    """`make setup` installs by hash where a lock is newer than the environment, else nothing.

    `make run` needs no linter and no test's package.
    """
    locks = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
    for name in ("Makefile", "pyproject.toml", "setup.py", *locks):
        shutil.copy(ROOT / name, tmp_path)
    compiled = tmp_path / "src/gollamas/proxy/relay.py"
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    (tmp_path / ".venv").mkdir()
    for name in (".installed", ".tools", ".built"):
        (tmp_path / ".venv" / name).touch()

    def setup(*variables: str, target: str = "setup") -> str:
        command = ["make", "--dry-run", target, "GOLLAMAS_PURE=", *variables]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert "pip" not in setup()
    assert "--editable ." in setup("GOLLAMAS_PURE=1")
    newer = (tmp_path / ".venv/.built").stat().st_mtime + 1
    os.utime(compiled, (newer, newer))
    assert "--editable ." in setup()
    assert "--require-hashes" not in setup()
    os.utime(tmp_path / "requirements-dev.lock", (newer, newer))
    assert "--require-hashes -r requirements-dev.lock" in setup()
    assert "requirements-dev.lock" not in setup(target="run")
    os.utime(tmp_path / "requirements.lock", (newer, newer))
    assert "-r requirements.lock -r requirements-build.lock" in setup(target="run")


def test_setup_takes_the_quickest_python_that_works(tmp_path: Path) -> None:
    """The script asks each candidate how long it takes; one that can't serve has no say."""
    for name, answer in (
        ("python3", "echo 0.5"),
        ("python3.14", "exit 1"),
        ("python3.13", "echo 0.000000"),
        ("python3.12", "echo 10"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    ran = subprocess.run(
        [ROOT / "scripts/quickest-python"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert ran.stdout == "python3.13\n"


def test_ci_runs_the_suite_once() -> None:
    """`.ci/run` is one call of make that lints first, measures coverage and ends with the suite, once."""
    command = text_of(".ci/run").splitlines()[-1].removeprefix("exec ").split()
    shown = subprocess.run(
        [*command, "--dry-run", "--assume-old=setup"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    lines = [line for line in shown.stdout.splitlines() if line.startswith(".venv/bin/")]
    assert [line.split()[0].rpartition("/")[2] for line in lines][-7:] == [
        "ruff",
        "ruff",
        "mypy",
        "python",
        "coverage",
        "coverage",
        "pytest",
    ]
    assert sum("pytest" in line for line in lines) == 1
    whole_lines = shown.stdout.replace("\\\n", "").splitlines()
    (measured,) = [line for line in whole_lines if "coverage run -m pytest" in line]
    assert measured.startswith("GOLLAMAS_PURE=1 ")
    assert not {"tests/sockets", "tests/clients", "tests/meta", "tests/unit/cli"} & set(measured.split())
    assert {"tests/unit/wire", "tests/unit/api", "tests/unit/test_names.py"} < set(measured.split())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each link of a page names a file, or a heading of it, that is there."""
    for link in links_of(page):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings], (
                link
            )


def test_no_generated_file_is_kept() -> None:
    """Git holds nothing that `.gitignore` names, and no editor's or merge's leftovers."""
    if not tracked_files():
        pytest.skip("not a git checkout")
    ignored = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ignored.stdout == ""
    assert not [name for name in tracked_files() if re.search(r"(\.(orig|rej|pyc|swp|bak|log)|~)$", name)]
