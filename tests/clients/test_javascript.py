"""The JavaScript clients of the three dialects, led to the proxy by the variables of the pages."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.fleet import Fleet
from tests.clients.programs import clean_environment
from tests.clients.test_pages import exports

SOURCES: Final = Path(__file__).with_name("javascript")
PINNED: Final = ("package.json", "package-lock.json")
# Nothing but what the lock names, and no patience: another run may find a registry.
INSTALL: Final = (
    *("npm", "ci", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund"),
    *("--prefer-offline", "--fetch-retries=0", "--fetch-timeout=20000"),
)


@pytest.fixture(scope="module")
def packages() -> Path:
    """Install what the lock names beside the other tools, once for each lock; give the folder."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"no `{program}` on PATH")
    pins = {name: (SOURCES / name).read_bytes() for name in PINNED}
    digest = hashlib.sha256(b"".join(pins.values())).hexdigest()[:16]
    folder = Path(sys.prefix, "javascript", digest)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name, text in pins.items():
                (folder / name).write_bytes(text)
            done = subprocess.run(INSTALL, cwd=folder, check=False, capture_output=True, text=True)
            if done.returncode:
                why, _, _ = done.stderr.partition("\n")
                pytest.skip(f"npm can't install the clients: {why}")
            (folder / "installed").touch()
    return folder


def run(script: str, packages: Path, variables: dict[str, str]) -> dict[str, object]:
    """Run one of the scripts where its package is found; give what it printed."""
    done = subprocess.run(
        ["node", "--input-type=module", "-"],
        input=(SOURCES / script).read_bytes(),
        cwd=packages,
        env=clean_environment() | variables,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.mark.timeout(180)  # it may have to install them
@pytest.mark.parametrize(
    ("script", "first", "model", "error"),
    [
        ("openai.mjs", "OPENAI_BASE_URL", "gpt-4o", ["NotFoundError", 404]),
        ("anthropic.mjs", "ANTHROPIC_BASE_URL", "claude-sonnet-4", ["NotFoundError", 404]),
        ("ollama.mjs", "OLLAMA_HOST", "assistant", ["ResponseError", 404]),
    ],
)
def test_a_client_in_javascript_is_answered_whole_and_streamed(
    fleet: Fleet, packages: Path, script: str, first: str, model: str, error: list[object]
) -> None:
    """Under an alias; a model that nobody has is the client's own kind of error."""
    said = run(script, packages, exports(fleet)[first])
    assert said["whole"]
    assert said["streamed"] == said["whole"]
    assert said["models"] == [model, model]
    assert said["error"] == error
