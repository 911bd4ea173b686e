"""The workflows test every version of Python, publish the package and the images, and pin what they use."""

import re
import tomllib
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.meta.documents import ROOT, stages_of, text_of, yaml_of

CI = ".github/workflows/ci.yml"
RELEASE = ".github/workflows/release.yml"
PYTHONS = {"3.11", "3.12", "3.13", "3.14"}
IMAGES = ["gollamas/gollamas", "ghcr.io/gollamas/gollamas"]


def steps_of(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    """Find a job's steps that use an action."""
    return [step for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


@pytest.mark.parametrize("path", [CI, RELEASE])
def test_the_tests_run_on_every_python(path: str) -> None:
    """Both workflows run `.ci/run` on 3.11 to 3.14."""
    job = yaml_of(path)["jobs"]["test"]
    assert set(job["strategy"]["matrix"]["python"]) == PYTHONS
    assert steps_of(job, "actions/setup-python")[0]["with"]["python-version"] == "${{ matrix.python }}"
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]


def test_every_python_is_declared() -> None:
    """pyproject.toml names the versions that are tested."""
    assert set(re.findall(r"Python :: (3\.\d+)", text_of("pyproject.toml"))) == PYTHONS


def test_macos_and_windows_are_tried_and_what_is_not_compiled() -> None:
    """The CI runs the suite on macOS, and once without compiling, and starts the program on Windows."""
    jobs = yaml_of(CI)["jobs"]
    assert any(row.get("pure") == "1" for row in jobs["test"]["strategy"]["matrix"]["include"])
    assert {"GOLLAMAS_PURE": "${{ matrix.pure }}"} in [step.get("env") for step in jobs["test"]["steps"]]
    assert any(row["os"] == "macos-latest" for row in jobs["test"]["strategy"]["matrix"]["include"])
    assert jobs["windows"]["runs-on"] == "windows-latest"


@pytest.mark.parametrize("path", [CI, RELEASE])
def test_every_action_is_pinned(path: str) -> None:
    """An action is named by its commit, with the version beside it, and jobs have a time limit."""
    uses = re.findall(r"uses: (\S+)(.*)", text_of(path))
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
    assert all(job["timeout-minutes"] for job in yaml_of(path)["jobs"].values())


@pytest.mark.parametrize("path", [CI, RELEASE])
def test_no_workflow_may_write_by_default(path: str) -> None:
    """A job gets no right to write that it does not ask for, and keeps no credentials of the checkout."""
    workflow = yaml_of(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert all(step["with"]["persist-credentials"] is False for step in steps_of(job, "actions/checkout"))


def test_a_release_begins_with_a_tag() -> None:
    """Only a tag like v1.2.3 releases."""
    # YAML 1.1 readers take `on` for true, GitHub does not.
    trigger = yaml_of(RELEASE)["on"]
    assert trigger == {"push": {"tags": ["v*"]}}


def test_the_package_is_published_after_the_tests() -> None:
    """PyPI gets what was built, by trusted publishing, when every version's tests have passed."""
    jobs = yaml_of(RELEASE)["jobs"]
    assert set(jobs["pypi"]["needs"]) == {"test", "dist", "wheels"}
    assert jobs["pypi"]["permissions"] == {"id-token": "write"}
    assert steps_of(jobs["pypi"], "pypa/gh-action-pypi-publish")
    sent = [steps_of(jobs[name], "actions/upload-artifact")[0]["with"] for name in ("dist", "wheels")]
    assert len({artifact["name"] for artifact in sent}) == len(sent)
    taken = steps_of(jobs["pypi"], "actions/download-artifact")[0]["with"]
    assert all(fnmatch(artifact["name"], taken["pattern"]) for artifact in sent)
    assert (taken["merge-multiple"], taken["path"]) == (True, "dist/")  # where the action looks


def test_every_machine_gets_a_compiled_wheel() -> None:
    """Linux and macOS on both processors, and Windows; any other machine gets a plain wheel."""
    jobs = yaml_of(RELEASE)["jobs"]
    machines = jobs["wheels"]["strategy"]["matrix"]["os"]
    assert [name.partition("-")[0] for name in machines] == ["ubuntu", "ubuntu", "macos", "macos", "windows"]
    assert any(step.get("run", "").startswith("python -m cibuildwheel") for step in jobs["wheels"]["steps"])
    assert any(step.get("env") == {"GOLLAMAS_PURE": "1"} for step in jobs["dist"]["steps"])


def test_every_wheel_is_run_before_it_is_published() -> None:
    """Each is installed without what we develop with, then started, asked and ended."""
    script = "tests/meta/installed.py"
    assert (ROOT / script).is_file()
    asked = tomllib.loads(text_of("pyproject.toml"))["tool"]["cibuildwheel"]["test-command"]
    assert asked == f"python {{project}}/{script} --compiled"
    assert script in "".join(step.get("run", "") for step in yaml_of(RELEASE)["jobs"]["dist"]["steps"])
    assert f"python {script}" in [step.get("run") for step in yaml_of(CI)["jobs"]["windows"]["steps"]]


def test_the_images_go_to_both_registries_for_both_machines() -> None:
    """Docker Hub and GitHub's registry get images for amd64 and arm64."""
    job = yaml_of(RELEASE)["jobs"]["images"]
    assert set(job["needs"]) == {"test", "dist"}
    assert job["permissions"]["packages"] == "write"
    logins = [step["with"].get("registry", "docker.io") for step in steps_of(job, "docker/login-action")]
    assert logins == ["docker.io", "ghcr.io"]
    meta = steps_of(job, "docker/metadata-action")[0]
    assert meta["with"]["images"].split() == IMAGES
    build = steps_of(job, "docker/build-push-action")[0]["with"]
    assert build["platforms"].split(",") == ["linux/amd64", "linux/arm64"]
    assert build["push"] is True
    assert build["tags"] == "${{ steps." + meta["id"] + ".outputs.tags }}"


def test_the_image_in_the_pages_is_the_one_that_is_published() -> None:
    """README, compose and Kubernetes name an image of the release."""
    named = set()
    for path in ("README.md", "compose.yaml", "deploy/kubernetes.yaml"):
        named |= set(re.findall(r"((?:ghcr\.io/)?gollamas/gollamas):1\b", text_of(path)))
    assert named == set(IMAGES)


def test_the_image_has_a_tested_python() -> None:
    """Both stages of the image start from one Python that the suite runs on."""
    bases = {stage[0].rest.split()[0].replace("-slim", "") for stage in stages_of("Dockerfile")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:(3\.\d+)-\w+", bases.pop()).group(1) in PYTHONS  # type: ignore[union-attr]  # a mismatch fails here
